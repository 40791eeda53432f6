package pg

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mageline/mageline/event"
)

// Slots are a number of places, on all replicas together: rows of table lease. It is safe for use by many goroutines.
type Slots struct {
	DB      Conn
	Process *Process
	// Name and a number are the name of a lease.
	Name string
	N    int
	// TTL is for how long a slot is its holder's without progress.
	TTL time.Duration
	// Unreleased is told of a slot whose release could not be written: it is free when the lease has passed. nil: nobody is.
	Unreleased func(name string, err error)
}

// How long is waited between two looks at whether a slot is free.
const slotWait = 100 * time.Millisecond

// Take takes a slot, and waits until there is one. The wait does not count for the clocks of ctx. It returns as [Leases.Take] does.
func (s *Slots) Take(ctx context.Context) (held context.Context, release func(), err error) {
	if held, release, err = s.try(ctx); !isBusy(err) {
		return held, release, err
	}
	resume := event.Wait(ctx)
	for isBusy(err) {
		timer := time.NewTimer(slotWait/2 + rand.N(slotWait))
		select {
		case <-timer.C:
			held, release, err = s.try(ctx)
		case <-ctx.Done():
			timer.Stop()
			err = context.Cause(ctx)
		}
	}
	if late := resume(ctx); late != nil && err == nil {
		release()
		return nil, nil, late
	}
	return held, release, err
}

func isBusy(err error) bool {
	var d *event.Deferral
	return errors.As(err, &d) && d.Busy
}

// try takes a slot that is free now.
func (s *Slots) try(ctx context.Context) (held context.Context, release func(), err error) {
	leases := &Leases{Process: s.Process, TTL: s.TTL, Write: s.write, Unreleased: func(c LeaseChange, err error) {
		if s.Unreleased != nil {
			s.Unreleased(c.Name, err)
		}
	}}
	for _, n := range rand.Perm(s.N) {
		held, release, err = leases.Take(ctx, fmt.Sprintf("%s/%d", s.Name, n+1))
		if !isBusy(err) {
			return held, release, err
		}
	}
	return nil, nil, err
}

func (s *Slots) write(ctx context.Context, c LeaseChange) (made LeaseChange, started time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, releaseTimeout)
	defer cancel()
	started = time.Now()
	var b pgx.Batch
	ChangeLeases(&b, s.TTL, []*LeaseChange{&c})
	if err := s.DB.SendBatch(ctx, &b).Close(); err != nil {
		return c, started, Failure("the leases", err)
	}
	return c, started, nil
}
