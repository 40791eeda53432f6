// Package e2e holds the tests of the whole program: the real binary as child processes, with a real RabbitMQ and
// Postgres, between a simulated Magento and ERP. They prove from outside what the project promises: an order reaches the
// ERP exactly once, whatever is killed, cut or away in between.
//
// Sizes for a run by hand: MAGELINE_E2E_ORDERS (of the chaos, default 300), MAGELINE_E2E_PROBES (how many seconds,
// nearly, the ERP is down, default 5), MAGELINE_E2E_FILES (of the folder, default 100), MAGELINE_E2E_UPDATES (of prices and of stock, default 4,000), MAGELINE_E2E_PRODUCTS (of a reindex, default 400), MAGELINE_E2E_SAP (orders to a SAP that fails, default 40), MAGELINE_E2E_MODULE (orders saved by the Magento module, default 300), MAGELINE_E2E_RECONCILE (orders to compare, default 250), MAGELINE_E2E_SOAK (how long the soak is, default 30s), MAGELINE_E2E_SEED; `make
// chaos` and `make soak` have the full ones. MAGELINE_E2E_KEEP=1 keeps the logs of all processes, which a failure does too.
package e2e

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/replica"
)

// Of the whole run.
var (
	program    *replica.Program
	orders     int
	probes     int
	folder     int
	updates    int
	catalogued int
	soakTime   time.Duration
	seed       uint64
	servers    env.Servers                            // for the tests that run one after the other
	verbose    = os.Getenv("MAGELINE_E2E_KEEP") != "" // keeps the logs
)

func TestMain(m *testing.M) {
	kit.Parallel(4)
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	for name, n := range map[string]*int{"MAGELINE_E2E_ORDERS": &orders, "MAGELINE_E2E_PROBES": &probes, "MAGELINE_E2E_FILES": &folder, "MAGELINE_E2E_UPDATES": &updates, "MAGELINE_E2E_PRODUCTS": &catalogued} {
		if *n, err = number(name, map[string]int{"MAGELINE_E2E_ORDERS": 300, "MAGELINE_E2E_PROBES": 5, "MAGELINE_E2E_FILES": 100, "MAGELINE_E2E_UPDATES": 4000, "MAGELINE_E2E_PRODUCTS": 400}[name]); err != nil {
			return 1, err
		}
	}
	soakTime = 30 * time.Second
	if text := os.Getenv("MAGELINE_E2E_SOAK"); text != "" {
		if soakTime, err = time.ParseDuration(text); err != nil || soakTime < 15*time.Second {
			return 1, fmt.Errorf("MAGELINE_E2E_SOAK is %q: want a duration of at least 15s", text)
		}
	}
	s, err := number("MAGELINE_E2E_SEED", 0)
	if err != nil {
		return 1, err
	}
	if seed = uint64(s); seed == 0 { //nolint:gosec // any number will do
		seed = uint64(os.Getpid()) //nolint:gosec // the same
	}
	if program, err = replica.Build(); err != nil {
		return 1, err
	}
	program.Show = env.Check
	code = m.Run()
	servers.Close()
	if err := errors.Join(stopPrivate(), env.SearchLogs(program)); err != nil {
		return 1, errors.Join(err, program.Remove(true))
	}
	return code, program.Remove(code != 0 || verbose)
}

// newEnv makes what mageline stands between, with these retry delays. At the end of the test each order must be there once.
func newEnv(t *testing.T, delays ...time.Duration) *env.Env {
	t.Helper()
	return newEnvWith(t, env.Options{Delays: delays})
}

func newEnvWith(t *testing.T, o env.Options) *env.Env {
	t.Helper()
	o.Program, o.Seed = program, seed
	e := env.New(t, o)
	t.Cleanup(e.CheckOnce)
	return e
}

// onEachVersion runs a test of comments on each release of Magento that takes their status in its own way.
func onEachVersion(t *testing.T, test func(t *testing.T)) {
	t.Parallel()
	for _, version := range fakemagento.Versions() {
		t.Run(string(version), func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

// number reads a size from the environment.
func number(name string, otherwise int) (int, error) {
	text := os.Getenv(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%s is %q: want a whole number above 0", name, text)
	}
	return n, nil
}
