package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/private"
	"github.com/mageline/mageline/test/kit/process"
)

// moduleOrders is how many orders are saved beside other tests.
const moduleOrders = 300

// TestModule_OutboxLosesNoOrder has the module's own code, under PHP with a MariaDB, save orders in several processes, each order a
// request of its own, while the broker is stopped, started, killed and started, and while two crons at once send the outbox, some of
// which are killed. Every order that was saved is in the queue at least once, nothing else is, and few customers have waited.
func TestModule_OutboxLosesNoOrder(t *testing.T) {
	t.Parallel()
	requirePHP(t)
	private.Require(t)
	n, err := number("MAGELINE_E2E_MODULE", moduleOrders)
	if err != nil {
		t.Fatal(err)
	}
	broker, err := private.StartRabbitMQ()
	if broker != nil {
		t.Cleanup(broker.Close)
	}
	if err != nil {
		t.Fatal(err)
	}
	const exchange, queue = "magento", "events"
	channel(t, broker.URL, func(ch *amqp.Channel) {
		must(t, ch.ExchangeDeclare(exchange, "topic", true, false, false, false, nil))
		_, err := ch.QueueDeclare(queue, true, false, false, false, nil)
		must(t, err)
		must(t, ch.QueueBind(queue, "sales.order.placed", exchange, false, nil))
	})
	s := &phpShop{directory: t.TempDir(), environ: append(os.Environ(),
		"MAGELINE_TEST_AMQP_URL="+broker.URL, "MAGELINE_TEST_EXCHANGE="+exchange, "MAGELINE_TEST_MARIADB="+mariaDB(t))}
	s.run(t, "depth") // makes the tables

	// What the module costs a save: with the outbox alone, and with the publish, its connection included. A machine that does nothing
	// else keeps the bounds; beside other tests the times say nothing, and are only printed.
	alone := n > moduleOrders
	if took := s.cost(t, n/6, "0"); alone && took > 2*time.Millisecond {
		t.Errorf("with the outbox alone the module takes %v of a save (median)", took)
	}
	if took := s.cost(t, n/6, "1"); alone && took > 5*time.Millisecond {
		t.Errorf("with the publish the module takes %v of a save (median)", took)
	}
	before := s.count()

	const processes = 3
	var placing sync.WaitGroup
	for range processes {
		placing.Go(func() { s.place(t, n/processes, "1") })
	}
	done := make(chan struct{})
	var crons sync.WaitGroup
	for i := range 2 {
		crons.Go(func() { s.crons(done, i == 0) })
	}
	await := func(share int) {
		kit.Eventually(t, 20*env.Patience, func() bool { return s.count() >= before+n*share/6 }, fmt.Sprintf("%d sixths of the orders to be saved", share))
	}
	await(1)
	broker.Stop()
	await(2)
	must(t, broker.Start())
	await(3)
	broker.Kill()
	placing.Wait()
	must(t, broker.Start())
	killed := s.killed.Load()
	kit.Eventually(t, 20*env.Patience, func() bool { return s.killed.Load() >= killed+2 }, "two more crons to be killed")
	close(done)
	crons.Wait()

	// What the killed crons had leased is free after two minutes: here at once.
	s.run(t, "expire")
	kit.Eventually(t, 20*env.Patience, func() bool {
		s.run(t, "send")
		return strings.TrimSpace(s.run(t, "depth")) == "0"
	}, "the outbox to be sent")

	seen := map[string]int{}
	channel(t, broker.URL, func(ch *amqp.Channel) {
		for {
			d, ok, err := ch.Get(queue, true)
			must(t, err)
			if !ok {
				return
			}
			var body struct {
				IncrementID string `json:"increment_id"`
			}
			must(t, json.Unmarshal(d.Body, &body))
			seen[body.IncrementID]++
		}
	})
	s.judge(t, before+n/processes*processes, seen)
}

// phpShop is the module under PHP, with a database of its own.
type phpShop struct {
	directory string
	environ   []string

	mu     sync.Mutex
	saved  map[string]time.Duration // by number, the time of the save
	module []time.Duration          // of each, what of it the module took
	waited atomic.Int32             // saves in which the broker was found to be away
	killed atomic.Int32             // crons
}

func (s *phpShop) command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, "php", append([]string{"../../magento/Test/shop.php", s.directory}, args...)...)
	c.Env = s.environ
	return c
}

func (s *phpShop) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := s.command(t.Context(), args...).Output()
	if err != nil {
		t.Fatalf("shop.php %v: %v", args, err)
	}
	return string(out)
}

// cost places orders and returns the median of what the module takes of a save.
func (s *phpShop) cost(t *testing.T, n int, atOnce string) time.Duration {
	t.Helper()
	s.module = nil
	s.place(t, n, atOnce)
	slices.Sort(s.module)
	if len(s.module) == 0 {
		t.Fatal("no order was placed")
	}
	t.Logf("published at once: %s: the module takes %v (median) of %d saves, %v at least", atOnce, s.module[len(s.module)/2], len(s.module), s.module[0])
	took := s.module[len(s.module)/2]
	s.module = nil
	return took
}

