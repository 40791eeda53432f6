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
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/mageline/mageline/test/kit"
)

const patience = 30 * time.Second

// rig is a watcher that runs, and what it has told. Its clock stands still, until a test advances it.
type rig struct {
	t   *testing.T
	dir string

	mu    sync.Mutex
	now   time.Time
	found []Found
	calls map[string]int // looks at a file, by path
	tell  error
	away  bool
	log   kit.Log

	watcher *Watcher
	looker  *Looker
}

// notes are those of all processes.
type notes struct {
	now func() time.Time

	mu  sync.Mutex
	all map[string]Taken
	at  map[string]time.Time
}

func (n *notes) Put(_ context.Context, t Taken) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.all == nil {
		n.all, n.at = map[string]Taken{}, map[string]time.Time{}
	}
	if _, there := n.at[t.Path]; !there {
		n.at[t.Path] = n.now()
	}
	n.all[t.Path] = t
	return nil
}

func (n *notes) Drop(_ context.Context, path string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.all, path)
	delete(n.at, path)
	return nil
}

func (n *notes) All(context.Context) (all []Taken, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for path, t := range n.all {
		t.Age = n.now().Sub(n.at[path])
		all = append(all, t)
	}
	return all, nil
}

func (r *rig) look() {
	r.t.Helper()
	if err := r.looker.Look(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

func watch(t *testing.T, dir string) *rig {
	t.Helper()
	r := &rig{t: t, dir: dir, now: time.Now(), calls: map[string]int{}}
	csv, err := Globs("*.csv")
	if err != nil {
		t.Fatal(err)
	}
	r.watcher = &Watcher{
		Dir: &Dir{Path: dir, now: r.time, Notes: &notes{now: r.time}}, Log: zerolog.New(&r.log), poll: 2 * time.Millisecond,
		Takes: func(path string) bool {
			r.set(func() { r.calls[path]++ })
			return csv(filepath.Base(path))
		},
		Ready: func() bool { r.mu.Lock(); defer r.mu.Unlock(); return !r.away },
		Tell: func(_ context.Context, f Found) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.tell != nil {
				return r.tell
			}
			r.found = append(r.found, f)
			return nil
		},
	}
	r.looker = &Looker{Dir: r.watcher.Dir, Log: zerolog.New(&r.log)}
	ctx, cancel := context.WithCancel(t.Context())
	var ended sync.WaitGroup
	ended.Go(func() { r.watcher.Run(ctx) })
	t.Cleanup(func() { cancel(); ended.Wait() })
	return r
}

func (r *rig) time() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

// pass lets time pass, all of which the watcher has noticed when it returns.
func (r *rig) pass(d time.Duration, path string) {
	r.t.Helper()
	r.looked(path) // as it is now, by the clock of now
	r.set(func() { r.now = r.now.Add(d) })
	r.looked(path)
}

// looked waits until a whole look has begun and ended.
func (r *rig) looked(path string) {
	r.t.Helper()
	const callsOfALook = 3
	var before int
	r.set(func() { before = r.calls[path] })
	kit.Eventually(r.t, patience, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.calls[path] >= before+3*callsOfALook
	}, "the watcher to look at "+path)
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

func (r *rig) isTold(want ...string) {
	r.t.Helper()
	if got := r.told(); !slices.Equal(got, want) {
		r.t.Fatalf("told of %q, want %q", got, want)
	}
}

func (r *rig) awaitLog(event string, fields ...string) {
	r.t.Helper()
	kit.Eventually(r.t, patience, func() bool { return r.log.Has(event, fields...) }, fmt.Sprintf("the log to have %s with %q", event, fields))
}

// writer is one that has a file open.
type writer struct {
	t *testing.T
	f *os.File
}

func create(t *testing.T, path ...string) *writer {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(path...), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return &writer{t, f}
}

func (w *writer) write(text string) *writer {
	w.t.Helper()
	if _, err := w.f.WriteString(text); err != nil {
		w.t.Fatal(err)
	}
	return w
}

func (w *writer) close() {
	w.t.Helper()
	if err := w.f.Close(); err != nil {
		w.t.Fatal(err)
	}
}

// moveIn drops a file as it is recommended.
func (r *rig) moveIn(content, path string) {
	r.t.Helper()
	from := put(r.t, content, r.t.TempDir(), "whole")
	if err := os.Rename(from, filepath.Join(r.dir, path)); err != nil {
		r.t.Fatal(err)
	}
}

func TestWatcher_FindsFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, "there at start\n", dir, "old.csv")
	put(t, "no match\n", dir, "notes.dat")
	put(t, "hidden\n", dir, ".upload.csv")
	put(t, "done\n", dir, "processed", "done.csv")
	put(t, "done\n", dir, "failed", "acme", "done.csv")
	put(t, "x\n", dir, "caf\xe9.csv")
	put(t, "too deep\n", dir, "acme", "2026", "deep.csv")
	put(t, "of a 3PL\n", dir, "acme", "of.CSV")
	if err := os.Symlink("old.csv", filepath.Join(dir, "link.csv")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "folder.csv"), 0o755); err != nil {
		t.Fatal(err)
	}
	r := watch(t, dir)
	r.awaitLog("inbox_watched")
	put(t, "written\n", dir, "with spaces – ü.csv")
	put(t, "written\n", dir, "new", "in a new folder.csv")
	r.looked("with spaces – ü.csv")
	r.isTold()
	r.pass(unclosed*DefaultStill, "with spaces – ü.csv")
	r.awaitTold("old.csv", "with spaces – ü.csv", "acme/of.CSV", "new/in a new folder.csv")
	sum := sha256.Sum256([]byte("written\n"))
	r.set(func() {
		if f := r.found[slices.IndexFunc(r.found, func(f Found) bool { return strings.HasPrefix(f.Path, "with") })]; f.SHA256 != hex.EncodeToString(sum[:]) || f.Size != 8 {
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
	put(t, "other\n", dir, "old.csv")
	r.pass(unclosed*DefaultStill, "old.csv")
	r.awaitTold("old.csv", "old.csv", "with spaces – ü.csv", "acme/of.CSV", "new/in a new folder.csv")
}

// What no pattern takes is named once, and can be asked for.
func TestWatcher_NamesFilesThatNoPatternTakes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := watch(t, dir)
	put(t, "x\n", dir, "acme", "list.xml")
	put(t, "x\n", dir, "upload.part")
	r.pass(time.Second, "upload.part")
	if r.log.Has("inbox_file_untaken") {
		t.Errorf("an upload that is under way is named:\n%s", r.log.String())
	}
	if err := os.Rename(filepath.Join(dir, "upload.part"), filepath.Join(dir, "upload.csv")); err != nil {
		t.Fatal(err)
	}
	r.awaitTold("upload.csv")
	r.pass(30*time.Minute, "acme/list.xml")
	r.awaitLog("inbox_file_untaken", "file", "acme/list.xml")
	if got := r.watcher.Untaken(time.Hour); len(got) != 0 {
		t.Errorf("untaken: %q", got)
	}
	r.pass(30*time.Minute, "acme/list.xml")
	kit.Eventually(t, patience, func() bool { return slices.Equal(r.watcher.Untaken(time.Hour), []string{"acme/list.xml"}) }, "the file to be untaken")
	if n := len(r.log.Lines("inbox_file_untaken")); n != 1 {
		t.Errorf("it is named %d times:\n%s", n, r.log.String())
	}
}

func TestWatcher_TakesAMovedFileAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := watch(t, dir)
	r.awaitLog("inbox_watched")
	if !r.log.Has("inbox_watched", "inotify", "true") {
		t.Fatalf("this system has no inotify: %s", r.log.String())
	}
	r.moveIn("whole\n", "upload.csv")
	r.awaitTold("upload.csv")
}

