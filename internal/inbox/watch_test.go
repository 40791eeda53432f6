package inbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/mageline/mageline/test/kit"
)

const patience = 30 * time.Second

// rig is a watcher that runs, and what it has told.
type rig struct {
	t   *testing.T
	dir string

	mu    sync.Mutex
	found []Found
	at    map[string]time.Time
	tell  error
	away  bool
	log   kit.Log

	watcher *Watcher
}

func watch(t *testing.T, dir string) *rig {
	t.Helper()
	return watchWith(t, dir, still)
}

// still is how long files must not have changed in these tests: longer than any of their goroutines may be kept waiting.
const still = defaultStill

func watchWith(t *testing.T, dir string, still time.Duration) *rig {
	t.Helper()
	r := &rig{t: t, dir: dir, at: map[string]time.Time{}}
	w := &Watcher{
		Dir: &Dir{Path: dir, Pattern: "*.csv"}, Log: zerolog.New(&r.log), still: still,
		Ready: func() bool { r.mu.Lock(); defer r.mu.Unlock(); return !r.away },
		Tell: func(_ context.Context, f Found) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.tell != nil {
				return r.tell
			}
			r.found = append(r.found, f)
			r.at[f.Path] = time.Now()
			return nil
		},
	}
	r.watcher = w
	ctx, cancel := context.WithCancel(t.Context())
	var ended sync.WaitGroup
	ended.Go(func() { w.Run(ctx) })
	t.Cleanup(func() { cancel(); ended.Wait() })
	return r
}

func (r *rig) told() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return names(r.found)
}

func (r *rig) set(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

func (r *rig) awaitTold(want ...string) {
	r.t.Helper()
	slices.Sort(want)
	kit.Eventually(r.t, patience, func() bool { return slices.Equal(r.told(), want) }, fmt.Sprintf("the watcher to tell of %q; it told of %q", want, r.told()))
}

func (r *rig) awaitLog(event string, fields ...string) {
	r.t.Helper()
	kit.Eventually(r.t, patience, func() bool { return r.log.Has(event, fields...) }, fmt.Sprintf("the log to have %s with %q", event, fields))
}

func TestWatcher_FindsFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, "there at start", dir, "old.csv")
	put(t, "no match", dir, "notes.txt")
	put(t, "hidden", dir, ".upload.csv")
	put(t, "done", dir, "processed", "done.csv")
	put(t, "x", dir, "caf\xe9.csv")
	if err := os.Symlink("old.csv", filepath.Join(dir, "link.csv")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "folder.csv"), 0o755); err != nil {
		t.Fatal(err)
	}
	r := watch(t, dir)
	r.awaitLog("inbox_watched")

	began := time.Now()
	put(t, "written", dir, "with spaces – ü.csv")
	r.awaitTold("old.csv", "with spaces – ü.csv")
	if took := time.Since(began); took < still {
		t.Errorf("a file that might be written to still counts as complete after %s", took)
	}
	sum := sha256.Sum256([]byte("written"))
	r.set(func() {
		if f := r.found[slices.IndexFunc(r.found, func(f Found) bool { return f.Path != "old.csv" })]; f.SHA256 != hex.EncodeToString(sum[:]) || f.Size != 7 {
			t.Errorf("told %+v", f)
		}
	})
	for _, text := range []string{"link.csv", "not UTF-8"} {
		if n := len(r.log.Lines("inbox_problem", "error", text)); n != 1 {
			t.Errorf("%q is in the log %d times:\n%s", text, n, r.log.String())
		}
	}
	for _, name := range []string{Processed, Failed} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	// The same name with other content is a new file.
	put(t, "other", dir, "old.csv")
	r.awaitTold("old.csv", "old.csv", "with spaces – ü.csv")
}

