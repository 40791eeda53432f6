package pg

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mageline/mageline/event"
)

// LeaseChange is a change of one row of table lease, a claim on a name. It goes in a transaction with others by
// [ChangeLeases].
type LeaseChange struct {
	Name, Owner string
	// Number is 1 to take the lease, whoever had it, if it may be taken. A higher one belongs to the holder: its claim's
	// number plus one.
	Number int64
	Free   bool // release it

	// Found, HeldBy and Claim are noted by the transaction: the row as it was after it. The change was made if HeldBy is the
	// Owner, or nobody's after a release.
	Found  bool
	HeldBy string
	Claim  int64
}

// Compare is the order in which the rows of leases are locked.
func (c *LeaseChange) Compare(other *LeaseChange) int {
	switch {
	case c.Name < other.Name:
		return -1
	case c.Name > other.Name:
		return 1
	}
	return 0
}

// A lease that is released has no owner and has passed.
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

// ChangeLeases queues a statement that makes changes for a lease of ttl, and notes in each what has become of it. They are
// sorted by name, and no name is among them twice. What has lost to another holder is not Found; [ReadLeases] says who that
// is.
func ChangeLeases(b *pgx.Batch, ttl time.Duration, changes []*LeaseChange) {
	if len(changes) == 0 {
		return
	}
	var (
		names, owners = make([]string, len(changes)), make([]string, len(changes))
		numbers       = make([]int64, len(changes))
		free          = make([]bool, len(changes))
	)
	for i, c := range changes {
		c.Found = false
		names[i], owners[i], numbers[i], free[i] = c.Name, c.Owner, c.Number, c.Free
	}
	b.Queue(changeLeases, ttl, names, owners, numbers, free).Query(func(rows pgx.Rows) error {
		var (
			name, owner string
			number      int64
			next        int
		)
		_, err := pgx.ForEachRow(rows, []any{&name, &owner, &number}, func() error {
			for next < len(changes) && changes[next].Name != name {
				next++
			}
			if next == len(changes) {
				return fmt.Errorf("%w: leases came back in another order than they were sent", ErrRow)
			}
			changes[next].Found, changes[next].HeldBy, changes[next].Claim = true, owner, number
			return nil
		})
		return err
	})
}

const readLeases = `
SELECT r.n, e.owner, e.claim
FROM unnest($1::text[]) WITH ORDINALITY AS r(name, n)
CROSS JOIN LATERAL (SELECT * FROM lease WHERE lease.name = r.name OFFSET 0) AS e`

// ReadLeases queues a statement that notes who holds the leases of changes that have lost, in a transaction after that of
// [ChangeLeases].
func ReadLeases(b *pgx.Batch, changes []*LeaseChange) {
	if len(changes) == 0 {
		return
	}
	names := make([]string, len(changes))
	for i, c := range changes {
		names[i] = c.Name
	}
	b.Queue(readLeases, names).Query(func(rows pgx.Rows) error {
		var (
			n, number int64
			owner     string
		)
		_, err := pgx.ForEachRow(rows, []any{&n, &owner, &number}, func() error {
			c := changes[n-1]
			c.Found, c.HeldBy, c.Claim = true, owner, number
			return nil
		})
		return err
	})
}

// Leases takes leases: claims on names, of which no two holders on any replica have one at a time. It is safe for use by
// many goroutines.
type Leases struct {
	Process *Process
	TTL     time.Duration
	// Write has a change made, and returns when that has committed: in the group of a caller that has one. It returns the
	// change with what was noted, and this process's clock before its transaction was sent.
	Write func(ctx context.Context, c LeaseChange) (made LeaseChange, started time.Time, err error)
	// Unreleased is told of a lease whose release could not be written.
	Unreleased func(c LeaseChange, err error)
}

// Lease is one that is to be taken, or is held.
type Lease struct {
	leases  *Leases
	what    string // for messages
	claim   LeaseChange
	started time.Time
}

// releaseTimeout bounds the wait for the release of a lease; one that could not be written is left to Unreleased, or passes
// by itself.
const releaseTimeout = 5 * time.Second

// Take takes the lease of a name. Held by another, or with Postgres away, it fails with an *event.Deferral.
//
// The context that it returns ends before the lease does, and carries the event.Clock of a [Hold]. release releases the
// lease at once, whatever has become of ctx; it must be called, and more than once does no harm.
func (l *Leases) Take(ctx context.Context, name string) (held context.Context, release func(), err error) {
	a := l.New(name)
	made, started, err := l.Write(ctx, a.Change())
	if err := a.Taken(made, started, err); err != nil {
		return nil, nil, err
	}
	h := a.Hold(ctx)
	var once sync.Once
	release = func() {
		once.Do(func() {
			_ = h.End()
			a.Release(ctx)
		})
	}
	return h.Context(), release, nil
}

// New returns a lease that is to be taken by its Change, which goes with the changes of the caller.
func (l *Leases) New(name string) *Lease {
	return &Lease{
		leases: l, what: fmt.Sprintf("lease %q", name),
		claim: LeaseChange{Name: name, Owner: l.Process.Token(), Number: 1},
	}
}

// Change returns the change that takes the lease, or that renews it once it is taken.
func (a *Lease) Change() LeaseChange {
	c := LeaseChange{Name: a.claim.Name, Owner: a.claim.Owner, Number: 1}
	if a.claim.Found {
		c.Number = a.claim.Claim + 1
	}
	return c
}

// Taken notes what became of the change that takes it. An error says that another has the lease, or Postgres is away.
func (a *Lease) Taken(made LeaseChange, started time.Time, err error) error {
	switch {
	case err != nil:
		return fmt.Errorf("take %s: %w", a.what, err)
	case made.HeldBy != a.claim.Owner:
		return &event.Deferral{Reason: fmt.Sprintf("%s is held by %s", a.what, NameOf(made.HeldBy)), Busy: true}
	}
	a.claim, a.started = made, started
	return nil
}

// Hold begins to hold a lease that was taken.
func (a *Lease) Hold(ctx context.Context) *Hold {
	return NewHold(ctx, Claim{
		What: a.what, Owner: a.claim.Owner, Started: a.started, Lease: a.leases.TTL,
		Renew: func(ctx context.Context) (time.Time, string, error) {
			made, started, err := a.leases.Write(ctx, a.Change())
			return started, made.HeldBy, err
		},
	})
}

// Release releases the lease, whatever has become of ctx.
func (a *Lease) Release(ctx context.Context) {
	c := a.Free()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	if _, _, err := a.leases.Write(ctx, c); err != nil {
		a.leases.Unreleased(c, err)
	}
}

// Free returns the change that releases a lease that was taken.
func (a *Lease) Free() LeaseChange {
	c := a.Change()
	c.Free = true
	return c
}
