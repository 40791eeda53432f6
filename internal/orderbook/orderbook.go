// Package orderbook keeps what is known of each order, in table orders: which one a business key was last used for, when it
// was placed, how it stands in Magento, its document in the ERP, and whether it waits until it may go out. It is a projection
// of the ledger: rows are written with the end of the effect that found them out, also of one that failed.
package orderbook

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/internal/pg"
)

// Order is what an effect has found out about an order.
type Order struct {
	EntityID, StoreID int64
	State             string // Magento's
	// Placed is when the order was created, as Magento tells it; zero if it was not asked. In a database that was restored,
	// another order may have the entity id and the number of one that is gone.
	Placed time.Time
}

// Known is what is known of the order that a business key was last used for.
type Known struct {
	Order
	Document string // the ERP's number; "" if there is none
	Waiting  bool   // it was waiting when its effect ended
}

// Waiting is an order that may not go out yet.
type Waiting struct {
	Key   idempotency.Key // of the effect that waits
	Order Order
	Since time.Time     // when it was first found waiting
	For   time.Duration // how long that is, by the database's clock
}

// Book reads and writes table orders. It is safe for use by many goroutines.
type Book struct{ db idempotency.DB }

// New returns the book of a database. Open the ledger with it as a projection.
func New(db idempotency.DB) *Book { return &Book{db} }

// timeout is for one question.
const timeout = 4 * time.Second

func failure(err error) error { return pg.Failure("the table of orders", err) }

// Change returns the change that records an order with the end of its effect.
func (b *Book) Change(o Order) idempotency.Change { return idempotency.Change{In: b, Value: o} }

// Over returns the change by which an order that waited is known to wait no longer.
func (b *Book) Over() idempotency.Change { return idempotency.Change{In: b} }

// Name is that of the table.
func (b *Book) Name() string { return "orders" }

const write = `
INSERT INTO orders AS o (key, consumer, effect, entity_id, store_id, state, document, waiting, waiting_since, looked_at,
	placed_at)
SELECT r.key, r.consumer, r.effect, r.entity_id, r.store_id, r.state, r.document, recorded.state = 'waiting',
	CASE WHEN recorded.state = 'waiting' THEN now() END, now(),
	CASE WHEN r.placed <> 0 THEN 'epoch'::timestamptz + r.placed * interval '1 microsecond' END
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::text[], $8::text[], $9::bigint[])
	AS r(key, consumer, effect, owner, entity_id, store_id, state, document, placed)` + idempotency.Recorded + `
ORDER BY r.key COLLATE "C"
ON CONFLICT (key) DO UPDATE SET
	consumer = excluded.consumer, effect = excluded.effect,
	entity_id = excluded.entity_id, store_id = excluded.store_id, state = excluded.state,
	placed_at = CASE WHEN o.entity_id = excluded.entity_id THEN coalesce(excluded.placed_at, o.placed_at) ELSE excluded.placed_at END,
	document = CASE WHEN excluded.document = '' THEN o.document ELSE excluded.document END,
	waiting = excluded.waiting,
	waiting_since = CASE WHEN excluded.waiting THEN coalesce(o.waiting_since, excluded.waiting_since) END,
	looked_at = excluded.looked_at`

const over = `
UPDATE orders AS o SET waiting = false, waiting_since = NULL
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS r(key, consumer, effect, owner)` + idempotency.Recorded + `
WHERE o.key = r.key AND o.consumer = r.consumer AND o.effect = r.effect`

// columns are the rows of write, a slice for each column; over has the first four.
type columns struct {
	key, consumer, effect, owner, state, document []string
	entity, store, placed                         []int64 // placed in microseconds since 1970, 0 for not known
}

