package handlers_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/mageline/mageline/erp/webhook"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/handlers"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/downstream"
	"github.com/mageline/mageline/internal/orderbook"
	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/mapping"
	"github.com/mageline/mageline/migrations"
	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/fakeerp"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
)

// databases are those of the tests: nothing here changes the schema.
var databases = kit.Databases{Migrate: func(ctx context.Context, url string) error {
	_, err := migrations.Up(ctx, url)
	return err
}}

func TestMain(m *testing.M) {
	kit.Parallel(4)
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := databases.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(code)
	}))
}

// settings are what a test wants to be otherwise.
type settings struct {
	shop     fakemagento.Options // Version: if empty, another one for each test
	erpMode  fakeerp.Mode
	states   string        // ORDER_EXPORT_STATES; "": the default
	openFor  time.Duration // BREAKER_OPEN_FOR; 0: 1 min
	failures int           // BREAKER_FAILURES; 0: no circuit
	timeout  time.Duration // of one request to the ERP; 0: 10 s
	lease    time.Duration // 0: 90 s
	rules    func(*handlers.OrderRules)
	export   func(*handlers.ExportRules)
	tracking handlers.TrackingRules

	statusless bool // orders may be without a status at the end
}

// rig is a shop, an ERP and a ledger, and the handlers between them as cmd/mageline wires them.
type rig struct {
	t         *testing.T
	shop      *fakemagento.Server
	erp       *fakeerp.Server
	toShop    *side
	toERP     *side
	magento   *downstream.Downstream
	client    *magentoapi.Client
	connector *webhook.Client
	pool      *pgxpool.Pool
	url       string
	lease     time.Duration
	ledger    *idempotency.Ledger
	book      *orderbook.Book
	rules     handlers.OrderRules
	export    handlers.ExportRules
	tracking  handlers.TrackingRules
	log       *kit.Log
}

// side is what stands before a fake: it remembers the calls, and may answer them itself.
type side struct {
	next http.Handler

	mu    sync.Mutex
	calls []string
	keys  []string
	hook  func(w http.ResponseWriter, r *http.Request) bool
}

var entityID = regexp.MustCompile(`/\d+(/|$)`)

func (s *side) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	path := entityID.ReplaceAllString(strings.TrimPrefix(r.URL.Path, "/rest/all/V1"), "/:id$1")
	s.calls = append(s.calls, r.Method+" "+path)
	if key := r.Header.Get("Idempotency-Key"); key != "" {
		s.keys = append(s.keys, key)
	}
	hook := s.hook
	s.mu.Unlock()
	if hook != nil && hook(w, r) {
		return
	}
	s.next.ServeHTTP(w, r)
}

// answering has calls answered by hook, where it returns true; nil ends that.
func (s *side) answering(hook func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = hook
}

// with answers the calls of a method with a status and a body.
func (s *side) with(method string, status int, body string) {
	s.answering(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != method {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
		return true
	})
}

// took gives the calls since it was last asked.
func (s *side) took() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := strings.Join(s.calls, ", ")
	s.calls = nil
	return calls
}

func (s *side) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls, s.keys, s.hook = nil, nil, nil
}

func (s *side) idempotencyKeys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.keys)
}

const erpName = "Testbooks"

// onEachVersion runs a test of comments on each release of Magento that takes their status in its own way.
func onEachVersion(t *testing.T, test func(t *testing.T, shop fakemagento.Options)) {
	t.Parallel()
	for _, version := range fakemagento.Versions() {
		t.Run(string(version), func(t *testing.T) {
			t.Parallel()
			test(t, fakemagento.Options{Version: version})
		})
	}
}

