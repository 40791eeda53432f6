// Package watermark keeps how new the values are that Magento has, and lets one replica at a time write a value. It has the
// tables watermark and held_price, and knows nothing of what the values are.
//
// A version is a time that the author of a value gives it: of two values for one key the one with the later version is the
// right one, whichever arrives last. A row has the version that was written and the one that is being written. Neither alone
// would do: compared before a call and set then, it loses the value if the call fails; set after the call, an older value
// whose call lasted longer would land last.
//
// Whoever wants to write takes a claim on the rows of a batch, writes, and ends the claim with what became of each. Three rules
// keep a newer value from being overwritten by an older one:
//
//   - What is older than what was written, or older than what is being written, is stale. It is not written at all.
//   - A claim has an owner, a number and a lease. What its owner says at the end counts only if it is still the owner.
//   - After a call whose answer is lost, and after a lease that has passed, nobody knows whether the value was written. Then
//     nothing older is written, the same version may be, and nothing at all until a call that was given up can't arrive any more.
//
// All times are the database's.
package watermark

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/mageline/mageline/internal/pg"
)

// Key names what is written: a row.
type Key struct {
	SKU   string `json:"sku"`   // as Magento compares it: in lower case
	Kind  string `json:"kind"`  // base, special, tier, stock
	Scope string `json:"scope"` // the rest: a store, a source, a tier
}

func (k Key) String() string { return k.Kind + " " + k.SKU + " " + k.Scope }

// Compare is the order in which the rows are locked.
func (k Key) Compare(other Key) int {
	return cmp.Or(cmp.Compare(k.SKU, other.SKU), cmp.Compare(k.Kind, other.Kind), cmp.Compare(k.Scope, other.Scope))
}

// Ahead is how far the version of a value may be ahead of the database's clock.
const Ahead = 5 * time.Minute

// State is what a claim has made of a row.
type State int

const (
	// Claimed rows are the claim's until it ends.
	Claimed State = iota
	// Stale rows have something newer than what was to be written, or it is being written.
	Stale
	// Held rows are another's claim, or wait until a call that was given up can't arrive any more.
	Held
	// TooNew is a version that is more than Ahead ahead of the database's clock.
	TooNew
)

// Row is one row of a claim.
type Row struct {
	Key
	// Version is what is to be written; zero: nothing, the row is only to be held.
	Version time.Time
	// Message is the letter id of the message that has the value.
	Message string

	// These are noted by Claim.
	State     State
	Written   time.Time // the version that was written; zero for none
	WrittenBy string    // the letter id of the message that had it
	// Lost is the newest version of which nobody knows whether it was written; zero for none.
	Lost time.Time
	// Wait is for how long a Held row can't be claimed at least; 0 if its owner may end at any time.
	Wait time.Duration

	// End is what has become of a Claimed row, for the end of the claim.
	End End

	number int64
}

// End is how a claim on a row ends.
type End int32

const (
	// Unchanged rows are as they were before: nothing was written, for certain.
	Unchanged End = iota
	// Accepted rows have the version, as Magento has said or shown.
	Accepted
	// Unknown rows may have the version. The call is over: it has no effect any more.
	Unknown
	// Lost rows may have the version, or get it later: the call was given up without an answer.
	Lost
)

// Store reads and writes the tables. It is safe for use by many goroutines.
type Store struct {
	DB      pg.Conn
	Process *pg.Process
	// Lease is for how long a claim is its owner's without progress.
	Lease time.Duration
	// Timeout is for how long after a call was given up it may still have its effect.
	Timeout time.Duration
}

// slack is what a call may take beyond its time-out. A lease that is shorter than both is renewed before each call.
const slack = 5 * time.Second

// timeout is for one transaction.
const timeout = 4 * time.Second

// failure is what a handler returns.
func failure(err error) error { return pg.Failure("the watermarks", err) }

