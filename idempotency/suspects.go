package idempotency

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/internal/pg"
)

// A message that kills the process that handles it must not do so for ever. A process enters in the ledger which messages
// it handles that may have killed another one, and keeps a row for itself while it lives: an entry whose process is gone
// has seen it die.

// Live renews the heartbeat of this process, without which the messages that it enters would count as killing it. Call it
// before the first Enter and then every 5 s. After Leave it does nothing.
func (l *Ledger) Live(ctx context.Context) error {
	if err := l.heartbeat.Beat(ctx); err != nil {
		return failure(err)
	}
	return nil
}

// Leave says that the process ends in order: what it had entered is innocent.
func (l *Ledger) Leave(ctx context.Context) error {
	err := l.heartbeat.Leave(ctx, func(b *pgx.Batch) { b.Queue(`DELETE FROM suspect WHERE process = $1`, l.process.ID()) })
	if err != nil {
		return failure(err)
	}
	return nil
}

// Enter notes that this process is about to handle a message that may have killed another one. suspect is true when a
// process has died over it: then it is to be handled with nothing else in flight (see Alone), and deaths says how many
// have died over it in spite of that. While another process that lives has it, Enter fails with an *event.Deferral, as it
// does with Postgres away.
func (l *Ledger) Enter(ctx context.Context, consumer, message string) (suspect bool, deaths int, err error) {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	var process string
	err = l.pool.QueryRow(ctx, `
INSERT INTO suspect AS s (consumer, id, process, suspected, alone, deaths, entered_at)
VALUES ($1, $2, $3, false, false, 0, now())
ON CONFLICT (consumer, id) DO UPDATE SET (process, suspected, alone, deaths, entered_at) = (
	SELECT CASE WHEN other AND lives THEN s.process ELSE excluded.process END,
		s.suspected OR other AND NOT lives,
		s.alone AND (lives OR NOT other),
		s.deaths + (s.alone AND other AND NOT lives)::int,
		CASE WHEN other AND lives THEN s.entered_at ELSE now() END
	FROM (SELECT s.process NOT IN ('', excluded.process) AS other, EXISTS (SELECT FROM process AS p
		WHERE p.id = s.process AND p.renewed_at > now() - $4::bigint * interval '1 microsecond') AS lives) AS holder)
RETURNING process, suspected, deaths`, consumer, message, l.process.ID(), l.gone.Microseconds()).Scan(&process, &suspect, &deaths)
	switch {
	case err != nil:
		return false, 0, fmt.Errorf("enter message %s of %s: %w", message, consumer, failure(err))
	case process != l.process.ID():
		return false, 0, &event.Deferral{
			Reason: fmt.Sprintf("message %s was with %s, which has shown itself less than %s ago", message, pg.NameOf(process), l.gone),
			Busy:   true,
		}
	}
	return suspect, deaths, nil
}

// Alone notes that this process now handles a suspect with nothing else in flight: should it die, this message has done it.
func (l *Ledger) Alone(ctx context.Context, consumer, message string) error {
	return l.exec(ctx, `UPDATE suspect SET alone = true WHERE consumer = $1 AND id = $2 AND process = $3`,
		consumer, message, l.process.ID())
}

// Defer notes that a message that was entered waits in a queue: it stays entered, with what is known of it, but nobody
// has it. It kills nobody there, and the next to get it need not be this process, which may be paused for long.
func (l *Ledger) Defer(ctx context.Context, consumer, message string) error {
	return l.exec(ctx, `UPDATE suspect SET process = '', alone = false WHERE consumer = $1 AND id = $2 AND process = $3`,
		consumer, message, l.process.ID())
}

// Strike takes a message out that this process has entered: its handling has ended, and the process lives.
func (l *Ledger) Strike(ctx context.Context, consumer, message string) error {
	return l.exec(ctx, `DELETE FROM suspect WHERE consumer = $1 AND id = $2 AND process = $3`, consumer, message, l.process.ID())
}

// exec runs a statement, however late in the life of ctx: what has ended must be written down also while stopping.
func (l *Ledger) exec(ctx context.Context, sql string, args ...any) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	if _, err := l.pool.Exec(ctx, sql, args...); err != nil {
		return failure(err)
	}
	return nil
}

// forgetSuspects removes the rows of processes that have died, and of messages that have not come back for longer than
// older.
func (l *Ledger) forgetSuspects(ctx context.Context, older time.Duration) error {
	return l.repeat(ctx, func() error {
		_, err := l.pool.Exec(ctx, `
WITH gone AS (DELETE FROM process WHERE renewed_at < now() - interval '1 hour')
DELETE FROM suspect WHERE entered_at < now() - $1::bigint * interval '1 microsecond'`, older.Microseconds())
		return err
	})
}
