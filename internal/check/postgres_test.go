package check_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mageline/mageline/internal/check"
	"github.com/mageline/mageline/migrations"
	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/private"
)

// execute runs SQL, also at the end of a test, when its context has ended.
func execute(t *testing.T, address, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func change(t *testing.T, address string, f func(*url.URL)) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	f(u)
	return u.String()
}

// role makes a role of this test alone that may connect and nothing else, and gives the address with it.
func role(t *testing.T, address string) (name, with string) {
	t.Helper()
	name = "mageline_test_" + strings.ToLower(rand.Text()[:12])
	password := rand.Text()
	execute(t, address, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", name, password))
	t.Cleanup(func() { execute(t, address, fmt.Sprintf("DROP OWNED BY %s; DROP ROLE %s", name, name)) })
	return name, change(t, address, func(u *url.URL) { u.User = url.UserPassword(name, password) })
}

// setting is one of the tests' server.
func setting(t *testing.T, name string) (value string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), kit.DatabaseURL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if err := conn.QueryRow(t.Context(), "SELECT current_setting($1)", name).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func migrate(t *testing.T, address string) {
	t.Helper()
	if _, err := migrations.Up(t.Context(), address); err != nil {
		t.Fatal(err)
	}
}

func TestPostgres_InEachState(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		checker func(t *testing.T, address string) check.Postgres
		status  check.Status
		subject string
		detail  string
	}{
		{"empty", func(_ *testing.T, a string) check.Postgres { return check.Postgres{URL: a, Migrate: true} }, check.OK, "Postgres schema", "will be created"},
		{"migrated", func(t *testing.T, a string) check.Postgres {
			migrate(t, a)
			return check.Postgres{URL: a, DirectURL: a}
		}, check.OK, "Postgres schema", "up to date"},
		{"migrated, permissions", func(t *testing.T, a string) check.Postgres {
			migrate(t, a)
			return check.Postgres{URL: a}
		}, check.OK, "Postgres permissions", "granted"},
		{"pending, MIGRATE off", func(_ *testing.T, a string) check.Postgres { return check.Postgres{URL: a} }, check.Fail, "Postgres schema", "MAGELINE_MIGRATE is false"},
		{"may make no tables", func(t *testing.T, a string) check.Postgres {
			execute(t, a, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
			_, with := role(t, a)
			return check.Postgres{URL: with, Migrate: true}
		}, check.Fail, "Postgres schema", "may make no tables in the schema public"},
		{"may make no tables, but the one that migrates may", func(t *testing.T, a string) check.Postgres {
			_, with := role(t, a)
			return check.Postgres{URL: with, DirectURL: a, Migrate: true}
		}, check.OK, "Postgres schema", "will be created"},
		{"no schema", func(t *testing.T, a string) check.Postgres {
			return check.Postgres{URL: change(t, a, func(u *url.URL) { u.RawQuery = "search_path=nowhere&pool_max_conns=3" }), Migrate: true}
		}, check.Fail, "Postgres schema", "search_path"},
		{"may not read what was applied", func(t *testing.T, a string) check.Postgres {
			migrate(t, a)
			_, with := role(t, a)
			return check.Postgres{URL: with}
		}, check.Fail, "Postgres schema", "mageline_migrations"},
		{"may only read", func(t *testing.T, a string) check.Postgres {
			migrate(t, a)
			name, with := role(t, a)
			execute(t, a, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO "+name)
			return check.Postgres{URL: with}
		}, check.Fail, "Postgres permissions", "INSERT, UPDATE, DELETE ON effect"},
		{"may not read what was applied, and need not", func(t *testing.T, a string) check.Postgres {
			migrate(t, a)
			name, with := role(t, a)
			execute(t, a, "GRANT ALL ON ALL TABLES IN SCHEMA public TO "+name+"; REVOKE ALL ON mageline_migrations FROM "+name)
			return check.Postgres{URL: with, DirectURL: a, Migrate: true}
		}, check.OK, "Postgres permissions", "granted"},
		{"no such role", func(t *testing.T, a string) check.Postgres {
			return check.Postgres{URL: change(t, a, func(u *url.URL) { u.User = url.UserPassword("mageline_nobody", "s3cr3t") })}
		}, check.Fail, "Postgres credential in MAGELINE_DATABASE_URL", ""},
		{"no such database", func(t *testing.T, a string) check.Postgres {
			return check.Postgres{URL: change(t, a, func(u *url.URL) { u.Path = "/mageline_nowhere" })}
		}, check.Fail, "Postgres database", "mageline_nowhere"},
		{"not there", func(t *testing.T, a string) check.Postgres {
			return check.Postgres{URL: change(t, a, func(u *url.URL) { u.Host = "127.0.0.1:1" })}
		}, check.Fail, "Postgres 127.0.0.1:1", "refused"},
		{"not there to migrate", func(t *testing.T, a string) check.Postgres {
			return check.Postgres{URL: a, DirectURL: change(t, a, func(u *url.URL) { u.Host = "127.0.0.1:1" })}
		}, check.Fail, "Postgres 127.0.0.1:1", "refused"},
		{"no address", func(*testing.T, string) check.Postgres { return check.Postgres{URL: "postgres://u:s3cr3t@h:port/"} }, check.Fail, "Postgres", "MAGELINE_DATABASE_URL"},
		{"read only", func(t *testing.T, a string) check.Postgres {
			return check.Postgres{URL: change(t, a, func(u *url.URL) { u.RawQuery = "default_transaction_read_only=on" })}
		}, check.Fail, "Postgres writes", "read only"},
		{"commits that a crash forgets", func(t *testing.T, a string) check.Postgres {
			return check.Postgres{URL: change(t, a, func(u *url.URL) { u.RawQuery = "synchronous_commit=off" })}
		}, check.Warn, "Postgres writes", "synchronous_commit is off"},
	}
	forgetful := setting(t, "fsync") == "off" || setting(t, "synchronous_commit") == "off"
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			found := lines(t, tt.checker(t, kit.Database(t)))
			want(t, found, tt.status, tt.subject, tt.detail)
			if forgetful { // the tests' server is somebody's who does without fsync, and is told so
				found = slices.DeleteFunc(found, func(l check.Finding) bool { return l.Subject == "Postgres writes" })
			}
			if tt.status == check.OK {
				wantNo(t, found, check.Warn, check.Fail, check.Unknown)
			}
			for _, l := range found {
				if strings.Contains(l.String(), "s3cr3t") {
					t.Errorf("a password: %s", l)
				}
			}
		})
	}
}

