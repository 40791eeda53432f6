package e2e

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

// asRole gives an address of the private Postgres for a role and a database, with a password that a server that trusts
// takes.
func (p privateServers) asRole(t *testing.T, role, database string) string {
	t.Helper()
	u, err := url.Parse(p.database)
	if err != nil {
		t.Fatal(err)
	}
	u.User, u.Path = url.UserPassword(role, env.DatabasePassword), "/"+database
	return u.String()
}

// says checks what a call of a command has printed.
func says(t *testing.T, vars map[string]string, code int, args []string, words ...string) {
	t.Helper()
	out, got := program.Call(t, vars, args...)
	if got != code {
		t.Errorf("mageline %v ends with %d, want %d:\n%s", args, got, code, out)
	}
	for _, word := range words {
		if !strings.Contains(out, word) {
			t.Errorf("mageline %v does not say %q:\n%s", args, word, out)
		}
	}
}

// A database that is not there is named, with what to do, by the service and by every command; when it is there the service
// goes on by itself.
func TestDatabase_Missing(t *testing.T) {
	t.Parallel()
	p := privateServices(t)
	e := newEnv(t, 200*time.Millisecond)
	e.Set("DATABASE_URL", p.asRole(t, "postgres", "comes_later"))
	r := e.Start()
	awaitAway(t, r, nil, []string{"comes_later", "createdb", "MAGELINE_DATABASE_URL"})
	if out, code := e.Call("check"); code != 1 || !failLine(out, []string{"Postgres database", "createdb"}) {
		t.Errorf("check ends with %d:\n%s", code, out)
	}
	says(t, e.Vars, 1, []string{"migrate"}, "comes_later", "createdb", "MAGELINE_DATABASE_URL")
	says(t, e.Vars, 1, []string{"migrate", "status"}, "createdb")
	env.SQL(t, p.database, "CREATE DATABASE comes_later")
	r.AwaitReady()
	e.AwaitDone(e.Place(2, fakemagento.Placing{})...)
	e.Finish()
}

// What the role lacks to migrate is named as a GRANT, by `migrate` and by the service, which waits for it.
func TestMigrate_WithoutRights(t *testing.T) {
	t.Parallel()
	p := privateServices(t)
	e := newEnv(t, 200*time.Millisecond)
	env.SQL(t, p.database, "CREATE ROLE weak LOGIN", "CREATE DATABASE weak")
	admin := p.asRole(t, "postgres", "weak")
	env.SQL(t, admin, "REVOKE CREATE ON SCHEMA public FROM PUBLIC") // as it is from Postgres 15 on
	e.Set("DATABASE_URL", p.asRole(t, "weak", "weak"))

	create := []string{"GRANT USAGE, CREATE ON SCHEMA public", "MAGELINE_DATABASE_URL", "MAGELINE_MIGRATE"}
	says(t, e.Vars, 1, []string{"migrate"}, create...)
	if out, code := e.Call("check"); code != 1 || !failLine(out, []string{"Postgres schema", "GRANT CREATE ON SCHEMA public TO weak"}) {
		t.Errorf("check ends with %d:\n%s", code, out)
	}
	r := e.Start()
	awaitAway(t, r, nil, create)
	env.SQL(t, admin, "GRANT CREATE ON SCHEMA public TO weak")
	r.AwaitReady()
	says(t, e.Vars, 0, []string{"migrate"}, "up to date")

	// Rights that are taken away later.
	env.SQL(t, admin, "ALTER TABLE mageline_migrations OWNER TO postgres", "REVOKE ALL ON mageline_migrations FROM weak")
	table := []string{"GRANT SELECT, INSERT, UPDATE, DELETE ON mageline_migrations", "MAGELINE_DATABASE_URL"}
	says(t, e.Vars, 1, []string{"migrate"}, table...)
	says(t, e.Vars, 1, []string{"migrate", "status"}, table...)
	direct := e.With("MIGRATE_DATABASE_URL", e.Vars["DATABASE_URL"])
	says(t, direct, 1, []string{"migrate", "up"}, "MAGELINE_MIGRATE_DATABASE_URL")
	env.SQL(t, admin, "GRANT SELECT ON mageline_migrations TO weak")
	says(t, e.Vars, 0, []string{"migrate"}, "up to date")
	// As if 5 and what follows were new: 5 makes a table, which needs a right that the owner of the others need not have.
	env.SQL(t, admin, "DELETE FROM mageline_migrations WHERE version_id >= 5", "REVOKE CREATE ON SCHEMA public FROM weak")
	says(t, e.Vars, 1, []string{"migrate"}, "permission denied", "GRANT ")
	e.AwaitDone(e.Place(2, fakemagento.Placing{})...) // the service has its tables
	e.Finish()
}

