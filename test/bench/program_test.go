package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mageline/mageline/test/kit/fakeerp"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
)

// patience bounds everything that is waited for.
const patience = 5 * time.Minute

const token = "bench-token"

// shop is a simulated Magento and ERP.
type shop struct {
	magento            *fakemagento.Server
	erp                *fakeerp.Server
	magentoURL, erpURL string
	placed             []fakemagento.Placed
	turn               atomic.Int64
}

func newShop(t *testing.T, orders int, latency time.Duration) *shop {
	t.Helper()
	s := &shop{magento: fakemagento.New(fakemagento.Options{Token: token})}
	server := httptest.NewServer(s.magento)
	t.Cleanup(func() { s.magento.Close(); server.Close() })
	s.magentoURL = server.URL
	s.erp, s.erpURL = newERP(t, latency)
	for range orders {
		s.placed = append(s.placed, s.magento.PlaceOrder(fakemagento.Placing{}))
	}
	return s
}

func newERP(t *testing.T, latency time.Duration) (*fakeerp.Server, string) {
	t.Helper()
	e := fakeerp.New(fakeerp.Options{Token: token, Secret: token})
	e.Faults.Set(fault.Plan{Latency: latency})
	server := httptest.NewServer(e)
	t.Cleanup(func() { e.Close(); server.CloseClientConnections(); server.Close() })
	return e, server.URL
}

// body is about the next of the shop's orders, in turn.
func (s *shop) body() []byte {
	return bodyOf(s.placed[int(s.turn.Add(1)-1)%len(s.placed)].IncrementID)
}

// process is one running mageline.
type process struct {
	l       *line
	command *exec.Cmd
	began   time.Time
	log     string
	address string
}

func (l *line) mageline(s *shop, pre, con int) *process {
	l.t.Helper()
	return l.process(filepath.Join(folder, "mageline"), s, pre, con)
}

// process starts a build of the program.
func (l *line) process(program string, s *shop, pre, con int, variables ...string) *process {
	l.t.Helper()
	log, err := os.CreateTemp(folder, "mageline-*.log")
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	p := &process{l: l, log: log.Name(), command: exec.Command(program, "run")} //nolint:gosec,noctx // ours; stop ends it
	for name, value := range map[string]string{
		"AMQP_URL": l.broker.URL, "AMQP_EXCHANGE": l.broker.Exchange, "QUEUE_PREFIX": l.broker.Prefix, "RETRY_DELAYS": "1s",
		"DATABASE_URL": l.database, "MAGENTO_URL": s.magentoURL, "MAGENTO_TOKEN": token, "ERP_URL": s.erpURL,
		"ERP_TOKEN": token, "ERP_SECRET": token, "HTTP_ADDR": "127.0.0.1:0", "CONSUMERS": l.consumer,
		"PREFETCH": strconv.Itoa(pre), "CONCURRENCY": strconv.Itoa(con), "ERP_CONCURRENCY": strconv.Itoa(con),
	} {
		p.command.Env = append(p.command.Env, "MAGELINE_"+name+"="+value)
	}
	p.command.Env = append(p.command.Env, "PATH="+os.Getenv("PATH"), "HOME="+os.Getenv("HOME"))
	p.command.Env = append(p.command.Env, variables...)
	p.command.Stdout, p.command.Stderr = log, log
	p.began = time.Now()
	if err := p.command.Start(); err != nil {
		l.t.Fatal(err)
	}
	return p
}

// stop drains it and waits for its end.
func (p *process) stop() {
	p.l.t.Helper()
	_ = p.command.Process.Signal(syscall.SIGTERM)
	if err := p.command.Wait(); err != nil {
		log, _ := os.ReadFile(p.log)
		p.l.t.Errorf("mageline ended with %v: %s", err, log[max(0, len(log)-2000):])
	}
}

