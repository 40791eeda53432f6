package e2e

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/replica"
)

// The ERP is away with 1,000 messages waiting: nobody is dead-lettered, hardly anybody uses up an attempt, and all is done
// when it is back.
func TestERPAway_UsesNoAttempts(t *testing.T) {
	t.Parallel()
	const breaker = 5
	e := newEnv(t, 200*time.Millisecond, time.Second)
	erp := e.Link("ERP_URL")
	e.Set("BREAKER_FAILURES", fmt.Sprint(breaker), "BREAKER_OPEN_FOR", "1s")
	r := e.Start().AwaitReady()

	// One order, so that there is a connection to cut.
	placed := e.Place(1, fakemagento.Placing{})
	e.AwaitDone(placed...)
	erp.Refuse()
	placed = append(placed, e.Place(1000, fakemagento.Placing{})...)
	kit.Eventually(t, env.Patience, func() bool {
		return r.Metric("mageline_circuit_breaker_state", `downstream="erp"`) > 0
	}, "the ERP's circuit to open")
	calls := func() float64 { return r.Metric("mageline_downstream_requests_total", `downstream="erp"`) }
	opened := calls()
	kit.Eventually(t, env.Patience+time.Duration(probes)*10*time.Second, func() bool { return calls() >= opened+float64(probes) },
		fmt.Sprintf("%d probes to fail", probes))
	r.AwaitSaying("the consumer is paused, and why", func(status int, d replica.Readiness) bool {
		c := d.Consumers["order_placed"]
		return status == http.StatusOK && c.State == "paused" && c.Reason != ""
	})
	erp.Accept()
	back := time.Now()
	e.AwaitDoneWithin(2*env.Patience, placed...) // a thousand, and a machine that may be busy
	t.Logf("1000 orders done %s after the ERP's return", time.Since(back).Round(time.Millisecond))
	if n := r.Metric("mageline_deliveries_total", `outcome="retried"`); n > breaker-1 {
		t.Errorf("%v attempts were used up, at most %d may be", n, breaker-1)
	}
	e.Finish()
}

// Connections to RabbitMQ and to Postgres are cut while orders flow, each in turn, and once both are away for a while.
func TestConnections_CutWhileOrdersFlow(t *testing.T) {
	t.Parallel()
	const n = 150
	e := newEnv(t, 200*time.Millisecond, 500*time.Millisecond, time.Second, 2*time.Second, 3*time.Second)
	broker, database := e.Link("AMQP_URL"), e.Link("DATABASE_URL")
	e.Set("HANDLER_TIMEOUT", "3s", "IDEMPOTENCY_LEASE", "8s",
		"ERP_TIMEOUT", "1s", "CONCURRENCY", "4")
	replicas := e.Run(2)
	placed := e.Place(n, fakemagento.Placing{})
	both := func(a, b func()) func() { return func() { a(); b() } }
	cuts := []func(){
		broker.Cut, database.Cut, both(broker.Cut, database.Cut), database.Cut, broker.Cut, both(database.Refuse, broker.Refuse),
	}
	for i, cut := range cuts {
		kit.Eventually(t, env.Patience, func() bool { return e.Exported(placed...) >= (i+1)*n/10 }, "some more orders in the ERP")
		cut()
	}
	for _, r := range replicas {
		kit.Eventually(t, env.Patience, func() bool {
			status, document := r.Ready()
			return status == 503 && document.RabbitMQ.State == "away" && document.RabbitMQ.Reason != "" &&
				document.Postgres.State == "away" && document.Postgres.Reason != ""
		}, "/readyz to say that RabbitMQ and Postgres are away")
	}
	database.Accept()
	broker.Accept()
	e.AwaitDone(placed...)
	for _, r := range replicas {
		r.AwaitReady()
	}
	e.Finish()
	e.CheckDone(placed...)
}
