package reindex

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mageline/mageline/internal/pg"
)

// Store keeps the run in the tables reindex and reindex_page. It is for one process.
type Store struct {
	DB      pg.Conn
	Process *pg.Process
	// Lease is for how long a run is its owner's without a renewal; 0 is 15 s.
	Lease time.Duration
}

const (
	defaultLease = 15 * time.Second
	timeout      = 4 * time.Second // for one statement
)

func (s *Store) lease() time.Duration {
	if s.Lease > 0 {
		return s.Lease
	}
	return defaultLease
}

func failure(err error) error { return pg.Failure("the tables of the reindex", err) }

// Phase is what a run does.
type Phase string

// The phases.
const (
	Publishing Phase = "publish" // products are published and awaited
	Deleting   Phase = "delete"  // products that Magento no longer has are published, and awaited
	Swapping   Phase = "swap"    // new indexes take the place of the old ones
	Done       Phase = "done"
)

// State is a run as it stands in Postgres.
type State struct {
	Run     string
	Owner   string // a process, slash, a token
	Started time.Time
	Swap    bool
	Stores  []string
	Phase   Phase
	Reached int64 // each product up to this entity id is published, or in a stored page
	Total   int64 // products of Magento when the run began
	Handled int64
	Failed  int64
	Deleted int64
}

// BusyError says that another process runs a reindex.
type BusyError struct {
	Holder string
	Since  time.Time
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("%s runs a reindex since %s", e.Holder, e.Since.UTC().Format(time.RFC3339))
}

// ErrTakenOver says that the lease of a run has passed, and another process has begun one.
var ErrTakenOver = errors.New("another process has begun a reindex, as this one was away for longer than its lease")

// ErrNothing says that there is no run to go on with.
var ErrNothing = errors.New("there is no reindex to go on with")

const columns = ` run, owner, started_at, swap, stores, phase, reached, total, handled, failed, deleted `

func scan(row pgx.Row) (st State, err error) {
	err = row.Scan(&st.Run, &st.Owner, &st.Started, &st.Swap, &st.Stores, &st.Phase, &st.Reached, &st.Total, &st.Handled, &st.Failed, &st.Deleted)
	return st, err
}

// Last returns the last run; ErrNothing if there was none.
func (s *Store) Last(ctx context.Context) (State, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	st, err := scan(s.DB.QueryRow(ctx, `SELECT`+columns+`FROM reindex`))
	if errors.Is(err, pgx.ErrNoRows) {
		return st, ErrNothing
	}
	if err != nil {
		return st, failure(err)
	}
	return st, nil
}

// Begin begins a run, from the beginning: of what a run before it has left nothing stays. It waits as long as a lease for another run
// that is not renewed, and fails with a *BusyError for one that is.
func (s *Store) Begin(ctx context.Context, swap bool, stores []string) (State, error) {
	token := s.Process.Token()
	return s.take(ctx, func(ctx context.Context) (State, error) {
		return scan(s.DB.QueryRow(ctx, `
WITH gone AS (DELETE FROM reindex_page WHERE EXISTS (SELECT 1 FROM reindex WHERE lease_until <= now()))
INSERT INTO reindex AS r (run, owner, lease_until, started_at, swap, stores, phase)
VALUES ($1, $1, now() + $2::interval, now(), $3, $4, 'publish')
ON CONFLICT (one) DO UPDATE SET run = excluded.run, owner = excluded.owner, lease_until = excluded.lease_until, started_at = excluded.started_at,
	ended_at = NULL, swap = excluded.swap, stores = excluded.stores, phase = excluded.phase, reached = 0, total = 0, handled = 0, failed = 0, deleted = 0
WHERE r.lease_until <= now()
RETURNING`+columns, token, s.lease(), swap, stores))
	})
}

// Resume goes on with the last run. ErrNothing says that there is none, or that it has ended.
func (s *Store) Resume(ctx context.Context) (State, error) {
	last, err := s.Last(ctx)
	if err != nil {
		return last, err
	}
	if last.Phase == Done {
		return last, ErrNothing
	}
	token := s.Process.Token()
	return s.take(ctx, func(ctx context.Context) (State, error) {
		return scan(s.DB.QueryRow(ctx, `
UPDATE reindex SET owner = $1, lease_until = now() + $2::interval WHERE lease_until <= now() AND run = $3 AND phase <> 'done'
RETURNING`+columns, token, s.lease(), last.Run))
	})
}