// claimRows claims the rows that may be claimed, and locks all of them, in the order of the keys.
const claimRows = `
INSERT INTO watermark AS w (sku, kind, scope, message, writing, owner, claim, lease_until, not_before)
SELECT r.sku, r.kind, r.scope, '', CASE WHEN r.version <> 0 THEN 'epoch'::timestamptz + r.version * interval '1 microsecond' END,
	$1, 1, now() + $2::interval, now()
FROM unnest($4::text[], $5::text[], $6::text[], $7::bigint[]) AS r(sku, kind, scope, version)
WHERE r.version = 0 OR 'epoch'::timestamptz + r.version * interval '1 microsecond' <= now() + $8::interval
ON CONFLICT (sku, kind, scope) DO UPDATE SET
	lost = CASE WHEN w.owner NOT IN ('', excluded.owner) THEN greatest(w.lost, w.writing) ELSE w.lost END,
	writing = excluded.writing, owner = excluded.owner, claim = w.claim + 1, lease_until = excluded.lease_until
WHERE w.owner = excluded.owner
	OR (excluded.writing IS NULL OR excluded.writing >= greatest(w.written, w.lost, w.writing, excluded.writing))
	AND CASE WHEN w.owner = '' THEN w.not_before ELSE w.lease_until + $3::interval END <= now()
RETURNING w.sku, w.kind, w.scope, w.claim, w.written, w.message, w.lost`

// lookAtRows says why rows were not claimed.
const lookAtRows = `
SELECT r.n,
	CASE
		WHEN r.version <> 0 AND r.at > now() + $1::interval THEN 'ahead'
		WHEN r.version <> 0 AND r.at < greatest(w.written, w.lost, w.writing) THEN 'stale'
		ELSE 'held' END,
	greatest(0, extract(epoch FROM CASE
		WHEN w.owner = '' THEN w.not_before - now()
		WHEN w.lease_until <= now() THEN w.lease_until + $2::interval - now()
		ELSE interval '0' END) * 1000)::bigint
FROM unnest($3::text[], $4::text[], $5::text[], $6::bigint[]) WITH ORDINALITY AS a(sku, kind, scope, version, n)
CROSS JOIN LATERAL (SELECT a.*, 'epoch'::timestamptz + a.version * interval '1 microsecond' AS at) AS r
LEFT JOIN LATERAL (SELECT * FROM watermark WHERE watermark.sku = r.sku AND watermark.kind = r.kind AND watermark.scope = r.scope OFFSET 0) AS w ON true`

// lockRows locks rows in the order of the keys, so that two transactions can't wait for each other in a circle.
const lockRows = `
SELECT count(*) FROM unnest($1::text[], $2::text[], $3::text[]) AS r(sku, kind, scope)
CROSS JOIN LATERAL (SELECT 1 FROM watermark AS w WHERE w.sku = r.sku AND w.kind = r.kind AND w.scope = r.scope OFFSET 0 FOR UPDATE) AS locked`

const renewRows = `
UPDATE watermark AS w SET lease_until = now() + $1::interval
FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[]) AS r(sku, kind, scope, number)
WHERE w.sku = r.sku AND w.kind = r.kind AND w.scope = r.scope AND w.owner = $6 AND w.claim = r.number`

const endRows = `
UPDATE watermark AS w SET
	written = CASE r.ended WHEN 1 THEN greatest(w.written, w.writing) ELSE w.written END,
	message = CASE WHEN r.ended = 1 AND w.writing IS NOT NULL THEN r.message ELSE w.message END,
	lost = CASE r.ended WHEN 0 THEN w.lost WHEN 1 THEN NULL ELSE greatest(w.lost, w.writing) END,
	not_before = CASE r.ended WHEN 3 THEN now() + $1::interval ELSE w.not_before END,
	writing = NULL, owner = ''
FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::int[]) AS r(sku, kind, scope, number, message, ended)
WHERE w.sku = r.sku AND w.kind = r.kind AND w.scope = r.scope AND w.owner = $8 AND w.claim = r.number`

// Claim is a claim on the rows of a batch.
type Claim struct {
	store *Store
	owner string
	rows  []*Row // that are claimed, in the order of their keys
	hold  *pg.Hold
}

// Claim claims the rows that may be claimed, in one statement, and notes in each what has become of it. No key is among them
// twice. End the claim, also if it has no row. The error is that of a handler.
func (s *Store) Claim(ctx context.Context, rows []*Row) (*Claim, error) {
	sorted := slices.Clone(rows)
	slices.SortFunc(sorted, func(a, b *Row) int { return a.Compare(b.Key) })
	c := &Claim{store: s, owner: s.Process.Token()}
	var started time.Time
	err := repeated(ctx, func(ctx context.Context) error {
		c.rows = nil
		started = time.Now()
		return s.claim(ctx, c, sorted)
	})
	if err != nil {
		return nil, failure(err)
	}
	c.hold = pg.NewHold(ctx, pg.Claim{
		What: fmt.Sprintf("the claim on %d watermarks", len(c.rows)), Owner: c.owner, Started: started, Lease: s.Lease,
		Spare: max(s.Lease/2, s.Timeout+slack),
		Renew: c.renew,
	})
	return c, nil
}