// A file is complete when it was closed and still, three times as long where nobody has seen it closed, and a minute where
// its end may be missing. Each case fails at the first time and is told of at the second.
func TestWatcher_WaitsForWholeFiles(t *testing.T) {
	t.Parallel()
	const still = DefaultStill
	for _, c := range []struct {
		name, content string
		closed, moved bool
		before, after time.Duration
	}{
		{"closed", "a\n1\n", true, false, still - 1, still},
		{"closed, CR alone", "a\r1\r", true, false, still - 1, still},
		{"closed, UTF-16", "a\x00\n\x00", true, false, still - 1, still},
		{"closed, an archive", "PK\x03\x04xx", true, false, still - 1, still},
		{"closed, gzip", "\x1f\x8bxx", true, false, still - 1, still},
		{"open", "a\n1\n", false, false, 3*still - 1, 3 * still},
		{"closed, without a line break", "a\n1", true, false, time.Minute - 1, time.Minute},
		{"open, in a number", "a\n1", false, false, time.Minute - 1, time.Minute},
		{"closed and empty", "", true, false, time.Minute - 1, time.Minute},
		{"moved, in a number", "a\n1", true, true, 50 * time.Second, time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			r := watch(t, dir)
			r.awaitLog("inbox_watched")
			if c.moved {
				r.moveIn(c.content, "a.csv")
			} else if w := create(t, dir, "a.csv").write(c.content); c.closed {
				w.close()
			}
			r.pass(c.before, "a.csv")
			r.isTold()
			r.pass(c.after-c.before, "a.csv")
			r.awaitTold("a.csv")
		})
	}
}

