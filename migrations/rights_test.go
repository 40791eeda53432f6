package migrations_test

import (
	"crypto/rand"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/mageline/mageline/migrations"
	"github.com/mageline/mageline/test/kit"
)

// What a role lacks is told as a GRANT would give it, in one question, also through a pooler.
func TestMissingRights_NamesTheGrant(t *testing.T) {
	url := kit.Database(t)
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec // as for a pooler
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	exec := func(statements ...string) {
		t.Helper()
		for _, s := range statements {
			if _, err := conn.Exec(t.Context(), s); err != nil {
				t.Fatal(s, err)
			}
		}
	}
	lacks := func(there int, want ...string) {
		t.Helper()
		grants, n, err := migrations.MissingRights(t.Context(), conn)
		if err != nil || n != there || !slices.Equal(grants, want) {
			t.Errorf("lacks %q on %d tables, %v; want %q on %d", grants, n, err, want, there)
		}
	}
	lacks(0)
	if _, err := migrations.Up(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	const all = 21
	lacks(all)
	role := "lacks_" + strings.ToLower(rand.Text()[:12])
	exec("CREATE ROLE "+role, "GRANT USAGE ON SCHEMA public TO "+role,
		"GRANT SELECT, INSERT, UPDATE, DELETE ON orders, lease, process, reconciled, watermark, held_price, taken_file, search_document, search_part, search_settle, search_generation, reindex, reindex_page TO "+role, "GRANT SELECT, DELETE ON effect TO "+role,
		"GRANT SELECT, INSERT, UPDATE ON suspect, resume, reconcile_progress, search_clock, search_index TO "+role, "GRANT SELECT ON installation TO "+role, "SET ROLE "+role)
	lacks(all, "INSERT, UPDATE ON effect", "SELECT, INSERT, UPDATE, DELETE ON pause", "DELETE ON suspect")
	exec("RESET ROLE", "DROP TABLE suspect", "SET ROLE "+role)
	lacks(all-1, "INSERT, UPDATE ON effect", "SELECT, INSERT, UPDATE, DELETE ON pause")
	exec("RESET ROLE", "DROP OWNED BY "+role, "DROP ROLE "+role)
	lacks(all - 1)
}
