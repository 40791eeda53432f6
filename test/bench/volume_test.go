package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/rabbitmq"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
)

const (
	bulkSize        = 500
	bulkConcurrency = 2
	basePrices      = "POST /V1/products/base-prices"
	sourceItems     = "POST /V1/inventory/source-items"
)

// asOf is the version of all entries.
var asOf = time.Now().UTC().Format(time.RFC3339)

func skuOf(n int) string { return fmt.Sprintf("SKU-%07d", n) }

// bulkShop is a simulated Magento that takes its time by rows, with so many products, which have no price yet.
func bulkShop(t *testing.T, products int, load fakemagento.Load, latency time.Duration) *shop {
	t.Helper()
	s := &shop{magento: fakemagento.New(fakemagento.Options{Token: token})}
	for n := range products {
		s.magento.AddProduct(fakemagento.Product{SKU: skuOf(n), Unpriced: true})
	}
	s.magento.SetLoad(load)
	s.magento.Faults.Set(fault.Plan{Latency: latency})
	server := httptest.NewServer(s.magento)
	t.Cleanup(func() { s.magento.Close(); server.CloseClientConnections(); server.Close() })
	s.magentoURL = server.URL
	return s
}

func priceOf(n int) string { return fmt.Sprintf("%d.%02d", 1+n%900, n%100) }

// pricesBody is a message of the prices of SKUs from one number up to another.
func pricesBody(from, to int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"type":"base","as_of":%q,"prices":[`, asOf)
	for n := from; n < to; n++ {
		if n > from {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"sku":%q,"price":%s,"store_id":0}`, skuOf(n), priceOf(n))
	}
	b.WriteString("]}")
	return b.Bytes()
}

// send puts bodies of any size into the queue.
func (l *line) send(bodies ...[]byte) {
	l.t.Helper()
	conn := l.dial()
	p, err := rabbitmq.NewPublisher(conn)
	if err != nil {
		l.t.Fatal(err)
	}
	defer p.Close()
	for _, body := range bodies {
		if err := p.Publish(l.t.Context(), "", l.topology.Queue(l.consumer), amqp.Publishing{DeliveryMode: amqp.Persistent, Body: body}); err != nil {
			l.t.Fatal(err)
		}
	}
}

// bulk is a running mageline that writes in bulk.
func (l *line) bulk(s *shop) *process {
	l.t.Helper()
	return l.process(folder+"/mageline", s, 64, 16,
		"MAGELINE_MAGENTO_BULK_SIZE="+strconv.Itoa(bulkSize), "MAGELINE_MAGENTO_BULK_CONCURRENCY="+strconv.Itoa(bulkConcurrency))
}

// written waits until so many rows are written, and returns rows a second from the moment at which the first call came.
func (p *process) written(s *shop, endpoint string, rows int) float64 {
	p.l.t.Helper()
	var began time.Time
	for deadline := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		if began.IsZero() && s.magento.Requests()[endpoint]+s.magento.Requests()[endpoint+"-information"] > 0 {
			began = time.Now()
		}
		if s.magento.Rows().Written >= rows {
			return float64(rows) / time.Since(began).Seconds()
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(p.log)
			p.l.t.Fatalf("%d of %d rows are written within %s: %s", s.magento.Rows().Written, rows, patience, log[max(0, len(log)-2000):])
		}
	}
}

