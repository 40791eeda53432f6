package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

// reconciled is what the command prints with --json.
type reconciled struct {
	Orders    int            `json:"orders"`
	Counts    map[string]int `json:"counts"`
	Differ    int            `json:"differ"`
	Published int            `json:"published"`
	Rows      []struct {
		Key       string   `json:"key"`
		Standing  string   `json:"standing"`
		Documents []string `json:"documents"`
		Differs   string   `json:"differs"`
	} `json:"rows"`
}

func reconcile(t *testing.T, e *env.Env, want int, args ...string) (r reconciled) {
	t.Helper()
	output, code := e.Call(append([]string{"reconcile", "--json"}, args...)...)
	if code != want {
		t.Fatalf("reconcile %v ends with %d, want %d: %s", args, code, want, output)
	}
	line := output[strings.IndexByte(output, '{'):]
	if err := json.NewDecoder(strings.NewReader(line)).Decode(&r); err != nil {
		t.Fatalf("reconcile %v prints %s: %v", args, output, err)
	}
	return r
}

// keysOf returns the keys of rows that stand so, or differ so.
func (r reconciled) keysOf(standing, differs string) []string {
	var keys []string
	for _, row := range r.Rows {
		if (standing == "" || row.Standing == standing) && (differs == "" || row.Differs == differs) {
			keys = append(keys, row.Key)
		}
	}
	slices.Sort(keys)
	return keys
}

func numbersOf(orders ...fakemagento.Placed) []string {
	var numbers []string
	for _, o := range orders {
		numbers = append(numbers, o.IncrementID)
	}
	slices.Sort(numbers)
	return numbers
}

// TestReconcile_FindsJustTheOrdersWhoseEventsWereDropped compares by the command: what is missing is named and sent, what waits or is
// skipped is not, and an ERP that has lost a document, or has one twice, is told.
func TestReconcile_FindsJustTheOrdersWhoseEventsWereDropped(t *testing.T) {
	t.Parallel()
	e := newEnv(t, time.Second)
	ago := fakemagento.Placing{CreatedAt: time.Now().Add(-2 * time.Hour)}
	r := e.Start().AwaitReady()
	n, err := number("MAGELINE_E2E_RECONCILE", 250)
	if err != nil {
		t.Fatal(err)
	}
	placed := e.Place(n-9, ago)
	waits := ago
	waits.State = "pending_payment"
	waiting := e.PlaceOne(waits)
	gone := ago
	gone.State = "canceled"
	skipped := e.PlaceOne(gone)
	var dropped []fakemagento.Placed
	for range 7 {
		dropped = append(dropped, e.Shop.PlaceOrder(ago))
	}
	e.Shop.PlaceOrder(fakemagento.Placing{CreatedAt: time.Now()}) // its event is still on its way
	e.AwaitDone(placed...)
	r.AwaitEvent("order_waiting")
	r.AwaitEvent("order_skipped")
	lost, doubled := placed[3], placed[5]
	e.ERP.Delete(e.Number(lost))
	e.ERP.Book(doubled.IncrementID)

	all := len(placed) + 2 + len(dropped)
	got := reconcile(t, e, 3, "--from", "24h", "--ask-erp")
	if got.Orders != all || got.Counts["missing"] != 7 || got.Counts["waiting"] != 1 || got.Counts["skipped"] != 1 || got.Counts["done"] != len(placed) {
		t.Errorf("of %d orders: %+v", all, got)
	}
	for _, one := range []struct {
		standing, differs string
		want              []string
	}{
		{"missing", "", numbersOf(dropped...)},
		{"waiting", "", numbersOf(waiting)},
		{"skipped", "", numbersOf(skipped)},
		{"", "the ERP has no document", numbersOf(lost)},
		{"", "the ERP has 2 documents", numbersOf(doubled)},
	} {
		if keys := got.keysOf(one.standing, one.differs); !slices.Equal(keys, one.want) {
			t.Errorf("%s %s: %v, want %v", one.standing, one.differs, keys, one.want)
		}
	}

	// Nothing is sent while somebody has paused the consumer.
	e.MustCall("pause", "order_placed")
	if got := reconcile(t, e, 3, "--from", "24h", "--publish"); got.Published != 0 {
		t.Errorf("published %d of a paused consumer", got.Published)
	}
	e.MustCall("resume", "order_placed")
	r.AwaitReady()
	kit.Eventually(t, env.Patience, func() bool {
		got = reconcile(t, e, 0, "--from", "24h", "--publish")
		return got.Published > 0
	}, "the consumer to be subscribed again")
	if got.Published != 7 {
		t.Errorf("published %d, want 7", got.Published)
	}
	e.AwaitDone(dropped...)
	if got := reconcile(t, e, 0, "--from", "24h"); got.Counts["missing"] != 0 {
		t.Errorf("afterwards: %+v", got)
	}
	e.ERP.Delete(e.ERP.DocumentsOf(doubled.IncrementID)[1].Number)
	r.Terminate()
	r.Exit()
}

