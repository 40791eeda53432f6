package consumer_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/rs/zerolog"

	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/migrations"
	"github.com/mageline/mageline/rabbitmq"
	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/process"
)

const (
	// killer is the number of the message that ends whatever process handles it.
	killer = 666
	// gone is after which time without a sign of life a process of these tests counts as dead.
	gone = time.Second
)

// childVariables hand a child what it needs; the first says that the process is one.
var childVariables = []string{"CRASH_TEST_DATABASE", "CHILD_BROKER", "CHILD_EXCHANGE", "CHILD_PREFIX", "CHILD_FILE"}

// consumeAsChild consumes until SIGTERM, or until the killer comes. What it has done it writes to a file.
func consumeAsChild() int {
	get := func(i int) string { return os.Getenv(childVariables[i]) }
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	file, err := os.OpenFile(get(4), os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		panic(err)
	}
	pool, err := pgxpool.New(ctx, get(0))
	if err != nil {
		panic(err)
	}
	ledger := idempotency.Open(ctx, idempotency.Options{Pool: pool, Process: strconv.Itoa(os.Getpid()), Gone: gone})
	go func() {
		for range time.Tick(gone / 6) {
			_ = ledger.Live(ctx) // the next one may pass
		}
	}()
	handle := func(_ context.Context, e event.Event) (event.Outcome, error) {
		if number(e) == killer {
			os.Exit(7)
		}
		_, err := fmt.Fprintln(file, number(e))
		return event.Done, err
	}
	o := consumer.Options{
		Broker: rabbitmq.Options{URL: get(1)}, Exchange: get(2), Prefix: get(3),
		Consumers: []consumer.Consumer{{Name: orders, Topics: []string{placed}, Handler: consumer.HandlerFunc(handle)}},
		Database:  ledger.Live, Suspects: ledger, Limits: consumer.Limits{Prefetch: 32, Concurrency: 8},
		RetryDelays: []time.Duration{300 * time.Millisecond}, Log: zerolog.New(os.Stderr),
	}
	inBatches(&o)
	r, err := consumer.New(o)
	if err == nil {
		err = r.Run(ctx)
	}
	if err != nil {
		panic(err)
	}
	return 0
}

// A message that kills the process among a thousand good ones is dead-lettered, alone, after three deaths that are its own
// doing; the others are done.
func TestCrashLoop_DeadLettersTheMessageAlone(t *testing.T) {
	t.Parallel()
	queues := kit.Broker(t)
	queues.RetryDelays(300 * time.Millisecond)
	database := kit.Database(t)
	if _, err := migrations.Up(t.Context(), database); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "done")
	start := func() *exec.Cmd {
		child := exec.CommandContext(t.Context(), os.Args[0]) //nolint:gosec // this very test
		for i, value := range []string{database, queues.URL, queues.Exchange, queues.Prefix, file} {
			child.Env = append(child.Env, childVariables[i]+"="+value)
		}
		process.DieWithParent(child)
		child.Stderr = t.Output()
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		return child
	}

	const good = 1000
	topology := rabbitmq.Topology{
		Exchange: queues.Exchange, Prefix: queues.Prefix, Delays: []time.Duration{300 * time.Millisecond},
		Consumers: []rabbitmq.ConsumerQueue{{Consumer: orders, Topics: []string{placed}}},
	}
	conn, err := rabbitmq.Dial(t.Context(), rabbitmq.Options{URL: queues.URL}, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer rabbitmq.Close(conn)
	if _, err := topology.Declare(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	publisher, err := rabbitmq.NewPublisher(conn)
	if err != nil {
		t.Fatal(err)
	}
	defer publisher.Close()
	for n := 1; n <= good+1; n++ {
		body := numbered(n)
		if n == good/2 {
			body = numbered(killer)
		}
		if n == killer {
			body = numbered(good + 2)
		}
		if err := publisher.Publish(t.Context(), queues.Exchange, placed, amqp.Publishing{Body: []byte(body)}); err != nil {
			t.Fatal(err)
		}
	}

	// The supervisor: what ends is started again.
	deaths := 0
	child := start()
	ended := make(chan error, 1)
	wait := func(c *exec.Cmd) { ended <- c.Wait() }
	go wait(child)
	deadline := time.After(2 * time.Minute)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for done := false; !done; {
		select {
		case err := <-ended:
			if code := child.ProcessState.ExitCode(); code != 7 {
				t.Fatalf("a child ended by itself with %d: %v", code, err)
			}
			deaths++
			child = start()
			go wait(child)
		case <-tick.C:
			done = queues.Depth(queues.Queue(orders)+".dlq") == 1 && len(numbersIn(t, file)) == good
		case <-deadline:
			t.Fatalf("after %d deaths %d messages are done, %d dead", deaths, len(numbersIn(t, file)), queues.Depth(queues.Queue(orders)+".dlq"))
		}
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("a child that was killed ended in order")
	}
	// Once at the first delivery, once as one of those that were delivered again, three times alone.
	if deaths != 5 {
		t.Errorf("%d processes have died, want 5", deaths)
	}
	letter, ok := queues.Get(queues.Queue(orders) + ".dlq")
	if !ok || string(letter.Body) != numbered(killer) || rabbitmq.Text(letter.Headers, rabbitmq.HeaderReason) != "crash_loop" ||
		rabbitmq.Text(letter.Headers, rabbitmq.HeaderErrorClass) != string(event.Internal) ||
		rabbitmq.Int(letter.Headers, rabbitmq.HeaderAttempts) != 1 || letter.Headers[rabbitmq.HeaderSuspect] != nil {
		t.Errorf("the dead letter is %s with %v", letter.Body, letter.Headers)
	}
}

// numbersIn returns the distinct numbers of a file.
func numbersIn(t *testing.T, file string) map[string]bool {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for _, line := range strings.Fields(string(b)) {
		all[line] = true
	}
	return all
}
