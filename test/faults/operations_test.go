package faults

import (
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
	"github.com/mageline/mageline/test/kit/replica"
)

var operationsFaults = []*scenario{
	{number: 56, name: "replay while live traffic flows on the same keys", run: func(w *world) {
		w.Run(2)
		orders := w.letters(20)
		w.ERP.Faults.Set(fault.Plan{Latency: 20 * time.Millisecond})
		var replay sync.WaitGroup
		replay.Go(func() { w.replay(0) })
		for _, o := range orders {
			w.event(o)
		}
		replay.Wait()
		w.AwaitDone(orders...)
	}},
	{number: 57, name: "replay started twice", run: func(w *world) {
		w.Run(1)
		orders := w.letters(20)
		var mu sync.Mutex
		codes := map[int]int{}
		var replays sync.WaitGroup
		for range 2 {
			replays.Go(func() {
				out, code := w.Call("dlq", "replay", w.DeadLetters("order_placed"), "--yes", "--rate", "5")
				mu.Lock()
				defer mu.Unlock()
				codes[code]++
				if code == 1 && !strings.Contains(out, "since") {
					w.t.Errorf("the second does not say who has it since when: %s", out)
				}
			})
		}
		replays.Wait()
		if codes[0] != 1 || codes[1] != 1 {
			w.t.Errorf("exit codes %v, want one 0 and one 1", codes)
		}
		w.AwaitDone(orders...)
	}},
	{number: 58, name: "replay killed half-way, again and again", run: func(w *world) {
		w.Run(1)
		orders := w.letters(40)
		for i := 1; i <= 3; i++ {
			command, log := program.Command(w.t, w.Vars, "dlq", "replay", w.DeadLetters("order_placed"), "--yes", "--rate", "10")
			if err := command.Start(); err != nil {
				w.t.Fatal(err)
			}
			w.AwaitSome(8*i, orders...)
			w.kill(command)
			_ = log.Close()
			kit.Eventually(w.t, env.Patience, func() bool { return w.Depth(w.DeadLetters("order_placed")) > 0 }, "what the replay held to be back")
		}
		w.replay(0)
		w.AwaitDone(orders...)
	}},
	{number: 60, name: "new failures arrive in what is replayed", run: func(w *world) {
		w.Run(1)
		orders := w.letters(10)
		refuse := fault.Plan{Every: fault.Fault{Kind: fault.Fail, Status: http.StatusUnprocessableEntity}}
		w.ERP.Faults.Set(refuse)
		calls := len(w.ERP.Requests())
		var replay sync.WaitGroup
		replay.Go(func() {
			out, code := w.Call("dlq", "replay", w.DeadLetters("order_placed"), "--yes", "--rate", "20")
			if code != 0 || !strings.Contains(out, "replayed 10,") {
				w.t.Errorf("the replay ends with %d: %s", code, out)
			}
		})
		kit.Eventually(w.t, env.Patience, func() bool { return len(w.ERP.Requests()) > calls }, "the replay to begin")
		for range 10 {
			o := w.order(fakemagento.Placing{})
			w.event(o)
			orders = append(orders, o)
		}
		replay.Wait() // though each comes back dead
		kit.Eventually(w.t, env.Patience, func() bool { return w.Depth(w.DeadLetters("order_placed")) == 20 }, "all to be dead letters")
		w.Heal()
		w.replay(0)
		w.AwaitDone(orders...)
	}},
	{number: 61, name: "replay with a rate against an ERP that is still sick", run: func(w *world) {
		r := w.Run(1)[0]
		orders := w.letters(30)
		w.ERP.Faults.Set(fault.Plan{Every: fault.Fault{Kind: fault.Fail, Status: http.StatusServiceUnavailable}})
		began := time.Now()
		out, code := w.Call("dlq", "replay", w.DeadLetters("order_placed"), "--yes", "--rate", "10")
		if code != 0 || !strings.Contains(out, "replayed 30,") || time.Since(began) < 2900*time.Millisecond {
			w.t.Errorf("the replay ends with %d after %s: %s", code, time.Since(began), out)
		}
		r.AwaitSaying("the consumer is paused", func(_ int, d replica.Readiness) bool { return d.Consumers["order_placed"].State == "paused" })
		// The circuit holds them: what is replayed neither falls upon the ERP nor comes back dead.
		if n := len(w.ERP.Requests()); n > 30+30 {
			w.t.Errorf("the ERP was called %d times", n)
		}
		if n := w.Depth(w.DeadLetters("order_placed")); n != 0 {
			w.t.Errorf("%d have come back dead", n)
		}
		w.Heal()
		w.AwaitDone(orders...)
	}},
	{number: 61, name: "replay with a canary against an ERP that is still sick", run: func(w *world) {
		w.Run(1)
		orders := w.letters(20)
		w.ERP.Faults.Set(fault.Plan{Every: fault.Fault{Kind: fault.Fail, Status: http.StatusUnprocessableEntity}})
		calls := len(w.ERP.Requests())
		out, code := w.Call("dlq", "replay", w.DeadLetters("order_placed"), "--yes", "--canary")
		if code != 3 || !strings.Contains(out, "replayed 1,") {
			w.t.Errorf("the replay ends with %d: %s", code, out)
		}
		kit.Eventually(w.t, env.Patience, func() bool { return w.Depth(w.DeadLetters("order_placed")) == 20 }, "the canary to be back")
		if n := len(w.ERP.Requests()) - calls; n > 2 { // one asks whether the ERP has it
			w.t.Errorf("the ERP was called %d times, for one canary", n)
		}
		w.Heal()
		if out, code := w.Call("dlq", "replay", w.DeadLetters("order_placed"), "--yes", "--canary"); code != 0 {
			w.t.Errorf("the replay ends with %d: %s", code, out)
		}
		w.AwaitDone(orders...)
	}},
}

// letters gives orders whose events are dead letters; the cause is gone.
func (w *world) letters(n int) []fakemagento.Placed {
	w.t.Helper()
	w.ERP.Faults.Set(fault.Plan{Every: fault.Fault{Kind: fault.Fail, Status: http.StatusUnprocessableEntity}})
	var orders []fakemagento.Placed
	for range n {
		o := w.order(fakemagento.Placing{})
		w.event(o)
		orders = append(orders, o)
	}
	kit.Eventually(w.t, env.Patience, func() bool { return w.Depth(w.DeadLetters("order_placed")) == n }, "dead letters")
	w.Heal()
	return orders
}

func (w *world) replay(want int) {
	w.t.Helper()
	if out, code := w.Call("--replay-dlq", w.DeadLetters("order_placed"), "--yes"); code != want {
		w.t.Errorf("the replay ends with %d: %s", code, out)
	}
}

func (w *world) kill(command *exec.Cmd) {
	_ = command.Process.Kill()
	_ = command.Wait()
}
