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
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
	"github.com/mageline/mageline/test/kit/replica"
)

// The broker itself has dead-lettered a message, and written its x-death on it. Replayed, it fails once more, waits in a
// retry queue, and arrives: a broker drops what it takes for a circle of dead-lettering without a word.
func TestReplayOfBrokersOwnLetter(t *testing.T) {
	for _, kind := range []string{"quorum", "classic"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			l := newLine(t, 200*time.Millisecond, 500*time.Millisecond, time.Second)
			l.env = l.with("QUEUE_TYPE", kind, "BREAKER_FAILURES", "0")
			if out, code := call(t, l.env, "topology"); code != 0 {
				t.Fatalf("topology ends with %d: %s", code, out)
			}
			placed := []fakemagento.Placed{l.shop.PlaceOrder(fakemagento.Placing{}), l.shop.PlaceOrder(fakemagento.Placing{}), l.shop.PlaceOrder(fakemagento.Placing{})}
			l.brokersLetters(placed)
			letters := l.DeadLetters("order_placed")
			kit.Eventually(t, patience, func() bool { return l.Depth(letters) == len(placed) }, "the broker to dead-letter")
			out, code := call(t, l.env, "dlq", "list", letters, "--json")
			if code != 0 || strings.Count(out, "\n") != len(placed) {
				t.Errorf("dlq list ends with %d: %s", code, out)
			}

			r := start(t, l.env).AwaitReady()
			refused := fault.Fault{Kind: fault.Fail, Status: 503}
			l.erp.Faults.Next(refused, refused, refused)
			out, code = call(t, l.env, "--replay-dlq", letters)
			if code != 0 || !strings.HasSuffix(strings.TrimSpace(out), "replayed 3, skipped 0, failed 0") {
				t.Errorf("the replay ends with %d: %s", code, out)
			}
			l.awaitDone(patience, placed...)
			if n := r.Metric("mageline_deliveries_total", `outcome="retried"`); n < 1 {
				t.Errorf("%v retries: nothing has failed once more, so nothing was shown", n)
			}
			l.finish(r)
			if n := len(l.erp.Documents()); n != len(placed) {
				t.Errorf("the ERP has %d documents, want %d", n, len(placed))
			}
		})
	}
}

// A letter of mageline's own: an order that the ERP refused until its cause was gone.
func TestReplayAfterRefusal(t *testing.T) {
	t.Parallel()
	l := newLine(t, 200*time.Millisecond)
	r := start(t, l.env).AwaitReady()
	l.erp.Faults.Set(fault.Plan{Every: fault.Fault{Kind: fault.Fail, Status: 422}})
	placed := l.place(5, fakemagento.Placing{})
	letters := l.DeadLetters("order_placed")
	kit.Eventually(t, patience, func() bool { return l.Depth(letters) == len(placed) }, "the orders to be dead-lettered")
	l.erp.Faults.Set(fault.Plan{})
	out, code := call(t, l.env, "dlq", "replay", letters, "--key", placed[2].IncrementID, "--yes")
	if code != 0 || !strings.HasSuffix(strings.TrimSpace(out), "replayed 1, skipped 4, failed 0") {
		t.Errorf("the replay of one ends with %d: %s", code, out)
	}
	l.awaitDone(patience, placed[2])
	if n := len(l.erp.Documents()); n != 1 {
		t.Errorf("the ERP has %d documents, want 1", n)
	}
	if out, code = call(t, l.env, "--replay-dlq", letters); code != 0 {
		t.Errorf("the replay ends with %d: %s", code, out)
	}
	l.awaitDone(patience, placed...)
	if out, code = call(t, l.env, "--replay-dlq", l.Prefix+".nothing.dlq"); code != 1 || !strings.Contains(out, l.Prefix+".nothing.dlq") {
		t.Errorf("the replay of a queue that is not there ends with %d: %s", code, out)
	}
	l.finish(r)
}

// A person takes a letter out, edits it and sends it back; it fails again, as what it is now.
func TestReplayOfEditedLetter(t *testing.T) {
	t.Parallel()
	l := newLine(t, 200*time.Millisecond)
	r := start(t, l.env).AwaitReady()
	l.Publish("sales.order.placed", `{"increment_id":}`)
	letters := l.DeadLetters("order_placed")
	await := func() {
		t.Helper()
		kit.Eventually(t, patience, func() bool { return l.Depth(letters) == 1 }, "the letter")
	}
	edit := func(body string) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "letters.jsonl")
		if out, code := call(t, l.env, "dlq", "discard", letters, "--out", file, "--yes"); code != 0 || !strings.Contains(out, "discarded 1, ") {
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
		if out, code := call(t, l.env, "publish", "--letters", file); code != 0 || !strings.Contains(out, "published 1, ") {
			t.Fatalf("publish --letters ends with %d: %s", code, out)
		}
	}
	await()
	edit(`{"increment_id":""}`)
	await()
	out, code := call(t, l.env, "dlq", "list", letters, "--json")
	if code != 0 || !strings.Contains(out, `"class":"invalid"`) || strings.Count(out, "\n") != 1 {
		t.Errorf("dlq list ends with %d: %s", code, out)
	}
	order := l.shop.PlaceOrder(fakemagento.Placing{})
	edit(event(order, 0))
	l.awaitDone(patience, order)
	l.finish(r)
}

