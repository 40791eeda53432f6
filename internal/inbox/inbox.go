// Package inbox is a directory that files are dropped into: it finds complete files (Watcher), opens them, and moves them away when
// they are done (Dir). It knows nothing of their content.
//
// Any number of processes may use one directory, also on a network file system: nothing is locked, and a file leaves the inbox by a
// rename that never overwrites anything.
package inbox

import (
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
	// Pattern is a glob for the names of files. Names that begin with a dot never match.
	Pattern string

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
// gone already.
type File interface {
	io.ReadSeekCloser
	// Rejected returns an empty file for bad rows. It is on the disk when it is closed. id names it until Processed moves it,
	// also after the end of this process.
	Rejected(id string) (io.WriteCloser, error)
	// Processed moves the bad rows of that id, if there are any, to failed/, and then the file to processed/.
	Processed(id string) (name string, err error)
	// Failed moves the file to failed/, with the explanation beside it, and deletes the bad rows of that id.
	Failed(id, explanation string) (name string, err error)
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
	if err := f.root.Remove(part(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("take away the bad rows of an earlier attempt: %w", err)
	}
	return nil
}

// synced is a file that is on the disk when it is closed.
type synced struct{ *os.File }

func (s synced) Close() error { return errors.Join(s.Sync(), s.File.Close()) }

// Processed moves the bad rows first: as long as the file is in the inbox it can be repeated.
func (f *file) Processed(id string) (name string, err error) {
	base := filepath.Base(f.path)
	if _, err := f.move(part(id), Failed, base, ".rejected.csv"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("show the bad rows of %s: %w", f.path, err)
	}
	if same, err := f.unchanged(); err != nil || !same {
		return "", err
	}
	name, err = f.move(f.path, Processed, base, "")
	return f.left(Processed, name, err)
}

// Failed writes the explanation first, so that no file is in failed/ without one.
func (f *file) Failed(id, explanation string) (name string, err error) {
	if err := f.forget(id); err != nil {
		return "", err
	}
	if same, err := f.unchanged(); err != nil || !same {
		return "", err
	}
	const ending = ".error.txt"
	name, err = f.reserve(Failed, filepath.Base(f.path), "", ending)
	if err != nil {
		return "", err
	}
	to := filepath.Join(Failed, name)
	err = f.write(to+ending, explanation)
	if err == nil {
		err = f.onto(f.path, to)
	}
	if err != nil {
		err = errors.Join(err, f.root.Remove(to), f.root.Remove(to+ending))
	}
	return f.left(Failed, name, err)
}

// left finds out how a move of the file has ended.
func (f *file) left(dir, name string, err error) (string, error) {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil // another process was here
	case err != nil:
		return "", fmt.Errorf("move %s to %s: %w", f.path, dir, err)
	}
	// Another file was put under the name between the last look and the move: it is moved back.
	moved, err := f.root.Lstat(filepath.Join(dir, name))
	if err == nil && (moved.Size() != f.info.Size() || !moved.ModTime().Equal(f.info.ModTime())) {
		_, err := f.move(filepath.Join(dir, name), filepath.Dir(f.path), filepath.Base(f.path), "")
		return "", err
	}
	return name, nil
}

func (f *file) write(path, text string) error {
	out, err := f.root.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
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
	now := time.Now
	if f.dir.now != nil {
		now = f.dir.now
	}
	stamp := now().UTC().Format("-20060102T150405.000Z")
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

// onto moves a file onto a reserved name. Across file systems it copies the file, which appears when all of it is on the disk.
func (f *file) onto(from, to string) error {
	rename := (*os.Root).Rename
	if f.dir.rename != nil {
		rename = f.dir.rename
	}
	err := rename(f.root, from, to)
	if errors.Is(err, syscall.EXDEV) {
		return f.copyTo(from, to)
	}
	return err
}

func (f *file) copyTo(from, to string) (err error) {
	in, err := openRegular(f.root, from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	part := filepath.Join(filepath.Dir(to), fmt.Sprintf(".%d-%d.part", os.Getpid(), time.Now().UnixNano()))
	out, err := f.root.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, info.Mode().Perm())
	if err != nil {
		return err
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
		return errors.Join(fmt.Errorf("copy to another file system: %w", err), f.root.Remove(part))
	}
	if again, err := f.root.Lstat(from); err != nil || !sameContent(info, again) {
		return err // what is there now was not copied
	}
	return f.root.Remove(from)
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