// take tries to take the lease until the one of another process has passed.
func (s *Store) take(ctx context.Context, try func(ctx context.Context) (State, error)) (State, error) {
	var first *holder
	for begun := time.Now(); ; {
		st, err := func() (State, error) {
			ctx, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			return try(ctx)
		}()
		if err == nil || !errors.Is(err, pgx.ErrNoRows) {
			if err != nil {
				err = failure(err)
			}
			return st, err
		}
		now, err := s.holder(ctx)
		if err != nil {
			return State{}, err
		}
		switch {
		case first == nil:
			first = &now
		case now != *first || time.Since(begun) > 2*s.lease(): // it lives, or it is no lease that is in the way
			return State{}, &BusyError{Holder: pg.NameOf(now.owner), Since: now.started}
		}
		timer := time.NewTimer(s.lease() / 30)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return State{}, context.Cause(ctx)
		}
	}
}

type holder struct {
	owner          string
	until, started time.Time
}

func (s *Store) holder(ctx context.Context) (h holder, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err = s.DB.QueryRow(ctx, `SELECT owner, lease_until, started_at FROM reindex`).Scan(&h.owner, &h.until, &h.started)
	if err != nil {
		return h, failure(err)
	}
	return h, nil
}

// page is a message of a run that is not handled yet.
type page struct {
	id       int64
	deletion bool
	skus     []string
}

// update changes the row of the run, and renews its lease. It fails with ErrTakenOver where another process has the run.
func (s *Store) update(ctx context.Context, owner, set string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	tag, err := s.DB.Exec(ctx, `UPDATE reindex SET lease_until = now() + $2::interval`+set+` WHERE owner = $1`, append([]any{owner, s.lease()}, args...)...)
	switch {
	case err != nil:
		return failure(err)
	case tag.RowsAffected() == 0:
		return ErrTakenOver
	}
	return nil
}

// Renew renews the lease.
func (s *Store) Renew(ctx context.Context, owner string) error { return s.update(ctx, owner, "") }

// Release ends the lease, so that another process may go on at once.
func (s *Store) Release(ctx context.Context, owner string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	_, err := s.DB.Exec(ctx, `UPDATE reindex SET lease_until = now() WHERE owner = $1`, owner)
	if err != nil {
		return failure(err)
	}
	return nil
}

// enter says what the run does from now on.
func (s *Store) enter(ctx context.Context, owner string, phase Phase) error {
	if phase == Done {
		return s.update(ctx, owner, `, phase = 'done', ended_at = now()`)
	}
	return s.update(ctx, owner, `, phase = $3`, phase)
}

// count records how many products Magento has.
func (s *Store) count(ctx context.Context, owner string, total int64) error {
	return s.update(ctx, owner, `, total = $3`, total)
}

// add stores a page before it is published: of products up to an entity id.
func (s *Store) add(ctx context.Context, owner string, reached int64, deletion bool, skus []string) (page, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	p := page{deletion: deletion, skus: skus}
	err := s.DB.QueryRow(ctx, `
WITH mine AS (UPDATE reindex SET reached = greatest(reached, $3), lease_until = now() + $2::interval WHERE owner = $1 RETURNING run)
INSERT INTO reindex_page (run, deletion, skus) SELECT run, $4, $5 FROM mine RETURNING page`,
		owner, s.lease(), reached, deletion, skus).Scan(&p.id)
	if errors.Is(err, pgx.ErrNoRows) {
		return p, ErrTakenOver
	}
	if err != nil {
		return p, failure(err)
	}
	return p, nil
}

// pages returns up to n stored pages behind one.
func (s *Store) pages(ctx context.Context, run string, after int64, n int) ([]page, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	rows, err := s.DB.Query(ctx, `SELECT page, deletion, skus FROM reindex_page WHERE run = $1 AND page > $2 ORDER BY page LIMIT $3`, run, after, n)
	if err != nil {
		return nil, failure(err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p page, err error) {
		err = row.Scan(&p.id, &p.deletion, &p.skus)
		return p, err
	})
	if err != nil {
		return nil, failure(err)
	}
	return all, nil
}

// finish removes a page whose products are handled, but for those that failed.
func (s *Store) finish(ctx context.Context, owner string, p page, failed int) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	handled, deleted := len(p.skus)-failed, 0
	if p.deletion {
		handled, deleted = 0, handled
	}
	tag, err := s.DB.Exec(ctx, `
WITH gone AS (DELETE FROM reindex_page WHERE page = $3 RETURNING page)
UPDATE reindex SET lease_until = now() + $2::interval,
	handled = handled + CASE WHEN EXISTS (SELECT 1 FROM gone) THEN $4 ELSE 0 END,
	failed  = failed  + CASE WHEN EXISTS (SELECT 1 FROM gone) THEN $5 ELSE 0 END,
	deleted = deleted + CASE WHEN EXISTS (SELECT 1 FROM gone) THEN $6 ELSE 0 END
WHERE owner = $1`, owner, s.lease(), p.id, handled, failed, deleted)
	switch {
	case err != nil:
		return failure(err)
	case tag.RowsAffected() == 0:
		return ErrTakenOver
	}
	return nil
}
