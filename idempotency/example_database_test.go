package idempotency_test

import (
	"context"
	"crypto/rand"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/mageline/mageline/migrations"
	"github.com/mageline/mageline/test/kit"
)

// exampleDatabase makes a database for an example, which has no testing.TB, and migrates it.
func exampleDatabase() (address string, clean func()) {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, kit.DatabaseURL())
	if err != nil {
		panic(err)
	}
	name := "mageline_example_" + strings.ToLower(rand.Text()[:16])
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		panic(err)
	}
	u, err := url.Parse(kit.DatabaseURL())
	if err != nil {
		panic(err)
	}
	u.Path = "/" + name
	if _, err := migrations.Up(ctx, u.String()); err != nil {
		panic(err)
	}
	return u.String(), func() {
		if _, err := conn.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			panic(err)
		}
		if err := conn.Close(ctx); err != nil {
			panic(err)
		}
	}
}
