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
	"fmt"
	"os"
	"testing"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/replica"
)

// Of the whole run.
var (
	program *replica.Program
	table   results
	servers env.Servers // of the faults that break one
)

func TestMain(m *testing.M) {
	kit.Parallel(4)
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
	program.Show = env.Check
	code = m.Run()
	servers.Close()
	fmt.Print(table.String())
	if err = env.SearchLogs(program); err != nil {
		code = 1
	}
	return code, errors.Join(err, program.Remove(code != 0 || os.Getenv("MAGELINE_FAULTS_KEEP") != ""))
}
