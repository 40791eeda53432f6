package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mageline/mageline/testkit"
)

// patience is how long anything may take that has no reason to take long, on a machine that is busy.
const patience = 90 * time.Second

// replica is one running mageline.
type replica struct {
	t       *testing.T
	command *exec.Cmd
	log     string // file
	ended   chan struct{}
	address string // of health and metrics, once known
	killed  atomic.Bool
}

var processes atomic.Int64

// mageline prepares a process whose output goes to a file of its own in logs.
func mageline(t *testing.T, env map[string]string, args ...string) (*exec.Cmd, *os.File) {
	t.Helper()
	name := fmt.Sprintf("%s-%d.log", strings.ReplaceAll(t.Name(), "/", "-"), processes.Add(1))
	log, err := os.Create(filepath.Join(logs, name))
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(binary, args...) //nolint:gosec,noctx // our own binary; every test ends what it starts
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "MAGELINE_") && !strings.HasPrefix(e, "OTEL_") {
			command.Env = append(command.Env, e)
		}
	}
	for name, value := range env {
		command.Env = append(command.Env, "MAGELINE_"+name+"="+value)
	}
	command.Stdout, command.Stderr = log, log
	return command, log
}

// start starts a replica and does not wait for anything. What still runs at the end of the test is killed.
func (w *world) start() *replica {
	w.t.Helper()
	command, log := mageline(w.t, w.env, "run")
	r := &replica{t: w.t, command: command, log: log.Name(), ended: make(chan struct{})}
	if err := command.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() {
		_ = command.Wait() // the exit code is in ProcessState
		_ = log.Close()
		close(r.ended)
	}()
	w.t.Cleanup(r.kill)
	w.replicas = append(w.replicas, r)
	return r
}

// call runs another command of mageline to its end and gives what it printed, and its exit code.
func (w *world) call(args ...string) (output string, code int) {
	w.t.Helper()
	command, log := mageline(w.t, w.env, args...)
	defer func() { _ = log.Close() }()
	var out bytes.Buffer
	command.Stdout = io.MultiWriter(log, &out)
	command.Stderr = command.Stdout
	err := command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.t.Fatal(err)
	}
	return out.String(), command.ProcessState.ExitCode()
}

// kill ends it as a crash, or the kernel for want of memory, does.
func (r *replica) kill() {
	r.killed.Store(true)
	_ = r.command.Process.Kill()
	<-r.ended
}

func (r *replica) terminate() { _ = r.command.Process.Signal(syscall.SIGTERM) }
func (r *replica) freeze()    { _ = r.command.Process.Signal(syscall.SIGSTOP) }
func (r *replica) thaw()      { _ = r.command.Process.Signal(syscall.SIGCONT) }

// exit waits for its end and gives the exit code.
func (r *replica) exit() int {
	r.t.Helper()
	select {
	case <-r.ended:
		return r.command.ProcessState.ExitCode()
	case <-time.After(patience):
		r.t.Errorf("a replica has not ended within %s; its log: %s", patience, r.log)
		r.kill()
		return -1
	}
}

func (r *replica) running() bool {
	select {
	case <-r.ended:
		return false
	default:
		return true
	}
}

// said counts the log lines that hold a text.
func (r *replica) said(text string) int {
	r.t.Helper()
	content, err := os.ReadFile(r.log)
	if err != nil {
		r.t.Fatal(err)
	}
	return bytes.Count(content, []byte(text))
}

// url waits until it serves health and metrics.
func (r *replica) url(path string) string {
	r.t.Helper()
	if r.address == "" {
		testkit.Eventually(r.t, patience, func() bool {
			content, err := os.ReadFile(r.log)
			if err != nil {
				r.t.Fatal(err)
			}
			for line := range bytes.Lines(content) {
				var l struct{ Message, Address string }
				if json.Unmarshal(line, &l) == nil && l.Message == "health and metrics" {
					r.address = l.Address
				}
			}
			return r.address != "" || !r.running()
		}, "the replica to serve health and metrics")
		if r.address == "" {
			r.t.Fatalf("a replica ended at its start, exit %d; see %s", r.command.ProcessState.ExitCode(), r.log)
		}
	}
	return "http://" + r.address + path
}

// get asks it; status 0 is no answer.
func (r *replica) get(path string) (status int, body []byte) {
	r.t.Helper()
	address := r.url(path)
	ctx, cancel := context.WithTimeout(r.t.Context(), 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil
	}
	defer func() { _ = answer.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(answer.Body, 4<<20))
	if err != nil {
		return 0, nil
	}
	return answer.StatusCode, body
}

// readiness is the document of /readyz.
type readiness struct {
	Ready              bool
	RabbitMQ, Postgres part
	Consumers          map[string]part
}

type part struct{ State, Reason string }

func (r *replica) ready() (status int, document readiness) {
	r.t.Helper()
	status, body := r.get("/readyz")
	if status != 0 {
		if err := json.Unmarshal(body, &document); err != nil {
			r.t.Fatalf("/readyz answers %d %s", status, body)
		}
	}
	return status, document
}

// await waits until it is ready with every consumer subscribed.
func (r *replica) await() *replica {
	r.t.Helper()
	testkit.Eventually(r.t, patience, func() bool {
		status, document := r.ready()
		for _, c := range document.Consumers {
			if c.State != "subscribed" {
				return false
			}
		}
		return status == http.StatusOK
	}, "the replica to be ready; its log: "+r.log)
	return r
}

// awaitSaying waits until /readyz shows what the condition asks for.
func (r *replica) awaitSaying(what string, condition func(status int, d readiness) bool) {
	r.t.Helper()
	testkit.Eventually(r.t, patience, func() bool { return condition(r.ready()) }, "/readyz to say that "+what+"; its log: "+r.log)
}
