package e2e

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/mageline/mageline/testkit/fakemagento"
	"github.com/mageline/mageline/testkit/fault"
)

// Two replicas, one of them killed every two seconds; an ERP that fails one call in ten, answers one in twenty when the
// caller has given up, and books whatever it gets; every event one to three times. Each order is in the ERP once.
func TestChaos(t *testing.T) {
	t.Logf("MAGELINE_E2E_ORDERS=%d MAGELINE_E2E_SEED=%d", orders, seed)
	const ms = time.Millisecond
	l := newLine(t, 300*ms, 600*ms, time.Second, time.Second, 2*time.Second, 2*time.Second, 3*time.Second, 3*time.Second)
	// A lease outlasts a killed owner by 7 s at most. No wait for a look-up: this ERP books at arrival.
	l.env = l.with("HANDLER_TIMEOUT", "2s", "IDEMPOTENCY_LEASE", "7s", "ERP_TIMEOUT", "500ms", "BREAKER_OPEN_FOR", "1s",
		"ERP_UNCERTAIN_WAIT", "0", "CONCURRENCY", "4")
	replicas := []*replica{start(t, l.env).awaitReady(), start(t, l.env).awaitReady()}
	l.erp.Faults.Set(fault.Plan{Latency: 30 * ms, Chances: []fault.Chance{
		{OneIn: 10, Fault: fault.Fault{Kind: fault.Fail}},
		{OneIn: 20, Fault: fault.Fault{Kind: fault.Late, After: 1500 * ms}},
	}})

	random := rand.New(rand.NewPCG(seed, 1))
	placed := make([]fakemagento.Placed, 0, orders)
	kills := 0
	kill := time.NewTicker(2 * time.Second)
	defer kill.Stop()
	look := time.NewTicker(50 * ms)
	defer look.Stop()
	limit := time.After(time.Duration(orders)*100*ms + 2*time.Minute)
	for kills < 3 || len(placed) < orders || !l.done(placed) {
		if len(placed) < orders {
			for range 20 {
				o := l.shop.PlaceOrder(fakemagento.Placing{})
				for range 1 + random.IntN(3) {
					topic := []string{"sales.order.placed", "sales.order.updated"}[random.IntN(2)]
					l.Publish(topic, event(o, random.IntN(5)))
				}
				if placed = append(placed, o); len(placed) == orders {
					break
				}
			}
		}
		select {
		case <-kill.C:
			victim := kills % 2
			replicas[victim].kill()
			replicas[victim] = start(t, l.env)
			kills++
		case <-look.C:
		case <-limit:
			t.Fatalf("%d of %d orders are in the ERP, %d are commented, %d messages are left after %d kills",
				l.exported(placed), len(placed), l.commented(placed), l.left(), kills)
		}
	}
	for _, r := range replicas {
		r.awaitReady()
	}
	l.finish(replicas...)
	if !l.done(placed) { // also after what came last
		t.Errorf("%d orders of %d are in the ERP, %d are commented", l.exported(placed), orders, l.commented(placed))
	}
	if got := len(l.erp.Documents()); got != orders {
		t.Errorf("the ERP has %d documents for %d orders", got, orders)
	}
	failed, late := l.erp.Faults.Count(fault.Fail), l.erp.Faults.Count(fault.Late)
	if failed == 0 || late == 0 {
		t.Errorf("the ERP has failed %d calls and answered %d late: nothing was shown", failed, late)
	}
	t.Logf("%d kills; the ERP failed %d calls and answered %d too late", kills, failed, late)
}