func (s *Store) claim(ctx context.Context, c *Claim, rows []*Row) error {
	var b pgx.Batch
	k := keysOf(rows)
	versions := make([]int64, len(rows))
	for i, r := range rows {
		r.State, r.number = Held, 0
		versions[i] = microseconds(r.Version)
	}
	b.Queue(claimRows, c.owner, s.Lease, s.Timeout, k.skus, k.kinds, k.scopes, versions, Ahead).Query(func(claimed pgx.Rows) error {
		var (
			key     Key
			number  int64
			written *time.Time
			message string
			lost    *time.Time
			next    int
		)
		_, err := pgx.ForEachRow(claimed, []any{&key.SKU, &key.Kind, &key.Scope, &number, &written, &message, &lost}, func() error {
			for next < len(rows) && rows[next].Key != key {
				next++
			}
			if next == len(rows) {
				return fmt.Errorf("%w: watermarks came back in another order than they were sent", pg.ErrRow)
			}
			r := rows[next]
			r.State, r.number, r.WrittenBy, r.Written, r.Lost = Claimed, number, message, timeOf(written), timeOf(lost)
			c.rows = append(c.rows, r)
			return nil
		})
		return err
	})
	b.Queue(lookAtRows, Ahead, s.Timeout, k.skus, k.kinds, k.scopes, versions).Query(func(seen pgx.Rows) error {
		var (
			n, wait int64
			state   string
		)
		_, err := pgx.ForEachRow(seen, []any{&n, &state, &wait}, func() error {
			r := rows[n-1]
			if r.State == Claimed {
				return nil
			}
			r.Wait = 0
			switch state {
			case "ahead":
				r.State = TooNew
			case "stale":
				r.State = Stale
			default:
				r.State, r.Wait = Held, time.Duration(wait)*time.Millisecond
			}
			return nil
		})
		return err
	})
	return s.send(ctx, &b)
}

// Context returns a context for what is done with the rows. It ends before the lease passes, and carries an event.Clock that
// renews it.
func (c *Claim) Context() context.Context { return c.hold.Context() }

func (c *Claim) renew(ctx context.Context) (started time.Time, owner string, err error) {
	k := keysOf(c.rows)
	var b pgx.Batch
	b.Queue(lockRows, k.skus, k.kinds, k.scopes)
	var renewed int64
	b.Queue(renewRows, c.store.Lease, k.skus, k.kinds, k.scopes, k.numbers, c.owner).Exec(func(tag pgconn.CommandTag) error {
		renewed = tag.RowsAffected()
		return nil
	})
	started = time.Now()
	if err := c.store.send(ctx, &b); err != nil {
		return time.Time{}, "", failure(err)
	}
	if renewed < int64(len(c.rows)) {
		return started, "", nil
	}
	return started, c.owner, nil
}

// End ends the claim with the End of each row, whatever has become of ctx. Rows that another owner has taken over are left as
// they are. After an error the rows stay as they are until the lease has passed.
func (c *Claim) End(ctx context.Context) error {
	cause := c.hold.End()
	if len(c.rows) == 0 {
		return nil
	}
	k := keysOf(c.rows)
	messages, ends := make([]string, len(c.rows)), make([]int32, len(c.rows))
	for i, r := range c.rows {
		messages[i], ends[i] = r.Message, int32(r.End)
	}
	err := repeated(context.WithoutCancel(ctx), func(ctx context.Context) error {
		var b pgx.Batch
		b.Queue(lockRows, k.skus, k.kinds, k.scopes)
		b.Queue(endRows, c.store.Timeout, k.skus, k.kinds, k.scopes, k.numbers, messages, ends, c.owner)
		b.Queue(supersede, k.skus, k.kinds, k.scopes, ends)
		return c.store.send(ctx, &b)
	})
	if err != nil {
		return failure(err)
	}
	return cause
}

func (s *Store) send(ctx context.Context, b *pgx.Batch) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return s.DB.SendBatch(ctx, b).Close()
}

