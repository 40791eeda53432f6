package inbox

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// moves reports what happens to the files of some directories, by inotify: what is moved in is complete at once, and a writer that
// has closed its file is mostly done. The rest is polled. fsnotify would not do: it has one event for a file that is moved in and one
// that is created, and none for one that is closed.
type moves struct {
	fd    int
	file  *os.File
	names chan change
	done  chan struct{}
	ended sync.WaitGroup

	mu      sync.Mutex
	folders map[int32]string // by the number of the watch

	back uint32 // the cookie of the last file that went back into the inbox; of read alone
}

// watched are the events that say something of a file.
const watched = syscall.IN_MOVED_TO | syscall.IN_CLOSE_WRITE | syscall.IN_MODIFY | syscall.IN_ATTRIB | syscall.IN_MOVED_FROM

func watchMoves() (*moves, error) {
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC | syscall.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("inotify: %w", err)
	}
	m := &moves{
		fd: fd, file: os.NewFile(uintptr(fd), "inotify"), names: make(chan change, batch), done: make(chan struct{}), folders: map[int32]string{},
	}
	m.ended.Go(m.read)
	return m, nil
}

// add watches a folder of the inbox; adding one that is watched already changes nothing.
func (m *moves) add(inbox, folder string) error {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	wd, err := syscall.InotifyAddWatch(m.fd, filepath.Join(inbox, folder), watched|syscall.IN_ONLYDIR)
	if err != nil {
		return fmt.Errorf("inotify: watch %s: %w", filepath.Join(inbox, folder), err)
	}
	m.folders[int32(wd)] = folder //nolint:gosec // inotify counts its watches from 1, in 32 bits
	return nil
}

// read reads events until the file is closed.
func (m *moves) read() {
	buf := make([]byte, 64<<10)
	for {
		n, err := m.file.Read(buf)
		if err != nil {
			return
		}
		for _, c := range m.changes(buf[:n]) {
			select {
			case m.names <- c:
			case <-m.done:
				return
			}
		}
	}
}

// changes parses events of inotify(7): four numbers of 32 bits (watch, mask, cookie, length) and a name padded with zeros.
func (m *moves) changes(events []byte) (all []change) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(events) >= syscall.SizeofInotifyEvent {
		wd := int32(binary.NativeEndian.Uint32(events)) //nolint:gosec // it is one
		mask, cookie, length := binary.NativeEndian.Uint32(events[4:]), binary.NativeEndian.Uint32(events[8:]), binary.NativeEndian.Uint32(events[12:])
		events = events[syscall.SizeofInotifyEvent:]
		name, _, _ := bytes.Cut(events[:length], []byte{0})
		events = events[length:]
		folder, known := m.folders[wd]
		c := change{path: filepath.Join(folder, string(name))}
		switch {
		case mask&syscall.IN_Q_OVERFLOW != 0:
			c = change{lost: true}
		case mask&syscall.IN_IGNORED != 0:
			delete(m.folders, wd)
			continue
		case !known || mask&syscall.IN_ISDIR != 0 || len(name) == 0:
			continue
		case mask&syscall.IN_MOVED_FROM != 0:
			if bytes.HasSuffix(name, []byte(backEnding)) {
				m.back = cookie
			}
			continue
		case mask&syscall.IN_MOVED_TO != 0:
			c.moved = cookie != m.back // what has grown and goes back is not complete because of that
		case mask&syscall.IN_CLOSE_WRITE != 0:
			c.closed = true
		case mask&syscall.IN_MODIFY != 0:
			c.written = true
		}
		all = append(all, c)
	}
	return all
}

// changed returns the channel of changes; for a nil m it blocks for ever.
func (m *moves) changed() <-chan change {
	if m == nil {
		return nil
	}
	return m.names
}

func (m *moves) close() {
	if m == nil {
		return
	}
	close(m.done)
	_ = m.file.Close()
	m.ended.Wait()
}
