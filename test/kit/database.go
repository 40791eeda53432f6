package kit

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"strings"
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
	u, err := url.Parse(admin)
	if err != nil {
		t.Fatalf("MAGELINE_TEST_DATABASE_URL must be a postgres:// URL: %v", err)
	}
	name := "mageline_test_" + strings.ToLower(rand.Text()[:16])
	exec(t, admin, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()+" TEMPLATE template0 ENCODING 'UTF8'")
	t.Cleanup(func() {
		exec(t, admin, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)")
	})
	u.Path = "/" + name
	return u.String()
}

func exec(t testing.TB, url, sql string) {
	t.Helper()
	// t.Context() has ended when cleanups run.
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatalf("connect to the tests' Postgres (set MAGELINE_TEST_DATABASE_URL): %v", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Fatal(fmt.Errorf("%s: %w", sql, err))
	}
}
