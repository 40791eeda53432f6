// Package taken keeps in Postgres, for all replicas, which files were moved out of an inbox in the last minutes, and what they were:
// the notes of package inbox.
package taken

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mageline/mageline/internal/inbox"
	"github.com/mageline/mageline/internal/pg"
)

// DB is a pool of connections.
type DB interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Store has the notes of one inbox. It implements inbox.Notes.
type Store struct {
	DB DB
	// Inbox names the inbox, as all replicas name it.
	Inbox string
}

const (
	timeout = 10 * time.Second
	// most bounds how many notes are read at once, the oldest of them.
	most = 10_000
)

func (s Store) query(ctx context.Context, sql string, args ...any) (pgx.Rows, func(), error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	rows, err := s.DB.Query(ctx, sql, append([]any{s.Inbox}, args...)...)
	return rows, cancel, err
}

func (s Store) exec(ctx context.Context, what, sql string, args ...any) error {
	rows, cancel, err := s.query(ctx, sql, args...)
	defer cancel()
	if err == nil {
		rows.Close()
		err = rows.Err()
	}
	if err != nil {
		return pg.Failure(what, err)
	}
	return nil
}

// Put adds a note, or changes it; its age stays.
func (s Store) Put(ctx context.Context, t inbox.Taken) error {
	note, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return s.exec(ctx, "the notes of files that were taken", `
INSERT INTO taken_file (inbox, path, note) VALUES ($1, $2, $3::text::jsonb)
ON CONFLICT (inbox, path) DO UPDATE SET note = excluded.note`, t.Path, string(note))
}

// Drop removes a note that may be gone.
func (s Store) Drop(ctx context.Context, path string) error {
	return s.exec(ctx, "the notes of files that were taken", `DELETE FROM taken_file WHERE inbox = $1 AND path = $2`, path)
}

// All returns the notes, the oldest first.
func (s Store) All(ctx context.Context) ([]inbox.Taken, error) {
	rows, cancel, err := s.query(ctx, `
SELECT note::text, extract(epoch FROM now() - taken_at)::float8 FROM taken_file WHERE inbox = $1 ORDER BY taken_at LIMIT $2`, most)
	defer cancel()
	var all []inbox.Taken
	if err == nil {
		all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (t inbox.Taken, err error) {
			var note string
			var age float64
			if err := row.Scan(&note, &age); err != nil {
				return t, err
			}
			if err := json.Unmarshal([]byte(note), &t); err != nil {
				return t, fmt.Errorf("the note of a file that was taken: %w", err)
			}
			t.Age = time.Duration(age * float64(time.Second))
			return t, nil
		})
	}
	if err != nil {
		return nil, pg.Failure("the notes of files that were taken", err)
	}
	return all, nil
}
