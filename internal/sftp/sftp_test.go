package sftp_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/internal/inbox"
	"github.com/mageline/mageline/internal/periodic"
	"github.com/mageline/mageline/internal/sftp"
	"github.com/mageline/mageline/internal/taken"
	"github.com/mageline/mageline/migrations"
	"github.com/mageline/mageline/test/kit"
)

// rig is a real OpenSSH server with a directory of files, and an inbox.
type rig struct {
	t      *testing.T
	sshd   *kit.SSHD
	remote string // the directory on the server
	inbox  string
	pool   *pgxpool.Pool
	log    kit.Log
	server sftp.Server
}

func newRig(t *testing.T) *rig {
	t.Helper()
	t.Parallel()
	r := &rig{t: t, sshd: kit.NewSSHD(t), remote: t.TempDir(), inbox: t.TempDir()}
	url := kit.Database(t)
	if _, err := migrations.Up(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	var err error
	if r.pool, err = pgxpool.New(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.pool.Close)
	r.server = sftp.Server{
		Name: "acme", Host: "127.0.0.1", Port: r.sshd.Port, User: r.sshd.User, KeyFile: r.sshd.KeyFile, HostKey: r.sshd.HostKey,
		Directory: r.remote, Every: time.Second, Then: sftp.Move,
	}
	return r
}

func (r *rig) ledger(name string) *idempotency.Ledger {
	l := idempotency.Open(r.t.Context(), idempotency.Options{Pool: r.pool, Process: name, Log: zerolog.Nop()})
	r.t.Cleanup(l.Close)
	return l
}

// pickup is that of one replica.
func (r *rig) pickup(l *idempotency.Ledger) *sftp.Pickup {
	return &sftp.Pickup{
		Server: r.server, Inbox: &inbox.Dir{Path: r.inbox, Unfinished: time.Second}, Ledger: l, Log: zerolog.New(&r.log),
		Takes: func(name string) bool { return strings.HasSuffix(name, ".csv") },
		Moved: taken.Store{DB: r.pool, Inbox: "sftp acme"}, Still: 50 * time.Millisecond,
	}
}

func (r *rig) put(name, content string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.remote, name), []byte(content), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) run(p *sftp.Pickup) {
	r.t.Helper()
	if err := p.Run(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// files are those of a directory, with their content.
func (r *rig) files(dir ...string) map[string]string {
	r.t.Helper()
	all := map[string]string{}
	path := filepath.Join(dir...)
	entries, err := os.ReadDir(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		r.t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		content, err := os.ReadFile(filepath.Join(path, e.Name()))
		if err != nil {
			r.t.Fatal(err)
		}
		all[e.Name()] = string(content)
	}
	return all
}

func (r *rig) has(where string, want map[string]string, dir ...string) {
	r.t.Helper()
	if got := r.files(dir...); !maps.Equal(got, want) {
		r.t.Errorf("%s has %.500q, want %.500q", where, got, want)
	}
}

func TestPickup_FetchesOnceAndLeavesAsItIsTold(t *testing.T) {
	for _, then := range []string{sftp.Move, sftp.Delete, sftp.Leave} {
		t.Run(then, func(t *testing.T) {
			r := newRig(t)
			r.server.Then = then
			files := map[string]string{"a.csv": "1\n", "ü b.csv": strings.Repeat("22\n", 100_000)}
			for name, content := range files {
				r.put(name, content)
			}
			r.put("notes.dat", "x")
			r.put(".hidden.csv", "x\n")
			l := r.ledger("first")
			for range 2 {
				r.run(r.pickup(l)) // each time another process
			}
			r.has("the inbox", files, r.inbox, "acme")
			here, there := map[string]string{"notes.dat": "x", ".hidden.csv": "x\n"}, map[string]string{}
			switch then {
			case sftp.Move:
				there = files
			case sftp.Leave:
				maps.Copy(here, files)
			}
			r.has("the server", here, r.remote)
			r.has("done/", there, r.remote, "done")

			// The same name with other content is another file, and overwrites nothing.
			r.put("a.csv", "1\n2\n")
			r.run(r.pickup(l))
			if got := r.files(r.inbox, "acme"); len(got) != 3 || got["a.csv"] != "1\n" {
				t.Errorf("the inbox has %.300q", got)
			}
		})
	}
}

// What is being written is left alone, what may lack its end waits, and what grows in done/ is fetched again.
func TestPickup_WaitsForWholeFiles(t *testing.T) {
	r := newRig(t)
	l := r.ledger("first")
	p := r.pickup(l)
	p.Still = time.Second
	f, err := os.Create(filepath.Join(r.remote, "slow.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	stop := make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				_, _ = fmt.Fprintf(f, "row %d\n", n)
			}
		}
	})
	for range 2 {
		r.run(p)
	}
	r.has("the inbox", map[string]string{}, r.inbox, "acme")
	close(stop)
	writing.Wait()
	p.Still = 10 * time.Millisecond
	write := func(text string) {
		t.Helper()
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	write("half a ro")
	p.Inbox.Unfinished = time.Hour
	r.run(p)
	r.has("the inbox", map[string]string{}, r.inbox, "acme")
	p.Inbox.Unfinished = time.Millisecond
	r.run(p)
	first := r.files(r.inbox, "acme")["slow.csv"]
	if !strings.HasSuffix(first, "half a ro") {
		t.Errorf("fetched %.100q", first)
	}
	write("w\nlast\n")
	r.run(r.pickup(r.ledger("second"))) // another replica
	r.run(p)
	got := slices.Sorted(maps.Values(r.files(r.inbox, "acme")))
	if len(got) != 2 || got[1] != first+"w\nlast\n" || !r.log.Has("sftp_file_grown", "server", "acme") {
		t.Errorf("fetched %.300q; log:\n%s", got, r.log.String())
	}
}

// Connections that break at any byte lose nothing and fetch nothing twice.
func TestPickup_SurvivesConnectionsThatBreak(t *testing.T) {
	r := newRig(t)
	proxy := kit.NewProxy(t, r.sshd.Addr())
	_, port, _ := strings.Cut(proxy.Addr(), ":")
	if _, err := fmt.Sscan(port, &r.server.Port); err != nil {
		t.Fatal(err)
	}
	const files = 6
	want := map[string]string{}
	for i := range files {
		content := strings.Repeat(fmt.Sprintf("%d,", i), 400_000) + "\n"
		want[fmt.Sprintf("%d.csv", i)] = content
		r.put(fmt.Sprintf("%d.csv", i), content)
	}
	p := r.pickup(r.ledger("first"))
	p.Still = time.Millisecond
	stop := make(chan struct{})
	var cutting sync.WaitGroup
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // chance
	cutting.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Duration(random.IntN(250)) * time.Millisecond):
				proxy.Cut()
			}
		}
	})
	failed := 0
	for range 12 {
		if err := p.Run(t.Context()); err != nil {
			failed++
		}
	}
	close(stop)
	cutting.Wait()
	r.run(p)
	r.has("the inbox", want, r.inbox, "acme")
	r.has("done/", want, r.remote, "done")
	r.has("the server", map[string]string{}, r.remote)
	if failed == 0 {
		t.Error("no connection was cut")
	}
}

