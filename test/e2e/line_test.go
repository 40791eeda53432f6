package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/fakeerp"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/replica"
)

// line is what mageline stands between: a shop, an ERP, a broker and a database, all this test's own.
type line struct {
	*kit.Queues
	t        *testing.T
	shop     *fakemagento.Server
	erp      *fakeerp.Server
	erpURL   string
	database string
	delays   []time.Duration
	env      map[string]string // of every replica, without MAGELINE_

	held atomic.Pointer[chan struct{}] // while set, the ERP keeps its callers waiting and books nothing
	kept atomic.Int64                  // callers that it has kept waiting
}

// newLine makes one, with these retry delays. Nothing of mageline runs yet.
func newLine(t *testing.T, delays ...time.Duration) *line {
	t.Helper()
	return newLineOn(t, kit.Broker(t), kit.Database(t), fakeerp.Books, delays...)
}

// newLineOn makes one on this part of a broker and this database.
func newLineOn(t *testing.T, queues *kit.Queues, database string, mode fakeerp.Mode, delays ...time.Duration) *line {
	t.Helper()
	l := &line{
		Queues: queues, t: t, delays: delays,
		shop: fakemagento.New(fakemagento.Options{Version: fakemagento.VersionFor(t.Name()), Token: magentoToken, Seed: seed}),
		erp:  fakeerp.New(fakeerp.Options{Token: erpToken, Secret: erpSecret, Seed: seed, Mode: mode}),
	}
	shop := httptest.NewServer(l.shop)
	t.Cleanup(func() { l.shop.Close(); shop.Close() })
	erp := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if held := l.held.Load(); held != nil {
			// Only when the body is read to its end does the server notice that the caller leaves.
			body, err := io.ReadAll(io.LimitReader(r.Body, 16<<20))
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			l.kept.Add(1)
			select {
			case <-*held:
			case <-r.Context().Done():
				panic(http.ErrAbortHandler)
			}
		}
		l.erp.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { l.erp.Close(); erp.CloseClientConnections(); erp.Close() })
	l.erpURL = erp.URL

	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	if _, has := u.User.Password(); !has { // a server that trusts takes any
		u.User = url.UserPassword(u.User.Username(), databasePassword)
	}
	l.database = u.String()
	l.env = map[string]string{
		"AMQP_URL": l.URL, "AMQP_EXCHANGE": l.Exchange, "QUEUE_PREFIX": l.Prefix, "RETRY_DELAYS": l.RetryDelays(delays...),
		"DATABASE_URL": l.database, "MAGENTO_URL": shop.URL, "MAGENTO_TOKEN": magentoToken,
		"ERP_URL": l.erpURL, "ERP_NAME": "ACME", "ERP_TOKEN": erpToken, "ERP_SECRET": erpSecret,
		"HTTP_ADDR": "127.0.0.1:0", "LOG_LEVEL": "debug",
	}
	t.Cleanup(l.checkCalls)
	return l
}

// checkCalls fails the test when mageline has called the shop or the ERP in a way that the contract does not allow.
func (l *line) checkCalls() {
	for problem, n := range l.erp.Problems() {
		l.t.Errorf("%d calls of the ERP: %s", n, problem)
	}
	if lost := l.shop.Statusless(); len(lost) > 0 {
		l.t.Errorf("%d orders have lost their status in Magento, and are in no grid: %.200q", len(lost), lost)
	}
	for problem, n := range l.shop.Problems() {
		l.t.Errorf("%d calls of Magento: %s", n, problem)
	}
}

// with gives the environment with some variables changed; those come as name, value, name, value.
func (l *line) with(pairs ...string) map[string]string {
	env := maps.Clone(l.env)
	for i := 0; i < len(pairs); i += 2 {
		env[pairs[i]] = pairs[i+1]
	}
	return env
}

// onEachVersion runs a test of comments on each release of Magento that takes their status in its own way.
func onEachVersion(t *testing.T, test func(t *testing.T)) {
	t.Parallel()
	for _, version := range fakemagento.Versions() {
		t.Run(string(version), func(t *testing.T) {
			t.Parallel()
			test(t)
		})
	}
}

// hold makes the ERP keep its callers waiting, without booking, until release or until they leave.
func (l *line) hold() (release func()) {
	held := make(chan struct{})
	l.held.Store(&held)
	return func() {
		l.held.Store(nil)
		close(held)
	}
}

// event is the body of an event for an order, each time in another of the forms that Magento's publisher makes.
func event(o fakemagento.Placed, form int) string {
	object := fmt.Sprintf(`{"entity_id":%d,"increment_id":"%s"}`, o.EntityID, o.IncrementID)
	switch form % 5 {
	case 0:
		return fmt.Sprintf(`{"increment_id":"%s"}`, o.IncrementID)
	case 1:
		return fmt.Sprintf(`{"entity_id":"%d","store_id":1}`, o.EntityID)
	case 2:
		text, err := json.Marshal(object)
		if err != nil {
			panic(err)
		}
		return string(text)
	case 3:
		return `{"order":` + object + `}`
	default:
		return `[` + object + `]`
	}
}

