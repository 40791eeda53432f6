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
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/rs/zerolog"
)

const (
	// DefaultStill is how long a file that its writer has closed must not have changed to be complete.
	DefaultStill = 10 * time.Second
	// unclosed is how many times longer one must have been still of whose closing the system does not tell.
	unclosed = 3
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

// Watcher calls Tell for each complete file of the inbox, once for each content. A file is complete when it was moved in, or when its
// writer has closed it and it has been still for a while. One that is empty, or whose last row has no line break, must have been still
// for a minute in any case.
type Watcher struct {
	Dir *Dir
	// Takes reports whether a file, by its path relative to the inbox, is one to take. Names that begin with a dot are never taken.
	Takes func(path string) bool
	// Still is how long a file that was closed must have been still. 0: DefaultStill.
	Still time.Duration
	// Tell is called with a complete file. After an error it is called again later. It is not called while Ready returns false.
	Tell  func(ctx context.Context, f Found) error
	Ready func() bool
	Log   zerolog.Logger

	poll    time.Duration     // 0: every
	known   map[string]*known // by path
	folders map[string]fs.FileInfo
	round   int
	moves   *moves // nil where the system tells of nothing
	said    map[string]bool
	wait    time.Duration // after a file could not be told of
	again   time.Time     // when it is tried again

	mu      sync.Mutex
	waiting time.Time            // see Oldest
	untaken map[string]time.Time // files that no pattern takes, since when
}

// known is the state of a file of the inbox.
type known struct {
	info   fs.FileInfo
	first  time.Time // when it was first seen
	since  time.Time // when it was first seen as it is, by this machine's clock: that of a file server may differ
	moved  bool      // into the inbox, whole
	closed bool      // by its writer, since it was last written to
	noted  bool      // the system has told of something since the last look
	whole  *bool     // it ends as a complete file may; nil: not looked
	sha256 string    // once it was complete
	told   bool
	round  int
}

// change is what the system tells of a file.
type change struct {
	path                   string
	moved, written, closed bool // none: its times or rights are others
	lost                   bool // what happened to whichever file is not known
}

// Run watches until ctx ends.
func (w *Watcher) Run(ctx context.Context) {
	w.begin()
	defer func() { w.moves.close() }()
	tick := time.NewTicker(cmp.Or(w.poll, every))
	defer tick.Stop()
	for {
		if err := w.look(ctx); err != nil && ctx.Err() == nil {
			w.complain(err.Error())
		}
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				waiting = false
			case c := <-w.moves.changed():
				// What is moved in together is looked at together; a write alone changes nothing yet.
				waiting = !w.drain(c)
			}
		}
	}
}

func (w *Watcher) begin() {
	w.known, w.folders, w.said = map[string]*known{}, map[string]fs.FileInfo{}, map[string]bool{}
}

// drain notes all changes that are there, and reports whether something was moved in.
func (w *Watcher) drain(c change) (moved bool) {
	for {
		w.note(c)
		moved = moved || c.moved
		select {
		case c = <-w.moves.changed():
		default:
			return moved
		}
	}
}

func (w *Watcher) note(c change) {
	if c.lost {
		for _, k := range w.known {
			k.closed, k.moved = false, false
		}
		return
	}
	k := w.known[c.path]
	if k == nil || c.moved {
		first := time.Time{}
		if k != nil {
			first = k.first
		}
		k = &known{first: first}
		w.known[c.path] = k
	}
	k.moved = c.moved || k.moved && !c.written
	k.closed = c.closed || k.closed && !c.written
	k.noted = true
}

// complain logs a problem once, until the inbox is opened again.
func (w *Watcher) complain(text string) {
	if w.once(text) {
		w.Log.Warn().Str("event", "inbox_problem").Str("error", text).Msg("the inbox or a file in it can't be used")
	}
}

func (w *Watcher) once(text string) bool {
	if len(w.said) > batch {
		clear(w.said)
	}
	said := w.said[text]
	w.said[text] = true
	return !said
}

