package idempotency

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/internal/pg"
)

// change is what is asked of the ledger's group: a change of one effect's row, or of one lease.
type change struct {
	key   Key    // of an effect
	owner string // the token of the claim
	// number is 1 to claim the row, whoever had it, if it may be claimed. A higher one belongs to who has claimed it
	// already: its claim's number plus one.
	number   int64
	state    State // what an effect becomes
	sent     int64 // sentNever, sentNow, or microseconds since 1970
	accepted bool
	result   string
	reason   string
	class    event.Class
	data     string // JSON; empty for none
	also     []Change

	lease *pg.LeaseChange // of a lease instead; nil for an effect

	got outcome
}

const (
	sentNever int64 = 0
	sentNow   int64 = -1
)

func (c *change) ofLease() bool { return c.lease != nil }

// outcome is the row as it was after the transaction: the change was made if the owner is its own.
type outcome struct {
	err      error
	found    bool      // for the writer
	started  time.Time // this process's clock, before the transaction that wrote it was sent
	owner    string
	number   int64
	state    State
	sentAt   time.Time
	sentFor  time.Duration
	accepted bool
	result   string
	reason   string
	data     []byte
	// takenOver: the claim was another's, whose lease had passed.
	takenOver bool
}

// submit has a change of an effect's row written and returns the row as it is then.
func (l *Ledger) submit(ctx context.Context, c change) outcome {
	r := pg.NewRequest(c)
	return outcomeOf(r, l.group.Do(ctx, r))
}

func outcomeOf(r *pg.Request[change], err error) outcome {
	if err != nil {
		return outcome{err: err}
	}
	return r.Value.got
}

// compare is the order in which the rows are locked: effects by their keys, byte by byte, and leases by their names.
func compare(a, b *change) int {
	if c := strings.Compare(a.key.Consumer, b.key.Consumer); c != 0 {
		return c
	}
	if c := strings.Compare(a.key.Key, b.key.Key); c != 0 {
		return c
	}
	if c := strings.Compare(a.key.Effect, b.key.Effect); c != 0 {
		return c
	}
	if a.ofLease() && b.ofLease() {
		return a.lease.Compare(b.lease)
	}
	return 0
}

// rowsOf appends the rows that a change writes.
func rowsOf(rows []pg.Row, c *change) []pg.Row {
	if c.ofLease() {
		return append(rows, pg.Row{"lease", c.lease.Name})
	}
	for i := range c.also {
		rows = append(rows, pg.Row{c.also[i].In.Name(), c.also[i].Row})
	}
	return append(rows, pg.Row{"effect", c.key.Consumer, c.key.Key, c.key.Effect})
}

// A transaction of the group is one round trip: pgx sends a batch's statements together, and Postgres runs them as one
// transaction that no frozen client can hold open. Each statement takes its rows in the order of their keys, and the tables
// come in the order effect, projections, lease, so that two replicas can't wait for each other in a circle. Rows are sorted
// before they are sent (byte by byte, as COLLATE "C" does): Postgres inserts what unnest returns in the order of the arrays.
// Effects have an unnest for each column, because one of several arrays makes Postgres keep each array in a table of its own
// first.
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
// A renewal or finish whose row is gone (a failover to a replica that lagged) inserts the row.
//
// The data of a row is its claim's. Rows without any are written by a statement that leaves the columns alone: what a claim
// before has left there no longer counts.
var changeEffects, changeEffectsAndData = effectsStatement("", "", "", ""), effectsStatement(
	`, data, data_claim`, `, nullif(r.data, '')::jsonb, CASE WHEN r.data <> '' THEN r.claim END`, `, unnest($13::text[]) AS data`, `,
	data = excluded.data,
	data_claim = CASE
		WHEN excluded.data IS NULL THEN NULL
		WHEN e.owner = excluded.owner THEN e.claim
		ELSE e.claim + 1 END`)

