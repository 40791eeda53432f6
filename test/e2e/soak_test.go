package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
	"github.com/mageline/mageline/test/kit/private"
	"github.com/mageline/mageline/test/kit/replica"
)

// How hard the soak is.
const (
	soakFaultEvery = 4 * time.Second
	soakStall      = 2 * time.Second // the longest; ERP_UNCERTAIN_WAIT outlasts it
	soakOrderEvery = 100 * time.Millisecond
)

// Orders flow steadily while something breaks every few seconds. Whatever is left behind by a fault adds up, and shows: at
// the end there must be as many goroutines, files, connections and bytes as after the first minute.
func TestSoak_NothingGrows(t *testing.T) {
	t.Parallel()
	s := newSoak(t)
	began := time.Now()
	warm := min(time.Minute, soakTime/3)
	t.Logf("MAGELINE_E2E_SOAK=%s MAGELINE_E2E_SEED=%d", soakTime, seed)
	s.row("time", soakColumns...)
	s.load(began, warm)
	s.settle()
	first := s.measure()
	s.row("settled", first.cells()...)
	s.load(began, soakTime)
	s.settle()
	last := s.measure()
	s.row("settled", last.cells()...)
	s.compare(&first, &last)
	s.Finish()
	s.CheckDone(s.placed...)
	if n := len(s.ERP.Documents()); n != len(s.placed) {
		t.Errorf("the ERP has %d documents for %d orders", n, len(s.placed))
	}
	t.Logf("%d orders, each once; faults: %v", len(s.placed), s.counts)
}

const sigkill = "SIGKILL" // the fault

type soak struct {
	*env.Env
	t       *testing.T
	program *replica.Program
	random  *rand.Rand
	node    *private.RabbitMQ

	brokerLink, databaseLink, shopLink, erpLink *kit.Proxy
	steady, victim                              *replica.Replica // the second one is killed now and then

	placed []fakemagento.Placed
	counts map[string]int
	last   string // fault
}

func newSoak(t *testing.T) *soak {
	t.Helper()
	node, server := ownServers(t)
	e := newEnvWith(t, env.Options{
		Queues: kit.BrokerAt(t, node.URL), Database: kit.DatabaseAt(t, server.URL), Delays: env.ImpatientDelays(),
	}).Impatient()
	e.Set("ERP_UNCERTAIN_WAIT", (2 * soakStall).String())
	s := &soak{Env: e, t: t, node: node, random: rand.New(rand.NewPCG(seed, 2)), counts: map[string]int{}, last: "-"}
	s.brokerLink, s.databaseLink, s.shopLink, s.erpLink = e.Link("AMQP_URL"), e.Link("DATABASE_URL"), e.Link("MAGENTO_URL"), e.Link("ERP_URL")
	s.program = program.Variant(t, "-race=false") // with it a process grows with every page of memory that it has ever touched
	s.steady, s.victim = s.start().AwaitReady(), s.start().AwaitReady()
	return s
}

func (s *soak) start() *replica.Replica {
	s.t.Helper()
	return s.Add(s.program.Start(s.t, s.Vars))
}

// load has orders flow and things break until so long after the beginning.
func (s *soak) load(began time.Time, until time.Duration) {
	s.t.Helper()
	order := time.NewTicker(soakOrderEvery)
	defer order.Stop()
	breaks := time.NewTicker(soakFaultEvery)
	defer breaks.Stop()
	rows := time.NewTicker(max(5*time.Second, soakTime/40))
	defer rows.Stop()
	end := time.After(time.Until(began.Add(until)))
	var mend func()
	mended := make(<-chan time.Time)
	for {
		select {
		case <-order.C:
			o := s.Shop.PlaceOrder(fakemagento.Placing{})
			for range 1 + s.random.IntN(2) {
				s.Publish("sales.order.placed", env.Body(o, s.random.IntN(5)))
			}
			s.placed = append(s.placed, o)
		case <-breaks.C:
			if mend == nil {
				mend = s.breakSomething()
				mended = time.After(soakStall/2 + time.Duration(s.random.Int64N(int64(soakStall/2))))
			}
		case <-mended:
			mend()
			mend = nil
		case <-rows.C:
			m := s.measure()
			s.row(time.Since(began).Round(time.Second).String(), m.cells()...)
		case <-end:
			if mend != nil {
				mend()
			}
			return
		}
	}
}

