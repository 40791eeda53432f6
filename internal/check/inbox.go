package check

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
)

// Inbox looks at the directory of tracking files.
type Inbox struct {
	Path string
	// Beneath are the directories beneath it that files are moved to.
	Beneath []string
}

// Check looks. To see whether it may write, it makes a file without a content and takes it away again.
func (i Inbox) Check(context.Context) []Finding {
	subject := "inbox " + i.Path
	const todo = "have TRACKING_DIR lead to a directory in which the user that mageline runs as may write"
	info, err := os.Stat(i.Path)
	if err == nil && !info.IsDir() {
		return []Finding{{Fail, subject, "is no directory", todo}}
	}
	if err != nil {
		return []Finding{{Fail, subject, err.Error(), "make the directory, or mount it: mageline waits for it; " + todo}}
	}
	root, err := os.OpenRoot(i.Path)
	if err == nil {
		defer func() { _ = root.Close() }()
		_, err = fs.ReadDir(root.FS(), ".")
	}
	if err == nil {
		err = writable(root, ".")
	}
	if err != nil {
		return []Finding{{Fail, subject, err.Error(), todo}}
	}
	lines := []Finding{ok(subject, "is there and can be written to")}
	for _, name := range i.Beneath {
		subject := "inbox " + path.Join(i.Path, name)
		info, err := root.Lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			lines = append(lines, ok(subject, "will be created"))
			continue
		case err == nil && !info.IsDir():
			err = errors.New("is no directory; a symbolic link is not followed")
		case err == nil:
			err = writable(root, name)
		}
		if err != nil {
			lines = append(lines, Finding{Fail, subject, err.Error(), "let it be a directory in which the user that mageline runs as may write, or take it away"})
			continue
		}
		lines = append(lines, ok(subject, "is there and can be written to"))
	}
	return lines
}

func writable(root *os.Root, dir string) error {
	name := path.Join(dir, ".mageline-check")
	f, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), root.Remove(name))
}
