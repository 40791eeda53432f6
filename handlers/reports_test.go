package handlers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/handlers"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/test/kit/fakeerp"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

func (r *rig) followed(l *idempotency.Ledger) handlers.Followed {
	return handlers.Followed{
		Orders: r.client.Orders, ERP: r.connector, Ledger: l, Book: r.book, Stores: r.stores(), Rules: r.rules, Export: r.export,
	}
}

func (r *rig) shipmentsOn(l *idempotency.Ledger) *handlers.ShipmentCreated {
	return &handlers.ShipmentCreated{Followed: r.followed(l), Shipments: r.client.Shipments, Reporter: r.connector}
}

func (r *rig) creditMemosOn(l *idempotency.Ledger) *handlers.CreditMemoCreated {
	return &handlers.CreditMemoCreated{Followed: r.followed(l), CreditMemos: r.client.CreditMemos, Invoices: r.client.Invoices, Reporter: r.connector}
}

func (r *rig) customersOn(l *idempotency.Ledger) *handlers.CustomerSaved {
	return &handlers.CustomerSaved{Customers: r.client.Customers, Writer: r.connector, Ledger: l, Stores: r.stores(), Rules: r.rules, Export: r.export}
}

// twoLines is an order of two products, two pieces of the first.
var twoLines = fakemagento.Placing{Lines: []fakemagento.Line{
	{SKU: "A-1", Name: "A", Qty: 2, Price: decimal.RequireFromString("34"), TaxPercent: decimal.NewFromInt(19)},
	{SKU: "B-1", Name: "B", Qty: 1, Price: decimal.RequireFromString("10"), TaxPercent: decimal.NewFromInt(19)},
}}

// ship ships some of a product of an order.
func (r *rig) ship(p fakemagento.Placed, sku string, n int64) int {
	r.t.Helper()
	o, err := r.client.Orders.Get(r.t.Context(), int64(p.EntityID))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, item := range o.Items {
		if string(item.SKU) == sku {
			return r.shop.Ship(p.EntityID, map[string]int64{fmt.Sprint(int64(item.ItemID)): n})
		}
	}
	r.t.Fatalf("order %s has no %s", p.IncrementID, sku)
	return 0
}

func entity(id int) string { return fmt.Sprintf(`{"entity_id":%d}`, id) }

func (r *rig) isReported(kind string, want int) []fakeerp.Report {
	r.t.Helper()
	reports := r.erp.Reports(kind)
	if len(reports) != want {
		r.t.Fatalf("the ERP has %d reports of a %s, want %d", len(reports), kind, want)
	}
	return reports
}

func TestShipmentCreated_ReportsOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	p := r.shop.PlaceOrder(twoLines)
	r.exported(p)
	id := r.ship(p, "A-1", 1)
	outcome, err := r.handle(r.shipmentsOn(r.ledger), entity(id))
	isOutcome(t, outcome, err, event.Done)
	outcome, err = r.handle(r.shipmentsOn(r.replica("second")), entity(id), repeated)
	isOutcome(t, outcome, err, event.Duplicate)
	report := r.isReported(fakeerp.Shipment, 1)[0]
	var body struct {
		OrderReference string `json:"order_reference"`
		Origin         string
		Lines          []struct{ SKU, Quantity string }
	}
	if err := json.Unmarshal(report.Body, &body); err != nil {
		t.Fatal(err)
	}
	if report.Key != fmt.Sprintf("shipment_created:%d", id) || body.OrderReference != p.IncrementID || body.Origin != "magento" ||
		len(body.Lines) != 1 || body.Lines[0].SKU != "A-1" || body.Lines[0].Quantity != "1" || report.Document != r.erp.DocumentsOf(p.IncrementID)[0].Number {
		t.Errorf("reported under the key %s: %s", report.Key, report.Body)
	}
	if problems := r.erp.Problems(); problems["no Idempotency-Key"] > 0 {
		t.Error("a report has no key")
	}
}

