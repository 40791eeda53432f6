package fakemagento_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

// The order of these tests: 2 of A at 34 and 1 of B at 10, 19 % tax, shipping 5.95: 98.77 in all, of which 40.46 are for each A
// and 11.90 for B.
var twoRows = []fakemagento.Line{
	{SKU: "A", Name: "a", Qty: 2, Price: decimal.New(34, 0), TaxPercent: decimal.New(19, 0)},
	{SKU: "B", Name: "b", Qty: 1, Price: decimal.New(10, 0), TaxPercent: decimal.New(19, 0)},
}

type sale struct {
	t      *testing.T
	shop   *fakemagento.Server
	client *magentoapi.Client
	id     int64
	a, b   int64 // the order's rows
}

func newSale(t *testing.T, p fakemagento.Placing) *sale {
	t.Helper()
	shop, c := start(t, fakemagento.Options{})
	client, err := magentoapi.New(c.url, magentoapi.Options{HTTPClient: c.http})
	if err != nil {
		t.Fatal(err)
	}
	p.Lines = twoRows
	s := &sale{t: t, shop: shop, client: client, id: int64(shop.PlaceOrder(p).EntityID)}
	o := s.order()
	s.a, s.b = int64(o.Items[0].ItemID), int64(o.Items[1].ItemID)
	return s
}

func (s *sale) order() *magentoapi.Order {
	s.t.Helper()
	o, err := s.client.Orders.Get(s.t.Context(), s.id)
	if err != nil {
		s.t.Fatal(err)
	}
	return o
}

// is tells whether the order is in a state and has these totals.
func (s *sale) is(state, paid, due, refunded string) {
	s.t.Helper()
	o := s.order()
	if string(o.State) != state {
		s.t.Errorf("the order is %s, want %s", o.State, state)
	}
	for want, got := range map[*string]magentoapi.Decimal{&paid: o.TotalPaid, &due: o.TotalDue, &refunded: o.TotalRefunded} {
		if !got.Decimal.Equal(decimal.RequireFromString(*want)) {
			s.t.Errorf("paid %s, due %s, refunded %s; want %s, %s, %s", o.TotalPaid.Decimal, o.TotalDue.Decimal, o.TotalRefunded.Decimal, paid, due, refunded)
			return
		}
	}
}

// refuses tells whether err is Magento's 400 with the text.
func (s *sale) refuses(err error, text string) {
	s.t.Helper()
	var e *magentoapi.Error
	if !errors.Is(err, magentoapi.ErrBadRequest) || !errors.As(err, &e) || !strings.Contains(e.Message, text) || e.Transient() {
		s.t.Errorf("got %v, want a refusal with %q", err, text)
	}
}

func items(id int64, qty int64) []magentoapi.NewDocumentItem {
	return []magentoapi.NewDocumentItem{{OrderItemID: id, Qty: decimal.New(qty, 0)}}
}

func amountOf(n int64) magentoapi.Decimal {
	return magentoapi.Decimal{NullDecimal: decimal.NewNullDecimal(decimal.New(n, 0))}
}

