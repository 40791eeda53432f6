package faults

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// all are the faults that are injected here. docs/faults.md has those that other tests inject, too.
func all() []*scenario {
	return slices.Concat(brokerFaults, processFaults, postgresFaults, poolerFaults, remoteFaults, operationsFaults, trackingFaults, fileFaults)
}

// parts is in how many parts the faults are cut for those who have two minutes.
const parts = 10

// chosen tells which faults run, by MAGELINE_FAULTS, and how many random schedules.
func chosen(t *testing.T) (run func(f *scenario) bool, schedules int) {
	t.Helper()
	if *seedFlag != 0 || os.Getenv("MAGELINE_FAULTS_SEED") != "" {
		return func(*scenario) bool { return false }, 1
	}
	switch text := os.Getenv("MAGELINE_FAULTS"); text {
	case "all":
		return func(*scenario) bool { return true }, 4
	case "":
		day := time.Now().UTC().YearDay()
		if text := os.Getenv("MAGELINE_FAULTS_DAY"); text != "" { // has go test not take yesterday's result
			n, err := strconv.Atoi(text)
			if err != nil {
				t.Fatalf("MAGELINE_FAULTS_DAY is %q: want a number", text)
			}
			day = n
		}
		part := day % parts
		t.Logf("part %d of %d (day %d of the year); MAGELINE_FAULTS=all runs all", part+1, parts, day)
		return func(f *scenario) bool { return slices.Index(all(), f)%parts == part }, 1
	default:
		var numbers []int
		for word := range strings.SplitSeq(text, ",") {
			n, err := strconv.Atoi(strings.TrimSpace(word))
			if err != nil {
				t.Fatalf("MAGELINE_FAULTS is %q: want all, or numbers separated by commas", text)
			}
			numbers = append(numbers, n)
		}
		return func(f *scenario) bool { return slices.Contains(numbers, f.number) }, 0
	}
}

// seed is that of the fakes' random choices.
const fakeSeed = 4

func TestFaults(t *testing.T) {
	run, schedules := chosen(t)
	for _, seed := range seeds(t, schedules) {
		t.Run(fmt.Sprintf("seed-%d", seed), func(t *testing.T) {
			t.Parallel()
			schedule(t, seed)
		})
	}
	for _, f := range all() {
		if !run(f) {
			continue
		}
		t.Run(fmt.Sprintf("%02d-%s", f.number, strings.ReplaceAll(f.name, " ", "_")), func(t *testing.T) {
			if !f.ownBroker && !f.ownDatabase && f.nodes == 0 {
				t.Parallel()
			}
			w := newWorld(t, f, fakeSeed)
			defer func() {
				if t.Failed() {
					table.addFailed(f)
				}
			}()
			f.run(w)
			w.finish()
		})
	}
}