// What a shipment does follows from how its order stands.
func TestShipmentCreated_FollowsItsOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	for _, c := range []struct {
		name  string
		order func(p fakemagento.Placed)
		check func(t *testing.T, outcome event.Outcome, err error)
	}{
		{"in progress", func(p fakemagento.Placed) {
			r.sql(`INSERT INTO effect (consumer, key, effect, state, owner, claim, lease_until, accepted, result, reason, class, created_at, updated_at)
				VALUES ('order_placed', $1, 'create', 'in_progress', 'other/1', 1, now() + interval '1 hour', false, '', '', '', now(), now())`, p.IncrementID)
		}, func(t *testing.T, _ event.Outcome, err error) {
			if d := isDeferral(t, err, event.Shortest); !d.Busy {
				t.Errorf("%+v does not say that it is busy", d)
			}
		}},
		{"waiting", func(p fakemagento.Placed) {
			r.shop.SetState(p.EntityID, magentoapi.StateHolded)
			if outcome, err := r.placed(number(p.IncrementID)); err != nil || outcome != event.Done {
				t.Fatalf("%s, %v", outcome, err)
			}
		}, func(t *testing.T, _ event.Outcome, err error) { _ = isDeferral(t, err, event.Nearest) }},
		{"skipped", func(p fakemagento.Placed) {
			r.shop.SetState(p.EntityID, magentoapi.StateClosed)
			if outcome, err := r.placed(number(p.IncrementID)); err != nil || outcome != event.Skipped {
				t.Fatalf("%s, %v", outcome, err)
			}
		}, func(t *testing.T, outcome event.Outcome, err error) { isOutcome(t, outcome, err, event.Skipped) }},
		{"not known and not in the ERP", func(fakemagento.Placed) {}, func(t *testing.T, _ event.Outcome, err error) { isClass(t, err, event.NotFound, "no document") }},
		{"booked by hand", func(p fakemagento.Placed) { r.erp.Book(p.IncrementID) }, func(t *testing.T, outcome event.Outcome, err error) {
			isOutcome(t, outcome, err, event.Done)
		}},
		{"twice in the ERP", func(p fakemagento.Placed) { r.erp.Book(p.IncrementID); r.erp.Book(p.IncrementID) }, func(t *testing.T, _ event.Outcome, err error) {
			isClass(t, err, event.Rejected, "2 documents")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := r.shop.PlaceOrder(twoLines)
			id := r.shop.Ship(p.EntityID, nil)
			c.order(p)
			outcome, err := r.handle(r.shipmentsOn(r.ledger), entity(id))
			c.check(t, outcome, err)
		})
	}
}

// A shipment that came of a tracking number is known as mageline's own, also while Magento has not answered yet.
func TestShipmentCreated_KnowsMagelinesOwn(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{tracking: handlers.TrackingRules{Create: true}})
	p := r.shop.PlaceOrder(twoLines)
	r.exported(p)
	tracked := r.trackedOn(r.ledger)
	outcome, err := r.handle(tracked, fmt.Sprintf(`{"order_number":%q,"tracking_number":"T1"}`, p.IncrementID))
	isOutcome(t, outcome, err, event.Done)
	shipments, err := r.client.Shipments.OfOrder(t.Context(), int64(p.EntityID))
	if err != nil || len(shipments) != 1 {
		t.Fatalf("%d shipments, %v", len(shipments), err)
	}
	id := int(shipments[0].EntityID)
	h := r.shipmentsOn(r.ledger)
	h.OnlyMagentos = true
	outcome, err = r.handle(h, entity(id))
	isOutcome(t, outcome, err, event.Skipped)
	r.isReported(fakeerp.Shipment, 0)
	outcome, err = r.handle(r.shipmentsOn(r.ledger), entity(id))
	isOutcome(t, outcome, err, event.Done)
	if body := string(r.isReported(fakeerp.Shipment, 1)[0].Body); !strings.Contains(body, `"origin":"mageline"`) || !strings.Contains(body, `"tracking_number":"T1"`) {
		t.Errorf("reported %s", body)
	}
}

func TestCreditMemoCreated_SaysWhatIsOpen(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	p := r.shop.PlaceOrder(twoLines)
	r.exported(p)
	invoice := r.shop.Invoice(p.EntityID)
	id := r.shop.Refund(p.EntityID)
	outcome, err := r.handle(r.creditMemosOn(r.ledger), entity(id))
	isOutcome(t, outcome, err, event.Done)
	outcome, err = r.handle(r.creditMemosOn(r.ledger), entity(id))
	isOutcome(t, outcome, err, event.Duplicate)
	report := r.isReported(fakeerp.CreditMemo, 1)[0]
	var body struct {
		Lines []struct {
			SKU, Quantity string
			RowTotal      string                                   `json:"row_total"`
			OrderLine     struct{ Ordered, Refunded, Open string } `json:"order_line"`
		}
		State string
	}
	if err := json.Unmarshal(report.Body, &body); err != nil {
		t.Fatal(err)
	}
	if len(body.Lines) != 2 || body.State != "refunded" {
		t.Fatalf("after invoice %d reported %s", invoice, report.Body)
	}
	for _, l := range body.Lines {
		if l.OrderLine.Open != "0" || l.OrderLine.Refunded != l.OrderLine.Ordered || l.RowTotal == "0.00" {
			t.Errorf("line %+v", l)
		}
	}
	if report.Key != fmt.Sprintf("creditmemo_created:%d", id) {
		t.Errorf("key %s", report.Key)
	}
}

