package inbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Incoming is a file on its way into the inbox, under a name that nobody takes.
type Incoming struct {
	*os.File
	f      *file
	folder string
	part   string
}

// incomingEnding ends the names of files on their way.
const incomingEnding = ".incoming"

// Create begins a file that will lie in a folder of the inbox, which is made. What an earlier process has left of its own there goes:
// one process at a time may bring files into a folder.
func (d *Dir) Create(folder string) (*Incoming, error) {
	root, err := d.open()
	if err != nil {
		return nil, err
	}
	i := &Incoming{f: &file{dir: d, root: root}, folder: folder}
	if err := i.begin(); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return i, nil
}

func (i *Incoming) begin() error {
	root := i.f.root
	if err := root.MkdirAll(i.folder, 0o755); err != nil { //nolint:gosec // people look into it
		return fmt.Errorf("make the folder %s of the inbox: %w", i.folder, err)
	}
	dir, err := root.Open(i.folder)
	if err != nil {
		return err
	}
	names, err := dir.Readdirnames(-1)
	if err := errors.Join(err, dir.Close()); err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, ".") && strings.HasSuffix(name, incomingEnding) {
			if err := remove(root, filepath.Join(i.folder, name)); err != nil {
				return err
			}
		}
	}
	i.part = filepath.Join(i.folder, fmt.Sprintf(".%d-%d%s", os.Getpid(), time.Now().UnixNano(), incomingEnding))
	i.File, err = root.OpenFile(i.part, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
	return err
}

// Whole reports whether what was written ends where a writer may have ended: see [Watcher].
func (i *Incoming) Whole() (bool, error) {
	info, err := i.Stat()
	if err != nil {
		return false, err
	}
	return whole(i.File, info.Size())
}

// Commit puts the file on the disk and gives it the first free name, which it returns with its folder.
func (i *Incoming) Commit(name string) (path string, err error) {
	if err := i.Sync(); err != nil {
		return "", errors.Join(err, i.Abort())
	}
	name, err = i.f.move(i.part, i.folder, name, "")
	if err != nil {
		return "", errors.Join(err, i.Abort())
	}
	return filepath.Join(i.folder, name), errors.Join(i.Close(), i.f.root.Close())
}

// Abort takes the file away.
func (i *Incoming) Abort() error {
	return errors.Join(i.Close(), remove(i.f.root, i.part), i.f.root.Close())
}
