package idempotency_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/internal/orderbook"
)

func run(t *testing.T, url, sql string, args ...any) {
	t.Helper()
	if _, err := pool(t, url, pgx.QueryExecModeExec).Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// A row that Postgres minds fails alone, whatever shares its flush.
func TestLedger_BadRowFailsAlone(t *testing.T) {
	url := ownDatabase(t)
	run(t, url, `ALTER TABLE effect ADD CONSTRAINT minded CHECK (key NOT LIKE 'bad%')`)
	l := open(t, url, "a", time.Minute)
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			name := fmt.Sprintf("good-%d", i)
			if i%20 == 0 {
				name = fmt.Sprintf("bad-%d", i)
			}
			_, _, err := l.Do(context.Background(), idempotency.Effect{Key: order(name)}, done(name))
			switch {
			case i%20 == 0 && (event.ClassOf(err) != event.Internal || isDeferral(err) != nil):
				t.Errorf("%s: %v", name, err)
			case i%20 != 0 && err != nil:
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	wg.Wait()
}

// Replicas that work on the same keys in orders of their own never wait for each other in a circle.
func TestLedger_NoDeadlocks(t *testing.T) {
	url := ownDatabase(t)
	run(t, url, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET deadlock_timeout = 20', current_database()); END $$`)
	registry := prometheus.NewPedanticRegistry()
	db := pool(t, url, pgx.QueryExecModeCacheStatement)
	book := orderbook.New(db)
	replica := func(name string, r prometheus.Registerer) *idempotency.Ledger {
		l := idempotency.Open(t.Context(), idempotency.Options{
			Pool: db, Process: name, Log: zerolog.Nop(), Registerer: r, Projections: []idempotency.Projection{book},
		})
		t.Cleanup(l.Close)
		return l
	}
	ledgers := []*idempotency.Ledger{
		replica("a", prometheus.WrapRegistererWith(prometheus.Labels{"replica": "a"}, registry)),
		replica("b", prometheus.WrapRegistererWith(prometheus.Labels{"replica": "b"}, registry)),
	}
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 0))
			for _, n := range r.Perm(200) {
				_, _, err := ledgers[i%2].Do(context.Background(), idempotency.Effect{Key: order(fmt.Sprint(n))}, func(_ context.Context, c *idempotency.Claim) (idempotency.Result, error) {
					res := idempotency.Result{Changes: []idempotency.Change{book.Change(orderbook.Order{EntityID: int64(n)})}}
					if c.Number < 20 {
						res.State = idempotency.Waiting
					}
					return res, nil
				})
				if err != nil && isDeferral(err) == nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var seen, conflicts float64
	for _, f := range families {
		for _, m := range f.GetMetric() {
			switch f.GetName() {
			case "mageline_ledger_flush_rows":
				seen += float64(m.GetHistogram().GetSampleCount())
			case "mageline_ledger_conflicts_total":
				conflicts += m.GetCounter().GetValue()
			}
		}
	}
	if seen == 0 || conflicts != 0 {
		t.Errorf("%.0f transactions, %.0f of which lost to another", seen, conflicts)
	}
}

func TestRetain_RemovesOldEffectsAndTheirProjections(t *testing.T) {
	url := database(t)
	db := pool(t, url, pgx.QueryExecModeCacheStatement)
	l := idempotency.Open(t.Context(), idempotency.Options{
		Pool: db, Process: "a", Log: zerolog.Nop(), Projections: []idempotency.Projection{orderbook.New(db)},
	})
	t.Cleanup(l.Close)
	const many = 2500 // more than a page
	run(t, url, `
INSERT INTO effect SELECT 'order_placed', lpad(n::text, 9, '0'), 'create',
	(ARRAY['done','skipped','failed','waiting','uncertain','in_progress'])[n % 6 + 1],
	'', 1, now() - interval '2 days', NULL, false, '', '', '', now() - interval '9 days', now() - interval '9 days'
FROM generate_series(1, $1::int) AS n`, many)
	run(t, url, `
INSERT INTO orders SELECT key, consumer, effect, 1, 1, 'x', '', state = 'waiting', NULL, now() FROM effect`)
	run(t, url, `INSERT INTO lease VALUES ('old', '', 1, now() - interval '2 days'), ('new', 'a/b', 1, now())`)
	do(t, l, order("young"), done("1"))
	if n, err := l.Retain(t.Context(), 10*24*time.Hour); n != 0 || err != nil {
		t.Fatalf("removed %d, %v", n, err)
	}
	if n, err := l.Retain(t.Context(), 8*24*time.Hour); n != many/2 || err != nil {
		t.Fatalf("removed %d, %v", n, err)
	}
	counts, sampled, err := l.Counts(t.Context())
	if err != nil || sampled || counts[idempotency.Done] != 1 || counts[idempotency.Skipped]+counts[idempotency.Failed] != 0 ||
		counts[idempotency.Waiting]+counts[idempotency.Uncertain]+counts[idempotency.InProgress] != many/2 {
		t.Errorf("left are %v, %v", counts, err)
	}
	var orders, leases int
	p := pool(t, url, pgx.QueryExecModeExec)
	if err := p.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM lease)`).Scan(&orders, &leases); err != nil || orders != many/2 || leases != 1 {
		t.Errorf("left are %d orders and %d leases, %v", orders, leases, err)
	}
}

// A table too large to be counted is sampled.
func TestCounts_SamplesALargeTable(t *testing.T) {
	url := ownDatabase(t)
	l := open(t, url, "a", time.Minute)
	const many = 60000
	run(t, url, `ALTER TABLE effect SET (fillfactor = 10)`)
	run(t, url, `
INSERT INTO effect SELECT 'order_placed', n::text, 'create', 'done', '', 1, now(), NULL, false, repeat('x', 1500), '', '', now(), now()
FROM generate_series(1, $1::int) AS n`, many)
	counts, sampled, err := l.Counts(t.Context())
	if err != nil || !sampled || counts[idempotency.Done] < many/2 || counts[idempotency.Done] > many*2 {
		t.Errorf("counted %v, %v", counts, err)
	}
}

// How many keys stand is told at once; a key that there is no row of is left out, and one that can't be stored too.
func TestStandings_CountsEffectsByState(t *testing.T) {
	url := database(t)
	l := open(t, url, "a", time.Minute)
	long := strings.Repeat("x", 300)
	do(t, l, order("1"), done("SO-1"))
	comment := order("1")
	comment.Effect = "comment"
	_, _, _ = l.Do(t.Context(), idempotency.Effect{Key: comment}, gives(idempotency.Result{}, errors.New("no answer")))
	do(t, l, order("2"), gives(idempotency.Result{State: idempotency.Waiting}, nil))
	do(t, l, order(long), gives(idempotency.Result{State: idempotency.Skipped}, nil))
	run(t, url, `UPDATE effect SET updated_at = updated_at - interval '1 hour' WHERE key = '2'`)
	got, err := l.Standings(t.Context(), order("").Consumer, []string{"1", "2", "2", long, "none", "", "a\x00b", "\xff"})
	if err != nil {
		t.Fatal(err)
	}
	for key, s := range got {
		if old := s.Age > 50*time.Minute; old != (key == "2") {
			t.Errorf("%s has changed %s ago", key, s.Age)
		}
		s.Age = 0
		got[key] = s
	}
	want := map[string]idempotency.Standing{"1": {Open: 1, Over: 1}, "2": {Waiting: 1}, long: {Over: 1}}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// What the listing needs must not cost the writers: updates of a row stay where they are (HOT), and the newest rows are found
// without a look at the others.
func TestList_CostsNoUpdate(t *testing.T) {
	url := ownDatabase(t)
	l := open(t, url, "a", time.Minute)
	for i := range 50 {
		do(t, l, order(fmt.Sprint(i)), done("SO"))
	}
	p := pool(t, url, pgx.QueryExecModeExec)
	var updated, hot int64
	const sql = `SELECT pg_stat_get_xact_tuples_updated(c), pg_stat_get_xact_tuples_hot_updated(c) FROM (SELECT 'effect'::regclass::oid) AS t(c)`
	err := pgx.BeginFunc(t.Context(), p, func(tx pgx.Tx) error { // what the flushes do
		if _, err := tx.Exec(t.Context(), `UPDATE effect SET state = 'done', updated_at = clock_timestamp() WHERE key::int < 20`); err != nil {
			return err
		}
		return tx.QueryRow(t.Context(), sql).Scan(&updated, &hot)
	})
	if err != nil || updated != 20 || hot != updated {
		t.Errorf("of %d updates %d stay in place, %v", updated, hot, err)
	}
	run(t, url, `INSERT INTO effect (consumer, key, effect, state, owner, claim, lease_until, accepted, result, reason, class, created_at, updated_at)
SELECT 'order_placed', 'more' || n, 'create', 'done', '', 1, now(), false, '', '', '', now() - n * interval '1 s', now() FROM generate_series(1, 20000) AS n`)
	run(t, url, `ANALYZE effect`)
	var plan []string
	rows, err := p.Query(t.Context(), `EXPLAIN SELECT * FROM effect ORDER BY created_at DESC, consumer, key, effect LIMIT 100`)
	if err != nil {
		t.Fatal(err)
	}
	if plan, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil || !strings.Contains(strings.Join(plan, "\n"), "effect_created") {
		t.Errorf("%s, %v", strings.Join(plan, "\n"), err)
	}
}

// Business keys that can't be stored as they are, and those that have no row.
func TestLedger_LookupAll(t *testing.T) {
	l := open(t, database(t), "a", time.Minute)
	long := strings.Repeat("x", 5000)
	for _, key := range []string{"1", "2", long} {
		if _, _, err := l.Do(t.Context(), idempotency.Effect{Key: order(key)}, done("of "+key[:1])); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := l.LookupAll(t.Context(), "order_placed", "create", []string{"2", "none", long, "2", ""})
	if err != nil || len(rows) != 2 || rows["2"].Result.Value != "of 2" || rows[long].Result.Value != "of x" {
		t.Errorf("%d rows, %v", len(rows), err)
	}
	if rows, err := l.LookupAll(t.Context(), "order_placed", "comment", []string{"1"}); err != nil || len(rows) != 0 {
		t.Errorf("of another effect: %d rows, %v", len(rows), err)
	}
}