// look checks each file of the directory and of its folders.
func (w *Watcher) look(ctx context.Context) error {
	root, err := w.Dir.open()
	if err != nil {
		clear(w.known) // whatever comes back is new
		clear(w.folders)
		return fmt.Errorf("%w: it is looked for again", err)
	}
	defer func() { _ = root.Close() }()
	w.round++
	if err := w.folder(ctx, root, "."); err != nil {
		return err
	}
	for path, k := range w.known {
		if k.round != w.round {
			delete(w.known, path)
		}
	}
	w.keep()
	return nil
}

// folder checks each file of one directory: of the inbox itself, or of a folder beneath it.
func (w *Watcher) folder(ctx context.Context, root *os.Root, name string) error {
	dir, err := root.Open(name)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrAway, err)
	}
	defer func() { _ = dir.Close() }()
	if err := w.watch(root, dir, name); err != nil {
		return err
	}
	for {
		entries, err := dir.ReadDir(batch)
		for _, e := range entries {
			path := filepath.Join(name, e.Name())
			var failed error
			switch {
			case strings.HasPrefix(e.Name(), "."):
			case !e.IsDir():
				failed = w.file(ctx, root, path)
			case name == "." && path != Processed && path != Failed:
				failed = w.folder(ctx, root, path)
				if errors.Is(failed, ErrAway) { // of a folder: those of others go on
					if !errors.Is(failed, fs.ErrNotExist) {
						w.complain(fmt.Sprintf("the folder %q: %v", path, failed))
					}
					failed = nil
				}
			}
			if failed != nil {
				return failed
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("list the inbox: %w", err)
		}
	}
}

// watch starts to watch a folder, whenever it is another directory than before.
func (w *Watcher) watch(root *os.Root, dir *os.File, name string) error {
	info, err := dir.Stat()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrAway, err)
	}
	if before := w.folders[name]; before != nil && os.SameFile(before, info) {
		return nil
	}
	if name == "." {
		if err := w.rewatch(root); err != nil {
			return err
		}
	}
	w.folders[name] = info
	if err := w.moves.add(w.Dir.Path, name); err != nil {
		w.Log.Debug().Str("event", "inbox_polled").Err(err).Msg("the system does not tell what happens in the folder: files must have been still for longer")
	}
	return nil
}

// rewatch begins anew: the inbox is another directory than before.
func (w *Watcher) rewatch(root *os.Root) (err error) {
	clear(w.said)
	clear(w.folders)
	w.moves.close()
	if w.moves, err = watchMoves(); err != nil {
		w.moves = nil
		w.Log.Debug().Str("event", "inbox_polled").Err(err).
			Msg("the system does not tell what happens in the inbox: files must have been still for longer")
	}
	for _, name := range []string{Processed, Failed} {
		if err := root.MkdirAll(name, 0o755); err != nil {
			w.complain(fmt.Sprintf("%s can't be made beneath the inbox: %v", name, err))
		}
	}
	w.Log.Info().Str("event", "inbox_watched").Str("directory", w.Dir.Path).Bool("inotify", w.moves != nil).Msg("watching the inbox")
	return nil
}

// file checks one file, and calls Tell if it is complete.
func (w *Watcher) file(ctx context.Context, root *os.Root, path string) error {
	if !utf8.ValidString(path) {
		w.complain(fmt.Sprintf("the file %q of the inbox is left alone: its name is not UTF-8; give it another one", path))
		return nil
	}
	info, err := root.Lstat(path)
	if err != nil {
		w.unreadable(path, err)
		return nil
	}
	if !info.Mode().IsRegular() {
		if w.Takes(path) {
			w.complain(fmt.Sprintf("%q of the inbox is left alone: it is a symbolic link, or no file", path))
		}
		return nil
	}
	now := w.Dir.time()
	k := w.seen(path, info, now)
	if !w.Takes(path) {
		if now.Sub(k.since) >= unclosed*w.still() && w.once("untaken "+path) {
			w.Log.Warn().Str("event", "inbox_file_untaken").Str("file", path).
				Msg("no pattern takes this file of the inbox: give it another name, or name it in a pattern")
		}
		return nil
	}
	if k.told || now.Before(w.again) || !w.complete(root, path, k, now) || !w.Ready() {
		return nil
	}
	if k.sha256 == "" {
		if k.sha256, err = hashOf(ctx, root, path, k.info); err != nil || k.sha256 == "" {
			w.unreadable(path, err)
			return ctx.Err()
		}
	}
	if err := w.Tell(ctx, Found{Path: path, SHA256: k.sha256, Size: k.info.Size()}); err != nil {
		w.wait = min(max(2*w.wait, firstWait), lastWait)
		w.again = now.Add(w.wait)
		return fmt.Errorf("tell of the file %q in the inbox: %w: tried again", path, err)
	}
	w.wait = 0
	k.told = true
	return nil
}