// acked counts the deliveries that went well.
func (p *process) acked() int {
	if p.address == "" {
		log, _ := os.ReadFile(p.log)
		_, rest, ok := strings.Cut(string(log), `"address":"`)
		if !ok {
			return 0
		}
		p.address, _, _ = strings.Cut(rest, `"`)
	}
	ctx, cancel := context.WithTimeout(p.l.t.Context(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.address+"/metrics", nil)
	if err != nil {
		p.l.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer func() { _ = answer.Body.Close() }()
	content, err := io.ReadAll(io.LimitReader(answer.Body, 4<<20))
	if err != nil {
		return 0
	}
	sum := 0
	for text := range strings.Lines(string(content)) {
		for _, outcome := range []string{"acked", "duplicate"} {
			if strings.HasPrefix(text, "mageline_deliveries_total{") && strings.Contains(text, `outcome="`+outcome+`"`) {
				f := strings.Fields(text)
				n, _ := strconv.ParseFloat(f[len(f)-1], 64)
				sum += int(n)
			}
		}
	}
	return sum
}

// await waits until n are acknowledged, and gives how many there were when it first saw any, and when that was.
func (p *process) await(n int, look time.Duration) (before int, first time.Time) {
	p.l.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(look) {
		acked := p.acked()
		if before == 0 && acked > 0 {
			before, first = acked, time.Now()
		}
		if acked >= n {
			return before, first
		}
		if time.Now().After(deadline) {
			p.l.t.Fatalf("mageline has acknowledged %d of %d within %s", acked, n, patience)
		}
	}
}

// peak is the most memory that it ever had resident, in MiB.
func (p *process) peak() float64 {
	p.l.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	if err != nil {
		p.l.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	if err != nil {
		p.l.t.Fatal(err)
	}
	return kib / 1024
}

// endToEnd compares the real program, which reads each order from Magento, sends it to the ERP and comments on it, with a
// client that only sends the same bodies to the same ERP, as many at once.
func endToEnd(t *testing.T, out *table) {
	const pre, con = 64, 16
	set := fmt.Sprintf("PREFETCH %d, CONCURRENCY %d", pre, con)
	var starts []float64
	for _, latency := range []time.Duration{0, size.latency} {
		var ours, limit []float64
		for range size.rounds {
			l, s := newLine(t), newShop(t, size.orders, latency)
			l.fill(size.orders, s.body)
			p := l.mageline(s, pre, con)
			before, first := p.await(1, time.Millisecond)
			starts = append(starts, first.Sub(p.began).Seconds())
			_, _ = p.await(size.orders, 50*time.Millisecond) // to answer costs mageline as much as an order
			ours = append(ours, max(1, float64(size.orders-before))/time.Since(first).Seconds())
			p.stop()
			limit = append(limit, plain(t, s, latency, con))
		}
		out.rates(fmt.Sprintf("order_placed, an ERP that takes %s; limit: plain client of the ERP", latency), ours, limit, "0.5", set)
	}
	out.add(row{"process start to first ack", fmt.Sprintf("%.0f ms", median(starts)*1000), "", "", "", set})
}

// plain sends what the ERP of s was sent to another one, in as many goroutines. It gives calls a second.
func plain(t *testing.T, s *shop, latency time.Duration, goroutines int) float64 {
	t.Helper()
	var calls []fakeerp.Request
	for _, r := range s.erp.Requests() {
		if r.Method == http.MethodPost {
			calls = append(calls, r)
		}
	}
	if len(calls) != size.orders {
		t.Fatalf("the ERP was sent %d orders, want %d", len(calls), size.orders)
	}
	_, url := newERP(t, latency)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: goroutines}}
	defer client.CloseIdleConnections()
	var next atomic.Int64
	errs := make(chan error, goroutines)
	began := time.Now()
	for range goroutines {
		go func() {
			for {
				n := int(next.Add(1)) - 1
				if n >= len(calls) {
					errs <- nil
					return
				}
				if err := post(t.Context(), client, url+calls[n].Path, calls[n]); err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	for range goroutines {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	return float64(len(calls)) / time.Since(began).Seconds()
}

func post(ctx context.Context, client *http.Client, url string, r fakeerp.Request) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(r.Body))
	if err != nil {
		return err
	}
	req.Header = r.Header
	answer, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("the ERP answers %s", answer.Status)
	}
	return nil
}

// drains compares the memory of the real program after few messages and after many. They are about the same orders, which
// are done after their first message: what is left is what every message costs.
func drains(t *testing.T, out *table) {
	const pre, con = 64, 16 // the defaults
	set := fmt.Sprintf("PREFETCH %d, CONCURRENCY %d", pre, con)
	peaks := make([]float64, 2)
	for i, n := range size.drain {
		l, s := newLine(t), newShop(t, size.known, 0)
		l.fill(n, s.body)
		p := l.mageline(s, pre, con)
		_, _ = p.await(n, 20*time.Millisecond)
		peaks[i] = p.peak()
		p.stop()
	}
	for i, n := range size.drain {
		r := row{
			name: fmt.Sprintf("peak memory, draining %d messages", n), ours: fmt.Sprintf("%.1f MiB", peaks[i]), limit: "64 MiB",
			ratio: fmt.Sprintf("%.2f", peaks[i]/64), wanted: "under 1", settings: set,
		}
		out.add(r)
	}
	out.add(row{
		"peak memory, the second beside the first", fmt.Sprintf("%.1f MiB", peaks[1]), fmt.Sprintf("%.1f MiB", peaks[0]),
		fmt.Sprintf("%.2f", peaks[1]/peaks[0]), "0.80 to 1.20", set,
	})
}
