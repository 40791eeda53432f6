// Package inbox is a directory that files are dropped into: it finds complete files (Watcher), opens them, and moves them away when
// they are done (Dir). It knows nothing of their content.
//
// Files lie in the directory itself or in a folder beneath it, and leave to processed/ or failed/, into a folder of the same name. A
// writer that was taken for done may write on: a Looker looks again at each file after it was moved, and puts one that has grown back
// into the inbox.
//
// Any number of processes may use one directory, also on a network file system: nothing is locked, and a file leaves the inbox by a
// rename that never overwrites anything.
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
	"strings"
	"syscall"
	"time"
	"unicode/utf8"
)

// Directories beneath the inbox.
const (
	Processed = "processed"
	Failed    = "failed"
)

// Dir is the inbox.
type Dir struct {
	// Path is the path of the directory.
	Path string
	// Notes keeps what each file was when it was moved away, for a Looker. Nil: nothing is kept.
	Notes Notes
	// Unfinished is how long a file that is empty, or whose last row has no line break, must have been still. 0: a minute. Tests
	// have less time.
	Unfinished time.Duration

	now    func() time.Time                           // nil: time.Now
	rename func(root *os.Root, from, to string) error // nil: (*os.Root).Rename
}

var (
	// ErrAway means that the directory itself can't be opened.
	ErrAway = errors.New("the inbox can't be opened")
	// ErrRefused means that a path must not be read: it leads out of the inbox, through a symbolic link, or to something that is
	// no regular file.
	ErrRefused = errors.New("not a file of the inbox")
)

// File is an open file of the inbox. Processed and Failed return its new name in the directory that they move it to, or "" if it is
// gone already. After an error that is [DiskFull] nothing was lost, and the same call succeeds later.
type File interface {
	io.ReadSeekCloser
	io.ReaderAt
	// Unfinished returns how long the file must be left alone before the last row of its first size bytes may be used, because it
	// may still be written: they are none or do not end in a line break, and it was written to less than a minute ago. 0: not at
	// all.
	Unfinished(size int64) (time.Duration, error)
	// Rejected returns an empty file for bad rows. It is on the disk when it is closed. id names it until Processed moves it,
	// also after the end of this process.
	Rejected(id string) (io.WriteCloser, error)
	// Processed moves the bad rows of that id, if there are any, to failed/, and then the file to processed/. The id is the
	// SHA-256 of what was read. A file that is in processed/ stays there.
	Processed(ctx context.Context, id string) (name string, err error)
	// Failed moves the file to failed/, with the explanation beside it, and deletes the bad rows of that id.
	Failed(ctx context.Context, id, explanation string) (name string, err error)
}

// open opens the directory for one use. A handle that is kept would show a directory that was replaced since, such as by a mount.
func (d *Dir) open() (*os.Root, error) {
	root, err := os.OpenRoot(d.Path)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrAway, err) //nolint:errorlint // no fs.ErrNotExist: the file may be there
	}
	return root, nil
}

// Open opens a file by its path relative to the inbox. It fails with fs.ErrNotExist if there is none, and with ErrRefused
// for a path that leads out of the inbox, a symbolic link, or what is no regular file.
func (d *Dir) Open(path string) (File, error) {
	if !filepath.IsLocal(path) || !utf8.ValidString(path) || strings.ContainsRune(path, 0) {
		return nil, fmt.Errorf("%w: the path %q leads out of it", ErrRefused, path)
	}
	root, err := d.open()
	if err != nil {
		return nil, err
	}
	f, err := openRegular(root, filepath.Clean(path))
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close(), root.Close())
	}
	return &file{File: f, dir: d, root: root, path: filepath.Clean(path), info: info}, nil
}