// One writer has closed the file, and another one writes on.
func TestWatcher_WaitsForTheSecondWriter(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := watch(t, dir)
	r.awaitLog("inbox_watched")
	second := create(t, dir, "a.csv")
	create(t, dir, "a.csv").write("a,b\n1,2\n").close()
	r.pass(5*time.Second, "a.csv")
	second.write("3,4\n")
	kit.Eventually(t, patience, func() bool { return r.size("a.csv") == 12 }, "the second write to be seen")
	r.pass(DefaultStill, "a.csv")
	r.isTold()
	second.close()
	r.awaitTold("a.csv")
}

// size is that of a file as the watcher knows it.
func (r *rig) size(path string) int64 {
	r.looked(path)
	info, err := os.Stat(filepath.Join(r.dir, path))
	if err != nil {
		r.t.Fatal(err)
	}
	return info.Size()
}

// take does what a handler does with a file that it was told of.
func (r *rig) take(path string, bad string) {
	r.t.Helper()
	var sum string
	r.set(func() { sum = r.found[len(r.found)-1].SHA256 })
	f := open(r.t, r.watcher.Dir, path)
	if bad != "" {
		reject(r.t, f, sum, bad)
	}
	if name, err := f.Processed(r.t.Context(), sum); err != nil || name == "" {
		r.t.Fatalf("it went to %q, %v", name, err)
	}
}

// Whoever has a file open may write to it after it was moved: nothing of that is lost, and no bad row is there twice.
func TestLooker_PutsAGrowingFileBack(t *testing.T) {
	t.Parallel()
	for _, apart := range []bool{false, true} { // on one file system, or on several
		for _, after := range DefaultLooks() {
			t.Run(fmt.Sprint(after, apart), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				if err := os.Mkdir(filepath.Join(dir, "acme"), 0o755); err != nil {
					t.Fatal(err)
				}
				r := watch(t, dir)
				if apart {
					r.watcher.Dir.rename = func(root *os.Root, from, to string) error {
						if strings.HasPrefix(to, Processed) != strings.HasPrefix(from, Processed) {
							return &os.LinkError{Op: "rename", Err: syscall.EXDEV}
						}
						return root.Rename(from, to)
					}
				}
				r.awaitLog("inbox_watched")
				put(t, "x", dir, "sentinel.dat")
				w := create(t, dir, "acme", "a.csv").write("a\n1\n")
				r.pass(unclosed*DefaultStill, "acme/a.csv")
				r.awaitTold("acme/a.csv")
				r.take("acme/a.csv", "bad")
				r.pass(after-time.Second, "sentinel.dat")
				r.look()
				w.write("2\n3")
				r.look() // it is not time
				if got := tree(t, dir); got["failed/acme/a.csv.rejected.csv"] != "bad" || got["processed/acme/a.csv"] == "" {
					t.Errorf("the inbox has %q", got)
				}
				r.pass(time.Second, "sentinel.dat")
				r.look()
				r.awaitLog("inbox_file_grown", "file", "acme/a.csv")
				isTree(t, dir, map[string]string{"sentinel.dat": "x", "acme/a.csv": "a\n1\n2\n3"})
				r.pass(DefaultStill, "acme/a.csv")
				r.isTold("acme/a.csv") // it is not complete because it was moved
				w.write("4\n").close()
				r.pass(unclosed*DefaultStill, "acme/a.csv")
				r.awaitTold("acme/a.csv", "acme/a.csv")
				r.take("acme/a.csv", "")
				r.pass(11*time.Minute, "sentinel.dat")
				r.look()
				isTree(t, dir, map[string]string{"sentinel.dat": "x", "processed/acme/a.csv": "a\n1\n2\n34\n"})
				if left, _ := r.watcher.Dir.Notes.All(t.Context()); len(left) != 0 || len(r.log.Lines("inbox_file_grown")) != 1 {
					t.Errorf("notes: %+v; log:\n%s", left, r.log.String())
				}
			})
		}
	}
}