// bulkPrices compares price_sync with a loop that posts the same bodies, as many at once, and with a consumer that calls the
// product's endpoint once for each SKU.
func bulkPrices(t *testing.T, out *table) {
	load := fakemagento.Load{RowWritten: size.written, RowRead: size.read}
	n := size.prices
	most := n/bulkSize + 5
	limit := plainPosts(t, load, 0)
	set := fmt.Sprintf("MAGENTO_BULK_SIZE %d, MAGENTO_BULK_CONCURRENCY %d", bulkSize, bulkConcurrency)
	for name, fill := range map[string]func(l *line){
		"one a message": func(l *line) {
			l.fill(n, func() []byte {
				at := int(l.next.Add(1)) - 1
				return pricesBody(at, at+1)
			})
		},
		"one message of all": func(l *line) { l.send(pricesBody(0, n)) },
	} {
		l, s := newLineOf(t, "price_sync", "pricing.sync.requested"), bulkShop(t, n, load, 0)
		fill(l)
		p := l.bulk(s)
		ours := p.written(s, basePrices, n)
		_, _ = p.await(1, time.Millisecond)
		p.stop()
		s.isPriced(t, n)
		calls := s.magento.Requests()[basePrices]
		out.rates(fmt.Sprintf("%d prices, %s, a Magento that takes %s a row; limit: the bare posts", n, name, size.written),
			[]float64{ours}, []float64{limit}, "0.8", set)
		out.add(row{
			fmt.Sprintf("the same, calls of %s", basePrices), strconv.Itoa(calls), strconv.Itoa(most),
			fmt.Sprintf("%.2f", float64(calls)/float64(most)), "at most 1", set,
		})
	}

	l, s := newLineOf(t, "price_sync", "pricing.sync.requested"), bulkShop(t, n, fakemagento.Load{}, size.answer)
	l.fill(n, func() []byte {
		at := int(l.next.Add(1)) - 1
		return pricesBody(at, at+1)
	})
	p := l.bulk(s)
	ours := p.written(s, basePrices, n)
	p.stop()
	out.rates(fmt.Sprintf("%d prices, one a message, a Magento that answers after %s; limit: a call for each SKU, one after the other", n, size.answer),
		[]float64{ours}, []float64{putEach(t)}, "100", set)
}

// isPriced checks that each product has its price.
func (s *shop) isPriced(t *testing.T, n int) {
	t.Helper()
	for at := range n {
		want := decimal.RequireFromString(priceOf(at))
		if got, ok := s.magento.BasePrice(skuOf(at), 0); !ok || !got.Equal(want) {
			t.Fatalf("%s has the price %s, want %s", skuOf(at), got, want)
		}
	}
}

// plainPosts gives rows a second of a loop that posts all prices, as many calls at once as mageline makes.
func plainPosts(t *testing.T, load fakemagento.Load, latency time.Duration) float64 {
	t.Helper()
	s := bulkShop(t, size.prices, load, latency)
	var bodies [][]byte
	for from := 0; from < size.prices; from += bulkSize {
		bodies = append(bodies, pricesBody(from, min(from+bulkSize, size.prices)))
	}
	began := time.Now()
	s.call(t, http.MethodPost, "/V1/products/base-prices", bodies)
	return float64(size.prices) / time.Since(began).Seconds()
}

