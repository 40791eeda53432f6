package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
)

// The broker itself has dead-lettered a message, and written its x-death on it. Replayed, it fails once more, waits in a
// retry queue, and arrives: a broker drops what it takes for a circle of dead-lettering without a word.
func TestReplay_LetterOfTheBroker(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"quorum", "classic"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, 200*time.Millisecond, 500*time.Millisecond, time.Second)
			e.Set("QUEUE_TYPE", kind, "BREAKER_FAILURES", "0")
			e.MustCall("topology")
			placed := []fakemagento.Placed{e.Shop.PlaceOrder(fakemagento.Placing{}), e.Shop.PlaceOrder(fakemagento.Placing{}), e.Shop.PlaceOrder(fakemagento.Placing{})}
			brokersLetters(t, e, placed)
			letters := e.DeadLetters("order_placed")
			kit.Eventually(t, env.Patience, func() bool { return e.Depth(letters) == len(placed) }, "the broker to dead-letter")
			out, code := e.Call("dlq", "list", letters, "--json")
			if code != 0 || strings.Count(out, "\n") != len(placed) {
				t.Errorf("dlq list ends with %d: %s", code, out)
			}

			r := e.Start().AwaitReady()
			refused := fault.Fault{Kind: fault.Fail, Status: 503}
			e.ERP.Faults.Next(refused, refused, refused)
			out, code = e.Call("--replay-dlq", letters)
			if code != 0 || !strings.HasSuffix(strings.TrimSpace(out), "replayed 3, skipped 0, failed 0") {
				t.Errorf("the replay ends with %d: %s", code, out)
			}
			e.AwaitDone(placed...)
			if n := r.Metric("mageline_deliveries_total", `outcome="retried"`); n < 1 {
				t.Errorf("%v retries: nothing has failed once more, so nothing was shown", n)
			}
			e.Finish()
			if n := len(e.ERP.Documents()); n != len(placed) {
				t.Errorf("the ERP has %d documents, want %d", n, len(placed))
			}
		})
	}
}

// A letter of mageline's own: an order that the ERP refused until its cause was gone.
func TestReplay_RefusedOrders(t *testing.T) {
	t.Parallel()
	e := newEnv(t, 200*time.Millisecond)
	e.Start().AwaitReady()
	e.RefuseOrders()
	placed := e.Place(5, fakemagento.Placing{})
	letters := e.DeadLetters("order_placed")
	kit.Eventually(t, env.Patience, func() bool { return e.Depth(letters) == len(placed) }, "the orders to be dead-lettered")
	e.Heal()
	out, code := e.Call("dlq", "replay", letters, "--key", placed[2].IncrementID, "--yes")
	if code != 0 || !strings.HasSuffix(strings.TrimSpace(out), "replayed 1, skipped 4, failed 0") {
		t.Errorf("the replay of one ends with %d: %s", code, out)
	}
	e.AwaitDone(placed[2])
	if n := len(e.ERP.Documents()); n != 1 {
		t.Errorf("the ERP has %d documents, want 1", n)
	}
	if out, code = e.Call("--replay-dlq", letters); code != 0 {
		t.Errorf("the replay ends with %d: %s", code, out)
	}
	e.AwaitDone(placed...)
	if out, code = e.Call("--replay-dlq", e.Prefix+".nothing.dlq"); code != 1 || !strings.Contains(out, e.Prefix+".nothing.dlq") {
		t.Errorf("the replay of a queue that is not there ends with %d: %s", code, out)
	}
	e.Finish()
}

// A person takes a letter out, edits it and sends it back; it fails again, as what it is now.
func TestReplay_EditedLetter(t *testing.T) {
	t.Parallel()
	e := newEnv(t, 200*time.Millisecond)
	e.Start().AwaitReady()
	e.Publish("sales.order.placed", `{"increment_id":}`)
	letters := e.DeadLetters("order_placed")
	await := func() {
		t.Helper()
		kit.Eventually(t, env.Patience, func() bool { return e.Depth(letters) == 1 }, "the letter")
	}
	edit := func(body string) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "letters.jsonl")
		if out, code := e.Call("dlq", "discard", letters, "--out", file, "--yes"); code != 0 || !strings.Contains(out, "discarded 1, ") {
			t.Fatalf("the discard ends with %d: %s", code, out)
		}
		var line map[string]any
		text, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(text, &line)
		}
		if err == nil {
			line["body_base64"] = []byte(body) // which JSON writes as base64
			text, err = json.Marshal(line)
		}
		if err == nil {
			err = os.WriteFile(file, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		if out, code := e.Call("publish", "--letters", file); code != 0 || !strings.Contains(out, "published 1, ") {
			t.Fatalf("publish --letters ends with %d: %s", code, out)
		}
	}
	await()
	edit(`{"increment_id":""}`)
	await()
	out, code := e.Call("dlq", "list", letters, "--json")
	if code != 0 || !strings.Contains(out, `"class":"invalid"`) || strings.Count(out, "\n") != 1 {
		t.Errorf("dlq list ends with %d: %s", code, out)
	}
	order := e.Shop.PlaceOrder(fakemagento.Placing{})
	edit(env.Body(order, 0))
	e.AwaitDone(order)
	e.Finish()
}

