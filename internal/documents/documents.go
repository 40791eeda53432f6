// Package documents knows what was written of each product to each generation of a search index: the version, and a hash of the
// document. Its tables in Postgres are what all replicas agree on; package search does the writing.
//
// An engine keeps the newest version of a document by itself. The rows are there for what it does not do: it forgets a deletion
// after some time, and it can't tell that a document is the same as before.
//
// Whoever writes a document calls Begin, writes what Begin has not found stale or unchanged, and calls End with what became of it.
// Begin notes the version as pending. Only while nothing is pending, the row knows what the engine has: then a document of the same
// hash is not written again, though the version in the row moves, and what is older than that is stale from then on. A writer that
// is killed in between leaves its version pending, and the next document is written whatever its hash is.
package documents

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mageline/mageline/internal/pg"
	"github.com/mageline/mageline/search"
)

// Store keeps the tables search_document, search_part, search_settle and search_clock. It is safe for use by many goroutines. The
// errors of its methods are those of a handler.
type Store struct{ DB pg.Conn }

// timeout is for one transaction.
const timeout = 10 * time.Second

func failure(err error) error { return pg.Failure("the documents of search indexes", err) }

// Key returns a SKU as Magento compares it.
func Key(sku string) string { return strings.ToLower(strings.TrimSpace(sku)) }

// targetKey names a generation in the rows.
func targetKey(t search.Target) string { return t.Name + "@" + t.Generation }

// Moment is a point in time by the database's clock.
type Moment struct {
	// Version is higher than that of every earlier Moment, on any replica.
	Version int64
	At      time.Time
}

// Now returns the present moment. Whoever reads a product after it reads what was true at that version, or something newer.
func (s *Store) Now(ctx context.Context) (m Moment, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err = s.DB.QueryRow(ctx, `
UPDATE search_clock SET last = greatest(last + 1, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)
RETURNING last, clock_timestamp()`).Scan(&m.Version, &m.At)
	if err != nil {
		return Moment{}, failure(err)
	}
	return m, nil
}

// State is what Begin has found.
type State int

const (
	// Write documents are to be written.
	Write State = iota
	// Stale documents are older than what was to be written already.
	Stale
	// Unchanged documents are in the index already.
	Unchanged
)

// Outcome is what has become of a document that Begin had written.
type Outcome int

const (
	// Unknown documents may be in the index or not.
	Unknown Outcome = iota
	// Written documents are in the index.
	Written
	// Overtaken documents are not: the engine has something newer.
	Overtaken
	// Rejected documents are not, and never will be.
	Rejected
)

// Document is a row's part in a write.
type Document struct {
	SKU     string
	Version int64
	// Hash is of the document's content; empty for a deletion.
	Hash string

	// State is noted by Begin, and the ID that the document has in the index.
	State State
	ID    string

	// Outcome is for End.
	Outcome Outcome
}

// deleted is the hash of a document that is not there.
const deleted = "-"

func (d *Document) hash() string { return cmp.Or(d.Hash, deleted) }

const beginRows = `
INSERT INTO search_document AS d (target, sku, id, version, deleted, hash, pending, pending_hash, doubt, handled_at)
SELECT $1, g.sku, g.id, g.version, g.hash = '-', '', g.version, g.hash, false, 'epoch'
FROM unnest($2::text[], $3::text[], $4::bigint[], $5::text[]) WITH ORDINALITY AS g(sku, id, version, hash, n) ORDER BY g.n
ON CONFLICT (target, sku) DO UPDATE SET
	id = CASE WHEN d.deleted AND d.version <= excluded.version THEN excluded.id ELSE d.id END,
	version = greatest(d.version, excluded.version),
	deleted = CASE WHEN excluded.version >= d.version THEN excluded.deleted ELSE d.deleted END,
	pending = CASE WHEN excluded.version < d.version OR $6 AND d.pending IS NULL AND d.hash = excluded.pending_hash THEN d.pending ELSE excluded.version END,
	pending_hash = CASE WHEN excluded.version < d.version THEN d.pending_hash ELSE excluded.pending_hash END,
	doubt = CASE WHEN excluded.version < d.version THEN d.doubt
		ELSE d.pending IS NOT NULL AND d.pending = excluded.version AND (d.doubt OR d.pending_hash <> excluded.pending_hash) END,
	handled_at = CASE WHEN excluded.version < d.version OR $6 AND d.pending IS NULL AND d.hash = excluded.pending_hash
		THEN greatest(d.handled_at, $7) ELSE d.handled_at END
RETURNING d.sku, d.id, d.version, d.pending IS NULL`

// Begin notes that documents are on their way to a generation, and the State and ID of each. began is before the products were read;
// each SKU is there once. With skip, what is in the index already is Unchanged.
func (s *Store) Begin(ctx context.Context, target search.Target, began time.Time, skip bool, documents []*Document) error {
	sorted := inOrder(documents)
	skus, ids, versions, hashes := columns(sorted)
	return s.repeated(ctx, func(ctx context.Context) error {
		rows, err := s.DB.Query(ctx, beginRows, targetKey(target), skus, ids, versions, hashes, skip, began)
		if err != nil {
			return err
		}
		var (
			sku, id string
			version int64
			idle    bool
			next    int
		)
		_, err = pgx.ForEachRow(rows, []any{&sku, &id, &version, &idle}, func() error {
			for next < len(sorted) && Key(sorted[next].SKU) != sku {
				next++
			}
			if next == len(sorted) {
				return fmt.Errorf("%w: documents came back in another order than they were sent", pg.ErrRow)
			}
			d := sorted[next]
			d.ID, d.State, d.Outcome = id, Write, Unknown
			switch {
			case version > d.Version:
				d.State = Stale
			case idle:
				d.State = Unchanged
			}
			return nil
		})
		return err
	})
}

