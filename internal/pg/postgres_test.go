package pg_test

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/mageline/mageline/internal/pg"
	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/private"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// with gives an address with parameters more.
func with(t *testing.T, address string, params ...string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	for i := 0; i < len(params); i += 2 {
		q.Set(params[i], params[i+1])
	}
	u.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20")
	return u.String()
}

func pooler(t *testing.T, o private.PoolerOptions) *private.PgBouncer {
	t.Helper()
	private.RequirePgBouncer(t)
	b, err := private.StartPgBouncer(kit.DatabaseURL(), o)
	if b != nil {
		t.Cleanup(b.Close)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func open(t *testing.T, address, direct string) *pg.DB {
	t.Helper()
	config, err := pg.Parse(address, direct)
	if err != nil {
		t.Fatal(err)
	}
	db, err := config.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

// Behind a pooler in transaction mode, with fewer connections than we have, and again after a restart of ours, every kind of
// call finds the tables of search_path, and a setting is that of the transaction.
func TestOpen_WorksBehindAPooler(t *testing.T) {
	b := pooler(t, private.PoolerOptions{})
	direct := kit.Database(t)
	exec(t, direct, "CREATE SCHEMA shop; CREATE TABLE shop.kept (n bigint PRIMARY KEY, names text[], at timestamptz)")
	for name, address := range map[string]string{
		"search_path":              with(t, b.URL(direct), "search_path", "shop", "statement_timeout", "7s"),
		"options":                  with(t, b.URL(direct), "options", `-c search_path=shop,\ public --statement-timeout=7s`),
		"of the direct connection": with(t, b.URL(direct), "statement_timeout", "7s"),
		"simple protocol":          with(t, b.URL(direct), "search_path", "shop", "options", "-cstatement_timeout=7s", "default_query_exec_mode", "simple_protocol"),
		"prepared statements":      with(t, b.URL(direct), "search_path", "shop", "statement_timeout", "7s", "default_query_exec_mode", "cache_statement"),
		"application_name":         with(t, b.URL(direct), "search_path", "shop", "statement_timeout", "7s", "application_name", "mageline"),
	} {
		t.Run(name, func(t *testing.T) {
			past := direct
			if name == "of the direct connection" {
				past = with(t, direct, "search_path", "shop")
			}
			exec(t, direct, "TRUNCATE shop.kept")
			for start := range 2 {
				db := open(t, address, past)
				var all sync.WaitGroup
				for i := range 8 {
					all.Go(func() {
						for j := range 10 {
							if err := work(t, db, int64(start*1000+i*100+j)); err != nil {
								t.Error(err)
							}
						}
					})
				}
				all.Wait()
				db.Close()
			}
			var n int
			if err := open(t, address, past).QueryRow(t.Context(), "SELECT count(*) FROM kept").Scan(&n); err != nil || n != 160 {
				t.Errorf("%d rows, %v", n, err)
			}
		})
	}
}

func work(t *testing.T, db *pg.DB, n int64) error {
	ctx := t.Context()
	tag, err := db.Exec(ctx, "INSERT INTO kept SELECT n, $2::text[], now() FROM unnest($1::bigint[]) AS n", []int64{n}, []string{"a", "b'c"})
	if err != nil || tag.RowsAffected() != 1 {
		return fmt.Errorf("insert: %w, %d rows", err, tag.RowsAffected())
	}
	rows, err := db.Query(ctx, "SELECT n, names, at FROM kept WHERE n = $1", n)
	if err != nil {
		return fmt.Errorf("query: %w", err)
	}
	found, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (names []string, err error) {
		var n int64
		return names, r.Scan(&n, &names, nil)
	})
	if err != nil || len(found) != 1 || len(found[0]) != 2 || found[0][1] != "b'c" {
		return fmt.Errorf("found %v, %w", found, err)
	}
	var limit string
	if err := db.QueryRow(ctx, "SELECT current_setting('statement_timeout')").Scan(&limit); err != nil || limit != "7s" {
		return fmt.Errorf("statement_timeout is %s, %w", limit, err)
	}
	if err := db.QueryRow(ctx, "SELECT n FROM kept WHERE n = -1").Scan(&n); !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("no row: %w", err)
	}
	if err := db.QueryRow(ctx, "INSERT INTO kept (n) VALUES ($1) RETURNING n", n).Scan(&n); !strings.Contains(fmt.Sprint(err), "23505") {
		return fmt.Errorf("a double: %w", err)
	}
	batch := &pgx.Batch{}
	batch.Queue("UPDATE kept SET at = now() WHERE n = $1", n)
	told := ""
	batch.Queue("SELECT current_setting('search_path')").QueryRow(func(row pgx.Row) error { return row.Scan(&told) })
	if err := db.SendBatch(ctx, batch).Close(); err != nil || !strings.HasPrefix(told, "shop") {
		return fmt.Errorf("batch: %w, search_path %q", err, told)
	}
	return nil
}

// What the pooler's connections were used for by others stays theirs: a setting ends with its transaction.
func TestOpen_LeavesThePoolerAsItWas(t *testing.T) {
	b := pooler(t, private.PoolerOptions{Size: 1})
	direct := kit.Database(t)
	db := open(t, with(t, b.URL(direct), "search_path", "shop"), direct)
	if _, err := db.Exec(t.Context(), "SELECT 1"); err != nil {
		t.Fatal(err)
	}
	var path string
	if err := open(t, b.URL(direct), direct).QueryRow(t.Context(), "SHOW search_path").Scan(&path); err != nil || strings.Contains(path, "shop") {
		t.Errorf("another's search_path is %q, %v", path, err)
	}
}

// A setting that Postgres refuses is told by every kind of call.
func TestOpen_WrongSettingBehindAPooler(t *testing.T) {
	b := pooler(t, private.PoolerOptions{})
	direct := kit.Database(t)
	db := open(t, with(t, b.URL(direct), "statement_timeout", "soon"), direct)
	_, exec := db.Exec(t.Context(), "SELECT 1")
	rows, query := db.Query(t.Context(), "SELECT 1")
	rows.Close()
	batch := &pgx.Batch{}
	batch.Queue("SELECT 1")
	for name, err := range map[string]error{
		"exec": exec, "query": query, "row": db.QueryRow(t.Context(), "SELECT 1").Scan(nil), "batch": db.SendBatch(t.Context(), batch).Close(),
	} {
		if err == nil || !strings.Contains(err.Error(), "statement_timeout") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParse(t *testing.T) {
	const secret = "hunter2"
	for _, tt := range []struct {
		address, direct string
		want            string // in the error; "" is none
	}{
		{"postgres://u:" + secret + "@db/x", "", ""},
		{"postgres://u:" + secret + "@db/x?options=-d%205", "", ""}, // Postgres's own business
		{"postgres://u:" + secret + "@db/x?options=-d%205", "postgres://db", "-c name=value"},
		{"postgres://u:" + secret + "@db/x?options=-c", "postgres://db", "name=value"},
		{"postgres://u:" + secret + "@db/x?options=-c%20nothing", "postgres://db", "name=value"},
		{"postgres://u:" + secret + "@db/x?default_transaction_isolation=serializable", "", ""},
		{"postgres://u:" + secret + "@db/x?default_transaction_isolation=serializable", "postgres://db", "ALTER ROLE"},
		{"postgres://u:" + secret + "@db:x/x", "", "want postgres://"},
		{"postgres://u:" + secret + "@db/x", "mysql://u:" + secret + "@db", "direct address"},
		{"postgres://u:" + secret + "@db/x?sslrootcert=/there/is/none", "", "/there/is/none"},
		{"", "", "want postgres://"},
		{"postgres://u:" + secret + "@db/x?sslmode=full", "", "sslmode in it"},
		{"postgres://u:" + secret + "@db/x?pool_max_conns=many", "", "pool_max_conns in it"},
		{"postgres://u:" + secret + "@db/x?connect_timeout=5s", "", "connect_timeout in it"},
		{"postgres://u:hunter2/" + secret + "@db/x", "", "port in it"},
	} {
		_, err := pg.Parse(tt.address, tt.direct)
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", tt.address, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), secret)):
			t.Errorf("%s, direct %s: %v", tt.address, tt.direct, err)
		}
	}
}

// What a variable of libpq breaks is not told as the address's fault alone.
func TestParse_VariablesOfLibpq(t *testing.T) {
	t.Setenv("PGSSLMODE", "full")
	if _, err := pg.Parse("postgres://db/x", ""); err == nil || !strings.Contains(err.Error(), "PGSSLMODE is set") {
		t.Errorf("told %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("postgres://u:hunter2@db/x?search_path=a&options=-c%20b%3Dc%5C%20d", "host=db port=1")
	f.Add("postgres://db/x?options=--a-b%3Dc%20-cd", "postgres://db")
	f.Add("postgres://db/x?search_path=a", "port=")
	f.Fuzz(func(t *testing.T, address, direct string) {
		past, err := pg.Direct(address, direct)
		if err != nil || direct == "" {
			return
		}
		if _, err := pg.Parse(address, direct); err != nil {
			return
		}
		// What is made of two addresses that can be used can be used.
		if _, err := pg.Parse(past, ""); err != nil {
			t.Errorf("%q and %q make %q: %v", address, direct, past, err)
		}
	})
}

// Migrations make their tables where the service looks for them.
func TestDirect_TakesTheSearchPath(t *testing.T) {
	for _, tt := range []struct{ address, direct, want string }{
		{"postgres://db/x?search_path=a", "", "postgres://db/x?search_path=a"},
		{"postgres://pool/x", "postgres://db/x", "postgres://db/x"},
		{"postgres://pool/x?search_path=a", "postgres://db/x", "postgres://db/x?search_path=a"},
		{"postgres://pool/x?search_path=a%20b,c%26d", "postgres://db/x?sslmode=disable", "postgres://db/x?sslmode=disable&search_path=a%20b%2Cc%26d"},
		{"postgres://pool/x?options=-csearch_path%3Da", "host=db", "search_path='a' host=db"},
		{"postgres://pool/x?search_path=a", "host=db port=", "search_path='a' host=db port="},
		{"postgres://pool/x?search_path=a", "postgres://db/x?search_path=b", "postgres://db/x?search_path=b"},
		{"postgres://pool/x?search_path=a", "postgres://db/x?options=-csearch_path%3Db", "postgres://db/x?options=-csearch_path%3Db"},
	} {
		got, err := pg.Direct(tt.address, tt.direct)
		if err != nil || got != tt.want {
			t.Errorf("%s and %s give %s, %v; want %s", tt.address, tt.direct, got, err, tt.want)
			continue
		}
		if _, err := pgx.ParseConfig(got); err != nil {
			t.Error(err)
		}
	}
}

func exec(t *testing.T, address, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}
