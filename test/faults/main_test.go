// Package faults injects what goes wrong in the field, one fault after the other and several at once, into the real binary
// between a simulated Magento and ERP, with a real RabbitMQ and Postgres. docs/faults.md is the list.
//
// After each, every event that the broker has accepted must be done, parked with a reason, or waiting with a due time; no
// effect may have happened twice; and nothing may be left that nobody can explain. What was found is printed as one table.
//
// MAGELINE_FAULTS says which: `all` (make faults), numbers separated by commas, or nothing for all but the seldom ones (make
// test, CI). MAGELINE_FAULTS_SEED repeats a random schedule. MAGELINE_FAULTS_KEEP=1 keeps the logs of all processes, which a
// failure does too.
package faults

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/mageline/mageline/test/kit/private"
	"github.com/mageline/mageline/test/kit/replica"
)

// Of the whole run.
var (
	program *replica.Program
	table   results
)

func TestMain(m *testing.M) {
	flag.Parse()
	// They wait more than they compute.
	if parallel := flag.Lookup("test.parallel"); parallel.Value.String() == parallel.DefValue {
		_ = parallel.Value.Set("4")
	}
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if program, err = replica.Build(); err != nil {
		return 1, err
	}
	code = m.Run()
	servers.close()
	fmt.Print(table.String())
	var bugs error
	err = program.Lines(func(file, line string) {
		if replica.Bug(line) {
			bugs = errors.Join(bugs, fmt.Errorf("%s: %s", file, line))
		}
	})
	if err = errors.Join(err, bugs); err != nil {
		code = 1
	}
	return code, errors.Join(err, program.Remove(code != 0 || os.Getenv("MAGELINE_FAULTS_KEEP") != ""))
}

// patience is how long anything may take that has no reason to take long, on a machine that is busy.
const patience = 90 * time.Second

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
