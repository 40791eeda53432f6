package consumer

import (
	"context"
	"strings"
	"time"

	"github.com/rs/zerolog"
)

// databaseWatch pauses every consumer while Postgres can't be used.
type databaseWatch struct {
	ask  func(ctx context.Context) error // nil: it can be used
	gate *gate
	log  zerolog.Logger
	look chan struct{} // has a value when somebody has found it away
}

func newDatabaseWatch(ask func(ctx context.Context) error, g *gate, log zerolog.Logger) *databaseWatch {
	g.pause(causePostgres, cause{text: "Postgres has not answered yet"})
	return &databaseWatch{ask: ask, gate: g, log: log, look: make(chan struct{}, 1)}
}

// run asks again and again until ctx ends.
func (w *databaseWatch) run(ctx context.Context) {
	const every, everyAway = 15 * time.Second, time.Second
	said := false
	for ctx.Err() == nil {
		wait := every
		err := w.ask(ctx)
		switch {
		case err == nil:
			said = false
			if since, had := w.gate.resume(causePostgres); had {
				w.log.Info().Str("event", "postgres_connected").Dur("waited", time.Since(since)).Msg("Postgres is there")
			}
		case ctx.Err() == nil:
			wait = everyAway
			w.gate.pause(causePostgres, cause{text: postgresReason(err)})
			if !said {
				said = true
				w.log.Error().Str("event", "postgres_away").Err(err).
					Msg("no Postgres: check its address and the server; every consumer is paused until it is back")
			}
		}
		select {
		case <-time.After(wait):
		case <-w.look:
		case <-ctx.Done():
		}
	}
}

// away pauses everything at once; run finds out for how long.
func (w *databaseWatch) away(err error) {
	w.gate.pause(causePostgres, cause{text: postgresReason(err)})
	select {
	case w.look <- struct{}{}:
	default:
	}
}

// postgresReason is one line: pgx puts each address that it tried on a line of its own, and the ledger says the first
// words too.
func postgresReason(err error) string {
	const away = "Postgres is away: "
	return away + strings.Join(strings.Fields(strings.TrimPrefix(err.Error(), away)), " ")
}
