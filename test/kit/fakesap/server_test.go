package fakesap_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/fakesap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// client calls a system in a session of its own.
type client struct {
	t      *testing.T
	s      *fakesap.Server
	header http.Header
}

func open(t *testing.T, o fakesap.Options, service string) *client {
	t.Helper()
	c := &client{t: t, s: fakesap.New(o), header: http.Header{"Accept": {"application/json"}, "Content-Type": {"application/json"}}}
	t.Cleanup(c.s.Close)
	c.header.Set("X-Csrf-Token", "Fetch")
	res := c.call(http.MethodHead, fakesap.Root+service+"/", "")
	if res.Header.Get("X-Csrf-Token") == "" || len(res.Cookies()) == 0 {
		t.Fatalf("no session: %d", res.StatusCode)
	}
	c.header.Set("X-Csrf-Token", res.Header.Get("X-Csrf-Token"))
	for _, cookie := range res.Cookies() {
		c.header.Add("Cookie", cookie.Name+"="+cookie.Value)
	}
	return c
}

func (c *client) call(method, path, body string) *http.Response {
	c.t.Helper()
	r := httptest.NewRequestWithContext(c.t.Context(), method, path, strings.NewReader(body))
	for name, values := range c.header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	c.s.ServeHTTP(w, r)
	return w.Result()
}

const good = `{"SalesOrderType":"OR","SalesOrganization":"1010","DistributionChannel":"10","OrganizationDivision":"00","SoldToParty":"10100001",
"PurchaseOrderByCustomer":"R-1","TransactionCurrency":"EUR","to_Item":[{"Material":"TG11","RequestedQuantity":"2",
"to_PricingElement":[{"ConditionType":"PMP0","ConditionRateValue":"39.90","ConditionCurrency":"EUR","ConditionQuantity":"2"}]}]}`

const orders = fakesap.Root + fakesap.Orders + "/A_SalesOrder"

// A price for as many units as are ordered is the row's amount, and tax is computed from it.
func TestServer_ComputesNetAndTax(t *testing.T) {
	c := open(t, fakesap.Options{}, fakesap.Orders)
	res := c.call(http.MethodPost, orders, good)
	var created struct {
		D struct{ SalesOrder, TotalNetAmount string } `json:"d"`
	}
	if err := json.NewDecoder(res.Body).Decode(&created); err != nil || res.StatusCode != http.StatusCreated || created.D.TotalNetAmount != "39.90" {
		t.Fatalf("%d, %+v, %v", res.StatusCode, created, err)
	}
	if d := c.s.DocumentsOf("R-1"); len(d) != 1 || d[0].Tax.String() != "7.58" || !strings.HasSuffix(res.Header.Get("Location"), "A_SalesOrder('"+d[0].Number+"')") {
		t.Errorf("booked %+v, location %s", d, res.Header.Get("Location"))
	}
}

