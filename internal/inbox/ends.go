package inbox

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// DiskFull reports whether an error is the disk's: it is full, read-only, or over its quota. It is no fault of the file, and ends
// without anybody touching it.
func DiskFull(err error) bool {
	return slices.ContainsFunc([]error{syscall.ENOSPC, syscall.EROFS, syscall.EDQUOT}, func(full error) bool { return errors.Is(err, full) })
}

// whole reports whether the content of a file ends where a writer may have ended: in a line break, or it is an archive, which shows
// by itself whether it is whole.
func whole(f *os.File, size int64) (bool, error) {
	if size == 0 {
		return false, nil
	}
	var head, tail [2]byte
	if _, err := f.ReadAt(head[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	if string(head[:]) == "PK" || head == [2]byte{0x1f, 0x8b} {
		return true, nil
	}
	n, err := f.ReadAt(tail[:], max(0, size-2))
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	end := tail[:n]
	// In UTF-16 a line break has a byte of 0 beside it.
	return bytes.ContainsAny(end[max(0, n-1):], "\r\n") || n == 2 && end[1] == 0 && bytes.ContainsAny(end[:1], "\r\n"), nil
}

// Unfinished goes by the time of the last write: whoever sends an event about a file may not have watched it.
func (f *file) Unfinished(size int64) (time.Duration, error) {
	if end, err := whole(f.File, size); end || err != nil {
		return 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	age, must := f.dir.time().Sub(info.ModTime()), f.dir.unfinished()
	if age >= must || age <= -must { // so far in the future it says nothing: the file server's clock is ahead
		return 0, nil
	}
	return must - max(age, 0), nil
}

// Writable fails if files can't be written to the inbox and the directories beneath it: then [DiskFull] may say why.
func (d *Dir) Writable() error {
	root, err := d.open()
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	for _, dir := range []string{".", Processed, Failed} {
		if err := tryWrite(root, dir); err != nil {
			return err
		}
	}
	return nil
}

// tryWrite writes more than what a file system may keep beside a name.
func tryWrite(root *os.Root, dir string) error {
	if err := root.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // people look into it
		return err
	}
	name := filepath.Join(dir, fmt.Sprintf(".%d-%d.part", os.Getpid(), time.Now().UnixNano()))
	out, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = out.Write(make([]byte, 64<<10))
	return errors.Join(err, synced{out}.Close(), root.Remove(name))
}

func (d *Dir) unfinished() time.Duration { return cmp.Or(d.Unfinished, time.Minute) }

func (d *Dir) time() time.Time {
	if d.now != nil {
		return d.now()
	}
	return time.Now()
}