// Write queues the statements that write changes.
func (b *Book) Write(batch *pgx.Batch, changes []idempotency.Change) {
	var known, gone columns
	for _, change := range changes {
		order, told := change.Value.(Order)
		c := &known
		if !told {
			c = &gone
		}
		c.key = append(c.key, change.Effect.Key)
		c.consumer = append(c.consumer, change.Effect.Consumer)
		c.effect = append(c.effect, change.Effect.Effect)
		c.owner = append(c.owner, change.Owner)
		if !told {
			continue
		}
		placed := int64(0)
		if !order.Placed.IsZero() {
			placed = order.Placed.UnixMicro()
		}
		c.entity, c.store, c.placed = append(c.entity, order.EntityID), append(c.store, order.StoreID), append(c.placed, placed)
		c.state = append(c.state, idempotency.Text(order.State))
		c.document = append(c.document, change.Result)
	}
	if c := &known; len(c.key) > 0 {
		batch.Queue(write, c.key, c.consumer, c.effect, c.owner, c.entity, c.store, c.state, c.document, c.placed)
	}
	if c := &gone; len(c.key) > 0 {
		batch.Queue(over, c.key, c.consumer, c.effect, c.owner)
	}
}

// Forget queues the statement that removes the rows of effects that are gone.
func (b *Book) Forget(batch *pgx.Batch, keys []idempotency.Key) {
	var consumer, key, effect []string
	for _, k := range keys {
		consumer, key, effect = append(consumer, k.Consumer), append(key, k.Key), append(effect, k.Effect)
	}
	batch.Queue(`
DELETE FROM orders AS o USING unnest($1::text[], $2::text[], $3::text[]) AS r(consumer, key, effect)
WHERE o.key = r.key AND o.consumer = r.consumer AND o.effect = r.effect AND NOT EXISTS (SELECT FROM effect AS e
	WHERE e.consumer = r.consumer AND e.key = r.key AND e.effect = r.effect)`, consumer, key, effect)
}

// exec repeats a statement that loses to another transaction.
func (b *Book) exec(ctx context.Context, sql string, args ...any) error {
	const most = 10
	for n := 1; ; n++ {
		_, err := b.db.Exec(ctx, sql, args...)
		if err == nil {
			return nil
		}
		if pg.ClassOf(err) != pg.Repeat || n == most || ctx.Err() != nil {
			return failure(err)
		}
	}
}

// Waiting returns up to limit waiting orders, those first that nobody has looked at for the longest time. Whoever
// reads them again in Magento marks them with [Book.LookedAt].
func (b *Book) Waiting(ctx context.Context, limit int) ([]Waiting, error) {
	// An effect that was claimed again is some delivery's business and waits no longer. That is noticed here and not when it
	// is claimed, to keep it off the path of every message; effect's row is what counts.
	if err := b.exec(ctx, `
UPDATE orders AS o SET waiting = false FROM effect AS e
WHERE o.waiting AND e.consumer = o.consumer AND e.key = o.key AND e.effect = o.effect
	AND e.state NOT IN ('waiting', 'in_progress')`); err != nil {
		return nil, err
	}
	rows, err := b.db.Query(ctx, `
SELECT o.consumer, o.key, o.effect, o.entity_id, o.store_id, o.state, coalesce(o.waiting_since, o.looked_at),
	(extract(epoch FROM now() - coalesce(o.waiting_since, o.looked_at)) * 1000000)::bigint
FROM orders AS o JOIN effect AS e ON e.consumer = o.consumer AND e.key = o.key AND e.effect = o.effect
WHERE o.waiting AND e.state = 'waiting'
ORDER BY o.looked_at, o.key LIMIT $1`, limit)
	if err != nil {
		return nil, failure(err)
	}
	list, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (w Waiting, err error) {
		var micros int64
		err = r.Scan(&w.Key.Consumer, &w.Key.Key, &w.Key.Effect, &w.Order.EntityID, &w.Order.StoreID, &w.Order.State,
			&w.Since, &micros)
		w.For = time.Duration(micros) * time.Microsecond
		return w, err
	})
	if err != nil {
		return nil, failure(err)
	}
	return list, nil
}

