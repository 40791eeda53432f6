package idempotency

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// A flush is one round trip: pgx sends a batch's statements together, and Postgres runs them as one transaction that no
// frozen client can hold open. Each statement takes its rows in the order of their keys, and the tables come in the order
// effect, orders, lease, so that two replicas can't wait for each other in a circle.

// changeEffects claims, renews and finishes. Whether a row is changed is decided where it is locked, in the ON CONFLICT:
//   - its owner changes it: the token that it claimed with, unique to that claim (a claim that is repeated because its
//     commit was unknown finds itself as the owner);
//   - a claim (number 1) takes it, unless it is done, or in progress with a lease that has not passed.
//
// A claim taken over from an owner whose lease has passed is uncertain since the end of that lease: an effect starts no
// request that outlasts it.
//
// A renewal or finish whose row is gone (a failover to a replica that lagged) writes the row anew.
const changeEffects = `
INSERT INTO effect AS e (consumer, key, effect, state, owner, claim, lease_until, sent_at, accepted, result, reason,
	class, created_at, updated_at)
SELECT r.consumer, r.key, r.effect, r.state, r.owner, r.claim, now() + $1::bigint * interval '1 microsecond',
	CASE r.sent WHEN 0 THEN NULL WHEN -1 THEN now() ELSE 'epoch'::timestamptz + r.sent * interval '1 microsecond' END,
	r.accepted, r.result, r.reason, r.class, now(), now()
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::boolean[],
	$10::text[], $11::text[], $12::text[])
	AS r(consumer, key, effect, state, owner, claim, sent, accepted, result, reason, class)
ORDER BY r.consumer COLLATE "C", r.key COLLATE "C", r.effect COLLATE "C"
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
	class = excluded.class,
	updated_at = excluded.updated_at
WHERE CASE
	WHEN e.owner = excluded.owner THEN true
	WHEN excluded.claim > 1 OR e.state = 'done' THEN false
	ELSE e.state <> 'in_progress' OR e.lease_until <= now() END`

// readEffects gives the rows after changeEffects, which holds the lock of each of them whether it has changed it or not.
// The subselect keeps the planner from scanning the table.
const readEffects = `
SELECT r.n, e.owner, e.claim, e.state, e.sent_at,
	coalesce((extract(epoch FROM now() - e.sent_at) * 1000000)::bigint, 0), e.accepted, e.result, e.reason
FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS r(consumer, key, effect, n)
CROSS JOIN LATERAL (SELECT * FROM effect
	WHERE effect.consumer = r.consumer AND effect.key = r.key AND effect.effect = r.effect OFFSET 0) AS e`

// changeOrders follows the finishes that were written.
const changeOrders = `
INSERT INTO orders AS o (key, consumer, effect, entity_id, store_id, state, document, waiting, waiting_since, looked_at)
SELECT r.key, r.consumer, r.effect, r.entity_id, r.store_id, r.state, r.document, e.state = 'waiting',
	CASE WHEN e.state = 'waiting' THEN now() END, now()
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::text[], $8::text[])
	AS r(key, consumer, effect, owner, entity_id, store_id, state, document)
CROSS JOIN LATERAL (SELECT effect.state FROM effect
	WHERE effect.consumer = r.consumer AND effect.key = r.key AND effect.effect = r.effect AND effect.owner = r.owner
	OFFSET 0) AS e
ORDER BY r.key COLLATE "C"
ON CONFLICT (key) DO UPDATE SET
	consumer = excluded.consumer, effect = excluded.effect,
	entity_id = excluded.entity_id, store_id = excluded.store_id, state = excluded.state,
	document = CASE WHEN excluded.document = '' THEN o.document ELSE excluded.document END,
	waiting = excluded.waiting,
	waiting_since = CASE WHEN excluded.waiting THEN coalesce(o.waiting_since, excluded.waiting_since) END,
	looked_at = excluded.looked_at`

