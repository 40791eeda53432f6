package consumer

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// hung are the handlings that go on though their context has ended cutGrace ago. Each keeps its slot and what it has
// claimed; its message is not settled.
type hung struct {
	mu       sync.Mutex
	all      map[*hanging]struct{}
	outlived atomic.Bool // one of them has been at it for longer than its lease
}

// hanging is a handling that may hang.
type hanging struct {
	runner *runner
	m      *message
	began  time.Time
	is     atomic.Bool
}

func (h *hanging) hangs() {
	r := h.runner.r
	h.is.Store(true)
	r.hung.mu.Lock()
	if r.hung.all == nil {
		r.hung.all = map[*hanging]struct{}{}
	}
	r.hung.all[h] = struct{}{}
	r.hung.mu.Unlock()
	log := r.opts.Log.Hook(h.m)
	log.Error().Str("event", "handler_hung").Time("began", h.began).Dur("lease", r.opts.Lease).
		Msg("a handler has not returned after its cancellation; it keeps its message, and when its lease has passed this process ends")
}

func (h *hanging) outlives() {
	r := h.runner.r
	log := r.opts.Log.Hook(h.m)
	log.Error().Str("event", "handler_outlived_lease").Time("began", h.began).
		Msg("a handler has outlived its lease: this process ends, its message is delivered again")
	r.hung.outlived.Store(true)
	r.endSelf()
}

// returned notes that the handling is over after all.
func (h *hanging) returned() {
	if !h.is.Load() {
		return
	}
	r := h.runner.r
	r.hung.mu.Lock()
	delete(r.hung.all, h)
	r.hung.mu.Unlock()
	log := r.opts.Log.Hook(h.m)
	log.Warn().Str("event", "handler_returned_late").Dur("took", time.Since(h.began)).
		Msg("a handler that did not return after its cancellation has returned")
}

// of names those of a consumer, for Status.
func (h *hung) of(p *runner) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var names []string
	for one := range h.all {
		if one.runner == p {
			names = append(names, fmt.Sprintf("the handler of message %s does not return since %s",
				one.m.id(), one.began.UTC().Format(time.RFC3339)))
		}
	}
	slices.Sort(names)
	return strings.Join(names, "; ")
}
