package bulk_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/handlers/bulk"
	"github.com/mageline/mageline/internal/pg"
	"github.com/mageline/mageline/internal/watermark"
	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/migrations"
	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

// rig is a shop, a database and the handlers between them. It hands messages to a handler as package consumer does, a message at a
// time and in the order of its kinds.
type rig struct {
	t      *testing.T
	Shop   *fakemagento.Server
	Store  *watermark.Store
	Prices *bulk.PriceHandler
	Stock  *bulk.StockHandler
	Meter  *meter
	repeat bool
	id     int
}

type meter struct {
	mu      sync.Mutex
	entries map[string]int
	calls   int
	sizes   map[string]int
}

func (m *meter) Entries(_, outcome string, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries[outcome] += n
}

func (m *meter) Called(string, int, time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
}

func (m *meter) Size(kind string, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sizes[kind] = n
}

// How long nothing is written after a call was given up, and after how long a call is given up by those who have little patience.
const (
	afterLost  = time.Second
	impatience = 3 * time.Second
)

// noChanges records nothing.
type noChanges struct{}

func (noChanges) Coming(context.Context, []string) error { return nil }
func (noChanges) Done(context.Context, []string) error   { return nil }

func newRig(t *testing.T, o fakemagento.Options, skus ...string) *rig {
	t.Helper()
	return newRigWith(t, o, time.Minute, skus...)
}

// newRigWith makes one whose calls are given up after a time.
func newRigWith(t *testing.T, o fakemagento.Options, giveUp time.Duration, skus ...string) *rig {
	t.Helper()
	url := kit.Database(t)
	if _, err := migrations.Up(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	parsed, err := pg.Parse(url, "")
	if err != nil {
		t.Fatal(err)
	}
	db, err := parsed.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	o.Token = "t"
	shop := fakemagento.New(o)
	server := httptest.NewServer(shop)
	t.Cleanup(server.Close)
	t.Cleanup(shop.Close)
	client, err := magentoapi.New(server.URL, magentoapi.Options{
		HTTPClient: &http.Client{Timeout: giveUp}, Retries: magentoapi.NoRetries,
		Auth: magentoapi.Bearer(func() (string, error) { return "t", nil }),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, sku := range skus {
		shop.AddProduct(fakemagento.Product{SKU: sku})
	}
	process := pg.NewProcess("p")
	r := &rig{
		t: t, Shop: shop, Meter: &meter{entries: map[string]int{}, sizes: map[string]int{}},
		Store: &watermark.Store{DB: db, Process: process, Lease: time.Minute, Timeout: afterLost},
	}
	line := bulk.Line{
		Changes:    noChanges{},
		Watermarks: r.Store, Slots: &pg.Slots{DB: db, Process: process, Name: "bulk call", N: 2, TTL: time.Minute}, Meter: r.Meter,
		Sizes: bulk.NewSizes(500, 10*time.Second, r.Meter.Size),
	}
	facts := &bulk.Shop{Modules: client.Modules, Stores: client.Stores, Inventory: client.Inventory}
	r.Prices = &bulk.PriceHandler{Line: line, Prices: client.Prices, Shop: facts}
	r.Prices.Rules.PerWebsite = o.PriceScope == fakemagento.ScopeWebsite
	r.Stock = &bulk.StockHandler{Line: line, Sources: client.Inventory, Legacy: client.StockItems, Shop: facts}
	return r
}

func (r *rig) sendAll() {
	r.Prices.All, r.Stock.All = true, true
}

func at(n int) string { return time.Date(2026, 1, 1, 0, 0, n, 0, time.UTC).Format(time.RFC3339) }

// price hands over a message of prices of version n.
func (r *rig) price(kind string, n int, rows string, more ...string) result {
	r.t.Helper()
	return r.handle(r.Prices, `{"type":"`+kind+`","as_of":"`+at(n)+`",`+strings.Join(append(more, `"prices":[`+rows+`]`), ",")+`}`)
}

func (r *rig) stock(n int, rows string) result {
	r.t.Helper()
	return r.handle(r.Stock, `{"as_of":"`+at(n)+`","items":[`+rows+`]}`)
}

// result is what became of the entries of a message, a word for each in the order of the list: its outcome or the class of its error.
type result struct {
	words  []string
	errs   []error
	letter string // of what was rejected
}

func (s result) String() string { return strings.Join(s.words, " ") }

func (r *rig) handle(h consumer.BatchHandler, body string) (s result) {
	r.t.Helper()
	r.id++
	id := r.id
	if r.repeat {
		id = 1
	}
	ctx := event.WithHandling(r.t.Context(), event.Handling{Message: func() string { return fmt.Sprint("m", id) }})
	e := event.Event{Body: json.RawMessage(body), Repeat: r.repeat}
	entries, err := h.Entries(ctx, e)
	if err != nil {
		r.t.Fatal(err)
	}
	s.words, s.errs = make([]string, len(entries)), make([]error, len(entries))
	kinds := map[string][]int{}
	for n, one := range entries {
		if s.errs[n] = one.Err; one.Err == nil {
			kinds[one.Kind] = append(kinds[one.Kind], n)
		}
	}
	for kind, of := range kinds {
		r.call(ctx, h, kind, entries, of, &s)
	}
	var rejected []consumer.Rejection
	for n, err := range s.errs {
		if err == nil {
			continue
		}
		s.words[n] = string(event.ClassOf(err))
		if event.ClassOf(err).Poison() {
			rejected = append(rejected, consumer.Rejection{Index: n, Entry: entries[n], Err: err})
		}
	}
	if len(rejected) > 0 {
		letter, err := h.Letter(e, rejected)
		if err != nil {
			r.t.Fatal(err)
		}
		s.letter = string(letter)
	}
	return s
}

// call makes a call with entries, and halves that fail over what is in it, as the runtime does.
func (r *rig) call(ctx context.Context, h consumer.BatchHandler, kind string, entries []consumer.Entry, of []int, s *result) {
	r.t.Helper()
	c := consumer.Call{Kind: kind}
	for _, n := range of {
		c.Entries = append(c.Entries, entries[n])
	}
	results, err := h.Write(ctx, c)
	if err != nil && event.ClassOf(err).Poison() && len(of) > 1 {
		r.call(ctx, h, kind, entries, of[:len(of)/2], s)
		r.call(ctx, h, kind, entries, of[len(of)/2:], s)
		return
	}
	for i, n := range of {
		if err != nil {
			s.errs[n] = err
			continue
		}
		s.errs[n] = results[i].Err
		s.words[n] = string(results[i].Outcome)
	}
}

// base wants a base price in the shop.
func (r *rig) base(sku string, store int, want string) {
	r.t.Helper()
	got, ok := r.Shop.BasePrice(sku, store)
	if !ok || !got.Equal(decimal.RequireFromString(want)) {
		r.t.Errorf("the price of %s in store %d is %s (%t), want %s", sku, store, got, ok, want)
	}
}

func (r *rig) want(got result, want string) {
	r.t.Helper()
	if got.String() != want {
		r.t.Errorf("got %s, want %s: %v", got, want, got.errs)
	}
}

// requests counts the requests to an endpoint so far.
func (r *rig) requests(endpoint string) int {
	n := 0
	for call, times := range r.Shop.Requests() {
		if strings.HasSuffix(call, endpoint) {
			n += times
		}
	}
	return n
}

func sorted(words ...string) []string { return slices.Sorted(slices.Values(words)) }