// A copy over NFS may have its length before its content, and a process may die over a file. What lies in failed/ because of
// a file goes with it; bad rows that its new content does not have stay.
func TestLooker_GoesOnWithWhatOthersHaveTaken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := fixed()
	kept := &notes{now: func() time.Time { return now }}
	d := &Dir{Path: dir, Notes: kept}
	const holes = "a\x00\x00\x00"
	for _, name := range []string{"holes.csv", "other.csv", "same.csv", "begun.csv", "gone.csv"} {
		put(t, holes, dir, name)
		sum := hex.EncodeToString(hashed(holes))
		f := open(t, d, name)
		if name == "other.csv" {
			reject(t, f, sum, "bad")
			if _, err := f.Processed(t.Context(), sum); err != nil {
				t.Fatal(err)
			}
		} else if _, err := f.Failed(t.Context(), sum, "why"); err != nil {
			t.Fatal(err)
		}
	}
	put(t, "a\n1\n", dir, "failed", "holes.csv")
	put(t, "b\n1\n", dir, "processed", "other.csv")
	begun := kept.all["failed/begun.csv"]
	err := errors.Join(
		os.Rename(filepath.Join(dir, "failed", "begun.csv"), filepath.Join(dir, begun.hidden(backEnding))),
		os.Remove(filepath.Join(dir, "failed", "gone.csv")),
		// This one's process has died before its move.
		kept.Put(t.Context(), Taken{Path: "processed/late.csv", From: "late.csv", Size: 2}),
		kept.Put(t.Context(), Taken{Path: "processed/../../out.csv", From: "late.csv", Size: 2}),
	)
	if err != nil {
		t.Fatal(err)
	}
	put(t, "", dir, "processed", "late.csv")
	var log kit.Log
	for _, pass := range []time.Duration{10 * time.Second, time.Second, 10 * time.Minute} {
		now = now.Add(pass)
		if err := (&Looker{Dir: d, Log: zerolog.New(&log)}).Look(t.Context()); err != nil { // each time another process
			t.Fatal(err)
		}
	}
	isTree(t, dir, map[string]string{
		"holes.csv": "a\n1\n", "other.csv": "b\n1\n", "failed/other.csv.rejected.csv": "bad", "begun.csv": holes,
		"failed/same.csv": holes, "failed/same.csv.error.txt": "why", "failed/gone.csv.error.txt": "why",
	})
	if len(log.Lines("inbox_file_grown")) != 3 || len(kept.all) != 0 {
		t.Errorf("notes: %+v; log:\n%s", kept.all, log.String())
	}
}

func hashed(content string) []byte {
	sum := sha256.Sum256([]byte(content))
	return sum[:]
}

// All changes may be lost: then no file is complete because of what was told before.
func TestWatcher_DoubtsWhatItWasToldWhenTheSystemLosesChanges(t *testing.T) {
	t.Parallel()
	w := &Watcher{}
	w.begin()
	w.note(change{path: "a", closed: true})
	w.note(change{path: "b", moved: true})
	w.note(change{path: "c", moved: true})
	w.note(change{path: "c", written: true})
	if !w.known["a"].closed || !w.known["b"].moved || w.known["c"].moved {
		t.Errorf("known: %+v, %+v, %+v", w.known["a"], w.known["b"], w.known["c"])
	}
	w.note(change{lost: true})
	if w.known["a"].closed || w.known["b"].moved {
		t.Errorf("known: %+v, %+v", w.known["a"], w.known["b"])
	}
}