// Letters are replayed while events for the same orders come in: each order is in the ERP once all the same.
func TestReplay_BesideLiveTraffic(t *testing.T) {
	t.Parallel()
	const n = 40
	e := newEnv(t, 200*time.Millisecond, 500*time.Millisecond, time.Second)
	e.Set("BREAKER_FAILURES", "0")
	e.Run(2)
	e.RefuseOrders()
	placed := e.Place(n, fakemagento.Placing{})
	letters := e.DeadLetters("order_placed")
	kit.Eventually(t, env.Patience, func() bool { return e.Depth(letters) == n }, "the orders to be dead-lettered")
	e.Heal()
	live := make(chan struct{})
	go func() {
		defer close(live)
		for i, o := range placed {
			e.Publish("sales.order.updated", env.Body(o, i))
		}
	}()
	out, code := e.Call("--replay-dlq", letters)
	<-live
	if code != 0 || !strings.HasSuffix(strings.TrimSpace(out), "replayed 40, skipped 0, failed 0") {
		t.Errorf("the replay ends with %d: %s", code, out)
	}
	e.AwaitDone(placed...)
	e.Finish()
	e.CheckDone(placed...)
}

// With --canary the rest goes only when the first one went well.
func TestReplay_Canary(t *testing.T) {
	t.Parallel()
	e := newEnv(t, 200*time.Millisecond)
	r := e.Start().AwaitReady()
	refuse := fault.Plan{Every: fault.Fault{Kind: fault.Fail, Status: 422}}
	e.ERP.Faults.Set(refuse)
	placed := e.Place(5, fakemagento.Placing{})
	letters := e.DeadLetters("order_placed")
	depth := func(n int) {
		t.Helper()
		kit.Eventually(t, env.Patience, func() bool { return e.Depth(letters) == n }, "the letters to be where they belong")
	}
	depth(5)
	canary := func(code int, says string, flags ...string) {
		t.Helper()
		args := append([]string{"dlq", "replay", letters, "--canary"}, flags...)
		if out, got := e.Call(args...); got != code || !strings.Contains(out, says) {
			t.Errorf("%v ends with %d, want %d and %q: %s", args, got, code, says, out)
		}
	}

	canary(3, "came back dead (rejected: ") // its cause is still there
	canary(3, ", dead again after ")
	depth(5)
	canary(0, "would replay 5 (5 orders), would skip 0", "--dry-run")
	e.Heal()
	first := 0
	for i, o := range placed { // the one that came back dead is the last now; the first is through
		out, code := e.Call("dlq", "list", letters, "--json", "--key", o.IncrementID)
		if code != 0 || !strings.Contains(out, o.IncrementID) {
			t.Errorf("order %s is not in the list: %s", o.IncrementID, out)
		}
		first = i
	}
	canary(0, "replayed 1, skipped 4, failed 0", "--key", placed[first].IncrementID)
	e.AwaitDone(placed[first])
	canary(0, ", done after ", "--limit", "1")
	canary(0, "replayed 1, skipped 0, failed 0", "--limit", "1")
	depth(2)
	canary(0, "replayed 2, skipped 0, failed 0")
	e.AwaitDone(placed...)
	canary(0, "replayed 0, skipped 0, failed 0") // nothing is left

	// Nobody consumes: the first one waits, and so does the rest.
	e.ERP.Faults.Set(refuse)
	more := e.Place(1, fakemagento.Placing{})
	depth(1) // of two at once, either may be the first letter
	more = append(more, e.Place(1, fakemagento.Placing{})...)
	depth(2)
	e.Heal()
	e.MustCall("pause", "order_placed")
	awaitPaused(r, "order_placed")
	canary(3, "is not through after 3s (the ledger has order_placed:"+more[0].IncrementID+" as create failed)", "--canary-timeout", "3s")
	depth(1)
	e.MustCall("resume", "order_placed")
	e.AwaitDone(more[0])

	// A letter whose order was done before: it is through when a consumer has taken it.
	e.Publish("sales.order.placed", env.Body(more[0], 0))
	e.ERP.Faults.Set(refuse)
	canary(3, "came back dead")
	e.Heal()
	depth(1)
	e.Publish("sales.order.placed", env.Body(more[1], 0))
	e.AwaitDone(more[1])
	canary(0, "replayed 1, skipped 0, failed 0")
	depth(0)
	e.Finish()
}