// A server that is away is an error each time, and done with when it is back.
func TestPickup_SaysThatTheServerIsAway(t *testing.T) {
	r := newRig(t)
	proxy := kit.NewProxy(t, r.sshd.Addr())
	_, port, _ := strings.Cut(proxy.Addr(), ":")
	if _, err := fmt.Sscan(port, &r.server.Port); err != nil {
		t.Fatal(err)
	}
	r.put("a.csv", "1\n")
	p := r.pickup(r.ledger("first"))
	proxy.Refuse()
	for range 2 {
		if err := p.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "acme") {
			t.Errorf("without a server: %v", err)
		}
	}
	if text, since := p.Problem(); text == "" || since.IsZero() {
		t.Errorf("problem %q since %s", text, since)
	}
	proxy.Accept()
	r.run(p)
	if text, _ := p.Problem(); text != "" {
		t.Errorf("problem %q", text)
	}
	r.has("the inbox", map[string]string{"a.csv": "1\n"}, r.inbox, "acme")
}

func TestPickup_TrustsThePinnedKeyAlone(t *testing.T) {
	r := newRig(t)
	r.put("a.csv", "1\n")
	var wrong *sftp.HostKeyError
	r.server.HostKey = ""
	if err := r.pickup(r.ledger("unpinned")).Run(t.Context()); !errors.As(err, &wrong) || wrong.Shown != r.sshd.HostKey || !strings.Contains(err.Error(), r.sshd.HostKey) {
		t.Errorf("without a pinned key: %v", err)
	}
	r.server.HostKey = r.sshd.HostKey
	if n, err := r.server.Check(t.Context(), func(string) bool { return true }); n != 1 || err != nil {
		t.Errorf("check: %d files, %v", n, err)
	}
	r.sshd.Renew()
	if err := r.pickup(r.ledger("changed")).Run(t.Context()); !errors.As(err, &wrong) || wrong.Pinned == "" || wrong.Shown != r.sshd.HostKey {
		t.Errorf("with another key: %v", err)
	}
	r.has("the inbox", map[string]string{}, r.inbox, "acme")
	r.server.HostKey = r.sshd.HostKey
	r.run(r.pickup(r.ledger("pinned")))
	r.has("the inbox", map[string]string{"a.csv": "1\n"}, r.inbox, "acme")
}