func TestPostgres_FailsWithoutUTF8(t *testing.T) {
	t.Parallel()
	admin := kit.DatabaseURL()
	name := "mageline_test_" + strings.ToLower(rand.Text()[:16])
	execute(t, admin, "CREATE DATABASE "+name+" TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
	t.Cleanup(func() { execute(t, admin, "DROP DATABASE "+name+" WITH (FORCE)") })
	found := lines(t, check.Postgres{URL: change(t, admin, func(u *url.URL) { u.Path = "/" + name }), Migrate: true})
	want(t, found, check.Fail, "Postgres encoding", "LATIN1")
}

// Each table that the migrations make is looked at.
func TestPostgres_TablesAndRights(t *testing.T) {
	t.Parallel()
	address := kit.Database(t)
	migrate(t, address)
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	rows, err := conn.Query(t.Context(), "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'")
	if err != nil {
		t.Fatal(err)
	}
	made, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	_, with := role(t, address)
	execute(t, address, "GRANT SELECT ON mageline_migrations TO PUBLIC")
	found := lines(t, check.Postgres{URL: with})
	for _, table := range made {
		if table != "mageline_migrations" {
			want(t, found, check.Fail, "Postgres permissions", " ON "+table)
		}
	}
}

// A pooler in transaction mode is seen whatever its address is, and said where MAGELINE_MIGRATE_DATABASE_URL does not lead past
// it; through one that is declared everything is seen that is seen directly.
func TestPostgres_BehindAPooler(t *testing.T) {
	t.Parallel()
	private.RequirePgBouncer(t)
	poolers := map[string]*private.PgBouncer{}
	for name, o := range map[string]private.PoolerOptions{
		"transaction": {}, "one connection": {Size: 1}, "session": {Mode: "session", Size: 10}, "statement": {Mode: "statement"},
		"forgets search_path": {Ignore: "search_path"},
	} {
		b, err := private.StartPgBouncer(kit.DatabaseURL(), o)
		if b != nil {
			t.Cleanup(b.Close)
		}
		if err != nil {
			t.Fatal(err)
		}
		poolers[name] = b
	}
	in := func(t *testing.T, address, schema string) string {
		return change(t, address, func(u *url.URL) { u.RawQuery = "search_path=" + schema })
	}
	tests := []struct {
		name    string
		checker func(t *testing.T, through func(pooler string) string, direct string) check.Postgres
		status  check.Status
		subject string
		detail  string
	}{
		{"not declared", func(_ *testing.T, through func(string) string, _ string) check.Postgres {
			return check.Postgres{URL: through("transaction"), Migrate: true}
		}, check.Fail, "MAGELINE_MIGRATE_DATABASE_URL", "is not set, and MAGELINE_DATABASE_URL leads to a pooler in transaction mode"},
		{"not declared, one connection", func(_ *testing.T, through func(string) string, _ string) check.Postgres {
			return check.Postgres{URL: through("one connection"), Migrate: true}
		}, check.Fail, "MAGELINE_MIGRATE_DATABASE_URL", "is not set"},
		{"not declared, with a search_path", func(t *testing.T, through func(string) string, _ string) check.Postgres {
			return check.Postgres{URL: in(t, through("transaction"), "public"), Migrate: true}
		}, check.Fail, "Postgres " + poolers["transaction"].Addr, "unsupported startup parameter: search_path"},
		{"statement mode", func(_ *testing.T, through func(string) string, direct string) check.Postgres {
			return check.Postgres{URL: through("statement"), DirectURL: direct, Migrate: true}
		}, check.Fail, "Postgres pooler", "statement mode"},
		{"session mode", func(_ *testing.T, through func(string) string, _ string) check.Postgres {
			return check.Postgres{URL: through("session"), Migrate: true}
		}, check.OK, "Postgres pooler", "session mode"},
		{"declared", func(_ *testing.T, through func(string) string, direct string) check.Postgres {
			return check.Postgres{URL: through("transaction"), DirectURL: direct, Migrate: true}
		}, check.OK, "Postgres pooler", "transaction mode"},
		{"declared, with a search_path", func(t *testing.T, through func(string) string, direct string) check.Postgres {
			execute(t, direct, "CREATE SCHEMA shop")
			migrate(t, in(t, direct, "shop"))
			return check.Postgres{URL: in(t, through("transaction"), "shop"), DirectURL: direct}
		}, check.OK, "Postgres schema", "up to date"},
		{"declared, with a search_path that the pooler forgets", func(t *testing.T, through func(string) string, direct string) check.Postgres {
			execute(t, direct, "CREATE SCHEMA shop")
			migrate(t, in(t, direct, "shop"))
			return check.Postgres{URL: through("forgets search_path"), DirectURL: in(t, direct, "shop")}
		}, check.OK, "Postgres permissions", "granted"},
		{"declared by itself", func(_ *testing.T, through func(string) string, _ string) check.Postgres {
			return check.Postgres{URL: through("transaction"), DirectURL: through("transaction"), Migrate: true}
		}, check.Fail, "MAGELINE_MIGRATE_DATABASE_URL", "leads to a pooler in transaction mode itself"},
		{"declared, and no pooler", func(_ *testing.T, _ func(string) string, direct string) check.Postgres {
			return check.Postgres{URL: direct, DirectURL: direct, Migrate: true}
		}, check.OK, "Postgres schema", "will be created"},
		{"another database", func(t *testing.T, through func(string) string, _ string) check.Postgres {
			return check.Postgres{URL: through("transaction"), DirectURL: kit.Database(t), Migrate: true}
		}, check.Fail, "Postgres schema", `MAGELINE_MIGRATE_DATABASE_URL to "public" of "mageline_test_`},
		{"another schema", func(t *testing.T, through func(string) string, direct string) check.Postgres {
			execute(t, direct, "CREATE SCHEMA shop; CREATE SCHEMA other")
			return check.Postgres{URL: in(t, through("transaction"), "shop"), DirectURL: in(t, direct, "other"), Migrate: true}
		}, check.Fail, "Postgres schema", `the schema "shop"`},
		{"a setting that Postgres does not have", func(t *testing.T, through func(string) string, direct string) check.Postgres {
			return check.Postgres{URL: change(t, through("transaction"), func(u *url.URL) { u.RawQuery = "sslmod=disable" }), DirectURL: direct, Migrate: true}
		}, check.Fail, "Postgres settings", `unrecognized configuration parameter "sslmod"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			direct := kit.Database(t)
			found := lines(t, tt.checker(t, func(name string) string { return poolers[name].URL(direct) }, direct))
			want(t, found, tt.status, tt.subject, tt.detail)
			if tt.status == check.OK {
				wantNo(t, found, check.Warn, check.Fail, check.Unknown)
			}
		})
	}
}
