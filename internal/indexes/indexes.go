// Package indexes knows the generations of each search index: which one is searched, which one is being filled to take its place, and
// which ones are kept for a while. Its tables in Postgres are what all replicas and commands agree on; package search does the writing.
//
// Whoever writes a product asks Targets first, before it reads anything of the product, and writes to all of them. A new generation
// is recorded before the first product is published to fill it, so what was read for the old targets alone is older than what the
// new one is filled with.
package indexes

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/internal/pg"
	"github.com/mageline/mageline/search"
)

// Store keeps the generations in the tables search_index and search_generation. It is safe for use by many goroutines.
type Store struct{ DB pg.Conn }

// timeout is for one statement.
const timeout = 4 * time.Second

func failure(err error) error { return pg.Failure("the tables of search indexes", err) }

// State is what a generation is there for.
type State string

// The states.
const (
	Searched State = "searched" // the front end asks it
	Filling  State = "filling"  // it is to take the place of the one that is searched
	Kept     State = "kept"     // it was searched before
)

// Generation is one of an index.
type Generation struct {
	search.Target
	State State
	Since time.Time
}

// Targets returns what each of the indexes is written to: the generation that is searched, and the one that is being filled if there
// is one. An index of which nothing is known has none: Ensure makes it. Call it once for a batch, before anything of its products is
// read. The error is that of a handler.
func (s *Store) Targets(ctx context.Context, indexes ...string) (map[string][]search.Target, error) {
	all, err := s.generations(ctx, `WHERE index = ANY($1) AND state <> 'kept' ORDER BY index, state DESC`, indexes)
	if err != nil {
		return nil, err
	}
	targets := make(map[string][]search.Target, len(indexes))
	for _, g := range all {
		targets[g.Index] = append(targets[g.Index], g.Target)
	}
	return targets, nil
}

// Generations returns all of them, of each index the one that is searched first.
func (s *Store) Generations(ctx context.Context) ([]Generation, error) {
	return s.generations(ctx, `ORDER BY index, state DESC, since DESC`)
}

