package idempotency

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// A flush is one round trip: pgx sends a batch's statements together, and Postgres runs them as one transaction that no
// frozen client can hold open. Each statement takes its rows in the order of their keys, and the tables come in the order
// effect, orders, lease, so that two replicas can't wait for each other in a circle. Effects and leases are sorted before
// they are sent (byte by byte, as COLLATE "C" does): Postgres inserts what unnest gives in the order of the arrays. Effects
// have an unnest for each column, because one of several arrays makes Postgres keep each array in a table of its own first.
//
// The rows that were changed come back with the change. What is not among them has lost to another owner; only for those
// is a second round trip made, to say to whom. By then the row may have gone on. That does no harm: who has lost is told
// what is there now, and a row that is done by then is a duplicate as any.

// changeEffects claims, renews and finishes. Whether a row is changed is decided where it is locked, in the ON CONFLICT:
//   - its owner changes it: the token that it claimed with, unique to that claim (a claim that is repeated because its
//     commit was unknown finds itself as the owner). But it opens nothing again that it has finished: of a flush that was
//     repeated, the first try may reach the table last, after the finish;
//   - a claim (number 1) takes it, unless it is done, or in progress with a lease that has not passed.
//
// A claim taken over from an owner whose lease has passed is uncertain since the end of that lease: an effect starts no
// request that outlasts it.
//
// A renewal or finish whose row is gone (a failover to a replica that lagged) writes the row anew.
const changeEffects = `
INSERT INTO effect AS e (consumer, key, effect, state, owner, claim, lease_until, sent_at, accepted, result, reason,
	class, created_at, updated_at)
SELECT r.consumer, r.key, r.effect, r.state, r.owner, r.claim, now() + $1::interval,
	CASE r.sent WHEN 0 THEN NULL WHEN -1 THEN now() ELSE 'epoch'::timestamptz + r.sent * interval '1 microsecond' END,
	r.accepted, r.result, r.reason, r.class, now(), now()
FROM (SELECT unnest($2::text[]) AS consumer, unnest($3::text[]) AS key, unnest($4::text[]) AS effect,
	unnest($5::text[]) AS state, unnest($6::text[]) AS owner, unnest($7::bigint[]) AS claim, unnest($8::bigint[]) AS sent,
	unnest($9::boolean[]) AS accepted, unnest($10::text[]) AS result, unnest($11::text[]) AS reason,
	unnest($12::text[]) AS class) AS r
ON CONFLICT (consumer, key, effect) DO UPDATE SET
	state = excluded.state,
	owner = excluded.owner,
	claim = CASE WHEN e.owner = excluded.owner THEN e.claim ELSE e.claim + 1 END,
	lease_until = excluded.lease_until,
	sent_at = CASE
		WHEN excluded.state <> 'in_progress' THEN excluded.sent_at
		WHEN e.owner <> excluded.owner AND e.state = 'in_progress' THEN e.lease_until
		ELSE e.sent_at END,
	accepted = CASE
		WHEN excluded.state <> 'in_progress' THEN excluded.accepted
		ELSE e.accepted OR excluded.accepted END,
	result = excluded.result,
	reason = excluded.reason,
	class = CASE
		WHEN e.owner <> excluded.owner AND e.state = 'in_progress' THEN 'taken_over'
		ELSE excluded.class END,
	updated_at = excluded.updated_at
WHERE CASE
	WHEN e.owner = excluded.owner THEN excluded.state <> 'in_progress' OR e.state = 'in_progress'
	WHEN excluded.claim > 1 OR e.state = 'done' THEN false
	ELSE e.state <> 'in_progress' OR e.lease_until <= now() END
RETURNING owner, claim, sent_at, (extract(epoch FROM now() - sent_at) * 1000000)::bigint, accepted,
	class = 'taken_over'`

// readEffects gives the rows of those that have lost. The subselect keeps the planner from scanning the table.
const readEffects = `
SELECT r.n, e.owner, e.claim, e.state, e.result, e.reason
FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS r(consumer, key, effect, n)
CROSS JOIN LATERAL (SELECT * FROM effect
	WHERE effect.consumer = r.consumer AND effect.key = r.key AND effect.effect = r.effect OFFSET 0) AS e`

// changeOrders follows the finishes that were written.
const changeOrders = `
INSERT INTO orders AS o (key, consumer, effect, entity_id, store_id, state, document, waiting, waiting_since, looked_at,
	placed_at)
SELECT r.key, r.consumer, r.effect, r.entity_id, r.store_id, r.state, r.document, e.state = 'waiting',
	CASE WHEN e.state = 'waiting' THEN now() END, now(),
	CASE WHEN r.placed <> 0 THEN 'epoch'::timestamptz + r.placed * interval '1 microsecond' END
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::text[], $8::text[], $9::bigint[])
	AS r(key, consumer, effect, owner, entity_id, store_id, state, document, placed)
CROSS JOIN LATERAL (SELECT effect.state FROM effect
	WHERE effect.consumer = r.consumer AND effect.key = r.key AND effect.effect = r.effect AND effect.owner = r.owner
	OFFSET 0) AS e
ORDER BY r.key COLLATE "C"
ON CONFLICT (key) DO UPDATE SET
	consumer = excluded.consumer, effect = excluded.effect,
	entity_id = excluded.entity_id, store_id = excluded.store_id, state = excluded.state,
	placed_at = CASE WHEN o.entity_id = excluded.entity_id THEN coalesce(excluded.placed_at, o.placed_at) ELSE excluded.placed_at END,
	document = CASE WHEN excluded.document = '' THEN o.document ELSE excluded.document END,
	waiting = excluded.waiting,
	waiting_since = CASE WHEN excluded.waiting THEN coalesce(o.waiting_since, excluded.waiting_since) END,
	looked_at = excluded.looked_at`