func newRig(t *testing.T, s settings) *rig {
	t.Helper()
	if s.shop.Version == "" {
		s.shop.Version = fakemagento.VersionFor(t.Name())
	}
	if s.states == "" {
		s.states = "processing,complete,new:checkmo,new:cashondelivery,new:purchaseorder,new:companycredit,new:free"
	}
	if s.openFor == 0 {
		s.openFor = time.Minute
	}
	if s.timeout == 0 {
		s.timeout = 10 * time.Second
	}
	r := &rig{t: t, log: &kit.Log{}, lease: s.lease}
	r.shop, r.erp = fakemagento.New(s.shop), fakeerp.New(fakeerp.Options{Mode: s.erpMode})
	t.Cleanup(func() {
		if lost := r.shop.Statusless(); len(lost) > 0 && !s.statusless {
			t.Errorf("the orders %q have lost their status: they are in no grid", lost)
		}
		for problem, n := range r.shop.Problems() {
			t.Errorf("%d calls of Magento: %s", n, problem)
		}
	})
	r.toShop, r.toERP = &side{next: r.shop}, &side{next: r.erp}
	shop, books := httptest.NewServer(r.toShop), httptest.NewServer(r.toERP)
	t.Cleanup(func() {
		r.shop.Close()
		r.erp.Close()
		shop.Close()
		books.Close()
	})
	log := zerolog.New(r.log)
	r.magento = downstream.New(downstream.Options{Name: "magento", Timeout: 10 * time.Second, Failures: s.failures, OpenFor: s.openFor, Log: log})
	toERP := downstream.New(downstream.Options{Name: "erp", Timeout: s.timeout, Failures: s.failures, OpenFor: s.openFor, Log: log})
	t.Cleanup(r.magento.Close)
	t.Cleanup(toERP.Close)
	var err error
	if r.client, err = magentoapi.New(shop.URL, magentoapi.Options{HTTPClient: r.magento.Client(), Retries: magentoapi.NoRetries, OnOdd: handlers.LogOdd}); err != nil {
		t.Fatal(err)
	}
	if r.connector, err = webhook.New(toERP.Client(), webhook.Options{URL: books.URL}); err != nil {
		t.Fatal(err)
	}
	r.url = databases.Take(t)
	if r.pool, err = pgxpool.New(t.Context(), r.url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.pool.Close)
	r.book = orderbook.New(r.pool)
	r.ledger = r.replica("first")

	var states config.ExportStates
	if err := states.Decode(s.states); err != nil {
		t.Fatal(err)
	}
	r.rules = handlers.OrderRules{Key: mapping.ByIncrementID, ERPName: erpName, Comment: true, Statuses: &handlers.Statuses{}, WaitEvery: 5 * time.Minute}
	r.export = handlers.ExportRules{
		Allows: states.Allow, AllowsStore: func(int64) bool { return true }, Retention: 90 * 24 * time.Hour,
	}
	r.tracking = s.tracking
	if s.rules != nil {
		s.rules(&r.rules)
	}
	if s.export != nil {
		s.export(&r.export)
	}
	return r
}

// replica opens another process's ledger on the same database.
func (r *rig) replica(name string) *idempotency.Ledger {
	r.t.Helper()
	l := idempotency.Open(r.t.Context(), idempotency.Options{
		Pool: r.pool, Process: name, Lease: r.lease, Log: zerolog.New(r.log), Projections: []idempotency.Projection{r.book},
	})
	r.t.Cleanup(l.Close)
	return l
}

// in gives the rig to a subtest, with nothing left in it of those before but their orders.
func (r *rig) in(t *testing.T) *rig {
	t.Helper()
	own := *r
	own.t, own.log = t, &kit.Log{}
	r.shop.Faults.Set(fault.Plan{})
	r.erp.Faults.Set(fault.Plan{})
	for _, s := range []*side{r.toShop, r.toERP} {
		s.forget()
	}
	return &own
}

func (r *rig) stores() *handlers.Stores {
	return &handlers.Stores{Reader: r.client.Stores, Location: time.UTC}
}

func (r *rig) placedOn(l *idempotency.Ledger) *handlers.Placed {
	return &handlers.Placed{
		Orders: r.client.Orders, ERP: r.connector, Ledger: l, Book: r.book, Stores: r.stores(), Rules: r.rules, Export: r.export,
	}
}

func (r *rig) canceledOn(l *idempotency.Ledger) *handlers.Canceled {
	return &handlers.Canceled{Orders: r.client.Orders, ERP: r.connector, Ledger: l, Book: r.book, Rules: r.rules, Export: r.export}
}

type handler interface {
	Handle(ctx context.Context, e event.Event) (event.Outcome, error)
}

func (r *rig) context() context.Context {
	return zerolog.New(r.log).WithContext(r.t.Context())
}

// handle handles an event as its first delivery, unless changes say otherwise.
func (r *rig) handle(h handler, body string, changes ...func(*event.Event)) (event.Outcome, error) {
	e := event.Event{Topic: "sales.order.placed", Body: []byte(body), Attempt: 1}
	for _, c := range changes {
		c(&e)
	}
	return h.Handle(r.context(), e)
}

func (r *rig) placed(body string, changes ...func(*event.Event)) (event.Outcome, error) {
	return r.handle(r.placedOn(r.ledger), body, changes...)
}

func (r *rig) canceled(body string, changes ...func(*event.Event)) (event.Outcome, error) {
	return r.handle(r.canceledOn(r.ledger), body, changes...)
}