// With --wait the call ends when it is known what became of each letter, and with 0 only if all are done.
func TestReplay_Wait(t *testing.T) {
	t.Parallel()
	e := newEnv(t, 200*time.Millisecond)
	r := e.Start().AwaitReady()
	letters := e.DeadLetters("order_placed")
	refused := func(n int) []fakemagento.Placed {
		t.Helper()
		e.RefuseOrders()
		before := e.Depth(letters)
		placed := e.Place(n, fakemagento.Placing{})
		kit.Eventually(t, env.Patience, func() bool { return e.Depth(letters) == before+n }, "the orders to be dead-lettered")
		e.Heal()
		return placed
	}
	placed := refused(4)
	e.Shop.Delete(placed[0].EntityID)
	e.Shop.SetState(placed[1].EntityID, "pending_payment")
	out, code := e.Call("--replay-dlq", letters, "--wait", "--yes")
	if code != 3 || !strings.Contains(out, "done 2, dead again 1, waiting 1\n") || !strings.HasSuffix(out, "replayed 4, skipped 0, failed 0\n") {
		t.Errorf("it ends with %d: %s", code, out)
	}
	e.AwaitDone(placed[2:]...)

	more := refused(2)
	out, code = e.Call("dlq", "replay", letters, "--error-class", "rejected", "--wait", "--canary", "--json")
	for _, part := range []string{`"replayed":2,`, `"keys":2,`, `"done":2,"dead_again":0,"waiting":0}`, `"canary":{"id":"`, `"state":"done"`} {
		if code != 0 || !strings.Contains(out, part) {
			t.Errorf("it ends with %d, want 0 and %s: %s", code, part, out)
		}
	}
	e.AwaitDone(more...)

	// What can't be seen in the ledger is known by its not coming back.
	e.Publish("sales.order.placed", "not JSON")
	kit.Eventually(t, env.Patience, func() bool { return e.Depth(letters) == 2 }, "the broken one to be dead-lettered")
	out, code = e.Call("dlq", "replay", letters, "--error-class", "malformed", "--wait")
	if code != 3 || !strings.Contains(out, "done 0, dead again 1, waiting 0\n") {
		t.Errorf("it ends with %d: %s", code, out)
	}
	if out, code = e.Call("dlq", "discard", letters, "--yes", "--out", filepath.Join(t.TempDir(), "letters")); code != 0 {
		t.Errorf("discard ends with %d: %s", code, out)
	}
	e.Shop.Cancel(placed[1].EntityID)
	r.Terminate()
	if code := r.Exit(); code != 0 {
		t.Errorf("exit %d", code)
	}
}

// The wrong calls are told before anything is published.
func TestReplay_CanaryUsage(t *testing.T) {
	t.Parallel()
	e := newEnv(t, 200*time.Millisecond)
	for _, args := range [][]string{
		{"dlq", "replay", e.DeadLetters("price_sync"), "--canary"},
		{"--replay-dlq", e.DeadLetters("stock_sync"), "--canary", "--canary-timeout", "5s"},
		{"dlq", "replay", e.DeadLetters("order_placed"), "--canary", "--to", e.Queue("products_exported")},
	} {
		if out, code := e.Call(args...); code != 2 || !strings.Contains(out, "--limit 1") {
			t.Errorf("%v ends with %d: %s", args, code, out)
		}
	}
}

// brokersLetters publishes an event for each order and has the broker dead-letter it: the first one because it was
// rejected; the others because they expired. Only of the latter, which nobody has rejected, a broker takes the way back
// to the same queue for a circle.
func brokersLetters(t *testing.T, e *env.Env, orders []fakemagento.Placed) {
	t.Helper()
	conn, err := amqp.Dial(e.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range orders[1:] {
		p := kit.Publishing([]byte(env.Body(o, 0)))
		p.Expiration = "1" // milliseconds
		if err := ch.PublishWithContext(t.Context(), e.Exchange, "sales.order.placed", false, false, p); err != nil {
			t.Fatal(err)
		}
	}
	letters := e.DeadLetters("order_placed")
	kit.Eventually(t, env.Patience, func() bool { return e.Depth(letters) == len(orders)-1 }, "messages to expire")
	e.Publish("sales.order.placed", env.Body(orders[0], 0))
	kit.Eventually(t, env.Patience, func() bool {
		d, ok, err := ch.Get(e.Queue("order_placed"), false)
		if err == nil && ok {
			err = d.Reject(false)
		}
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}, "the message to be rejected")
}