// place saves orders, and notes each one once PHP has said that it is committed.
func (s *phpShop) place(t *testing.T, n int, atOnce string) {
	c := s.command(t.Context(), "place", fmt.Sprint(n))
	c.Env = append(slices.Clone(c.Env), "MAGELINE_TEST_AT_ONCE="+atOnce)
	var log strings.Builder
	c.Stderr = &log
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Error(err)
		return
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var number string
		var save, module float64
		if _, err := fmt.Sscan(lines.Text(), &number, &save, &module); err != nil {
			t.Errorf("shop.php prints %q: %v", lines.Text(), err)
			continue
		}
		s.mu.Lock()
		if s.saved == nil {
			s.saved = map[string]time.Duration{}
		}
		s.saved[number] = time.Duration(save * float64(time.Millisecond))
		s.module = append(s.module, time.Duration(module*float64(time.Millisecond)))
		s.mu.Unlock()
	}
	if err := c.Wait(); err != nil {
		t.Errorf("shop.php place: %v\n%s", err, log.String())
	}
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, "wait in the outbox") {
			s.waited.Add(1)
		} else {
			t.Errorf("the module logs %s", line)
		}
	}
}

func (s *phpShop) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.saved)
}

// crons sends the outbox again and again. One of two that run at once is killed each third time, wherever it is.
func (s *phpShop) crons(done <-chan struct{}, kill bool) {
	for i := 0; ; i++ {
		select {
		case <-done:
			return
		case <-time.After(300 * time.Millisecond):
		}
		c := s.command(context.Background(), "send")
		process.Group(c)
		if c.Start() != nil {
			continue
		}
		if kill && i%3 == 0 {
			time.Sleep(150 * time.Millisecond) // any moment will do
			process.SignalGroup(c, syscall.SIGKILL)
			s.killed.Add(1)
		}
		_ = c.Wait() // one fails while the broker is away
	}
}

func (s *phpShop) judge(t *testing.T, n int, seen map[string]int) {
	t.Helper()
	doubles := 0
	for number := range s.saved {
		if seen[number] == 0 {
			t.Errorf("order %s is saved, and its event is not in the queue", number)
		}
		doubles += max(0, seen[number]-1)
	}
	for number := range seen {
		if _, is := s.saved[number]; !is {
			t.Errorf("the event of order %s is in the queue, and the order was never saved", number)
		}
	}
	if len(s.saved) != n {
		t.Errorf("%d orders were saved, want %d", len(s.saved), n)
	}
	times := make([]time.Duration, 0, len(s.saved))
	for _, d := range s.saved {
		times = append(times, d)
	}
	slices.Sort(times)
	slices.Sort(s.module)
	at := func(d []time.Duration, share float64) time.Duration {
		return d[int(share*float64(len(d)-1))].Round(100 * time.Microsecond)
	}
	t.Logf("%d orders, %d events twice, %d crons killed, %d customers waited for the broker", n, doubles, s.killed.Load(), s.waited.Load())
	t.Logf("a save takes %v (median), %v (99 %%), %v (longest); the module's part of it %v, %v, %v",
		at(times, 0.5), at(times, 0.99), at(times, 1), at(s.module, 0.5), at(s.module, 0.99), at(s.module, 1))
	// Whoever finds the broker away waits, 200 ms and what the machine adds; for the next 30 s nobody else does, but for
	// those who ask at the same moment.
	if waited := int(s.waited.Load()); waited > 12 {
		t.Errorf("%d customers waited for the broker in two outages", waited)
	}
}

// channel has a channel of a connection of its own.
func channel(t *testing.T, address string, do func(ch *amqp.Channel)) {
	t.Helper()
	conn, err := amqp.Dial(address)
	must(t, err)
	defer func() { _ = conn.Close() }()
	ch, err := conn.Channel()
	must(t, err)
	do(ch)
}

// mariaDB starts a server of the test's own, and returns the path of its socket.
func mariaDB(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("mariadb-install-db"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("MariaDB is needed: scripts/services/install.sh mariadb")
		}
		t.Skip("no MariaDB here: scripts/services/install.sh mariadb")
	}
	folder, err := os.MkdirTemp("", "mageline-mariadb-") // a short name: it is a socket's
	must(t, err)
	const script = "../../scripts/services/private-mariadb.sh"
	t.Cleanup(func() {
		if out, err := exec.CommandContext(context.Background(), script, "stop", folder).CombinedOutput(); err != nil {
			t.Errorf("stop MariaDB: %v: %s", err, out)
		}
		_ = os.RemoveAll(folder)
	})
	out, err := exec.CommandContext(t.Context(), script, "start", folder).Output()
	if err != nil {
		t.Fatalf("start MariaDB: %v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
