package faults

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// all are the faults that are injected here. docs/faults.md has those that other tests inject, too.
func all() []*scenario {
	return slices.Concat(brokerFaults, upgradeFaults, processFaults, postgresFaults, poolerFaults, remoteFaults, operationsFaults, trackingFaults, fileFaults, alikeFaults, volumeFaults, searchFaults)
}

// seldom are the faults that `make faults` alone injects, each with one of its kind that every `make test` does, and so CI:
// they take long, or show little that the other does not. docs/faults.md lists them.
var seldom = map[int]int{
	1: 2, 5: 4, 7: 6, 12: 13, 15: 16, 18: 17, 25: 16, 31: 30, 32: 33, 36: 35, 38: 35, 39: 56, 41: 42, 46: 45, 48: 47, 49: 47,
	50: 29, 51: 52, 57: 56, 59: 58, 60: 58,
}

// chosen tells which faults run, by MAGELINE_FAULTS, and the seeds of the schedules that do.
func chosen(t *testing.T) (run func(f *scenario) bool, seeds []uint64) {
	t.Helper()
	if seed := seedAsked(t); seed != 0 {
		return func(*scenario) bool { return false }, []uint64{seed}
	}
	switch text := os.Getenv("MAGELINE_FAULTS"); text {
	case "all":
		return func(*scenario) bool { return true }, append(randomSeeds(4), failed...)
	case "":
		return func(f *scenario) bool { return seldom[f.number] == 0 }, failed
	default:
		var numbers []int
		for word := range strings.SplitSeq(text, ",") {
			n, err := strconv.Atoi(strings.TrimSpace(word))
			if err != nil {
				t.Fatalf("MAGELINE_FAULTS is %q: want all, or numbers separated by commas", text)
			}
			numbers = append(numbers, n)
		}
		return func(f *scenario) bool { return slices.Contains(numbers, f.number) }, nil
	}
}

// seed is that of the fakes' random choices.
const fakeSeed = 4

func TestFaults(t *testing.T) {
	run, seeds := chosen(t)
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed-%d", seed), func(t *testing.T) {
			t.Parallel()
			schedule(t, seed)
		})
	}
	lanes, alone := map[string][]*scenario{}, []*scenario{}
	for _, f := range all() {
		switch lane := f.lane(); {
		case !run(f):
		case lane != "":
			lanes[lane] = append(lanes[lane], f)
		default:
			alone = append(alone, f)
		}
	}
	// Those that take longest begin first: a lane at the end would have nothing beside it.
	for lane, faults := range lanes { // beside the others
		t.Run(lane, func(t *testing.T) {
			t.Parallel()
			for _, f := range faults {
				t.Run(f.test(), func(t *testing.T) { inject(t, f) })
			}
		})
	}
	slices.SortStableFunc(alone, func(a, b *scenario) int { return b.nodes - a.nodes }) // a cluster has to start first
	for _, f := range alone {
		t.Run(f.test(), func(t *testing.T) {
			t.Parallel()
			inject(t, f)
		})
	}
}

// test is the name of the fault's test.
func (f *scenario) test() string {
	return fmt.Sprintf("%02d-%s", f.number, strings.ReplaceAll(f.name, " ", "_"))
}

// inject has a fault happen in a world of its own, and reports what has become of the events.
func inject(t *testing.T, f *scenario) {
	t.Helper()
	defer func() {
		if t.Failed() {
			table.addFailed(f)
		}
	}()
	w := newWorld(t, f, fakeSeed)
	f.run(w)
	w.finish()
}
