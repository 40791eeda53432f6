package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mageline/mageline/handlers/products"
	"github.com/mageline/mageline/internal/lists"
	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fakesearch"
	"github.com/mageline/mageline/test/kit/private"
	"github.com/mageline/mageline/test/kit/replica"
)

// withEngine gives an environment a search engine.
func withEngine(t *testing.T, e *env.Env, pairs ...string) *fakesearch.Server {
	t.Helper()
	engine := fakesearch.New(fakesearch.Options{Seed: seed})
	server := httptest.NewServer(engine)
	t.Cleanup(server.Close)
	e.Set(append([]string{"SEARCH", "opensearch", "SEARCH_URL", server.URL}, pairs...)...)
	return engine
}

// nameOf returns the name that a document has; "" if there is none.
func nameOf(t *testing.T, engine *fakesearch.Server, sku string) string {
	t.Helper()
	d, ok := engine.Document("products", sku)
	if !ok {
		return ""
	}
	var m struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(d.Source, &m); err != nil {
		t.Fatal(err)
	}
	return m.Name
}

// productVersions are how many versions each product has.
const productVersions = 10

// stream is changes of products, each with the version that it is of.
type stream struct {
	random *rand.Rand
	bodies []publishing
	newest map[string]string // the name that each is to have; "" for one that is deleted
}

type publishing struct{ topic, body string }

// change adds a version of a product: as Magento serialises it, or a deletion. Some versions have the same content.
func (s *stream) change(n, version int) {
	sku := fmt.Sprintf("SKU-%05d", n)
	at := time.Date(2026, 1, 1, 0, 0, version, 0, time.UTC).Format(time.RFC3339)
	if s.random.IntN(5) == 0 {
		s.bodies = append(s.bodies, publishing{products.TopicDeleted, fmt.Sprintf(`{"as_of":%q,"skus":[%q]}`, at, sku)})
		s.newest[sku] = ""
		return
	}
	name := fmt.Sprint("Jacket ", s.random.IntN(3))
	s.bodies = append(s.bodies, publishing{products.TopicExported, fmt.Sprintf(
		`{"as_of":%q,"products":[{"id":%d,"sku":%q,"name":%q,"type_id":"simple","status":1,"visibility":4,"price":10,"custom_attributes":[],"extension_attributes":[]}]}`, at, n+1, sku, name)})
	s.newest[sku] = name
}

// Changes of products arrive in any order, on two replicas that are killed, at an engine that throttles one item in twenty, forgets
// all deletions when it restarts, and loses answers: in the end the newest version of each product is in the index.
func TestProducts_TheNewestVersionWins(t *testing.T) {
	t.Parallel()
	t.Logf("MAGELINE_E2E_UPDATES=%d MAGELINE_E2E_SEED=%d", updates, seed)
	o := env.Options{Delays: env.ImpatientDelays()}
	var node *private.RabbitMQ
	if large() {
		node = ownRabbitMQ(t)
		o.Queues = kit.BrokerAt(t, node.URL)
	}
	e := newEnvWith(t, o).Impatient()
	engine := withEngine(t, e, "CONSUMERS", "products_exported", "BREAKER_FAILURES", "0")
	engine.FailItems(fakesearch.ItemFault{OneIn: 20})
	e.MustCall("topology")

	s := &stream{random: rand.New(rand.NewPCG(seed, 7)), newest: map[string]string{}}
	for n := range max(1, updates/productVersions) {
		for version := range productVersions {
			s.change(n, version)
		}
	}
	s.random.Shuffle(len(s.bodies), func(i, j int) { s.bodies[i], s.bodies[j] = s.bodies[j], s.bodies[i] })
	for _, one := range s.bodies {
		e.Publish(one.topic, one.body)
	}
	settled := func() bool {
		if now, later := e.Left(); now+later > 0 {
			return false
		}
		return !slices.ContainsFunc(e.Replicas, func(r *replica.Replica) bool { return r.Running() && r.Metric("mageline_in_flight") > 0 })
	}
	all, _ := e.Left()
	running := e.Run(2)
	for n := range rounds() {
		kit.Eventually(t, 20*env.Patience, func() bool {
			now, _ := e.Left()
			return now <= all*(rounds()-n)/(rounds()+1)
		}, "a part of the messages is taken")
		engine.Restart()
		running[n%2].Kill()
		running[n%2] = e.Start()
	}
	kit.Eventually(t, 20*env.Patience, settled, "every message is settled")
	e.Lasting("nothing more comes", settled)
	e.StopReplicas()
	wrong := 0
	for sku, want := range s.newest {
		if got := nameOf(t, engine, sku); got != want {
			if wrong++; wrong <= 5 {
				t.Errorf("%s is %q in the index, want %q", sku, got, want)
			}
		}
	}
	if wrong > 0 {
		t.Errorf("%d of %d are wrong", wrong, len(s.newest))
	}
	if n := e.Depths(e.DeadLetters("products_exported")); n != 0 {
		t.Errorf("%d dead letters", n)
	}
}

