package sftp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/rs/zerolog"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/internal/inbox"
)

const (
	// done is the directory on the server that files are moved to.
	done = "done"
	// unfinished is how long a file that may lack its end must have been as it is.
	unfinished = time.Minute
	// watchFor is how long a file that was moved to done/ is looked at there, for its writer may write on.
	watchFor = 10 * time.Minute
	// maxBytes bounds a file, far above what an inbox reads.
	maxBytes = 512 << 20
	// maxFiles bounds how many files of a directory are looked at in one run.
	maxFiles = 10_000
)

// Ledger is what makes each fetch happen once, on any replica. *idempotency.Ledger is one.
type Ledger interface {
	Do(ctx context.Context, e idempotency.Effect, run func(ctx context.Context, c *idempotency.Claim) (idempotency.Result, error)) (idempotency.Result, bool, error)
}

// Pickup fetches the files of one server. One process at a time may run it.
type Pickup struct {
	Server Server
	Inbox  *inbox.Dir
	// Takes reports whether a file is one to fetch, by its name.
	Takes  func(name string) bool
	Ledger Ledger
	// Moved keeps which files were moved to done/ on the server in the last minutes.
	Moved inbox.Notes
	// Still is the time between the two looks in which a file must be the same.
	Still time.Duration
	Log   zerolog.Logger

	seen  map[string]time.Time // since when a file is as it is: by its state
	grown map[string]time.Time // the same of files in done/

	mu      sync.Mutex
	problem string
	since   time.Time
}

// remote is a file on the server as it is at one look.
type remote struct {
	name string
	size int64
	time time.Time
}

// state names a file as it is.
func (r remote) state() string { return fmt.Sprintf("%s %d %d", r.name, r.size, r.time.Unix()) }

// Run looks at the server once: it fetches what is complete.
func (p *Pickup) Run(ctx context.Context) error {
	err := p.run(ctx)
	if ctx.Err() == nil {
		p.note(err)
	}
	if err != nil {
		return fmt.Errorf("the SFTP server %s: %w", p.Server.Name, err)
	}
	return nil
}

// Problem returns why the last look has failed, and since when they do; "" if it has not.
func (p *Pickup) Problem() (text string, since time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.problem, p.since
}

func (p *Pickup) note(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		p.problem, p.since = "", time.Time{}
		return
	}
	if p.problem == "" {
		p.since = time.Now()
	}
	p.problem = err.Error()
}

func (p *Pickup) run(ctx context.Context) error {
	c, err := p.Server.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if err := p.lookAgain(ctx, c); err != nil {
		return err
	}
	first, err := p.Server.list(ctx, c, p.Takes)
	if err != nil {
		return err
	}
	p.keep(first)
	if len(first) == 0 {
		return nil
	}
	select {
	case <-time.After(p.Still):
	case <-ctx.Done():
		return ctx.Err()
	}
	second, err := p.Server.list(ctx, c, p.Takes)
	if err != nil {
		return err
	}
	var failed error
	for _, r := range second {
		if !slices.Contains(first, r) {
			continue
		}
		if err := p.pick(ctx, c, r); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%q: %w", r.name, err))
		}
		if err := event.Progress(ctx); err != nil || ctx.Err() != nil {
			return errors.Join(failed, err, ctx.Err())
		}
	}
	return failed
}

// keep keeps since when each file is as it is.
func (p *Pickup) keep(files []remote) {
	seen := make(map[string]time.Time, len(files))
	for _, r := range files {
		since, ok := p.seen[r.state()]
		if !ok {
			since = time.Now()
		}
		seen[r.state()] = since
	}
	p.seen = seen
}

// list returns the files to pick up, the oldest first.
func (s *Server) list(ctx context.Context, c *client, takes func(name string) bool) ([]remote, error) {
	infos, err := c.ReadDirContext(ctx, s.Directory)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", s.Directory, err)
	}
	var all []remote
	for _, info := range infos {
		name := info.Name()
		if info.Mode().IsRegular() && !strings.HasPrefix(name, ".") && !strings.ContainsAny(name, "/\\\x00") && utf8.ValidString(name) && takes(name) {
			all = append(all, remote{name, info.Size(), info.ModTime()})
		}
	}
	slices.SortFunc(all, func(a, b remote) int { return cmp.Or(a.time.Compare(b.time), cmp.Compare(a.name, b.name)) })
	return all[:min(len(all), maxFiles)], nil
}

// errOpen means that a file may still be written.
var errOpen = errors.New("it may still be written")

// pick fetches a file, unless that was done before, and then moves or deletes it.
func (p *Pickup) pick(ctx context.Context, c *client, r remote) error {
	err := p.fetch(ctx, c, path.Join(p.Server.Directory, r.name), r)
	var deferral *event.Deferral
	switch {
	case errors.Is(err, errOpen), errors.As(err, &deferral) && deferral.Busy:
		return nil // the next time
	case err != nil:
		return err
	}
	return p.leave(ctx, c, r)
}

// fetch brings a file into the inbox, once for each of its states.
func (p *Pickup) fetch(ctx context.Context, c *client, from string, r remote) error {
	key := idempotency.Key{Consumer: "sftp", Key: p.Server.Name + "/" + path.Join(p.Server.Directory, r.state()), Effect: "fetch"}
	_, _, err := p.Ledger.Do(ctx, idempotency.Effect{Key: key}, func(ctx context.Context, _ *idempotency.Claim) (idempotency.Result, error) {
		name, err := p.download(ctx, c, from, r)
		if err != nil {
			return idempotency.Result{}, event.NotDone(err)
		}
		p.Log.Info().Str("event", "sftp_fetched").Str("server", p.Server.Name).Str("remote", r.name).Int64("size", r.size).Str("file", name).
			Msg("fetched a file into the inbox")
		return idempotency.Result{Value: name}, nil
	})
	return err
}

