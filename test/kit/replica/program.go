// Package replica runs the real mageline as child processes, for the tests of the whole program.
package replica

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Program is a mageline that was built for the tests, and a folder that gets what its processes print.
type Program struct {
	// Logs has a file for the output of every process.
	Logs string
	// Show, if it is set, is called with every page that a process has served.
	Show func(t testing.TB, path, page string)

	folder, path string
	processes    atomic.Int64

	mu       sync.Mutex
	variants map[string]*Program // by their flags
}

// Build builds mageline, with the race detector if the tests run with it; its reports are in the logs.
func Build() (*Program, error) {
	folder, err := os.MkdirTemp("", "mageline-replicas-")
	if err != nil {
		return nil, err
	}
	p := &Program{Logs: filepath.Join(folder, "logs"), folder: folder, variants: map[string]*Program{}}
	if err := os.Mkdir(p.Logs, 0o700); err != nil {
		return nil, err
	}
	p.path, err = p.build("mageline", fmt.Sprintf("-race=%t", raced))
	return p, err
}

// Variant builds the same in another way, such as "-tags=x" or "-race=false", once for all tests that ask for it; the output
// goes to the same folder.
func (p *Program) Variant(t testing.TB, flags ...string) *Program {
	t.Helper()
	name := strings.Trim(strings.Join(flags, ""), "-")
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.variants[name] == nil {
		path, err := p.build(name, flags...)
		if err != nil {
			t.Fatal(err)
		}
		p.variants[name] = &Program{Logs: p.Logs, Show: p.Show, folder: p.folder, path: path}
	}
	return p.variants[name]
}

func (p *Program) build(name string, flags ...string) (path string, err error) {
	path = filepath.Join(p.folder, name)
	args := append([]string{"build", "-o", path}, flags...)
	build := exec.Command("go", append(args, "github.com/mageline/mageline/cmd/mageline")...) //nolint:gosec,noctx // constant but for the folder; the test's time-out ends it
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build mageline: %w\n%s", err, out)
	}
	return path, nil
}

// Remove removes it, and the logs unless they are to be kept: then it says where they are.
func (p *Program) Remove(keepLogs bool) error {
	if !keepLogs {
		return os.RemoveAll(p.folder)
	}
	fmt.Fprintln(os.Stderr, "the logs of all processes are in", p.Logs)
	entries, err := os.ReadDir(p.folder)
	for _, e := range entries {
		if path := filepath.Join(p.folder, e.Name()); path != p.Logs {
			err = errors.Join(err, os.Remove(path))
		}
	}
	return err
}

// Command prepares a process with these variables, MAGELINE_ left out where they are mageline's, and with none of mageline's
// that the tests have. Its output goes to log, which the caller closes.
func (p *Program) Command(t testing.TB, env map[string]string, args ...string) (command *exec.Cmd, log *os.File) {
	t.Helper()
	name := fmt.Sprintf("%s-%s-%d.log", strings.ReplaceAll(t.Name(), "/", "-"), filepath.Base(p.path), p.processes.Add(1))
	log, err := os.Create(filepath.Join(p.Logs, name))
	if err != nil {
		t.Fatal(err)
	}
	command = exec.Command(p.path, args...) //nolint:gosec,noctx // our own binary; every test ends what it starts
	// A process with the race detector sleeps for a second when it ends, which shows nothing of one that waits for its goroutines.
	command.Env = append(command.Env, "GORACE=atexit_sleep_ms=0")
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "MAGELINE_") && !strings.HasPrefix(e, "OTEL_") {
			command.Env = append(command.Env, e)
		}
	}
	for name, value := range env {
		if name != "HTTPS_PROXY" && !strings.HasPrefix(name, "OTEL_") && !strings.HasPrefix(name, "E2E_") {
			name = "MAGELINE_" + name
		}
		command.Env = append(command.Env, name+"="+value)
	}
	command.Stdout, command.Stderr = log, log
	return command, log
}

// Start starts a replica and does not wait for anything. What still runs at the end of the test is killed.
func (p *Program) Start(t testing.TB, env map[string]string) *Replica {
	t.Helper()
	command, log := p.Command(t, env, "run")
	return p.started(t, command, log.Name(), func() { _ = log.Close() })
}

// StartRead starts a replica whose log goes through a pipe, as a container's does, to a reader that may stall or leave.
func (p *Program) StartRead(t testing.TB, env map[string]string) (*Replica, *Reader) {
	t.Helper()
	command, log := p.Command(t, env, "run")
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stdout, command.Stderr = out, out
	reader := &Reader{pipe: in, ended: make(chan struct{})}
	r := p.started(t, command, log.Name(), func() { _ = out.Close() })
	_ = out.Close() // it is the process's
	go reader.read(log)
	t.Cleanup(reader.Leave)
	return r, reader
}

func (p *Program) started(t testing.TB, command *exec.Cmd, log string, ended func()) *Replica {
	t.Helper()
	r := &Replica{Log: log, t: t, command: command, ended: make(chan struct{}), show: p.Show}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = command.Wait() // the exit code is in ProcessState
		ended()
		close(r.ended)
	}()
	t.Cleanup(r.Kill)
	return r
}

// Reader reads what a replica logs.
type Reader struct {
	pipe    *os.File
	stalled atomic.Bool
	ended   chan struct{}
}

// read copies to log until it stalls, leaves, or the process has ended.
func (r *Reader) read(log *os.File) {
	defer close(r.ended)
	defer func() { _ = log.Close() }()
	part := make([]byte, 4096)
	for !r.stalled.Load() {
		n, err := r.pipe.Read(part)
		if _, failed := log.Write(part[:n]); err != nil || failed != nil {
			return
		}
	}
}

// Stall has it read nothing more, for good; the pipe stays open, and fills.
func (r *Reader) Stall() { r.stalled.Store(true) }

// Leave closes the pipe.
func (r *Reader) Leave() {
	_ = r.pipe.Close() // ends a read that waits
	<-r.ended
}

// Call runs another command of mageline to its end and gives what it printed, to stdout and stderr, and its exit code.
func (p *Program) Call(t testing.TB, env map[string]string, args ...string) (output string, code int) {
	t.Helper()
	command, log := p.Command(t, env, args...)
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

// Lines calls f with each line that any process has printed.
func (p *Program) Lines(f func(file, line string)) error {
	files, err := filepath.Glob(filepath.Join(p.Logs, "*"))
	if err != nil {
		return err
	}
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(content)) {
			f(filepath.Base(name), line)
		}
	}
	return nil
}

// Bug reports whether a line is one that no process may print.
func Bug(line string) bool {
	return strings.Contains(line, "DATA RACE") || strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:") ||
		strings.Contains(line, `"event":"handler_panicked"`)
}

// Patience is how long anything may take that has no reason to take long, on a machine that is busy.
const Patience = 90 * time.Second