// An ERP whose orders vanish when they are cancelled has none any more for the attempt after the one that has reported the whole:
// the ledger knows which one it was.
func TestCreditMemoCreated_OrderThatAnEarlierAttemptHasDeleted(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	p := r.shop.PlaceOrder(twoLines)
	r.exported(p)
	r.shop.Invoice(p.EntityID)
	id := r.shop.Refund(p.EntityID)
	none := func(w http.ResponseWriter, request *http.Request) bool {
		if request.Method != http.MethodGet {
			return false
		}
		_, _ = w.Write([]byte(`{"items":[]}`))
		return true
	}
	r.toERP.answering(none)
	_, err := r.handle(r.creditMemosOn(r.ledger), entity(id))
	isClass(t, err, event.NotFound) // nothing was sent: the order is not there
	r.toERP.with(http.MethodPost, 500, `{}`)
	_, err = r.handle(r.creditMemosOn(r.ledger), entity(id))
	isClass(t, err, event.Unavailable)
	r.toERP.answering(none)
	outcome, err := r.handle(r.creditMemosOn(r.ledger), entity(id))
	isOutcome(t, outcome, err, event.Done)
	if got := r.isReported(fakeerp.CreditMemo, 1)[0].Document; got != r.erp.DocumentsOf(p.IncrementID)[0].Number {
		t.Errorf("the credit memo is of document %q", got)
	}
}