// TestReconcile_ServiceSendsWhatIsMissing has the service find them by itself.
func TestReconcile_ServiceSendsWhatIsMissing(t *testing.T) {
	t.Parallel()
	e := newEnv(t, time.Second)
	e.Set("RECONCILE_EVERY", "1s", "ORDER_EXPORT_FROM", time.Now().Add(-3*time.Hour).UTC().Format(time.RFC3339))
	tooOld := e.Shop.PlaceOrder(fakemagento.Placing{CreatedAt: time.Now().Add(-4 * time.Hour)})
	dropped := []fakemagento.Placed{
		e.Shop.PlaceOrder(fakemagento.Placing{CreatedAt: time.Now().Add(-2 * time.Hour)}),
		e.Shop.PlaceOrder(fakemagento.Placing{CreatedAt: time.Now().Add(-time.Hour)}),
	}
	replicas := e.Run(2)
	e.AwaitDone(dropped...)
	// It goes on, and sends none of them again.
	kit.Eventually(t, env.Patience, func() bool {
		return replicas[0].Events("reconciled", "missing", "0")+replicas[1].Events("reconciled", "missing", "0") >= 3
	}, "three more runs that find none")
	sent := replicas[0].Events("order_missing") + replicas[1].Events("order_missing")
	if sent != len(dropped) {
		t.Errorf("%d events were sent for %d orders", sent, len(dropped))
	}
	if e.Exported(tooOld) != 0 {
		t.Error("an order from before ORDER_EXPORT_FROM was sent")
	}
	e.Finish()
}

// TestReconcile_SendsNothingWhileOrdersCantBeHandled has orders missing while the ERP's circuit is open and while an operator has
// paused the consumer: none is sent until the queue has been empty again, and then each once.
func TestReconcile_SendsNothingWhileOrdersCantBeHandled(t *testing.T) {
	t.Parallel()
	e := newEnv(t, 200*time.Millisecond, time.Second)
	erp := e.Link("ERP_URL")
	e.Set("RECONCILE_EVERY", "1s", "ORDER_EXPORT_FROM", time.Now().Add(-3*time.Hour).UTC().Format(time.RFC3339),
		"BREAKER_FAILURES", "2", "BREAKER_OPEN_FOR", "1s")
	r := e.Start().AwaitReady()
	first := e.PlaceOne(fakemagento.Placing{})
	e.AwaitDone(first) // so that there is a connection to cut
	ago := fakemagento.Placing{CreatedAt: time.Now().Add(-2 * time.Hour)}
	withheld := func(dropped []fakemagento.Placed) {
		t.Helper()
		before := r.Events("task_deferred")
		kit.Eventually(t, env.Patience, func() bool { return r.Events("task_deferred") >= before+3 }, "three runs that are put off")
		for _, o := range dropped {
			if r.Events("order_missing", "key", o.IncrementID) > 0 {
				t.Errorf("order %s was sent while the consumer was paused", o.IncrementID)
			}
		}
	}
	sent := func(dropped []fakemagento.Placed) {
		t.Helper()
		e.AwaitDone(dropped...)
		for _, o := range dropped {
			if n := r.Events("order_missing", "key", o.IncrementID); n != 1 {
				t.Errorf("order %s was sent %d times", o.IncrementID, n)
			}
		}
	}

	erp.Refuse()
	behind := e.Place(3, fakemagento.Placing{})
	paused := func() {
		t.Helper()
		kit.Eventually(t, env.Patience, func() bool { return r.Metric("mageline_paused", `consumer="order_placed"`) == 1 }, "the consumer to be paused")
	}
	paused()
	var dropped []fakemagento.Placed
	for range 5 {
		dropped = append(dropped, e.Shop.PlaceOrder(ago))
	}
	withheld(dropped)
	erp.Accept()
	e.AwaitDone(behind...)
	sent(dropped)

	e.MustCall("pause", "order_placed")
	paused()
	dropped = []fakemagento.Placed{e.Shop.PlaceOrder(ago)}
	withheld(dropped)
	e.MustCall("resume", "order_placed")
	sent(dropped)
	e.Finish()
}
