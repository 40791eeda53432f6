package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
)

// Poison among good messages delays none of them: with one handler and an hour before a second attempt, whatever waits
// for anything is not done in this test.
func TestPoison_DelaysNobody(t *testing.T) {
	t.Parallel()
	e := newEnv(t, time.Hour)
	e.Set("CONCURRENCY", "1", "PREFETCH", "4")
	r := e.Start().AwaitReady()
	refused := e.Shop.PlaceOrder(fakemagento.Placing{})
	e.ERP.Faults.Set(fault.Plan{
		Every: fault.Fault{Kind: fault.Fail, Status: http.StatusUnprocessableEntity},
		Only:  env.OfOrder(refused),
	})
	poison := []string{
		`no JSON, but vesna@fixture.example`,
		`[]`,
		`{"customer_email":"vesna@fixture.example","customer_lastname":"Testperson"}`,
		`{"increment_id":{"firstname":"Vesna","lastname":"Testperson"}}`,
		`"{\"increment_id\":"`,
		env.Body(refused, 0),
	}
	var good []fakemagento.Placed
	for _, body := range poison {
		good = append(good, e.Place(3, fakemagento.Placing{})...)
		e.Publish("sales.order.placed", body)
	}
	e.Publish("sales.order.placed", `{"increment_id":"000999999"}`) // not there yet: it is tried again in an hour
	good = append(good, e.Place(3, fakemagento.Placing{})...)
	e.AwaitDone(good...)
	e.AwaitLetters("order_placed", len(poison))
	kit.Eventually(t, env.Patience, func() bool { return e.Depth(e.RetryQueue(time.Hour)) == 1 }, "one message to wait for its retry")
	// What these print goes to the logs that are searched for personal data.
	out, code := e.Call("dlq", "list", e.DeadLetters("order_placed"), "--json")
	if code != 0 || strings.Count(out, "\n") != len(poison) {
		t.Errorf("dlq list ends with %d: %s", code, out)
	}
	for line := range strings.Lines(out) {
		var letter struct{ ID string }
		if err := json.Unmarshal([]byte(line), &letter); err != nil || letter.ID == "" {
			t.Fatalf("dlq list prints %s", line)
		}
		if out, code := e.Call("dlq", "show", e.DeadLetters("order_placed"), letter.ID, "--redact"); code != 0 {
			t.Errorf("dlq show ends with %d: %s", code, out)
		}
	}
	r.Terminate()
	if code := r.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	classes := map[string]int{}
	for range poison {
		d, ok := e.Get(e.DeadLetters("order_placed"))
		if !ok {
			t.Fatal("a dead letter is gone")
		}
		env.CheckLetter(t, &d)
		if d.Headers["x-mageline-reason"] != "poison" || d.Headers["x-mageline-attempts"] != int64(1) {
			t.Errorf("a dead letter with reason %v after %v attempts", d.Headers["x-mageline-reason"], d.Headers["x-mageline-attempts"])
		}
		classes[fmt.Sprint(d.Headers["x-mageline-error-class"])]++
	}
	if classes["rejected"] != 1 || classes["malformed"]+classes["invalid"] != len(poison)-1 {
		t.Errorf("classes %v", classes)
	}
	if n := len(e.ERP.DocumentsOf(refused.IncrementID)); n != 0 {
		t.Errorf("the order that the ERP refused is there %d times", n)
	}
}