// call sends bodies to an endpoint, bulkConcurrency at once.
func (s *shop) call(t *testing.T, method, path string, bodies [][]byte) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: bulkConcurrency}}
	defer client.CloseIdleConnections()
	next := make(chan []byte)
	var all sync.WaitGroup
	for range bulkConcurrency {
		all.Go(func() {
			for body := range next {
				if err := s.one(t, client, method, path, body); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for _, body := range bodies {
		next <- body
	}
	close(next)
	all.Wait()
}

func (s *shop) one(t *testing.T, client *http.Client, method, path string, body []byte) error {
	req, err := http.NewRequestWithContext(t.Context(), method, s.magentoURL+"/rest/all"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	answer, err := client.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("the shop answers %s to %s %s", answer.Status, method, path)
	}
	return err
}

// putEach gives SKUs a second of a consumer that writes one after the other, as shops have them in PHP. This one needs no time of
// its own: it has no queue and starts no interpreter.
func putEach(t *testing.T) float64 {
	t.Helper()
	n := min(size.prices, 500)
	s := bulkShop(t, n, fakemagento.Load{}, size.answer)
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	began := time.Now()
	for at := range n {
		body := fmt.Appendf(nil, `{"product":{"sku":%q,"price":%s}}`, skuOf(at), priceOf(at))
		if err := s.one(t, client, http.MethodPut, "/V1/products/"+url.PathEscape(skuOf(at)), body); err != nil {
			t.Fatal(err)
		}
	}
	return float64(n) / time.Since(began).Seconds()
}

// differing is of how many stock rows one differs from what Magento has.
const differing = 50

// bulkStock compares stock_sync, which writes only what differs, with sending all.
func bulkStock(t *testing.T, out *table) {
	n := size.stock
	load := fakemagento.Load{RowWritten: size.stockWritten, RowRead: size.stockRead}
	l, s := newLineOf(t, "stock_sync", "inventory.sync.requested"), bulkShop(t, 0, load, 0)
	for at := range n {
		s.magento.Stock(skuOf(at), decimal.New(10, 0))
	}
	var bodies [][]byte
	for from := 0; from < n; from += bulkSize {
		items := make([]map[string]any, 0, bulkSize)
		for at := from; at < min(from+bulkSize, n); at++ {
			quantity := 10
			if at%differing == 0 {
				quantity = 3
			}
			items = append(items, map[string]any{"sku": skuOf(at), "source_code": "default", "quantity": quantity})
		}
		body, err := json.Marshal(map[string]any{"as_of": asOf, "items": items})
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, body)
	}
	l.send(bodies...)
	p := l.bulk(s)
	began, marks, memory := p.tenths(s, n, len(bodies))
	took := marks[10].Sub(began)
	peak := p.peak()
	p.stop()
	rows := s.magento.Rows()
	for at := range n {
		want := int64(10)
		if at%differing == 0 {
			want = 3
		}
		if got, _, _ := s.magento.SourceItem(skuOf(at), "default"); !got.Equal(decimal.New(want, 0)) {
			t.Fatalf("%s has %s, want %d", skuOf(at), got, want)
		}
	}

	all := time.Duration(float64(n) / plainStock(t, load) * float64(time.Second))
	set := fmt.Sprintf("MAGENTO_BULK_SIZE %d, MAGENTO_BULK_CONCURRENCY %d", bulkSize, bulkConcurrency)
	share := func(name, ours, limit string, ratio float64, wanted string) {
		out.add(row{name, ours, limit, fmt.Sprintf("%.3f", ratio), wanted, set})
	}
	what := fmt.Sprintf("%d stock rows of which 2 %% differ, a Magento that takes %s a row written and %s a row read", n, size.stockWritten, size.stockRead)
	share(what+"; limit: sending all, as many at once", took.Round(time.Second).String(), all.Round(time.Second).String(), took.Seconds()/all.Seconds(), "0.05")
	share("the same, rows written", strconv.Itoa(rows.Written), strconv.Itoa(n), float64(rows.Written)/float64(n), "0.05")
	first, last := marks[1].Sub(marks[0]), marks[10].Sub(marks[9])
	share("the same, time of the last tenth beside the first", last.Round(time.Millisecond).String(), first.Round(time.Millisecond).String(), last.Seconds()/first.Seconds(), "0.85 to 1.15")
	share("the same, peak memory", fmt.Sprintf("%.1f MiB", peak), "96 MiB", peak/96, "under 1")
	share("the same, memory at the end beside a fifth of the way", fmt.Sprintf("%.1f MiB", memory[10]), fmt.Sprintf("%.1f MiB", memory[2]), memory[10]/memory[2], "0.80 to 1.20")
}

// tenths returns when the first call came, and when each tenth of the rows was done, with the memory at that moment.
func (p *process) tenths(s *shop, rows, messages int) (began time.Time, marks [11]time.Time, memory [11]float64) {
	p.l.t.Helper()
	for deadline, tenth := time.Now().Add(10*patience), 0; ; time.Sleep(5 * time.Millisecond) {
		now, read := time.Now(), s.magento.Rows().Read
		if began.IsZero() && read > 0 {
			began = now
		}
		for tenth < 10 && read > 0 && read >= tenth*rows/10 {
			marks[tenth], memory[tenth] = now, p.resident()
			tenth++
		}
		if tenth == 10 && p.acked() >= messages {
			marks[10], memory[10] = now, p.resident()
			return began, marks, memory
		}
		if now.After(deadline) {
			log, _ := os.ReadFile(p.log)
			p.l.t.Fatalf("%+v of %d rows within %s: %s", s.magento.Rows(), rows, 10*patience, log[max(0, len(log)-2000):])
		}
	}
}

// resident is the memory of the process, in MiB.
func (p *process) resident() float64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	kib, _ := strconv.ParseFloat(fields[0], 64)
	return kib / 1024
}

// plainStock gives rows a second of a loop that sends all, from some of the rows: all would take an hour.
func plainStock(t *testing.T, load fakemagento.Load) float64 {
	t.Helper()
	s := bulkShop(t, 0, load, 0)
	n := min(size.stock, 8*bulkSize)
	var bodies [][]byte
	for from := 0; from < n; from += bulkSize {
		var b bytes.Buffer
		b.WriteString(`{"sourceItems":[`)
		for at := from; at < min(from+bulkSize, n); at++ {
			if at > from {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `{"sku":%q,"source_code":"default","quantity":3,"status":1}`, skuOf(at))
		}
		b.WriteString("]}")
		bodies = append(bodies, b.Bytes())
	}
	began := time.Now()
	s.call(t, http.MethodPost, "/V1/inventory/source-items", bodies)
	return float64(n) / time.Since(began).Seconds()
}
