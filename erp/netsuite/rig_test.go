package netsuite_test

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
	"github.com/mageline/mageline/erp/codes"
	"github.com/mageline/mageline/erp/netsuite"
	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/mapping"
	"github.com/mageline/mageline/test/kit/fakenetsuite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const accounts = `
accounts: {guests: "9000", shipping: ACCOUNT-SHIP, gift_card: ACCOUNT-GIFT, store_credit: ACCOUNT-CREDIT, reward_points: ACCOUNT-POINTS, gift_wrap: ACCOUNT-WRAP, weee: ACCOUNT-WEEE, fee: ACCOUNT-FEE, rounding: ACCOUNT-ROUND, tax: ACCOUNT-TAX}
`

// plain are codes with which every order can be sent.
const plain = accounts + `
tax: {"19": "3/119", "0": "100", "*": "120"}
shipping_methods: {"*": "5"}
`

// guests has every order booked for the guests' account.
const guests = plain + "options: {customers: guests}\n"

// rig is an account and the connector to it.
type rig struct {
	t      *testing.T
	fake   *fakenetsuite.Server
	url    string
	client *http.Client
	codes  *codes.File
	token  *netsuite.TokenBased
	*netsuite.Client
}

// before stands before the fake ERP; nil is nothing.
func newRig(t *testing.T, o fakenetsuite.Options, file string, before func(http.Handler) http.Handler) *rig {
	t.Helper()
	parsed, err := codes.Parse("codes.yaml", "netsuite", []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, fake: fakenetsuite.New(o), codes: parsed}
	if o.TokenBased {
		value := func(s string) func() string { return func() string { return s } }
		r.token = &netsuite.TokenBased{
			Account: fakenetsuite.Account, ConsumerKey: value(fakenetsuite.ConsumerKey), ConsumerSecret: value(fakenetsuite.ConsumerSecret),
			TokenID: value(fakenetsuite.TokenID), TokenSecret: value(fakenetsuite.TokenSecret),
		}
	}
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
			t.Errorf("%d calls of NetSuite: %s", n, problem)
		}
	})
	r.Client = r.connect()
	return r
}

// connect makes another connector to the same account, as another process would.
func (r *rig) connect() *netsuite.Client {
	r.t.Helper()
	c, err := netsuite.New(r.client, netsuite.Options{
		URL: r.url, ClientID: fakenetsuite.ClientID, CertificateID: fakenetsuite.CertificateID, PrivateKey: r.fake.Tokens.PrivateKey, Token: r.token,
		Codes: func() *codes.File { return r.codes },
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
func (r *rig) booked(reference string) fakenetsuite.Document {
	r.t.Helper()
	all := r.fake.Orders(reference)
	if len(all) != 1 {
		r.t.Fatalf("%d orders of %s, want 1", len(all), reference)
	}
	return all[0]
}

// goldenOrders are the orders of the mapping's tests that have all that a document needs, by name: those written by hand, and
// those of real shops.
func goldenOrders(t *testing.T) map[string]erp.SalesOrder {
	t.Helper()
	files, err := filepath.Glob("../../mapping/testdata/*.order.json")
	if err != nil || len(files) < 40 {
		t.Fatalf("found %d orders, %v", len(files), err)
	}
	shops, err := filepath.Glob("../../mapping/testdata/shops/*.json")
	if err != nil || len(shops) < 10 {
		t.Fatalf("found %d orders of shops, %v", len(shops), err)
	}
	orders := map[string]erp.SalesOrder{}
	for _, file := range append(files, shops...) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var o magentoapi.Order
		if json.Unmarshal(data, &o) != nil || len(mapping.MissingNumbers(&o)) > 0 {
			continue
		}
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		so, _, err := mapping.SalesOrder(&o, "G-"+strings.Map(func(r rune) rune {
			if r == '.' {
				return '-'
			}
			return r
		}, name), mapping.Store{Code: "default", Location: time.UTC})
		if err != nil || so.Currency == nil || !so.Totals.GrandTotal.Valid {
			continue // it is not sent, or not to be compared
		}
		orders[name] = so
	}
	return orders
}