// openRegular opens a file without following a symbolic link on its path. os.Root keeps the path inside of root.
func openRegular(root *os.Root, path string) (*os.File, error) {
	for i, r := range path + string(filepath.Separator) {
		if r != filepath.Separator {
			continue
		}
		info, err := root.Lstat(path[:i])
		switch last := i == len(path); {
		case err != nil:
			return nil, err
		case info.Mode()&fs.ModeSymlink != 0:
			return nil, fmt.Errorf("%w: %s is a symbolic link", ErrRefused, path[:i])
		case last && !info.Mode().IsRegular():
			return nil, fmt.Errorf("%w: %s is no regular file", ErrRefused, path)
		case !last:
			continue
		}
		f, err := root.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // in case it has become a pipe since
		if err != nil {
			return nil, err
		}
		if opened, err := f.Stat(); err != nil || !os.SameFile(info, opened) {
			return nil, errors.Join(fmt.Errorf("%s was replaced while it was opened", path), err, f.Close())
		}
		return f, nil
	}
	return nil, fs.ErrNotExist
}

// file is an open file of the inbox.
type file struct {
	*os.File
	dir  *Dir
	root *os.Root
	path string
	info fs.FileInfo // when it was opened
}

func (f *file) Close() error { return errors.Join(f.File.Close(), f.root.Close()) }

// part is the path of the bad rows until all of the file is done. No glob matches it, and it is the same for every process that
// continues with the file.
func part(id string) string { return filepath.Join(Failed, "."+id+".rejected.part") }

// Rejected creates a new file. Another process may still write to the old one.
func (f *file) Rejected(id string) (io.WriteCloser, error) {
	if err := f.root.MkdirAll(Failed, 0o755); err != nil { //nolint:gosec // people look into it
		return nil, fmt.Errorf("make %s beneath the inbox: %w", Failed, err)
	}
	if err := f.forget(id); err != nil {
		return nil, err
	}
	out, err := f.root.OpenFile(part(id), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("make a file for bad rows: %w", err)
	}
	return synced{out}, nil
}

func (f *file) forget(id string) error {
	if err := remove(f.root, part(id)); err != nil {
		return fmt.Errorf("take away the bad rows of an earlier attempt: %w", err)
	}
	return nil
}

// synced is a file that is on the disk when it is closed.
type synced struct{ *os.File }

func (s synced) Close() error { return errors.Join(s.Sync(), s.File.Close()) }

// Processed moves the bad rows first: as long as the file is in the inbox it can be repeated.
func (f *file) Processed(ctx context.Context, id string) (name string, err error) {
	same, err := f.unchanged()
	if err != nil {
		return "", err
	}
	if !same && f.grown(id) {
		return "", f.forget(id) // its new content has these bad rows again
	}
	base := filepath.Base(f.path)
	rejected, err := f.move(part(id), f.folder(Failed), base, rejectedText)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("show the bad rows of %s: %w", f.path, err)
	}
	if rejected != "" {
		rejected = filepath.Join(f.folder(Failed), rejected) + rejectedText
	}
	if !same {
		return "", nil
	}
	if f.in(Processed) {
		return base, nil
	}
	name, err = f.reserve(f.folder(Processed), base, "")
	if err != nil {
		return "", err
	}
	to := filepath.Join(f.folder(Processed), name)
	note := Taken{Path: to, SHA256: id, Beside: f.beside(rejected)}
	if err = f.take(ctx, note); err != nil {
		err = errors.Join(err, remove(f.root, to))
	}
	name, err = f.left(ctx, Processed, name, err)
	switch {
	case err != nil:
	case name == "" && rejected != "" && f.grown(id):
		err = remove(f.root, rejected)
	case name != "" && f.in(Failed):
		err = remove(f.root, f.path+errorText) // of an earlier attempt
	}
	return name, err
}

// grown reports whether what is at the file's path begins with what was read of it.
func (f *file) grown(id string) bool {
	return beginsWith(f.root, f.path, f.info.Size(), id)
}

func beginsWith(root *os.Root, path string, size int64, sum string) bool {
	in, err := openRegular(root, path)
	if err != nil {
		return false
	}
	defer func() { _ = in.Close() }()
	h := sha256.New()
	n, err := io.CopyN(h, in, size)
	return err == nil && n == size && hex.EncodeToString(h.Sum(nil)) == sum
}

