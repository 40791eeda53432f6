package products_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/handlers/products"
	"github.com/mageline/mageline/internal/documents"
	"github.com/mageline/mageline/internal/indexes"
	"github.com/mageline/mageline/internal/pg"
	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/migrations"
	"github.com/mageline/mageline/search"
	"github.com/mageline/mageline/search/elastic"
	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fakesearch"
)

var databases = kit.Databases{Migrate: func(ctx context.Context, url string) error {
	_, err := migrations.Up(ctx, url)
	return err
}}

func TestMain(m *testing.M) {
	code := m.Run()
	if err := databases.Close(); err != nil && code == 0 {
		code = 1
	}
	os.Exit(code)
}

// rig is a shop, an engine, a database and the handler between them.
type rig struct {
	t       *testing.T
	Shop    *fakemagento.Server
	Engine  *fakesearch.Server
	DB      *pg.DB
	Store   *documents.Store
	Changes *documents.Changes
	Handler *products.Handler
	Client  *magentoapi.Client
	elastic *elastic.Client
	meter   *meter

	engineURL string
}

type meter struct {
	mu   sync.Mutex
	of   map[string]int
	cuts map[string]int
	read int
}

func (m *meter) Documents(index, outcome string, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of[index+" "+outcome] += n
}

func (m *meter) Cut(index, field string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cuts[index+" "+field]++
}

func (m *meter) Read(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.read += n
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// threeStores are two store views of one website, and one of another.
var threeStores = []fakemagento.Store{
	{ID: 1, Code: "en", Name: "English", WebsiteID: 1, Locale: "en_US", Timezone: "Europe/Berlin", BaseCurrency: "EUR"},
	{ID: 2, Code: "de", Name: "Deutsch", WebsiteID: 1, Locale: "de_DE", Timezone: "Europe/Berlin", BaseCurrency: "EUR"},
	{ID: 3, Code: "ch", Name: "Schweiz", WebsiteID: 2, Locale: "de_CH", Timezone: "Europe/Zurich", BaseCurrency: "CHF"},
}

func newRig(t *testing.T, o fakemagento.Options, stores ...products.StoreIndex) *rig {
	t.Helper()
	parsed, err := pg.Parse(databases.Take(t), "")
	must(t, err)
	db, err := parsed.Open(t.Context())
	must(t, err)
	t.Cleanup(db.Close)
	r := &rig{t: t, Shop: fakemagento.New(o), Engine: fakesearch.New(fakesearch.Options{}), DB: db, Store: &documents.Store{DB: db}}
	r.meter = &meter{of: map[string]int{}, cuts: map[string]int{}}
	r.Changes = &documents.Changes{Store: r.Store, Settle: time.Hour}
	shop := httptest.NewServer(r.Shop)
	t.Cleanup(shop.Close)
	t.Cleanup(r.Shop.Close)
	engine := httptest.NewServer(r.Engine)
	t.Cleanup(engine.Close)
	r.engineURL = engine.URL
	r.Client, err = magentoapi.New(shop.URL, magentoapi.Options{HTTPClient: &http.Client{Timeout: time.Minute}, Retries: magentoapi.NoRetries})
	must(t, err)
	r.elastic, err = elastic.New(elastic.Options{URLs: []string{engine.URL}})
	must(t, err)
	if len(stores) == 0 {
		stores = []products.StoreIndex{{Index: "products"}}
	}
	r.Handler = r.replica(stores)
	return r
}

// replica is a handler as another process has it.
func (r *rig) replica(stores []products.StoreIndex) *products.Handler {
	return &products.Handler{
		Engine: r.elastic, Documents: r.Store, Indexes: &indexes.Store{DB: r.DB}, Changes: r.Changes, Meter: r.meter, SkipUnchanged: true,
		Shop: &products.Shop{
			Indexes: stores, Suffix: ".html", Location: time.UTC,
			View: func(code string) (products.StoreView, error) {
				c, err := r.Client.Store(code)
				if err != nil {
					return products.StoreView{}, err
				}
				return products.StoreView{Products: c.Products, Attributes: c.Attributes, Categories: c.Categories}, nil
			},
			Stores: r.Client.Stores, Inventory: r.Client.Inventory, StockItems: r.Client.StockItems,
		},
	}
}

// results handles one message, and returns how its entries ended.
func (r *rig) results(h *products.Handler, topic, body string) []consumer.Result {
	r.t.Helper()
	results, err := r.handle(h, topic, body)
	must(r.t, err)
	return results
}

func (r *rig) handle(h *products.Handler, topic, body string) ([]consumer.Result, error) {
	events, err := event.Decode([]byte(body), event.Products)
	if err != nil {
		return nil, err
	}
	var (
		all  []consumer.Result
		call consumer.Call
	)
	for _, raw := range events {
		entries, err := h.Entries(r.t.Context(), event.Event{Topic: topic, Body: raw})
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.Err != nil {
				all = append(all, consumer.Result{Err: e.Err})
				continue
			}
			call.Entries = append(call.Entries, e)
		}
	}
	if len(call.Entries) == 0 {
		return all, nil
	}
	results, err := h.Write(r.t.Context(), call)
	return append(all, results...), err
}

// export has products read, and wants all of them to end so.
func (r *rig) export(want event.Outcome, skus ...string) {
	r.t.Helper()
	r.send(products.TopicExported, want, skus, "")
}

func (r *rig) send(topic string, want event.Outcome, skus []string, more string) {
	r.t.Helper()
	list, err := json.Marshal(skus)
	must(r.t, err)
	for i, result := range r.results(r.Handler, topic, fmt.Sprintf(`{"skus":%s%s}`, list, more)) {
		if result.Err != nil || result.Outcome != want {
			r.t.Errorf("%s %s: %s, %v; want %s", topic, skus[i], result.Outcome, result.Err, want)
		}
	}
}

// document returns one of an index; nil if there is none.
func (r *rig) document(index, sku string) *search.Document {
	r.t.Helper()
	d, ok := r.Engine.Document(index, sku)
	if !ok {
		return nil
	}
	var doc search.Document
	must(r.t, json.Unmarshal(d.Source, &doc))
	return &doc
}

func basePrice(sku, price string) []magentoapi.BasePrice {
	return []magentoapi.BasePrice{{SKU: sku, Price: decimal.RequireFromString(price)}}
}

// rejects refuses one document for good.
func rejects(sku string) fakesearch.ItemFault {
	return fakesearch.ItemFault{Every: 1, Status: http.StatusBadRequest, Type: "strict_dynamic_mapping_exception", Only: func(id string) bool { return id == sku }}
}

// deleteIndexes deletes all indexes, as an operator does.
func (r *rig) deleteIndexes() {
	r.t.Helper()
	for _, name := range r.Engine.Indexes() {
		req, err := http.NewRequestWithContext(r.t.Context(), http.MethodDelete, r.engineURL+"/"+name, nil)
		must(r.t, err)
		answer, err := http.DefaultClient.Do(req)
		must(r.t, err)
		must(r.t, answer.Body.Close())
	}
}