func (r *rig) customer(email string) int {
	r.t.Helper()
	id, err := r.shop.AddCustomer([]byte(fmt.Sprintf(`{"email":%q,"firstname":"Ada","lastname":"Byron","group_id":1,"website_id":1,"store_id":1,
		"addresses":[{"firstname":"Ada","lastname":"Byron","street":["Main St 1"],"city":"Berlin","postcode":"10115","country_id":"DE","telephone":"1","default_billing":true}]}`, email)), "Passw0rd!")
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

func (r *rig) rename(id int, name string) {
	r.t.Helper()
	c, err := r.client.Customers.Get(r.t.Context(), int64(id))
	if err != nil {
		r.t.Fatal(err)
	}
	c.Firstname = magentoapi.Text(name)
	if _, err := r.client.Customers.Update(r.t.Context(), c); err != nil {
		r.t.Fatal(err)
	}
}

// Only a customer that is as it was sent last is a duplicate: one that is as it was before that is sent again.
func TestCustomerSaved_SendsEachChange(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	id := r.customer("ada@example.com")
	body := fmt.Sprintf(`{"id":%d}`, id)
	for i, c := range []struct {
		change func()
		want   event.Outcome
		sent   int
	}{
		{func() {}, event.Done, 1},
		{func() {}, event.Duplicate, 1},
		{func() { r.rename(id, "Augusta") }, event.Done, 2},
		{func() {}, event.Duplicate, 2},
		{func() { r.rename(id, "Ada") }, event.Done, 3},
	} {
		c.change()
		outcome, err := r.handle(r.customersOn(r.ledger), body)
		isOutcome(t, outcome, err, c.want)
		if got := len(r.erp.Reports(fakeerp.Customer)); got != c.sent {
			t.Errorf("step %d: sent %d times, want %d", i, got, c.sent)
		}
	}
	if keys := r.toERP.idempotencyKeys(); len(keys) > 0 {
		t.Errorf("a PUT has the keys %q", keys)
	}
	outcome, err := r.handle(r.customersOn(r.ledger), `{"id":999999}`)
	if outcome != "" {
		t.Errorf("outcome %s", outcome)
	}
	isClass(t, err, event.NotFound)
}

// reportSteps stands between the handlers of reports and their clients, as steps does for orders.
type reportSteps struct {
	*steps
	reporter interface {
		erp.ShipmentReporter
		erp.CreditMemoReporter
		erp.CustomerWriter
	}
	shipments   handlers.ShipmentReader
	creditMemos handlers.CreditMemoReader
	customers   handlers.Customers
}

func (s *reportSteps) ReportShipment(ctx context.Context, c erp.Call, x erp.Shipment) (erp.Document, error) {
	return around(s.steps, "the report", func() (erp.Document, error) { return s.reporter.ReportShipment(ctx, c, x) })
}

func (s *reportSteps) ReportCreditMemo(ctx context.Context, c erp.Call, x erp.CreditMemo) (erp.Document, error) {
	return around(s.steps, "the report", func() (erp.Document, error) { return s.reporter.ReportCreditMemo(ctx, c, x) })
}

func (s *reportSteps) WriteCustomer(ctx context.Context, c erp.Call, x erp.CustomerRecord) (erp.Document, error) {
	return around(s.steps, "the report", func() (erp.Document, error) { return s.reporter.WriteCustomer(ctx, c, x) })
}

type (
	shipmentSteps   struct{ *reportSteps }
	creditMemoSteps struct{ *reportSteps }
	customerSteps   struct{ *reportSteps }
)

func (s shipmentSteps) Get(ctx context.Context, id int64) (*magentoapi.Shipment, error) {
	return around(s.steps, "reading the shipment", func() (*magentoapi.Shipment, error) { return s.shipments.Get(ctx, id) })
}

func (s creditMemoSteps) Get(ctx context.Context, id int64) (*magentoapi.CreditMemo, error) {
	return around(s.steps, "reading the credit memo", func() (*magentoapi.CreditMemo, error) { return s.creditMemos.Get(ctx, id) })
}

func (s customerSteps) Get(ctx context.Context, id int64) (*magentoapi.Customer, error) {
	return around(s.steps, "reading the customer", func() (*magentoapi.Customer, error) { return s.customers.Get(ctx, id) })
}

// A handler that panics, or is cancelled by a drain, at any moment: handled again on another replica, what it reports is in the
// ERP once, and a customer as it is.
func TestReports_StruckAtEachMoment(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{erpMode: fakeerp.HonoursKeys})
	second := r.replica("second")
	p := r.shop.PlaceOrder(fakemagento.Placing{Lines: []fakemagento.Line{{SKU: "A-1", Name: "A", Qty: 100, Price: decimal.NewFromInt(1)}}})
	r.exported(p)
	kinds := []struct {
		kind string
		make func() string // a body
		on   func(l *idempotency.Ledger, s *reportSteps) handler
	}{
		{fakeerp.Shipment, func() string { return entity(r.ship(p, "A-1", 1)) }, func(l *idempotency.Ledger, s *reportSteps) handler {
			h := r.shipmentsOn(l)
			if s != nil {
				h.Shipments, h.Reporter, h.Orders, h.ERP = shipmentSteps{s}, s, s, s
			}
			return h
		}},
		{fakeerp.CreditMemo, func() string {
			p := r.shop.PlaceOrder(twoLines)
			r.exported(p)
			r.shop.Invoice(p.EntityID)
			return entity(r.shop.Refund(p.EntityID))
		}, func(l *idempotency.Ledger, s *reportSteps) handler {
			h := r.creditMemosOn(l)
			if s != nil {
				h.CreditMemos, h.Reporter, h.Orders, h.ERP = creditMemoSteps{s}, s, s, s
			}
			return h
		}},
		{fakeerp.Customer, func() string {
			return fmt.Sprintf(`{"id":%d}`, r.customer(fmt.Sprintf("c%d@example.com", time.Now().UnixNano())))
		}, func(l *idempotency.Ledger, s *reportSteps) handler {
			h := r.customersOn(l)
			if s != nil {
				h.Customers, h.Writer = customerSteps{s}, s
			}
			return h
		}},
	}
	for _, kind := range kinds {
		for name, strike := range map[string]func(context.CancelFunc) func(){
			"panic":  func(context.CancelFunc) func() { return func() { panic("struck") } },
			"cancel": func(cancel context.CancelFunc) func() { return cancel },
		} {
			for at := 1; ; at++ {
				body := kind.make()
				before := len(r.erp.Reports(kind.kind))
				ctx, cancel := context.WithCancel(r.context())
				s := &reportSteps{
					steps:    &steps{Orders: r.client.Orders, OrderConnector: r.connector, strike: strike(cancel), at: at},
					reporter: r.connector, shipments: r.client.Shipments, creditMemos: r.client.CreditMemos, customers: r.client.Customers,
				}
				e := event.Event{Body: []byte(body), Attempt: 1}
				_, err := guarded(ctx, kind.on(r.ledger, s), e)
				cancel()
				if s.n < at {
					if err != nil {
						t.Errorf("%s undisturbed: %v", kind.kind, err)
					}
					if at < 4 {
						t.Errorf("only %d moments: %q", s.n, s.names)
					}
					break
				}
				where := fmt.Sprintf("%s, %s %s", kind.kind, name, s.names[at-1])
				for _, redelivered := range []bool{true, false} {
					e.Repeat = redelivered
					if outcome, err := guarded(r.context(), kind.on(second, nil), e); err != nil || outcome != event.Done && outcome != event.Duplicate {
						t.Fatalf("%s: handled again: %s, %v", where, outcome, err)
					}
				}
				sent := len(r.erp.Reports(kind.kind)) - before
				if kind.kind == fakeerp.Customer && sent == 2 {
					sent = 1 // a PUT may be repeated
				}
				if sent != 1 {
					t.Errorf("%s: the ERP has it %d times", where, sent)
				}
			}
		}
	}
}