// repeated repeats a transaction that lost to another one, and once one whose connection was cut. Both transactions of this package
// may be repeated after a commit whose answer was lost.
func repeated(ctx context.Context, transaction func(ctx context.Context) error) (err error) {
	const most = 10
	cut := false
	for range most {
		started := time.Now()
		if err = transaction(ctx); err == nil || ctx.Err() != nil {
			return err
		}
		switch pg.ClassOf(err) {
		case pg.Repeat:
		case pg.Away:
			if cut || time.Since(started) > timeout/4 {
				return err
			}
			cut = true
		default:
			return err
		}
	}
	return err
}

// keys are the columns of a statement.
type keys struct {
	skus, kinds, scopes []string
	numbers             []int64
}

func keysOf(rows []*Row) keys {
	k := keys{make([]string, len(rows)), make([]string, len(rows)), make([]string, len(rows)), make([]int64, len(rows))}
	for i, r := range rows {
		k.skus[i], k.kinds[i], k.scopes[i], k.numbers[i] = r.SKU, r.Kind, r.Scope, r.number
	}
	return k
}

func timeOf(at *time.Time) time.Time {
	if at == nil {
		return time.Time{}
	}
	return *at
}

// microseconds returns a version as statements take it. 0 is none, so the moment that would be 0 is one later.
func microseconds(version time.Time) int64 {
	if version.IsZero() {
		return 0
	}
	return cmp.Or(version.UnixMicro(), 1)
}

// Newer returns the rows of a kind and SKU that have, or may have, a newer version than the one given. Hold the row that guards them
// all while it is asked. The error is that of a handler.
func (s *Store) Newer(ctx context.Context, kind, sku string, than time.Time) ([]Key, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	rows, err := s.DB.Query(ctx, `SELECT sku, kind, scope FROM watermark WHERE sku = $1 AND kind = $2 AND greatest(written, lost, writing) > $3`, sku, kind, than)
	if err != nil {
		return nil, failure(err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (k Key, err error) {
		err = row.Scan(&k.SKU, &k.Kind, &k.Scope)
		return k, err
	})
	if err != nil {
		return nil, failure(err)
	}
	return all, nil
}

// Standing is a row as people see it.
type Standing struct {
	Key
	Written  *time.Time `json:"written"`
	Message  string     `json:"message"`
	Writing  *time.Time `json:"writing"` // while somebody has the row
	Lost     *time.Time `json:"uncertain"`
	Owner    string     `json:"owner"` // process, while its lease has not passed
	Earliest *time.Time `json:"not_before"`
}

// Show returns the rows of a SKU.
func (s *Store) Show(ctx context.Context, sku string) ([]Standing, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	rows, err := s.DB.Query(ctx, `
SELECT sku, kind, scope, written, message, CASE WHEN lease_until > now() THEN writing END, CASE WHEN lease_until > now() OR owner = '' THEN lost ELSE greatest(lost, writing) END,
	CASE WHEN lease_until > now() THEN owner ELSE '' END,
	nullif(greatest(CASE WHEN owner = '' THEN not_before WHEN lease_until <= now() THEN lease_until + $2::interval END, now()), now())
FROM watermark WHERE sku = $1 ORDER BY kind, scope`, sku, s.Timeout)
	if err != nil {
		return nil, fmt.Errorf("read the watermarks of %s: %w", sku, err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (st Standing, err error) {
		err = row.Scan(&st.SKU, &st.Kind, &st.Scope, &st.Written, &st.Message, &st.Writing, &st.Lost, &st.Owner, &st.Earliest)
		st.Owner = pg.NameOf(st.Owner)
		return st, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the watermarks of %s: %w", sku, err)
	}
	return all, nil
}

// Reset removes the rows of a SKU, so that any version counts as new, and returns how many there were. Those that are being written
// are left, and counted in held.
func (s *Store) Reset(ctx context.Context, sku string) (removed, held int, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err = s.DB.QueryRow(ctx, `
WITH gone AS (DELETE FROM watermark WHERE sku = $1 AND (owner = '' OR lease_until <= now()) RETURNING 1)
SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM watermark WHERE sku = $1) - (SELECT count(*) FROM gone)`, sku).Scan(&removed, &held)
	if err != nil {
		return 0, 0, fmt.Errorf("reset the watermarks of %s: %w", sku, err)
	}
	return removed, held, nil
}
