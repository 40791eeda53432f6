package faults

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/handlers/products"
	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakesearch"
	"github.com/mageline/mageline/test/kit/fault"
)

// catalogue is a search engine that the world's products are written to.
type catalogue struct {
	w      *world
	engine *fakesearch.Server
}

// index gives the world a search engine.
func (w *world) index() *catalogue {
	engine := fakesearch.New(fakesearch.Options{Seed: fakeSeed})
	server := httptest.NewServer(engine)
	w.t.Cleanup(server.Close)
	w.Set("SEARCH", "opensearch", "SEARCH_URL", server.URL)
	return &catalogue{w, engine}
}

// has reports whether the index has a version of a product.
func (c *catalogue) has(sku string, version int) bool {
	d, ok := c.engine.Document("products", sku)
	return ok && strings.Contains(string(d.Source), fmt.Sprintf(`"name":"version %d"`, version))
}

// version publishes a version of products. It is done when the index has one of that version, or a newer one.
func (c *catalogue) version(version int, skus ...string) {
	at := time.Date(2026, 1, 1, 0, 0, version, 0, time.UTC)
	var rows []string
	for n, sku := range skus {
		rows = append(rows, fmt.Sprintf(`{"id":%d,"sku":%q,"name":"version %d","type_id":"simple","status":1,"visibility":4}`, n+1, sku, version))
	}
	body := fmt.Sprintf(`{"as_of":%q,"products":[%s]}`, at.Format(time.RFC3339), strings.Join(rows, ","))
	s := c.w.publishTo(products.TopicExported, "", amqp.Publishing{Body: []byte(body)})
	s.done = func() bool {
		for _, sku := range skus {
			if d, ok := c.engine.Document("products", sku); !isUnknown(sku) && (!ok || d.Version < at.UnixMilli()) {
				return false
			}
		}
		return true
	}
}

// isNewest waits until the index has the newest version of each product.
func (c *catalogue) isNewest(version int, skus []string) {
	c.w.t.Helper()
	kit.Eventually(c.w.t, env.Patience, func() bool {
		for _, sku := range skus {
			if !c.has(sku, version) {
				return false
			}
		}
		return true
	}, "the newest version of each product in the index")
}

func productSKUs(n int) (skus []string) {
	for i := range n {
		skus = append(skus, fmt.Sprint("P", i))
	}
	return skus
}

var searchFaults = []*scenario{
	{number: 54, name: "a bulk call of the search engine fails for some of its documents", env: []string{"BREAKER_FAILURES", "0"}, run: func(w *world) {
		c := w.index()
		c.engine.FailItems(fakesearch.ItemFault{OneIn: 4})
		w.Run(2)
		skus := productSKUs(30)
		const versions = 3
		for version := 1; version <= versions; version++ {
			for n := 0; n < len(skus); n += 5 {
				c.version(version, skus[n:n+5]...)
			}
		}
		c.isNewest(versions, skus)
		c.engine.FailItems(fakesearch.ItemFault{Every: 1, Status: http.StatusBadRequest, Type: "strict_dynamic_mapping_exception", Only: isUnknown})
		c.version(versions+1, append([]string{"unknown-1"}, skus...)...)
		w.parked++
		c.isNewest(versions+1, skus)
	}},
	{number: 55, name: "versions of one product at the same time, and the search engine's answer for one is lost", run: func(w *world) {
		c := w.index()
		w.Run(2)
		skus := productSKUs(3)
		c.version(1, skus...)
		c.isNewest(1, skus)
		c.engine.Faults.Set(fault.Plan{Only: func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/_bulk") }, Chances: []fault.Chance{{OneIn: 3, Fault: fault.Fault{Kind: fault.Drop}}}})
		const versions = 8
		for _, n := range rand.New(rand.NewPCG(fakeSeed, 55)).Perm(versions) {
			c.version(n+2, skus...)
			c.version(n+2, skus...)
		}
		c.isNewest(versions+1, skus)
		c.engine.Faults.Set(fault.Plan{})
	}},
}
