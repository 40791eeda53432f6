package inbox

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mageline/mageline/test/kit/process"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func put(t *testing.T, content string, path ...string) string {
	t.Helper()
	name := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// tree gives the content of every file beneath dir, by its path.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		files[name] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func isTree(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	if got := tree(t, dir); !maps.Equal(got, want) {
		t.Errorf("the inbox has %q, want %q", got, want)
	}
}

// fixed is the time that is added to names.
func fixed() time.Time { return time.Date(2026, 11, 23, 10, 15, 0, 0, time.UTC) }

func open(t *testing.T, d *Dir, path string) File {
	t.Helper()
	f, err := d.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func reject(t *testing.T, f File, id, text string) {
	t.Helper()
	w, err := f.Rejected(id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestDir_RefusesPathsOutOfTheInbox(t *testing.T) {
	outside := put(t, "secret", t.TempDir(), "outside.csv")
	dir := t.TempDir()
	put(t, "x", dir, "sub", "there.csv")
	for name, target := range map[string]string{"link.csv": outside, "inner.csv": "sub/there.csv", "linked": "sub", "up": ".."} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := process.Pipe(filepath.Join(dir, "pipe.csv")); err != nil {
		t.Fatal(err)
	}
	d := &Dir{Path: dir}
	for _, path := range []string{
		outside, "../" + filepath.Base(dir) + "/sub/there.csv", "link.csv", "inner.csv", "linked/there.csv", "up/x.csv",
		"pipe.csv", "sub", ".", "", "sub/../../x", "a\x00b", "\xff.csv",
	} {
		if f, err := d.Open(path); !errors.Is(err, ErrRefused) {
			t.Errorf("%q: %v, %v", path, f, err)
		}
	}
	if _, err := d.Open("gone.csv"); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrAway) {
		t.Errorf("gone: %v", err)
	}
	if _, err := d.Open("sub/gone/x.csv"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("gone: %v", err)
	}
	if _, err := (&Dir{Path: filepath.Join(dir, "nowhere")}).Open("x.csv"); !errors.Is(err, ErrAway) {
		t.Errorf("without an inbox: %v", err)
	}
	if got, err := io.ReadAll(open(t, d, "sub/there.csv")); err != nil || string(got) != "x" {
		t.Errorf("%q, %v", got, err)
	}
}

// Whatever path an event names, nothing outside of the inbox is opened.
func FuzzOpen(f *testing.F) {
	parent := f.TempDir()
	dir := filepath.Join(parent, "inbox")
	for path, content := range map[string]string{"inbox/a.csv": "inside", "inbox/b/c.csv": "inside", "outside.csv": "outside"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(parent, path)), 0o755), os.WriteFile(filepath.Join(parent, path), []byte(content), 0o600)); err != nil {
			f.Fatal(err)
		}
	}
	for name, target := range map[string]string{"l": "..", "m.csv": "../outside.csv", "b/n": "/"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			f.Fatal(err)
		}
	}
	for _, seed := range []string{"a.csv", "b/../a.csv", "./b//c.csv", "../outside.csv", "l/outside.csv", "m.csv", "b/n/etc/passwd", "/etc/passwd", "..", "a.csv/", ""} {
		f.Add(seed)
	}
	d := &Dir{Path: dir}
	f.Fuzz(func(t *testing.T, path string) {
		file, err := d.Open(path)
		if err != nil {
			return
		}
		content, err := io.ReadAll(file)
		if err := errors.Join(err, file.Close()); err != nil || string(content) != "inside" {
			t.Errorf("%q gives %q, %v", path, content, err)
		}
	})
}

func TestFile_MovesToProcessedOrFailed(t *testing.T) {
	for _, apart := range []bool{false, true} { // on one file system, or on several
		d := &Dir{Path: t.TempDir(), now: fixed}
		if apart {
			d.rename = func(*os.Root, string, string) error {
				return &os.LinkError{Op: "rename", Err: syscall.EXDEV}
			}
		}
		const odd = "Sendung vom 23.11. – Ü.csv"
		long := strings.Repeat("ü", 125) + ".csv" // 254 bytes
		for name, content := range map[string]string{"a.csv": "1", odd: "2", long: "3", "b.csv": "4"} {
			put(t, content, d.Path, name)
		}
		reject(t, open(t, d, "a.csv"), "id1", "bad of an earlier attempt")
		f := open(t, d, "a.csv")
		reject(t, f, "id1", "bad")
		for name, way := range map[string]func(f File) (string, error){
			"a.csv": func(f File) (string, error) { return f.Processed(t.Context(), "id1") },
			odd:     func(f File) (string, error) { return f.Failed(t.Context(), "id2", "why") },
			long:    func(f File) (string, error) { return f.Failed(t.Context(), "id3", "why not") },
			"b.csv": func(f File) (string, error) { return f.Processed(t.Context(), "id4") },
		} {
			if to, err := way(open(t, d, name)); err != nil || to == "" {
				t.Errorf("%s went to %q, %v", name, to, err)
			}
		}
		cut := strings.Repeat("ü", 120) + ".csv"
		want := map[string]string{
			"processed/a.csv": "1", "failed/a.csv.rejected.csv": "bad", "processed/b.csv": "4",
			"failed/" + odd: "2", "failed/" + odd + ".error.txt": "why", "failed/" + cut: "3", "failed/" + cut + ".error.txt": "why not",
		}
		isTree(t, d.Path, want)

		// The same names again: nothing is overwritten, and what belongs together has one name.
		for range 2 {
			put(t, "5", d.Path, "a.csv")
			f := open(t, d, "a.csv")
			reject(t, f, "id5", "bad too")
			if _, err := f.Processed(t.Context(), "id5"); err != nil {
				t.Fatal(err)
			}
			put(t, "6", d.Path, odd)
			if _, err := open(t, d, odd).Failed(t.Context(), "id6", "again"); err != nil {
				t.Fatal(err)
			}
		}
		for _, stamp := range []string{"-20261123T101500.000Z", "-20261123T101500.000Z-2"} {
			want["processed/a"+stamp+".csv"], want["failed/a"+stamp+".csv.rejected.csv"] = "5", "bad too"
			other := "failed/" + strings.TrimSuffix(odd, ".csv") + stamp + ".csv"
			want[other], want[other+".error.txt"] = "6", "again"
		}
		isTree(t, d.Path, want)
	}
}