func (s *Store) generations(ctx context.Context, where string, args ...any) ([]Generation, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	rows, err := s.DB.Query(ctx, `SELECT index, name, generation, state, since FROM search_generation `+where, args...)
	if err != nil {
		return nil, failure(err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (g Generation, err error) {
		err = row.Scan(&g.Index, &g.Name, &g.Generation, &g.State, &g.Since)
		return g, err
	})
	if err != nil {
		return nil, failure(err)
	}
	return all, nil
}

// tries is how often Ensure asks the engine, while others change the generations of the index meanwhile.
const tries = 5

// Ensure has the engine make the index where it is missing and add the fields that it lacks, and records the generation that is
// searched then. If the index has fields in a form that it can't change, the error is a *search.NeedsSwapError, and the target is
// that of the index as it is.
func (s *Store) Ensure(ctx context.Context, engine search.Engine, index string, fields []search.Field) (search.Target, error) {
	for range tries {
		change, err := s.change(ctx, index)
		if err != nil {
			return search.Target{}, err
		}
		target, ensured := engine.Ensure(ctx, index, fields)
		var needsSwap *search.NeedsSwapError
		if ensured != nil && !errors.As(ensured, &needsSwap) || target.Name == "" {
			return target, ensured
		}
		// A swap changes the engine first. What was read of the engine before a swap must not be recorded after it.
		if made, err := s.found(ctx, target, change); err != nil || made {
			if err == nil {
				err = ensured
			}
			return target, err
		}
	}
	return search.Target{}, &event.Deferral{Reason: "the generations of index " + index + " are being changed"}
}

// change returns the token of the last change of an index; "" if nothing is known of it.
func (s *Store) change(ctx context.Context, index string) (token string, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err = s.DB.QueryRow(ctx, `SELECT coalesce((SELECT change FROM search_index WHERE index = $1), '')`, index).Scan(&token)
	if err != nil {
		return "", failure(err)
	}
	return token, nil
}

// found records the generation that is searched, unless the index has changed since the change that is named. One that was being
// filled has taken the place of the one before, which is kept; any other change was made by somebody else, whose index the one before
// is from now on.
func (s *Store) found(ctx context.Context, t search.Target, change string) (made bool, err error) {
	all, err := s.generations(ctx, `WHERE index = $1`, t.Index)
	if err != nil {
		return false, err
	}
	filling := false
	for _, g := range all {
		switch {
		case g.Target == t && g.State == Searched:
			return true, nil
		case g.Generation == t.Generation && g.State == Filling: // by its name, or by that of the index
			filling = true
		}
	}
	return s.transition(ctx, t.Index, change, func(b *batch) {
		if filling {
			b.swapped(t)
			return
		}
		b.queue(`DELETE FROM search_generation WHERE index = $1 AND state = 'searched'`)
		b.put(t, Searched)
	})
}

// batch is the statements of a transition, in one transaction. Each begins with the index as $1 and is made only if the transition is.
type batch struct {
	pgx.Batch
	index, token string
}

func (b *batch) queue(sql string, more ...any) {
	b.Queue(sql+` AND EXISTS (SELECT 1 FROM search_index WHERE index = $1 AND change = $2)`, append([]any{b.index, b.token}, more...)...)
}

// swapped has the generation searched that was filled. The one before is kept, unless the new one has got its name.
func (b *batch) swapped(now search.Target) {
	b.queue(`DELETE FROM search_generation WHERE index = $1 AND (state = 'filling' OR state = 'searched' AND name = $3)`, now.Name)
	b.queue(`UPDATE search_generation SET state = 'kept', since = now() WHERE index = $1 AND state = 'searched'`)
	b.put(now, Searched)
}

func (b *batch) put(t search.Target, state State) {
	b.Queue(`
INSERT INTO search_generation AS g (index, name, generation, state)
SELECT $1, $2, $3, $4 WHERE EXISTS (SELECT 1 FROM search_index WHERE index = $1 AND change = $5)
ON CONFLICT (index, name, generation) DO UPDATE SET state = excluded.state, since = now()`, t.Index, t.Name, t.Generation, state, b.token)
}

// transition changes the generations of an index, unless they have changed since the change that is named.
func (s *Store) transition(ctx context.Context, index, change string, do func(*batch)) (made bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	b := &batch{index: index, token: rand.Text()}
	b.Queue(`INSERT INTO search_index (index, change) VALUES ($1, '') ON CONFLICT DO NOTHING`, index)
	b.Queue(`UPDATE search_index SET change = $2 WHERE index = $1 AND change = $3`, index, b.token, change).Exec(func(tag pgconn.CommandTag) error {
		made = tag.RowsAffected() == 1
		return nil
	})
	do(b)
	if err := s.DB.SendBatch(ctx, &b.Batch).Close(); err != nil {
		return false, failure(err)
	}
	return made, nil
}

// force makes a transition whatever has changed before it. Only the run of a reindex does so, of which there is one.
func (s *Store) force(ctx context.Context, index string, do func(*batch)) error {
	for range tries {
		change, err := s.change(ctx, index)
		if err != nil {
			return err
		}
		if made, err := s.transition(ctx, index, change, do); err != nil || made {
			return err
		}
	}
	return &event.Deferral{Reason: "the generations of index " + index + " are being changed"}
}

// Fill records a new generation, which is written to from now on beside the one that is searched. An earlier one that was being filled
// is to be removed then.
func (s *Store) Fill(ctx context.Context, next search.Target) error {
	return s.force(ctx, next.Index, func(b *batch) {
		b.queue(abandon)
		b.put(next, Filling)
	})
}

// Abandon has the generation that is being filled removed: nobody writes to it from now on.
func (s *Store) Abandon(ctx context.Context, index string) error {
	return s.force(ctx, index, func(b *batch) { b.queue(abandon) })
}

const abandon = `UPDATE search_generation SET state = 'kept', since = 'epoch' WHERE index = $1 AND state = 'filling'`

// Swapped records that the engine has swapped: now is searched, and the one before is kept.
func (s *Store) Swapped(ctx context.Context, now search.Target) error {
	return s.force(ctx, now.Index, func(b *batch) { b.swapped(now) })
}

// Filled returns the generation of an index that is being filled; ok is false if there is none.
func (s *Store) Filled(ctx context.Context, index string) (next Generation, ok bool, err error) {
	all, err := s.generations(ctx, `WHERE index = $1 AND state = 'filling'`, index)
	if err != nil || len(all) == 0 {
		return Generation{}, false, err
	}
	return all[0], true, nil
}

// Due returns the generations that were kept for long enough, and those that were abandoned.
func (s *Store) Due(ctx context.Context, keep time.Duration) ([]search.Target, error) {
	all, err := s.generations(ctx, `WHERE state = 'kept' AND since < now() - $1::interval`, keep)
	targets := make([]search.Target, 0, len(all))
	for _, g := range all {
		targets = append(targets, g.Target)
	}
	return targets, err
}

// Removed forgets a kept generation that the engine has removed.
func (s *Store) Removed(ctx context.Context, t search.Target) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_, err := s.DB.Exec(ctx, `DELETE FROM search_generation WHERE index = $1 AND name = $2 AND generation = $3 AND state = 'kept'`, t.Index, t.Name, t.Generation)
	if err != nil {
		return failure(err)
	}
	return nil
}
