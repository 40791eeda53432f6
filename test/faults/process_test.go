package faults

import (
	"strings"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakeerp"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
	"github.com/mageline/mageline/test/kit/process"
	"github.com/mageline/mageline/test/kit/replica"
)

var processFaults = []*scenario{
	{number: 23, name: "SIGTERM with a full prefetch", run: func(w *world) {
		w.Set(patient...) // a call that is held must outlast the start of the drain
		w.Run(1)
		w.AwaitDone(w.place(40)...) // the prefetch has grown
		release := w.Hold()
		orders := w.place(40)
		w.AwaitHeld(4)
		r := w.Replicas[0]
		r.Terminate()
		kit.Eventually(w.t, env.Patience, func() bool { status, _ := r.Ready(); return status == 503 }, "/readyz to say that it drains")
		release()
		if code := r.Exit(); code != 0 {
			w.t.Errorf("exit code %d", code)
		}
		if done := w.Done(orders...); done == 0 || done == len(orders) {
			w.t.Errorf("%d of %d orders were done, want those whose handlers ran", done, len(orders))
		}
		w.Run(1)
		w.AwaitDone(orders...)
	}},
	{number: 24, name: "SIGKILL at each step of a handler", frames: true, run: func(w *world) {
		const deliver = 60
		steps := []struct {
			name string
			arm  func(kill func())
		}{
			{"before the claim", func(kill func()) {
				w.frames.On(func(f *kit.Frame) bool {
					if f.FromBroker && f.Is(deliver) {
						kill()
					}
					return true
				})
			}},
			{"with the claim's commit unknown", func(kill func()) { w.databaseLink.LoseAnswer(kill) }},
			{"after the claim", func(kill func()) { w.ShopFront.OnCall("GET", "/orders", false, kill) }},
			{"before the ERP has it", func(kill func()) { w.ERPFront.OnCall("POST", "/sales-orders", false, kill) }},
			{"after the ERP has it", func(kill func()) { w.ERPFront.OnCall("POST", "/sales-orders", true, kill) }},
			{"after the result row", func(kill func()) { w.ShopFront.OnCall("POST", "/comments", false, kill) }},
			{"after the comment", func(kill func()) { w.ShopFront.OnCall("POST", "/comments", true, kill) }},
			{"before the acknowledgement", func(kill func()) {
				w.frames.On(func(f *kit.Frame) bool {
					if !f.FromBroker && f.Is(kit.MethodAck) {
						kill()
						return false
					}
					return true
				})
			}},
		}
		for _, step := range steps {
			r := w.Run(1)[0]
			var once atomic.Bool
			step.arm(func() {
				if once.CompareAndSwap(false, true) {
					r.Strike()
				}
			})
			order := w.place(1)
			kit.Eventually(w.t, env.Patience, func() bool { return !r.Running() }, "the process to be killed "+step.name)
			w.frames.On(nil)
			w.ShopFront.Set(nil)
			w.ERPFront.Set(nil)
			other := w.Run(1)[0]
			w.AwaitDone(order...)
			other.Terminate()
			if code := other.Exit(); code != 0 {
				w.t.Errorf("exit code %d after the kill %s", code, step.name)
			}
		}
		w.Run(1)
	}},
	{number: 25, name: "killed for want of memory, with large messages in flight", run: func(w *world) {
		filler := strings.Repeat("x", 4<<20)
		w.Run(2)
		release := w.Hold()
		for range 12 {
			o := w.order(fakemagento.Placing{})
			b := append([]byte(env.Object(o))[:len([]byte(env.Object(o)))-1], `,"filler":"`+filler+`"}`...)
			w.publish(o.IncrementID, amqp.Publishing{Body: b})
		}
		w.AwaitHeld(1)
		w.Replicas[0].Kill()
		release()
		w.Run(1)
		w.AwaitDone(w.placed...)
	}},
	{number: 28, name: "scaled from 1 to 4 to 0 and back under load", run: func(w *world) {
		w.ERP.Faults.Set(fault.Plan{Latency: 100 * time.Millisecond})
		w.Run(1)
		w.place(40)
		w.AwaitSome(5, w.placed...)
		w.Run(3)
		w.place(40)
		w.AwaitSome(30, w.placed...)
		for _, r := range w.Replicas {
			r.Terminate()
		}
		for _, r := range w.Replicas {
			if code := r.Exit(); code != 0 {
				w.t.Errorf("exit code %d", code)
			}
		}
		w.place(10)
		if w.Done(w.placed...) == len(w.placed) {
			w.t.Error("nothing was shown: all was done before the end")
		}
		w.Run(2)
		w.AwaitDone(w.placed...)
	}},
	{number: 29, name: "two replicas get the same event together", run: func(w *world) {
		w.ERP.Faults.Set(fault.Plan{Latency: 50 * time.Millisecond})
		w.Run(2)
		for range 30 {
			o := w.order(fakemagento.Placing{})
			w.event(o)
			w.event(o)
		}
		w.AwaitDone(w.placed...)
	}},
	{number: 30, name: "frozen beyond its lease, then resumed", mode: fakeerp.HonoursKeys, run: func(w *world) {
		w.ERP.Faults.Set(fault.Plan{Latency: 100 * time.Millisecond})
		r := w.Run(2)
		w.place(40)
		w.AwaitSome(10, w.placed...)
		r[0].Signal(process.Freeze)
		for _, o := range w.placed { // the broker takes the frozen one for alive, and what it holds for being handled
			w.event(o)
		}
		w.AwaitDone(w.placed...)
		r[0].Signal(process.Thaw)
		r[0].AwaitReady()
	}},
	{number: 31, name: "the database's clock jumps forward and back", mode: fakeerp.HonoursKeys, prepare: movableClock, run: func(w *world) {
		w.ERP.Faults.Set(fault.Plan{Latency: 50 * time.Millisecond})
		w.Run(2)
		for _, offset := range []string{"1 hour", "-1 hour", "10 days", "0"} {
			var orders []fakemagento.Placed
			for range 12 { // one event each: when the clock jumps over a lease nothing keeps two owners of a comment apart
				o := w.order(fakemagento.Placing{})
				w.event(o)
				orders = append(orders, o)
			}
			w.AwaitSome(3, orders...)
			w.SQL(`UPDATE clock.shift SET by = '` + offset + `'::interval`)
			w.AwaitDone(orders...)
		}
		// Each time of the ledger has jumped.
		w.SQL(`DO $$ BEGIN ASSERT (SELECT max(updated_at) > pg_catalog.now() + '9 days' AND min(updated_at) < pg_catalog.now() - interval '59 minutes' FROM effect); END $$`)
	}},
	{number: 67, name: "nobody reads the log", run: func(w *world) {
		stops := []func(*replica.Reader){(*replica.Reader).Stall, (*replica.Reader).Leave}
		var readers []*replica.Reader
		for range stops {
			r, reader := program.StartRead(w.t, w.Vars)
			w.Replicas = append(w.Replicas, r.AwaitReady())
			readers = append(readers, reader)
		}
		w.AwaitDone(w.place(6)...)
		for i, stop := range stops {
			stop(readers[i])
		}
		kit.Eventually(w.t, env.Patience, func() bool {
			w.ERP.Faults.Next(fault.Fault{Kind: fault.Fail})
			w.AwaitDone(w.place(20)...)
			return w.Replicas[0].Metric("mageline_log_dropped_total") > 0 && w.Replicas[1].Metric("mageline_log_dropped_total") > 0
		}, "both to drop lines of the log")
		w.poison(2)
		w.AwaitDone(w.place(20)...)
	}},
}

// movableClock gives the database a now() that can be moved: Postgres looks for functions in pg_catalog first, unless the
// search path names it later. Times of the ledger are the database's.
func movableClock(w *world) {
	for _, statement := range []string{
		`CREATE SCHEMA clock`,
		`CREATE TABLE clock.shift (by interval NOT NULL)`,
		`INSERT INTO clock.shift VALUES ('0')`,
		`CREATE FUNCTION clock.now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT pg_catalog.now() + by FROM clock.shift'`,
		`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = public, clock, pg_catalog', current_database()); END $$`,
	} {
		w.SQL(statement)
	}
}
