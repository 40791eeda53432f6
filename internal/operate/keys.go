package operate

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/internal/config"
)

// Keys are the rows of the ledger.
type Keys struct {
	Ledger    *idempotency.Ledger
	Consumers []config.Consumer
}

const ledgerTable = "ledger"

// KeyStates are those that a row can have.
var KeyStates = []idempotency.State{
	idempotency.InProgress, idempotency.Uncertain, idempotency.Failed, idempotency.Waiting, idempotency.Skipped, idempotency.Done,
}

// NoKeyError means that the ledger has no row of a business key.
type NoKeyError struct{ Consumer, Key string }

func (e *NoKeyError) Error() string {
	return fmt.Sprintf("the ledger has nothing of %s:%s", e.Consumer, e.Key)
}

// Show returns the rows of a business key, of one effect where it is named, or fails with a *NoKeyError.
func (k Keys) Show(ctx context.Context, consumer, key, effect string) ([]idempotency.Row, error) {
	rows, err := k.Ledger.Rows(ctx, consumer, key)
	if err != nil {
		return nil, withoutTable(err, ledgerTable)
	}
	rows = slices.DeleteFunc(rows, func(row idempotency.Row) bool { return effect != "" && row.Key.Effect != effect })
	if len(rows) == 0 {
		return nil, &NoKeyError{consumer, key}
	}
	return rows, nil
}

// Release takes a business key from its owner, so that the next delivery looks in the downstream before it repeats
// anything. It returns the number of rows, or fails with a *NoKeyError.
func (k Keys) Release(ctx context.Context, consumer, key, effect string) (int, error) {
	n, err := k.Ledger.Release(ctx, consumer, key, effect)
	if err != nil {
		return 0, withoutTable(err, ledgerTable)
	}
	if n == 0 {
		return 0, &NoKeyError{consumer, key}
	}
	return n, nil
}

// List calls do for each row that matches, the newest first. A consumer that there is not is an error where nothing
// matches: a slip of the pen must not look like nothing to do.
func (k Keys) List(ctx context.Context, which idempotency.Filter, do func(idempotency.Row) error) error {
	found := false
	err := k.Ledger.List(ctx, which, func(row idempotency.Row) error {
		found = true
		return do(row)
	})
	known := names(k.Consumers)
	if err == nil && !found && which.Consumer != "" && !slices.Contains(known, which.Consumer) {
		return fmt.Errorf("the ledger has no such rows, and there is no consumer %q: there are %s", which.Consumer, strings.Join(known, ", "))
	}
	return withoutTable(err, ledgerTable)
}
