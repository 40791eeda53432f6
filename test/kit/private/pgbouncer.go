package private

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mageline/mageline/test/kit/freeport"
)

// PgBouncer is a pooler of our own in front of a Postgres, as Debian packages it: without a word of configuration beyond
// what Options say.
type PgBouncer struct {
	// Addr is its host and port.
	Addr string

	server
}

// PoolerOptions are what tests differ in.
type PoolerOptions struct {
	Mode string // transaction, session or statement; "" is transaction
	Size int    // connections to Postgres for each database; 0 is 2
	// Ignore are parameters of connections that it takes and forgets (ignore_startup_parameters), separated by commas.
	Ignore string
}

// The pooler is the installed one, also where the servers are of other versions.
var poolerPlaces = []string{"/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin"}

// RequirePgBouncer leaves a test out where it is not installed. In CI that is a failure.
func RequirePgBouncer(t testing.TB) {
	t.Helper()
	_, err := program("", "pgbouncer", poolerPlaces...)
	if err == nil {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal(err)
	}
	t.Skip(err)
}

// StartPgBouncer starts a pooler for the server at a postgres:// address, with the role and password that are in it. Close
// ends it, also when there is an error with it.
func StartPgBouncer(address string, o PoolerOptions) (*PgBouncer, error) {
	path, err := program("", "pgbouncer", poolerPlaces...)
	if err != nil {
		return nil, err
	}
	target, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, fmt.Errorf("the address of the Postgres behind PgBouncer: %w", err)
	}
	free, err := freeport.Find(1)
	if err != nil {
		return nil, err
	}
	home, err := folder()
	if err != nil {
		return nil, err
	}
	b := &PgBouncer{Addr: fmt.Sprintf("127.0.0.1:%d", free[0])}
	if o.Mode == "" {
		o.Mode = "transaction"
	}
	if o.Size == 0 {
		o.Size = 2
	}
	password := ""
	if target.Password != "" {
		password = " password='" + strings.ReplaceAll(target.Password, "'", "''") + "'"
	}
	config := filepath.Join(home, "pgbouncer.ini")
	content := fmt.Sprintf(`[databases]
* = host=%s port=%d user=%s%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = %s
default_pool_size = %d
max_client_conn = 300
ignore_startup_parameters = %s
`, target.Host, target.Port, target.User, password, free[0], o.Mode, o.Size, o.Ignore)
	b.server = server{
		path: path, folder: home, log: filepath.Join(home, "pgbouncer.log"), args: []string{config},
		env: []string{"PATH=" + os.Getenv("PATH"), "LANG=C"},
	}
	if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
		return b, err
	}
	if err := own(config); err != nil {
		return b, err
	}
	return b, b.Start()
}

// URL gives an address of a Postgres, which is that behind the pooler, as one that leads through the pooler.
func (b *PgBouncer) URL(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		panic(err) // a test's own address
	}
	u.Host = b.Addr
	return u.String()
}

// Start starts it again after Stop or Kill.
func (b *PgBouncer) Start() error {
	if err := b.start(); err != nil {
		return err
	}
	return b.await(20*time.Second, "PgBouncer at "+b.Addr, func(ctx context.Context) error {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", b.Addr)
		if err != nil {
			return err
		}
		return c.Close()
	})
}

// Stop ends it in order: every connection is cut.
func (b *PgBouncer) Stop() { b.end(syscall.SIGTERM, 10*time.Second) }

// Kill ends it as a crash does.
func (b *PgBouncer) Kill() { b.end(syscall.SIGKILL, 0) }

// Close ends it for good.
func (b *PgBouncer) Close() {
	b.Kill()
	_ = os.RemoveAll(b.folder)
}
