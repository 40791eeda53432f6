package app

import (
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/mageline/mageline/internal/pause"
)

// readPausesEvery is short enough for every replica to obey within 5 s.
const readPausesEvery = 2 * time.Second

// pauses reads from Postgres what an operator has paused, and tells the runtime.
type pauses struct {
	db   pause.DB
	log  zerolog.Logger
	tell func(reasons map[string]string)
	// resumed is called with each name that an operator has resumed, paused or not.
	resumed func(name string)

	mu    sync.Mutex        // held while they are read, so that an older state is never told after a newer one
	known map[string]string // name to reason; nil: never read
	times map[string]int64  // how often each name was resumed
}

// read reads them and tells the runtime. If it fails, the known ones stay.
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
	first := p.known == nil // what was resumed before this process began does not concern it
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

// begun reports whether they were read once. Before that the schema may not exist.
func (p *pauses) begun() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known != nil
}

// paused reports whether a name is paused, or nothing is known yet.
func (p *pauses) paused(name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known == nil || p.known[name] != ""
}

// watch reads them every 2 s until ctx ends, also while RabbitMQ or Postgres is away.
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
			p.log.Warn().Str("event", "pauses_unreadable").Err(ExplainPostgres(err, databaseVariable)).Msg("can't see what is paused; those pauses that are known stay")
		}
		said = err != nil
	}
}
