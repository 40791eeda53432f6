// Package operate is what an operator does to a running mageline: looks at dead letters, replays and drops them, pauses
// and resumes, looks at keys and releases them, declares and unbinds. A shell and a page do the same by it. It returns
// typed results and prints nothing; what it says for a person to do next may name mageline's commands and variables.
package operate

import (
	"fmt"

	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/pg"
)

// UsageError is a request that makes no sense however things stand. Nothing was done.
type UsageError struct{ Err error }

func (e *UsageError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *UsageError) Unwrap() error { return e.Err }

// names lists those of consumers.
func names(consumers []config.Consumer) []string {
	all := make([]string, 0, len(consumers))
	for _, c := range consumers {
		all = append(all, c.Name)
	}
	return all
}

// Explain adds what to do to an error of Postgres that the tables are missing.
func Explain(err error) error { return withoutTable(err, "tables of mageline") }

// withoutTable adds what to do to an error of Postgres that a table is missing.
func withoutTable(err error, missing string) error {
	if pg.Code(err) == pg.UndefinedTable {
		return fmt.Errorf("the database has no %s yet, `mageline migrate` makes it: %w", missing, err)
	}
	return err
}
