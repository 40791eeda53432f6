package app

import (
	"context"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mageline/mageline/handlers"
	"github.com/mageline/mageline/internal/inbox"
	takenfile "github.com/mageline/mageline/internal/taken"
)

// listPattern is what lists of prices and stock are called.
const listPattern = "*.csv,*.txt,*.tsv"

// watchLists adds to a consumer of prices or of stock the inbox from which lists are sent to it. Without a directory there is none.
func (s *Service) watchLists(w wired, consumer, dir string, stock bool) wired {
	if dir == "" {
		return w
	}
	takes, err := inbox.Globs(listPattern)
	if err != nil {
		panic(err) // it is a constant
	}
	b := &box{
		service: s, consumer: consumer, dir: &inbox.Dir{Path: dir, Notes: takenfile.Store{DB: s.db, Inbox: consumer}},
		takes: func(path string) bool { return takes(filepath.Base(path)) },
		still: s.cfg.TrackingStill,
	}
	lists := &handlers.ListFile{
		Consumer: consumer, Inbox: b.dir, Ledger: s.ledger, Stock: stock, Meter: newListMeter(s.registry, consumer), Outage: b.outage,
		Publish: func(ctx context.Context, topic string, body []byte) error {
			return s.runtime.Publisher().Publish(ctx, topic, body)
		},
	}
	b.tell = func(ctx context.Context, f inbox.Found) error { return lists.Take(s.log.WithContext(ctx), f) }
	box := b.wire()
	s.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "mageline_list_oldest_file_seconds", Help: "How long the oldest list has been in the inbox, as this process has seen it; 0 if there is none.",
		ConstLabels: prometheus.Labels{"consumer": consumer},
	}, b.oldest))
	w.background, w.tasks, w.problems = append(w.background, box.background...), append(w.tasks, box.tasks...), box.problems
	return w
}

// newListMeter returns the metrics of lists of one consumer.
func newListMeter(registerer prometheus.Registerer, consumer string) *fileMeter {
	labels := prometheus.Labels{"consumer": consumer}
	running := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "mageline_list_files_in_work", Help: "Lists that are being sent.", ConstLabels: labels,
	})
	rows := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "mageline_list_rows_total", Help: "Rows of lists, by what became of them.", ConstLabels: labels,
	}, []string{"outcome"})
	files := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "mageline_list_files_total", Help: "Lists that were moved out of the inbox, by what became of them.", ConstLabels: labels,
	}, []string{"outcome"})
	for _, outcome := range []string{handlers.FileDone, handlers.FileDuplicate, handlers.FileFailed, handlers.FileNoGoodRow} {
		files.WithLabelValues(outcome)
	}
	registerer.MustRegister(running, rows, files)
	return &fileMeter{running: running, sent: rows.WithLabelValues("sent"), rejected: rows.WithLabelValues("rejected"), files: files}
}
