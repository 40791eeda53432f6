package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// cost measures the processor time that the program itself spends on one order, whatever RabbitMQ, Postgres and the simulated
// shops spend. The limit is another build of it, which MAGELINE_TEST_BENCH_BEFORE names, in turns with it.
func cost(t *testing.T, out *table) {
	const pre, con = 64, 16
	set := fmt.Sprintf("PREFETCH %d, CONCURRENCY %d", pre, con)
	before := os.Getenv("MAGELINE_TEST_BENCH_BEFORE")
	one := func(program string, variables ...string) float64 {
		l, s := newLine(t), newShop(t, size.orders, size.latency)
		l.fill(size.orders, s.body)
		p := l.process(program, s, pre, con, variables...)
		done, _ := p.await(1, 20*time.Millisecond)
		began := p.processor()
		_, _ = p.await(size.orders, time.Second) // to answer costs mageline as much as several orders
		spent := p.processor() - began
		p.stop()
		return spent.Seconds() / float64(max(1, size.orders-done))
	}
	var ours, limit []float64
	for range size.rounds {
		ours = append(ours, one(filepath.Join(folder, "mageline")))
		if before != "" {
			limit = append(limit, one(before))
		}
	}
	r := row{name: "processor time of mageline for one order", ours: us(median(ours)), settings: set}
	if before != "" {
		r.name += "; limit: the program of before"
		r.limit, r.ratio = us(median(limit)), fmt.Sprintf("%.2f", median(ours)/median(limit))
	}
	out.add(r)
	for _, a := range areas(t, one) {
		out.add(row{name: "of it, " + a.name, ours: fmt.Sprintf("%.0f %%", a.percent), settings: set})
	}
}

func us(seconds float64) string { return fmt.Sprintf("%.0f µs", seconds*1e6) }

// processor is the processor time that it has spent so far.
func (p *process) processor() time.Duration { return processor(strconv.Itoa(p.command.Process.Pid)) }

// area is a part of the program, known by the functions that are on a sample's stack. A sample belongs to the first that fits.
type area struct {
	name, functions string
	percent         float64
}

// areas says what the processor time of the program goes to, by a run of a build that profiles itself.
func areas(t *testing.T, run func(program string, variables ...string) float64) []area {
	t.Helper()
	program, profile := filepath.Join(folder, "profiled"), filepath.Join(folder, "cpu.prof")
	build := exec.CommandContext(t.Context(), "go", "build", "-tags", "bench", "-o", program, "../../cmd/mageline") //nolint:gosec // ours
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", program, err, text)
	}
	run(program, "BENCH_PROFILE="+profile)
	all := []area{
		{name: "answers to the bench's own questions", functions: `promhttp`},
		{name: "garbage collector", functions: `gcBgMarkWorker|bgsweep|bgscavenge|gcAssistAlloc`},
		{name: "JSON", functions: `go-json-experiment|encoding/json|magentoapi.*(read|decode|unmarshal)`},
		{name: "HTTP", functions: `net/http|internal/downstream`},
		{name: "Postgres", functions: `jackc/pgx|mageline/internal/pg`},
		{name: "log", functions: `zerolog|internal/logsink`},
		{name: "RabbitMQ", functions: `amqp091-go`},
		{name: "handlers, mapping, ledger", functions: `mageline/(handlers|mapping|idempotency)`},
		{name: "deliveries", functions: `mageline/consumer`},
		{name: "Go's scheduler and the rest", functions: `.`},
	}
	var before []string
	for i, a := range all {
		args := []string{"tool", "pprof", "-top", "-nodecount=100000", "-nodefraction=0", "-focus=" + a.functions}
		if i > 0 {
			args = append(args, "-ignore="+strings.Join(before, "|"))
		}
		before = append(before, a.functions)
		text, err := exec.CommandContext(t.Context(), "go", append(args, program, profile)...).CombinedOutput() //nolint:gosec // ours
		if err != nil {
			t.Fatalf("go tool pprof: %v\n%s", err, text)
		}
		if found := total.FindSubmatch(text); found != nil { // else no sample fits
			all[i].percent, _ = strconv.ParseFloat(string(found[1]), 64)
		}
	}
	return all
}

// total finds the share of the samples that pprof shows.
var total = regexp.MustCompile(`Showing nodes accounting for .*, ([0-9.]+)% of`)