func TestWatcher_SurvivesAVanishedDirectory(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	dir := filepath.Join(parent, "inbox")
	r := watch(t, dir)
	r.awaitLog("inbox_problem", "error", "can't be opened")
	put(t, "1\n", dir, "a.csv")
	r.pass(unclosed*DefaultStill, "a.csv")
	r.awaitTold("a.csv")
	if err := os.Rename(dir, filepath.Join(parent, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, patience, func() bool { return len(r.log.Lines("inbox_problem", "error", "can't be opened")) == 2 }, "the log to say that the inbox is away again")
	put(t, "2\n", dir, "b.csv") // another directory
	r.pass(unclosed*DefaultStill, "b.csv")
	r.awaitTold("a.csv", "b.csv")
	r.moveIn("3\n", "c.csv")
	r.awaitTold("a.csv", "b.csv", "c.csv")
}

// What can't be told, or not yet, is told later.
func TestWatcher_RepeatsATellThatFailed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := watch(t, dir)
	r.awaitLog("inbox_watched")
	r.set(func() { r.tell = errors.New("no route") })
	r.moveIn("1\n", "a.csv")
	r.awaitLog("inbox_problem", "error", "no route")
	r.set(func() { r.away = true; r.tell = nil })
	r.moveIn("2\n", "b.csv")
	r.pass(time.Minute, "a.csv")
	r.set(func() { r.away = false })
	r.awaitTold("a.csv", "b.csv")
	if n := len(r.log.Lines("inbox_problem", "error", "no route")); n != 1 {
		t.Errorf("it was said %d times:\n%s", n, r.log.String())
	}
}

// A folder that can't be read is that 3PL's problem.
func TestWatcher_GoesOnBesideAFolderThatCantBeRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, "1\n", dir, "acme", "a.csv")
	put(t, "2\n", dir, "b.csv")
	put(t, "3\n", dir, "zenith", "c.csv")
	r := watch(t, dir)
	if os.Geteuid() != 0 {
		if err := os.Chmod(filepath.Join(dir, "acme"), 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(filepath.Join(dir, "acme"), 0o755) }) //nolint:gosec // a directory
		r.pass(unclosed*DefaultStill, "zenith/c.csv")
		r.awaitTold("b.csv", "zenith/c.csv")
		return
	}
	r.pass(unclosed*DefaultStill, "zenith/c.csv")
	r.awaitTold("acme/a.csv", "b.csv", "zenith/c.csv")
}

func TestWatcher_FindsManyFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const files = 1500
	var want []string
	for i := range files {
		name := fmt.Sprintf("%04d.csv", i)
		put(t, name+"\n", dir, name)
		want = append(want, name)
	}
	r := watch(t, dir)
	r.pass(unclosed*DefaultStill, "1499.csv")
	r.awaitTold(want...)
}

func TestGlobs_MatchWhateverTheCase(t *testing.T) {
	match, err := Globs("*.csv, Export_?.TXT,")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"a.csv": true, "A.CSV": true, "export_1.txt": true, "export_11.txt": false, "a.tsv": false, "": false} {
		if match(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
	if _, err := Globs("*.csv,[a"); err == nil {
		t.Error("a pattern that is none was taken")
	}
}

// How long the oldest file waits is known while it is there, whatever comes and goes beside it, and however it grows.
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
	began := r.time()
	put(t, "first\n", dir, "first.csv")
	put(t, "nobody's", dir, "untaken.dat")
	kit.Eventually(t, patience, func() bool { return oldest().Equal(began) }, "the file to be seen")
	r.pass(time.Minute, "first.csv")
	put(t, "second\n", dir, "second.csv")
	create(t, dir, "first.csv").write("more\n")
	r.pass(time.Minute, "second.csv")
	if again := oldest(); !again.Equal(began) {
		t.Errorf("the oldest is there since %s, and then since %s", began, again)
	}
	for _, c := range []struct {
		name string
		then time.Time
	}{{"first.csv", began.Add(time.Minute)}, {"second.csv", time.Time{}}} {
		if err := os.Remove(filepath.Join(dir, c.name)); err != nil {
			t.Fatal(err)
		}
		kit.Eventually(t, patience, func() bool { return oldest().Equal(c.then) }, "the oldest file to be another one without "+c.name)
	}
}
