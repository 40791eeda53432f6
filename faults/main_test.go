// Package faults injects what goes wrong in the field, one fault after the other and several at once, into the real binary
// between a simulated Magento and ERP, with a real RabbitMQ and Postgres. docs/faults.md is the list.
//
// After each, every event that the broker has accepted must be done, parked with a reason, or waiting with a due time; no
// effect may have happened twice; and nothing may be left that nobody can explain. What was found is printed as one table.
//
// MAGELINE_FAULTS says which: `all` (make faults), numbers separated by commas, or nothing for a part that changes from day
// to day. MAGELINE_FAULTS_SEED repeats a random schedule. MAGELINE_FAULTS_KEEP=1 keeps the logs of all processes, which a
// failure does too.
package faults

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mageline/mageline/testkit/private"
)

// Of the whole run.
var (
	binary string // mageline
	logs   string // a folder with the output of every process
	table  results
)

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "mageline-faults-")
	if err != nil {
		return 1, err
	}
	binary, logs = filepath.Join(dir, "mageline"), filepath.Join(dir, "logs")
	if err := os.Mkdir(logs, 0o700); err != nil {
		return 1, err
	}
	args := []string{"build", "-o", binary}
	if raced {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, "github.com/mageline/mageline/cmd/mageline")...) //nolint:gosec,noctx // constant but for the folder; the test's time-out ends it
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("build mageline: %w\n%s", err, out)
	}
	code = m.Run()
	servers.close()
	fmt.Print(table.String())
	races, err := searchLogs()
	if err != nil || races != nil {
		return 1, errors.Join(err, races)
	}
	if code != 0 || os.Getenv("MAGELINE_FAULTS_KEEP") != "" {
		fmt.Fprintln(os.Stderr, "faults: the logs of all processes are in", logs)
		return code, os.Remove(binary)
	}
	return code, os.RemoveAll(dir)
}

// searchLogs looks for what no process may say.
func searchLogs() (found, err error) {
	files, err := filepath.Glob(filepath.Join(logs, "*"))
	for _, name := range files {
		content, rerr := os.ReadFile(name)
		if rerr != nil {
			return found, rerr
		}
		for line := range strings.Lines(string(content)) {
			if strings.Contains(line, "DATA RACE") || strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:") ||
				strings.Contains(line, "a handler panicked") {
				found = errors.Join(found, fmt.Errorf("%s: %s", name, line))
			}
		}
	}
	return found, err
}

// servers are those that tests may break. Each is started when it is first asked for, and shared by the tests, one after
// the other.
var servers privates

type privates struct {
	mu       sync.Mutex
	rabbitMQ *private.RabbitMQ
	postgres *private.Postgres
}

func (p *privates) broker(t *testing.T) *private.RabbitMQ {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rabbitMQ == nil {
		var err error
		if p.rabbitMQ, err = private.StartRabbitMQ(); err != nil {
			t.Fatal(err)
		}
	}
	return p.rabbitMQ
}

func (p *privates) database(t *testing.T) *private.Postgres {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.postgres == nil {
		var err error
		if p.postgres, err = private.StartPostgres(); err != nil {
			t.Fatal(err)
		}
	}
	return p.postgres
}

func (p *privates) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rabbitMQ != nil {
		p.rabbitMQ.Close()
	}
	if p.postgres != nil {
		p.postgres.Close()
	}
}
