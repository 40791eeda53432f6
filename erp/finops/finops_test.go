package finops_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"go.uber.org/goleak"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/codes"
	"github.com/mageline/mageline/erp/erptest"
	"github.com/mageline/mageline/erp/finops"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/mapping"
	"github.com/mageline/mageline/test/kit/fakefinops"
	"github.com/mageline/mageline/test/kit/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const plain = `
stores: {"*": {site: "1", warehouse: "11"}}
tax: {"19": FULL, "7": RED, "0": ZERO, "*": FULL}
accounts: {guests: GUESTS, shipping: FREIGHT, gift_card: GIFT, store_credit: CREDIT, reward_points: POINTS, gift_wrap: WRAP, weee: WEEE, fee: FEE, rounding: ROUND}
payment_methods: {"*": ONLINE}
shipping_methods: {"*": STD}
customer_groups: {"*": {customer_group: "80"}}
`

func parse(file string) *codes.File {
	parsed, err := codes.Parse("codes.yaml", "finops", []byte(file))
	if err != nil {
		panic(err)
	}
	return parsed
}

func connect(url string, client *http.Client, file *codes.File) (*finops.Client, error) {
	return finops.New(client, finops.Options{
		URL: url, Company: fakefinops.Company, TokenURL: url + fakefinops.TokenPath, ClientID: fakefinops.ClientID, Scope: fakefinops.Scope,
		ClientSecret: func() string { return fakefinops.ClientSecret }, Codes: func() *codes.File { return file },
	})
}

func writes(r *http.Request) bool {
	return r.Method != http.MethodGet && r.URL.Path != fakefinops.TokenPath
}

type rig struct {
	t      *testing.T
	fake   *fakefinops.Server
	url    string
	client *http.Client
	codes  *codes.File
	*finops.Client
}

func newRig(t *testing.T, o fakefinops.Options, file string, before func(http.Handler) http.Handler) *rig {
	t.Helper()
	r := &rig{t: t, fake: fakefinops.New(o), codes: parse(file)}
	var handler http.Handler = r.fake
	if before != nil {
		handler = before(handler)
	}
	server := httptest.NewServer(handler)
	transport := &http.Transport{MaxIdleConnsPerHost: 32}
	r.url, r.client = server.URL, &http.Client{Transport: transport}
	t.Cleanup(func() { transport.CloseIdleConnections(); r.fake.Close(); server.Close() })
	r.Client = r.connect()
	return r
}

func (r *rig) connect() *finops.Client {
	r.t.Helper()
	c, err := connect(r.url, r.client, r.codes)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

func (r *rig) create(o erp.SalesOrder) (erp.Document, error) {
	r.t.Helper()
	p, err := r.Build(o)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.Create(r.t.Context(), erp.Call{Key: "k", Steps: &erptest.Steps{}}, p)
}

func (r *rig) booked(reference string) fakefinops.Document {
	r.t.Helper()
	all := r.fake.Orders(reference)
	if len(all) != 1 {
		r.t.Fatalf("%d orders of %s, want 1", len(all), reference)
	}
	return all[0]
}

func told[T any](v T) *T { return &v }

func amount(s string) erp.Amount { return erp.NewAmount(decimal.RequireFromString(s)) }

func quantity(s string) erp.Quantity { return erp.NewQuantity(decimal.RequireFromString(s)) }

func goldenOrders(t *testing.T) map[string]erp.SalesOrder {
	t.Helper()
	files, err := filepath.Glob("../../mapping/testdata/*.order.json")
	if err != nil || len(files) < 40 {
		t.Fatalf("found %d orders, %v", len(files), err)
	}
	orders := map[string]erp.SalesOrder{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var o magentoapi.Order
		if err := json.Unmarshal(data, &o); err != nil {
			t.Fatal(err)
		}
		if len(mapping.MissingNumbers(&o)) > 0 {
			continue
		}
		name := strings.TrimSuffix(filepath.Base(file), ".order.json")
		so, _, err := mapping.SalesOrder(&o, "G-"+name, mapping.Store{Code: "default", Location: time.UTC})
		if err != nil {
			t.Fatal(err)
		}
		orders[name] = so
	}
	return orders
}

// rates returns an item sales tax group for each rate of orders that is not in plain.
func rates(orders map[string]erp.SalesOrder) string {
	found := map[string]bool{}
	add := func(sum erp.Sum, told erp.Quantity) {
		if p := sum.Percent(told).String(); !slices.Contains([]string{"19", "7", "0"}, p) {
			found[p] = true
		}
	}
	for _, o := range orders {
		parts := erp.PartsOf(o, decimal.RequireFromString("0.02"))
		for i, l := range o.Lines {
			add(parts.Lines[i], l.TaxPercent)
		}
		if o.Shipping != nil {
			add(parts.Shipping, o.Shipping.TaxPercent)
		}
	}
	all := ""
	for p := range found {
		all += fmt.Sprintf("%q: VAT%s, ", p, p)
	}
	return all
}

func TestCreate_TotalsToTheCent(t *testing.T) {
	orders := goldenOrders(t)
	for name, file := range map[string]string{"gross": plain, "net": plain + "options: {price_is: net}\n"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, fakefinops.Options{}, strings.Replace(file, "tax: {", "tax: {"+rates(orders), 1), nil)
			for name, o := range orders {
				d, err := r.create(o)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				want := o.Totals.GrandTotal.Decimal.Round(erp.Places(o.Currency))
				if got := r.booked(o.ExternalReference).Total; !got.Equal(want) || !d.Total.Decimal.Equal(want) {
					t.Errorf("%s: the company comes to %s, the document says %s; Magento has %s", name, got, d.Total, want)
				}
			}
		})
	}
}

func TestCreate_WithoutTotalsOfTheERPNoneIsTold(t *testing.T) {
	r := newRig(t, fakefinops.Options{NoTotals: true}, plain, nil)
	if d, err := r.create(erptest.Order("ET-1")); err != nil || d.Total.Valid {
		t.Errorf("document %+v, %v; want no total", d, err)
	}
}

func TestCreate_EachErrorHasItsClass(t *testing.T) {
	const failed = "Write failed for table row of type 'SalesOrderHeaderV2Entity'. Infolog: Warning: "
	for _, row := range []struct {
		status  int
		text    string
		class   event.Class
		notDone bool
	}{
		{400, failed + "Inventory dimension Site is mandatory and must consequently be specified.; Error: Update has been canceled..", event.Invalid, true},
		{400, failed + "The value 'X' in field 'Item number' is not found in the related table 'Items'.", event.Invalid, true},
		{500, failed + "The value 'X' in field 'Item number' is not found in the related table 'Items'.", event.Invalid, true},
		{400, failed + "Item 'L-10780-02' is blocked for 'Sales order'.; Warning: validateWrite failed on data source 'SalesLine (SalesLine)'.", event.Rejected, true},
		{400, failed + "Cannot edit a record in Sales orders (SalesTable). An update conflict occurred due to another user process deleting the record or changing one or more fields in the record.", event.Unavailable, true},
		{500, failed + "An update conflict occurred due to another user process", event.Unavailable, true},
		{400, failed + "A deadlock has occurred.", event.Unavailable, true},
		{400, failed + "The shopify reference X is already exist in sales order Y.; Warning: validateWrite failed on data source 'SalesTable (SalesTable)'.", event.Unavailable, false},
		{400, "Could not find a property named 'X' on type 'Y'.", event.Rejected, true},
		{401, "", event.Unauthorized, true},
		{403, "", event.Unauthorized, true},
		{404, "No HTTP resource was found", event.NotFound, true},
		{408, "", event.Timeout, false},
		{412, "", event.Unavailable, true},
		{429, "", event.Throttled, false},
		{500, "Something went wrong.", event.Unavailable, false},
		{502, "", event.Unavailable, false},
		{503, "", event.Unavailable, false},
		{504, "", event.Unavailable, false},
	} {
		r := newRig(t, fakefinops.Options{}, plain, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				if req.Method != http.MethodPost || req.URL.Path == fakefinops.TokenPath {
					next.ServeHTTP(w, req)
					return
				}
				w.WriteHeader(row.status)
				_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"code": "", "message": "An error has occurred.", "innererror": map[string]string{"message": row.text}}})
			})
		})
		_, err := r.create(erptest.Order("ET-1"))
		if event.ClassOf(err) != row.class || event.IsNotDone(err) != row.notDone {
			t.Errorf("%d %q: the error %v has class %s, not done: %t; want %s, %t", row.status, row.text, err, event.ClassOf(err), event.IsNotDone(err), row.class, row.notDone)
		}
		if err != nil && (strings.Contains(err.Error(), "Infolog") || strings.Contains(err.Error(), "validateWrite")) {
			t.Errorf("the error has what says nothing: %v", err)
		}
	}
}

func TestCreate_NamesTheMissingItem(t *testing.T) {
	r := newRig(t, fakefinops.Options{}, plain, nil)
	r.fake.SetMissing("24-MB02")
	d, err := r.create(erptest.Order("ET-1"))
	if event.ClassOf(err) != event.Invalid || event.IsNotDone(err) || d.Number == "" || !strings.Contains(err.Error(), "under skus") {
		t.Errorf("document %+v, error %v; want the document, and the line to add", d, err)
	}
}

func TestCancel_WhatIsConfirmedIsRefused(t *testing.T) {
	r := newRig(t, fakefinops.Options{}, plain, nil)
	d, err := r.create(erptest.Order("ET-1"))
	if err != nil {
		t.Fatal(err)
	}
	r.fake.Confirm(d.Number)
	for _, x := range []erp.Cancellation{{Complete: true}, {Lines: []erp.CancellationLine{{Reference: "1001", Row: erp.Row{Ordered: quantity("2"), Open: quantity("1")}}}}} {
		if err := r.Cancel(t.Context(), erp.Call{}, d, x); event.ClassOf(err) != event.Rejected || !strings.Contains(err.Error(), "status") {
			t.Errorf("the error is %v, want rejected with the reason", err)
		}
	}
}

func TestCreate_WhoAnOrderIsBookedFor(t *testing.T) {
	for file, want := range map[string]string{plain: "GUESTS", plain + "options: {customers: number}\n": "C42"} {
		r := newRig(t, fakefinops.Options{}, file, nil)
		for _, reference := range []string{"ET-1", "ET-2"} {
			if _, err := r.create(erptest.Order(reference)); err != nil {
				t.Fatal(err)
			}
			if got := r.booked(reference).Values["OrderingCustomerAccountNumber"]; got != want {
				t.Errorf("%s is booked for %v, want %s", reference, got, want)
			}
		}
	}
	r := newRig(t, fakefinops.Options{}, plain, nil)
	var off *erp.Off
	if _, err := r.WriteCustomer(t.Context(), erp.Call{}, erp.CustomerRecord{ID: 42, ExternalReference: "C42"}); !errors.As(err, &off) {
		t.Errorf("without accounts of the shop: %v, want off", err)
	}
}

func memo(reference, document string) erp.CreditMemo {
	return erp.CreditMemo{
		ExternalReference: reference, OrderReference: "ET-1", DocumentNumber: document, Currency: told("EUR"), PlacedOn: told("2026-11-25"),
		Lines: []erp.CreditMemoLine{{
			Reference: "1001", SKU: told("24-MB01"), Name: told("Bag"), Quantity: quantity("1"), TaxPercent: quantity("19"),
			RowTotal: amount("34"), TaxAmount: amount("6.46"), Row: erp.Row{Ordered: quantity("2"), Shipped: quantity("0"), Refunded: quantity("1"), Open: quantity("1")},
		}},
		Shipping:      erp.CreditedShipping{Amount: amount("2.50"), TaxAmount: amount("0.48"), TaxPercent: quantity("19")},
		AdjustmentFee: amount("1"), Totals: erp.Totals{GrandTotal: amount("42.44")},
		All: []erp.OrderRow{{Reference: "1001", Row: erp.Row{Open: quantity("1")}}},
	}
}

// place does what the handler does with an order: where an earlier attempt is not certain it looks, and completes what it finds.
func place(t *testing.T, c *finops.Client, o erp.SalesOrder, call erp.Call) (erp.Document, error) {
	p, err := c.Build(o)
	if err != nil {
		return erp.Document{}, err
	}
	if call.Uncertain {
		found, err := c.Find(t.Context(), o.ExternalReference)
		switch {
		case err != nil:
			return erp.Document{}, err
		case len(found) > 1:
			return erp.Document{}, event.Errorf(event.Rejected, "%d documents", len(found))
		case len(found) == 1:
			return c.Complete(t.Context(), call, p, found[0])
		}
		if err := call.MayRepeat("the order"); err != nil {
			return erp.Document{}, err
		}
	}
	return c.Create(t.Context(), call, p)
}

// effect is one effect on the ERP, and how the ERP stands when it was done once.
type effect struct {
	prepare bool // there is an order
	run     func(t *testing.T, c *finops.Client, reference string, d erp.Document, call erp.Call) error
	stands  func(r *rig, reference string) string
	want    string
}

var effects = map[string]effect{
	"create": {false, func(t *testing.T, c *finops.Client, reference string, _ erp.Document, call erp.Call) error {
		o := erptest.Order(reference)
		number, _ := strconv.ParseInt(strings.TrimLeft(reference, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-"), 10, 64)
		o.Customer.ID = told(1000 + number) // a customer who is not there yet
		_, err := place(t, c, o, call)
		return err
	}, func(r *rig, reference string) string {
		d := r.booked(reference)
		return fmt.Sprint(len(d.Lines), " lines, ", d.Total)
	}, "3 lines, 127.33"},
	"cancel whole": {true, func(t *testing.T, c *finops.Client, _ string, d erp.Document, call erp.Call) error {
		return c.Cancel(t.Context(), call, d, erp.Cancellation{Complete: true})
	}, func(r *rig, reference string) string { return fmt.Sprint(r.booked(reference).Deleted) }, "true"},
	"cancel a line": {true, func(t *testing.T, c *finops.Client, _ string, d erp.Document, call erp.Call) error {
		return c.Cancel(t.Context(), call, d, erp.Cancellation{Lines: []erp.CancellationLine{{Reference: "1001", Row: erp.Row{Ordered: quantity("2"), Open: quantity("1")}}}})
	}, func(r *rig, reference string) string { return r.booked(reference).Lines[0].Quantity.String() }, "1"},
	"shipment": {true, func(t *testing.T, c *finops.Client, reference string, d erp.Document, call erp.Call) error {
		_, err := c.ReportShipment(t.Context(), call, erp.Shipment{
			ExternalReference: "S" + reference, DocumentNumber: d.Number,
			Lines: []erp.ShipmentLine{{Reference: "1001", Quantity: quantity("1")}, {Reference: "1002", Quantity: quantity("1")}},
		})
		return err
	}, func(r *rig, reference string) string {
		l := r.booked(reference).Lines
		return fmt.Sprint(l[0].DeliverNow, " and ", l[1].DeliverNow)
	}, "1 and 1"},
	"credit memo of the whole": {true, func(t *testing.T, c *finops.Client, reference string, d erp.Document, call erp.Call) error {
		m := memo("CM"+reference, d.Number)
		m.All[0].Row = erp.Row{Ordered: quantity("2"), Refunded: quantity("2")}
		_, err := c.ReportCreditMemo(t.Context(), call, m)
		return err
	}, func(r *rig, reference string) string {
		return fmt.Sprint(len(r.booked("CM"+reference).Lines), " lines, deleted: ", r.booked(reference).Deleted)
	}, "3 lines, deleted: true"},
	"credit memo": {true, func(t *testing.T, c *finops.Client, reference string, d erp.Document, call erp.Call) error {
		_, err := c.ReportCreditMemo(t.Context(), call, memo("CM"+reference, d.Number))
		return err
	}, func(r *rig, reference string) string {
		m := r.booked("CM" + reference)
		return fmt.Sprint(len(m.Lines), " lines, ", m.Total, ", left ", r.booked(reference).Lines[0].Quantity)
	}, "3 lines, -42.44, left 1"},
}

// prepared has the order of an effect created, where it needs one.
func (r *rig) prepared(e effect, reference string) (d erp.Document) {
	r.t.Helper()
	if e.prepare {
		var err error
		if d, err = r.create(erptest.Order(reference)); err != nil {
			r.t.Fatal(err)
		}
	}
	return d
}

// A process that dies between any two requests of any effect: another one goes on, and nothing is there twice.
func TestEffects_StruckBetweenAnyTwoRequests(t *testing.T) {
	r := newRig(t, fakefinops.Options{}, plain+"options: {customers: number, shipment: deliver_now}\n", nil)
	n := 0
	for name, effect := range effects {
		for at := 1; ; at++ {
			n++
			reference := fmt.Sprintf("CRASH-%d", n)
			d := r.prepared(effect, reference)
			steps := &erptest.Steps{}
			dying := *r
			dying.client = &http.Client{Transport: &erptest.Strike{Next: r.client.Transport, At: at}}
			struck, err := erptest.Dies(func() error { return effect.run(t, dying.connect(), reference, d, erp.Call{Steps: steps}) })
			if struck {
				err = effect.run(t, r.connect(), reference, d, erp.Call{Steps: steps, Attempt: erp.Attempt{Uncertain: true}})
			}
			if err != nil {
				t.Errorf("%s, struck at moment %d: %v", name, at, err)
			} else if got := effect.stands(r, reference); got != effect.want {
				t.Errorf("%s, struck at moment %d: %s, want %s", name, at, got, effect.want)
			}
			if !struck {
				break
			}
		}
	}
	if n < 25 {
		t.Errorf("%d moments: this test does not meet the requests", n)
	}
}

// Each request of each effect is carried out after its client has given up, and after another attempt.
func TestEffects_EachRequestCarriedOutLate(t *testing.T) {
	r := newRig(t, fakefinops.Options{}, plain+"options: {customers: number, shipment: deliver_now}\n", nil)
	n := 0
	for name, effect := range effects {
		t.Run(name, func(t *testing.T) {
			erptest.RunDelayed(t, r.client.Transport, writes, func() erptest.Delayed {
				n++
				reference := fmt.Sprintf("LATE-%d", n)
				d := r.prepared(effect, reference)
				return erptest.Delayed{
					Run: func(through http.RoundTripper, call erp.Call) error {
						own := *r
						own.client = &http.Client{Transport: through}
						return effect.run(t, own.connect(), reference, d, call)
					},
					Stands: func() string { return effect.stands(r, reference) }, Want: effect.want,
				}
			})
		})
	}
}

// Orders under faults, several at once, with requests that are carried out late: each is there once, whole, and to the cent. MAGELINE_CHAOS=1 runs ten thousand.
func TestCreate_ManyOrdersUnderFaults(t *testing.T) {
	orders := 150
	if os.Getenv("MAGELINE_CHAOS") != "" {
		orders = 10_000
	}
	r := newRig(t, fakefinops.Options{Seed: 1}, plain, nil)
	r.fake.Faults.Set(fault.Plan{Chances: []fault.Chance{
		{OneIn: 60, Fault: fault.Fault{Kind: fault.Later, After: 300 * time.Millisecond}},
		{OneIn: 25, Fault: fault.Fault{Kind: fault.Drop}},
		{OneIn: 30, Fault: fault.Fault{Kind: fault.Garble}},
		{OneIn: 30, Fault: fault.Fault{Kind: fault.Fail, Status: 500}},
		{OneIn: 40, Fault: fault.Fault{Kind: fault.Refuse}},
		{OneIn: 40, Fault: fault.Fault{Kind: fault.Page}},
	}})
	const wait = time.Second // of which the test waits for what matters: that nothing is left to be carried out
	work := make(chan int)
	var workers sync.WaitGroup
	client := r.connect()
	for worker := range 8 {
		workers.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), 2))
			for i := range work {
				reference := fmt.Sprintf("CHAOS-%d", i)
				switch random.IntN(20) {
				case 0:
					r.fake.Conflict(1)
				case 1:
					r.fake.Throttle(1, "")
				case 2:
					r.fake.Tokens.Expire()
				}
				uncertain, waited := false, func() bool { return !r.fake.Faults.Owes() }
				steps := &erptest.Steps{Wait: wait, Waited: waited}
				for {
					call := erp.Call{Steps: steps, Attempt: erp.Attempt{Uncertain: uncertain, Wait: wait}}
					if waited() {
						call.For = wait
					}
					_, err := place(t, client, erptest.Order(reference), call)
					if err == nil {
						break
					}
					if class := event.ClassOf(err); class == event.Rejected || class == event.Invalid {
						t.Errorf("%s: %v", reference, err)
						break
					}
					uncertain = uncertain || !event.IsNotDone(err)
					time.Sleep(time.Duration(random.IntN(5)) * time.Millisecond)
				}
			}
		})
	}
	for i := range orders {
		work <- i
	}
	close(work)
	workers.Wait()
	counts := r.fake.Counts()
	for i := range orders {
		reference := fmt.Sprintf("CHAOS-%d", i)
		if counts[reference] != 1 {
			t.Errorf("%s is there %d times", reference, counts[reference])
			continue
		}
		if d := r.booked(reference); len(d.Lines) != 3 || !d.Total.Equal(decimal.RequireFromString("127.33")) {
			t.Errorf("%s has %d lines and comes to %s", reference, len(d.Lines), d.Total)
		}
	}
	t.Logf("%d orders, %d requests, refused %v", orders, r.fake.Requests(), r.fake.Refusals())
}