func repeated(e *event.Event)   { e.Repeat, e.Attempt = true, 2 }
func replayed(e *event.Event)   { e.Repeat, e.Replayed = true, true }
func reconciled(e *event.Event) { e.Reconciled = true }

func number(n string) string { return fmt.Sprintf(`{"increment_id":%q}`, n) }

// export handles an event for the order, which must go out at once, and forgets the calls for it.
func (r *rig) exported(p fakemagento.Placed) {
	r.t.Helper()
	outcome, err := r.placed(number(p.IncrementID))
	isOutcome(r.t, outcome, err, event.Done)
	r.toERP.took()
	r.toShop.took()
}

func isOutcome(t *testing.T, outcome event.Outcome, err error, want event.Outcome) {
	t.Helper()
	if err != nil || outcome != want {
		t.Fatalf("outcome %q, error %v; want %q", outcome, err, want)
	}
}

// await waits until a handling is where the test wants it, which it may end without reaching.
func await(t *testing.T, there <-chan struct{}, ended <-chan error) {
	t.Helper()
	select {
	case <-there:
	case err := <-ended:
		t.Fatalf("the handling ended too early, error %v", err)
	}
}

// isClass checks that a handling failed with a class, and that its text has all the parts.
func isClass(t *testing.T, err error, class event.Class, parts ...string) {
	t.Helper()
	var deferral *event.Deferral
	if err == nil || errors.As(err, &deferral) || event.ClassOf(err) != class {
		t.Fatalf("error %v (class %s); want class %s", err, event.ClassOf(err), class)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q does not say %q", err, p)
		}
	}
}

func isDeferral(t *testing.T, err error, pick event.Pick) *event.Deferral {
	t.Helper()
	var d *event.Deferral
	if !errors.As(err, &d) || d.Pick != pick {
		t.Fatalf("error %v; want a deferral that picks %d", err, pick)
	}
	return d
}

func (r *rig) isRow(consumer, key, effect string, want idempotency.State) idempotency.Row {
	r.t.Helper()
	row, ok, err := r.ledger.Lookup(r.t.Context(), idempotency.Key{Consumer: consumer, Key: key, Effect: effect})
	if err != nil {
		r.t.Fatal(err)
	}
	if !ok {
		row.State = ""
	}
	if row.State != want {
		r.t.Fatalf("the row of %s:%s %s is %q (class %s), want %q", consumer, key, effect, row.State, row.Class, want)
	}
	return row
}

func (r *rig) isCreate(key string, want idempotency.State) idempotency.Row {
	r.t.Helper()
	return r.isRow(handlers.OrderPlaced, key, "create", want)
}

// withoutData makes the ledger's rows what they were before they had data: names and reasons say the same.
func (r *rig) withoutData() {
	r.t.Helper()
	r.sql(`UPDATE effect SET data = NULL, data_claim = NULL`)
}

func (r *rig) sql(statement string, args ...any) {
	r.t.Helper()
	if _, err := r.pool.Exec(r.t.Context(), statement, args...); err != nil {
		r.t.Fatal(err)
	}
}

// isCalls checks the calls to a side since it was last asked.
func isCalls(t *testing.T, s *side, want ...string) {
	t.Helper()
	if got := s.took(); got != strings.Join(want, ", ") {
		t.Errorf("calls: %s; want %s", got, strings.Join(want, ", "))
	}
}

// isOnce checks that the ERP has the order once and Magento one comment on it, which says so.
func (r *rig) isOnce(p fakemagento.Placed) {
	r.t.Helper()
	documents := r.erp.DocumentsOf(p.IncrementID)
	if len(documents) != 1 {
		r.t.Fatalf("the ERP has %d documents for %s, want 1", len(documents), p.IncrementID)
	}
	r.isComments(p, fmt.Sprintf("Sales order %s created in %s", documents[0].Number, erpName))
}

func (r *rig) isComments(p fakemagento.Placed, want ...string) {
	r.t.Helper()
	var got []string
	for _, c := range r.shop.Comments(p.EntityID) {
		got = append(got, c.Text)
		if c.Notified || c.VisibleOnFront {
			r.t.Errorf("the comment %q is mailed or visible to the customer", c.Text)
		}
	}
	if !slices.Equal(got, want) {
		r.t.Fatalf("comments %q, want %q", got, want)
	}
}

func asError(err error, target **event.Error) bool { return errors.As(err, target) }

func asDeferral(err error, target **event.Deferral) bool { return errors.As(err, target) }