// changeLeases has the rules of changeEffects. A lease that is given back has no owner and has passed.
const changeLeases = `
INSERT INTO lease AS e (name, owner, claim, lease_until)
SELECT r.name, r.owner, r.claim,
	CASE WHEN r.free THEN now() ELSE now() + $1::interval END
FROM unnest($2::text[], $3::text[], $4::bigint[], $5::boolean[]) AS r(name, owner, claim, free)
ON CONFLICT (name) DO UPDATE SET
	owner = CASE WHEN excluded.lease_until <= now() THEN '' ELSE excluded.owner END,
	claim = CASE WHEN excluded.claim = 1 AND e.owner <> excluded.owner THEN e.claim + 1 ELSE e.claim END,
	lease_until = excluded.lease_until
WHERE CASE
	WHEN e.owner = excluded.owner THEN true
	WHEN excluded.claim > 1 THEN false
	ELSE e.lease_until <= now() END
RETURNING name, owner, claim`

const readLeases = `
SELECT r.n, e.owner, e.claim
FROM unnest($1::text[]) WITH ORDINALITY AS r(name, n)
CROSS JOIN LATERAL (SELECT * FROM lease WHERE lease.name = r.name OFFSET 0) AS e`

// errRows says that rows can't be found that the flush before has met: they were removed in between, or row-level security
// hides them.
var errRows = errors.New("the ledger's rows can't be read back")

// errOrder says that Postgres has not changed the rows in the order in which they were sent: a bug.
var errOrder = errors.New("the ledger's rows came back in another order than they were sent")

// flush writes ops in one transaction and answers each. With an error none is answered; whether it was committed is then
// unknown.
func (l *Ledger) flush(ctx context.Context, ops []*op) error {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	started := time.Now()
	slices.SortFunc(ops, inRowOrder)
	for _, o := range ops {
		o.got = outcome{started: started}
	}
	if err := l.change(ctx, ops); err != nil {
		return err
	}
	var lost []*op
	for _, o := range ops {
		if !o.got.found {
			lost = append(lost, o)
		}
	}
	if len(lost) > 0 {
		if err := l.read(ctx, lost); err != nil {
			return err
		}
	}
	for _, o := range ops {
		o.answer(nil)
	}
	l.metrics.flushed(len(ops), time.Since(started))
	return nil
}

// change writes ops, and notes the outcome of those that have won.
func (l *Ledger) change(ctx context.Context, ops []*op) error {
	var (
		effects effectColumns
		orders  orderColumns
		leases  leaseColumns
		batch   pgx.Batch
	)
	effects.grow(len(ops))
	for _, o := range ops {
		if o.name != "" {
			leases.add(o)
			continue
		}
		effects.add(o)
		if o.order != nil {
			orders.add(o)
		}
	}
	if c := &effects; len(c.ops) > 0 {
		batch.Queue(changeEffects, l.lease, c.consumer, c.key, c.effect, c.state, c.owner, c.claim, c.sent, c.accepted,
			c.result, c.reason, c.class).Query(c.won)
	}
	if c := &orders; len(c.key) > 0 {
		batch.Queue(changeOrders, c.key, c.consumer, c.effect, c.owner, c.entity, c.store, c.state, c.document, c.placed)
	}
	if c := &leases; len(c.ops) > 0 {
		batch.Queue(changeLeases, l.lease, c.name, c.owner, c.claim, c.free).Query(c.won)
	}
	return l.pool.SendBatch(ctx, &batch).Close()
}

// read notes the outcome of ops that have lost.
func (l *Ledger) read(ctx context.Context, ops []*op) error {
	var (
		effects effectColumns
		leases  leaseColumns
		batch   pgx.Batch
	)
	for _, o := range ops {
		if o.name != "" {
			leases.add(o)
		} else {
			effects.add(o)
		}
	}
	if c := &effects; len(c.ops) > 0 {
		batch.Queue(readEffects, c.consumer, c.key, c.effect).Query(func(rows pgx.Rows) error {
			var (
				n   int64
				row outcome
			)
			_, err := pgx.ForEachRow(rows, []any{&n, &row.owner, &row.number, &row.state, &row.result, &row.reason}, func() error {
				row.found = true
				c.ops[n-1].got = row
				return nil
			})
			return err
		})
	}
	if c := &leases; len(c.ops) > 0 {
		batch.Queue(readLeases, c.name).Query(func(rows pgx.Rows) error {
			var (
				n   int64
				row outcome
			)
			_, err := pgx.ForEachRow(rows, []any{&n, &row.owner, &row.number}, func() error {
				row.found = true
				c.ops[n-1].got = row
				return nil
			})
			return err
		})
	}
	if err := l.pool.SendBatch(ctx, &batch).Close(); err != nil {
		return err
	}
	for _, o := range ops {
		if !o.got.found {
			return fmt.Errorf("%w: %s", errRows, cmp.Or(o.name, o.key.String()))
		}
	}
	return nil
}

