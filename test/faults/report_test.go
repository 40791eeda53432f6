package faults

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// report is what became of a world's events, in the words of RabbitMQ's Jepsen suite where it has one.
type report struct {
	number int // of the fault; 0: several at once
	name   string
	// attempted events were published, acknowledged ones were confirmed by the broker. One that was not confirmed may have
	// arrived all the same: recovered.
	attempted, acknowledged, recovered int
	// done, parked and waiting are the ends that an acknowledged event may have; lost has none of them.
	done, parked, waiting, lost int
	// duplicated effects happened more than once; unexpected is whatever else nobody can explain.
	duplicated, unexpected int
	took                   time.Duration
	ok                     bool
}

type results struct {
	mu   sync.Mutex
	rows []report
}

func (r *results) add(row report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows = append(r.rows, row)
}

// addFailed adds a row for a fault whose test has ended before its report.
func (r *results) addFailed(f *scenario) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.ContainsFunc(r.rows, func(row report) bool { return row.name == f.name }) {
		r.rows = append(r.rows, report{number: f.number, name: f.name})
	}
}

// String is the table.
func (r *results) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.SortStableFunc(r.rows, func(a, b report) int { return a.number - b.number })
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(w, "fault\tattempted\tacknowledged\trecovered\tdone\tparked\twaiting\tlost\tduplicated\tunexpected\tseconds\t  ")
	for _, row := range r.rows {
		verdict := "ok"
		if !row.ok {
			verdict = "FAILED"
		}
		number := "-"
		if row.number > 0 {
			number = fmt.Sprint(row.number)
		}
		_, _ = fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%.0f\t  %s, %s\n", number, row.attempted, row.acknowledged,
			row.recovered, row.done, row.parked, row.waiting, row.lost, row.duplicated, row.unexpected, row.took.Seconds(), verdict, row.name)
	}
	_ = w.Flush()
	return b.String()
}