// A file whose going to done/ fails is in the inbox once all the same, and goes when it can.
func TestPickup_CantMoveToDone(t *testing.T) {
	r := newRig(t)
	r.put("a.csv", "1\n")
	r.put("done", "a file in the way")
	p := r.pickup(r.ledger("first"))
	for range 2 {
		if err := p.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "done") {
			t.Errorf("with a done/ that can't be written: %v", err)
		}
	}
	r.has("the inbox", map[string]string{"a.csv": "1\n"}, r.inbox, "acme")
	if err := os.Remove(filepath.Join(r.remote, "done")); err != nil {
		t.Fatal(err)
	}
	r.run(p)
	r.has("the inbox", map[string]string{"a.csv": "1\n"}, r.inbox, "acme")
	r.has("done/", map[string]string{"a.csv": "1\n"}, r.remote, "done")
}

// Two replicas pick up by turns, as they do in the service.
func TestPickup_OfTwoReplicas(t *testing.T) {
	r := newRig(t)
	want := map[string]string{}
	ctx, cancel := context.WithCancel(t.Context())
	var replicas sync.WaitGroup
	for _, name := range []string{"first", "second"} {
		l := r.ledger(name)
		p := r.pickup(l)
		p.Still = time.Millisecond
		replicas.Go(func() {
			periodic.Run(ctx, l, func() bool { return true }, zerolog.New(&r.log), periodic.Task{Name: "sftp acme", Every: 10 * time.Millisecond, Run: p.Run})
		})
	}
	for i := range 20 {
		name, content := fmt.Sprintf("%d.csv", i), strings.Repeat(fmt.Sprintf("%d\n", i), 1000)
		want[name] = content
		r.put("upload", content)
		if err := os.Rename(filepath.Join(r.remote, "upload"), filepath.Join(r.remote, name)); err != nil {
			t.Fatal(err)
		}
	}
	kit.Eventually(t, time.Minute, func() bool { return len(r.files(r.remote, "done")) == len(want) }, "all to be fetched")
	cancel()
	replicas.Wait()
	r.has("the inbox", want, r.inbox, "acme")
	r.has("done/", want, r.remote, "done")
}

func TestRead_NamesEachProblem(t *testing.T) {
	read := func(text string) ([]sftp.Server, error) {
		file := filepath.Join(t.TempDir(), "sftp.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return sftp.Read(file)
	}
	got, err := read("- {name: acme, host: sftp.acme.example, user: shop, key_file: /k, every: 90s}\n")
	want := sftp.Server{Name: "acme", Host: "sftp.acme.example", Port: 22, User: "shop", KeyFile: "/k", Directory: ".", Every: 90 * time.Second, Then: sftp.Move}
	if err != nil || len(got) != 1 || got[0] != want {
		t.Errorf("%+v, %v", got, err)
	}
	for text, says := range map[string][]string{
		"":                 {"list of servers"},
		"[]":               {"list of servers"},
		"name: acme":       {"list of servers"},
		"- [":              {"no YAML"},
		"- acme":           {"mapping"},
		"- {name: [a]}":    {"name must be a text"},
		"- {nom: acme}":    {`"nom"`},
		"- {name: failed}": {"name must be", "host must be set", "user must be set", "password_file and key_file"},
		"- {name: a, host: h, user: u, key_file: k, password_file: p, port: 70000, every: 1ms, then: eat, pattern: '[', host_key: x}": {
			"password_file and key_file", "port", "every", "then", "pattern", "host_key",
		},
		"- {name: a, host: h, user: u, key_file: k}\n- {name: A, host: h, user: u, key_file: k}": {"server 2 (A): another one has its name"},
	} {
		_, err := read(text)
		for _, s := range says {
			if err == nil || !strings.Contains(err.Error(), s) {
				t.Errorf("%q: %v; want it to say %q", text, err, s)
			}
		}
	}
}