// inRowOrder is the order in which every flush takes the locks of its rows.
func inRowOrder(a, b *op) int {
	if c := cmp.Compare(a.key.Consumer, b.key.Consumer); c != 0 {
		return c
	}
	if c := cmp.Compare(a.key.Key, b.key.Key); c != 0 {
		return c
	}
	return cmp.Or(cmp.Compare(a.key.Effect, b.key.Effect), cmp.Compare(a.name, b.name))
}

// effectColumns are the rows of changeEffects, a slice for each column.
type effectColumns struct {
	ops                                                        []*op
	consumer, key, effect, state, owner, result, reason, class []string
	claim, sent                                                []int64
	accepted                                                   []bool
}

// grow makes room for n rows.
func (c *effectColumns) grow(n int) {
	c.ops = make([]*op, 0, n)
	for _, column := range []*[]string{&c.consumer, &c.key, &c.effect, &c.state, &c.owner, &c.result, &c.reason, &c.class} {
		*column = make([]string, 0, n)
	}
	c.claim, c.sent, c.accepted = make([]int64, 0, n), make([]int64, 0, n), make([]bool, 0, n)
}

// won notes the rows that changeEffects has changed, which are in the order of the ops and each have its op's owner.
func (c *effectColumns) won(rows pgx.Rows) error {
	var (
		owner   string
		number  int64
		sentAt  *time.Time
		sentFor *int64
		taken   bool // accepted
		over    bool
		next    int
	)
	_, err := pgx.ForEachRow(rows, []any{&owner, &number, &sentAt, &sentFor, &taken, &over}, func() error {
		for next < len(c.ops) && c.ops[next].owner != owner {
			next++
		}
		if next == len(c.ops) {
			return errOrder
		}
		got := &c.ops[next].got
		got.found, got.owner, got.number, got.accepted = true, c.ops[next].owner, number, taken
		got.takenOver = over
		if sentAt != nil {
			got.sentAt, got.sentFor = *sentAt, time.Duration(*sentFor)*time.Microsecond
		}
		return nil
	})
	return err
}

func (c *effectColumns) add(o *op) {
	c.ops = append(c.ops, o)
	c.consumer = append(c.consumer, o.key.Consumer)
	c.key = append(c.key, o.key.Key)
	c.effect = append(c.effect, o.key.Effect)
	c.state = append(c.state, string(o.state))
	c.owner = append(c.owner, o.owner)
	c.claim = append(c.claim, o.number)
	c.sent = append(c.sent, o.sent)
	c.accepted = append(c.accepted, o.accepted)
	c.result = append(c.result, text(o.result, maxText))
	c.reason = append(c.reason, text(o.reason, maxText))
	c.class = append(c.class, string(o.class))
}

// maxText bounds what is kept of a downstream's words, in bytes.
const maxText = 2048

type orderColumns struct {
	key, consumer, effect, owner, state, document []string
	entity, store, placed                         []int64 // placed in microseconds since 1970, 0 for not known
}

func (c *orderColumns) add(o *op) {
	c.key = append(c.key, o.key.Key)
	c.consumer = append(c.consumer, o.key.Consumer)
	c.effect = append(c.effect, o.key.Effect)
	c.owner = append(c.owner, o.owner)
	c.entity = append(c.entity, o.order.EntityID)
	c.store = append(c.store, o.order.StoreID)
	c.state = append(c.state, text(o.order.State, maxText))
	c.document = append(c.document, text(o.result, maxText))
	placed := int64(0)
	if at := o.order.Placed; !at.IsZero() {
		placed = at.UnixMicro()
	}
	c.placed = append(c.placed, placed)
}

type leaseColumns struct {
	ops         []*op
	name, owner []string
	claim       []int64
	free        []bool
}

// won notes the leases that changeLeases has changed, which are in the order of the ops.
func (c *leaseColumns) won(rows pgx.Rows) error {
	var (
		name string
		got  outcome
		next int
	)
	_, err := pgx.ForEachRow(rows, []any{&name, &got.owner, &got.number}, func() error {
		for next < len(c.name) && c.name[next] != name {
			next++
		}
		if next == len(c.name) {
			return errOrder
		}
		got.found, got.started = true, c.ops[next].got.started
		c.ops[next].got = got
		return nil
	})
	return err
}

func (c *leaseColumns) add(o *op) {
	c.ops = append(c.ops, o)
	c.name = append(c.name, o.name)
	c.owner = append(c.owner, o.owner)
	c.claim = append(c.claim, o.number)
	c.free = append(c.free, o.free)
}