// A price that mageline writes itself reaches the index without any message of Magento's, and stock when Magento's index shows it.
func TestProducts_AreReadAgainAfterPricesAndStock(t *testing.T) {
	t.Parallel()
	e := newEnv(t, env.ImpatientDelays()...)
	engine := withEngine(t, e, "CONSUMERS", "products_exported,price_sync,stock_sync", "SEARCH_SETTLE", "4s")
	e.Shop.AddProduct(fakemagento.Product{SKU: "A"})
	e.Shop.SetIndexLag(2 * time.Second)
	e.Start().AwaitReady()
	has := func(part string) func() bool {
		return func() bool {
			d, ok := engine.Document("products", "A")
			return ok && strings.Contains(string(d.Source), part)
		}
	}
	e.Publish(products.TopicExported, `{"skus":["A"]}`)
	kit.Eventually(t, env.Patience, has(`"price":10,`), "the product is in the index")
	e.Publish(lists.TopicPrices, `{"type":"base","as_of":"2026-11-23T10:00:00Z","prices":[{"sku":"A","price":12.5}]}`)
	kit.Eventually(t, env.Patience, has(`"price":12.5,`), "the new price is in the index")
	e.Publish(lists.TopicStock, `{"as_of":"2026-11-23T10:00:00Z","items":[{"sku":"A","quantity":7}]}`)
	kit.Eventually(t, env.Patience, has(`"quantity":7`), "the new stock is in the index, after Magento's index has it")
}

// A product that the engine refuses is a letter of its own, which can be replayed.
func TestProducts_RefusedOnesAreDeadLetteredAlone(t *testing.T) {
	t.Parallel()
	e := newEnv(t, env.ImpatientDelays()...)
	engine := withEngine(t, e, "CONSUMERS", "products_exported")
	for _, sku := range []string{"A", "B", "C"} {
		e.Shop.AddProduct(fakemagento.Product{SKU: sku})
	}
	engine.FailItems(fakesearch.ItemFault{Every: 1, Status: http.StatusBadRequest, Type: "strict_dynamic_mapping_exception", Only: func(id string) bool { return id == "B" }})
	e.Start().AwaitReady()
	e.Publish(products.TopicExported, `{"skus":["A","B","C"]}`)
	e.AwaitLetters("products_exported", 1)
	engine.FailItems(fakesearch.ItemFault{})
	if nameOf(t, engine, "A") == "" || nameOf(t, engine, "C") == "" || nameOf(t, engine, "B") != "" {
		t.Error("the others are not in the index")
	}
	if out := e.MustCall("--replay-dlq", e.DeadLetters("products_exported")); !strings.Contains(out, "replayed 1") {
		t.Errorf("replay: %s", out)
	}
	kit.Eventually(t, env.Patience, func() bool { return nameOf(t, engine, "B") != "" }, "the replayed product is in the index")
}