// Endings of what is put beside a file.
const (
	rejectedText = ".rejected.csv"
	errorText    = ".error.txt"
)

// Failed writes the explanation first, so that no file is in failed/ without one.
func (f *file) Failed(ctx context.Context, id, explanation string) (name string, err error) {
	if err := f.forget(id); err != nil {
		return "", err
	}
	if same, err := f.unchanged(); err != nil || !same {
		return "", err
	}
	if f.in(Failed) {
		return filepath.Base(f.path), f.write(f.path+errorText, explanation)
	}
	name, err = f.reserve(f.folder(Failed), filepath.Base(f.path), "", errorText)
	if err != nil {
		return "", err
	}
	to := filepath.Join(f.folder(Failed), name)
	if err = f.write(to+errorText, explanation); err == nil {
		err = f.take(ctx, Taken{Path: to, SHA256: id, Beside: f.beside(to + errorText)})
	}
	if err != nil {
		err = errors.Join(err, remove(f.root, to), remove(f.root, to+errorText))
	}
	return f.left(ctx, Failed, name, err)
}

// in reports whether the file is beneath processed/ or failed/ already: it is one that is sent again.
func (f *file) in(dir string) bool { return strings.HasPrefix(f.path, dir+string(filepath.Separator)) }

// folder returns the folder beneath dir that the file belongs in: that of the same name as the one it is in.
func (f *file) folder(dir string) string { return filepath.Join(dir, filepath.Dir(Origin(f.path))) }

// Origin returns the path that a file has, or had, in the inbox: of one that was moved, without processed/ or failed/.
func Origin(path string) string {
	path = filepath.Clean(path)
	for _, out := range []string{Processed, Failed} {
		if rest, moved := strings.CutPrefix(path, out+string(filepath.Separator)); moved {
			return rest
		}
	}
	return path
}

// take moves the file onto a reserved name, and notes what it was.
func (f *file) take(ctx context.Context, t Taken) error {
	if err := f.note(ctx, t); err != nil {
		return err
	}
	err := f.renamed(f.path, t.Path)
	if errors.Is(err, syscall.EXDEV) {
		err = f.takeCopy(ctx, t)
	}
	if err != nil {
		return errors.Join(err, f.dropNote(ctx, t.Path))
	}
	return nil
}

// takeCopy takes a file to another file system. Whoever has it open writes to what is here: it is kept until nobody looks any more.
func (f *file) takeCopy(ctx context.Context, t Taken) error {
	t.From = f.path
	if f.dir.Notes != nil && !f.in(Processed) && !f.in(Failed) {
		t.Kept = t.hidden(keptEnding)
	}
	info, err := f.copyTo(f.path, t.Path)
	if err == nil && t.Kept != "" {
		err = f.note(ctx, t)
	}
	if err != nil {
		return err
	}
	if again, err := f.root.Lstat(f.path); err != nil || !sameContent(info, again) {
		return err // what is there now was not copied
	}
	if t.Kept != "" {
		return f.root.Rename(f.path, t.Kept)
	}
	return f.root.Remove(f.path)
}

// left finds out how a move of the file has ended.
func (f *file) left(ctx context.Context, dir, name string, err error) (string, error) {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil // another process was here
	case err != nil:
		return "", fmt.Errorf("move %s to %s: %w", f.path, dir, err)
	}
	// Another file was put under the name between the last look and the move: it is moved back.
	to := filepath.Join(f.folder(dir), name)
	moved, err := f.root.Lstat(to)
	if err == nil && (moved.Size() != f.info.Size() || !moved.ModTime().Equal(f.info.ModTime())) {
		_, err := f.move(to, filepath.Dir(f.path), filepath.Base(f.path), "")
		return "", errors.Join(err, f.dropNote(ctx, to))
	}
	return name, nil
}

func (f *file) write(path, text string) error {
	out, err := f.root.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = io.WriteString(out, text)
	return errors.Join(err, out.Close())
}

