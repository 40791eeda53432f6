package replica

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mageline/mageline/test/kit"
)

// Replica is one running mageline.
type Replica struct {
	// Log is the file that has its output.
	Log string

	t       testing.TB
	command *exec.Cmd
	ended   chan struct{}
	killed  atomic.Bool
	told    atomic.Bool
	asked   atomic.Bool
	show    func(t testing.TB, path, page string)
	address string // of health and metrics, once known
}

// Kill ends it as a crash, or the kernel for want of memory, does, and waits until it is gone.
func (r *Replica) Kill() {
	r.Strike()
	<-r.ended
}

// Strike does the same and does not wait.
func (r *Replica) Strike() {
	r.killed.Store(true)
	_ = r.command.Process.Kill() // it may be gone
}

// Killed reports whether it was.
func (r *Replica) Killed() bool { return r.killed.Load() }

// Terminate tells it to end in order.
func (r *Replica) Terminate() {
	r.told.Store(true)
	r.Signal(syscall.SIGTERM)
}

// Told reports whether it was told to end in order: a second signal would end it at once.
func (r *Replica) Told() bool { return r.told.Load() }

// Signal sends it any signal.
func (r *Replica) Signal(s os.Signal) { _ = r.command.Process.Signal(s) } // it may be gone

// PID is its number.
func (r *Replica) PID() int { return r.command.Process.Pid }

// Running reports whether it has not ended.
func (r *Replica) Running() bool {
	select {
	case <-r.ended:
		return false
	default:
		return true
	}
}

// Asked reports whether somebody has asked for its exit code.
func (r *Replica) Asked() bool { return r.asked.Load() }

// Exit waits for its end and returns the exit code, -1 if it was killed or does not end.
func (r *Replica) Exit() int {
	r.t.Helper()
	r.asked.Store(true)
	select {
	case <-r.ended:
		return r.command.ProcessState.ExitCode()
	case <-time.After(Patience):
		r.t.Errorf("a replica has not ended within %s; its log: %s", Patience, r.Log)
		r.Kill()
		return -1
	}
}

// Logged reads what it has logged so far; lines that are not JSON are left out.
func (r *Replica) Logged() []map[string]any {
	r.t.Helper()
	var lines []map[string]any
	scanner := bufio.NewScanner(bytes.NewReader(r.output()))
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		var line map[string]any
		if json.Unmarshal(scanner.Bytes(), &line) == nil {
			lines = append(lines, line)
		}
	}
	return lines
}

// Events counts the lines of its log that tell of an event. Fields are pairs: a name, and what the value must contain.
func (r *Replica) Events(event string, fields ...string) int {
	r.t.Helper()
	return len(kit.LogLines(string(r.output()), event, fields...))
}

// AwaitEvent waits until there is one.
func (r *Replica) AwaitEvent(event string, fields ...string) {
	r.t.Helper()
	kit.Eventually(r.t, Patience, func() bool { return r.Events(event, fields...) > 0 },
		fmt.Sprintf("a replica to log the event %s %q; its log: %s", event, fields, r.Log))
}

func (r *Replica) output() []byte {
	r.t.Helper()
	content, err := os.ReadFile(r.Log)
	if err != nil {
		r.t.Fatal(err)
	}
	return content
}
