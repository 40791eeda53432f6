// Package e2e holds the tests of the whole program: the real binary as child processes, with a real RabbitMQ and
// Postgres, between a simulated Magento and ERP. They prove from outside what the project promises: an order reaches the
// ERP exactly once, whatever is killed, cut or away in between.
//
// Sizes for a run by hand: MAGELINE_E2E_ORDERS (of the chaos, default 300), MAGELINE_E2E_PROBES (how many seconds,
// nearly, the ERP is down, default 5), MAGELINE_E2E_FILES (of the folder, default 100), MAGELINE_E2E_SOAK (how long the soak is, default 30s), MAGELINE_E2E_SEED; `make
// chaos` and `make soak` have the full ones. MAGELINE_E2E_KEEP=1 keeps the logs of all processes, which a failure does too.
package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// Of the whole run.
var (
	binary   string // mageline
	logs     string // a folder with the output of every process of every test
	orders   int
	probes   int
	folder   int
	soakTime time.Duration
	seed     uint64
	verbose  = os.Getenv("MAGELINE_E2E_KEEP") != "" // keeps the logs
)

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "mageline-e2e-")
	if err != nil {
		return 1, err
	}
	binary, logs = filepath.Join(dir, "mageline"), filepath.Join(dir, "logs")
	if err := os.Mkdir(logs, 0o700); err != nil {
		return 1, err
	}
	for name, n := range map[string]*int{"MAGELINE_E2E_ORDERS": &orders, "MAGELINE_E2E_PROBES": &probes, "MAGELINE_E2E_FILES": &folder} {
		if *n, err = number(name, map[string]int{"MAGELINE_E2E_ORDERS": 300, "MAGELINE_E2E_PROBES": 5, "MAGELINE_E2E_FILES": 100}[name]); err != nil {
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
	args := []string{"build", "-o", binary}
	if raced {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, "github.com/mageline/mageline/cmd/mageline")...) //nolint:gosec,noctx // constant but for the folder; the test's time-out ends it
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("build mageline: %w\n%s", err, out)
	}
	code = m.Run()
	if err := stopPrivate(); err != nil {
		return 1, err
	}
	if err := searchLogs(logs); err != nil {
		return 1, err
	}
	if code != 0 || verbose {
		fmt.Fprintln(os.Stderr, "e2e: the logs of all processes are in", logs)
		return code, os.Remove(binary)
	}
	return code, os.RemoveAll(dir)
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
