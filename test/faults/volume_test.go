package faults

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/internal/lists"
	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
)

// products puts SKUs into the shop.
func (w *world) products(n int) (skus []string) {
	for i := range n {
		skus = append(skus, fmt.Sprint("P", i))
		w.Shop.AddProduct(fakemagento.Product{SKU: skus[i]})
	}
	return skus
}

// worth is a price or quantity of a version.
func worth(version int) decimal.Decimal { return decimal.NewFromInt(int64(100 + version)) }

// list publishes a version of the price or stock of SKUs. It is done when Magento has it, or something newer, of each that it knows.
func (w *world) list(topic string, version int, skus ...string) {
	w.t.Helper()
	stamp := time.Date(2026, 1, 1, 0, 0, version, 0, time.UTC).Format(time.RFC3339)
	var rows []string
	for _, sku := range skus {
		rows = append(rows, fmt.Sprintf(`{"sku":%q,"price":%s,"quantity":%s}`, sku, worth(version), worth(version)))
	}
	members := map[string]string{lists.TopicPrices: `"type":"base","prices"`, lists.TopicStock: `"items"`}
	body := fmt.Sprintf(`{"as_of":%q,%s:[%s]}`, stamp, members[topic], strings.Join(rows, ","))
	s := w.publishTo(topic, "", amqp.Publishing{Body: []byte(body)})
	s.done = func() bool {
		for _, sku := range skus {
			if !isUnknown(sku) && w.worthOf(topic, sku).LessThan(worth(version)) {
				return false
			}
		}
		return true
	}
}

func isUnknown(sku string) bool { return strings.HasPrefix(sku, "unknown") }

func (w *world) worthOf(topic, sku string) decimal.Decimal {
	if topic == lists.TopicStock {
		quantity, _, _ := w.Shop.SourceItem(sku, "default")
		return quantity
	}
	price, _ := w.Shop.BasePrice(sku, 0)
	return price
}

// isNewest waits until Magento has the newest version of each SKU.
func (w *world) isNewest(topic string, version int, skus []string) {
	w.t.Helper()
	kit.Eventually(w.t, env.Patience, func() bool {
		for _, sku := range skus {
			if !w.worthOf(topic, sku).Equal(worth(version)) {
				return false
			}
		}
		return true
	}, "the newest of each in Magento: "+topic)
}

// writesLists is true for the calls that write prices and stock.
func writesLists(r *http.Request) bool {
	return r.Method != http.MethodGet && (strings.HasSuffix(r.URL.Path, "-prices") || strings.HasSuffix(r.URL.Path, "/source-items"))
}

var volumeFaults = []*scenario{
	{
		number: 2, name: "broker crashes while prices and stock are written", ownBroker: true,
		env: []string{"MAGENTO_BULK_SIZE", "5", "SEND", "all"},
		run: func(w *world) {
			w.Shop.SetLoad(fakemagento.Load{Call: 50 * time.Millisecond})
			w.Run(2)
			skus := w.products(20)
			topics := []string{lists.TopicPrices, lists.TopicStock}
			const versions = 6
			for _, n := range rand.New(rand.NewPCG(fakeSeed, 2)).Perm(versions * len(topics)) {
				for at := 0; at < len(skus); at += 5 {
					w.list(topics[n%len(topics)], n/len(topics)+1, skus[at:at+5]...)
				}
			}
			kit.Eventually(w.t, env.Patience, func() bool { return w.Shop.Rows().Written > 0 }, "writes have begun")
			servers.RabbitMQ(w.t).Kill()
			w.Replicas[0].AwaitSaying("the broker is away", brokerAway)
			w.restartBroker()
			w.isNewest(lists.TopicPrices, versions, skus)
			w.isNewest(lists.TopicStock, versions, skus)
		},
	},
	{number: 49, name: "events out of order: old prices and stock after new ones", run: func(w *world) {
		w.Run(2)
		skus := w.products(8)
		const versions = 5
		for _, n := range rand.New(rand.NewPCG(fakeSeed, 49)).Perm(versions * len(skus)) {
			for _, topic := range []string{lists.TopicPrices, lists.TopicStock} {
				w.list(topic, n%versions+1, skus[n/versions])
			}
		}
		w.isNewest(lists.TopicPrices, versions, skus)
		w.isNewest(lists.TopicStock, versions, skus)
	}},
	{
		number: 54, name: "a bulk call of prices or stock fails for some of its entries, or loses to another one in Magento's tables",
		env: []string{"MAGENTO_BULK_CONCURRENCY", "4", "MAGENTO_BULK_SIZE", "5", "SEND", "all", "BREAKER_FAILURES", "0"},
		run: func(w *world) {
			w.Shop.SetLoad(fakemagento.Load{Call: 30 * time.Millisecond, Deadlocks: 0.3})
			w.Run(2)
			skus := w.products(30)
			const versions = 3
			for version := 1; version <= versions; version++ {
				for n := 0; n < len(skus); n += 3 {
					some := skus[n : n+3]
					w.list(lists.TopicStock, version, some...)
					if n%9 == 0 {
						some = append([]string{fmt.Sprintf("unknown-%d-%d", n, version)}, some...)
						w.parked++
					}
					w.list(lists.TopicPrices, version, some...)
				}
			}
			w.isNewest(lists.TopicPrices, versions, skus)
			w.isNewest(lists.TopicStock, versions, skus)
			if w.Shop.Rows().Deadlocks == 0 {
				w.t.Error("no call has lost to another: nothing was shown")
			}
		},
	},
	{number: 55, name: "versions of one price and stock at the same time, and the answer for one is lost", run: func(w *world) {
		w.Run(2)
		skus := w.products(3)
		w.Shop.Faults.Set(fault.Plan{Only: writesLists, Latency: 20 * time.Millisecond, Chances: []fault.Chance{
			{OneIn: 4, Fault: fault.Fault{Kind: fault.Drop}}, {OneIn: 6, Fault: fault.Fault{Kind: fault.Late, After: time.Second + 200*time.Millisecond}},
		}})
		const versions = 6
		for version := 1; version <= versions; version++ {
			for _, topic := range []string{lists.TopicPrices, lists.TopicStock} {
				w.list(topic, version, skus...)
				w.list(topic, versions+1-version, skus...)
			}
		}
		w.isNewest(lists.TopicPrices, versions, skus)
		w.isNewest(lists.TopicStock, versions, skus)
		w.Heal()
	}},
}
