package docs

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/fakeerp"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

// session is somebody who types the README's commands, with what is around mageline.
type session struct {
	t       *testing.T
	dir     string   // where the commands are typed
	env     []string // name=value
	queues  *kit.Queues
	shop    *fakemagento.Server
	erp     *fakeerp.Server
	letter  fakemagento.Placed // the order that became a dead letter
	service *process
}

// clean is an environment without variables of ours, and without those that `make test` gives its children.
func clean(env []string) []string {
	var kept []string
	for _, entry := range env {
		switch name, _, _ := strings.Cut(entry, "="); {
		case strings.HasPrefix(name, "MAGELINE_"), strings.HasPrefix(name, "OTEL_"), strings.HasPrefix(name, "MAKE"), name == "MFLAGS":
		default:
			kept = append(kept, entry)
		}
	}
	return kept
}

// serve gives the address of a simulator.
func serve(t *testing.T, api http.Handler, end func()) string {
	t.Helper()
	server := httptest.NewServer(api)
	t.Cleanup(func() {
		end()
		server.Close()
	})
	return server.URL
}

// shell prepares a command line. The queues that the README names begin with this session's prefix.
func (s *session) shell(line string) *exec.Cmd {
	line = strings.ReplaceAll(line, " mageline.", " "+s.queues.Prefix+".")
	command := exec.CommandContext(s.t.Context(), "sh", "-ec", line)
	command.Dir, command.Env = s.dir, s.env
	return command
}

// output runs a command line to its end, which must be exit 0, and gives what it printed to stdout.
func (s *session) output(line string) string {
	s.t.Helper()
	command := s.shell(line)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		s.t.Fatalf("%s: %v\n%s%s", line, err, out, &stderr)
	}
	return string(out)
}

// process is one that runs until it is told to end.
type process struct {
	t       *testing.T
	command *exec.Cmd
	log     string // file with its stderr
	ended   chan struct{}
}

// launch starts a process. What still runs at the end of the test is killed.
func launch(t *testing.T, command *exec.Cmd) *process {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, command: command, log: log.Name(), ended: make(chan struct{})}
	command.Stderr = log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = command.Wait() // the exit code is in ProcessState
		_ = log.Close()
		close(p.ended)
	}()
	t.Cleanup(func() {
		_ = command.Process.Kill()
		<-p.ended
	})
	return p
}

// end sends a signal, waits, and gives the exit code.
func (p *process) end(signal os.Signal) int {
	p.t.Helper()
	_ = p.command.Process.Signal(signal)
	select {
	case <-p.ended:
		return p.command.ProcessState.ExitCode()
	case <-time.After(patience):
		p.t.Fatalf("%s has not ended within %s of %s", p.command, patience, signal)
		return -1
	}
}

// logged returns the lines of an event in its log, or all if it is empty.
func (p *process) logged(event string) []map[string]any {
	p.t.Helper()
	file, err := os.Open(p.log)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var lines []map[string]any
	scanner := bufio.NewScanner(file)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		var line map[string]any
		if json.Unmarshal(scanner.Bytes(), &line) == nil && (event == "" || line["event"] == event) {
			lines = append(lines, line)
		}
	}
	return lines
}

// start starts the service in the background and waits until /readyz says that it is ready.
func (s *session) start(line string) {
	s.t.Helper()
	s.service = launch(s.t, s.shell("exec "+line))
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer := "nothing"
	ready := func() bool {
		select {
		case <-s.service.ended:
			s.t.Fatalf("%s ended: %v", line, s.service.logged(""))
		default:
		}
		serving := s.service.logged("http_listening")
		if len(serving) == 0 {
			return false
		}
		address, _ := serving[0]["address"].(string)
		response, err := client.Get("http://" + address + "/readyz")
		if err != nil {
			return false
		}
		body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
		_ = response.Body.Close()
		answer = response.Status + " " + string(body)
		return err == nil && response.StatusCode == http.StatusOK
	}
	defer func() {
		if s.t.Failed() {
			s.t.Logf("/readyz answered %s", answer)
		}
	}()
	kit.Eventually(s.t, patience, ready, line+" to be ready")
}

// stop ends the service as Kubernetes does.
func (s *session) stop() {
	s.t.Helper()
	if code := s.service.end(syscall.SIGTERM); code != 0 {
		s.t.Errorf("at SIGTERM the service ended with %d: %v", code, s.service.logged(""))
	}
}
