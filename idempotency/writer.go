package idempotency

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/mageline/mageline/event"
)

// write flushes what is queued until the queue is closed and empty. What gathers while a flush runs is the next one.
func (l *Ledger) write(ctx context.Context) {
	for {
		ops, flushed := l.queue.next()
		if len(ops) == 0 {
			return
		}
		if ops = inTime(ops); len(ops) > 0 {
			l.settle(ctx, ops)
		}
		// Those that it has answered come back at once with their next claim or finish. They are given their turn before the
		// next flush is made up, or they would be a flush later than those who have waited, for ever: two halves instead of
		// a whole. A timer would be too coarse: on a process that has nothing else to do it takes a millisecond.
		for n := -1; n < l.queue.len(); runtime.Gosched() {
			n = l.queue.len()
			runtime.Gosched()
		}
		flushed()
	}
}

// inTime gives the ops that it is not too late for, and answers the others.
func inTime(ops []*op) []*op {
	now := time.Now()
	return slices.DeleteFunc(ops, func(o *op) bool {
		late := !o.until.IsZero() && now.After(o.until)
		if late {
			o.answer(failure(context.DeadlineExceeded))
		}
		return late
	})
}

// maxRepeats is how often a flush that lost to another transaction is repeated.
const maxRepeats = 10

// settle writes ops and answers each. A flush that can't be written splits in halves until the row at fault is alone and
// fails alone. Each repetition is harmless: a claim recognises itself by its token.
func (l *Ledger) settle(ctx context.Context, ops []*op) {
	var (
		err     error
		dropped bool
	)
	for n := 0; n < maxRepeats; n++ {
		started := time.Now()
		if err = l.flush(ctx, ops); err == nil {
			return
		}
		if isConflict(err) {
			l.metrics.conflicts.Inc()
			time.Sleep(rand.N(time.Duration(n+1) * 5 * time.Millisecond))
			continue
		}
		// A connection that was cut costs one repetition on a fresh one; a Postgres that is silent, none.
		if isAway(err) && !dropped && time.Since(started) < flushTimeout/4 {
			dropped = true
			l.forget(err)
			continue
		}
		break
	}
	if !isAway(err) && !isConflict(err) && len(ops) > 1 {
		l.settle(ctx, ops[:len(ops)/2])
		l.settle(ctx, ops[len(ops)/2:])
		return
	}
	err = failure(err)
	for _, o := range ops {
		o.answer(err)
	}
}

// forget drops the pool's connections when they lead to a server that only reads: after a failover the same address
// leads to another one.
func (l *Ledger) forget(err error) {
	if pg := pgError(err); pg != nil && pg.Code == "25006" {
		l.pool.Reset()
	}
}

// pgError gives what the server answered to a statement; nil where it did not come to that.
func pgError(err error) *pgconn.PgError {
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		return nil
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg
	}
	return nil
}

// isAway reports whether err says that Postgres can't be reached or can't write, rather than that it minds a row.
func isAway(err error) bool {
	pg := pgError(err)
	if pg == nil {
		return !errors.Is(err, errRows) && !errors.Is(err, errOrder)
	}
	if len(pg.Code) < 2 {
		return false
	}
	switch pg.Code[:2] {
	case "08", "53", "57": // connection, resources (too many connections, disk full), operator intervention
		return true
	}
	switch pg.Code {
	case "25006": // a read-only server, in a failover
		return true
	case "42501", "42P01", "3F000": // a right that was taken away, a table or schema that is not there: every row fails alike
		return true
	}
	return pg.Code[:2] == "28" || pg.Code == "3D000" || // the login is refused, the database is gone
		isPooler(err)
}

// isPooler reports whether a prepared statement was missing (26000), or there already (42P05): it is another session's, and a
// pooler in transaction mode in between that nobody has declared.
func isPooler(err error) bool {
	pg := pgError(err)
	return pg != nil && (pg.Code == "26000" || pg.Code == "42P05")
}

// isConflict reports whether the transaction lost to another one and need only be repeated.
func isConflict(err error) bool {
	pg := pgError(err)
	return pg != nil && (pg.Code == "40001" || pg.Code == "40P01")
}

// failure turns an error of Postgres into what a handler returns.
func failure(err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case isPooler(err):
		return &event.Deferral{
			Reason:     "a pooler in transaction mode lies before Postgres, and MAGELINE_MIGRATE_DATABASE_URL does not lead past it",
			Downstream: "postgres", Err: err,
		}
	case isAway(err):
		return &event.Deferral{Reason: "Postgres is away", Downstream: "postgres", Err: err}
	case isConflict(err):
		return &event.Deferral{Reason: "the ledger's row is fought over", Err: err}
	}
	return &event.Error{Class: event.Internal, Err: fmt.Errorf("the ledger could not be written: %w", err)}
}

type metrics struct {
	rows, seconds prometheus.Histogram
	conflicts     prometheus.Counter
}

func newMetrics(r prometheus.Registerer) metrics {
	m := metrics{
		rows: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "mageline_ledger_flush_rows", Help: "Rows of one transaction of the ledger.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 10),
		}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "mageline_ledger_flush_seconds", Help: "Time of one transaction of the ledger.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}),
		conflicts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "mageline_ledger_conflicts_total", Help: "Transactions of the ledger that lost to another one and were repeated.",
		}),
	}
	if r != nil {
		r.MustRegister(m.rows, m.seconds, m.conflicts)
	}
	return m
}

func (m metrics) flushed(rows int, took time.Duration) {
	m.rows.Observe(float64(rows))
	m.seconds.Observe(took.Seconds())
}