// The address for migrations is read again from its file before each try, and named when it is at fault; what can't be used
// leaves the one from before.
func TestMigrate_URLIsReplaced(t *testing.T) {
	t.Parallel()
	p := privateServices(t)
	e := newEnv(t, 200*time.Millisecond)
	m := &mounted{t: t, dir: t.TempDir()}
	env.SQL(t, p.database, "CREATE ROLE serves LOGIN", "CREATE DATABASE migrated")
	env.SQL(t, p.asRole(t, "postgres", "migrated"), "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
		"ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO serves")
	m.put(map[string]string{"direct": p.asRole(t, "not_made_yet", "migrated")})
	e.Set("DATABASE_URL", p.asRole(t, "serves", "migrated"), "MIGRATE_DATABASE_URL_FILE", m.path("direct"))
	r := e.Start()
	awaitAway(t, r, nil, []string{"not_made_yet", "MAGELINE_MIGRATE_DATABASE_URL"})
	m.put(map[string]string{"direct": ""})
	r.AwaitEvent("secret_unusable", "variable", "MAGELINE_MIGRATE_DATABASE_URL_FILE")
	m.put(map[string]string{"direct": p.asRole(t, "postgres", "migrated")})
	r.AwaitReady()
	if n := r.Events("", "variable", "MAGELINE_MIGRATE_DATABASE_URL_FILE"); n < 2 {
		t.Errorf("the log names the variable %d times", n)
	}
	e.AwaitDone(e.Place(2, fakemagento.Placing{})...)
	e.Finish()
}

// Tables that are not where DATABASE_URL looks for them are told before any message is taken; one that goes later is nobody's
// fault but the database's: no message is dead-lettered.
func TestDatabase_TablesElsewhere(t *testing.T) {
	t.Parallel()
	e := newEnv(t, 200*time.Millisecond)
	u, err := url.Parse(e.Vars["DATABASE_URL"])
	if err != nil {
		t.Fatal(err)
	}
	direct := u.String()
	u.RawQuery = "search_path=nowhere"
	path := u.String()
	u.RawQuery = "search_path=public"
	r := e.Start("DATABASE_URL", path, "MIGRATE_DATABASE_URL", u.String())
	awaitAway(t, r, nil, []string{"not where MAGELINE_DATABASE_URL looks", "search_path"})
	if out, code := program.Call(t, e.With("DATABASE_URL", path, "MIGRATE_DATABASE_URL", u.String()), "check"); code != 1 || !failLine(out, []string{"Postgres schema", "MAGELINE_MIGRATE_DATABASE_URL", "search_path"}) {
		t.Errorf("check ends with %d:\n%s", code, out)
	}
	e.Finish()

	r = e.Start().AwaitReady()
	env.SQL(t, direct, "ALTER TABLE effect RENAME TO gone")
	orders := e.Place(3, fakemagento.Placing{})
	awaitAway(t, r, nil, []string{"effect"})
	env.SQL(t, direct, "ALTER TABLE gone RENAME TO effect")
	e.AwaitDone(orders...)
	e.Finish()
}
