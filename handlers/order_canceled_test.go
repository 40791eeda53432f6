package handlers_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/handlers"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/test/kit/fakeerp"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

const cancelFirst = "POST /sales-orders/SO-1001/cancel"

// items gives the item ids of an order.
func (r *rig) items(p fakemagento.Placed) []int {
	r.t.Helper()
	var o struct {
		Items []struct {
			ID int `json:"item_id"`
		} `json:"items"`
	}
	if err := json.Unmarshal(r.shop.Order(p.EntityID), &o); err != nil {
		r.t.Fatal(err)
	}
	var ids []int
	for _, i := range o.Items {
		ids = append(ids, i.ID)
	}
	return ids
}

// cancelQuantities cancels by line, counted from the beginning, as Magento does.
func (r *rig) cancelQuantities(p fakemagento.Placed, quantities ...int64) {
	r.t.Helper()
	all := map[int]decimal.Decimal{}
	for i, id := range r.items(p)[:len(quantities)] {
		all[id] = decimal.New(quantities[i], 0)
	}
	r.shop.CancelQuantities(p.EntityID, all)
}

func lines(n int, qty int64) []fakemagento.Line {
	var all []fakemagento.Line
	for i := range n {
		all = append(all, fakemagento.Line{
			SKU: fmt.Sprintf("SKU-%d", i), Name: "x", Qty: qty, Price: decimal.New(10, 0), TaxPercent: decimal.New(19, 0),
		})
	}
	return all
}

// taken adds up what the document has lost by line; a repeated call under the same key counts once, as the contract asks of
// ERPs.
func taken(t *testing.T, d fakeerp.Document) map[string]string {
	t.Helper()
	sums, seen := map[string]decimal.Decimal{}, map[string]bool{}
	for _, c := range d.Cancellations {
		if seen[c.Key] {
			continue
		}
		seen[c.Key] = true
		for _, l := range c.Lines {
			q, err := decimal.NewFromString(l.Quantity)
			if err != nil {
				t.Fatal(err)
			}
			sums[l.SKU] = sums[l.SKU].Add(q)
		}
	}
	texts := map[string]string{}
	for sku, q := range sums {
		texts[sku] = q.String()
	}
	return texts
}

func TestCanceled_WholeOrder(t *testing.T) { onEachVersion(t, testWholeOrderCanceled) }

func testWholeOrderCanceled(t *testing.T, shop fakemagento.Options) {
	r := newRig(t, settings{shop: shop})
	p := r.shop.PlaceOrder(fakemagento.Placing{Lines: lines(2, 3)})
	r.exported(p)
	r.shop.Cancel(p.EntityID)
	outcome, err := r.canceled(number(p.IncrementID))
	isOutcome(t, outcome, err, event.Done)
	isCalls(t, r.toERP, find, cancelFirst)
	d := r.erp.Documents()[0]
	if len(d.Cancellations) != 1 {
		t.Fatalf("cancelled %d times", len(d.Cancellations))
	}
	c := d.Cancellations[0]
	items := r.items(p)
	want := []fakeerp.CancellationLine{
		{Reference: fmt.Sprint(items[0]), SKU: "SKU-0", Quantity: "3"},
		{Reference: fmt.Sprint(items[1]), SKU: "SKU-1", Quantity: "3"},
	}
	if !c.Complete || c.Reason != "canceled in Magento" || !slices.Equal(c.Lines, want) {
		t.Errorf("cancellation %+v, want all of %v", c, want)
	}
	if !strings.HasPrefix(c.Key, "order_canceled:"+p.IncrementID) {
		t.Errorf("Idempotency-Key %q", c.Key)
	}
	comments := []string{
		"Sales order " + d.Number + " created in " + erpName,
		"Sales order " + d.Number + " cancelled in " + erpName,
	}
	r.isComments(p, comments...)
	for _, change := range []func(*event.Event){func(*event.Event) {}, repeated, replayed} {
		outcome, err = r.canceled(number(p.IncrementID), change)
		isOutcome(t, outcome, err, event.Duplicate)
	}
	isCalls(t, r.toERP) // the ledger has the document's number
	r.isComments(p, comments...)
}

