package bench

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"testing"
	"time"
)

// sizes are how much is measured.
type sizes struct {
	messages int // of one round
	rounds   int
	drain    [2]int // messages whose memory is compared
	known    int    // orders that those messages are about
	orders   int    // end to end, of one round
	tracks   int    // of the one round
	rows     int    // of a tracking file
	pings    int    // on an idle system
	latency  time.Duration

	prices        int           // in bulk
	written, read time.Duration // that a Magento takes for a row of them
	answer        time.Duration // that one takes for any call
	stock         int           // rows in bulk

	stockWritten, stockRead time.Duration
}

var (
	full = sizes{
		messages: 60_000, rounds: 5, drain: [2]int{10_000, 200_000}, known: 1000, orders: 2000, tracks: 10_000, rows: 200_000, pings: 500, latency: 20 * time.Millisecond,
		prices: 50_000, written: time.Millisecond, read: 200 * time.Microsecond, answer: 15 * time.Millisecond,
		stock: 1_000_000, stockWritten: 7500 * time.Microsecond, stockRead: 200 * time.Microsecond,
	}
	smoke = sizes{
		messages: 200, rounds: 1, drain: [2]int{50, 150}, known: 10, orders: 10, tracks: 20, rows: 1000, pings: 5, latency: time.Millisecond,
		prices: 1200, written: 20 * time.Microsecond, read: 4 * time.Microsecond, answer: time.Millisecond,
		stock: 3000, stockWritten: 75 * time.Microsecond, stockRead: 2 * time.Microsecond,
	}
)

const (
	bodySize = 4096
	childEnv = "MAGELINE_TEST_BENCH_CHILD" // this process is one of several that consume
)

// Of the whole run.
var (
	size        = smoke
	prefetch    = 512
	concurrency = 256
	folder      string // of built programs and logs
)

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	debug.SetGCPercent(300) // as cmd/mageline has it; for the limits too
	if os.Getenv("MAGELINE_TEST_BENCH") == "full" {
		size = full
	}
	for name, n := range map[string]*int{
		"MAGELINE_TEST_BENCH_PREFETCH": &prefetch, "MAGELINE_TEST_BENCH_CONCURRENCY": &concurrency, "MAGELINE_TEST_BENCH_ROUNDS": &size.rounds,
		"MAGELINE_TEST_BENCH_TRACKS": &size.tracks, "MAGELINE_TEST_BENCH_PRICES": &size.prices, "MAGELINE_TEST_BENCH_STOCK": &size.stock,
	} {
		if text := os.Getenv(name); text != "" {
			if *n, err = strconv.Atoi(text); err != nil || *n < 1 {
				return 1, fmt.Errorf("%s is %q: want a whole number above 0", name, text)
			}
		}
	}
	if os.Getenv(childEnv) != "" {
		return 0, child()
	}
	if folder, err = os.MkdirTemp("", "mageline-bench-"); err != nil {
		return 1, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	for program, source := range map[string]string{"mageline": "../../cmd/mageline", "watermill": "watermill"} {
		build := exec.Command("go", "build", "-o", filepath.Join(folder, program), ".") //nolint:gosec,noctx // constant but for the folder; the test's time-out ends it
		build.Dir = source
		if out, err := build.CombinedOutput(); err != nil {
			return 1, fmt.Errorf("build %s: %w\n%s", program, err, out)
		}
	}
	return m.Run(), nil
}