func TestWatcher_TakesAMovedFileAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := watchWith(t, dir, time.Hour)
	r.awaitLog("inbox_watched")
	if !r.log.Has("inbox_watched", "inotify", "true") {
		t.Fatalf("this system has no inotify: %s", r.log.String())
	}
	from := put(t, "whole", dir, "upload.part")
	if err := os.Rename(from, filepath.Join(dir, "upload.csv")); err != nil {
		t.Fatal(err)
	}
	r.awaitTold("upload.csv")
}

func TestWatcher_WaitsForASlowWriter(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := watch(t, dir)
	f, err := os.Create(filepath.Join(dir, "slow.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var last time.Time
	tick := time.NewTicker(still / 8)
	defer tick.Stop()
	for range 20 {
		last = time.Now()
		if _, err := f.WriteString("row\n"); err != nil {
			t.Fatal(err)
		}
		<-tick.C // the time is what this is about
	}
	r.awaitTold("slow.csv")
	r.set(func() {
		if r.found[0].Size != 80 || r.at["slow.csv"].Sub(last) < still {
			t.Errorf("told %+v %s after the last write", r.found[0], r.at["slow.csv"].Sub(last))
		}
	})
}

func TestWatcher_SurvivesAVanishedDirectory(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	dir := filepath.Join(parent, "inbox")
	r := watch(t, dir)
	r.awaitLog("inbox_problem", "error", "can't be opened")
	put(t, "1", dir, "a.csv")
	r.awaitTold("a.csv")
	if err := os.Rename(dir, filepath.Join(parent, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, patience, func() bool { return len(r.log.Lines("inbox_problem", "error", "can't be opened")) == 2 }, "the log to say that the inbox is away again")
	put(t, "2", dir, "b.csv") // another directory
	r.awaitTold("a.csv", "b.csv")
	if err := os.Rename(put(t, "3", parent, "c.csv"), filepath.Join(dir, "c.csv")); err != nil {
		t.Fatal(err)
	}
	r.awaitTold("a.csv", "b.csv", "c.csv")
}

// What can't be told, or not yet, is told later; one file that can't be read keeps none of the others waiting.
func TestWatcher_RepeatsATellThatFailed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := watch(t, dir)
	r.set(func() { r.tell = errors.New("no route") })
	put(t, "1", dir, "a.csv")
	r.awaitLog("inbox_problem", "error", "no route")
	r.set(func() { r.away = true; r.tell = nil })
	put(t, "2", dir, "b.csv")
	r.set(func() { r.away = false })
	r.awaitTold("a.csv", "b.csv")
	if n := len(r.log.Lines("inbox_problem", "error", "no route")); n != 1 {
		t.Errorf("it was said %d times:\n%s", n, r.log.String())
	}
}

func TestWatcher_FindsManyFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const files = 1500
	var want []string
	for i := range files {
		name := fmt.Sprintf("%04d.csv", i)
		put(t, name, dir, name)
		want = append(want, name)
	}
	r := watch(t, dir)
	r.awaitTold(want...)
}

// How long the oldest file waits is known while it is there, whatever comes and goes beside it.
func TestWatcher_KnowsTheOldestFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := watch(t, dir)
	oldest := func() time.Time {
		since, ok := r.watcher.Oldest()
		if !ok {
			return time.Time{}
		}
		return since
	}
	r.awaitLog("inbox_watched")
	if at := oldest(); !at.IsZero() {
		t.Errorf("an empty inbox has a file since %s", at)
	}
	put(t, "first", dir, "first.csv")
	kit.Eventually(t, patience, func() bool { return !oldest().IsZero() }, "the file to be seen")
	first := oldest()
	put(t, "second", dir, "second.csv")
	r.awaitTold("first.csv", "second.csv")
	if again := oldest(); !again.Equal(first) {
		t.Errorf("the oldest is there since %s, and then since %s", first, again)
	}
	for _, name := range []string{"first.csv", "second.csv"} {
		before := oldest()
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		kit.Eventually(t, patience, func() bool { return oldest().After(before) || oldest().IsZero() }, "the file to be gone")
	}
	if at := oldest(); !at.IsZero() {
		t.Errorf("an empty inbox has a file since %s", at)
	}
}
