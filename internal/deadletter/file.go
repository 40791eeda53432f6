package deadletter

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// DiscardFile is the file that a discard writes letters to, a line for each. Letters hold personal data, so only the owner may read it.
type DiscardFile struct {
	f            *os.File
	size, synced int64 // the end of the last whole line, and of the last one that is certainly on the disk
	broken       error // of a failed sync, after which nothing is written
}

// lineStart is how each line begins. A file that begins otherwise was not written by a discard.
const lineStart = `{"topic":`

// OpenDiscardFile opens a file for a discard, which appends to it: the same call can be repeated after a kill. A last line that a kill
// has cut short is removed; its letter is still in the queue. A file with other content is refused, as is one that another
// discard writes to.
func OpenDiscardFile(path string) (*DiscardFile, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600) //nolint:gosec // the person who calls names it
	if err != nil {
		return nil, err
	}
	size, err := prepare(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("write letters to %s: %w", path, err), f.Close())
	}
	return &DiscardFile{f: f, size: size, synced: size}, nil
}

func prepare(f *os.File) (size int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, errors.New("it is no regular file, and would not keep them")
	}
	if err := lockFile(f); err != nil {
		return 0, fmt.Errorf("another discard writes to it: %w", err)
	}
	if info, err = f.Stat(); err != nil { // it may have grown before it was locked
		return 0, err
	}
	start := make([]byte, min(info.Size(), int64(len(lineStart))))
	if _, err := f.ReadAt(start, 0); err != nil {
		return 0, err
	}
	if !bytes.HasPrefix([]byte(lineStart), start) {
		return 0, errors.New("it has other content than letters: name a new file")
	}
	if size, err = wholeLines(f, info.Size()); err != nil {
		return 0, err
	}
	if size < info.Size() {
		if err := f.Truncate(size); err != nil {
			return 0, err
		}
	}
	if err := f.Sync(); err != nil {
		return 0, err
	}
	// The name of a new file is in its folder, which must be on the disk too.
	dir, err := os.Open(filepath.Dir(f.Name()))
	if err != nil {
		return 0, err
	}
	return size, errors.Join(dir.Sync(), dir.Close())
}

// wholeLines returns where the last whole line ends.
func wholeLines(f io.ReaderAt, size int64) (int64, error) {
	buf := make([]byte, 64<<10)
	for size > 0 {
		part := buf[:min(size, int64(len(buf)))]
		if _, err := f.ReadAt(part, size-int64(len(part))); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(part, '\n'); i >= 0 {
			return size - int64(len(part)-i-1), nil
		}
		size -= int64(len(part))
	}
	return 0, nil
}

// append writes a line and returns where it ends, for sync. When it fails the file is as before.
func (f *DiscardFile) append(line []byte) (end int64, err error) {
	if f.broken != nil {
		return 0, f.broken
	}
	if _, err := f.f.Write(line); err != nil {
		return 0, errors.Join(f.failed(err), f.f.Truncate(f.size))
	}
	f.size += int64(len(line))
	return f.size, nil
}

// sync waits until the file is on the disk up to end.
func (f *DiscardFile) sync(end int64) error {
	switch {
	case end <= f.synced: // also when the file has broken since
		return nil
	case f.broken != nil:
		return f.broken
	}
	if err := f.f.Sync(); err != nil {
		// It is not known what the disk has, and a second sync may report success.
		f.size = f.synced
		f.broken = errors.Join(f.failed(err), f.f.Truncate(f.synced))
		return f.broken
	}
	f.synced = f.size
	return nil
}

func (f *DiscardFile) failed(err error) error {
	return fmt.Errorf("write letters to %s (what is not in it stays in its queue): %w", f.f.Name(), err)
}

// Close closes the file.
func (f *DiscardFile) Close() error { return f.f.Close() }
