package inbox

import (
	"cmp"
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
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/rs/zerolog"
)

const (
	// defaultStill is how long a file's size and time must not have changed for it to be complete.
	defaultStill = 2 * time.Second
	// every is how often the directory is polled: network file systems report no changes.
	every = 500 * time.Millisecond
	// firstWait is the wait after Tell has failed. It doubles up to lastWait.
	firstWait, lastWait = time.Second, time.Minute
	// batch is how many names of the directory one read returns.
	batch = 1000
)

// Found is a complete file.
type Found struct {
	Path   string // relative to the inbox
	SHA256 string // hex
	Size   int64  // bytes
}

// Watcher calls Tell for each complete file of the inbox, once for each content.
type Watcher struct {
	Dir *Dir
	// Tell is called with a complete file. After an error it is called again later. It is not called while Ready returns false.
	Tell  func(ctx context.Context, f Found) error
	Ready func() bool
	Log   zerolog.Logger

	still   time.Duration     // 0: defaultStill
	oldest  atomic.Int64      // see Oldest, in nanoseconds since 1970; 0: none
	known   map[string]*known // by name
	round   int
	watched fs.FileInfo // the directory that moves is about
	moves   *moves      // nil where the system tells of none
	said    map[string]bool
	wait    time.Duration // after a file could not be told of
	again   time.Time     // when it is tried again
}

// known is the state of a file of the inbox.
type known struct {
	info   fs.FileInfo
	since  time.Time // when it was first seen as it is, by this machine's clock: that of a file server may differ
	moved  bool      // into the inbox, whole
	sha256 string    // once it was complete
	told   bool
	round  int
}

// Run watches until ctx ends.
func (w *Watcher) Run(ctx context.Context) {
	w.known, w.said = map[string]*known{}, map[string]bool{}
	defer func() { w.moves.close() }()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := w.look(ctx); err != nil && ctx.Err() == nil {
			w.complain(err.Error())
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case name := <-w.moves.into():
			// Files that are moved in together are looked at together.
			for more := true; more; {
				w.known[name] = &known{moved: true}
				select {
				case name = <-w.moves.into():
				default:
					more = false
				}
			}
		}
	}
}

// complain logs a problem once, until the inbox is opened again.
func (w *Watcher) complain(text string) {
	if len(w.said) > batch {
		clear(w.said)
	}
	if !w.said[text] {
		w.said[text] = true
		w.Log.Warn().Str("event", "inbox_problem").Str("error", text).Msg("the inbox or a file in it can't be used")
	}
}

// look checks each file of the directory.
func (w *Watcher) look(ctx context.Context) error {
	root, err := w.Dir.open()
	if err != nil {
		clear(w.known) // whatever comes back is new
		w.watched = nil
		return fmt.Errorf("%w: it is looked for again", err)
	}
	defer func() { _ = root.Close() }()
	dir, err := root.Open(".")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrAway, err)
	}
	defer func() { _ = dir.Close() }()
	if err := w.watch(root, dir); err != nil {
		return err
	}
	w.round++
	for {
		entries, err := dir.ReadDir(batch)
		for _, e := range entries {
			if err := w.file(ctx, root, e); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			for name, k := range w.known {
				if k.round != w.round {
					delete(w.known, name)
				}
			}
			w.noteOldest()
			return nil
		case err != nil:
			return fmt.Errorf("list the inbox: %w", err)
		}
	}
}

// Oldest returns since when this process has seen the oldest file of the inbox; ok is false if there is none. It may be called
// while Run runs.
func (w *Watcher) Oldest() (since time.Time, ok bool) {
	n := w.oldest.Load()
	return time.Unix(0, n), n != 0
}

func (w *Watcher) noteOldest() {
	var oldest time.Time
	for _, k := range w.known {
		if !k.since.IsZero() && (oldest.IsZero() || k.since.Before(oldest)) {
			oldest = k.since
		}
	}
	if oldest.IsZero() {
		w.oldest.Store(0)
	} else {
		w.oldest.Store(oldest.UnixNano())
	}
}

