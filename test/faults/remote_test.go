package faults

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/rabbitmq"
	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
	"github.com/mageline/mageline/test/kit/replica"
)

var remoteFaults = []*scenario{
	{number: 40, name: "time-out after the ERP has committed", run: func(w *world) {
		w.Run(2)
		w.ERP.Faults.Set(fault.Plan{Chances: []fault.Chance{
			{OneIn: 3, Fault: fault.Fault{Kind: fault.Late, After: time.Second}}, {OneIn: 4, Fault: fault.Fault{Kind: fault.Drop}},
		}})
		w.Shop.Faults.Set(fault.Plan{Chances: []fault.Chance{{OneIn: 6, Fault: fault.Fault{Kind: fault.Drop}}}})
		w.place(30)
		w.AwaitSome(20, w.placed...) // with half of the calls failing for ever, one would use its attempts up
		w.Heal()
		w.AwaitDone(w.placed...)
	}},
	{number: 41, name: "429 with Retry-After, and without", run: func(w *world) {
		w.Run(2)
		w.AwaitDone(w.place(6)...)
		for _, after := range []time.Duration{2 * time.Second, 0} {
			w.ERP.Faults.Next(fault.Fault{Kind: fault.Throttle, After: after}, fault.Fault{Kind: fault.Throttle, After: after})
			w.Shop.Faults.Next(fault.Fault{Kind: fault.Throttle, After: after})
			w.AwaitDone(w.place(10)...)
		}
	}},
	{number: 42, name: "storm of 500: the circuit opens, the queue grows, and drains without a stampede", run: func(w *world) {
		r := w.Run(1)[0]
		w.AwaitDone(w.place(6)...)
		w.ERP.Faults.Set(fault.Plan{Every: fault.Fault{Kind: fault.Fail}})
		w.place(200)
		r.AwaitSaying("the consumer is paused", func(_ int, d replica.Readiness) bool { return d.Consumers["order_placed"].State == "paused" })
		calls := len(w.ERP.Requests())
		kit.Eventually(w.t, env.Patience, func() bool { return len(w.ERP.Requests()) >= calls+2 }, "two probes")
		if now, later := w.Left(); now+later < 200 {
			w.t.Errorf("%d messages wait in the queue and %d for a retry, of 200 orders", now, later)
		}
		var most, running atomic.Int64
		w.ERPFront.Set(func(rw http.ResponseWriter, r *http.Request, api http.Handler) {
			n := running.Add(1)
			defer running.Add(-1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			api.ServeHTTP(rw, r)
		})
		w.Heal()
		w.AwaitDone(w.placed...)
		if most.Load() > 4 {
			w.t.Errorf("%d calls at once, CONCURRENCY is 4", most.Load())
		}
	}},
	{number: 66, name: "a queue with a single active consumer and an open circuit", prepare: (*world).singleActive, run: func(w *world) {
		for _, r := range w.Run(2) {
			r.AwaitReady()
		}
		w.AwaitDone(w.place(6)...)
		paused := func() *replica.Replica { // the active one alone meets the ERP
			for _, r := range w.Replicas {
				if _, d := r.Ready(); d.Consumers["order_placed"].State == "paused" && r.Running() {
					return r
				}
			}
			return nil
		}
		for i := range 2 {
			w.ERP.Faults.Set(fault.Plan{Every: fault.Fault{Kind: fault.Fail}})
			orders := w.place(20)
			kit.Eventually(w.t, env.Patience, func() bool { return paused() != nil }, "the circuit to open")
			calls := len(w.ERP.Requests())
			kit.Eventually(w.t, env.Patience, func() bool { return len(w.ERP.Requests()) > calls+2 }, "probes")
			if i == 1 {
				w.Replicas[0].Kill() // the other one takes over, whichever was active
			}
			w.Heal()
			w.AwaitDone(orders...)
		}
	}},
	{number: 43, name: "one endpoint fails, and one order of the others", run: func(w *world) {
		w.Run(2)
		sick := w.order(fakemagento.Placing{})
		w.ERP.Faults.Set(fault.Plan{Every: fault.Fault{Kind: fault.Fail}, Only: func(r *http.Request) bool {
			return strings.HasSuffix(r.Header.Get("Idempotency-Key"), sick.IncrementID)
		}})
		w.Shop.Faults.Set(fault.Plan{Chances: []fault.Chance{{OneIn: 2, Fault: fault.Fault{Kind: fault.Fail}}}, Only: func(r *http.Request) bool {
			return r.Method == http.MethodPost
		}})
		w.event(sick)
		orders := w.place(10)
		kit.Eventually(w.t, env.Patience, func() bool { return len(w.ERP.Counts()) == len(orders) }, "the others to be in the ERP")
		w.Shop.Faults.Set(fault.Plan{})
		w.AwaitDone(orders...)
		w.Heal()
		w.AwaitDone(w.placed...)
	}},
	{
		number: 44, name: "401 when the token has expired", shop: fakemagento.Options{Username: "line", Password: "pass", AdminTokenLifetime: 1500 * time.Millisecond},
		env: []string{"MAGENTO_TOKEN", "", "MAGENTO_USERNAME", "line", "MAGENTO_PASSWORD", "pass"}, run: func(w *world) {
			w.Run(1)
			began := time.Now()
			for range 4 {
				w.AwaitDone(w.place(15)...)
				token := w.Shop.Requests()["POST /V1/integration/admin/token"]
				kit.Eventually(w.t, env.Patience, func() bool {
					w.place(1) // until one meets the end of a token
					return w.Shop.Requests()["POST /V1/integration/admin/token"] > token
				}, "a new token")
			}
			w.AwaitDone(w.placed...)
			lifetimes := int(time.Since(began)/(1500*time.Millisecond)) + 1
			if n := w.Shop.Requests()["POST /V1/integration/admin/token"]; n > 2*lifetimes+2 {
				w.t.Errorf("%d tokens were fetched in %d lifetimes", n, lifetimes)
			}
		},
	},
	{number: 45, name: "200 with an error body or a page", run: func(w *world) {
		w.Run(2)
		w.ERP.Faults.Set(fault.Plan{Chances: []fault.Chance{{OneIn: 3, Fault: fault.Fault{Kind: fault.Garble}}, {OneIn: 4, Fault: fault.Fault{Kind: fault.Page}}}})
		w.Shop.Faults.Set(fault.Plan{Chances: []fault.Chance{{OneIn: 8, Fault: fault.Fault{Kind: fault.Garble}}}})
		w.place(20)
		w.AwaitSome(10, w.placed...)
		w.Heal()
		var answers atomic.Int64
		w.ERPFront.Set(func(rw http.ResponseWriter, r *http.Request, api http.Handler) {
			if r.Method != http.MethodPost || answers.Add(1) > 3 {
				api.ServeHTTP(rw, r)
				return
			}
			api.ServeHTTP(httptest.NewRecorder(), r)
			_, _ = io.WriteString(rw, `{"error":{"message":"could not be told"}}`)
		})
		w.place(6)
		w.AwaitDone(w.placed...)
	}},
	{number: 46, name: "truncated, slow and 200 MB answers", run: func(w *world) {
		w.Run(1)
		var calls atomic.Int64
		odd := func(rw http.ResponseWriter, r *http.Request, api http.Handler) {
			if r.Method == http.MethodGet && !strings.Contains(r.URL.Path, "orders") {
				api.ServeHTTP(rw, r)
				return
			}
			recorded := httptest.NewRecorder()
			api.ServeHTTP(recorded, r)
			answer := recorded.Body.Bytes()
			switch calls.Add(1) {
			case 1, 5: // the connection ends in the middle
				rw.Header().Set("Content-Length", fmt.Sprint(len(answer)+100))
				_, _ = rw.Write(answer)
				panic(http.ErrAbortHandler)
			case 2, 6: // a byte now and then
				for _, b := range answer {
					if _, err := rw.Write([]byte{b}); err != nil || r.Context().Err() != nil {
						return
					}
					_ = http.NewResponseController(rw).Flush()
					time.Sleep(100 * time.Millisecond)
				}
			case 3, 7:
				_, _ = io.WriteString(rw, `{"filler":"`)
				filler := strings.Repeat("x", 1<<20)
				for range 200 {
					if _, err := io.WriteString(rw, filler); err != nil {
						return
					}
				}
			default:
				for name, values := range recorded.Header() {
					rw.Header()[name] = values
				}
				rw.WriteHeader(recorded.Code)
				_, _ = rw.Write(answer)
			}
		}
		w.ERPFront.Set(odd)
		w.AwaitDone(w.place(4)...)
		w.ERPFront.Set(nil)
		calls.Store(0)
		w.ShopFront.Set(odd)
		w.AwaitDone(w.place(4)...)
	}},
	{number: 47, name: "entity not yet visible: the event runs ahead of its commit", run: func(w *world) {
		w.Run(2)
		for i := range 12 {
			w.event(w.order(fakemagento.Placing{VisibleAfter: time.Duration(i) * 300 * time.Millisecond}))
		}
		w.AwaitDone(w.placed...)
	}},
	{number: 48, name: "entity deleted meanwhile", run: func(w *world) {
		w.Run(1)
		w.Shop.Faults.Set(fault.Plan{Every: fault.Fault{Kind: fault.Fail}})
		o := w.order(fakemagento.Placing{})
		s := w.event(o)
		kit.Eventually(w.t, env.Patience, func() bool { return w.Shop.Faults.Count(fault.Fail) > 0 }, "the first attempt to fail")
		w.Shop.Delete(o.EntityID)
		w.Shop.Faults.Set(fault.Plan{})
		s.order, w.parked = "", 1
		w.AwaitDone(w.place(6)...)
	}},
	{number: 50, name: "published again with another message id", run: func(w *world) {
		w.Run(2)
		w.ERP.Faults.Set(fault.Plan{Latency: 20 * time.Millisecond})
		for range 5 {
			w.place(4)
			for _, o := range w.placed {
				w.event(o)
			}
		}
		w.AwaitDone(w.placed...)
	}},
	{number: 51, name: "schema drift: unknown and missing fields, text for numbers", run: func(w *world) {
		w.Run(1)
		for _, shape := range []string{
			`{"entity_id":"%d","increment_id":"%s"}`,
			`{"entity_id":%d,"increment_id":"%s","new_in_2_5":{"deep":[1,"2",null]},"store_id":"1"}`,
			`{"order":{"entity_id":%d,"increment_id":"%s","items":"none","customer_email":17}}`,
			`[{"entity_id":%d,"increment_id":"%s","state":null}]`,
		} {
			o := w.order(fakemagento.Placing{})
			w.publish(o.IncrementID, amqp.Publishing{Body: fmt.Appendf(nil, shape, o.EntityID, o.IncrementID)})
		}
		for _, unusable := range []string{`{"order_id":17}`, `{"entity_id":null}`, `{"entity_id":{"value":1}}`, `{"increment_id":["1"]}`} {
			w.publish("", amqp.Publishing{Body: []byte(unusable)})
			w.parked++
		}
		w.AwaitDone(w.placed...)
	}},
	{number: 52, name: "poison: bytes, no JSON, an empty body, another charset", run: func(w *world) {
		w.Run(1)
		for _, poison := range []string{"\x00\xff\xfe\x01", "", "null", "[]", `{"increment_id":"`, "\xff\xfe{\x00}\x00", `{"increment_id":"` + "M\xfcller" + `"}`, strings.Repeat("[", 10_000)} {
			w.publish("", amqp.Publishing{Body: []byte(poison)})
			w.parked++
			w.place(1)
		}
		w.AwaitDone(w.placed...)
	}},
	{number: 68, name: "Retry-After of a day", run: func(w *world) {
		w.Run(2)
		w.AwaitDone(w.place(6)...)
		for _, retryAfter := range []string{"86400", "Fri, 31 Dec 9999 23:59:59 GMT"} {
			w.ERP.Faults.Set(fault.Plan{Every: fault.Fault{Kind: fault.Throttle, RetryAfter: retryAfter}})
			orders := w.place(20)
			w.unthrottled("erp")
			w.AwaitDone(orders...)
		}
		w.Shop.Faults.Set(fault.Plan{Every: fault.Fault{Kind: fault.Throttle, RetryAfter: "86400"}})
		orders := w.place(20)
		w.unthrottled("magento")
		w.AwaitDone(orders...)
		for _, r := range w.Replicas {
			if n := r.Metric("mageline_deliveries_total", `outcome="retried"`); n > 0 {
				w.t.Errorf("%v attempts were used", n)
			}
		}
	}},
	{number: 69, name: "redirects, pages, notices and byte order marks on every call", run: func(w *world) {
		w.Run(2)
		w.AwaitDone(w.place(6)...)
		for _, misled := range []struct {
			downstream string
			fault      fault.Fault
		}{
			{"magento", fault.Fault{Kind: fault.Redirect}},
			{"magento", fault.Fault{Kind: fault.Page, Status: http.StatusNotFound}},
			{"magento", fault.Fault{Kind: fault.Say, Text: `{"status":"ok"}`}},
			{"erp", fault.Fault{Kind: fault.Redirect, Status: http.StatusFound, Text: "/login?next=x"}},
			{"erp", fault.Fault{Kind: fault.Page, Status: http.StatusOK}},
			{"erp", fault.Fault{Kind: fault.Say, Text: `[]`}},
		} {
			faults := map[string]*fault.Injector{"magento": w.Shop.Faults, "erp": w.ERP.Faults}[misled.downstream]
			faults.Set(fault.Plan{Every: misled.fault})
			orders := w.place(16)
			for _, r := range w.Replicas {
				r.AwaitSaying("the circuit of "+misled.downstream+" is open", func(_ int, d replica.Readiness) bool {
					return d.Downstreams[misled.downstream].State != "closed" && d.Consumers["order_placed"].State == "paused"
				})
			}
			w.Heal()
			w.AwaitDone(orders...)
		}
		for _, front := range []string{fault.ByteOrderMark, fault.Notices, fault.PlainNotices, fault.ByteOrderMark + fault.Notices + fault.PlainNotices} {
			plan := fault.Plan{Every: fault.Fault{Kind: fault.Prefix, Text: front}}
			w.Shop.Faults.Set(plan)
			w.ERP.Faults.Set(plan)
			retried := 0.0
			for _, r := range w.Replicas {
				retried -= r.Metric("mageline_deliveries_total", `outcome="retried"`)
			}
			w.AwaitDone(w.place(6)...)
			for _, r := range w.Replicas {
				retried += r.Metric("mageline_deliveries_total", `outcome="retried"`)
			}
			if retried > 0 {
				w.t.Errorf("%v attempts were used for what stands in front of JSON", retried)
			}
		}
		w.Heal()
	}},
	{number: 70, name: "401 and 403 at random", env: []string{"BREAKER_OPEN_FOR", "200ms"}, run: func(w *world) {
		w.Run(1)
		w.AwaitDone(w.place(6)...)
		// A third of the calls is refused in two handlings, also when the request is repeated.
		refusing := func(f fault.Fault, of func(r *http.Request) string) fault.Plan {
			var mu sync.Mutex
			refused := map[string]int{}
			return fault.Plan{Every: f, Only: func(r *http.Request) bool {
				order := of(r)
				if sum := sha256.Sum256([]byte(order)); order == "" || sum[0]%3 > 0 {
					return false
				}
				mu.Lock()
				defer mu.Unlock()
				refused[order]++
				return refused[order] <= 4
			}}
		}
		for _, f := range []fault.Fault{{Kind: fault.Fail, Status: http.StatusUnauthorized}, {Kind: fault.Page, Status: http.StatusForbidden}} {
			w.Shop.Faults.Set(refusing(f, func(r *http.Request) string {
				_, id, _ := strings.Cut(r.URL.Path, "/V1/orders/")
				return id
			}))
			w.ERP.Faults.Set(refusing(f, func(r *http.Request) string { return r.Header.Get("Idempotency-Key") }))
			w.AwaitDone(w.place(8)...)
		}
		w.Heal()
		// One that is refused for ever, while others pass, is a letter.
		sick := w.order(fakemagento.Placing{})
		w.Shop.Faults.Set(fault.Plan{Every: fault.Fault{Kind: fault.Fail, Status: http.StatusForbidden}, Only: func(r *http.Request) bool {
			return strings.HasSuffix(r.URL.Path, fmt.Sprintf("/V1/orders/%d", sick.EntityID))
		}})
		s := w.event(sick)
		for w.Depth(w.DeadLetters("order_placed")) < 1 && !w.t.Failed() {
			w.AwaitDone(w.place(1)...)
		}
		s.order, w.parked = "", 1
	}},
}

// unthrottled waits until the circuit of a downstream is open on all replicas, for a time that is known and bounded, and then
// has an operator resume it.
func (w *world) unthrottled(downstream string) {
	w.t.Helper()
	for _, r := range w.Replicas {
		r.AwaitSaying(downstream+" is left alone for a time", func(_ int, d replica.Readiness) bool {
			part := d.Downstreams[downstream]
			_, until, _ := strings.Cut(part.Reason, ", until ")
			at, err := time.Parse(time.RFC3339, until)
			if part.State == "open" && (err != nil || time.Until(at) > 15*time.Minute || !strings.Contains(part.Reason, "429")) {
				w.t.Errorf("the circuit of %s is open: %s", downstream, part.Reason)
			}
			return part.State == "open" && d.Consumers["order_placed"].State == "paused" && strings.Contains(d.Consumers["order_placed"].Reason, until)
		})
	}
	w.Heal()
	if out, code := w.Call("resume", downstream); code != 0 {
		w.t.Errorf("resume ends with %d: %s", code, out)
	}
}

// singleActive makes the queue of orders before mageline does, as one with a single active consumer.
func (w *world) singleActive() {
	w.t.Helper()
	t := rabbitmq.Topology{Exchange: w.Exchange, Prefix: w.Prefix, Consumers: []rabbitmq.ConsumerQueue{{Consumer: "order_placed"}}}
	w.Channel(func(ch *amqp.Channel) error {
		for _, q := range t.Queues() {
			if q.Name == w.Queue("order_placed") {
				q.Args["x-single-active-consumer"] = true
			}
			if _, err := ch.QueueDeclare(q.Name, true, false, false, false, q.Args); err != nil {
				return err
			}
		}
		return nil
	})
}