func TestCanceled_WithoutComment(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{rules: func(o *handlers.OrderRules) { o.Comment = false }})
	p := r.shop.PlaceOrder(fakemagento.Placing{})
	r.exported(p)
	r.shop.Cancel(p.EntityID)
	outcome, err := r.canceled(number(p.IncrementID))
	isOutcome(t, outcome, err, event.Done)
	r.isComments(p)
}

// What a cancellation does while its order is not in the ERP, or not yet.
func TestCanceled_FollowsItsOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	whole := func(p fakemagento.Placed) { r.shop.Cancel(p.EntityID) }
	part := func(p fakemagento.Placed) { r.cancelQuantities(p, 1) }
	nothing := func(fakemagento.Placed) {}
	deferred := func(pick event.Pick, wait time.Duration) func(*testing.T, event.Outcome, error) {
		return func(t *testing.T, _ event.Outcome, err error) {
			t.Helper()
			if d := isDeferral(t, err, pick); d.Wait != wait {
				t.Errorf("it waits %s, want %s", d.Wait, wait)
			}
		}
	}
	ends := func(want event.Outcome) func(*testing.T, event.Outcome, error) {
		return func(t *testing.T, outcome event.Outcome, err error) {
			t.Helper()
			isOutcome(t, outcome, err, want)
		}
	}
	notFound := func(t *testing.T, _ event.Outcome, err error) {
		t.Helper()
		isClass(t, err, event.NotFound)
	}
	row := func(state string) func(p fakemagento.Placed) {
		return func(p fakemagento.Placed) {
			r.leave(p, "create")
			r.sql(`UPDATE effect SET state = $2, lease_until = now() + interval '1 minute' WHERE key = $1`, p.IncrementID, state)
		}
	}
	waiting := func(p fakemagento.Placed) {
		outcome, err := r.placed(number(p.IncrementID))
		isOutcome(t, outcome, err, event.Done)
		r.isCreate(p.IncrementID, idempotency.Waiting)
	}
	for _, tt := range []struct {
		name    string
		placing fakemagento.Placing
		before  func(p fakemagento.Placed)
		cancel  func(p fakemagento.Placed)
		check   func(*testing.T, event.Outcome, error)
		state   idempotency.State // of the order's row afterwards
		calls   []string
	}{
		{"nothing cancelled yet", fakemagento.Placing{}, nothing, nothing, notFound, "", nil},
		{"unknown, whole", fakemagento.Placing{}, nothing, whole, notFound, "", []string{find}},
		{"unknown, part", fakemagento.Placing{}, nothing, part, notFound, "", []string{find}},
		{"in progress, whole", fakemagento.Placing{}, row("in_progress"), whole, deferred(event.Shortest, 0), idempotency.InProgress, nil},
		{"in progress, part", fakemagento.Placing{}, row("in_progress"), part, deferred(event.Shortest, 0), idempotency.InProgress, nil},
		{"its owner was killed", fakemagento.Placing{}, func(p fakemagento.Placed) { r.leave(p, "create") }, whole, notFound, idempotency.InProgress, []string{find}},
		{"waiting, whole", fakemagento.Placing{State: "holded"}, waiting, whole, ends(event.Done), idempotency.Skipped, nil},
		{"waiting, part", fakemagento.Placing{State: "holded"}, waiting, part, deferred(event.Nearest, 5*time.Minute), idempotency.Waiting, nil},
		{"skipped, whole", fakemagento.Placing{}, row("skipped"), whole, ends(event.Skipped), idempotency.Skipped, nil},
		{"skipped, part", fakemagento.Placing{}, row("skipped"), part, ends(event.Skipped), idempotency.Skipped, nil},
		{"failed", fakemagento.Placing{}, row("failed"), whole, notFound, idempotency.Failed, []string{find}},
		{"uncertain and not there", fakemagento.Placing{}, row("uncertain"), whole, notFound, idempotency.Uncertain, []string{find}},
		{"done and not there", fakemagento.Placing{}, row("done"), whole, notFound, idempotency.Done, []string{find}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := r.shop.PlaceOrder(tt.placing)
			tt.before(p)
			r.toERP.took()
			tt.cancel(p)
			outcome, err := r.canceled(number(p.IncrementID))
			tt.check(t, outcome, err)
			isCalls(t, r.toERP, tt.calls...)
			r.isCreate(p.IncrementID, tt.state)
			r.isComments(p)
		})
	}
}

