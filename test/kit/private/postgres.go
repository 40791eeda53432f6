package private

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mageline/mageline/test/kit/freeport"
)

// Postgres is a server of our own.
type Postgres struct {
	// URL is postgres://postgres@127.0.0.1:port/postgres
	URL string
	// Addr is its host and port.
	Addr string

	server
	bin string
}

// places are where Debian and others keep the server's programs.
var places = []string{"/usr/lib/postgresql/*/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/pgsql-*/bin"}

// StartPostgres starts a server with nothing in it. Close ends it, also when there is an error with it.
func StartPostgres() (*Postgres, error) {
	p, err := newPostgres()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err = p.run(ctx, filepath.Join(p.bin, "initdb"), "-D", p.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	if err != nil {
		return p, err
	}
	return p, p.Start()
}

// Standby starts a server that follows this one, to which addr leads.
func (p *Postgres) Standby(addr string) (*Postgres, error) {
	s, err := newPostgres()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := s.run(ctx, filepath.Join(p.bin, "pg_basebackup"), "-d", "postgres://postgres@"+addr+"/postgres", "-D", s.data(), "-R", "-c", "fast", "-N"); err != nil {
		return s, err
	}
	return s, s.Start()
}

func newPostgres() (*Postgres, error) {
	programs := otherPrograms()
	path, err := program(programs, "postgres", places...)
	if err != nil {
		return nil, err
	}
	free, err := freeport.Find(1)
	if err != nil {
		return nil, err
	}
	home, err := folder()
	if err != nil {
		return nil, err
	}
	addr := fmt.Sprintf("127.0.0.1:%d", free[0])
	p := &Postgres{URL: "postgres://postgres@" + addr + "/postgres", Addr: addr, bin: filepath.Dir(path)}
	p.server = server{path: path, programs: programs, folder: home, log: filepath.Join(home, "postgres.log"), env: []string{"PATH=" + os.Getenv("PATH"), "LANG=C"}}
	p.args = []string{
		"-D", p.data(), "-c", "listen_addresses=127.0.0.1", "-c", fmt.Sprintf("port=%d", free[0]),
		"-c", "unix_socket_directories=", "-c", "max_connections=200",
	}
	return p, nil
}

func (p *Postgres) data() string { return filepath.Join(p.folder, "data") }

// Start starts it again after Stop or Crash.
func (p *Postgres) Start() error {
	if err := p.start(); err != nil {
		return err
	}
	return p.await(30*time.Second, "Postgres at "+p.Addr, func(ctx context.Context) error { return p.Exec(ctx, "SELECT 1") })
}

// Stop ends it in order: open transactions are rolled back.
func (p *Postgres) Stop() { p.end(syscall.SIGINT, 20*time.Second) }

// Crash ends it at once: what was committed is found again in its log.
func (p *Postgres) Crash() { p.end(syscall.SIGQUIT, 20*time.Second) }

// Close ends it for good.
func (p *Postgres) Close() {
	p.Crash()
	_ = os.RemoveAll(p.folder)
}

// Exec runs a statement in the database postgres.
func (p *Postgres) Exec(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, p.URL)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, sql)
	return err
}