const lockRows = `
SELECT count(*) FROM unnest($2::text[]) AS r(sku)
CROSS JOIN LATERAL (SELECT 1 FROM search_document AS d WHERE d.target = $1 AND d.sku = r.sku OFFSET 0 FOR UPDATE) AS locked`

const endRows = `
UPDATE search_document AS d SET
	hash = CASE WHEN d.pending IS DISTINCT FROM g.version OR g.outcome = 0 THEN d.hash
		WHEN g.outcome = 1 AND NOT d.doubt AND d.pending_hash = g.hash THEN g.hash ELSE '' END,
	pending = CASE WHEN d.pending = g.version AND g.outcome <> 0 AND NOT d.doubt THEN NULL ELSE d.pending END,
	handled_at = CASE WHEN g.outcome <> 0 THEN greatest(d.handled_at, $6) ELSE d.handled_at END
FROM unnest($2::text[], $3::bigint[], $4::text[], $5::bigint[]) AS g(sku, version, hash, outcome)
WHERE d.target = $1 AND d.sku = g.sku`

// End notes what has become of documents that Begin had written.
func (s *Store) End(ctx context.Context, target search.Target, began time.Time, documents []*Document) error {
	sorted := inOrder(documents)
	if len(sorted) == 0 {
		return nil
	}
	skus, _, versions, hashes := columns(sorted)
	outcomes := make([]int64, len(sorted))
	for i, d := range sorted {
		outcomes[i] = int64(d.Outcome)
	}
	return s.repeated(context.WithoutCancel(ctx), func(ctx context.Context) error {
		var b pgx.Batch
		b.Queue(lockRows, targetKey(target), skus)
		b.Queue(endRows, targetKey(target), skus, versions, hashes, outcomes, began)
		return s.DB.SendBatch(ctx, &b).Close()
	})
}

// inOrder returns documents in the order in which their rows are locked, so that no two transactions wait for each other in a circle.
func inOrder(documents []*Document) []*Document {
	sorted := slices.Clone(documents)
	slices.SortFunc(sorted, func(a, b *Document) int { return cmp.Compare(Key(a.SKU), Key(b.SKU)) })
	return sorted
}

func columns(documents []*Document) (skus, ids []string, versions []int64, hashes []string) {
	for _, d := range documents {
		skus, ids = append(skus, Key(d.SKU)), append(ids, d.SKU)
		versions, hashes = append(versions, d.Version), append(hashes, d.hash())
	}
	return skus, ids, versions, hashes
}

// repeated repeats a transaction that lost to another one.
func (s *Store) repeated(ctx context.Context, transaction func(ctx context.Context) error) (err error) {
	const most = 10
	for range most {
		if err = once(ctx, transaction); err == nil || pg.ClassOf(err) != pg.Repeat || ctx.Err() != nil {
			break
		}
	}
	if err != nil {
		return failure(err)
	}
	return nil
}

func once(ctx context.Context, transaction func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return transaction(ctx)
}

// Unseen returns those of the products that were not handled since an instant, by the database's clock, for a generation. A product
// was handled when its document was written or deleted, left out because nothing has changed, found older than what is there, or
// given up because the engine rejects it.
func (s *Store) Unseen(ctx context.Context, target search.Target, skus []string, since time.Time) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	keys := make([]string, len(skus))
	for i, sku := range skus {
		keys[i] = Key(sku)
	}
	rows, err := s.DB.Query(ctx, `
SELECT g.n FROM unnest($2::text[]) WITH ORDINALITY AS g(sku, n)
WHERE NOT EXISTS (SELECT 1 FROM search_document AS d WHERE d.target = $1 AND d.sku = g.sku AND d.handled_at >= $3) ORDER BY g.n`, targetKey(target), keys, since)
	if err != nil {
		return nil, failure(err)
	}
	places, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, failure(err)
	}
	unseen := make([]string, len(places))
	for i, n := range places {
		unseen[i] = skus[n-1]
	}
	return unseen, nil
}

// forgetRows bounds what one statement deletes, which locks what it deletes.
const forgetRows = 10_000

// Forget deletes the rows of generations that there are no more, and those of documents that were deleted longer ago than keep.
func (s *Store) Forget(ctx context.Context, keep time.Duration) error {
	err := s.forget(ctx, `target NOT IN (SELECT name || '@' || generation FROM search_generation)`)
	if err != nil {
		return err
	}
	return s.forget(ctx, `deleted AND pending IS NULL AND handled_at < now() - $2::interval`, keep)
}

func (s *Store) forget(ctx context.Context, which string, args ...any) error {
	for {
		var n int64
		err := once(ctx, func(ctx context.Context) error {
			tag, err := s.DB.Exec(ctx, `DELETE FROM search_document WHERE ctid = ANY(ARRAY(SELECT ctid FROM search_document WHERE `+which+` LIMIT $1))`,
				append([]any{forgetRows}, args...)...)
			n = tag.RowsAffected()
			return err
		})
		if err != nil {
			return failure(err)
		}
		if n < forgetRows {
			return nil
		}
	}
}