// What a body may not have.
func TestServer_RefusesWhatTheSchemaDoesNotHave(t *testing.T) {
	c := open(t, fakesap.Options{Extensions: map[string][]string{"A_SalesOrder": {"YY1_X_SDH"}}}, fakesap.Orders)
	for _, tt := range []struct {
		name, from, to string
		status         int
	}{
		{"nothing wrong", "", "", 201},
		{"a field of the customer's own", `"SalesOrderType":"OR"`, `"SalesOrderType":"OR","YY1_X_SDH":"1"`, 201},
		{"results around a nested list", `"to_Item":[`, `"to_Partner":{"results":[]},"to_Item":[`, 201},
		{"an unknown property", `"SalesOrderType"`, `"SalesOrderTyp"`, 400},
		{"a read-only property", `"SoldToParty"`, `"TotalNetAmount":"1","SoldToParty"`, 400},
		{"a number that is no string", `"RequestedQuantity":"2"`, `"RequestedQuantity":2`, 400},
		{"too many places", `"RequestedQuantity":"2"`, `"RequestedQuantity":"2.0001"`, 400},
		{"a price for a part of a unit", `"ConditionQuantity":"2"`, `"ConditionQuantity":"2.5"`, 400},
		{"a text that is too long", `"R-1"`, `"` + strings.Repeat("9", 36) + `"`, 400},
		{"a date in another form", `"SoldToParty"`, `"PricingDate":"2026-11-23","SoldToParty"`, 400},
		{"a date with a time", `"SoldToParty"`, `"PricingDate":"/Date(1795392000001)/","SoldToParty"`, 400},
		{"a nested set that is not there", `"SoldToParty"`, `"to_Nothing":[],"SoldToParty"`, 400},
		{"an unknown condition", `PMP0`, `PR99`, 400},
		{"no customer", `"SoldToParty":"10100001",`, ``, 400},
		{"no sales area", `"DistributionChannel":"10",`, ``, 400},
		{"no material", `"Material":"TG11",`, ``, 400},
		{"no JSON", `{"SalesOrderType"`, `{{`, 400},
	} {
		before := len(c.s.Documents())
		res := c.call(http.MethodPost, orders, strings.Replace(good, tt.from, tt.to, 1))
		body, _ := io.ReadAll(res.Body)
		if res.StatusCode != tt.status || (len(c.s.Documents()) > before) != (tt.status == 201) {
			t.Errorf("%s: %d %s", tt.name, res.StatusCode, body)
		}
	}
}

func TestServer_AsksForALogOnAndItsClient(t *testing.T) {
	s := fakesap.New(fakesap.Options{Username: "u", Password: "p", Client: "100"})
	defer s.Close()
	for _, tt := range []struct {
		password, client string
		status           int
	}{{"p", "100", 200}, {"x", "100", 401}, {"p", "", 401}} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, orders, http.NoBody)
		r.SetBasicAuth("u", tt.password)
		r.Header.Set("Accept", "application/json")
		r.Header.Set("Sap-Client", tt.client)
		w := httptest.NewRecorder()
		if s.ServeHTTP(w, r); w.Code != tt.status {
			t.Errorf("%+v: %d", tt, w.Code)
		}
	}
}

func TestServer_AsksForTokenSessionAndVersion(t *testing.T) {
	c := open(t, fakesap.Options{}, fakesap.Orders)
	token, cookies := c.header.Get("X-Csrf-Token"), c.header["Cookie"]
	for name, change := range map[string]func(){
		"no token": func() { c.header.Del("X-Csrf-Token") }, "no cookies": func() { c.header.Del("Cookie") },
		"a wrong token": func() { c.header.Set("X-Csrf-Token", "x") },
	} {
		c.header.Set("X-Csrf-Token", token)
		c.header["Cookie"] = cookies
		change()
		if res := c.call(http.MethodPost, orders, good); res.StatusCode != http.StatusForbidden || res.Header.Get("X-Csrf-Token") != "Required" {
			t.Errorf("%s: %d, %v", name, res.StatusCode, res.Header)
		}
	}
	c.header.Set("X-Csrf-Token", token)
	c.header["Cookie"] = cookies
	c.call(http.MethodPost, orders, good)
	number := c.s.DocumentsOf("R-1")[0].Number
	path := orders + "('" + number + "')"
	for match, want := range map[string]int{"": 428, `W/"old"`: 412, "*": 204} {
		c.header.Del("If-Match")
		if match != "" {
			c.header.Set("If-Match", match)
		}
		if res := c.call(http.MethodPatch, path, `{"PurchaseOrderByShipToParty":"x"}`); res.StatusCode != want {
			t.Errorf("If-Match %q: %d, want %d", match, res.StatusCode, want)
		}
	}
	c.s.EndSessions()
	if res := c.call(http.MethodPost, orders, good); res.StatusCode != http.StatusForbidden {
		t.Errorf("in an ended session: %d", res.StatusCode)
	}
	c.header.Del("Accept")
	if res := c.call(http.MethodGet, orders, ""); !strings.Contains(res.Header.Get("Content-Type"), "xml") {
		t.Errorf("without Accept: %v", res.Header)
	}
}