// changeLeases has the rules of changeEffects. A lease that is given back has no owner and has passed.
const changeLeases = `
INSERT INTO lease AS e (name, owner, claim, lease_until)
SELECT r.name, r.owner, r.claim,
	CASE WHEN r.free THEN now() ELSE now() + $1::bigint * interval '1 microsecond' END
FROM unnest($2::text[], $3::text[], $4::bigint[], $5::boolean[]) AS r(name, owner, claim, free)
ORDER BY r.name COLLATE "C"
ON CONFLICT (name) DO UPDATE SET
	owner = CASE WHEN excluded.lease_until <= now() THEN '' ELSE excluded.owner END,
	claim = CASE WHEN excluded.claim = 1 AND e.owner <> excluded.owner THEN e.claim + 1 ELSE e.claim END,
	lease_until = excluded.lease_until
WHERE CASE
	WHEN e.owner = excluded.owner THEN true
	WHEN excluded.claim > 1 THEN false
	ELSE e.lease_until <= now() END`

const readLeases = `
SELECT r.n, e.owner, e.claim
FROM unnest($1::text[]) WITH ORDINALITY AS r(name, n)
CROSS JOIN LATERAL (SELECT * FROM lease WHERE lease.name = r.name OFFSET 0) AS e`

// errRows says that rows could not be read back in the transaction that wrote them, as with row-level security.
var errRows = errors.New("the ledger's rows can't be read back")

// flush writes ops in one transaction and answers each. With an error none is answered; whether it was committed is then
// unknown.
func (l *Ledger) flush(ctx context.Context, ops []*op) error {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	var (
		effects = newColumns(ops)
		orders  orderColumns
		leases  leaseColumns
		batch   pgx.Batch
		started = time.Now()
		got     = make(map[*op]outcome, len(ops))
	)
	for _, o := range ops {
		switch {
		case o.name != "":
			leases.add(o)
		default:
			effects.add(o)
			if o.order != nil {
				orders.add(o)
			}
		}
	}
	micros := l.lease.Microseconds()
	if c := effects; len(c.ops) > 0 {
		batch.Queue(changeEffects, micros, c.consumer, c.key, c.effect, c.state, c.owner, c.claim, c.sent, c.accepted,
			c.result, c.reason, c.class)
		batch.Queue(readEffects, c.consumer, c.key, c.effect).Query(func(rows pgx.Rows) error {
			var (
				n, sentFor int64
				sentAt     *time.Time
				out        outcome
			)
			_, err := pgx.ForEachRow(rows, []any{
				&n, &out.owner, &out.number, &out.state, &sentAt, &sentFor, &out.accepted, &out.result, &out.reason,
			}, func() error {
				out.started, out.sentAt, out.sentFor = started, time.Time{}, time.Duration(sentFor)*time.Microsecond
				if sentAt != nil {
					out.sentAt = *sentAt
				}
				got[c.ops[n-1]] = out
				return nil
			})
			return err
		})
	}
	if c := orders; len(c.key) > 0 {
		batch.Queue(changeOrders, c.key, c.consumer, c.effect, c.owner, c.entity, c.store, c.state, c.document)
	}
	if c := leases; len(c.ops) > 0 {
		batch.Queue(changeLeases, micros, c.name, c.owner, c.claim, c.free)
		batch.Queue(readLeases, c.name).Query(func(rows pgx.Rows) error {
			var (
				n   int64
				out = outcome{started: started}
			)
			_, err := pgx.ForEachRow(rows, []any{&n, &out.owner, &out.number}, func() error {
				got[c.ops[n-1]] = out
				return nil
			})
			return err
		})
	}
	if err := l.pool.SendBatch(ctx, &batch).Close(); err != nil {
		return err
	}
	if len(got) != len(ops) {
		return fmt.Errorf("%w: wrote %d, found %d", errRows, len(ops), len(got))
	}
	for o, out := range got {
		o.done <- out
	}
	l.metrics.flushed(len(ops), time.Since(started))
	return nil
}

// columns are the rows of changeEffects, a slice for each column.
type columns struct {
	ops                                                        []*op
	consumer, key, effect, state, owner, result, reason, class []string
	claim, sent                                                []int64
	accepted                                                   []bool
}

func newColumns(ops []*op) columns { return columns{ops: make([]*op, 0, len(ops))} }

func (c *columns) add(o *op) {
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
	entity, store                                 []int64
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
}

type leaseColumns struct {
	ops         []*op
	name, owner []string
	claim       []int64
	free        []bool
}

func (c *leaseColumns) add(o *op) {
	c.ops = append(c.ops, o)
	c.name = append(c.name, o.name)
	c.owner = append(c.owner, o.owner)
	c.claim = append(c.claim, o.number)
	c.free = append(c.free, o.free)
}