func TestOrder_Invoiced(t *testing.T) {
	s := newSale(t, fakemagento.Placing{State: "new"})
	ctx := t.Context()
	s.is("new", "0", "98.77", "0")

	_, err := s.client.Orders.Refund(ctx, s.id, magentoapi.NewCreditMemo{})
	s.refuses(err, "The order does not allow a creditmemo to be created.\nWe can't create creditmemo for the order.")
	first, err := s.client.Orders.Invoice(ctx, s.id, magentoapi.NewInvoice{Items: items(s.a, 1), Comment: "part", CommentVisible: true})
	if err != nil {
		t.Fatal(err)
	}
	s.is("processing", "46.41", "52.36", "0") // with the shipping
	for text, wrong := range map[string][]magentoapi.NewDocumentItem{
		`The quantity to invoice must not be greater than the uninvoiced quantity for product SKU "A".`: items(s.a, 2),
		"The invoice contains one or more items that are not part of the original order.":               items(77, 1),
		"Invoice Document Validation Error(s):\nYou can't create an invoice without products.":          items(s.b, 0),
	} {
		_, err := s.client.Orders.Invoice(ctx, s.id, magentoapi.NewInvoice{Items: wrong})
		s.refuses(err, text)
	}
	second, err := s.client.Orders.Invoice(ctx, s.id, magentoapi.NewInvoice{Notify: true})
	if err != nil {
		t.Fatal(err)
	}
	s.is("processing", "98.77", "0", "0")
	_, err = s.client.Orders.Invoice(ctx, s.id, magentoapi.NewInvoice{})
	s.refuses(err, "An invoice cannot be created when an order has a status of processing.")
	if done, err := s.client.Orders.Cancel(ctx, s.id); done || err != nil {
		t.Errorf("an order that is all invoiced is cancelled: %v, %v", done, err)
	}

	invoice, err := s.client.Invoices.Get(ctx, second)
	if err != nil {
		t.Fatal(err)
	}
	if invoice.State != magentoapi.InvoicePaid || invoice.GrandTotal.Decimal.String() != "52.36" || len(invoice.Items) != 2 ||
		invoice.Items[0].Qty.Decimal.String() != "1" || invoice.ShippingAmount.Decimal.String() != "0" || !invoice.EmailSent.Bool {
		t.Errorf("the second invoice is %+v", invoice)
	}
	var found []int64
	for i, err := range s.client.Invoices.All(ctx, magentoapi.SearchCriteria{PageSize: 1}.Where(magentoapi.Eq("order_id", "1"))) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, int64(i.EntityID))
	}
	if !slices.Equal(found, []int64{first, second}) || len(s.shop.Invoices(int(s.id))) != 2 {
		t.Errorf("found the invoices %v", found)
	}
	if len(s.shop.Problems()) != 0 {
		t.Error(s.shop.Problems())
	}
}

