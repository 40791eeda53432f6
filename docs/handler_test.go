package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/mageline/mageline/migrations"
	"github.com/mageline/mageline/test/kit"
)

// The README's handler gives the points once, though the event comes twice.
func TestExampleHandler_GivesPointsOnce(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "handler")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", binary, "./examples/handler")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", build, err, out)
	}
	database := kit.Database(t)
	if _, err := migrations.Up(t.Context(), database); err != nil {
		t.Fatal(err)
	}
	queues := kit.Broker(t)
	queue, letters := queues.Queue("loyalty"), queues.DeadLetters("loyalty")
	queues.Own(queue, letters)
	run := func() *process {
		command := exec.CommandContext(t.Context(), binary)
		command.Env = append(clean(os.Environ()), "MAGELINE_DATABASE_URL="+database, "MAGELINE_AMQP_URL="+queues.URL,
			"MAGELINE_AMQP_EXCHANGE="+queues.Exchange, "MAGELINE_QUEUE_PREFIX="+queues.Prefix)
		return launch(t, command)
	}
	subscribed := func(p *process) {
		t.Helper()
		kit.Eventually(t, patience, func() bool { return len(p.logged("consumer_subscribed")) > 0 }, "the handler is subscribed")
	}
	given := 0
	// stop gives what it was about to do back to the queue.
	stop := func(p *process) {
		t.Helper()
		if code := p.end(os.Interrupt); code != 0 {
			t.Errorf("the handler ended with %d: %v", code, p.logged(""))
		}
		given += len(p.logged("points_given"))
	}

	p := run()
	subscribed(p)
	queues.Publish("sales.order.placed", `{"increment_id":"000000123"}`)
	kit.Eventually(t, patience, func() bool { return len(p.logged("points_given")) > 0 }, "the points are given")
	queues.Publish("sales.order.placed", `{"increment_id":"000000123"}`)
	kit.Eventually(t, patience, func() bool { return queues.Depth(queue) == 0 }, "the handler has taken the second event")
	stop(p)
	for range 5 {
		// Unlike a look at its depth, the queue answers this after it has taken in what was given back to it.
		if _, back := queues.Get(queue); !back {
			break
		}
		queues.Publish("sales.order.placed", `{"increment_id":"000000123"}`)
		p = run()
		kit.Eventually(t, patience, func() bool { return queues.Depth(queue) == 0 }, "the handler has taken the second event")
		stop(p)
	}
	if n := queues.Depth(queue); n != 0 || queues.Depth(letters) != 0 {
		t.Errorf("%d events and %d dead letters are left", n, queues.Depth(letters))
	}
	if given != 1 {
		t.Errorf("points were given %d times", given)
	}
}