// unchanged reports whether the name still leads to the file that was opened, with the same content.
func (f *file) unchanged() (bool, error) {
	now, err := f.root.Lstat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && sameContent(f.info, now), err
}

// sameContent reports whether a and b are of one file that was not written to in between.
func sameContent(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// reserve creates empty files under the first free name, one with each ending: then no other process uses the name, and a rename
// onto it overwrites nothing. It returns the name without an ending.
func (f *file) reserve(dir, base string, endings ...string) (name string, err error) {
	if err := f.root.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // people look into it
		return "", fmt.Errorf("make %s beneath the inbox: %w", dir, err)
	}
	longest := 0
	for _, e := range endings {
		longest = max(longest, len(e))
	}
	const attempts = 1000
	for i := range attempts {
		name = named(base, f.stamp(i), longest)
		path := filepath.Join(dir, name)
		for made, e := range endings {
			var out *os.File
			if out, err = f.root.OpenFile(path+e, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644); err == nil {
				err = out.Close()
			}
			if err != nil {
				for _, e := range endings[:made] {
					err = errors.Join(err, f.root.Remove(path+e))
				}
				break
			}
		}
		if err == nil || !errors.Is(err, fs.ErrExist) {
			return name, err
		}
	}
	return "", err
}

// stamp returns what is added to a name that is in use: the time, and a number if that is in use too.
func (f *file) stamp(attempt int) string {
	if attempt == 0 {
		return ""
	}
	stamp := f.dir.time().UTC().Format("-20060102T150405.000Z")
	if attempt > 1 {
		stamp += fmt.Sprintf("-%d", attempt)
	}
	return stamp
}

// move moves a file to the first free name of dir, which it returns without its ending.
func (f *file) move(from, dir, base, ending string) (name string, err error) {
	if _, err := f.root.Lstat(from); err != nil {
		return "", err
	}
	if name, err = f.reserve(dir, base, ending); err != nil {
		return "", err
	}
	to := filepath.Join(dir, name) + ending
	if err := f.onto(from, to); err != nil {
		return "", errors.Join(err, f.root.Remove(to))
	}
	return name, nil
}

// onto moves a file onto a reserved name, also to another file system.
func (f *file) onto(from, to string) error {
	err := f.renamed(from, to)
	if !errors.Is(err, syscall.EXDEV) {
		return err
	}
	info, err := f.copyTo(from, to)
	if err != nil {
		return err
	}
	if again, err := f.root.Lstat(from); err != nil || !sameContent(info, again) {
		return err // what is there now was not copied
	}
	return f.root.Remove(from)
}

func (f *file) renamed(from, to string) error {
	if f.dir.rename != nil {
		return f.dir.rename(f.root, from, to)
	}
	return f.root.Rename(from, to)
}

// copyTo copies a file, which appears when all of it is on the disk, and returns what it was.
func (f *file) copyTo(from, to string) (info fs.FileInfo, err error) {
	in, err := openRegular(f.root, from)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	if info, err = in.Stat(); err != nil {
		return nil, err
	}
	part := filepath.Join(filepath.Dir(to), fmt.Sprintf(".%d-%d.part", os.Getpid(), time.Now().UnixNano()))
	out, err := f.root.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, info.Mode().Perm())
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(out, in)
	err = errors.Join(err, synced{out}.Close())
	if err == nil {
		err = f.root.Chtimes(part, time.Time{}, info.ModTime())
	}
	if err == nil {
		err = f.root.Rename(part, to)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("copy to another file system: %w", err), f.root.Remove(part))
	}
	return info, nil
}

// maxName bounds the name of a file, in bytes.
const maxName = 255

// named inserts a stamp into a name, before its ending, and leaves so many bytes for more behind it. A name that would be too long
// is truncated before the stamp.
func named(base, stamp string, behind int) string {
	ending := filepath.Ext(base)
	stem := strings.TrimSuffix(base, ending)
	if room := maxName - len(stamp) - len(ending) - behind; len(stem) > room {
		stem = strings.ToValidUTF8(stem[:max(room, 0)], "")
	}
	return stem + stamp + ending
}