func effectsStatement(columns, values, arrays, sets string) string {
	return `
INSERT INTO effect AS e (consumer, key, effect, state, owner, claim, lease_until, sent_at, accepted, result, reason,
	class, created_at, updated_at` + columns + `)
SELECT r.consumer, r.key, r.effect, r.state, r.owner, r.claim, now() + $1::interval,
	CASE r.sent WHEN 0 THEN NULL WHEN -1 THEN now() ELSE 'epoch'::timestamptz + r.sent * interval '1 microsecond' END,
	r.accepted, r.result, r.reason, r.class, now(), now()` + values + `
FROM (SELECT unnest($2::text[]) AS consumer, unnest($3::text[]) AS key, unnest($4::text[]) AS effect,
	unnest($5::text[]) AS state, unnest($6::text[]) AS owner, unnest($7::bigint[]) AS claim, unnest($8::bigint[]) AS sent,
	unnest($9::boolean[]) AS accepted, unnest($10::text[]) AS result, unnest($11::text[]) AS reason,
	unnest($12::text[]) AS class` + arrays + `) AS r
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
	updated_at = excluded.updated_at` + sets + `
WHERE CASE
	WHEN e.owner = excluded.owner THEN excluded.state <> 'in_progress' OR e.state = 'in_progress'
	WHEN excluded.claim > 1 OR e.state = 'done' THEN false
	ELSE e.state <> 'in_progress' OR e.lease_until <= now() END
RETURNING owner, claim, sent_at, (extract(epoch FROM now() - sent_at) * 1000000)::bigint, accepted,
	class = 'taken_over'`
}

// readEffects returns the rows of changes that have lost. The subselect keeps the planner from scanning the table.
const readEffects = `
SELECT r.n, e.owner, e.claim, e.state, e.result, e.reason, CASE WHEN e.data_claim = e.claim THEN e.data END
FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS r(consumer, key, effect, n)
CROSS JOIN LATERAL (SELECT * FROM effect
	WHERE effect.consumer = r.consumer AND effect.key = r.key AND effect.effect = r.effect OFFSET 0) AS e`

// commit writes changes in one transaction, and notes in each what became of it.
func (l *Ledger) commit(ctx context.Context, requests []*pg.Request[change]) error {
	started := time.Now()
	for _, r := range requests {
		r.Value.got = outcome{started: started}
	}
	if err := l.write(ctx, requests); err != nil {
		return err
	}
	var lost []*change
	for _, r := range requests {
		if !r.Value.found() {
			lost = append(lost, &r.Value)
		}
	}
	if len(lost) == 0 {
		return nil
	}
	return l.read(ctx, lost)
}

// what names the row in messages.
func (c *change) what() string {
	if c.ofLease() {
		return "lease " + c.lease.Name
	}
	return c.key.String()
}

func (c *change) found() bool {
	if c.ofLease() {
		return c.lease.Found
	}
	return c.got.found
}

// write makes changes, and notes the outcome of those that have won.
func (l *Ledger) write(ctx context.Context, requests []*pg.Request[change]) error {
	var (
		effects effectColumns
		also    []Change
		leases  []*pg.LeaseChange
		batch   pgx.Batch
	)
	effects.grow(len(requests))
	for _, r := range requests {
		c := &r.Value
		if c.ofLease() {
			leases = append(leases, c.lease)
			continue
		}
		effects.add(c)
		for _, a := range c.also {
			a.Owner, a.State, a.Result = c.owner, c.state, Text(c.result)
			also = append(also, a)
		}
	}
	if c := &effects; len(c.changes) > 0 {
		sql := changeEffects
		args := []any{
			l.lease, c.consumer, c.key, c.effect, c.state, c.owner, c.claim, c.sent, c.accepted, c.result, c.reason, c.class,
		}
		if c.data != nil {
			sql, args = changeEffectsAndData, append(args, c.data)
		}
		batch.Queue(sql, args...).Query(c.won)
	}
	l.project(&batch, also)
	pg.ChangeLeases(&batch, l.lease, leases)
	return l.pool.SendBatch(ctx, &batch).Close()
}

