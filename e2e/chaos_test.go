package e2e

import (
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/mageline/mageline/testkit"
	"github.com/mageline/mageline/testkit/fakemagento"
	"github.com/mageline/mageline/testkit/fault"
)

// erpChaos fails one call in ten before it does anything, and answers one in twenty when the caller has given up, with
// the work done at once: this ERP books whatever it gets, and looks for no duplicates.
var erpChaos = []fault.Chance{
	{OneIn: 10, Fault: fault.Fault{Kind: fault.Fail}},
	{OneIn: 20, Fault: fault.Fault{Kind: fault.Late, After: 1500 * time.Millisecond}},
}

// Two replicas, one of them killed every two seconds, and every event one to three times: each order is in the ERP once.
func TestChaos(t *testing.T) {
	l := chaosLine(t)
	l.chaos(orders, func(int) {})
	failed, late := l.erp.Faults.Count(fault.Fail), l.erp.Faults.Count(fault.Late)
	if failed == 0 || late == 0 {
		t.Errorf("the ERP has failed %d calls and answered %d late: nothing was shown", failed, late)
	}
	t.Logf("the ERP failed %d calls and answered %d too late", failed, late)
}

// The same, with a Magento that fails too and does some things without telling, and with connections to RabbitMQ and
// Postgres that break.
func TestChaosEverywhere(t *testing.T) {
	l := chaosLine(t)
	broker, brokerURL := testkit.ProxyURL(t, l.URL)
	database, databaseURL := testkit.ProxyURL(t, l.database)
	l.env = l.with("AMQP_URL", brokerURL, "DATABASE_URL", databaseURL)
	l.shop.Faults.Set(fault.Plan{Chances: []fault.Chance{
		{OneIn: 30, Fault: fault.Fault{Kind: fault.Fail}},
		{OneIn: 30, Fault: fault.Fault{Kind: fault.Drop}},
		{OneIn: 100, Fault: fault.Fault{Kind: fault.Garble}},
	}})
	l.chaos(max(orders/2, 1), func(kills int) {
		switch kills % 4 {
		case 0:
			broker.Cut()
		case 1:
			database.Cut()
		case 2:
			database.LoseAnswer(nil) // of a commit, with some luck
		}
	})
	if n := l.shop.Faults.Count(fault.Drop); n == 0 {
		t.Error("Magento has lost no answer: nothing was shown")
	}
}

// chaosLine makes a line on which what goes wrong is tried again soon. An owner that was killed is outlasted by its lease
// of 7 s; an ERP that books at arrival need not be given time to commit.
func chaosLine(t *testing.T) *line {
	t.Helper()
	t.Logf("MAGELINE_E2E_ORDERS=%d MAGELINE_E2E_SEED=%d", orders, seed)
	const ms = time.Millisecond
	l := newLine(t, 300*ms, 600*ms, time.Second, time.Second, time.Second, 2*time.Second, 2*time.Second, 2*time.Second,
		3*time.Second, 3*time.Second, 3*time.Second, 3*time.Second)
	l.env = l.with("HANDLER_TIMEOUT", "2s", "IDEMPOTENCY_LEASE", "7s", "ERP_TIMEOUT", "500ms", "MAGENTO_TIMEOUT", "1s",
		"BREAKER_OPEN_FOR", "1s", "ERP_UNCERTAIN_WAIT", "0", "CONCURRENCY", "4")
	return l
}

// chaos places n orders and kills until each is done, and checks that each was done once. also is called after each kill.
func (l *line) chaos(n int, also func(kills int)) {
	l.t.Helper()
	const ms = time.Millisecond
	replicas := []*replica{start(l.t, l.env).awaitReady(), start(l.t, l.env).awaitReady()}
	l.erp.Faults.Set(fault.Plan{Latency: 30 * ms, Chances: erpChaos})
	random := rand.New(rand.NewPCG(seed, 1))
	placed := make([]fakemagento.Placed, 0, n)
	kills := 0
	kill := time.NewTicker(2 * time.Second)
	defer kill.Stop()
	look := time.NewTicker(50 * ms)
	defer look.Stop()
	limit := time.After(time.Duration(n)*200*ms + 2*time.Minute)
	for kills < 3 || len(placed) < n || !l.done(placed) {
		for range min(20, n-len(placed)) {
			o := l.shop.PlaceOrder(fakemagento.Placing{})
			for range 1 + random.IntN(3) {
				topic := []string{"sales.order.placed", "sales.order.updated"}[random.IntN(2)]
				l.Publish(topic, event(o, random.IntN(5)))
			}
			placed = append(placed, o)
		}
		select {
		case <-kill.C:
			victim := kills % 2
			replicas[victim].kill()
			replicas[victim] = start(l.t, l.env)
			also(kills)
			kills++
		case <-look.C:
		case <-limit:
			l.t.Fatalf("%d of %d orders are in the ERP, %d are commented, %d messages are left after %d kills",
				l.exported(placed), len(placed), l.commented(placed), l.left(), kills)
		}
	}
	for _, r := range replicas {
		// A circuit that is open with no message left stays so: nobody needs it.
		testkit.Eventually(l.t, patience, func() bool { status, _ := r.ready(); return status == http.StatusOK }, "the replicas to be ready")
	}
	l.finish(replicas...)
	if !l.done(placed) { // also after what came last
		l.t.Errorf("%d orders of %d are in the ERP, %d are commented", l.exported(placed), n, l.commented(placed))
	}
	if got := len(l.erp.Documents()); got != n {
		l.t.Errorf("the ERP has %d documents for %d orders", got, n)
	}
	l.t.Logf("%d orders, %d kills", n, kills)
}
