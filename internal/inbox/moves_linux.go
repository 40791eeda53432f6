package inbox

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"sync"
	"syscall"
)

// moves reports files that are moved into a directory: these are complete at once. Nothing else is needed of inotify, because the
// directory is polled anyway. fsnotify would not do: it has one event for a file that is moved in and one that is created.
type moves struct {
	file  *os.File
	names chan string
	done  chan struct{}
	ended sync.WaitGroup
}

func watchMoves(dir string) (*moves, error) {
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC | syscall.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("inotify: %w", err)
	}
	m := &moves{file: os.NewFile(uintptr(fd), "inotify"), names: make(chan string, batch), done: make(chan struct{})}
	if _, err := syscall.InotifyAddWatch(fd, dir, syscall.IN_MOVED_TO|syscall.IN_ONLYDIR); err != nil {
		_ = m.file.Close()
		return nil, fmt.Errorf("inotify: watch %s: %w", dir, err)
	}
	m.ended.Go(m.read)
	return m, nil
}

// read reads events until the file is closed. Polling finds what the system drops in between.
func (m *moves) read() {
	buf := make([]byte, 64<<10)
	for {
		n, err := m.file.Read(buf)
		if err != nil {
			return
		}
		for _, name := range movedIn(buf[:n]) {
			select {
			case m.names <- name:
			case <-m.done:
				return
			}
		}
	}
}

// movedIn parses events of inotify(7): four numbers of 32 bits (watch, mask, cookie, length) and a name padded with zeros.
func movedIn(events []byte) (names []string) {
	for len(events) >= syscall.SizeofInotifyEvent {
		mask, length := binary.NativeEndian.Uint32(events[4:]), binary.NativeEndian.Uint32(events[12:])
		events = events[syscall.SizeofInotifyEvent:]
		name, _, _ := bytes.Cut(events[:length], []byte{0})
		events = events[length:]
		if mask&syscall.IN_MOVED_TO != 0 && mask&syscall.IN_ISDIR == 0 {
			names = append(names, string(name))
		}
	}
	return names
}

// into returns the channel of names; for a nil m it blocks for ever.
func (m *moves) into() <-chan string {
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
