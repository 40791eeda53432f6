package businesscentral_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"go.uber.org/goleak"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/businesscentral"
	"github.com/mageline/mageline/erp/codes"
	"github.com/mageline/mageline/erp/erptest"
	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/mapping"
	"github.com/mageline/mageline/test/kit/fakebusinesscentral"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const accounts = `
accounts: {guests: GUESTS, shipping: "8400", gift_card: "8410", store_credit: "8420", reward_points: "8430", gift_wrap: "8440", weee: "8450", fee: "8460", rounding: "8470", tax: "8480"}
`

// plain are codes with which every order can be sent.
const plain = accounts + `
tax: {"19": STANDARD, "7": REDUCED, "0": ZERO, "20": VAT20, "21": VAT21, "*": STANDARD}
units: {"*": PCS}
payment_methods: {"*": ONLINE}
shipping_methods: {"*": PARCEL}
`

// rig is a company and the connector to it.
type rig struct {
	t      *testing.T
	fake   *fakebusinesscentral.Server
	url    string
	client *http.Client
	codes  *codes.File
	*businesscentral.Client
}

// before stands before the fake ERP; nil is nothing.
func newRig(t *testing.T, o fakebusinesscentral.Options, file string, before func(http.Handler) http.Handler) *rig {
	t.Helper()
	parsed, err := codes.Parse("codes.yaml", "businesscentral", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, fake: fakebusinesscentral.New(o), codes: parsed}
	var handler http.Handler = r.fake
	if before != nil {
		handler = before(handler)
	}
	server := httptest.NewServer(handler)
	transport := &http.Transport{MaxIdleConnsPerHost: 32}
	r.url, r.client = server.URL, &http.Client{Transport: transport}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		r.fake.Close()
		server.Close()
		for problem, n := range r.fake.Problems() {
			t.Errorf("%d calls of Business Central: %s", n, problem)
		}
	})
	r.Client = r.connect()
	return r
}

// connect makes another connector to the same company, as another process would.
func (r *rig) connect() *businesscentral.Client {
	r.t.Helper()
	c, err := businesscentral.New(r.client, businesscentral.Options{
		URL: r.url + fakebusinesscentral.Base, Company: fakebusinesscentral.CompanyID,
		TokenURL: r.url + fakebusinesscentral.TokenPath, ClientID: fakebusinesscentral.ClientID,
		ClientSecret: func() string { return fakebusinesscentral.ClientSecret },
		Codes:        func() *codes.File { return r.codes },
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

func told[T any](v T) *T { return &v }

func amount(s string) erp.Amount { return erp.NewAmount(decimal.RequireFromString(s)) }

func quantity(s string) erp.Quantity { return erp.NewQuantity(decimal.RequireFromString(s)) }

// create creates an order, which must succeed.
func (r *rig) create(o erp.SalesOrder) erp.Document {
	r.t.Helper()
	d, err := r.send(o)
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

func (r *rig) send(o erp.SalesOrder) (erp.Document, error) {
	r.t.Helper()
	p, err := r.Build(o)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.Create(r.t.Context(), erp.Call{Key: "k"}, p)
}

// booked returns the one order of a reference.
func (r *rig) booked(reference string) fakebusinesscentral.Document {
	r.t.Helper()
	all := r.fake.Orders(reference)
	if len(all) != 1 {
		r.t.Fatalf("%d orders of %s, want 1", len(all), reference)
	}
	return all[0]
}

// goldenOrders are the orders of the mapping's tests that have all that a document needs, by name.
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
		so, _, err := mapping.SalesOrder(&o, strings.ToUpper("G-" + name)[:min(35, len(name)+2)], mapping.Store{Code: "default", Location: time.UTC})
		if err != nil {
			t.Fatal(err)
		}
		orders[name] = so
	}
	return orders
}

var _ = erptest.Order