// breakSomething breaks something and gives what mends it.
func (s *soak) breakSomething() (mend func()) {
	once := func(do func()) func() func() { return func() func() { do(); return func() {} } }
	stall := func(p *kit.Proxy) func() func() { return func() func() { p.Stall(); return p.Resume } }
	away := func(p *kit.Proxy) func() func() { return func() func() { p.Refuse(); return p.Accept } }
	answers := func(i *fault.Injector, f fault.Fault) func() func() {
		return func() func() {
			i.Set(fault.Plan{Chances: []fault.Chance{{OneIn: 2, Fault: f}}})
			return func() { i.Set(fault.Plan{}) }
		}
	}
	all := []struct {
		name string
		do   func() func()
	}{
		{"broker cut", once(s.brokerLink.Cut)},
		{"broker stalls", stall(s.brokerLink)},
		{"broker away", away(s.brokerLink)},
		{"database cut", once(s.databaseLink.Cut)},
		{"database stalls", stall(s.databaseLink)},
		{"database away", away(s.databaseLink)},
		{"commit lost", once(func() { s.databaseLink.LoseAnswer(nil) })},
		{"ERP cut", once(s.erpLink.Cut)},
		{"ERP stalls", stall(s.erpLink)},
		{"ERP away", away(s.erpLink)},
		{"ERP fails", answers(s.ERP.Faults, fault.Fault{Kind: fault.Fail})},
		{"ERP slow", answers(s.ERP.Faults, fault.Fault{Kind: fault.Late, After: 1500 * time.Millisecond})},
		{"Magento cut", once(s.shopLink.Cut)},
		{"Magento fails", answers(s.Shop.Faults, fault.Fault{Kind: fault.Fail, Status: 503})},
		{"Magento drops", answers(s.Shop.Faults, fault.Fault{Kind: fault.Drop})},
		{sigkill, once(func() { s.victim.Kill(); s.victim = s.start() })},
		{sigkill, once(func() { s.victim.Kill(); s.victim = s.start() })},
	}
	chosen := all[s.random.IntN(len(all))]
	s.last = chosen.name
	s.counts[chosen.name]++
	return chosen.do()
}

// settle waits until all is done and everybody is at rest, as at the measurement that it is compared with.
func (s *soak) settle() {
	s.t.Helper()
	s.last = "-"
	s.AwaitDoneWithin(2*env.Patience, s.placed...)
	atRest := func(r *replica.Replica) bool {
		status, _ := r.Ready()
		return status == http.StatusOK && r.Metric("mageline_in_flight") == 0
	}
	kit.Eventually(s.t, env.Patience, func() bool {
		return s.Empty() && atRest(s.steady) && atRest(s.victim) && s.Empty()
	}, "no message left, and the replicas at rest")
}

// measures are what must not grow; of the two replicas in this order: the one that runs all the time, the other one.
type measures struct {
	goroutines, files, heap, memory [2]float64
	broker, database                int // connections
	rows, rowSize                   int // of the ledger, and bytes for each of them
	others, othersSize              int // rows and bytes of all other tables
	done, left, kills               int
	fault                           string
}

var soakColumns = []string{"orders", "left", "goroutines", "files", "heap MiB", "RSS MiB", "conns RabbitMQ", "Postgres", "ledger rows", "bytes/row", "other rows", "KiB", "last fault"}

const mebi = 1 << 20

func (m *measures) cells() []string {
	two := func(v [2]float64, unit float64) string { return fmt.Sprintf("%.0f %.0f", v[0]/unit, v[1]/unit) }
	return []string{
		fmt.Sprint(m.done), fmt.Sprint(m.left), two(m.goroutines, 1), two(m.files, 1), two(m.heap, mebi), two(m.memory, mebi),
		fmt.Sprint(m.broker), fmt.Sprint(m.database), fmt.Sprint(m.rows), fmt.Sprint(m.rowSize), fmt.Sprint(m.others), fmt.Sprint(m.othersSize >> 10), m.fault,
	}
}

func (s *soak) row(first string, cells ...string) {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%8s", first)
	for i, c := range cells {
		fmt.Fprintf(&b, "  %*s", max(7, len(soakColumns[i])), c)
	}
	s.t.Log(b.String())
}

func (s *soak) measure() measures {
	s.t.Helper()
	m := measures{done: s.Exported(s.placed...), left: s.Messages(), kills: s.counts[sigkill], fault: s.last}
	for i, r := range []*replica.Replica{s.steady, s.victim} {
		m.goroutines[i], m.files[i] = r.Metric("go_goroutines"), r.Metric("process_open_fds")
		// The next collection's goal is what has outlived the last one, and as much again.
		m.heap[i], m.memory[i] = r.Metric("go_memstats_next_gc_bytes"), r.Metric("process_resident_memory_bytes")
	}
	out, err := s.node.Ctl("-q", "list_connections", "name", "--no-table-headers")
	if err != nil {
		s.t.Fatal(err)
	}
	m.broker = strings.Count(out, "->")
	s.measureTables(&m)
	return m
}