// Letters are replayed while events for the same orders come in: each order is in the ERP once all the same.
func TestReplayBesideLiveTraffic(t *testing.T) {
	t.Parallel()
	const n = 40
	l := newLine(t, 200*time.Millisecond, 500*time.Millisecond, time.Second)
	l.env = l.with("BREAKER_FAILURES", "0")
	replicas := []*replica.Replica{start(t, l.env).AwaitReady(), start(t, l.env).AwaitReady()}
	l.erp.Faults.Set(fault.Plan{Every: fault.Fault{Kind: fault.Fail, Status: 422}})
	placed := l.place(n, fakemagento.Placing{})
	letters := l.DeadLetters("order_placed")
	kit.Eventually(t, patience, func() bool { return l.Depth(letters) == n }, "the orders to be dead-lettered")
	l.erp.Faults.Set(fault.Plan{})
	live := make(chan struct{})
	go func() {
		defer close(live)
		for i, o := range placed {
			l.Publish("sales.order.updated", event(o, i))
		}
	}()
	out, code := call(t, l.env, "--replay-dlq", letters)
	<-live
	if code != 0 || !strings.HasSuffix(strings.TrimSpace(out), "replayed 40, skipped 0, failed 0") {
		t.Errorf("the replay ends with %d: %s", code, out)
	}
	l.awaitDone(patience, placed...)
	l.finish(replicas...)
	if !l.done(placed) {
		t.Error("what was done is not done any more")
	}
}

// With --canary the rest goes only when the first one went well.
func TestReplayCanary(t *testing.T) {
	t.Parallel()
	l := newLine(t, 200*time.Millisecond)
	r := start(t, l.env).AwaitReady()
	refuse := fault.Plan{Every: fault.Fault{Kind: fault.Fail, Status: 422}}
	l.erp.Faults.Set(refuse)
	placed := l.place(5, fakemagento.Placing{})
	letters := l.DeadLetters("order_placed")
	depth := func(n int) {
		t.Helper()
		kit.Eventually(t, patience, func() bool { return l.Depth(letters) == n }, "the letters to be where they belong")
	}
	depth(5)
	canary := func(code int, says string, flags ...string) {
		t.Helper()
		args := append([]string{"dlq", "replay", letters, "--canary"}, flags...)
		if out, got := call(t, l.env, args...); got != code || !strings.Contains(out, says) {
			t.Errorf("%v ends with %d, want %d and %q: %s", args, got, code, says, out)
		}
	}

	canary(3, "came back dead (rejected: ") // its cause is still there
	canary(3, ", dead again after ")
	depth(5)
	canary(0, "would replay 5 (5 orders), would skip 0", "--dry-run")
	l.erp.Faults.Set(fault.Plan{})
	first := 0
	for i, o := range placed { // the one that came back dead is the last now; the first is through
		out, code := call(t, l.env, "dlq", "list", letters, "--json", "--key", o.IncrementID)
		if code != 0 || !strings.Contains(out, o.IncrementID) {
			t.Errorf("order %s is not in the list: %s", o.IncrementID, out)
		}
		first = i
	}
	canary(0, "replayed 1, skipped 4, failed 0", "--key", placed[first].IncrementID)
	l.awaitDone(patience, placed[first])
	canary(0, ", done after ", "--limit", "1")
	canary(0, "replayed 1, skipped 0, failed 0", "--limit", "1")
	depth(2)
	canary(0, "replayed 2, skipped 0, failed 0")
	l.awaitDone(patience, placed...)
	canary(0, "replayed 0, skipped 0, failed 0") // nothing is left

	// Nobody consumes: the first one waits, and so does the rest.
	l.erp.Faults.Set(refuse)
	more := l.place(1, fakemagento.Placing{})
	depth(1) // of two at once, either may be the first letter
	more = append(more, l.place(1, fakemagento.Placing{})...)
	depth(2)
	l.erp.Faults.Set(fault.Plan{})
	if out, code := call(t, l.env, "pause", "order_placed"); code != 0 {
		t.Fatalf("pause ends with %d: %s", code, out)
	}
	awaitPaused(r, "order_placed")
	canary(3, "is not through after 3s (the ledger has order_placed:"+more[0].IncrementID+" as create failed)", "--canary-timeout", "3s")
	depth(1)
	if out, code := call(t, l.env, "resume", "order_placed"); code != 0 {
		t.Fatalf("resume ends with %d: %s", code, out)
	}
	l.awaitDone(patience, more[0])

	// A letter whose order was done before: it is through when a consumer has taken it.
	l.Publish("sales.order.placed", event(more[0], 0))
	l.erp.Faults.Set(refuse)
	canary(3, "came back dead")
	l.erp.Faults.Set(fault.Plan{})
	depth(1)
	l.Publish("sales.order.placed", event(more[1], 0))
	l.awaitDone(patience, more[1])
	canary(0, "replayed 1, skipped 0, failed 0")
	depth(0)
	l.finish(r)
}

