package app

import (
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/mageline/mageline/internal/pause"
)

// readPausesEvery keeps the promise that every replica obeys within 5 s.
const readPausesEvery = 2 * time.Second

// pauses carries what an operator has paused from the database to the runtime.
type pauses struct {
	db   pause.DB
	log  zerolog.Logger
	tell func(reasons map[string]string)
	// resumed is told of a name that an operator has resumed, whether it was paused or not.
	resumed func(name string)

	mu    sync.Mutex        // one reads at a time, so that nothing older is told after something newer
	known map[string]string // name to reason; nil: never read
	times map[string]int64  // how often each name was resumed
}

// read reads and tells them. When they can't be read, those that are known stay.
func (p *pauses) read(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	list, err := pause.List(ctx, p.db)
	if err != nil {
		return err
	}
	times, err := pause.Resumes(ctx, p.db)
	if err != nil {
		return err
	}
	now := make(map[string]string, len(list))
	for _, one := range list {
		now[one.Name] = one.Reason()
		if p.known[one.Name] != now[one.Name] {
			p.log.Warn().Str("event", "operator_paused").Str("name", one.Name).Str("reason", now[one.Name]).
				Msg("an operator has paused a consumer or downstream")
		}
	}
	for name := range p.known {
		if now[name] == "" {
			p.log.Info().Str("event", "operator_pause_over").Str("name", name).Msg("an operator's pause is over")
		}
	}
	first := p.known == nil // what was resumed before this process began is no matter of its waits
	before := p.times
	p.known, p.times = now, times
	p.tell(now)
	for name, n := range times {
		if !first && n > before[name] {
			p.log.Info().Str("event", "operator_resumed").Str("name", name).
				Msg("an operator has resumed a consumer or downstream: what it waits for is over")
			p.resumed(name)
		}
	}
	return nil
}

// begun reports whether they have been read once: before, the schema may not be there.
func (p *pauses) begun() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known != nil
}

// paused reports whether a name is paused, or it is not known yet.
func (p *pauses) paused(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known == nil || p.known[name] != ""
}

// watch reads them again and again until ctx ends, also while RabbitMQ or Postgres is away.
func (p *pauses) watch(ctx context.Context) {
	tick := time.NewTicker(readPausesEvery)
	defer tick.Stop()
	said := false
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if !p.begun() {
			continue
		}
		err := p.read(ctx)
		if err != nil && ctx.Err() == nil && !said {
			p.log.Warn().Str("event", "pauses_unreadable").Err(err).Msg("can't see what is paused; those pauses that are known stay")
		}
		said = err != nil
	}
}