func TestCanceled_WhileTheOrderWaits(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	p := r.shop.PlaceOrder(fakemagento.Placing{State: "pending_payment"})
	outcome, err := r.placed(number(p.IncrementID))
	isOutcome(t, outcome, err, event.Done)
	r.shop.Cancel(p.EntityID)
	outcome, err = r.canceled(number(p.IncrementID))
	isOutcome(t, outcome, err, event.Done)
	for range 2 {
		outcome, err = r.canceled(number(p.IncrementID))
		isOutcome(t, outcome, err, event.Skipped)
		outcome, err = r.placed(number(p.IncrementID))
		isOutcome(t, outcome, err, event.Skipped)
	}
	waiting, err := r.book.Waiting(t.Context(), 10)
	if err != nil || len(waiting) != 0 {
		t.Errorf("waiting orders %v, %v; want none", waiting, err)
	}
	isCalls(t, r.toERP)
	r.isComments(p)
}

// The document of an uncertain order is looked up, and one without a number can't be cancelled yet.
func TestCanceled_LooksTheDocumentUp(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	p := r.shop.PlaceOrder(fakemagento.Placing{})
	r.shop.Cancel(p.EntityID)
	r.toERP.with(http.MethodGet, 200, fmt.Sprintf(`{"items":[{"document_number":null,"external_reference":%q}]}`, p.IncrementID))
	_, err := r.canceled(number(p.IncrementID))
	isClass(t, err, event.NotFound)
	isCalls(t, r.toERP, find)
	r.toERP.answering(nil)
	r.erp.Book(p.IncrementID)
	outcome, err := r.canceled(number(p.IncrementID))
	isOutcome(t, outcome, err, event.Done)
	if !r.erp.Documents()[0].Canceled {
		t.Error("the document is not cancelled")
	}
	two := r.shop.PlaceOrder(fakemagento.Placing{})
	r.shop.Cancel(two.EntityID)
	a, b := r.erp.Book(two.IncrementID), r.erp.Book(two.IncrementID)
	_, err = r.canceled(number(two.IncrementID))
	isClass(t, err, event.Rejected, a, b)
	for _, d := range r.erp.DocumentsOf(two.IncrementID) {
		if len(d.Cancellations) != 0 {
			t.Error("one of two documents was cancelled")
		}
	}
}

func TestCanceled_PartsOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	p := r.shop.PlaceOrder(fakemagento.Placing{Lines: lines(2, 5)})
	r.exported(p)
	for _, step := range []struct {
		quantities []int64
		want       map[string]string // in sum
		calls      int
	}{
		{[]int64{1}, map[string]string{"SKU-0": "1"}, 1},
		{[]int64{1}, map[string]string{"SKU-0": "1"}, 1}, // the same again
		{[]int64{3}, map[string]string{"SKU-0": "3"}, 2},
		{[]int64{3, 2}, map[string]string{"SKU-0": "3", "SKU-1": "2"}, 3},
		{[]int64{4, 4}, map[string]string{"SKU-0": "4", "SKU-1": "4"}, 4},
	} {
		r.cancelQuantities(p, step.quantities...)
		for i, change := range []func(*event.Event){func(*event.Event) {}, repeated} {
			outcome, err := r.canceled(number(p.IncrementID), change)
			if i == 1 {
				isOutcome(t, outcome, err, event.Duplicate)
			} else if err != nil {
				t.Fatal(err)
			}
		}
		d := r.erp.Documents()[0]
		if got := taken(t, d); fmt.Sprint(got) != fmt.Sprint(step.want) || len(d.Cancellations) != step.calls || d.Canceled {
			t.Fatalf("after %v: taken %v in %d calls, whole %v; want %v in %d", step.quantities, got, len(d.Cancellations), d.Canceled, step.want, step.calls)
		}
	}
	r.shop.Cancel(p.EntityID)
	outcome, err := r.canceled(number(p.IncrementID))
	isOutcome(t, outcome, err, event.Done)
	d := r.erp.Documents()[0]
	if got := taken(t, d); !d.Canceled || got["SKU-0"] != "5" || got["SKU-1"] != "5" {
		t.Errorf("at the end: taken %v, whole %v", got, d.Canceled)
	}
}

