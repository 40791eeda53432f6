package deadletter

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/mageline/mageline/rabbitmq"
	"github.com/mageline/mageline/test/kit"
)

// killing is what a process is told that takes letters until it kills itself.
type killing struct {
	AMQP, Database, Prefix, DLQ string
	Work                        string
	Step                        string // at which it kills itself,
	At                          int    // the how manieth time
	Out                         string // a discard's file; empty for a replay
}

const killingEnv = "MAGELINE_TEST_KILLING"

// TestKilling_AsChild is the process: it does nothing in a run of all tests but see that nobody has asked it to.
func TestKilling_AsChild(t *testing.T) {
	var k killing
	given := os.Getenv(killingEnv)
	if given == "" {
		given = "{}"
	}
	if err := json.Unmarshal([]byte(given), &k); err != nil {
		t.Fatal(err)
	}
	if k.DLQ == "" {
		return
	}
	o := Options{
		Broker: rabbitmq.Options{URL: k.AMQP}, DatabaseURL: k.Database, Prefix: k.Prefix, Host: "killed",
		Topics: map[string]string{k.Work: topic}, Log: zerolog.Nop(),
	}
	o.step = func(step string) {
		if step != k.Step {
			return
		}
		if k.At--; k.At == 0 {
			if self, err := os.FindProcess(os.Getpid()); err == nil {
				_ = self.Kill()
			}
			select {} // until it is dead
		}
	}
	t.Fatalf("it was not killed: %v", takeTimeouts(t, o, k.DLQ, k.Out))
}

// takeTimeouts replays the letters that timed out, or discards them to a file.
func takeTimeouts(t *testing.T, o Options, dlq, out string) (err error) {
	t.Helper()
	filter := Filter{Class: "timeout"}
	kit.Eventually(t, time.Minute, func() bool { // Postgres takes a moment to notice the end of one that was killed
		if out == "" {
			_, err = New(o).Replay(t.Context(), ReplayOptions{Queue: dlq, Filter: filter})
		} else {
			var f *DiscardFile
			if f, err = OpenDiscardFile(out); err != nil {
				return true
			}
			_, err = New(o).Discard(t.Context(), DiscardOptions{Queue: dlq, Filter: filter, Out: f})
			err = errors.Join(err, f.Close())
		}
		var locked *LockedError
		return !errors.As(err, &locked)
	}, "the lock of the one that was killed")
	return err
}

// killed runs the process until it has killed itself, and waits until the broker has back what it held.
func (l *testQueue) killed(n int, k killing) {
	l.t.Helper()
	k.AMQP, k.Database, k.Prefix, k.DLQ, k.Work = l.o.Broker.URL, l.o.DatabaseURL, l.Prefix, l.dlq, l.work
	given, err := json.Marshal(k)
	if err != nil {
		l.t.Fatal(err)
	}
	cmd := exec.CommandContext(l.t.Context(), os.Args[0], "-test.run=^TestKilling_AsChild$")
	cmd.Env = append(os.Environ(), killingEnv+"="+string(given))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		l.t.Fatalf("it was not killed: %v\n%s", err, out)
	}
	conn, err := rabbitmq.Dial(l.t.Context(), l.o.Broker, l.t.Name())
	if err != nil {
		l.t.Fatal(err)
	}
	defer rabbitmq.Close(conn)
	before := -1
	kit.Eventually(l.t, time.Minute, func() bool { // the depth rests when all is back
		depth := l.Depth(l.dlq)
		same := depth == before && depth >= n-k.At // no more than At were acknowledged
		before = depth
		if !same {
			time.Sleep(300 * time.Millisecond) // the state that is awaited is that nothing changes
		}
		return same
	}, "the letters of the one that was killed")
}

// Killed at whichever step between publish and acknowledgement, and called again, a replay has moved exactly the letters
// that match, and the others are in their order; a discard has them in its file.
func TestReplay_LosesNothingWhenKilledAtEachStep(t *testing.T) {
	const n = 200
	for _, command := range []string{"replay", "discard"} {
		for _, step := range []string{"begun", "through", "left"} {
			for _, at := range []int{1, 60} {
				t.Run(fmt.Sprintf("%s, %s %d", command, step, at), func(t *testing.T) {
					t.Parallel()
					l := newTestQueue(t)
					l.fill(n, oddTimeout)
					k := killing{Step: step, At: at}
					if command == "discard" {
						k.Out = filepath.Join(t.TempDir(), "letters.jsonl")
					}
					l.killed(n, k)
					if err := takeTimeouts(t, l.o, l.dlq, k.Out); err != nil {
						t.Fatal(err)
					}
					if k.Out != "" {
						lines, err := os.ReadFile(k.Out)
						if err != nil {
							t.Fatal(err)
						}
						l.restore(string(lines), "", n/2, strings.Count(string(lines), "\n")-n/2)
					}
					l.checkMoved(n)
				})
			}
		}
	}
}

// checkMoved checks that of the letters 0 to n-1 the odd ones are in the work queue, and the even ones left in order.
func (l *testQueue) checkMoved(n int) {
	l.t.Helper()
	rest := wanted(n, func(i int) bool { return i%2 == 0 })
	l.awaitDepth(l.dlq, len(rest))
	if got := ids(l.drain(l.dlq, len(rest))); !slices.Equal(got, rest) {
		l.t.Error("the rest is not what it should be, in its order")
	}
	got := ids(l.drain(l.work, n/2))
	slices.Sort(got)
	double := len(got)
	got = slices.Compact(got)
	double -= len(got)
	moved := wanted(n, func(i int) bool { return i%2 == 1 })
	slices.Sort(moved)
	if !slices.Equal(got, moved) {
		l.t.Errorf("%d letters were moved, want the %d that match", len(got), len(moved))
	}
	l.t.Logf("%d were published twice", double)
}

// A great many letters: `make chaos` has 100,000.
func TestReplay_LosesNothingOfManyWhenKilled(t *testing.T) {
	t.Parallel()
	n := 2000
	if text := os.Getenv("MAGELINE_TEST_LETTERS"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 100 || n%2 != 0 || n > 120_000 {
			t.Fatalf("MAGELINE_TEST_LETTERS is %q: want an even number from 100 to 120000", text)
		}
	}
	l := newTestQueue(t)
	l.fill(n, oddTimeout)
	l.killed(n, killing{Step: "through", At: n / 8})
	began := time.Now()
	if err := takeTimeouts(t, l.o, l.dlq, ""); err != nil {
		t.Fatal(err)
	}
	t.Logf("the second replay went through %d letters in %s", n-n/8, time.Since(began).Round(time.Millisecond))
	l.checkMoved(n)
}
