package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/internal/lists"
	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
	"github.com/mageline/mageline/test/kit/private"
	"github.com/mageline/mageline/test/kit/replica"
)

// large reports whether a run has so many updates that a RabbitMQ of the test's own is worth its start.
func large() bool { return updates >= 50_000 }

// rounds is how often a replica is killed or the broker lost. Few in a short run: what was in flight in two processes that died is
// handled alone, and not before they have shown no life for 30 s. A message over which a process dies three times is a dead letter.
func rounds() int {
	if large() {
		return 6
	}
	return 2
}

// versions is how many versions of its value each SKU gets.
const versions = 10

// volume is a shuffled stream of prices or stock: MAGELINE_E2E_UPDATES of them, ten of each SKU.
type volume struct {
	t      *testing.T
	e      *env.Env
	random *rand.Rand
	stock  bool
	skus   []string
	bad    map[string]bool // version and SKU of entries that Magento refuses
	// lose breaks the connections to the broker: in a large run the broker crashes and starts again.
	lose func()
}

func newVolume(t *testing.T, stock bool, pairs ...string) *volume {
	t.Helper()
	t.Logf("MAGELINE_E2E_UPDATES=%d MAGELINE_E2E_SEED=%d", updates, seed)
	o := env.Options{Delays: env.ImpatientDelays()}
	var node *private.RabbitMQ
	if large() {
		node = ownRabbitMQ(t)
		o.Queues = kit.BrokerAt(t, node.URL)
	}
	e := newEnvWith(t, o).Impatient()
	e.Set(append([]string{"CONSUMERS", "price_sync,stock_sync", "MAGENTO_BULK_SIZE", "50"}, pairs...)...)
	v := &volume{t: t, e: e, random: rand.New(rand.NewPCG(seed, 0)), stock: stock, bad: map[string]bool{}}
	if v.lose = e.Link("AMQP_URL").Cut; node != nil {
		v.lose = func() {
			node.Kill()
			if err := node.Start(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for n := range max(1, updates/versions) {
		sku := fmt.Sprintf("SKU-%05d", n)
		v.skus = append(v.skus, sku)
		e.Shop.AddProduct(fakemagento.Product{SKU: sku})
	}
	return v
}

func asOf(version int) time.Time { return time.Date(2026, 1, 1, 0, 0, version, 0, time.UTC) }

// value is that of a version.
func value(version int) decimal.Decimal { return decimal.NewFromInt(int64(100 + version)) }

// body is a message with a version of SKUs.
func (v *volume) body(version int, skus []string) string {
	v.t.Helper()
	var body any
	if v.stock {
		s := event.StockSync{AsOf: asOf(version)}
		for _, sku := range skus {
			source := "default"
			if v.isBad(sku) {
				source = "nowhere"
			}
			s.Items = append(s.Items, event.StockItem{SKU: sku, SourceCode: source, Quantity: value(version)})
		}
		body = s
	} else {
		s := event.PriceSync{Type: event.BasePrices, AsOf: asOf(version)}
		for _, sku := range skus {
			s.Prices = append(s.Prices, event.Price{SKU: sku, Price: decimal.NewNullDecimal(value(version))})
		}
		body = s
	}
	raw, err := json.Marshal(body)
	if err != nil {
		v.t.Fatal(err)
	}
	return string(raw)
}

func (v *volume) isBad(sku string) bool { return strings.HasPrefix(sku, "BAD-") }

// bodies are the messages of some versions of SKUs, shuffled: of one entry to forty. One in twenty has an entry that is refused.
func (v *volume) bodies(skus []string, from, to int) (all []string) {
	v.t.Helper()
	for version := from; version <= to; version++ {
		rest := slices.Clone(skus)
		v.random.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
		for len(rest) > 0 {
			n := min(1+v.random.IntN(40), len(rest))
			some := slices.Clone(rest[:n])
			rest = rest[n:]
			if v.random.IntN(20) == 0 {
				sku := fmt.Sprintf("BAD-%d", len(v.bad))
				v.bad[fmt.Sprint(version, " ", sku)] = true
				some = slices.Insert(some, v.random.IntN(len(some)+1), sku)
			}
			all = append(all, v.body(version, some))
		}
	}
	v.random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

func (v *volume) publish(bodies []string) {
	topic := lists.TopicPrices
	if v.stock {
		topic = lists.TopicStock
	}
	for _, body := range bodies {
		v.e.Publish(topic, body)
	}
}

// now returns what the shop has of a SKU.
func (v *volume) now(sku string) decimal.Decimal {
	if v.stock {
		quantity, _, _ := v.e.Shop.SourceItem(sku, "default")
		return quantity
	}
	price, _ := v.e.Shop.BasePrice(sku, 0)
	return price
}

// chaos loses one answer in fifty, and fails some calls; while messages are left it kills replicas and loses the broker, a few times.
func (v *volume) chaos(until func() bool) {
	v.t.Helper()
	v.e.Shop.SetLoad(fakemagento.Load{RowWritten: 300 * time.Microsecond}) // as fast as a shop may be
	v.e.Shop.Faults.Set(fault.Plan{Only: func(r *http.Request) bool {
		return r.Method != http.MethodGet && !strings.HasSuffix(r.URL.Path, "-information")
	}, Chances: []fault.Chance{
		{OneIn: 50, Fault: fault.Fault{Kind: fault.Drop}}, {OneIn: 50, Fault: fault.Fault{Kind: fault.Fail}},
	}})
	v.e.Shop.Faults.Next(fault.Fault{Kind: fault.Drop})
	all, _ := v.e.Left()
	running := v.e.Run(2)
	for n := range rounds() {
		kit.Eventually(v.t, 20*env.Patience, func() bool {
			now, _ := v.e.Left()
			return now <= all*(rounds()-n)/(rounds()+1)
		}, "a part of the messages is taken")
		if n%2 == 1 {
			v.lose()
			continue
		}
		running[n/2%2].Kill()
		running[n/2%2] = v.e.Start()
	}
	kit.Eventually(v.t, 20*env.Patience, until, "every message is settled")
	v.t.Logf("Magento lost %d answers and failed %d calls", v.e.Shop.Faults.Count(fault.Drop), v.e.Shop.Faults.Count(fault.Fail))
	if v.e.Shop.Faults.Count(fault.Drop) == 0 {
		v.t.Error("nothing was shown")
	}
	v.e.Shop.Faults.Set(fault.Plan{})
}

// letters returns the entries that were dead-lettered.
func (v *volume) letters(consumer string) map[string]bool {
	v.t.Helper()
	found := map[string]bool{}
	for {
		d, ok := v.e.Get(v.e.DeadLetters(consumer))
		if !ok {
			return found
		}
		var m struct {
			AsOf   time.Time        `json:"as_of"`
			Prices []map[string]any `json:"prices"`
			Items  []map[string]any `json:"items"`
			Errors []struct {
				Index   int    `json:"index"`
				Message string `json:"message"`
			} `json:"errors"`
		}
		entries := func() []map[string]any { return append(m.Prices, m.Items...) }
		if err := json.Unmarshal(d.Body, &m); err != nil || len(m.Errors) != len(entries()) {
			v.t.Errorf("a letter is no partial one: %s (%v)", d.Body, d.Headers)
		}
		for _, one := range entries() {
			found[fmt.Sprint(int(m.AsOf.Sub(asOf(0))/time.Second), " ", one["sku"])] = true
		}
	}
}

func (v *volume) check(consumer string, want func(sku string) decimal.Decimal) {
	v.t.Helper()
	wrong := 0
	for _, sku := range v.skus {
		if got := v.now(sku); !got.Equal(want(sku)) {
			if wrong++; wrong <= 5 {
				v.t.Errorf("%s is %s in the shop, want %s", sku, got, want(sku))
			}
		}
	}
	if wrong > 0 {
		v.t.Errorf("%d of %d are wrong", wrong, len(v.skus))
	}
	if found := v.letters(consumer); !maps.Equal(found, v.bad) {
		v.t.Errorf("dead-lettered are %v, want %v", slices.Sorted(maps.Keys(found)), slices.Sorted(maps.Keys(v.bad)))
	}
}

// settled reports whether nothing is left in the queues, nor in a replica.
func (v *volume) settled() bool {
	now, later := v.e.Left()
	if now+later > 0 {
		return false
	}
	for _, r := range v.e.Replicas {
		if r.Running() && r.Metric("mageline_in_flight") > 0 {
			return false
		}
	}
	return true
}

// Updates arrive in any order, on two replicas that are killed, over connections that break, or from a broker that crashes, from a Magento that loses answers: in
// the end each SKU has its newest value, and the dead letters are exactly what Magento refuses.
func TestVolume_TheNewestValueWins(t *testing.T) {
	t.Parallel()
	for name, stock := range map[string]bool{"price_sync": false, "stock_sync": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVolume(t, stock, "SEND", "all")
			v.e.MustCall("topology")
			v.publish(v.bodies(v.skus, 1, versions))
			v.chaos(v.settled)
			v.e.Lasting("nothing more comes", v.settled)
			v.e.StopReplicas()
			v.check(name, func(string) decimal.Decimal { return value(versions) })
		})
	}
}

// The same where only what differs is sent, and somebody else changes prices in Magento: a price that is newer than ours stays,
// whatever of ours is older or comes again.
func TestVolume_LeavesWhatOthersChangedSince(t *testing.T) {
	t.Parallel()
	v := newVolume(t, false)
	v.e.MustCall("topology")
	theirs := v.skus[:max(1, len(v.skus)/10)]
	v.publish(v.bodies(theirs, versions, versions))
	first := v.e.Run(1)[0]
	kit.Eventually(t, env.Patience, func() bool {
		return !slices.ContainsFunc(theirs, func(sku string) bool { return !v.now(sku).Equal(value(versions)) })
	}, "the newest prices of some are written")
	first.Terminate()
	first.Exit()
	others := decimal.NewFromInt(77)
	for _, sku := range theirs {
		v.e.Shop.SetBasePrice(sku, 0, others)
	}
	v.publish(append(v.bodies(theirs, 1, versions-1), v.bodies(v.skus[len(theirs):], 1, versions)...))
	v.chaos(v.settled)
	v.e.Lasting("nothing more comes", v.settled)
	v.e.StopReplicas()
	v.check("price_sync", func(sku string) decimal.Decimal {
		if slices.Contains(theirs, sku) {
			return others
		}
		return value(versions)
	})
}

// A price that changes too much waits for a person: who sees it, and has it written or dropped.
func TestVolume_HeldPricesWaitForAPerson(t *testing.T) {
	t.Parallel()
	e := newEnv(t, env.ImpatientDelays()...)
	e.Set("CONSUMERS", "price_sync", "PRICE_MAX_CHANGE", "50%")
	for _, sku := range []string{"A", "B", "C"} {
		e.Shop.AddProduct(fakemagento.Product{SKU: sku}) // for 10
	}
	r := e.Start().AwaitReady()
	e.Publish(lists.TopicPrices, `{"type":"base","as_of":"2026-11-23T10:00:00Z","prices":[{"sku":"A","price":4},{"sku":"B","price":16},{"sku":"C","price":11}]}`)
	is := func(sku string, want int64) func() bool {
		return func() bool {
			price, _ := e.Shop.BasePrice(sku, 0)
			return price.Equal(decimal.NewFromInt(want))
		}
	}
	kit.Eventually(t, env.Patience, is("C", 11), "the price that does not change too much")
	r.AwaitEvent("price_held", "key", "B")
	r.AwaitSaying("that two prices are held", func(_ int, document replica.Readiness) bool {
		return strings.Contains(strings.Join(document.Problems, "\n"), "2 prices wait for a decision")
	})
	kit.Eventually(t, env.Patience, func() bool { return r.Metric("mageline_prices_held") == 2 }, "two in the metrics")
	list := e.MustCall("prices", "held", "--json")
	if !strings.Contains(list, `"sku":"a"`) || !strings.Contains(list, `"old_price":"10"`) || !strings.Contains(list, `"new_price":"4"`) {
		t.Errorf("held are %s", list)
	}
	if got := e.MustCall("prices", "release", "a"); got != "released 1\n" {
		t.Errorf("released: %q", got)
	}
	kit.Eventually(t, env.Patience, is("A", 4), "the price that was released")
	if got := e.MustCall("prices", "drop", "--all", "--json"); got != "{\"dropped\":1}\n" && got != "{\"dropped\":2}\n" {
		t.Errorf("dropped: %q", got)
	}
	if output, code := e.Call("prices", "release", "nothing"); code != 1 || !strings.Contains(output, "no held price of SKU nothing") {
		t.Errorf("nothing is held of it: %d, %s", code, output)
	}
	if !is("B", 10)() {
		t.Error("the price that was dropped was written")
	}
	if got := e.MustCall("watermarks", "show", "a"); !strings.Contains(got, "2026-11-23T10:00:00") {
		t.Errorf("the watermark of A is %s", got)
	}
	if got := e.MustCall("watermarks", "reset", "A"); got != "reset 1\n" {
		t.Errorf("reset: %q", got)
	}
	if _, code := e.Call("watermarks", "show", "A"); code != 1 {
		t.Errorf("after the reset: exit %d", code)
	}
	e.Publish(lists.TopicPrices, `{"type":"base","as_of":"2026-11-22T10:00:00Z","prices":[{"sku":"A","price":5}]}`)
	kit.Eventually(t, env.Patience, is("A", 5), "an older price after the reset")
	e.Finish()
}
