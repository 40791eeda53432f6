// Package pause keeps the pauses that an operator has set, for maintenance, in Postgres. Every replica reads them, also one that is
// started later.
package pause

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// DB is a pool of connections, or one of them.
type DB interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// timeout bounds each statement: replicas must obey within 5 s.
const timeout = 2 * time.Second

// Pause is a pause that has not ended.
type Pause struct {
	Name  string // of a consumer, or of a downstream, which pauses every consumer that needs it
	Since time.Time
	Until time.Time // zero: until it is cleared
	By    string    // who set it last: user and host
}

// Reason returns the reason of the pause for /readyz. It does not name who set it: everybody may read /readyz.
func (p Pause) Reason() string {
	text := p.Name + " is paused by an operator since " + p.Since.UTC().Format(time.RFC3339)
	if !p.Until.IsZero() {
		text += " until " + p.Until.UTC().Format(time.RFC3339)
	}
	return text
}

const columns = ` name, since, until, set_by`

// Set pauses name until a time; the zero time means until it is cleared. A pause that is set already keeps its beginning and gets
// the new end.
func Set(ctx context.Context, db DB, name string, until time.Time, by string) (Pause, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var end *time.Time
	if !until.IsZero() {
		end = &until
	}
	rows, err := db.Query(ctx, `
INSERT INTO pause (name, since, until, set_by) VALUES ($1, now(), $2, $3)
ON CONFLICT (name) DO UPDATE SET
	since = CASE WHEN pause.until <= now() THEN now() ELSE pause.since END, until = excluded.until, set_by = excluded.set_by
RETURNING`+columns, name, end, by)
	if err != nil {
		return Pause{}, fmt.Errorf("pause %s: %w", name, err)
	}
	p, err := pgx.CollectExactlyOneRow(rows, scan)
	if err != nil {
		return Pause{}, fmt.Errorf("pause %s: %w", name, err)
	}
	return p, nil
}

// Clear ends the pause of name and reports whether there was one. Each call is counted: see Resumes.
func Clear(ctx context.Context, db DB, name string) (stood bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err = db.QueryRow(ctx, `
WITH resumed AS (
	INSERT INTO resume (name, times) VALUES ($1, 1) ON CONFLICT (name) DO UPDATE SET times = resume.times + 1
)
DELETE FROM pause WHERE name = $1 RETURNING until IS NULL OR until > now()`, name).Scan(&stood)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return false, fmt.Errorf("resume %s: %w", name, err)
	}
	return stood, nil
}

// Resumes returns how often each name was cleared. A replica that reads a higher number than before ends what the consumer or
// downstream waits for, even if there was no pause.
func Resumes(ctx context.Context, db DB) (map[string]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	times := map[string]int64{}
	var name string
	var n int64
	rows, err := db.Query(ctx, `SELECT name, times FROM resume`)
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&name, &n}, func() error {
			times[name] = n
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("read what was resumed: %w", err)
	}
	return times, nil
}

// List returns the pauses that have not ended, by name. Postgres's clock decides, so that replicas agree.
func List(ctx context.Context, db DB) ([]Pause, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	rows, err := db.Query(ctx, `SELECT`+columns+` FROM pause WHERE until IS NULL OR until > now() ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("read the pauses: %w", err)
	}
	list, err := pgx.CollectRows(rows, scan)
	if err != nil {
		return nil, fmt.Errorf("read the pauses: %w", err)
	}
	return list, nil
}

func scan(row pgx.CollectableRow) (p Pause, err error) {
	var until *time.Time
	err = row.Scan(&p.Name, &p.Since, &until, &p.By)
	if until != nil {
		p.Until = *until
	}
	return p, err
}
