package e2e

import (
	"bytes"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
	"github.com/mageline/mageline/test/kit/replica"
)

// ways are those in which whoever reads the log stops reading.
var ways = []struct {
	name string
	stop func(*replica.Reader)
}{
	{"stalls", (*replica.Reader).Stall},
	{"leaves", (*replica.Reader).Leave},
}

// dropLines places orders until lines of the log are dropped, and some more, which are done all the same. A pipe and the
// sink take some 300 KiB: the lines of some hundred orders.
func dropLines(t *testing.T, e *env.Env, r *replica.Replica) {
	t.Helper()
	kit.Eventually(t, env.Patience, func() bool {
		e.AwaitDone(e.Place(200, fakemagento.Placing{})...)
		return r.Metric("mageline_log_dropped_total") > 0
	}, "lines of the log to be dropped")
	e.AwaitDone(e.Place(20, fakemagento.Placing{})...)
}

// Whoever reads the log stalls, or goes: orders go on, failures too, the lines that nobody reads are counted, and SIGTERM
// drains with 0.
func TestLogReader_StallsOrLeaves(t *testing.T) {
	t.Parallel()
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, 200*time.Millisecond)
			r, reader := program.StartRead(t, e.Vars)
			r.AwaitReady()
			warm(t, e, r)
			way.stop(reader)
			dropLines(t, e, r)
			e.ERP.Faults.Next(fault.Fault{Kind: fault.Fail})
			e.AwaitDone(e.Place(1, fakemagento.Placing{})...)
			if status, _ := r.Ready(); status != 200 {
				t.Errorf("/readyz answers %d", status)
			}
			release := e.Hold()
			o := e.InFlight()
			r.Terminate()
			kit.Eventually(t, env.Patience, func() bool { status, _ := r.Ready(); return status == 503 }, "/readyz to say that it drains")
			release()
			if code := r.Exit(); code != 0 {
				t.Errorf("exit code %d after a drain that finished everything", code)
			}
			if e.Number(o) == "" {
				t.Error("what was in flight was not finished")
			}
			e.Start().AwaitReady()
			e.Finish()
		})
	}
}

// A second signal in the moment in which the last lines wait for a reader changes nothing.
func TestLogReader_SignalAtTheEnd(t *testing.T) {
	t.Parallel()
	e := newEnv(t, 200*time.Millisecond)
	r, reader := program.StartRead(t, e.Vars)
	r.AwaitReady()
	reader.Stall()
	dropLines(t, e, r)
	e.AwaitEmpty()
	r.Terminate()
	kit.Eventually(t, env.Patience, func() bool { status, _ := r.Get("/healthz"); return status == 0 }, "the page for health to end")
	for range 20 {
		r.Signal(syscall.SIGTERM)
		time.Sleep(20 * time.Millisecond) // the moment has no sign of its own
	}
	if code := r.Exit(); code != 0 {
		t.Errorf("exit code %d after a drain that finished everything", code)
	}
	e.Finish()
}

// The watchdog of a handler that hangs ends the process though nobody reads why.
func TestLogReader_HungHandler(t *testing.T) {
	t.Parallel()
	hanging := program.Variant(t, "-tags=e2e")
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, 200*time.Millisecond, time.Second)
			e.Set("HANDLER_TIMEOUT", "1s", "ERP_TIMEOUT", "500ms", "MAGENTO_TIMEOUT", "500ms", "IDEMPOTENCY_LEASE", "12s")
			o := e.Shop.PlaceOrder(fakemagento.Placing{})
			r, reader := hanging.StartRead(t, e.With("E2E_HANG", o.IncrementID))
			r.AwaitReady()
			way.stop(reader)
			dropLines(t, e, r)
			e.Publish("sales.order.placed", env.Body(o, 0))
			if code := r.Exit(); code != 1 {
				t.Errorf("it ended with %d, want 1", code)
			}
			kit.Eventually(t, env.Patience, func() bool { return e.Depth(e.Queue("order_placed")) == 1 }, "its message to be there again")
		})
	}
}

// closed is a pipe whose reader has left.
func closed(t *testing.T) *os.File {
	t.Helper()
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = out.Close() })
	return out
}

// full is a pipe that nobody reads and that takes nothing more.
func full(t *testing.T) *os.File {
	t.Helper()
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = out.Close() })
	if err := out.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = out.Write(make([]byte, 4096))
	}
	return out
}

// A replay says on stderr why a letter stays. Nobody reading that keeps it from no other letter.
func TestReplay_NobodyReadsStderr(t *testing.T) {
	t.Parallel()
	for name, stderr := range map[string]func(*testing.T) *os.File{"gone": closed, "stalled": full} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, 200*time.Millisecond)
			e.MustCall("topology")
			const letters = 20
			for i := range letters {
				p := kit.Publishing([]byte(`{"increment_id":"1"}`))
				if i%2 == 0 { // the others do not tell where they were consumed: each of them is named on stderr
					p.Headers = amqp.Table{"x-mageline-queue": e.Queue("order_placed"), "x-mageline-topic": "sales.order.placed"}
				}
				e.Send(e.DeadLetters("order_placed"), p)
			}
			command, log := program.Command(t, e.Vars, "--replay-dlq", e.DeadLetters("order_placed"))
			defer func() { _ = log.Close() }()
			var out bytes.Buffer
			command.Stdout, command.Stderr = &out, stderr(t)
			_ = command.Run() // the exit code tells
			if code := command.ProcessState.ExitCode(); code != 3 || !strings.HasSuffix(out.String(), "replayed 10, skipped 0, failed 10\n") {
				t.Errorf("%v; it ends with %d: %q", command.ProcessState, code, out.String())
			}
			if n := e.Depth(e.Queue("order_placed")); n != letters/2 {
				t.Errorf("%d letters are back in their queue, want %d", n, letters/2)
			}
		})
	}
}

// Whoever reads a command's results leaves, as `| head` does: the command ends by SIGPIPE, and says nothing.
func TestCommand_StdoutReaderLeaves(t *testing.T) {
	t.Parallel()
	command, log := program.Command(t, map[string]string{}, "config", "--help")
	defer func() { _ = log.Close() }()
	var said bytes.Buffer
	command.Stdout, command.Stderr = closed(t), &said
	err := command.Run()
	if status, ok := command.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGPIPE {
		t.Errorf("it ends with %v (%v), want SIGPIPE", command.ProcessState, err)
	}
	if said.Len() > 0 {
		t.Errorf("stderr: %q", said.String())
	}
}
