package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/test/kit/fakebusinesscentral"
	"github.com/mageline/mageline/test/kit/fakefinops"
	"github.com/mageline/mageline/test/kit/fakesap"
)

// erpOf is an ERP beside which orders are measured.
type erpOf struct {
	name  string
	open  func() (handler http.Handler, end func())
	codes string
	vars  func(url string) []string
}

var erps = []erpOf{
	{
		"sap", func() (http.Handler, func()) {
			f := fakesap.New(fakesap.Options{Username: "MAGELINE", Password: token})
			return f, f.Close
		},
		"stores: {\"*\": {sales_organization: \"1010\", channel: \"10\", division: \"00\"}}\npayment_methods: {\"*\": \"0001\"}\nshipping_methods: {\"*\": \"01\"}\n" +
			"tax: {\"*\": \"1\"}\naccounts: {guests: \"10100001\", shipping: HD00}\n",
		func(url string) []string {
			return []string{"ERP=sap", "SAP_URL=" + url, "SAP_USERNAME=MAGELINE", "SAP_PASSWORD=" + token}
		},
	},
	{
		"businesscentral", func() (http.Handler, func()) {
			f := fakebusinesscentral.New(fakebusinesscentral.Options{})
			return f, f.Close
		},
		"tax: {\"*\": STANDARD}\nunits: {\"*\": PCS}\naccounts: {guests: GUESTS, shipping: \"8400\", rounding: \"8470\"}\n",
		func(url string) []string {
			return []string{
				"ERP=businesscentral", "BUSINESSCENTRAL_URL=" + url + fakebusinesscentral.Base, "BUSINESSCENTRAL_COMPANY=" + fakebusinesscentral.CompanyID,
				"BUSINESSCENTRAL_TOKEN_URL=" + url + fakebusinesscentral.TokenPath, "BUSINESSCENTRAL_CLIENT_ID=" + fakebusinesscentral.ClientID,
				"BUSINESSCENTRAL_CLIENT_SECRET=" + fakebusinesscentral.ClientSecret,
			}
		},
	},
	{
		"finops", func() (http.Handler, func()) {
			f := fakefinops.New(fakefinops.Options{})
			return f, f.Close
		},
		"stores: {\"*\": {site: \"1\", warehouse: \"11\"}}\ntax: {\"*\": FULL}\naccounts: {guests: GUESTS, shipping: FREIGHT, rounding: ROUND}\n",
		func(url string) []string {
			return []string{
				"ERP=finops", "FINOPS_URL=" + url, "FINOPS_COMPANY=" + fakefinops.Company, "FINOPS_TOKEN_URL=" + url + fakefinops.TokenPath,
				"FINOPS_SCOPE=" + fakefinops.Scope, "FINOPS_CLIENT_ID=" + fakefinops.ClientID, "FINOPS_CLIENT_SECRET=" + fakefinops.ClientSecret,
			}
		},
	},
}

// tape stands before an ERP, takes latency for each request, and remembers what it was sent: the requests of one order bear
// one trace. Without an ERP it answers after the same time, whatever it is sent.
type tape struct {
	erp     http.Handler
	latency time.Duration

	mu     sync.Mutex
	orders map[string][]taped // by trace
}

type taped struct {
	method, url string
	header      http.Header
	body        []byte
	status      int
}