// place places orders and publishes an event for each.
func (l *line) place(n int, p fakemagento.Placing) []fakemagento.Placed {
	l.t.Helper()
	placed := make([]fakemagento.Placed, 0, n)
	for i := range n {
		o := l.shop.PlaceOrder(p)
		l.Publish("sales.order.placed", event(o, i))
		placed = append(placed, o)
	}
	return placed
}

// exported counts the orders that the ERP has; twice says that it has one twice.
func (l *line) exported(orders []fakemagento.Placed) int {
	l.t.Helper()
	counts := l.erp.Counts()
	n := 0
	for _, o := range orders {
		if counts[o.IncrementID] > 1 {
			l.t.Fatalf("the ERP has order %s %d times: %+v", o.IncrementID, counts[o.IncrementID], l.history(o))
		}
		n += counts[o.IncrementID]
	}
	return n
}

// history tells how the ERP was called for an order.
func (l *line) history(o fakemagento.Placed) []string {
	var calls []string
	for _, r := range l.erp.Requests() {
		if strings.Contains(r.Query, o.IncrementID) || strings.Contains(string(r.Body), `"`+o.IncrementID+`"`) {
			calls = append(calls, r.At.Format("15:04:05.000")+" "+r.Method+" "+r.Path)
		}
	}
	return calls
}

// commented counts the orders that have exactly one comment.
func (l *line) commented(orders []fakemagento.Placed) int {
	l.t.Helper()
	counts := l.shop.CommentCounts("Sales order ")
	n := 0
	for _, o := range orders {
		if counts[o.IncrementID] > 1 {
			l.t.Fatalf("order %s has %d comments: %+v", o.IncrementID, counts[o.IncrementID], l.shop.Comments(o.EntityID))
		}
		n += counts[o.IncrementID]
	}
	return n
}

// awaitDone waits until the ERP holds each of the orders once, and Magento has one comment on each.
func (l *line) awaitDone(timeout time.Duration, orders ...fakemagento.Placed) {
	l.t.Helper()
	kit.Eventually(l.t, timeout, func() bool { return l.done(orders) },
		fmt.Sprintf("%d orders in the ERP and commented", len(orders)))
}

func (l *line) done(orders []fakemagento.Placed) bool {
	l.t.Helper()
	return l.exported(orders) == len(orders) && l.commented(orders) == len(orders)
}

// left counts the messages that wait in the queues of the consumers and for a retry.
func (l *line) left() int {
	l.t.Helper()
	n := 0
	for _, consumer := range []string{"order_placed", "order_canceled", "tracking_file_ready", "tracking_received"} {
		n += max(0, l.Depth(l.Queue(consumer)))
	}
	seen := map[time.Duration]bool{}
	for _, d := range l.delays {
		if !seen[d] {
			n += max(0, l.Depth(l.RetryQueue(d)))
		}
		seen[d] = true
	}
	return n
}

// checkNoLetters fails the test when there are dead letters, and says why they are there.
func (l *line) checkNoLetters() {
	l.t.Helper()
	for _, consumer := range []string{"order_placed", "order_canceled"} {
		for range max(0, l.Depth(l.DeadLetters(consumer))) {
			if d, ok := l.Get(l.DeadLetters(consumer)); ok {
				checkLetter(l.t, &d)
				l.t.Errorf("a dead letter of %s, %v, key %v, attempts %v, %v: %v", consumer, d.Headers["x-mageline-reason"],
					d.Headers["x-mageline-key"], d.Headers["x-mageline-attempts"], d.Headers["x-mageline-error-class"], d.Headers["x-mageline-error"])
			}
		}
	}
}

// empty waits until no message is left. One that a replica holds, and may be about to put off, is in no queue for the
// moment: nothing may be seen of any for longer than the shortest delay.
func (l *line) empty() {
	l.t.Helper()
	quiet := min(slices.Min(l.delays), time.Second) + 500*time.Millisecond
	since := time.Now()
	kit.Eventually(l.t, patience, func() bool {
		if l.left() > 0 {
			since = time.Now()
		}
		return time.Since(since) > quiet
	}, "no message left in any queue")
}

// finish waits until no message is left, stops the replicas, who must say that they ended well, and checks that nothing
// has come back. A message that a replica held when it was told to stop is given back: another one takes it.
func (l *line) finish(replicas ...*replica.Replica) {
	l.t.Helper()
	for range 5 {
		l.empty()
		for _, r := range replicas {
			r.Terminate()
		}
		for _, r := range replicas {
			if code := r.Exit(); code != 0 {
				l.t.Errorf("a replica ended with exit code %d; its log: %s", code, r.Log)
			}
		}
		if l.left() == 0 {
			l.checkNoLetters()
			return
		}
		replicas = []*replica.Replica{start(l.t, l.env)}
	}
	l.t.Errorf("%d messages are left, however often a replica starts and ends", l.left())
}