// With --wait the call ends when it is known what became of each letter, and with 0 only if all are done.
func TestReplayWait(t *testing.T) {
	t.Parallel()
	l := newLine(t, 200*time.Millisecond)
	r := start(t, l.env).AwaitReady()
	letters := l.DeadLetters("order_placed")
	refused := func(n int) []fakemagento.Placed {
		t.Helper()
		l.erp.Faults.Set(fault.Plan{Every: fault.Fault{Kind: fault.Fail, Status: 422}})
		before := l.Depth(letters)
		placed := l.place(n, fakemagento.Placing{})
		kit.Eventually(t, patience, func() bool { return l.Depth(letters) == before+n }, "the orders to be dead-lettered")
		l.erp.Faults.Set(fault.Plan{})
		return placed
	}
	placed := refused(4)
	l.shop.Delete(placed[0].EntityID)
	l.shop.SetState(placed[1].EntityID, "pending_payment")
	out, code := call(t, l.env, "--replay-dlq", letters, "--wait", "--yes")
	if code != 3 || !strings.Contains(out, "done 2, dead again 1, waiting 1\n") || !strings.HasSuffix(out, "replayed 4, skipped 0, failed 0\n") {
		t.Errorf("it ends with %d: %s", code, out)
	}
	l.awaitDone(time.Second, placed[2:]...)

	more := refused(2)
	out, code = call(t, l.env, "dlq", "replay", letters, "--error-class", "rejected", "--wait", "--canary", "--json")
	for _, part := range []string{`"replayed":2,`, `"keys":2,`, `"done":2,"dead_again":0,"waiting":0}`, `"canary":{"id":"`, `"state":"done"`} {
		if code != 0 || !strings.Contains(out, part) {
			t.Errorf("it ends with %d, want 0 and %s: %s", code, part, out)
		}
	}
	l.awaitDone(time.Second, more...)

	// What can't be seen in the ledger is known by its not coming back.
	l.Publish("sales.order.placed", "not JSON")
	kit.Eventually(t, patience, func() bool { return l.Depth(letters) == 2 }, "the broken one to be dead-lettered")
	out, code = call(t, l.env, "dlq", "replay", letters, "--error-class", "malformed", "--wait")
	if code != 3 || !strings.Contains(out, "done 0, dead again 1, waiting 0\n") {
		t.Errorf("it ends with %d: %s", code, out)
	}
	if out, code = call(t, l.env, "dlq", "discard", letters, "--yes", "--out", filepath.Join(t.TempDir(), "letters")); code != 0 {
		t.Errorf("discard ends with %d: %s", code, out)
	}
	l.shop.Cancel(placed[1].EntityID)
	r.Terminate()
	if code := r.Exit(); code != 0 {
		t.Errorf("exit %d", code)
	}
}

// The wrong calls are told before anything is published.
func TestReplayCanaryUsage(t *testing.T) {
	t.Parallel()
	l := newLine(t, 200*time.Millisecond)
	for _, args := range [][]string{
		{"dlq", "replay", l.DeadLetters("price_sync"), "--canary"},
		{"--replay-dlq", l.DeadLetters("stock_sync"), "--canary", "--canary-timeout", "5s"},
		{"dlq", "replay", l.DeadLetters("order_placed"), "--canary", "--to", l.Queue("products_exported")},
	} {
		if out, code := call(t, l.env, args...); code != 2 || !strings.Contains(out, "--limit 1") {
			t.Errorf("%v ends with %d: %s", args, code, out)
		}
	}
}

// brokersLetters publishes an event for each order and has the broker dead-letter it: the first one because it was
// rejected; the others because they expired. Only of the latter, which nobody has rejected, a broker takes the way back
// to the same queue for a circle.
func (l *line) brokersLetters(orders []fakemagento.Placed) {
	l.t.Helper()
	conn, err := amqp.Dial(l.URL)
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ch, err := conn.Channel()
	if err != nil {
		l.t.Fatal(err)
	}
	for _, o := range orders[1:] {
		p := kit.Publishing([]byte(event(o, 0)))
		p.Expiration = "1" // milliseconds
		if err := ch.PublishWithContext(l.t.Context(), l.Exchange, "sales.order.placed", false, false, p); err != nil {
			l.t.Fatal(err)
		}
	}
	letters := l.DeadLetters("order_placed")
	kit.Eventually(l.t, patience, func() bool { return l.Depth(letters) == len(orders)-1 }, "messages to expire")
	l.Publish("sales.order.placed", event(orders[0], 0))
	kit.Eventually(l.t, patience, func() bool {
		d, ok, err := ch.Get(l.Queue("order_placed"), false)
		if err == nil && ok {
			err = d.Reject(false)
		}
		if err != nil {
			l.t.Fatal(err)
		}
		return ok
	}, "the message to be rejected")
}
