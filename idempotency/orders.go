package idempotency

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

// WaitingOrder is an order that may not go out yet.
type WaitingOrder struct {
	Key   Key // of the effect that waits
	Order Order
	Since time.Time     // when it was first found waiting
	For   time.Duration // how long that is, by the database's clock
}

// WaitingOrders gives up to limit waiting orders, those first that nobody has looked at for the longest time. Whoever
// reads them again in Magento marks them with [Ledger.LookedAt].
func (l *Ledger) WaitingOrders(ctx context.Context, limit int) ([]WaitingOrder, error) {
	// An effect that was claimed again is some delivery's business and waits no longer. That is noticed here and not when it
	// is claimed, to keep it off the path of every message; effect's row is what counts.
	if err := l.repeat(ctx, func() error {
		_, err := l.pool.Exec(ctx, `
UPDATE orders AS o SET waiting = false FROM effect AS e
WHERE o.waiting AND e.consumer = o.consumer AND e.key = o.key AND e.effect = o.effect
	AND e.state NOT IN ('waiting', 'in_progress')`)
		return err
	}); err != nil {
		return nil, err
	}
	rows, err := l.pool.Query(ctx, `
SELECT o.consumer, o.key, o.effect, o.entity_id, o.store_id, o.state, coalesce(o.waiting_since, o.looked_at),
	(extract(epoch FROM now() - coalesce(o.waiting_since, o.looked_at)) * 1000000)::bigint
FROM orders AS o JOIN effect AS e ON e.consumer = o.consumer AND e.key = o.key AND e.effect = o.effect
WHERE o.waiting AND e.state = 'waiting'
ORDER BY o.looked_at, o.key LIMIT $1`, limit)
	if err != nil {
		return nil, failure(err)
	}
	list, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (w WaitingOrder, err error) {
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

// Order gives what is known of the order that an effect was last run for. Rows that were made before the ledger kept it, or
// that were not run to an end, have none.
func (l *Ledger) Order(ctx context.Context, key Key) (o KnownOrder, known bool, err error) {
	key, err = key.canonical()
	if err != nil {
		return KnownOrder{}, false, err
	}
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	var placed *time.Time
	err = l.pool.QueryRow(ctx, `
SELECT entity_id, store_id, state, placed_at, document, waiting FROM orders WHERE key = $1 AND consumer = $2 AND effect = $3`,
		key.Key, key.Consumer, key.Effect).Scan(&o.EntityID, &o.StoreID, &o.State, &placed, &o.Document, &o.Waiting)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return KnownOrder{}, false, nil
	case err != nil:
		return KnownOrder{}, false, failure(err)
	}
	if placed != nil {
		o.Placed = *placed
	}
	return o, true, nil
}

// LookedAt says that waiting orders were read again in Magento just now, and puts them behind the others. state is what
// Magento says of each; an empty one leaves it as it was.
func (l *Ledger) LookedAt(ctx context.Context, state map[Key]string) error {
	var keys, states []string
	for k, s := range state {
		k, err := k.canonical()
		if err != nil {
			return err
		}
		keys, states = append(keys, k.Key), append(states, text(s, maxText))
	}
	return l.repeat(ctx, func() error {
		_, err := l.pool.Exec(ctx, `
UPDATE orders AS o SET looked_at = now(), state = CASE WHEN r.state = '' THEN o.state ELSE r.state END
FROM unnest($1::text[], $2::text[]) AS r(key, state) WHERE o.key = r.key AND o.waiting`, keys, states)
		return err
	})
}

// OrdersWaiting counts the waiting orders by Magento's state.
func (l *Ledger) OrdersWaiting(ctx context.Context) (map[string]int64, error) {
	rows, err := l.pool.Query(ctx, `
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

// WaitingLonger counts the orders that have been waiting for longer than that, and gives since when the first of them has;
// zero if there is none.
func (l *Ledger) WaitingLonger(ctx context.Context, than time.Duration) (n int, since time.Time, err error) {
	var first *time.Time
	err = l.pool.QueryRow(ctx, `
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

// OrdersByDocument gives the entity ids in Magento of the orders that an ERP's document number belongs to: none, one, or
// several, where two ERPs count alike. It gives at most ten.
func (l *Ledger) OrdersByDocument(ctx context.Context, document string) ([]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	rows, err := l.pool.Query(ctx, `
SELECT DISTINCT entity_id FROM orders WHERE document = $1 AND document <> '' ORDER BY entity_id LIMIT 10`, text(document, maxText))
	if err != nil {
		return nil, failure(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, failure(err)
	}
	return ids, nil
}