func TestServer_Filters(t *testing.T) {
	c := open(t, fakesap.Options{}, fakesap.Orders)
	c.s.Book("O'Neil")
	c.s.Book("o'neil")
	for filter, want := range map[string]int{
		"PurchaseOrderByCustomer eq 'O''Neil'":                                                   200,
		"PurchaseOrderByCustomer eq 'O''Neil' and CreationDate ge datetime'2020-01-01T00:00:00'": 200,
		"PurchaseOrderByCustomer eq 'x' or PurchaseOrderByCustomer eq 'O''Neil'":                 200,
		"PurchaseOrderByCustomer eq 'O'Neil'":                                                    400,
		"Nothing eq 'x'":                                                                         400,
		"PurchaseOrderByCustomer eq 'a' and CreationDate ge '2020'":                              400,
		"substringof('x',PurchaseOrderByCustomer)":                                               400,
	} {
		res := c.call(http.MethodGet, orders+"?"+url.Values{"$filter": {filter}, "$inlinecount": {"allpages"}}.Encode(), "")
		var found struct {
			D struct {
				Count   string `json:"__count"`
				Results []any  `json:"results"`
			} `json:"d"`
		}
		if res.StatusCode != want || want == 200 && (json.NewDecoder(res.Body).Decode(&found) != nil || found.D.Count != "1" || len(found.D.Results) != 1) {
			t.Errorf("%s: %d, %+v", filter, res.StatusCode, found)
		}
	}
}

// A delivery is posted only when it is picked, and of no more than is open.
func TestServer_Deliveries(t *testing.T) {
	c := open(t, fakesap.Options{}, fakesap.Deliveries)
	number := c.s.Book("R-1")
	root := fakesap.Root + fakesap.Deliveries
	body := func(quantity string) string {
		return `{"to_DeliveryDocumentItem":{"results":[{"ReferenceSDDocument":"` + number + `","ReferenceSDDocumentItem":"10","ActualDeliveryQuantity":"` + quantity + `"}]}}`
	}
	if res := c.call(http.MethodPost, root+"/A_OutbDeliveryHeader", body("2")); res.StatusCode != 400 {
		t.Errorf("more than is open: %d", res.StatusCode)
	}
	if res := c.call(http.MethodPost, root+"/A_OutbDeliveryHeader", body("1")); res.StatusCode != 201 {
		t.Fatalf("a delivery: %d", res.StatusCode)
	}
	query := "?" + url.Values{"DeliveryDocument": {"'" + c.s.DeliveriesOf(number)[0].Number + "'"}}.Encode()
	for _, step := range []struct {
		action string
		status int
	}{{"PostGoodsIssue", 400}, {"PickAllItems", 200}, {"PostGoodsIssue", 200}, {"PostGoodsIssue", 400}} {
		if res := c.call(http.MethodPost, root+"/"+step.action+query, ""); res.StatusCode != step.status {
			t.Errorf("%s: %d, want %d", step.action, res.StatusCode, step.status)
		}
	}
}

func TestServer_BooksThoughTheClientHasLeft(t *testing.T) {
	c := open(t, fakesap.Options{}, fakesap.Orders)
	c.s.SetBookingTime(10 * time.Millisecond)
	ctx, leave := context.WithCancel(t.Context())
	leave()
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, orders, strings.NewReader(good))
	for name, values := range c.header {
		r.Header[name] = values
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("who has left is answered")
			}
		}()
		c.s.ServeHTTP(httptest.NewRecorder(), r)
	}()
	kit.Eventually(t, 10*time.Second, func() bool { return len(c.s.DocumentsOf("R-1")) == 1 }, "the order to be booked")
}