// All lines cancelled one by one leave a document that is cancelled when the order is.
func TestCanceled_WholeOrderAfterAllItsLines(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{erpMode: fakeerp.HonoursKeys})
	p := r.shop.PlaceOrder(fakemagento.Placing{Lines: lines(1, 2)})
	r.exported(p)
	r.cancelQuantities(p, 2)
	outcome, err := r.canceled(number(p.IncrementID))
	isOutcome(t, outcome, err, event.Done)
	r.shop.Cancel(p.EntityID)
	outcome, err = r.canceled(number(p.IncrementID))
	isOutcome(t, outcome, err, event.Done)
	d := r.erp.Documents()[0]
	if got := taken(t, d); !d.Canceled || got["SKU-0"] != "2" {
		t.Errorf("taken %v, whole %v; want 2 and the whole", got, d.Canceled)
	}
}

func TestCanceled_RefusedByTheERP(t *testing.T) { onEachVersion(t, testCancellationRefusedByTheERP) }

func testCancellationRefusedByTheERP(t *testing.T, shop fakemagento.Options) {
	r := newRig(t, settings{shop: shop})
	p := r.shop.PlaceOrder(fakemagento.Placing{})
	r.exported(p)
	d := r.erp.Documents()[0]
	r.shop.Cancel(p.EntityID)
	r.erp.RefuseCancellations("it is picked already")
	for range 2 {
		_, err := r.canceled(number(p.IncrementID))
		isClass(t, err, event.Rejected, "it is picked already")
	}
	comments := r.shop.Comments(p.EntityID)
	if len(comments) != 2 || !strings.HasPrefix(comments[1].Text, "Sales order "+d.Number+" could not be cancelled in "+erpName+": ") ||
		!strings.Contains(comments[1].Text, "it is picked already") {
		t.Fatalf("comments %v", comments)
	}
	r.erp.RefuseCancellations("")
	outcome, err := r.canceled(number(p.IncrementID), replayed)
	isOutcome(t, outcome, err, event.Done)
	if got := r.shop.Comments(p.EntityID); len(got) != 3 || got[2].Text != "Sales order "+d.Number+" cancelled in "+erpName {
		t.Errorf("comments %v", got)
	}
	if !r.erp.Documents()[0].Canceled {
		t.Error("the document is not cancelled")
	}
}

// The order is cancelled while it is on its way to the ERP: the cancellation waits, and then takes it back.
func TestCanceled_WhileTheCreateIsUnderWay(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{})
	p := r.shop.PlaceOrder(fakemagento.Placing{})
	entered, leave := make(chan struct{}, 1), make(chan struct{})
	r.toERP.answering(func(http.ResponseWriter, *http.Request) bool {
		entered <- struct{}{}
		<-leave
		return false
	})
	ended := make(chan error, 1)
	go func() {
		_, err := r.placed(number(p.IncrementID))
		ended <- err
	}()
	await(t, entered, ended)
	r.shop.Cancel(p.EntityID)
	_, err := r.handle(r.canceledOn(r.replica("second")), number(p.IncrementID))
	_ = isDeferral(t, err, event.Shortest)
	r.toERP.answering(nil)
	close(leave)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	outcome, err := r.canceled(number(p.IncrementID))
	isOutcome(t, outcome, err, event.Done)
	if d := r.erp.Documents(); len(d) != 1 || !d[0].Canceled {
		t.Errorf("documents %v, want one that is cancelled", d)
	}
}