// watch creates the directories beneath the inbox and starts to watch it, whenever it is another directory than before.
func (w *Watcher) watch(root *os.Root, dir *os.File) error {
	info, err := dir.Stat()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrAway, err)
	}
	if w.watched != nil && os.SameFile(w.watched, info) {
		return nil
	}
	clear(w.said)
	w.moves.close()
	if w.moves, err = watchMoves(w.Dir.Path); err != nil {
		w.Log.Debug().Str("event", "inbox_polled").Err(err).
			Msg("the system does not tell what is moved into the inbox: files count as complete when they have been still")
	}
	w.watched = info
	for _, name := range []string{Processed, Failed} {
		if err := root.MkdirAll(name, 0o755); err != nil {
			w.complain(fmt.Sprintf("%s can't be made beneath the inbox: %v", name, err))
		}
	}
	w.Log.Info().Str("event", "inbox_watched").Str("directory", w.Dir.Path).Str("pattern", w.Dir.Pattern).Bool("inotify", w.moves != nil).
		Msg("watching the inbox")
	return nil
}

// file checks one name of the directory, and calls Tell if the file is complete.
func (w *Watcher) file(ctx context.Context, root *os.Root, e fs.DirEntry) error {
	name := e.Name()
	matches, err := filepath.Match(w.Dir.Pattern, name)
	if err != nil || !matches || strings.HasPrefix(name, ".") || e.IsDir() {
		return err // the pattern's
	}
	if !utf8.ValidString(name) {
		w.complain(fmt.Sprintf("the file %q of the inbox is left alone: its name is not UTF-8; give it another one", name))
		return nil
	}
	info, err := root.Lstat(name)
	if err != nil {
		w.unreadable(name, err)
		return nil
	}
	if !info.Mode().IsRegular() {
		w.complain(fmt.Sprintf("%q of the inbox is left alone: it is a symbolic link, or no file", name))
		return nil
	}
	k := w.known[name]
	switch now := time.Now(); {
	case k == nil:
		k = &known{info: info, since: now}
		w.known[name] = k
	case k.info == nil: // it was moved in
		k.info, k.since = info, now
	case !sameContent(k.info, info):
		*k = known{info: info, since: now}
	}
	k.round = w.round
	if k.told || !k.moved && time.Since(k.since) < cmp.Or(w.still, defaultStill) || time.Now().Before(w.again) || !w.Ready() {
		return nil
	}
	if k.sha256 == "" {
		if k.sha256, err = hashOf(ctx, root, name, k.info); err != nil || k.sha256 == "" {
			w.unreadable(name, err)
			return ctx.Err()
		}
	}
	if err := w.Tell(ctx, Found{Path: name, SHA256: k.sha256, Size: k.info.Size()}); err != nil {
		w.wait = min(max(2*w.wait, firstWait), lastWait)
		w.again = time.Now().Add(w.wait)
		return fmt.Errorf("tell of the file %q in the inbox: %w: tried again", name, err)
	}
	w.wait = 0
	k.told = true
	return nil
}

// unreadable logs that a file can't be read, unless it is gone since it was listed.
func (w *Watcher) unreadable(name string, err error) {
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, context.Canceled) {
		w.complain(fmt.Sprintf("the file %q of the inbox can't be read: %v", name, err))
	}
}

// hashOf returns the hash of a file's content; "" if the file has changed since info, or while it was read.
func hashOf(ctx context.Context, root *os.Root, name string, info fs.FileInfo) (string, error) {
	f, err := openRegular(root, name)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, stopped{ctx, f}); err != nil {
		return "", err
	}
	if after, err := f.Stat(); err != nil || !sameContent(info, after) {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// stopped is a reader that fails once ctx has ended.
type stopped struct {
	ctx context.Context
	r   io.Reader
}

func (s stopped) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(p)
}