// Known returns what is known of the order that an effect was last run for. Rows that were made before the ledger kept it, or
// that were not run to an end, have none.
func (b *Book) Known(ctx context.Context, key idempotency.Key) (o Known, known bool, err error) {
	key, err = key.Stored()
	if err != nil {
		return Known{}, false, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var placed *time.Time
	err = b.db.QueryRow(ctx, `
SELECT entity_id, store_id, state, placed_at, document, waiting FROM orders WHERE key = $1 AND consumer = $2 AND effect = $3`,
		key.Key, key.Consumer, key.Effect).Scan(&o.EntityID, &o.StoreID, &o.State, &placed, &o.Document, &o.Waiting)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return Known{}, false, nil
	case err != nil:
		return Known{}, false, failure(err)
	}
	if placed != nil {
		o.Placed = *placed
	}
	return o, true, nil
}

// LookedAt says that waiting orders were read again in Magento just now, and moves them to the end of the list. state is what
// Magento says of each; an empty one leaves it as it was.
func (b *Book) LookedAt(ctx context.Context, state map[idempotency.Key]string) error {
	var keys, states []string
	for k, s := range state {
		k, err := k.Stored()
		if err != nil {
			return err
		}
		keys, states = append(keys, k.Key), append(states, idempotency.Text(s))
	}
	return b.exec(ctx, `
UPDATE orders AS o SET looked_at = now(), state = CASE WHEN r.state = '' THEN o.state ELSE r.state END
FROM unnest($1::text[], $2::text[]) AS r(key, state) WHERE o.key = r.key AND o.waiting`, keys, states)
}

// WaitingByState counts the waiting orders by Magento's state.
func (b *Book) WaitingByState(ctx context.Context) (map[string]int64, error) {
	rows, err := b.db.Query(ctx, `
SELECT o.state, count(*)
FROM orders AS o JOIN effect AS e ON e.consumer = o.consumer AND e.key = o.key AND e.effect = o.effect
WHERE o.waiting AND e.state = 'waiting' GROUP BY o.state`)
	if err != nil {
		return nil, failure(err)
	}
	var (
		counts = map[string]int64{}
		state  string
		n      int64
	)
	if _, err := pgx.ForEachRow(rows, []any{&state, &n}, func() error {
		counts[state] = n
		return nil
	}); err != nil {
		return nil, failure(err)
	}
	return counts, nil
}

// WaitingLonger counts the orders that have been waiting for longer than that, and returns since when the first of them has;
// zero if there is none.
func (b *Book) WaitingLonger(ctx context.Context, than time.Duration) (n int, since time.Time, err error) {
	var first *time.Time
	err = b.db.QueryRow(ctx, `
SELECT count(*), min(coalesce(o.waiting_since, o.looked_at))
FROM orders AS o JOIN effect AS e ON e.consumer = o.consumer AND e.key = o.key AND e.effect = o.effect
WHERE o.waiting AND e.state = 'waiting' AND coalesce(o.waiting_since, o.looked_at) < now() - $1::bigint * interval '1 microsecond'`,
		than.Microseconds()).Scan(&n, &first)
	if err != nil {
		return 0, time.Time{}, failure(err)
	}
	if first != nil {
		since = *first
	}
	return n, since, nil
}

// ByDocument returns the entity ids in Magento of the orders that an ERP's document number belongs to: none, one, or
// several, where two ERPs count alike. At most ten.
func (b *Book) ByDocument(ctx context.Context, document string) ([]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	rows, err := b.db.Query(ctx, `
SELECT DISTINCT entity_id FROM orders WHERE document = $1 AND document <> '' ORDER BY entity_id LIMIT 10`, idempotency.Text(document))
	if err != nil {
		return nil, failure(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, failure(err)
	}
	return ids, nil
}
