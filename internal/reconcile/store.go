package reconcile

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/internal/pg"
)

// Store keeps the progress in the tables reconciled and reconcile_progress.
type Store struct{ db idempotency.DB }

// NewStore returns the store of a database.
func NewStore(db idempotency.DB) *Store { return &Store{db} }

// timeout is for one statement.
const timeout = 4 * time.Second

func failure(err error) error { return pg.Failure("the table of reconciled orders", err) }

// Lately returns those of the keys that were sent in the last 24 hours.
func (s *Store) Lately(ctx context.Context, keys []string) (map[string]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	rows, err := s.db.Query(ctx, `
SELECT key FROM reconciled WHERE key = ANY($1) AND sent_at > now() - interval '24 hours'`, texts(keys))
	if err != nil {
		return nil, failure(err)
	}
	lately, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, failure(err)
	}
	set := make(map[string]bool, len(lately))
	for _, key := range lately {
		set[key] = true
	}
	return set, nil
}

// Record remembers that keys were sent, and forgets those that no longer matter.
func (s *Store) Record(ctx context.Context, keys []string) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if _, err := s.db.Exec(ctx, `
INSERT INTO reconciled (key, sent_at) SELECT DISTINCT k, now() FROM unnest($1::text[]) AS k ORDER BY k
ON CONFLICT (key) DO UPDATE SET sent_at = excluded.sent_at`, texts(keys)); err != nil {
		return failure(err)
	}
	_, err := s.db.Exec(ctx, `DELETE FROM reconciled WHERE sent_at < now() - interval '48 hours'`)
	if err != nil {
		return failure(err)
	}
	return nil
}

// Reached returns the end of the last complete run, zero if there was none, and when mageline began to use the database.
func (s *Store) Reached(ctx context.Context) (reached, begun time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var end *time.Time
	err = s.db.QueryRow(ctx, `
SELECT (SELECT max(reached) FROM reconcile_progress), (SELECT min(migrated_at) FROM installation)`).Scan(&end, &begun)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return time.Time{}, time.Time{}, nil
	case err != nil:
		return time.Time{}, time.Time{}, failure(err)
	}
	if end != nil {
		reached = *end
	}
	return reached, begun, nil
}

// Reach records the end of a complete run.
func (s *Store) Reach(ctx context.Context, end time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_, err := s.db.Exec(ctx, `
INSERT INTO reconcile_progress (one, reached) VALUES (true, $1)
ON CONFLICT (one) DO UPDATE SET reached = greatest(reconcile_progress.reached, excluded.reached)`, end)
	if err != nil {
		return failure(err)
	}
	return nil
}

func texts(keys []string) []string {
	all := make([]string, len(keys))
	for i, key := range keys {
		all[i] = idempotency.Text(key)
	}
	return all
}