// project queues the changes of projections.
func (l *Ledger) project(b *pgx.Batch, all []Change) {
	if len(all) == 0 {
		return
	}
	slices.SortFunc(all, func(a, b Change) int { return strings.Compare(a.Row, b.Row) })
	for _, p := range l.projections {
		var changes []Change
		for _, c := range all {
			if c.In == p {
				changes = append(changes, c)
			}
		}
		if len(changes) > 0 {
			p.Write(b, changes)
		}
	}
}

// read notes the outcome of changes that have lost.
func (l *Ledger) read(ctx context.Context, changes []*change) error {
	var (
		effects effectColumns
		leases  []*pg.LeaseChange
		batch   pgx.Batch
	)
	for _, c := range changes {
		if c.ofLease() {
			leases = append(leases, c.lease)
		} else {
			effects.add(c)
		}
	}
	if c := &effects; len(c.changes) > 0 {
		batch.Queue(readEffects, c.consumer, c.key, c.effect).Query(func(rows pgx.Rows) error {
			var (
				n   int64
				row outcome
			)
			_, err := pgx.ForEachRow(rows, []any{&n, &row.owner, &row.number, &row.state, &row.result, &row.reason, &row.data}, func() error {
				row.found = true
				c.changes[n-1].got = row
				return nil
			})
			return err
		})
	}
	pg.ReadLeases(&batch, leases)
	if err := l.pool.SendBatch(ctx, &batch).Close(); err != nil {
		return err
	}
	for _, c := range changes {
		if !c.found() {
			return fmt.Errorf("%w: it was removed meanwhile, or row-level security hides it: %s", pg.ErrRow, c.what())
		}
	}
	return nil
}

// effectColumns are the rows of changeEffects, a slice for each column.
type effectColumns struct {
	changes                                                          []*change
	consumer, key, effect, state, owner, result, reason, class, data []string
	claim, sent                                                      []int64
	accepted                                                         []bool
}

// grow makes room for n rows.
func (c *effectColumns) grow(n int) {
	c.changes = make([]*change, 0, n)
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
		for next < len(c.changes) && c.changes[next].owner != owner {
			next++
		}
		if next == len(c.changes) {
			return fmt.Errorf("%w: effects came back in another order than they were sent", pg.ErrRow)
		}
		got := &c.changes[next].got
		got.found, got.owner, got.number, got.accepted = true, c.changes[next].owner, number, taken
		got.takenOver = over
		if sentAt != nil {
			got.sentAt, got.sentFor = *sentAt, time.Duration(*sentFor)*time.Microsecond
		}
		return nil
	})
	return err
}

func (c *effectColumns) add(o *change) {
	c.changes = append(c.changes, o)
	c.consumer = append(c.consumer, o.key.Consumer)
	c.key = append(c.key, o.key.Key)
	c.effect = append(c.effect, o.key.Effect)
	c.state = append(c.state, string(o.state))
	c.owner = append(c.owner, o.owner)
	c.claim = append(c.claim, o.number)
	c.sent = append(c.sent, o.sent)
	c.accepted = append(c.accepted, o.accepted)
	c.result = append(c.result, Text(o.result))
	c.reason = append(c.reason, Text(o.reason))
	c.class = append(c.class, string(o.class))
	if o.data != "" && c.data == nil {
		c.data = make([]string, len(c.key)-1, cap(c.key))
	}
	if c.data != nil {
		c.data = append(c.data, o.data)
	}
}

type metrics struct {
	rows, seconds prometheus.Histogram
	conflicts     prometheus.Counter
}

func newMetrics(r prometheus.Registerer) metrics {
	m := metrics{
		rows: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "mageline_ledger_flush_rows", Help: "Rows of one transaction of the ledger.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 10),
		}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "mageline_ledger_flush_seconds", Help: "Time of one transaction of the ledger.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}),
		conflicts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "mageline_ledger_conflicts_total", Help: "Transactions of the ledger that lost to another one and were repeated.",
		}),
	}
	if r != nil {
		r.MustRegister(m.rows, m.seconds, m.conflicts)
	}
	return m
}

func (m metrics) committed(rows int, took time.Duration) {
	m.rows.Observe(float64(rows))
	m.seconds.Observe(took.Seconds())
}
