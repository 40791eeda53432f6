package inbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"
)

// DefaultLooks are how long after a file was moved away it is looked at again.
func DefaultLooks() []time.Duration {
	return []time.Duration{10 * time.Second, time.Minute, 10 * time.Minute}
}

// Taken is a note about a file that was moved out of the inbox: what it was when it was read. It is kept where every process finds
// it, for the one that has moved the file may be gone when it grows.
type Taken struct {
	Path   string `json:"path"` // in processed/ or failed/
	From   string `json:"from"` // in the inbox
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
	// Kept is where the file itself is, if Path is a copy on another file system: whoever has it open writes to it there.
	Kept string `json:"kept,omitempty"`
	// Beside is what lies in failed/ because of it, which is wrong when the file has grown. Nil: nothing.
	Beside *Beside `json:"beside,omitempty"`

	// Age is the time since the note was made, for who reads it.
	Age time.Duration `json:"-"`
}

// Beside is a file as it was written here.
type Beside struct {
	Path  string    `json:"path"`
	Size  int64     `json:"size"`
	Wrote time.Time `json:"wrote"`
}

// Notes keeps notes for all processes that use an inbox, by the path that a file was moved to.
type Notes interface {
	// Put adds a note, or changes it; its age stays.
	Put(ctx context.Context, t Taken) error
	Drop(ctx context.Context, path string) error
	All(ctx context.Context) ([]Taken, error)
}

// note keeps a note before the file is moved.
func (f *file) note(ctx context.Context, t Taken) error {
	if f.dir.Notes == nil || f.in(Processed) || f.in(Failed) {
		return nil // or it was taken before, and looked at long since
	}
	t.From, t.Size = f.path, f.info.Size()
	if err := f.dir.Notes.Put(ctx, t); err != nil {
		return fmt.Errorf("note that %s is taken: %w", f.path, err)
	}
	return nil
}

func (f *file) dropNote(ctx context.Context, path string) error {
	if f.dir.Notes == nil {
		return nil
	}
	return f.dir.Notes.Drop(ctx, path)
}

// beside returns what is to be noted of a file in failed/, nil if there is none.
func (f *file) beside(path string) *Beside {
	if path == "" {
		return nil
	}
	info, err := f.root.Lstat(path)
	if err != nil {
		return nil
	}
	return &Beside{path, info.Size(), info.ModTime()}
}

// Endings of hidden names: of a file that is about to go back, and of one of which a copy was moved.
const (
	backEnding = ".back"
	keptEnding = ".taken"
)

// hidden returns a name beside a file of the inbox that nobody takes.
func (t *Taken) hidden(ending string) string {
	sum := sha256.Sum256([]byte(t.Path))
	return filepath.Join(filepath.Dir(t.From), "."+hex.EncodeToString(sum[:8])+ending)
}

// Took reports whether the file that was taken from a path begins with size bytes of that hash: then a look at the file while it was
// being written saw what is in the whole file, too. It knows files of the last minutes, and those that kept their name.
func (d *Dir) Took(ctx context.Context, from, sum string, size int64) (bool, error) {
	if size <= 0 || !filepath.IsLocal(from) {
		return false, nil
	}
	at := []string{filepath.Join(Processed, from), filepath.Join(Failed, from)}
	if d.Notes != nil {
		notes, err := d.Notes.All(ctx)
		if err != nil {
			return false, err
		}
		for i := range notes {
			if t := &notes[i]; t.From == filepath.Clean(from) && filepath.IsLocal(t.at()) {
				at = append(at, t.at())
			}
		}
	}
	root, err := d.open()
	if err != nil {
		return false, err
	}
	defer func() { _ = root.Close() }()
	return slices.ContainsFunc(at, func(path string) bool { return beginsWith(root, path, size, sum) }), nil
}

// Looker looks again at files that were moved out of the inbox, and puts those that have grown back. One process at a time may run it.
type Looker struct {
	Dir   *Dir
	Looks []time.Duration // nil: DefaultLooks
	Log   zerolog.Logger

	looked map[string]int // how many looks at a file are over, by Path
}

