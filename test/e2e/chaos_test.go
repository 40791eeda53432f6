package e2e

import (
	"math/rand/v2"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakeerp"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
	"github.com/mageline/mageline/test/kit/private"
	"github.com/mageline/mageline/test/kit/process"
	"github.com/mageline/mageline/test/kit/replica"
)

// erpChaos fails one call in ten before it does anything, and answers one in twenty when the caller has given up, with
// the work done at once: this ERP books whatever it gets, and looks for no duplicates.
var erpChaos = []fault.Chance{
	{OneIn: 10, Fault: fault.Fault{Kind: fault.Fail}},
	{OneIn: 20, Fault: fault.Fault{Kind: fault.Late, After: 1500 * time.Millisecond}},
}

// Whatever is killed or fails, each order is in the ERP once. These run beside each other and nothing else: kills come by the
// clock, and a message over which a process dies three times is a dead letter.
func TestChaos(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"replicas are killed": chaosOfReplicas, "everything fails": chaosEverywhere, "servers crash": chaosOfServers,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

// chaosOfReplicas has two replicas, one of them killed every two seconds, and every event one to three times.
func chaosOfReplicas(t *testing.T) {
	t.Helper()
	e := chaosEnv(t)
	chaosOf(t, e, orders, 3, func(*chaos) {})
	failed, late := e.ERP.Faults.Count(fault.Fail), e.ERP.Faults.Count(fault.Late)
	if failed == 0 || late == 0 {
		t.Errorf("the ERP has failed %d calls and answered %d late: nothing was shown", failed, late)
	}
	t.Logf("the ERP failed %d calls and answered %d too late", failed, late)
}

// chaosEverywhere is the same, with a Magento that fails too and does some things without telling, and with connections to
// RabbitMQ and Postgres that break.
func chaosEverywhere(t *testing.T) {
	t.Helper()
	e := chaosEnv(t)
	broker, database := e.Link("AMQP_URL"), e.Link("DATABASE_URL")
	e.Shop.Faults.Set(fault.Plan{Chances: []fault.Chance{
		{OneIn: 30, Fault: fault.Fault{Kind: fault.Fail}},
		{OneIn: 30, Fault: fault.Fault{Kind: fault.Drop}},
		{OneIn: 100, Fault: fault.Fault{Kind: fault.Garble}},
	}})
	chaosOf(t, e, max(orders/2, 1), 3, func(c *chaos) {
		switch c.kills % 4 {
		case 0:
			broker.Cut()
		case 1:
			database.Cut()
		case 2:
			database.LoseAnswer(nil) // of a commit, with some luck
		}
	})
	if n := e.Shop.Faults.Count(fault.Drop); n == 0 {
		t.Error("Magento has lost no answer: nothing was shown")
	}
}

// chaosOfServers is the same on a RabbitMQ and a Postgres that crash once each, and with a replica that stands still for longer than its
// lease, again and again. What such a one sends when it wakes up only an ERP that honours Idempotency-Key takes for what it
// is. A suspect that meets a kill three times while it is handled alone ends as a dead letter, though it is innocent: with
// 10,000 orders that is rare, but not impossible; the failure then names crash_loop.
func chaosOfServers(t *testing.T) {
	t.Helper()
	broker, database := ownServers(t)
	t.Logf("MAGELINE_E2E_ORDERS=%d MAGELINE_E2E_SEED=%d", orders, seed)
	e := newEnvWith(t, env.Options{
		Queues: kit.BrokerAt(t, broker.URL), Database: kit.DatabaseAt(t, database.URL), ERP: fakeerp.HonoursKeys, Delays: env.ImpatientDelays(),
	}).Impatient()
	freezes := 0
	chaosOf(t, e, orders, 11, func(c *chaos) {
		switch {
		case c.kills == 3:
			c.restart(broker.Kill, broker.Start)
		case c.kills == 6:
			c.restart(database.Crash, database.Start)
		case c.kills%12 == 9 && c.frozen == nil:
			c.freeze(env.LeaseOfTheImpatient + 2*time.Second)
			freezes++
		}
	})
	t.Logf("RabbitMQ and Postgres crashed once each, a replica stood still %d times; the ERP failed %d calls and answered %d too late",
		freezes, e.ERP.Faults.Count(fault.Fail), e.ERP.Faults.Count(fault.Late))
}

// ownServers starts a RabbitMQ and a Postgres that nobody else uses.
func ownServers(t *testing.T) (*private.RabbitMQ, *private.Postgres) {
	t.Helper()
	broker := ownRabbitMQ(t)
	database, err := private.StartPostgres()
	if database != nil {
		t.Cleanup(database.Close)
	}
	if err != nil {
		t.Fatal(err)
	}
	return broker, database
}

func ownRabbitMQ(t *testing.T) *private.RabbitMQ {
	t.Helper()
	private.Require(t)
	broker, err := private.StartRabbitMQ()
	if broker != nil {
		t.Cleanup(broker.Close)
	}
	if err != nil {
		t.Fatal(err)
	}
	return broker
}

func chaosEnv(t *testing.T) *env.Env {
	t.Helper()
	t.Logf("MAGELINE_E2E_ORDERS=%d MAGELINE_E2E_SEED=%d", orders, seed)
	return newEnv(t, env.ImpatientDelays()...).Impatient()
}

// chaos is one under way.
type chaos struct {
	t        *testing.T
	replicas []*replica.Replica
	kills    int

	frozen    *replica.Replica
	thaw      <-chan time.Time
	away      int // servers: while one is, nothing can be published
	restarted chan error
}

// freeze has a replica stand still for a while.
func (c *chaos) freeze(d time.Duration) {
	c.frozen, c.thaw = c.replicas[1-c.kills%2], time.After(d) // not the one that has just started
	c.signal(process.Freeze)
}

func (c *chaos) signal(s os.Signal) {
	c.frozen.Signal(s)
}

// restart has a server crash and start again while replicas go on to be killed.
func (c *chaos) restart(crash func(), start func() error) {
	c.away++
	crash()
	go func() { c.restarted <- start() }()
}

// chaos places n orders and kills, so many times at least, until each is done, and checks that each was done once. also is
// called after each kill.
func chaosOf(t *testing.T, e *env.Env, n, least int, also func(*chaos)) {
	t.Helper()
	const ms = time.Millisecond
	c := &chaos{
		t:         t,
		replicas:  e.Run(2),
		restarted: make(chan error, 2), // RabbitMQ and Postgres; nobody waits for them when the test has failed
	}
	e.ERP.Faults.Set(fault.Plan{Latency: 30 * ms, Chances: erpChaos})
	random := rand.New(rand.NewPCG(seed, 1))
	placed := make([]fakemagento.Placed, 0, n)
	began := time.Now()
	kill := time.NewTicker(2 * time.Second)
	defer kill.Stop()
	look := time.NewTicker(50 * ms)
	defer look.Stop()
	limit := time.After(time.Duration(n)*200*ms + 2*time.Minute)
	for c.kills < least || c.frozen != nil || c.away > 0 || len(placed) < n || e.Done(placed...) < n {
		for range min(20, n-len(placed)) {
			if c.away > 0 {
				break
			}
			o := e.Shop.PlaceOrder(fakemagento.Placing{})
			for range 1 + random.IntN(3) {
				topic := []string{"sales.order.placed", "sales.order.updated"}[random.IntN(2)]
				e.Publish(topic, env.Body(o, random.IntN(5)))
			}
			placed = append(placed, o)
		}
		select {
		case <-kill.C:
			if c.kills >= least && len(placed) == n && time.Since(began) > time.Minute {
				continue // a message over which a process dies three times while it is handled alone is a dead letter, rightly
			}
			victim := c.kills % 2
			if c.replicas[victim] == c.frozen {
				victim = 1 - victim
			}
			c.replicas[victim].Kill()
			c.replicas[victim] = e.Start()
			also(c)
			c.kills++
		case <-c.thaw:
			c.signal(process.Thaw)
			c.frozen, c.thaw = nil, nil
		case err := <-c.restarted:
			if err != nil {
				t.Fatal(err)
			}
			c.away--
		case <-look.C:
		case <-limit:
			t.Fatalf("%d of %d orders are in the ERP, %d are commented, %d messages are left after %d kills",
				e.Exported(placed...), len(placed), e.Commented(placed...), e.Messages(), c.kills)
		}
	}
	took := time.Since(began)
	for _, r := range c.replicas {
		// A circuit that is open with no message left stays so: nobody needs it.
		kit.Eventually(t, env.Patience, func() bool { status, _ := r.Ready(); return status == http.StatusOK }, "the replicas to be ready")
	}
	e.Finish()
	e.CheckDone(placed...)
	if got := len(e.ERP.Documents()); got != n {
		t.Errorf("the ERP has %d documents for %d orders", got, n)
	}
	t.Logf("%d orders and %d kills in %s", n, c.kills, took.Round(time.Second))
}