// seen notes how a file is now.
func (w *Watcher) seen(path string, info fs.FileInfo, now time.Time) *known {
	k := w.known[path]
	switch {
	case k == nil:
		k = &known{info: info, first: now, since: now}
		w.known[path] = k
	case k.info == nil: // the system has told of it
		k.info, k.since = info, now
		if k.first.IsZero() {
			k.first = now
		}
	case !sameContent(k.info, info):
		// A write of which the system has not told: whatever it has told before is not the end.
		*k = known{info: info, first: k.first, since: now, closed: k.closed && k.noted}
	}
	k.noted, k.round = false, w.round
	return k
}

// complete reports whether a file has been left alone for long enough.
func (w *Watcher) complete(root *os.Root, path string, k *known, now time.Time) bool {
	still := now.Sub(k.since)
	switch {
	case k.moved:
	case k.closed && still < w.still(), !k.closed && still < unclosed*w.still():
		return false
	}
	if k.whole == nil {
		f, err := openRegular(root, path)
		if err != nil {
			w.unreadable(path, err)
			return false
		}
		end, err := whole(f, k.info.Size())
		_ = f.Close()
		if err != nil {
			w.unreadable(path, err)
			return false
		}
		k.whole = &end
	}
	switch minute := w.Dir.unfinished(); {
	case *k.whole || still >= minute:
		return true
	case k.moved: // it may have been still elsewhere
		return now.Sub(k.info.ModTime()) >= minute
	}
	return false
}

func (w *Watcher) still() time.Duration { return cmp.Or(w.Still, DefaultStill) }

// unreadable logs that a file can't be read, unless it is gone since it was listed.
func (w *Watcher) unreadable(path string, err error) {
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, context.Canceled) {
		w.complain(fmt.Sprintf("the file %q of the inbox can't be read: %v", path, err))
	}
}

// Oldest returns since when this process has seen the oldest file that is to be taken; ok is false if there is none. It may be called
// while Run runs.
func (w *Watcher) Oldest() (since time.Time, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.waiting, !w.waiting.IsZero()
}

// Untaken returns the paths of files that no pattern takes and that this process has seen for so long, in order. It may be called
// while Run runs.
func (w *Watcher) Untaken(old time.Duration) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	now := w.Dir.time()
	for path, since := range w.untaken {
		if now.Sub(since) >= old {
			all = append(all, path)
		}
	}
	slices.Sort(all)
	return all
}

// keep keeps what Oldest and Untaken return.
func (w *Watcher) keep() {
	var oldest time.Time
	untaken := map[string]time.Time{}
	for path, k := range w.known {
		switch {
		case k.first.IsZero():
		case !w.Takes(path):
			untaken[path] = k.first
		case oldest.IsZero() || k.first.Before(oldest):
			oldest = k.first
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting, w.untaken = oldest, untaken
}

// hashOf returns the hash of a file's content; "" if the file has changed since info, or while it was read.
func hashOf(ctx context.Context, root *os.Root, path string, info fs.FileInfo) (string, error) {
	f, err := openRegular(root, path)
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

// Globs returns a function that reports whether the name of a file matches one of the globs, which are separated by commas, whatever
// the case.
func Globs(patterns string) (func(name string) bool, error) {
	var all []string
	for p := range strings.SplitSeq(patterns, ",") {
		p = strings.ToLower(strings.TrimSpace(p))
		if p == "" {
			continue
		}
		if _, err := filepath.Match(p, ""); err != nil {
			return nil, fmt.Errorf("the pattern %q: %w", p, err)
		}
		all = append(all, p)
	}
	return func(name string) bool {
		name = strings.ToLower(name)
		return slices.ContainsFunc(all, func(p string) bool {
			ok, _ := filepath.Match(p, name)
			return ok
		})
	}, nil
}
