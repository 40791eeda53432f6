package consumer_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/rs/zerolog"

	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/rabbitmq"
	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/process"
)

const (
	largeVariable = "LARGE_TEST_CHILD"
	largeBody     = 15 << 20
	memoryLimit   = 128 << 20
	// memoryBeside is what a process may need beside the bodies.
	memoryBeside = 64 << 20
)

var largeQueues = []string{"one", "two", "three"}

func largeConsumers(h consumer.HandlerFunc) (all []consumer.Consumer) {
	for _, name := range largeQueues {
		all = append(all, consumer.Consumer{Name: name, Topics: []string{"large." + name}, Handler: h})
	}
	return all
}

// consumeLarge is a child that consumes until SIGTERM. Of every four messages one is poison and one is tried twice.
func consumeLarge() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	file, err := os.OpenFile(os.Getenv(childVariables[4]), os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		panic(err)
	}
	debug.SetMemoryLimit(memoryLimit) // as cmd/mageline does
	handle := func(_ context.Context, e event.Event) (event.Outcome, error) {
		head, _, _ := bytes.Cut(e.Body, []byte(","))
		n, err := strconv.Atoi(strings.TrimPrefix(string(head), `{"n":`))
		switch {
		case err != nil:
			return "", event.Errorf(event.Internal, "a bug of the test: %w", err)
		case n%4 == 1:
			return "", event.Errorf(event.Invalid, "no")
		case n%4 == 2 && e.Attempt == 1:
			return "", event.Errorf(event.NotFound, "not yet")
		}
		_, err = fmt.Fprintln(file, n)
		return event.Done, err
	}
	r, err := consumer.New(consumer.Options{
		Broker: rabbitmq.Options{URL: os.Getenv(childVariables[1])}, Exchange: os.Getenv(childVariables[2]),
		Prefix: os.Getenv(childVariables[3]), Consumers: largeConsumers(handle), MemoryLimit: memoryLimit,
		RetryDelays: []time.Duration{200 * time.Millisecond}, Log: zerolog.New(os.Stderr).Level(zerolog.ErrorLevel),
	})
	if err == nil {
		err = r.Run(ctx)
	}
	if err != nil {
		panic(err)
	}
	return 0
}

// Large bodies in several queues are all done or dead-lettered, and the process stays within MEMORY_LIMIT and 64 MiB.
func TestLargeBodies_StayWithinTheMemoryLimit(t *testing.T) {
	queues := kit.Broker(t)
	queues.RetryDelays(200 * time.Millisecond)
	for _, name := range largeQueues {
		queues.Own(queues.Queue(name), queues.DeadLetters(name))
	}
	messages := 16
	if n, err := strconv.Atoi(os.Getenv("MAGELINE_LARGE_BODIES")); err == nil {
		messages = n
	}
	o := consumer.Options{
		Exchange: queues.Exchange, Prefix: queues.Prefix, Consumers: largeConsumers(nil),
		RetryDelays: []time.Duration{200 * time.Millisecond},
	}
	topology := o.Topology()
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
	for n := range messages {
		body := padded(n, largeBody)
		if n%2 == 1 { // wrapped in text, as a topic of type string is
			body = strconv.Quote(body)
		}
		p := amqp.Publishing{Body: []byte(body), DeliveryMode: amqp.Persistent}
		if err := publisher.Publish(t.Context(), queues.Exchange, "large."+largeQueues[n%3], p); err != nil {
			t.Fatal(err)
		}
	}

	// The child is this very test, without the race detector, which multiplies the memory of a process.
	program := filepath.Join(t.TempDir(), "child")
	if out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-race=false", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("build the child: %v\n%s", err, out)
	}
	child := exec.CommandContext(t.Context(), program)
	child.Env = []string{largeVariable + "=1"}
	file := filepath.Join(t.TempDir(), "done")
	for i, value := range []string{queues.URL, queues.Exchange, queues.Prefix, file} {
		child.Env = append(child.Env, childVariables[i+1]+"="+value)
	}
	process.DieWithParent(child)
	child.Stderr = t.Output()
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, 5*time.Minute, func() bool {
		dead := 0
		for _, name := range largeQueues {
			dead += queues.Depth(queues.DeadLetters(name))
		}
		return dead == messages/4 && len(numbersIn(t, file)) == messages-messages/4
	}, "the poison is dead-lettered and the others are done")
	peak := kit.PeakMemory(t, child.Process.Pid)
	if err := child.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, name := range append([]string{"retry.200"}, largeQueues...) { // what was not settled would be back
		if n := queues.Depth(queues.Prefix + "." + name); n != 0 {
			t.Errorf("%d messages are left in %s", n, name)
		}
	}
	t.Logf("%d bodies of %d MiB: peak memory %d MiB, MEMORY_LIMIT %d MiB", messages, largeBody>>20, peak>>20, memoryLimit>>20)
	if peak > memoryLimit+memoryBeside {
		t.Errorf("peak memory %d MiB, want at most %d", peak>>20, (memoryLimit+memoryBeside)>>20)
	}
}