func (p *tape) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	time.Sleep(p.latency)
	if p.erp == nil {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"d":{"results":[]},"value":[]}`)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	answer := httptest.NewRecorder()
	p.erp.ServeHTTP(answer, r)
	one := taped{r.Method, r.URL.RequestURI(), r.Header.Clone(), body, answer.Code}
	_, trace, _ := strings.Cut(r.Header.Get("traceparent"), "-")
	trace, _, _ = strings.Cut(trace, "-")
	p.mu.Lock()
	p.orders[trace] = append(p.orders[trace], one)
	p.mu.Unlock()
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

// besideERPs compares the real program, with each of the ERPs that are no webhook, with a client that makes the same requests,
// those of an order one after the other and as many orders at once, and nothing else. The client's ERP answers after the same
// time without any work, so that the limit is a little too high.
func besideERPs(t *testing.T, out *table) {
	const pre, con = 64, 16
	for _, e := range erps {
		t.Run(e.name, func(t *testing.T) {
			var ours, limit []float64
			requests := 0.0 // of an order
			for range size.rounds {
				l, s := newLine(t), newShop(t, size.orders, 0)
				handler, end := e.open()
				p := &tape{erp: handler, latency: size.latency, orders: map[string][]taped{}}
				server := httptest.NewServer(p)
				codes := filepath.Join(t.TempDir(), "codes.yaml")
				if err := os.WriteFile(codes, []byte(e.codes), 0o600); err != nil {
					t.Fatal(err)
				}
				// These carry out at once what they are sent: a message that RabbitMQ delivers again need not wait for it.
				variables := []string{"MAGELINE_ERP_MAPPING=" + codes, "MAGELINE_ERP_UNCERTAIN_WAIT=1s"}
				for _, v := range e.vars(server.URL) {
					variables = append(variables, "MAGELINE_"+v)
				}
				l.publish(size.orders, func() amqp.Publishing {
					n := s.turn.Add(1) - 1
					return amqp.Publishing{
						DeliveryMode: amqp.Persistent, Body: bodyOf(s.placed[n].IncrementID),
						Headers: amqp.Table{"traceparent": fmt.Sprintf("00-%032x-%016x-01", n+1, n+1)},
					}
				})
				program := l.process(filepath.Join(folder, "mageline"), s, pre, con, variables...)
				before, first := program.await(1, time.Millisecond)
				_, _ = program.await(size.orders, 50*time.Millisecond)
				ours = append(ours, max(1, float64(size.orders-before))/time.Since(first).Seconds())
				program.stop()
				end()
				server.CloseClientConnections()
				server.Close()
				var rate float64
				rate, requests = p.play(t, con)
				limit = append(limit, rate)
			}
			out.rates(fmt.Sprintf("order_placed, %s that takes %s; limit: a client that makes the same requests", e.name, size.latency), ours, limit, "0.5",
				fmt.Sprintf("PREFETCH %d, CONCURRENCY %d, ERP_CONCURRENCY %d; %.1f requests an order", pre, con, con, requests))
		})
	}
}

// play makes the taped requests of each order again, and returns orders a second and how many requests an order has.
func (p *tape) play(t *testing.T, goroutines int) (rate, requests float64) {
	t.Helper()
	server := httptest.NewServer(&tape{latency: p.latency})
	defer server.Close()
	orders := slices.DeleteFunc(slices.Collect(maps.Values(p.orders)), func(all []taped) bool {
		return !slices.ContainsFunc(all, func(r taped) bool { return r.method == http.MethodPost && r.status == http.StatusCreated })
	})
	if len(orders) != size.orders {
		t.Fatalf("the requests are of %d orders, want %d", len(orders), size.orders)
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: goroutines}}
	defer client.CloseIdleConnections()
	var next atomic.Int64
	var working sync.WaitGroup
	began := time.Now()
	for range goroutines {
		working.Go(func() {
			for n := int(next.Add(1)) - 1; n < len(orders); n = int(next.Add(1)) - 1 {
				for _, r := range orders[n] {
					if err := r.send(t.Context(), client, server.URL); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	working.Wait()
	rate = float64(len(orders)) / time.Since(began).Seconds()
	for _, order := range orders {
		requests += float64(len(order)) / float64(len(orders))
	}
	return rate, requests
}

func (r taped) send(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, r.method, url+r.url, bytes.NewReader(r.body))
	if err != nil {
		return err
	}
	req.Header = r.header.Clone()
	answer, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}