func (p *Pickup) download(ctx context.Context, c *client, from string, r remote) (name string, err error) {
	if r.size > maxBytes {
		return "", fmt.Errorf("it has %d bytes, at most %d are fetched", r.size, maxBytes)
	}
	in, err := c.Open(from)
	if err != nil {
		return "", err
	}
	defer func() { _ = in.Close() }()
	out, err := p.Inbox.Create(p.Server.Name)
	if err != nil {
		return "", err
	}
	committed := false
	defer func() {
		if !committed {
			err = errors.Join(err, out.Abort())
		}
	}()
	n, err := io.CopyBuffer(struct{ io.Writer }{out.File}, &steps{ctx: ctx, r: in, left: r.size + 1}, make([]byte, 1<<20))
	if err != nil {
		return "", err
	}
	now, err := c.Stat(from)
	if err != nil {
		return "", err
	}
	if n != r.size || now.Size() != r.size || !now.ModTime().Equal(r.time) {
		return "", errOpen
	}
	whole, err := out.Whole()
	if err != nil {
		return "", err
	}
	since, ok := p.seen[r.state()]
	if !ok {
		since = p.grown[r.state()]
	}
	if !whole && time.Since(since) < cmp.Or(p.Inbox.Unfinished, unfinished) {
		return "", errOpen
	}
	committed = true // or taken away by Commit
	return out.Commit(r.name)
}

// steps reads at most so many bytes, ends with ctx, and reports progress.
type steps struct {
	ctx  context.Context
	r    io.Reader
	left int64
}

func (s *steps) Read(b []byte) (int, error) {
	if s.left <= 0 {
		return 0, io.EOF
	}
	if err := event.Progress(s.ctx); err != nil {
		return 0, err
	}
	n, err := s.r.Read(b[:min(int64(len(b)), s.left)])
	s.left -= int64(n)
	return n, err
}

// leave does on the server what is to be done with a file that is in the inbox.
func (p *Pickup) leave(ctx context.Context, c *client, r remote) error {
	from := path.Join(p.Server.Directory, r.name)
	if p.Server.Then == Leave {
		return nil
	}
	now, err := c.Stat(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if now.Size() != r.size || !now.ModTime().Equal(r.time) {
		return nil // it has grown: the next time
	}
	if p.Server.Then == Delete {
		return c.Remove(from)
	}
	dir := path.Join(p.Server.Directory, done)
	if err := c.MkdirAll(dir); err != nil {
		return fmt.Errorf("it is fetched, and %s can't be made: %w", dir, err)
	}
	to := path.Join(dir, r.name)
	if _, err := c.Lstat(to); err == nil {
		ending := path.Ext(r.name)
		to = path.Join(dir, strings.TrimSuffix(r.name, ending)+time.Now().UTC().Format("-20060102T150405.000Z")+ending)
	}
	note := inbox.Taken{Path: to, From: r.name, Size: r.size, SHA256: r.time.UTC().Format(time.RFC3339)}
	if err := p.Moved.Put(ctx, note); err != nil {
		return err
	}
	if err := c.Rename(from, to); err != nil {
		return errors.Join(fmt.Errorf("it is fetched, and can't be moved to %s: %w", dir, err), p.Moved.Drop(ctx, to))
	}
	return nil
}

// lookAgain fetches files in done/ once more that have grown there: whoever has a file open writes to it wherever it is.
func (p *Pickup) lookAgain(ctx context.Context, c *client) error {
	if p.Server.Then != Move {
		return nil
	}
	moved, err := p.Moved.All(ctx)
	if err != nil {
		return err
	}
	if len(moved) == 0 || p.grown == nil {
		p.grown = map[string]time.Time{}
	}
	for _, t := range moved {
		info, err := c.Stat(t.Path)
		switch {
		case errors.Is(err, os.ErrNotExist):
			err = p.Moved.Drop(ctx, t.Path)
		case err != nil:
		case info.Size() != t.Size || info.ModTime().UTC().Format(time.RFC3339) != t.SHA256:
			err = p.fetchGrown(ctx, c, t, remote{t.From, info.Size(), info.ModTime()})
		case t.Age >= watchFor:
			err = p.Moved.Drop(ctx, t.Path)
		}
		if err != nil {
			return fmt.Errorf("look again at %s: %w", t.Path, err)
		}
	}
	return nil
}

// fetchGrown fetches a file in done/ when it was the same in two looks.
func (p *Pickup) fetchGrown(ctx context.Context, c *client, t inbox.Taken, r remote) error {
	if _, ok := p.grown[r.state()]; !ok {
		p.grown[r.state()] = time.Now()
	}
	select {
	case <-time.After(p.Still):
	case <-ctx.Done():
		return ctx.Err()
	}
	err := p.fetch(ctx, c, t.Path, r)
	if errors.Is(err, errOpen) {
		return nil
	}
	if err != nil {
		return err
	}
	p.Log.Warn().Str("event", "sftp_file_grown").Str("server", p.Server.Name).Str("remote", t.Path).
		Msg("the file was written to after it was fetched, and is fetched again: have its writer rename it when it is whole")
	t.Size, t.SHA256 = r.size, r.time.UTC().Format(time.RFC3339)
	return p.Moved.Put(ctx, t)
}
