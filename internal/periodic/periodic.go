// Package periodic runs periodic tasks that one replica runs at a time, such as reading waiting orders again and deleting old keys.
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

// Task is run every Every.
type Task struct {
	Name  string
	Every time.Duration
	// Shared is true for a task that every replica runs for itself, for the first time as soon as it is ready. Otherwise the
	// replica that has the task's lease runs it.
	Shared bool
	Run    func(ctx context.Context) error
}

// Leases returns leases: one replica at a time has that of a name. *idempotency.Ledger implements it.
type Leases interface {
	Lease(ctx context.Context, name string) (held context.Context, release func(), err error)
}

// Run runs the tasks until ctx ends, and waits for them. No task is started while ready returns false.
func Run(ctx context.Context, leases Leases, ready func() bool, log zerolog.Logger, tasks ...Task) {
	var all sync.WaitGroup
	for _, t := range tasks {
		all.Go(func() {
			for first := t.Shared; ; {
				// Replicas that are started together must not ask for the lease together each time.
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

// run turns a panic into an error: a task must not end the process.
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
