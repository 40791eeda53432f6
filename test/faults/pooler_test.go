package faults

import (
	"net/url"
	"strings"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/private"
)

// pooler puts a PgBouncer in transaction mode with two connections before the database, as docs/install.md sets it up. The
// tables are in a schema of their own, which the address through the pooler names alone.
func pooler(w *world) *private.PgBouncer {
	w.t.Helper()
	private.RequirePgBouncer(w.t)
	b, err := private.StartPgBouncer(w.Database, private.PoolerOptions{})
	if b != nil {
		w.t.Cleanup(b.Close)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.SQL("CREATE SCHEMA shop")
	w.Set("MIGRATE_DATABASE_URL", w.Vars["DATABASE_URL"])
	u, err := url.Parse(w.Database)
	if err != nil {
		w.t.Fatal(err)
	}
	u.RawQuery = "search_path=shop"
	w.Database = u.String()
	u.Host = b.Addr
	u.RawQuery += "&statement_timeout=20s"
	w.Set("DATABASE_URL", u.String())
	return b
}

var poolerFaults = []*scenario{
	{number: 65, name: "pgbouncer in transaction mode, replicas and pgbouncer started again", env: []string{"ORDER_WAIT_EVERY", "500ms"}, run: func(w *world) {
		b := pooler(w)
		w.Run(2)
		w.AwaitDone(w.place(20)...)
		w.Replicas[0].Kill()
		w.StopReplicas()
		replicas := w.Run(2) // what the first have left on the server's connections is still there
		orders := w.place(40)
		w.AwaitSome(10, orders...)
		b.Kill()
		replicas[0].AwaitSaying("Postgres is away", databaseAway)
		if err := b.Start(); err != nil {
			w.t.Fatal(err)
		}
		for _, r := range replicas {
			r.AwaitReady()
		}
		w.AwaitDone(orders...)

		unpaid := w.order(fakemagento.Placing{State: "pending_payment"})
		w.event(unpaid)
		kit.Eventually(w.t, env.Patience, func() bool {
			out, code := w.Call("key", "show", "order_placed:"+unpaid.IncrementID)
			return code == 0 && strings.Contains(out, "waiting")
		}, "the order to wait")
		w.Shop.Pay(unpaid.EntityID)
		w.AwaitDone(unpaid)

		letters := w.letters(5)
		w.replay(0)
		w.AwaitDone(letters...)
		for _, call := range [][]string{{"pause", "erp"}, {"resume", "erp"}, {"migrate", "status"}} {
			if out, code := w.Call(call...); code != 0 {
				w.t.Errorf("%s ends with %d: %s", call, code, out)
			}
		}
		out, _ := w.Call("check")
		if !strings.Contains(out, "OK Postgres pooler: ") || strings.Contains(out, "FAIL Postgres") {
			w.t.Errorf("check says %s", out)
		}
	}},
	{number: 65, name: "pgbouncer in transaction mode that nobody has declared", run: func(w *world) {
		pooler(w)
		u, err := url.Parse(w.Vars["DATABASE_URL"])
		if err != nil {
			w.t.Fatal(err)
		}
		u.RawQuery = "" // which it would refuse
		past := w.Database
		w.Database = strings.TrimSuffix(w.Database, "?search_path=shop")
		w.Set("DATABASE_URL", u.String(), "MIGRATE_DATABASE_URL", "")
		if out, code := w.Call("check"); code != 1 || !strings.Contains(out, "FAIL MAGELINE_MIGRATE_DATABASE_URL") {
			w.t.Errorf("check ends with %d: %s", code, out)
		}
		w.Run(1)
		orders := w.place(10)
		w.AwaitSome(1, orders...)
		second := w.Start() // it meets the statements that the first has prepared
		kit.Eventually(w.t, env.Patience, func() bool {
			if second.Events("postgres_away") > 0 {
				return true
			}
			orders = append(orders, w.place(1)...) // it has to write to the ledger
			return false
		}, "the second replica to say what to do")
		w.StopReplicas()
		w.Set("MIGRATE_DATABASE_URL", strings.TrimSuffix(past, "?search_path=shop"))
		w.Run(2)
		w.AwaitDone(orders...) // and no order is a dead letter meanwhile
	}},
}
