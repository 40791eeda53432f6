// Package periodic runs work that one replica does at a time: reading waiting orders again, forgetting old keys.
package periodic

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/mageline/mageline/event"
)

// Task is done every so often.
type Task struct {
	Name  string
	Every time.Duration
	// Shared is true for work of which every replica does its own, for the first time as soon as it is ready; else one
	// replica at a time holds its lease.
	Shared bool
	Run    func(ctx context.Context) error
}

// Leases gives a claim on a name that one replica has at a time. *idempotency.Ledger does.
type Leases interface {
	Lease(ctx context.Context, name string) (held context.Context, release func(), err error)
}

// Run does the tasks until ctx ends, and waits for them. ready says whether anything may be done now.
func Run(ctx context.Context, leases Leases, ready func() bool, log zerolog.Logger, tasks ...Task) {
	var all sync.WaitGroup
	for _, t := range tasks {
		all.Go(func() {
			for first := t.Shared; ; {
				// Replicas started together must not ask for the lease together for ever.
				wait := t.Every - t.Every/20 + rand.N(t.Every/10+1)
				if first {
					wait = min(wait, time.Second)
				}
				select {
				case <-time.After(wait):
				case <-ctx.Done():
					return
				}
				if ready() {
					once(ctx, leases, log, t)
					first = false
				}
			}
		})
	}
	all.Wait()
}

// run makes an error of a panic: the process has orders to move, whatever a task comes across.
func run(ctx context.Context, t Task) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = event.Errorf(event.Internal, "panic: %v\n%s", p, debug.Stack())
		}
	}()
	return t.Run(ctx)
}

func once(ctx context.Context, leases Leases, log zerolog.Logger, t Task) {
	log = log.With().Str("task", t.Name).Logger()
	held, release := ctx, func() {}
	var err error
	if !t.Shared {
		if held, release, err = leases.Lease(ctx, "periodic "+t.Name); err != nil {
			log.Debug().Str("event", "task_held_elsewhere").Err(err).Msg("another replica is at it")
			return
		}
	}
	defer release()
	err = run(log.WithContext(held), t)
	var deferral *event.Deferral
	switch {
	case err == nil || ctx.Err() != nil:
	case errors.As(err, &deferral):
		log.Info().Str("event", "task_deferred").Err(err).Msg("put off to the next time")
	default:
		log.Error().Str("event", "task_failed").Err(err).Msg("failed; tried again the next time")
	}
}
