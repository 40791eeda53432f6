package idempotency

import (
	"github.com/jackc/pgx/v5"

	"github.com/mageline/mageline/event"
)

// Projection is a table of the caller's that follows effects: its rows change in the transaction that records how an effect
// ended. What is written there is never ahead of the ledger, nor behind it.
//
// Its statements run in the ledger's own transactions, which many effects share: one statement for all rows, with an array
// for each column, whose rows it locks in the order in which it gets them. What it can't write fails its effect's end.
type Projection interface {
	// Name is that of its table. Transactions write projections in the order of their names.
	Name() string
	// Write queues the statement that writes changes. They are sorted by Row, and no Row is among them twice. The statement
	// writes only what the ledger has recorded, by a join with [Recorded].
	Write(b *pgx.Batch, changes []Change)
	// Forget queues the statement that removes what belongs to effects that Retain has removed: those of keys of which the
	// ledger has no row.
	Forget(b *pgx.Batch, keys []Key)
}

// Change is a change of one row of a Projection, handed in with a [Result].
type Change struct {
	In    Projection // one of Options.Projections
	Row   string     // the key of the row; empty for the effect's business key
	Value any        // what Write makes of it

	// Set by the ledger: the effect, as it is stored, the owner of its claim, and what is recorded.
	Effect Key
	Owner  string
	State  State
	Result string
}

// Recorded is a join of a Projection's statement. It keeps of the rows r (consumer, key, effect, owner) those whose end the
// ledger has recorded, and has their state as recorded.state. A claim that another owner has taken over leaves no trace. The
// subselect keeps the planner from scanning the table.
const Recorded = `
CROSS JOIN LATERAL (SELECT effect.state FROM effect
	WHERE effect.consumer = r.consumer AND effect.key = r.key AND effect.effect = r.effect AND effect.owner = r.owner
	OFFSET 0) AS recorded`

// known returns changes as they are written with the end of an effect.
func (l *Ledger) known(key Key, changes []Change) ([]Change, error) {
	for i := range changes {
		c := &changes[i]
		if c.Row == "" {
			c.Row = key.Key
		}
		c.Effect = key
		found := false
		for _, p := range l.projections {
			found = found || p == c.In
		}
		if !found {
			return nil, event.Errorf(event.Internal, "%s changes a projection that the ledger was not opened with", key)
		}
	}
	return changes, nil
}