func (s *soak) measureTables(m *measures) {
	s.t.Helper()
	ctx := s.t.Context()
	conn, err := pgx.Connect(ctx, s.Database)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	err = conn.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity
		WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()`).Scan(&m.database)
	if err != nil {
		s.t.Fatal(err)
	}
	rows, err := conn.Query(ctx, `SELECT c.relname, pg_total_relation_size(c.oid),
			(xpath('/row/n/text()', query_to_xml('SELECT count(*) AS n FROM ' || quote_ident(c.relname), false, true, '')))[1]::text::int
		FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace`)
	if err != nil {
		s.t.Fatal(err)
	}
	ledger := 0
	var table string
	var size, n int
	_, err = pgx.ForEachRow(rows, []any{&table, &size, &n}, func() error {
		switch table {
		case "effect", "orders", "lease": // rows for each order, kept for IDEMPOTENCY_RETENTION
			ledger += size
			m.rows += n
		default:
			m.othersSize += size
			m.others += n
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	m.rowSize = ledger / max(1, m.rows)
}

const (
	// grown is how many goroutines a process may have more than one that was just measured: the subscriptions of a prefetch
	// that has grown (seven for a consumer, of two goroutines each), idle connections to the remote APIs (two each). One
	// leaked for each order, or for each fault of ten minutes, is more.
	grown = 80
	// files are the sockets of those connections.
	files = 30
)

// compare prints the verdict. What is allowed above the first measurement is what differs from one minute to the next.
func (s *soak) compare(first, last *measures) {
	s.t.Helper()
	type measure struct {
		name                 string
		first, last, allowed float64
		unit                 float64
	}
	var lines []measure
	// Subscriptions, connections and memory grow with the age of a process: the one that was killed last may have been young
	// at the first measurement, and is compared with the older of the two.
	for i, which := range []string{"the one that ran", "the one that was killed"} {
		older := func(v [2]float64) float64 { return max(v[0], v[i]) }
		// Resident memory may become what the heap was allowed to be already: at the end of a short soak it may still grow there.
		resident := max(older(first.memory), older(first.heap))
		lines = append(lines,
			measure{"goroutines of " + which, first.goroutines[i], last.goroutines[i], older(first.goroutines) + grown, 1},
			measure{"open files of " + which, first.files[i], last.files[i], older(first.files) + files, 1},
			measure{"MiB heap goal of " + which, first.heap[i], last.heap[i], 1.5*older(first.heap) + 4*mebi, mebi},
			measure{"MiB RSS of " + which, first.memory[i], last.memory[i], 1.3*resident + 16*mebi, mebi},
		)
	}
	// Both processes may have used as many as pgxpool lets them by default, a pool is only emptied by time; one or two more
	// are of clients that are gone, which Postgres has not noticed yet.
	pools := float64(2*max(4, runtime.NumCPU()) + 2)
	killed := float64(last.kills - first.kills) // each leaves its row in the table process for an hour
	lines = append(lines,
		measure{"connections to RabbitMQ", float64(first.broker), float64(last.broker), float64(first.broker), 1},
		measure{"connections to Postgres", float64(first.database), float64(last.database), max(float64(first.database)+4, pools), 1},
		measure{"bytes for each row of the ledger", float64(first.rowSize), float64(last.rowSize), 1.5*float64(first.rowSize) + 100, 1},
		measure{"rows of other tables", float64(first.others), float64(last.others), float64(first.others) + killed + 5, 1},
		measure{"MiB of other tables", float64(first.othersSize), float64(last.othersSize), float64(first.othersSize) + mebi, mebi},
	)
	var b strings.Builder
	fmt.Fprintf(&b, "\n%-50s %10s %10s %10s\n", "", "first", "end", "allowed")
	for _, l := range lines {
		verdict := "ok"
		if l.last > l.allowed {
			verdict = "GREW"
			s.t.Errorf("%s: %.1f at the end, %.1f after the first minute, at most %.1f are allowed", l.name, l.last/l.unit, l.first/l.unit, l.allowed/l.unit)
		}
		fmt.Fprintf(&b, "%-50s %10.1f %10.1f %10.1f  %s\n", l.name, l.first/l.unit, l.last/l.unit, l.allowed/l.unit, verdict)
	}
	s.t.Log(b.String())
}