// Whoever comes second finds nothing left to do.
func TestFile_MovesOnceForTwoProcesses(t *testing.T) {
	d := &Dir{Path: t.TempDir(), now: fixed}
	put(t, "1", d.Path, "a.csv")
	first, second := open(t, d, "a.csv"), open(t, d, "a.csv")
	reject(t, first, "id", "bad")
	if to, err := first.Processed(t.Context(), "id"); err != nil || to != "a.csv" {
		t.Errorf("first: %q, %v", to, err)
	}
	if to, err := second.Processed(t.Context(), "id"); err != nil || to != "" {
		t.Errorf("second: %q, %v", to, err)
	}
	if to, err := second.Failed(t.Context(), "id", "why"); err != nil || to != "" {
		t.Errorf("and failed: %q, %v", to, err)
	}
	isTree(t, d.Path, map[string]string{"processed/a.csv": "1", "failed/a.csv.rejected.csv": "bad"})
}

// A file that was put in the place of the one that was read, or written to since, is new and stays.
func TestFile_LeavesOneThatWasReplaced(t *testing.T) {
	d := &Dir{Path: t.TempDir(), now: fixed}
	put(t, "1", d.Path, "a.csv")
	f := open(t, d, "a.csv")
	if err := os.Rename(put(t, "2", d.Path, "new"), filepath.Join(d.Path, "a.csv")); err != nil {
		t.Fatal(err)
	}
	for _, way := range []func() (string, error){func() (string, error) { return f.Processed(t.Context(), "id") }, func() (string, error) { return f.Failed(t.Context(), "id", "why") }} {
		if to, err := way(); err != nil || to != "" {
			t.Errorf("it went to %q, %v", to, err)
		}
	}
	isTree(t, d.Path, map[string]string{"a.csv": "2"})

	// In the very moment of the move, too.
	f = open(t, d, "a.csv")
	d.rename = func(root *os.Root, from, to string) error {
		d.rename = nil
		put(t, "three", d.Path, "a.csv")
		return root.Rename(from, to)
	}
	if to, err := f.Processed(t.Context(), "id"); err != nil || to != "" {
		t.Errorf("it went to %q, %v", to, err)
	}
	isTree(t, d.Path, map[string]string{"a.csv": "three"})
}

// An error leaves no traces.
func TestFile_StaysWhenTheMoveFails(t *testing.T) {
	d := &Dir{Path: t.TempDir(), now: fixed}
	put(t, "1", d.Path, "a.csv")
	broken := errors.New("input/output error")
	d.rename = func(*os.Root, string, string) error { return broken }
	if _, err := open(t, d, "a.csv").Processed(t.Context(), "id"); !errors.Is(err, broken) {
		t.Error(err)
	}
	if _, err := open(t, d, "a.csv").Failed(t.Context(), "id", "why"); !errors.Is(err, broken) {
		t.Error(err)
	}
	isTree(t, d.Path, map[string]string{"a.csv": "1"})
	if err := os.Symlink(t.TempDir(), filepath.Join(d.Path, "elsewhere")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{Processed, Failed} {
		if err := os.RemoveAll(filepath.Join(d.Path, name)); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(t.TempDir(), filepath.Join(d.Path, name)); err != nil {
			t.Fatal(err)
		}
	}
	d.rename = nil
	if _, err := open(t, d, "a.csv").Processed(t.Context(), "id"); err == nil {
		t.Error("it has followed a link out of the inbox")
	}
	if _, err := os.Stat(filepath.Join(d.Path, "a.csv")); err != nil {
		t.Error(err)
	}
}

func names(found []Found) []string {
	var all []string
	for _, f := range found {
		all = append(all, f.Path)
	}
	slices.Sort(all)
	return all
}
