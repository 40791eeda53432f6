package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fakesearch"
)

// catalogue is a shop with products, a search engine, and what happens to the products.
type catalogue struct {
	t      *testing.T
	e      *env.Env
	engine *fakesearch.Server
	n      int
	random *rand.Rand
}

func newCatalogue(t *testing.T, n int) *catalogue {
	t.Helper()
	e := newEnvWith(t, env.Options{Delays: env.ImpatientDelays()}).Impatient()
	c := &catalogue{t: t, e: e, engine: fakesearch.New(fakesearch.Options{Seed: seed}), n: n, random: rand.New(rand.NewPCG(seed, 0))}
	server := httptest.NewServer(c.engine)
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	e.Set("CONSUMERS", "products_exported,price_sync", "SEARCH", "opensearch", "SEARCH_URL", server.URL, "SEARCH_SETTLE", "1s")
	e.Shop.Generate(n)
	return c
}

// remove deletes a product of the shop.
func (c *catalogue) remove(sku string) {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), http.MethodDelete, c.e.Vars["MAGENTO_URL"]+"/rest/all/V1/products/"+url.PathEscape(sku), nil)
	if err != nil {
		c.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+env.ShopToken)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		c.t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		c.t.Fatalf("delete %s: %d", sku, answer.StatusCode)
	}
}

func (c *catalogue) sku() string { return fakemagento.GeneratedSKU(c.random.IntN(c.n)) }

// events publishes changes, deletions and prices until stop is called, and returns when none is on its way.
func (c *catalogue) events() (stop func()) {
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
			}
			sku := c.sku()
			switch n % 8 {
			case 0:
				if c.e.Shop.Product(sku, 1) != nil {
					c.remove(sku)
					c.e.Publish("catalog.products.deleted", fmt.Sprintf(`{"skus":[%q]}`, sku))
				}
			case 1, 2, 3:
				c.e.Publish("pricing.sync.requested", fmt.Sprintf(`{"type":"base","as_of":%q,"prices":[{"sku":%q,"price":%d.25}]}`,
					time.Now().UTC().Format(time.RFC3339Nano), sku, 10+c.random.IntN(900)))
			default:
				c.e.Shop.SetBasePrice(sku, 0, decimal.New(int64(1000+c.random.IntN(90000)), -2))
				c.e.Publish("catalog.products.exported", fmt.Sprintf(`{"skus":[%q]}`, sku))
			}
		}
	})
	return func() { close(done); running.Wait() }
}

// differs names a product whose document is not as the shop has it; "" if there is none.
func (c *catalogue) differs() string {
	docs := c.engine.Documents("products")
	visible := 0
	for n := range c.n {
		sku := fakemagento.GeneratedSKU(n)
		raw := c.e.Shop.Product(sku, 1)
		var p struct {
			Status     int             `json:"status"`
			Visibility int             `json:"visibility"`
			Type       string          `json:"type_id"`
			Price      decimal.Decimal `json:"price"`
		}
		if raw != nil {
			if err := json.Unmarshal(raw, &p); err != nil {
				return err.Error()
			}
		}
		want := raw != nil && p.Status == 1 && p.Visibility != 1
		doc, has := docs[sku]
		if want != has {
			return fmt.Sprintf("%s: in the shop %t, in the index %t", sku, want, has)
		}
		if !want {
			continue
		}
		visible++
		var d struct {
			Price decimal.Decimal `json:"price"`
		}
		if err := json.Unmarshal(doc.Source, &d); err != nil {
			return err.Error()
		}
		if (p.Type == "simple" || p.Type == "virtual") && !d.Price.Equal(p.Price) {
			return fmt.Sprintf("%s: price %s in the shop, %s in the index", sku, p.Price, d.Price)
		}
	}
	if len(docs) != visible {
		return fmt.Sprintf("%d documents of %d products", len(docs), visible)
	}
	return ""
}

func (c *catalogue) awaitEqual() {
	c.t.Helper()
	c.e.AwaitEmpty()
	differs := ""
	defer func() {
		if differs != "" {
			c.t.Log(differs)
		}
	}()
	kit.Eventually(c.t, env.Patience, func() bool { differs = c.differs(); return differs == "" }, "an index that has the catalogue")
}

// killed runs a command and kills it once the condition holds. It returns false if the command ended before.
func (c *catalogue) killed(when func() bool, args ...string) bool {
	c.t.Helper()
	command, log := program.Command(c.t, c.e.Vars, args...)
	defer log.Close() //nolint:errcheck // only written
	if err := command.Start(); err != nil {
		c.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = command.Wait() }()
	for {
		select {
		case <-ended:
			return false
		case <-time.After(5 * time.Millisecond):
		}
		if when() {
			_ = command.Process.Kill()
			<-ended
			return true
		}
	}
}

func TestReindex_KilledTwiceAmongChangesEndsWithTheCatalogue(t *testing.T) {
	for _, swap := range []bool{false, true} {
		t.Run(map[bool]string{false: "in place", true: "swapped"}[swap], func(t *testing.T) {
			t.Parallel()
			t.Logf("MAGELINE_E2E_PRODUCTS=%d MAGELINE_E2E_SEED=%d", catalogued, seed)
			c := newCatalogue(t, catalogued)
			c.e.Run(2)
			if out := c.e.MustCall("reindex"); !strings.Contains(out, fmt.Sprintf("%d", c.e.Shop.Generated())) {
				t.Errorf("%s", out)
			}
			c.awaitEqual()
			// Some are deleted and nobody tells: the reindex finds out. All have another price, so that there is something to write.
			for n := range 5 {
				c.remove(fakemagento.GeneratedSKU(8 + 20*n))
			}
			for n := range c.n {
				c.e.Shop.SetBasePrice(fakemagento.GeneratedSKU(n), 0, decimal.New(int64(2000+n%5000), -2))
			}
			stop := c.events()
			args := []string{"reindex"}
			if swap {
				args = append(args, "--swap")
			}
			for n := range 2 {
				base := c.engine.Writes()
				if !c.killed(func() bool { return c.engine.Writes() > base+catalogued/5 }, args...) {
					t.Logf("it ended before it was killed for the %d. time", n+1)
				}
				args = []string{"reindex", "--resume"}
				if n == 0 && !swap {
					args = []string{"reindex"} // from the beginning
				}
			}
			out := c.e.MustCall(args...)
			t.Log(out)
			stop()
			c.awaitEqual()
			if swap && len(c.engine.Indexes()) != 2 {
				t.Errorf("indexes %v: want the new and the old one", c.engine.Indexes())
			}
			found := c.e.MustCall("check")
			for _, want := range []string{"OK search engine", "OK search index products, mapping", "OK search index products, fields", "OK search index products, documents"} {
				if !strings.Contains(found, want) {
					t.Errorf("check says no %q:\n%s", want, found)
				}
			}
			c.e.Finish()
		})
	}
}
