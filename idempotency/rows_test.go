package idempotency_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/idempotency"
)

func run(t *testing.T, url, sql string, args ...any) {
	t.Helper()
	if _, err := pool(t, url, pgx.QueryExecModeExec).Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// A row that Postgres minds fails alone, whatever shares its flush.
func TestBadRowFailsAlone(t *testing.T) {
	url := database(t)
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
func TestNoDeadlocks(t *testing.T) {
	url := database(t)
	run(t, url, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET deadlock_timeout = 20', current_database()); END $$`)
	registry := prometheus.NewPedanticRegistry()
	replica := func(name string, r prometheus.Registerer) *idempotency.Ledger {
		l := idempotency.Open(t.Context(), idempotency.Options{
			Pool: pool(t, url, pgx.QueryExecModeCacheStatement), Process: name, Log: zerolog.Nop(), Registerer: r,
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
					res := idempotency.Result{Order: &idempotency.Order{EntityID: int64(n)}}
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

func TestRetain(t *testing.T) {
	url := database(t)
	l := open(t, url, "a", time.Minute)
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
	counts, err := l.Counts(t.Context())
	if err != nil || counts[idempotency.Done] != 1 || counts[idempotency.Skipped]+counts[idempotency.Failed] != 0 ||
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
func TestCountsOfALargeTable(t *testing.T) {
	url := database(t)
	l := open(t, url, "a", time.Minute)
	const many = 60000
	run(t, url, `ALTER TABLE effect SET (fillfactor = 10)`)
	run(t, url, `
INSERT INTO effect SELECT 'order_placed', n::text, 'create', 'done', '', 1, now(), NULL, false, repeat('x', 1500), '', '', now(), now()
FROM generate_series(1, $1::int) AS n`, many)
	do(t, l, order("waits"), gives(idempotency.Result{
		State: idempotency.Waiting, Order: &idempotency.Order{EntityID: 1, State: "holded"},
	}, nil))
	counts, err := l.Counts(t.Context())
	if err != nil || counts[idempotency.Waiting] != 1 || counts[idempotency.Done] < many/2 || counts[idempotency.Done] > many*2 {
		t.Errorf("counted %v, %v", counts, err)
	}
}

func TestWaitingOrders(t *testing.T) {
	l := open(t, database(t), "a", time.Minute)
	waiting := func(id int64, state string) effect {
		return gives(idempotency.Result{
			State: idempotency.Waiting, Reason: state, Order: &idempotency.Order{EntityID: id, StoreID: 2, State: state},
		}, nil)
	}
	names := func(limit int) (list []string) {
		orders, err := l.WaitingOrders(t.Context(), limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range orders {
			list = append(list, o.Key.Key)
			if o.Key != order(o.Key.Key) || o.Order.EntityID == 0 || o.Order.StoreID != 2 || o.Since.IsZero() || o.For < 0 {
				t.Errorf("waiting is %+v", o)
			}
		}
		return list
	}
	for i, n := range []string{"3", "1", "2", "4", "5"} {
		do(t, l, order(n), waiting(int64(i+1), "pending_payment"))
	}
	if got := fmt.Sprint(names(3)); got != "[3 1 2]" {
		t.Errorf("waiting are %s", got)
	}
	if err := l.LookedAt(t.Context(), map[idempotency.Key]string{order("3"): "holded", order("1"): ""}); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(names(3)); got != "[2 4 5]" {
		t.Errorf("waiting are %s", got)
	}
	byState, err := l.OrdersWaiting(t.Context())
	if err != nil || byState["holded"] != 1 || byState["pending_payment"] != 4 {
		t.Errorf("by state %v, %v", byState, err)
	}

	first, _ := l.WaitingOrders(t.Context(), 1)
	do(t, l, order("2"), waiting(2, "pending_payment")) // looked at again by an event
	for _, o := range must(l.WaitingOrders(t.Context(), 10)) {
		if o.Key == order("2") && !o.Since.Equal(first[0].Since) {
			t.Errorf("waits since %s, and since %s before", o.Since, first[0].Since)
		}
	}
	do(t, l, order("2"), gives(idempotency.Result{Value: "SO-2", Order: &idempotency.Order{EntityID: 3, StoreID: 2, State: "processing"}}, nil))
	_, _, _ = l.Do(t.Context(), idempotency.Effect{Key: order("4")}, gives(idempotency.Result{}, errors.New("lost"))) // some delivery's business now
	if skipped, err := l.Skip(t.Context(), order("5"), "abandoned"); !skipped || err != nil {
		t.Errorf("skipped %v, %v", skipped, err)
	}
	_, _, _ = l.Do(t.Context(), idempotency.Effect{Key: order("6")}, gives(idempotency.Result{}, errors.New("lost")))
	do(t, l, order("6"), waiting(6, "payment_review")) // the ERP may have it
	for _, n := range []string{"2", "4", "5", "6", "unknown"} {
		if skipped, err := l.Skip(t.Context(), order(n), "canceled"); skipped || err != nil {
			t.Errorf("%s: skipped %v, %v", n, skipped, err)
		}
	}
	if got := state(t, l, order("5")); got.State != idempotency.Skipped || got.Result.Reason != "abandoned" {
		t.Errorf("skipped is %+v", got)
	}
	if got := fmt.Sprint(names(10)); got != "[1 3 6]" && got != "[3 1 6]" {
		t.Errorf("waiting are %s", got)
	}
	do(t, l, order("5"), waiting(5, "holded")) // a later event is looked at as ever
	if got := len(names(10)); got != 4 {
		t.Errorf("%d wait", got)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A document number leads to the orders that have it; an order that has none yet has not the empty one.
func TestOrdersByDocument(t *testing.T) {
	l := open(t, database(t), "a", time.Minute)
	for id, document := range map[string]string{"1": "SO-1", "2": "SO-2", "3": "SO-2", "4": ""} {
		entity, err := strconv.ParseInt(id, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		do(t, l, order(id), gives(idempotency.Result{Value: document, Order: &idempotency.Order{EntityID: entity}}, nil))
	}
	for document, want := range map[string]string{"SO-1": "[1]", "SO-2": "[2 3]", "SO-3": "[]", "": "[]", "so-1": "[]", "SO\x001": "[]"} {
		if got, err := l.OrdersByDocument(t.Context(), document); err != nil || fmt.Sprint(got) != want {
			t.Errorf("%q leads to %v, %v; want %s", document, got, err, want)
		}
	}
}

// What an effect tells of an order is kept however it ends, until another one is told.
func TestOrder_KeptHoweverTheEffectEnds(t *testing.T) {
	l := open(t, database(t), "a", time.Minute)
	placed := time.Date(2026, 11, 23, 9, 15, 2, 0, time.UTC)
	first := idempotency.Order{EntityID: 57, StoreID: 1, State: "processing", Placed: placed}
	key := order("1")
	is := func(what string, want idempotency.KnownOrder) {
		t.Helper()
		got, known, err := l.Order(t.Context(), key)
		got.Placed = got.Placed.UTC()
		if err != nil || !known || got != want {
			t.Errorf("%s: %+v, known %v, error %v; want %+v", what, got, known, err, want)
		}
	}
	if _, known, err := l.Order(t.Context(), key); known || err != nil {
		t.Errorf("before anything: known %v, error %v", known, err)
	}
	for _, tt := range []struct {
		what string
		res  idempotency.Result
		err  error
		want idempotency.KnownOrder
	}{
		{"failed", idempotency.Result{Order: &first}, event.NotDone(event.Errorf(event.Rejected, "no")), idempotency.KnownOrder{Order: first}},
		{"uncertain", idempotency.Result{Order: &first}, event.Errorf(event.Timeout, "late"), idempotency.KnownOrder{Order: first}},
		{"an error that tells nothing", idempotency.Result{}, event.NotDone(event.Errorf(event.NotFound, "gone")), idempotency.KnownOrder{Order: first}},
		{"waiting", idempotency.Result{State: idempotency.Waiting, Order: &first}, nil, idempotency.KnownOrder{Order: first, Waiting: true}},
		{"the same, read by nobody", idempotency.Result{State: idempotency.Waiting, Order: &idempotency.Order{EntityID: 57, StoreID: 1, State: "new"}}, nil, idempotency.KnownOrder{
			Order: idempotency.Order{EntityID: 57, StoreID: 1, State: "new", Placed: placed}, Waiting: true,
		}},
		{"another, read by nobody", idempotency.Result{State: idempotency.Skipped, Order: &idempotency.Order{EntityID: 58}}, nil, idempotency.KnownOrder{Order: idempotency.Order{EntityID: 58}}},
		{"done", idempotency.Result{Value: "SO-1", Order: &first}, nil, idempotency.KnownOrder{Order: first, Document: "SO-1"}},
	} {
		_, _, err := l.Do(t.Context(), idempotency.Effect{Key: key}, gives(tt.res, tt.err))
		if (err == nil) != (tt.err == nil) {
			t.Fatalf("%s: error %v", tt.what, err)
		}
		if tt.want.Placed.IsZero() {
			tt.want.Placed = time.Time{}.UTC()
		}
		is(tt.what, tt.want)
	}
}

// How many keys stand is told at once; a key that there is no row of is left out, and one that can't be stored too.
func TestStandings(t *testing.T) {
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
	url := database(t)
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
