package operate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/pause"
)

// Pauses are what an operator has paused, on all replicas.
type Pauses struct{ DB pause.DB }

const pauseTable = "table of pauses"

// Pausable lists what can be paused: consumers and downstreams, also those that this build or deployment does not run, as
// another may.
func Pausable(consumers []config.Consumer) []string {
	return append(names(consumers), config.DownstreamMagento, config.DownstreamERP, "search")
}

// CheckPausable fails with a *UsageError for a name that can't be paused.
func CheckPausable(consumers []config.Consumer, name string) error {
	all := Pausable(consumers)
	if slices.Contains(all, name) {
		return nil
	}
	return &UsageError{fmt.Errorf("%q is neither a consumer nor a downstream: want one of %s", name, strings.Join(all, ", "))}
}

// Pause pauses a consumer or a downstream until a time; zero is until it is resumed. by names the operator.
func (p Pauses) Pause(ctx context.Context, name string, until time.Time, by string) (pause.Pause, error) {
	one, err := pause.Set(ctx, p.DB, name, until, by)
	return one, withoutTable(err, pauseTable)
}

// Resume ends a pause, and what the consumer or downstream waits for. It reports whether a pause stood.
func (p Pauses) Resume(ctx context.Context, name string) (stood bool, err error) {
	stood, err = pause.Clear(ctx, p.DB, name)
	return stood, withoutTable(err, pauseTable)
}

// List returns the pauses that stand.
func (p Pauses) List(ctx context.Context) ([]pause.Pause, error) {
	list, err := pause.List(ctx, p.DB)
	return list, withoutTable(err, pauseTable)
}
