package documents

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Changes has products read again after a change of which Magento publishes no event, or which its indexes show late. There is one
// row for each SKU, however often it changes.
type Changes struct {
	Store *Store
	// Settle is how long after a change the product is read for the last time; 0: never, and no row is written.
	Settle time.Duration
}

// Coming records products that are about to be changed, so that they are read when the change has settled whatever becomes of the
// process.
func (c *Changes) Coming(ctx context.Context, skus []string) error { return c.put(ctx, skus, false) }

// Done records products that were changed just now: they are read at once, and again when the change has settled.
func (c *Changes) Done(ctx context.Context, skus []string) error { return c.put(ctx, skus, true) }

func (c *Changes) put(ctx context.Context, skus []string, soon bool) error {
	if c == nil || c.Settle == 0 || len(skus) == 0 {
		return nil
	}
	all := keys(skus)
	return c.Store.repeated(ctx, func(ctx context.Context) error {
		_, err := c.Store.DB.Exec(ctx, `
INSERT INTO search_settle AS s (sku, soon, due_at, change) SELECT g.sku, $2, now() + $3::interval, 1
FROM unnest($1::text[]) WITH ORDINALITY AS g(sku, n) ORDER BY g.n
ON CONFLICT (sku) DO UPDATE SET soon = s.soon OR excluded.soon, due_at = excluded.due_at, change = s.change + 1`, all, soon, c.Settle)
		return err
	})
}

// Due is a product that is to be read.
type Due struct {
	SKU    string
	Last   bool // its change has settled
	change int64
}

// Due returns some products that are to be read now, at most so many.
func (c *Changes) Due(ctx context.Context, most int) ([]Due, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	rows, err := c.Store.DB.Query(ctx, `SELECT sku, due_at <= now(), change FROM search_settle WHERE soon OR due_at <= now() ORDER BY due_at LIMIT $1`, most)
	if err != nil {
		return nil, failure(err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (d Due, err error) {
		err = row.Scan(&d.SKU, &d.Last, &d.change)
		return d, err
	})
	if err != nil {
		return nil, failure(err)
	}
	return all, nil
}

// Published records that messages for these were published. What was changed meanwhile stays to be read.
func (c *Changes) Published(ctx context.Context, products []Due) error {
	skus, changes, last := make([]string, len(products)), make([]int64, len(products)), make([]bool, len(products))
	for i, d := range products {
		skus[i], changes[i], last[i] = d.SKU, d.change, d.Last
	}
	return c.Store.repeated(ctx, func(ctx context.Context) error {
		var b pgx.Batch
		b.Queue(`SELECT count(*) FROM (SELECT 1 FROM search_settle WHERE sku = ANY($1) ORDER BY sku FOR UPDATE) AS locked`, skus)
		b.Queue(`DELETE FROM search_settle AS s USING unnest($1::text[], $2::bigint[], $3::bool[]) AS g(sku, change, last)
WHERE s.sku = g.sku AND s.change = g.change AND g.last`, skus, changes, last)
		b.Queue(`UPDATE search_settle AS s SET soon = false FROM unnest($1::text[], $2::bigint[]) AS g(sku, change)
WHERE s.sku = g.sku AND s.change = g.change`, skus, changes)
		return c.Store.DB.SendBatch(ctx, &b).Close()
	})
}

// Waiting counts the products that are still to be read.
func (c *Changes) Waiting(ctx context.Context) (n int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err = c.Store.DB.QueryRow(ctx, `SELECT count(*) FROM search_settle`).Scan(&n); err != nil {
		return 0, failure(err)
	}
	return n, nil
}