// Look looks at each file whose time has come.
func (l *Looker) Look(ctx context.Context) error {
	notes, err := l.Dir.Notes.All(ctx)
	if err != nil || len(notes) == 0 {
		return err
	}
	root, err := l.Dir.open()
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	before := l.looked
	l.looked = make(map[string]int, len(notes))
	var failed error
	for i := range notes {
		t := &notes[i]
		l.looked[t.Path] = before[t.Path]
		if err := l.look(ctx, root, t); err != nil {
			failed = errors.Join(failed, fmt.Errorf("look again at %s, to see whether it has grown: %w", t.Path, err))
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return failed
}

func (l *Looker) look(ctx context.Context, root *os.Root, t *Taken) error {
	if !filepath.IsLocal(t.Path) || !filepath.IsLocal(t.From) || t.Kept != "" && !filepath.IsLocal(t.Kept) {
		return l.Dir.Notes.Drop(ctx, t.Path)
	}
	if _, err := root.Lstat(t.hidden(backEnding)); err == nil { // a process has died while it put the file back
		return l.putBack(ctx, root, t)
	}
	looks := l.Looks
	if looks == nil {
		looks = DefaultLooks()
	}
	done := l.looked[t.Path]
	for done < len(looks) && t.Age >= looks[done] {
		done++
	}
	if done == l.looked[t.Path] {
		return nil
	}
	last := done == len(looks)
	grown, err := l.grown(ctx, root, t, last)
	switch {
	case errors.Is(err, fs.ErrNotExist): // somebody has taken it away
		return l.Dir.Notes.Drop(ctx, t.Path)
	case err != nil:
		return err // and once more
	case grown:
		if err := root.Rename(t.at(), t.hidden(backEnding)); err != nil {
			return err
		}
		return l.putBack(ctx, root, t)
	case !last:
		l.looked[t.Path] = done
		return nil
	}
	if t.Kept != "" {
		if err := remove(root, t.Kept); err != nil {
			return err
		}
	}
	return l.Dir.Notes.Drop(ctx, t.Path)
}

// at is where the file is to which a writer may write on.
func (t *Taken) at() string {
	if t.Kept != "" {
		return t.Kept
	}
	return t.Path
}

// grown reports whether the file is another one than when it was taken.
func (l *Looker) grown(ctx context.Context, root *os.Root, t *Taken, last bool) (bool, error) {
	info, err := root.Lstat(t.at())
	switch {
	case err != nil:
		return false, err
	case info.Size() == 0 && t.Size > 0: // its process has died between the note and the move: the name is only reserved
		if !last {
			return false, nil
		}
		return false, errors.Join(remove(root, t.at()), fs.ErrNotExist)
	case info.Size() != t.Size:
		return true, nil
	}
	f, err := openRegular(root, t.at())
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, stopped{ctx, f}); err != nil {
		return false, err
	}
	return hex.EncodeToString(h.Sum(nil)) != t.SHA256, nil
}

// putBack ends what a rename has begun. What lies in failed/ because of the file goes first: it is made anew when the file is read
// again, and must not be there twice. Bad rows that the file does not have any more stay.
func (l *Looker) putBack(ctx context.Context, root *os.Root, t *Taken) error {
	back := t.hidden(backEnding)
	if b := t.Beside; b != nil {
		info, err := root.Lstat(b.Path)
		mine := err == nil && info.Size() == b.Size && info.ModTime().Equal(b.Wrote) // else somebody works on it
		if mine && (strings.HasSuffix(b.Path, errorText) || beginsWith(root, back, t.Size, t.SHA256)) {
			if err := remove(root, b.Path); err != nil {
				return err
			}
		}
	}
	if t.Kept != "" {
		if err := remove(root, t.Path); err != nil {
			return err
		}
	}
	f := &file{dir: l.Dir, root: root}
	name, err := f.move(back, filepath.Dir(t.From), filepath.Base(t.From), "")
	if err != nil {
		return err
	}
	l.Log.Warn().Str("event", "inbox_file_grown").Str("file", t.From).Str("sha256", t.SHA256).Int64("size", t.Size).
		Str("was", t.Path).Str("is", filepath.Join(filepath.Dir(t.From), name)).
		Msg("the file was written to after it was taken, and goes back into the inbox as a new one: have its writer rename it when it is whole")
	return l.Dir.Notes.Drop(ctx, t.Path)
}

// remove removes a file that may be gone.
func remove(root *os.Root, path string) error {
	if err := root.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
