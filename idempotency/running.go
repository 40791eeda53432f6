package idempotency

import (
	"context"
	"errors"
	"sync"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/internal/pg"
)

// running knows what runs in this process now, so that who comes second waits for the first without asking Postgres, and
// without being deferred.
type running[K comparable] struct {
	mu  sync.Mutex
	all map[K]*run
}

// run is one of them. What it ended with is set when done is closed.
type run struct {
	done chan struct{}
	res  Result
	err  error
	// release lets others of this process have the lease; nil if there is none, or somebody else does it.
	release func()
	cut     bool // its caller has given up: the error tells nothing of the effect
}

// handOver returns release to a caller who frees the lease in Postgres first.
func (r *run) handOver() func() {
	release := r.release
	r.release = nil
	if release == nil {
		return func() {}
	}
	return release
}

func newRunning[K comparable]() running[K] { return running[K]{all: map[K]*run{}} }

// begin returns the run of k, and whether it is the caller's own, who must end it.
func (r *running[K]) begin(k K) (one *run, own bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if one := r.all[k]; one != nil {
		return one, false
	}
	one = &run{done: make(chan struct{})}
	r.all[k] = one
	return one, true
}

// end notes that a run has ended.
func (r *running[K]) end(k K, one *run) {
	r.mu.Lock()
	delete(r.all, k)
	r.mu.Unlock()
	close(one.done)
}

// isShared reports whether an error holds for whoever asks for the effect at this moment: what the effect needs is away. An error
// about what was asked for does not, nor one about a credential, whose refusals are counted by message.
func isShared(err error) bool {
	var deferral *event.Deferral
	if errors.As(err, &deferral) {
		return true
	}
	switch event.ClassOf(err) {
	case event.Unavailable, event.Throttled, event.Timeout:
		return true
	}
	return false
}

// waitFor waits for a run of this process. It returns an *event.Deferral if it must not.
func (l *Ledger) waitFor(ctx context.Context, what string, one *run) error {
	if event.WaitWithoutSlot(ctx, one.done) != nil {
		return &event.Deferral{Reason: what + " at " + pg.NameOf(l.process.ID()), Busy: true}
	}
	return nil
}