func TestOrder_Refunded(t *testing.T) {
	s := newSale(t, fakemagento.Placing{State: "new"})
	ctx := t.Context()
	first, err := s.client.Orders.Invoice(ctx, s.id, magentoapi.NewInvoice{Items: items(s.a, 1)})
	if err == nil {
		_, err = s.client.Orders.Invoice(ctx, s.id, magentoapi.NewInvoice{})
	}
	if err != nil {
		t.Fatal(err)
	}
	s.shop.Ship(int(s.id), nil)
	s.is("complete", "98.77", "0", "0")

	_, err = s.client.Orders.Refund(ctx, s.id, magentoapi.NewCreditMemo{Items: items(s.a, 3)})
	s.refuses(err, `The quantity to creditmemo must not be greater than the unrefunded quantity for product SKU "A".`)
	_, err = s.client.Orders.Refund(ctx, s.id, magentoapi.NewCreditMemo{ShippingAmount: amountOf(6)})
	s.refuses(err, "Maximum shipping amount allowed to refund is: 5")
	_, err = s.client.Orders.Refund(ctx, s.id, magentoapi.NewCreditMemo{AdjustmentPositive: amountOf(100)})
	s.refuses(err, "The most money available to refund is 98.77.")
	memo, err := s.client.Invoices.Refund(ctx, first, magentoapi.NewCreditMemo{
		Items: items(s.a, 1), ShippingAmount: amountOf(0), ReturnToStock: []int64{s.a}, AdjustmentNegative: amountOf(1),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.is("complete", "98.77", "0", "39.46")
	m, err := s.client.CreditMemos.Get(ctx, memo)
	if err != nil || int64(m.InvoiceID) != first || m.GrandTotal.Decimal.String() != "39.46" || m.Adjustment.Decimal.String() != "-1" ||
		m.State != magentoapi.CreditMemoRefunded || m.Items[0].SKU != "A" {
		t.Errorf("the credit memo is %+v, %v", m, err)
	}
	if o := s.order(); o.Items[0].QtyRefunded.Decimal.String() != "1" || o.Items[0].QtyInvoiced.Decimal.String() != "2" {
		t.Errorf("the order's row is %+v", o.Items[0])
	}
	if _, err = s.client.Orders.Refund(ctx, s.id, magentoapi.NewCreditMemo{AdjustmentPositive: amountOf(1), Notify: true}); err != nil {
		t.Fatal(err)
	}
	s.is("closed", "98.77", "0", "98.77")
	_, err = s.client.Orders.Refund(ctx, s.id, magentoapi.NewCreditMemo{})
	s.refuses(err, "A creditmemo can not be created when an order has a status of closed")
	if ids := s.shop.CreditMemos(int(s.id)); len(ids) != 2 {
		t.Errorf("credit memos %v", ids)
	}
	if len(s.shop.Problems()) != 0 {
		t.Error(s.shop.Problems())
	}
}

func TestDocument_CommentedAndMailed(t *testing.T) {
	s := newSale(t, fakemagento.Placing{State: "new"})
	ctx := t.Context()
	s.shop.Invoice(int(s.id))
	s.shop.Refund(int(s.id))
	s.is("closed", "98.77", "0", "98.77")
	for name, service := range map[string]interface {
		AddComment(ctx context.Context, id int64, c magentoapi.Comment) (*magentoapi.DocumentComment, error)
		Comments(ctx context.Context, id int64) ([]magentoapi.DocumentComment, error)
		SendEmail(ctx context.Context, id int64) (bool, error)
	}{"invoice": s.client.Invoices, "credit memo": s.client.CreditMemos} {
		for _, text := range []string{"first", "second"} {
			added, err := service.AddComment(ctx, 1, magentoapi.Comment{Text: text, VisibleToCustomer: true})
			if err != nil || added.EntityID == 0 || string(added.Comment) != text || !added.IsVisibleOnFront.Bool || added.IsCustomerNotified.Bool {
				t.Errorf("%s: %+v, %v", name, added, err)
			}
		}
		all, err := service.Comments(ctx, 1)
		if err != nil || len(all) != 2 || all[0].Comment != "second" {
			t.Errorf("%s: %+v, %v", name, all, err)
		}
		if sent, err := service.SendEmail(ctx, 1); !sent || err != nil {
			t.Errorf("%s: mail: %v, %v", name, sent, err)
		}
		if _, err := service.AddComment(ctx, 9, magentoapi.Comment{Text: "x"}); !errors.Is(err, magentoapi.ErrNotFound) {
			t.Errorf("%s that is not there: %v", name, err)
		}
	}
	i, err := s.client.Invoices.Get(ctx, 1)
	if err != nil || len(i.Comments) != 2 || !i.EmailSent.Bool {
		t.Errorf("%+v, %v", i, err)
	}
	s.refuses(s.client.CreditMemos.Cancel(ctx, 1), "You can not cancel Credit Memo")
	if _, err := s.client.CreditMemos.Get(ctx, 2); !errors.Is(err, magentoapi.ErrNotFound) {
		t.Errorf("no such credit memo: %v", err)
	}
	if sent, err := s.client.Orders.SendEmail(ctx, s.id); !sent || err != nil {
		t.Errorf("mail of the order: %v, %v", sent, err)
	}
}

func TestOrder_Held(t *testing.T) {
	s := newSale(t, fakemagento.Placing{State: "processing", Status: "fraud"})
	ctx := t.Context()
	if err := s.client.Orders.Hold(ctx, s.id); err != nil {
		t.Fatal(err)
	}
	if o := s.order(); o.State != magentoapi.StateHolded || o.HoldBeforeState != "processing" || o.HoldBeforeStatus != "fraud" {
		t.Errorf("held: %s, before %s and %s", o.State, o.HoldBeforeState, o.HoldBeforeStatus)
	}
	s.refuses(s.client.Orders.Hold(ctx, s.id), "A hold action is not available.")
	_, err := s.client.Orders.Invoice(ctx, s.id, magentoapi.NewInvoice{})
	s.refuses(err, "An invoice cannot be created when an order has a status of holded.")
	if done, err := s.client.Orders.Cancel(ctx, s.id); done || err != nil {
		t.Errorf("an order on hold was cancelled: %v, %v", done, err)
	}
	if err := s.client.Orders.Unhold(ctx, s.id); err != nil {
		t.Fatal(err)
	}
	status, err := s.client.Orders.Status(ctx, s.id)
	if o := s.order(); o.State != "processing" || status != "fraud" || err != nil || o.HoldBeforeState != "" {
		t.Errorf("off hold: %s, %s, %v", o.State, status, err)
	}
	s.refuses(s.client.Orders.Unhold(ctx, s.id), "You cannot remove the hold.")
}

func TestOrder_Cancelled(t *testing.T) {
	for name, c := range map[string]struct {
		before   func(s *sale)
		state    string
		canceled [2]string
	}{
		"all":          {func(*sale) {}, "canceled", [2]string{"2", "1"}},
		"the rest":     {func(s *sale) { s.invoice(items(s.a, 1)) }, "processing", [2]string{"1", "1"}},
		"not invoiced": {func(s *sale) { s.invoice(items(s.a, 2)); s.shop.Ship(int(s.id), map[string]int64{itoa(s.a): 2}) }, "complete", [2]string{"0", "1"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSale(t, fakemagento.Placing{State: "new"})
			c.before(s)
			done, err := s.client.Orders.Cancel(t.Context(), s.id)
			o := s.order()
			if !done || err != nil || string(o.State) != c.state {
				t.Errorf("cancelled: %v, %v, it is %s", done, err, o.State)
			}
			if got := [2]string{o.Items[0].QtyCanceled.Decimal.String(), o.Items[1].QtyCanceled.Decimal.String()}; got != c.canceled {
				t.Errorf("cancelled %v, want %v", got, c.canceled)
			}
			if again, err := s.client.Orders.Cancel(t.Context(), s.id); again || err != nil {
				t.Errorf("again: %v, %v", again, err)
			}
		})
	}
}

func (s *sale) invoice(items []magentoapi.NewDocumentItem) {
	s.t.Helper()
	if _, err := s.client.Orders.Invoice(s.t.Context(), s.id, magentoapi.NewInvoice{Items: items}); err != nil {
		s.t.Fatal(err)
	}
}

func itoa(n int64) string { return decimal.New(n, 0).String() }

func TestOrder_Saved(t *testing.T) {
	s := newSale(t, fakemagento.Placing{State: "new"})
	ctx := t.Context()
	before := s.order()
	o := s.order()
	o.ExtOrderID = "SO-4711"
	if _, err := s.client.Orders.Save(ctx, o); err != nil {
		t.Fatal(err)
	}
	after := s.order()
	if after.ExtOrderID != "SO-4711" || after.IncrementID != before.IncrementID || len(after.Items) != 2 ||
		!after.GrandTotal.Decimal.Equal(before.GrandTotal.Decimal) || after.BillingAddress.City != before.BillingAddress.City {
		t.Errorf("saved: %+v", after)
	}
	if found, err := s.client.Orders.ByIncrementID(ctx, string(before.IncrementID)); err != nil || len(found) != 1 {
		t.Errorf("%d orders by the number, %v", len(found), err)
	}
	if len(s.shop.Problems()) != 0 {
		t.Error(s.shop.Problems())
	}
	after.Items[0].Name = "another"
	if _, err := s.client.Orders.Save(ctx, after); err != nil {
		t.Fatal(err)
	}
	if len(s.shop.Problems()) != 1 {
		t.Errorf("rows that were changed were not sent: %v", s.shop.Problems())
	}

	address := s.order().BillingAddress
	address.City = "Potsdam"
	if saved, err := s.client.Orders.SaveAddress(ctx, s.id, address); err != nil || saved.City != "Potsdam" || saved.Postcode != "10115" {
		t.Errorf("%+v, %v", saved, err)
	}
	if o := s.order(); o.BillingAddress.City != "Potsdam" || o.ShippingAssignment().Address.City != "Berlin" {
		t.Errorf("billed to %s, shipped to %s", o.BillingAddress.City, o.ShippingAssignment().Address.City)
	}

	created, err := s.client.Orders.Create(ctx, &magentoapi.Order{
		CustomerEmail: "import@fixture.example", OrderCurrencyCode: "EUR", Items: []magentoapi.OrderItem{{SKU: "A", QtyOrdered: amountOf(1)}},
	})
	if err != nil || created.EntityID != 2 || created.IncrementID == "" || created.Items[0].ItemID == 0 {
		t.Errorf("created %+v, %v", created, err)
	}
}

func TestOrder_Rows(t *testing.T) {
	s := newSale(t, fakemagento.Placing{})
	s.shop.PlaceOrder(fakemagento.Placing{Lines: twoRows})
	row, err := s.client.Orders.Item(t.Context(), s.b)
	if err != nil || row.SKU != "B" || int64(row.OrderID) != s.id {
		t.Errorf("%+v, %v", row, err)
	}
	if _, err := s.client.Orders.Item(t.Context(), 9); !errors.Is(err, magentoapi.ErrNotFound) {
		t.Errorf("no such row: %v", err)
	}
	var orders []int64
	for i, err := range s.client.Orders.AllItems(t.Context(), magentoapi.SearchCriteria{PageSize: 1}.Where(magentoapi.Eq("sku", "B"))) {
		if err != nil {
			t.Fatal(err)
		}
		orders = append(orders, int64(i.OrderID))
	}
	if !slices.Equal(orders, []int64{1, 2}) {
		t.Errorf("B is in the orders %v", orders)
	}
}

func TestOrder_OnlinePayments(t *testing.T) {
	s := newSale(t, fakemagento.Placing{State: "new", Method: "stripe_payments"})
	ctx := t.Context()
	id, err := s.client.Orders.Invoice(ctx, s.id, magentoapi.NewInvoice{Capture: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.client.Invoices.Capture(ctx, id); err != nil {
		t.Error(err)
	}
	if err := s.client.Invoices.Void(ctx, id); err != nil {
		t.Error(err)
	}
	if _, err := s.client.Invoices.Refund(ctx, id, magentoapi.NewCreditMemo{Online: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.Orders.Refund(ctx, s.id, magentoapi.NewCreditMemo{Online: true}); err == nil {
		t.Error("an order was refunded online")
	}
	var kinds []string
	for txn, err := range s.client.Transactions.All(ctx, magentoapi.SearchCriteria{}.Where(magentoapi.Eq("order_id", "1"))) {
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, string(txn.TxnType))
	}
	one, err := s.client.Transactions.Get(ctx, 1)
	if !slices.Equal(kinds, []string{"capture", "refund"}) || err != nil || one.TxnType != "capture" || !one.IsClosed.Bool {
		t.Errorf("%v, %+v, %v", kinds, one, err)
	}
	if _, err := s.client.Transactions.Get(ctx, 3); !errors.Is(err, magentoapi.ErrNotFound) {
		t.Errorf("no such transaction: %v", err)
	}

	offline := newSale(t, fakemagento.Placing{State: "new"})
	offline.invoice(nil)
	offline.refuses(offline.client.Invoices.Capture(ctx, 1), "The capture action is not available.")
	offline.refuses(offline.client.Invoices.Void(ctx, 1), "The void action is not available.")
}
