package e2e

import (
	"bufio"
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
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mageline/mageline/testkit"
)

// patience is how long anything may take that has no reason to take long, on a machine that is busy.
const patience = 60 * time.Second

// replica is one running mageline.
type replica struct {
	t       *testing.T
	command *exec.Cmd
	log     string // file
	ended   chan struct{}
	address string // of health and metrics, once known
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
func start(t *testing.T, env map[string]string) *replica {
	t.Helper()
	command, log := mageline(t, env, "run")
	r := &replica{t: t, command: command, log: log.Name(), ended: make(chan struct{})}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = command.Wait() // the exit code is in ProcessState
		_ = log.Close()
		close(r.ended)
	}()
	t.Cleanup(r.kill)
	return r
}

// call runs another command of mageline to its end and gives what it printed, to stdout and stderr, and its exit code.
func call(t *testing.T, env map[string]string, args ...string) (output string, code int) {
	t.Helper()
	command, log := mageline(t, env, args...)
	defer func() { _ = log.Close() }()
	var out bytes.Buffer
	command.Stdout = io.MultiWriter(log, &out)
	command.Stderr = command.Stdout
	err := command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), command.ProcessState.ExitCode()
}

// kill ends it as a crash does.
func (r *replica) kill() {
	_ = r.command.Process.Kill()
	<-r.ended
}

func (r *replica) terminate() { _ = r.command.Process.Signal(syscall.SIGTERM) }

// exit waits for its end and gives the exit code.
func (r *replica) exit() int {
	r.t.Helper()
	select {
	case <-r.ended:
		return r.command.ProcessState.ExitCode()
	case <-time.After(patience):
		r.t.Fatalf("a replica has not ended within %s", patience)
		return -1
	}
}

// running reports whether it has not ended.
func (r *replica) running() bool {
	select {
	case <-r.ended:
		return false
	default:
		return true
	}
}

// logged reads what it has logged so far; lines that are not JSON are left out.
func (r *replica) logged() []map[string]any {
	r.t.Helper()
	file, err := os.Open(r.log)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var lines []map[string]any
	scanner := bufio.NewScanner(file)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		var line map[string]any
		if json.Unmarshal(scanner.Bytes(), &line) == nil {
			lines = append(lines, line)
		}
	}
	return lines
}

// said counts the log lines with a message.
func (r *replica) said(message string) int {
	n := 0
	for _, line := range r.logged() {
		if line["message"] == message {
			n++
		}
	}
	return n
}

// url waits until it serves health and metrics.
func (r *replica) url(path string) string {
	r.t.Helper()
	if r.address == "" {
		testkit.Eventually(r.t, patience, func() bool {
			for _, line := range r.logged() {
				if line["message"] == "health and metrics" {
					r.address, _ = line["address"].(string)
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
func (r *replica) get(path string) (status int, body string) {
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
		return 0, ""
	}
	defer func() { _ = answer.Body.Close() }()
	content, err := io.ReadAll(io.LimitReader(answer.Body, 4<<20))
	if err != nil {
		return 0, ""
	}
	check(r.t, path, string(content))
	return answer.StatusCode, string(content)
}

// readiness is the document of /readyz.
type readiness struct {
	Ready     bool
	RabbitMQ  part
	Postgres  part
	Consumers map[string]part
}

type part struct{ State, Reason string }

func (r *replica) ready() (status int, document readiness) {
	r.t.Helper()
	status, body := r.get("/readyz")
	if status != 0 {
		if err := json.Unmarshal([]byte(body), &document); err != nil {
			r.t.Fatalf("/readyz answers %d %s", status, body)
		}
	}
	return status, document
}

// awaitReady waits until it is ready with every consumer subscribed.
func (r *replica) awaitReady() *replica {
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

// metric adds up the samples of a metric whose labels contain all of these (`outcome="retried"`).
func (r *replica) metric(name string, labels ...string) float64 {
	r.t.Helper()
	status, body := r.get("/metrics")
	if status != http.StatusOK {
		return 0
	}
	sum := 0.0
lines:
	for line := range strings.Lines(body) {
		sample, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || (sample != name && !strings.HasPrefix(sample, name+"{")) {
			continue
		}
		for _, label := range labels {
			if !strings.Contains(sample, label) {
				continue lines
			}
		}
		number, err := strconv.ParseFloat(value, 64)
		if err != nil {
			r.t.Fatalf("/metrics has %s", line)
		}
		sum += number
	}
	return sum
}
