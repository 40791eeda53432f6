package kit

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// DatabaseURL is the address of the Postgres that tests use: MAGELINE_TEST_DATABASE_URL, or the local one.
func DatabaseURL() string {
	if u := os.Getenv("MAGELINE_TEST_DATABASE_URL"); u != "" {
		return u
	}
	return "postgres://postgres@127.0.0.1:5432/postgres"
}

// Database makes an empty database for this test alone and gives its URL; it is dropped at the end of the test, with
// whatever is still connected to it. Nothing is migrated: migrations.Up does that.
func Database(t testing.TB) string {
	t.Helper()
	return DatabaseAt(t, DatabaseURL())
}

// DatabaseAt does the same on the server at an address.
func DatabaseAt(t testing.TB, admin string) string {
	t.Helper()
	address, name := create(t, admin)
	t.Cleanup(func() { exec(t, admin, drop(name)) })
	return address
}

// create makes an empty database on the server at an address.
func create(t testing.TB, admin string) (address, name string) {
	t.Helper()
	u, err := url.Parse(admin)
	if err != nil {
		t.Fatalf("MAGELINE_TEST_DATABASE_URL must be a postgres:// URL: %v", err)
	}
	name = "mageline_test_" + strings.ToLower(rand.Text()[:16])
	exec(t, admin, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()+" TEMPLATE template0 ENCODING 'UTF8'")
	u.Path = "/" + name
	return u.String(), name
}

// Databases are migrated databases that the tests of a package have one after the other. To make and to drop one takes
// Postgres longer than many a test takes.
type Databases struct {
	Migrate func(ctx context.Context, url string) error

	mu   sync.Mutex
	free []*migrated
	all  []*migrated
}

type migrated struct {
	url, name string
	empty     []string // the tables that migrations leave empty
}

// Take returns the URL of a migrated database in which nothing is. At the end of the test it is emptied for the next. A test
// that changes the schema or a setting needs one of its own: see Database.
func (d *Databases) Take(t testing.TB) string {
	t.Helper()
	one := d.next(t)
	t.Cleanup(func() {
		if t.Failed() {
			return // whatever is in it
		}
		exec(t, one.url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid();"+
			" DELETE FROM "+strings.Join(one.empty, "; DELETE FROM "))
		d.mu.Lock()
		defer d.mu.Unlock()
		d.free = append(d.free, one)
	})
	return one.url
}

func (d *Databases) next(t testing.TB) *migrated {
	t.Helper()
	d.mu.Lock()
	if n := len(d.free); n > 0 {
		one := d.free[n-1]
		d.free = d.free[:n-1]
		d.mu.Unlock()
		return one
	}
	d.mu.Unlock()
	one := &migrated{}
	one.url, one.name = create(t, DatabaseURL())
	d.mu.Lock()
	d.all = append(d.all, one)
	d.mu.Unlock()
	if err := d.Migrate(t.Context(), one.url); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), one.url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	rows, _ := conn.Query(t.Context(), "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'")
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		var filled bool
		if err := conn.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM "+table+")").Scan(&filled); err != nil {
			t.Fatal(err)
		}
		if !filled {
			one.empty = append(one.empty, table)
		}
	}
	return one
}

// Close drops the databases. Call it after the last test.
func (d *Databases) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	for _, one := range d.all {
		errs = append(errs, run(DatabaseURL(), drop(one.name)))
	}
	return errors.Join(errs...)
}

func drop(name string) string {
	return "DROP DATABASE IF EXISTS " + pgx.Identifier{name}.Sanitize() + " WITH (FORCE)"
}

func exec(t testing.TB, url, sql string) {
	t.Helper()
	if err := run(url, sql); err != nil {
		t.Fatal(err)
	}
}

func run(url, sql string) error {
	// A test's context has ended when cleanups run.
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("connect to the tests' Postgres (set MAGELINE_TEST_DATABASE_URL): %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}
