package app

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/handlers"
	"github.com/mageline/mageline/internal/check"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/inbox"
	takenfile "github.com/mageline/mageline/internal/taken"
)

var trackingFileReady = registration{
	Consumer: config.Consumer{
		Name: handlers.TrackingFileReady, Topics: []string{handlers.TopicFileReady},
		Does: "reads a 3PL's CSV file, for which mageline sends the event itself when it is in `TRACKING_DIR`, and publishes an event " +
			"for each parcel ([docs/tracking.md](docs/tracking.md))",
		Requires: []config.Requirement{{
			Variable: "TRACKING_DIR", What: "an inbox", Met: func(c *config.Config) bool { return c.TrackingDir != "" },
		}},
	},
	wire: wireTrackingFileReady,
	check: func(c *checks) {
		c.rabbitmq.Publishes = true
		c.more = append(c.more, check.Inbox{Path: c.cfg.TrackingDir, Beneath: []string{inbox.Processed, inbox.Failed}})
		for _, server := range c.cfg.Servers() {
			takes := fetches(c.cfg, server)
			c.more = append(c.more, check.SFTP{
				Name:  fmt.Sprintf("%s (%s@%s)", server.Name, server.User, server.Host),
				Count: func(ctx context.Context) (int, error) { return server.Check(ctx, takes) },
			})
		}
	},
}

// wireTrackingFileReady makes the handler of tracking files, and what finds them and looks at them again.
func wireTrackingFileReady(s *Service) wired {
	publish := func(ctx context.Context, topic string, body []byte) error {
		return s.runtime.Publisher().Publish(ctx, topic, body)
	}
	taken, err := inbox.Globs(s.cfg.TrackingPattern)
	if err != nil {
		panic(err) // the configuration was checked
	}
	profiles, fetched := s.cfg.Profiles(), fetchedFrom(s.cfg)
	b := &box{
		service: s, consumer: handlers.TrackingFileReady, dir: &inbox.Dir{Path: s.cfg.TrackingDir, Notes: takenfile.Store{DB: s.db, Inbox: "tracking"}},
		takes: func(path string) bool { return taken(filepath.Base(path)) || profiles.Takes(path) || fetched(path) },
		still: s.cfg.TrackingStill,
		tell: func(ctx context.Context, f inbox.Found) error {
			body, err := json.Marshal(handlers.FileReady{Path: f.Path, SHA256: f.SHA256, Size: f.Size})
			if err != nil {
				return err
			}
			return publish(ctx, handlers.TopicFileReady, body)
		},
	}
	w := b.wire()
	pickups := wirePickups(s, b)
	w.tasks = append(w.tasks, pickups.tasks...)
	own := w.problems
	w.problems = func() []string { return append(own(), pickups.problems()...) }
	s.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "mageline_tracking_oldest_file_seconds", Help: "How long the oldest file has been in the inbox, as this process has seen it; 0 if there is none.",
		}, b.oldest),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "mageline_tracking_files_untaken", Help: "Files of the inbox that no pattern takes, and that this process has seen for an hour.",
		}, func() float64 { return float64(len(b.watcher.Untaken(untakenAfter))) }),
	)
	w.Consumer = consumer.Consumer{
		Kind: event.Files,
		Handler: &handlers.TrackingFile{
			Inbox: b.dir, Ledger: s.ledger, Profiles: profiles, ProfileOf: profileOf(s.cfg), Publish: publish, Meter: newFileMeter(s.registry), Outage: b.outage,
		},
	}
	return w
}

// fileMeter is the metrics of tracking files.
type fileMeter struct {
	running        prometheus.Gauge
	sent, rejected prometheus.Counter
	files          *prometheus.CounterVec
}

func newFileMeter(registerer prometheus.Registerer) *fileMeter {
	running := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "mageline_tracking_files_in_work", Help: "Tracking files that are being read.",
	})
	rows := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "mageline_tracking_rows_total", Help: "Rows of tracking files, by what became of them.",
	}, []string{"outcome"})
	files := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "mageline_tracking_files_total", Help: "Tracking files that were moved out of the inbox, by what became of them.",
	}, []string{"outcome"})
	for _, outcome := range []string{handlers.FileDone, handlers.FileDuplicate, handlers.FileFailed, handlers.FileNoGoodRow} {
		files.WithLabelValues(outcome)
	}
	registerer.MustRegister(running, rows, files)
	return &fileMeter{running: running, sent: rows.WithLabelValues("sent"), rejected: rows.WithLabelValues("rejected"), files: files}
}

// Ended counts a file that was moved away.
func (m *fileMeter) Ended(outcome string) { m.files.WithLabelValues(outcome).Inc() }

// Began counts a file that is being read, until end is called.
func (m *fileMeter) Began() (end func()) {
	m.running.Inc()
	return sync.OnceFunc(m.running.Dec)
}

// Sent counts rows whose parcels are out.
func (m *fileMeter) Sent(rows int) { m.sent.Add(float64(rows)) }

// Rejected counts bad rows.
func (m *fileMeter) Rejected(rows int) { m.rejected.Add(float64(rows)) }
