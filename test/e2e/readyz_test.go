package e2e

import (
	"net/http"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
	"github.com/mageline/mageline/test/kit/replica"
)

// firstCallOfEvery is true of the first call for every n-th order: none of them fails again, whatever the order of the calls.
func firstCallOfEvery(n int) func(*http.Request) bool {
	var mu sync.Mutex
	seen := map[string]bool{}
	return func(r *http.Request) bool {
		key := r.Header.Get("Idempotency-Key")
		mu.Lock()
		defer mu.Unlock()
		if r.Method != http.MethodPost || seen[key] {
			return false
		}
		seen[key] = true
		return len(seen)%n == 0
	}
}

// /readyz says first what a person on call would want to hear: an ERP that is up and fails one call in five, dead letters,
// orders that wait for days, and what is paused and how much waits for it.
func TestReadyz_SaysProblems(t *testing.T) {
	t.Parallel()
	e := newEnv(t, 200*time.Millisecond, 400*time.Millisecond, time.Second)
	r := e.Start().AwaitReady()
	says := func(what string, sentences ...string) replica.Readiness {
		t.Helper()
		var last replica.Readiness
		r.AwaitSaying(what, func(status int, d replica.Readiness) bool {
			last = d
			for _, sentence := range sentences {
				if !slices.ContainsFunc(d.Problems, regexp.MustCompile(sentence).MatchString) {
					return false
				}
			}
			return status == http.StatusOK && len(d.Problems) == len(sentences)
		})
		return last
	}
	if _, page := r.Get("/"); !regexp.MustCompile(`^\{"ready":true,"problems":\[\],`).MatchString(page) {
		t.Errorf("the address without a path leads to %s", page)
	}

	e.ERP.Faults.Set(fault.Plan{Every: fault.Fault{Kind: fault.Fail, Status: 503}, Only: firstCallOfEvery(5)})
	orders := e.Place(60, fakemagento.Placing{})
	const flaky = `^erp fails \d+ of \d+ calls of the last 5 minutes \(\d+ %\) though its circuit is closed, .*: 201 \d+ %.*503 \d+ %`
	e.AwaitDone(orders...)
	e.Heal()
	d := says("the ERP fails one call in five", flaky)
	if erp, magento := d.Downstreams["erp"], d.Downstreams["magento"]; erp.Calls < 60 || erp.Failures != 12 || erp.Timeouts != 0 ||
		magento.Calls < 60 || magento.Failures != 0 {
		t.Errorf("the ERP %+v, Magento %+v", erp, magento)
	}

	e.Publish("sales.order.placed", "not JSON")
	waiting := e.PlaceOne(fakemagento.Placing{State: "pending_payment"})
	conn, err := pgx.Connect(t.Context(), e.Database)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	kit.Eventually(t, env.Patience, func() bool {
		tag, err := conn.Exec(t.Context(), `UPDATE orders SET waiting_since = now() - interval '3 days' WHERE key = $1 AND waiting`, waiting.IncrementID)
		return err == nil && tag.RowsAffected() == 1
	}, "the order to wait")
	const letter, wait = `^1 dead letter in \S+\.order_placed\.dlq: `, `^1 order has been waiting for longer than a day, the first since 20\S+Z \(3 days\)`
	says("an order waits for three days, and a letter is dead", flaky, letter, wait)

	e.MustCall("pause", "order_placed")
	awaitPaused(r, "order_placed")
	more := e.Place(3, fakemagento.Placing{})
	says("messages wait for a consumer that is paused", flaky, letter, wait,
		`^order_placed is paused since 20\S+Z \(\d+ s\): .*paused by an operator since .*; 3 messages wait in its queue\.$`)
	e.MustCall("resume", "order_placed")
	e.AwaitDone(more...)
	says("it goes on", flaky, letter, wait)

	// A deployment that needs no ERP says nothing of it.
	only := e.Start("CONSUMERS", "tracking_received").AwaitReady()
	if _, d := only.Ready(); len(d.Downstreams) != 1 || d.Downstreams["magento"].State != "closed" {
		t.Errorf("%+v", d.Downstreams)
	}
	if _, ok := e.Get(e.DeadLetters("order_placed")); !ok {
		t.Error("the letter is gone")
	}
	says("the letter is gone", flaky, wait)
	e.Shop.Cancel(waiting.EntityID)
	e.Finish()
}
