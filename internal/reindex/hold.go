package reindex

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// holding renews the lease of a run for as long as it lasts, and ends the run when that fails.
type holding struct {
	cancel context.CancelCauseFunc
	ended  chan struct{}
	lost   error
}

// hold begins to hold the lease of a run. end must be called.
func hold(ctx context.Context, s *Store, owner string) (context.Context, *holding) {
	ctx, cancel := context.WithCancelCause(ctx)
	h := &holding{cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(h.ended)
		defer func() {
			if err := s.Release(ctx, owner); err != nil && h.lost == nil {
				h.lost = fmt.Errorf("the lease of the reindex is not released; it passes by itself in %s: %w", s.lease(), err)
			}
		}()
		tick := time.NewTicker(s.lease() / 4)
		defer tick.Stop()
		for until := time.Now().Add(s.lease()); ; {
			select {
			case <-ctx.Done():
				return
			case now := <-tick.C:
				err := s.Renew(ctx, owner)
				switch {
				case err == nil:
					until = now.Add(s.lease())
				case ctx.Err() != nil:
					return
				case errors.Is(err, ErrTakenOver) || time.Until(until) < s.lease()/4:
					h.lost = err
					cancel(err)
					return
				}
			}
		}
	}()
	return ctx, h
}

// end releases the lease, and returns why it was lost before, if it was.
func (h *holding) end() error {
	h.cancel(context.Canceled)
	<-h.ended
	return h.lost
}
