package e2e

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

// receiver takes what mageline publishes for the parcels of tracking files, as tracking_received would.
type receiver struct {
	mu    sync.Mutex
	times map[string]int // by tracking number
	wrong []string
}

// receiveTracking binds a queue to the topic, and counts what arrives in it.
func receiveTracking(t *testing.T, e *env.Env) *receiver {
	t.Helper()
	conn, err := amqp.Dial(e.URL)
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{times: map[string]int{}}
	queue := e.Queue("tracking_received")
	ch, err := conn.Channel()
	if err == nil {
		err = kit.DeclareExchange(ch, e.Exchange)
	}
	if err == nil {
		_, err = ch.QueueDeclare(queue, true, false, false, false, amqp.Table{"x-queue-type": "quorum"})
	}
	if err == nil {
		err = ch.QueueBind(queue, "shipping.tracking.received", e.Exchange, false, nil)
	}
	var deliveries <-chan amqp.Delivery
	if err == nil {
		deliveries, err = ch.Consume(queue, "", true, false, false, false, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	var ended sync.WaitGroup
	ended.Go(func() {
		for d := range deliveries {
			r.take(d.Body)
		}
	})
	t.Cleanup(func() { _ = conn.Close(); ended.Wait() })
	return r
}

func (r *receiver) take(body []byte) {
	var p struct {
		OrderNumber    string `json:"order_number"`
		TrackingNumber string `json:"tracking_number"`
	}
	err := json.Unmarshal(body, &p)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil || p.OrderNumber == "" || p.TrackingNumber == "" {
		r.wrong = append(r.wrong, string(body))
	}
	r.times[p.TrackingNumber]++
}

// arrived counts the parcels that have arrived, however often.
func (r *receiver) arrived() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.times)
}

// A replica is killed in the middle of a file. Another one goes on behind the last block that was recorded: no row is lost,
// what was recorded is not sent again, and the file is processed.
func TestTrackingFile_ReplicaKilledInTheMiddle(t *testing.T) {
	t.Parallel()
	const rows = 20_000
	e := newEnv(t, time.Second)
	r := receiveTracking(t, e)
	dir := t.TempDir()
	e.Set("CONSUMERS", "tracking_file_ready", "TRACKING_DIR", dir, "HANDLER_TIMEOUT", "5s", "IDEMPOTENCY_LEASE", "10s")
	first := e.Start().AwaitReady()

	var content strings.Builder
	content.WriteString("order_number;tracking_number;carrier_code\n")
	for i := range rows {
		fmt.Fprintf(&content, "%09d;T%d;dhl\n", i, i+1)
	}
	const name = "20261123 – Sendungen.csv"
	if err := os.WriteFile(filepath.Join(dir, "upload"), []byte(content.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "upload"), filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, env.Patience, func() bool { return r.arrived() > 1000 }, "the file to be under way")
	first.Kill()
	before := r.arrived()
	if before >= rows {
		t.Fatal("the whole file was out before the replica was killed")
	}
	if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
		t.Errorf("the file is not in the inbox any more: %v", err)
	}

	second := e.Start().AwaitReady()
	kit.Eventually(t, 2*env.Patience, func() bool {
		_, err := os.Stat(filepath.Join(dir, "processed", name))
		return err == nil
	}, "the file to be processed")
	kit.Eventually(t, env.Patience, func() bool { return r.arrived() == rows }, "every row to arrive")
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.wrong) > 0 {
		t.Errorf("events without an order or a number: %.500q", r.wrong)
	}
	twice := 0
	for number, times := range r.times {
		if times > 2 {
			t.Errorf("parcel %s has arrived %d times", number, times)
		}
		if times == 2 {
			twice++
		}
	}
	if twice > 500 {
		t.Errorf("%d parcels have arrived twice: more than the block that was under way", twice)
	}
	if sent := second.Metric("mageline_tracking_rows_total", `outcome="sent"`); sent == 0 || sent >= rows {
		t.Errorf("the second replica has sent %v rows; %d had arrived before", sent, before)
	}
	e.AwaitEmpty() // the second replica has told of the file too
	second.Terminate()
	if code := second.Exit(); code != 0 {
		t.Errorf("exit code %d; see %s", code, second.Log)
	}
	for _, queue := range []string{e.Queue("tracking_file_ready"), e.DeadLetters("tracking_file_ready"), e.RetryQueue(time.Second)} {
		if n := e.Depth(queue); n > 0 {
			t.Errorf("%d messages are in %s", n, queue)
		}
	}
}

// Who may not publish to Magento's exchange can't send what is in tracking files: that is said, check finds it, everything
// else goes on, and so does the file once the right is there.
func TestTrackingFile_WithoutRightToPublish(t *testing.T) {
	t.Parallel()
	p := privateServices(t)
	e := newEnvWith(t, env.Options{Queues: kit.BrokerAt(t, p.amqp), Delays: []time.Duration{time.Second, 2 * time.Second}})
	user := "no-writer-" + e.Prefix
	p.ctl(t, "add_user", user, env.BrokerPassword)
	t.Cleanup(func() { p.ctl(t, "delete_user", user) })
	p.ctl(t, "set_permissions", user, ".*", `^(?!`+e.Exchange+`$)`, ".*")
	broker, err := url.Parse(e.URL)
	if err != nil {
		t.Fatal(err)
	}
	broker.User = url.UserPassword(user, env.BrokerPassword)
	dir := t.TempDir()
	e.Set("AMQP_URL", broker.String(), "TRACKING_DIR", dir, "BREAKER_OPEN_FOR", "5s")
	if out, code := e.Call("check"); code != 1 || !failLine(out, []string{"permission to publish", e.Exchange}) {
		t.Errorf("check ends with %d and says nothing of the right to publish:\n%s", code, out)
	}
	order := e.Shop.PlaceOrder(fakemagento.Placing{})
	content := "order_number,tracking_number\n" + order.IncrementID + ",T1\n"
	if err := os.WriteFile(filepath.Join(dir, "a.csv"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	r := e.Start()
	r.AwaitEvent("inbox_problem", "error", "a.csv", "error", "set_permissions")
	r.AwaitReady()
	e.AwaitDone(e.Place(20, fakemagento.Placing{})...)
	if n := r.Events("rabbitmq_connected"); n > 3 {
		t.Errorf("it has connected to RabbitMQ %d times", n)
	}
	p.ctl(t, "set_permissions", user, ".*", ".*", ".*")
	kit.Eventually(t, 2*env.Patience, func() bool {
		_, err := os.Stat(filepath.Join(dir, "processed", "a.csv"))
		return err == nil && e.Shop.TrackCounts()[order.IncrementID+" T1"] == 1
	}, "the file to be processed, and its number to be in Magento")
}
