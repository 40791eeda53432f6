package fakemagento_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"go.uber.org/goleak"

	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type client struct {
	t      *testing.T
	url    string
	http   *http.Client
	header http.Header
}

func start(t *testing.T, o fakemagento.Options) (*fakemagento.Server, *client) {
	t.Helper()
	shop := fakemagento.New(o)
	server := httptest.NewServer(shop)
	c := &client{t, server.URL, &http.Client{Transport: &http.Transport{}}, http.Header{}}
	t.Cleanup(func() {
		c.http.CloseIdleConnections()
		shop.Close()
		server.Close()
	})
	return shop, c
}

func (c *client) call(method, path, body string) (int, string) {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	for k, v := range c.header {
		request.Header[k] = v
	}
	response, err := c.http.Do(request)
	if err != nil {
		return 0, ""
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, ""
	}
	return response.StatusCode, string(text)
}

func (c *client) get(path string) (int, string) {
	c.t.Helper()
	return c.call(http.MethodGet, path, "")
}

func TestOrder_AddsUp(t *testing.T) {
	shop, c := start(t, fakemagento.Options{})
	shop.PlaceOrder(fakemagento.Placing{Lines: []fakemagento.Line{
		{SKU: "A", Name: "A", Qty: 3, Price: decimal.RequireFromString("9.99"), TaxPercent: decimal.New(19, 0)},
		{SKU: "B", Name: "B", Qty: 1, Price: decimal.RequireFromString("0.05"), TaxPercent: decimal.New(7, 0)},
	}})
	for _, path := range []string{"/rest/V1/orders/1", "/rest/all/V1/orders/1", "/rest/default/V1/orders/1"} {
		status, body := c.get(path)
		if status != 200 {
			t.Fatalf("%s: %d %s", path, status, body)
		}
		var o struct {
			EntityID    int    `json:"entity_id"`
			IncrementID string `json:"increment_id"`
			State       string
			Subtotal    decimal.Decimal
			Shipping    decimal.Decimal `json:"shipping_amount"`
			Tax         decimal.Decimal `json:"tax_amount"`
			Total       decimal.Decimal `json:"grand_total"`
			Items       []struct {
				Row decimal.Decimal `json:"row_total"`
			}
			Extension struct {
				Assignments []struct {
					Shipping struct {
						Method  string
						Address map[string]any
					}
				} `json:"shipping_assignments"`
			} `json:"extension_attributes"`
		}
		if err := json.Unmarshal([]byte(body), &o); err != nil {
			t.Fatal(err)
		}
		if o.EntityID != 1 || o.IncrementID != "000000001" || o.State != "processing" {
			t.Errorf("%+v", o)
		}
		if sum := o.Subtotal.Add(o.Shipping).Add(o.Tax); !sum.Equal(o.Total) || !o.Total.Equal(decimal.RequireFromString("41.66")) {
			t.Errorf("parts %s, grand total %s", sum, o.Total)
		}
		if rows := o.Items[0].Row.Add(o.Items[1].Row); !rows.Equal(o.Subtotal) {
			t.Errorf("rows %s, subtotal %s", rows, o.Subtotal)
		}
		if a := o.Extension.Assignments[0].Shipping; a.Method != "flatrate_flatrate" || a.Address["city"] != "Berlin" {
			t.Errorf("%+v", a)
		}
	}
	if n := shop.Requests()["GET /V1/orders/:id"]; n != 3 {
		t.Errorf("counted %d, want 3", n)
	}
}

func TestServer_ErrorsAsMagentoWritesThem(t *testing.T) {
	_, c := start(t, fakemagento.Options{Token: "secret"})
	tests := []struct {
		method, path, authorization string
		status                      int
		body                        string
	}{
		{"GET", "/rest/V1/orders/9", "Bearer secret", 404, `{"message":"The entity that was requested doesn't exist. Verify the entity and try again."}`},
		{"GET", "/rest/V1/orders/9", "", 401, `{"message":"The consumer isn't authorized to access %resources.","parameters":{"resources":"Magento_Sales::actions_view"}}`},
		{"GET", "/rest/V1/orders/9", "Bearer other", 401, `{"message":"The consumer isn't authorized to access %resources.","parameters":{"resources":"Magento_Sales::actions_view"}}`},
		{"GET", "/rest/V1/orders/x", "Bearer secret", 400, `{"message":"The \"%value\" value's type is invalid. The \"%type\" type was expected. Verify and try again.","parameters":{"type":"int","value":"x"}}`},
		{"GET", "/rest/V1/orders", "Bearer secret", 400, `{"message":"%fieldName is a required field.","parameters":{"fieldName":"searchCriteria"}}`},
		{"GET", "/rest/V1/nothing", "Bearer secret", 404, `{"message":"Request does not match any route."}`},
		{"GET", "/V1/orders/9", "Bearer secret", 404, `{"message":"Request does not match any route."}`},
		{"GET", "/rest/nowhere/V1/orders/9", "Bearer secret", 404, `{"message":"The store that was requested wasn't found. Verify the store and try again."}`},
	}
	for _, test := range tests {
		c.header = http.Header{"Authorization": {test.authorization}}
		if status, body := c.call(test.method, test.path, ""); status != test.status || body != test.body {
			t.Errorf("%s: %d %s\nwant %d %s", test.path, status, body, test.status, test.body)
		}
	}
}

func TestOrder_InvisibleUntilCommit(t *testing.T) {
	shop, c := start(t, fakemagento.Options{})
	shop.PlaceOrder(fakemagento.Placing{VisibleAfter: 100 * time.Millisecond})
	shop.PlaceOrder(fakemagento.Placing{VisibleAfter: time.Hour})
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(20 * time.Second)
	for status := 0; status != 200; {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("the order did not become visible within 20 s")
		}
		status, _ = c.get("/rest/V1/orders/1")
	}
	if status, _ := c.get("/rest/V1/orders/2"); status != 404 {
		t.Errorf("the other is visible: %d", status)
	}
	if _, body := c.get("/rest/V1/orders?searchCriteria="); !strings.Contains(body, `"total_count":1}`) {
		t.Errorf("the search finds %s", body)
	}
}

func TestOrder_States(t *testing.T) {
	shop, _ := start(t, fakemagento.Options{})
	waiting := shop.PlaceOrder(fakemagento.Placing{State: "pending_payment", Method: "paypal_express", Lines: []fakemagento.Line{
		{SKU: "A", Name: "A", Qty: 2, Price: decimal.New(10, 0)}, {SKU: "B", Name: "B", Qty: 5, Price: decimal.New(1, 0)},
	}})
	type shown struct {
		State, Status string
		Paid          json.Number `json:"total_paid"`
		Items         []struct {
			ID       int         `json:"item_id"`
			Canceled json.Number `json:"qty_canceled"`
		}
	}
	show := func() (o shown) {
		if err := json.Unmarshal(shop.Order(waiting.EntityID), &o); err != nil {
			t.Fatal(err)
		}
		return o
	}
	before := show()
	if before.State != "pending_payment" || before.Paid != "" {
		t.Errorf("%+v", before)
	}
	shop.Pay(waiting.EntityID)
	if o := show(); o.State != "processing" || o.Status != "processing" || o.Paid != "30.95" {
		t.Errorf("%+v", o)
	}
	shop.CancelQuantities(waiting.EntityID, map[int]decimal.Decimal{before.Items[1].ID: decimal.New(3, 0)})
	if o := show(); o.State != "processing" || o.Items[0].Canceled != "0" || o.Items[1].Canceled != "3" {
		t.Errorf("%+v", o)
	}
	shop.Cancel(waiting.EntityID)
	if o := show(); o.State != "canceled" || o.Items[0].Canceled != "2" || o.Items[1].Canceled != "5" {
		t.Errorf("%+v", o)
	}
	shop.SetState(waiting.EntityID, "holded")
	if o := show(); o.State != "holded" || o.Status != "holded" {
		t.Errorf("%+v", o)
	}
}

func TestOrder_Search(t *testing.T) {
	shop, c := start(t, fakemagento.Options{})
	at := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	for i := range 7 {
		state := "processing"
		if i%2 == 1 {
			state = "pending_payment"
		}
		shop.PlaceOrder(fakemagento.Placing{State: state, CreatedAt: at.Add(time.Duration(i) * time.Hour), CustomerID: 42 * (i % 3)})
	}
	tests := map[string]struct {
		criteria string
		ids      []int
		total    int
	}{
		"all":                 {"searchCriteria=", []int{1, 2, 3, 4, 5, 6, 7}, 7},
		"by number":           {"searchCriteria[filter_groups][0][filters][0][field]=increment_id&searchCriteria[filter_groups][0][filters][0][value]=000000003", []int{3}, 1},
		"number, not numeric": {"searchCriteria[filterGroups][0][filters][0][field]=increment_id&searchCriteria[filterGroups][0][filters][0][value]=3", nil, 0},
		"camel case":          {"searchCriteria[filterGroups][0][filters][0][field]=entity_id&searchCriteria[filterGroups][0][filters][0][value]=2,5&searchCriteria[filterGroups][0][filters][0][conditionType]=in", []int{2, 5}, 2},
		"or":                  {"searchCriteria[filter_groups][0][filters][0][field]=entity_id&searchCriteria[filter_groups][0][filters][0][value]=1&searchCriteria[filter_groups][0][filters][1][field]=entity_id&searchCriteria[filter_groups][0][filters][1][value]=2", []int{1, 2}, 2},
		"and":                 {"searchCriteria[filter_groups][0][filters][0][field]=state&searchCriteria[filter_groups][0][filters][0][value]=pending_payment&searchCriteria[filter_groups][1][filters][0][field]=entity_id&searchCriteria[filter_groups][1][filters][0][value]=4&searchCriteria[filter_groups][1][filters][0][condition_type]=gteq", []int{4, 6}, 2},
		"dates":               {"searchCriteria[filter_groups][0][filters][0][field]=created_at&searchCriteria[filter_groups][0][filters][0][value]=2026-11-23 10:00:00&searchCriteria[filter_groups][0][filters][0][condition_type]=from&searchCriteria[filter_groups][1][filters][0][field]=created_at&searchCriteria[filter_groups][1][filters][0][value]=2026-11-23 11:00:00&searchCriteria[filter_groups][1][filters][0][condition_type]=to", []int{2, 3}, 2},
		"null":                {"searchCriteria[filter_groups][0][filters][0][field]=customer_id&searchCriteria[filter_groups][0][filters][0][condition_type]=null", []int{1, 4, 7}, 3},
		"like":                {"searchCriteria[filter_groups][0][filters][0][field]=state&searchCriteria[filter_groups][0][filters][0][value]=Pending%25&searchCriteria[filter_groups][0][filters][0][condition_type]=like", []int{2, 4, 6}, 3},
		"sorted":              {"searchCriteria[sortOrders][0][field]=entity_id&searchCriteria[sortOrders][0][direction]=DESC&searchCriteria[pageSize]=2", []int{7, 6}, 7},
		"second page":         {"searchCriteria[pageSize]=3&searchCriteria[currentPage]=2", []int{4, 5, 6}, 7},
		"last page":           {"searchCriteria[page_size]=3&searchCriteria[current_page]=3", []int{7}, 7},
		"beyond the last":     {"searchCriteria[page_size]=3&searchCriteria[current_page]=9", []int{7}, 7},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			// Brackets are sent escaped and plain: both are met in practice.
			for _, query := range []string{strings.ReplaceAll(test.criteria, " ", "%20"), escaped(t, test.criteria)} {
				status, body := c.get("/rest/V1/orders?" + query)
				var list struct {
					Items []struct {
						ID int `json:"entity_id"`
					}
					Total int `json:"total_count"`
				}
				if err := json.Unmarshal([]byte(body), &list); status != 200 || err != nil {
					t.Fatalf("%d %s", status, body)
				}
				var ids []int
				for _, i := range list.Items {
					ids = append(ids, i.ID)
				}
				if !slices.Equal(ids, test.ids) || list.Total != test.total {
					t.Errorf("got %v of %d, want %v of %d", ids, list.Total, test.ids, test.total)
				}
			}
		})
	}
	for query, want := range map[string]int{
		"searchCriteria[pageSize]=x":                                  400,
		"searchCriteria[pagesize]=3":                                  400,
		"searchCriteria[filters]=3":                                   400,
		"searchCriteria[pageSize]=-1":                                 400,
		"searchCriteria[filter_groups][0][filters][0][field]=nothing": 500,
		"searchCriteria[filter_groups][0][filters][0][field]=state&searchCriteria[filter_groups][0][filters][0][condition_type]=equals": 500,
	} {
		if status, body := c.get("/rest/V1/orders?" + query); status != want {
			t.Errorf("%s: %d %s", query, status, body)
		}
	}
	_, body := c.get("/rest/V1/orders?searchCriteria[pageSize]=1&fields=items[increment_id,payment[method]],total_count")
	if want := `{"items":[{"increment_id":"000000001","payment":{"method":"checkmo"}}],"total_count":7}`; body != want {
		t.Errorf("thinned: %s", body)
	}
}

func TestFields_AsMagentoFilters(t *testing.T) {
	shop, c := start(t, fakemagento.Options{})
	shop.PlaceOrder(fakemagento.Placing{IncrementID: "A1", Lines: []fakemagento.Line{{SKU: "A", Qty: 1}, {SKU: "B", Qty: 2}}})
	for _, test := range []struct {
		path, fields string
		status       int
		want         string
	}{
		{"orders/1", "increment_id,state", 200, `{"increment_id":"A1","state":"processing"}`},
		{"orders/1", "increment_id,items[sku],", 200, `{"increment_id":"A1","items":[{"sku":"A"},{"sku":"B"}]}`},
		{"orders/1", "nothing", 200, `[]`},
		{"orders/1", "payment[nothing]", 200, `{"payment":[]}`},
		{"orders/1", "items[]", 200, `{"items":[[],[]]}`},
		{"orders/1", "increment_id]", 200, `[]`},
		{"orders/1", "state[a]", 500, ""}, // PHP: a text where an array belongs
		{"orders/1/statuses", "state", 200, `"processing"`},
		{"orders/2", "state", 404, ""},
		{"orders?searchCriteria[filter_groups][0][filters][0][field]=state&searchCriteria[filter_groups][0][filters][0][value]=new", "items[state],total_count", 200, `{"items":null,"total_count":0}`},
	} {
		separator := "?"
		if strings.Contains(test.path, "?") {
			separator = "&"
		}
		status, body := c.get("/rest/V1/" + test.path + separator + "fields=" + test.fields)
		if status != test.status || test.want != "" && body != test.want {
			t.Errorf("%s of %s: %d %s, want %d %s", test.fields, test.path, status, body, test.status, test.want)
		}
	}
	_, whole := c.get("/rest/V1/orders/1")
	for _, ignored := range []string{"", "state,%20status", "items[sku", "a-b"} {
		if _, body := c.get("/rest/V1/orders/1?fields=" + ignored); body != whole {
			t.Errorf("%s: %s, want the whole order", ignored, body)
		}
	}
}

func escaped(t *testing.T, query string) string {
	t.Helper()
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	return values.Encode()
}

func TestComment_Kept(t *testing.T) {
	shop, c := start(t, fakemagento.Options{Version: fakemagento.V248})
	o := shop.PlaceOrder(fakemagento.Placing{})
	shop.AddStatus("processing", "exported")
	post := func(body string) (int, string) { return c.call(http.MethodPost, "/rest/V1/orders/1/comments", body) }
	whole := `{"statusHistory":{"comment":"Sales order SO-1 created in ERP","status":%q,"is_customer_notified":0,"is_visible_on_front":0,"parent_id":1}}`

	if status, body := post(fmt.Sprintf(whole, "complete")); status != 400 ||
		body != `{"message":"Unable to add comment: The status \"%1\" is not part of the order status history.","parameters":["complete"]}` {
		t.Errorf("status of another state: %d %s", status, body)
	}
	for _, field := range []string{"comment", "is_customer_notified", "is_visible_on_front", "parent_id"} {
		body := strings.Replace(fmt.Sprintf(whole, "processing"), `"`+field+`"`, `"x"`, 1)
		if status, answer := post(body); status != 400 || !strings.Contains(answer, `"fieldName":"`+field+`"`) {
			t.Errorf("without %s: %d %s", field, status, answer)
		}
	}
	if n := len(shop.Comments(o.EntityID)); n != 0 {
		t.Fatalf("refused comments were kept: %d", n)
	}
	if status, body := post(fmt.Sprintf(whole, "exported")); status != 200 || body != "true" {
		t.Errorf("%d %s", status, body)
	}
	if status, _ := post(`{"statusHistory":{"comment":"second","is_customer_notified":1,"is_visible_on_front":1,"parent_id":7}}`); status != 200 {
		t.Errorf("without a status: %d", status)
	}
	comments := shop.Comments(o.EntityID)
	if len(comments) != 2 || comments[0].Notified || comments[0].VisibleOnFront || comments[0].Status != "exported" ||
		!comments[1].Notified || !comments[1].VisibleOnFront || comments[1].Status != "exported" {
		t.Errorf("%+v", comments)
	}
	if len(shop.Problems()) != 2 {
		t.Errorf("the wrong parent_id, or the missing status, went unseen: %v", shop.Problems())
	}
	if shop.CommentCounts("")["000000001"] != 2 {
		t.Errorf("%v", shop.CommentCounts(""))
	}
	_, list := c.get("/rest/V1/orders/1/comments")
	if !strings.Contains(list, `"total_count":4`) || strings.Index(list, "second") > strings.Index(list, "SO-1") {
		t.Errorf("%s", list)
	}
	if _, body := c.get("/rest/V1/orders/1"); !strings.Contains(body, `"comment":"Sales order SO-1 created in ERP"`) || !strings.Contains(body, `"status":"exported"`) {
		t.Errorf("%s", body)
	}
	if _, body := c.get("/rest/V1/orders/1/statuses"); body != `"exported"` {
		t.Errorf("%s", body)
	}
}

func TestServer_Stores(t *testing.T) {
	_, c := start(t, fakemagento.Options{Stores: []fakemagento.Store{{ID: 3, Code: "de", Name: "Deutsch", WebsiteID: 2, Locale: "de_DE", Timezone: "Europe/Vienna", BaseCurrency: "EUR"}}})
	if _, body := c.get("/rest/V1/store/storeConfigs"); !strings.Contains(body, `"timezone":"Europe/Vienna"`) || !strings.Contains(body, `"code":"de"`) {
		t.Errorf("%s", body)
	}
	if _, body := c.get("/rest/V1/store/storeViews"); !strings.Contains(body, `"name":"Deutsch"`) || !strings.Contains(body, `"code":"admin"`) {
		t.Errorf("%s", body)
	}
}

func TestOrder_AddedAsItIs(t *testing.T) {
	shop, c := start(t, fakemagento.Options{})
	if _, err := shop.AddOrder([]byte(`{"entity_id":57,"increment_id":"000000123","grand_total":19.989999999999998}`)); err != nil {
		t.Fatal(err)
	}
	if _, body := c.get("/rest/V1/orders/57"); !strings.Contains(body, `"grand_total":19.989999999999998`) {
		t.Errorf("%s", body)
	}
	for _, bad := range []string{`{`, `{}`, `{"entity_id":57}`} {
		if _, err := shop.AddOrder([]byte(bad)); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

// A late answer comes after the comment is there; a deadlock is told as a 400.
func TestServer_Faults(t *testing.T) {
	shop, c := start(t, fakemagento.Options{})
	shop.PlaceOrder(fakemagento.Placing{})
	body := `{"statusHistory":{"comment":"c","is_customer_notified":0,"is_visible_on_front":0,"parent_id":1}}`
	shop.Faults.Next(
		fault.Fault{Kind: fault.Drop}, fault.Fault{Kind: fault.Fail, Status: 400}, fault.Fault{Kind: fault.Fail, Status: 503}, fault.Fault{Kind: fault.Page},
	)
	for i, want := range []struct {
		status int
		part   string
	}{{0, ""}, {400, "Deadlock found"}, {503, `{"messages":{"error":[{"code":503`}, {503, "<!DOCTYPE html>"}} {
		if status, answer := c.call(http.MethodPost, "/rest/V1/orders/1/comments", body); status != want.status || !strings.Contains(answer, want.part) {
			t.Errorf("%d: %d %s", i, status, answer)
		}
	}
	if n := len(shop.Comments(1)); n != 1 {
		t.Errorf("%d comments, want 1, the dropped answer's", n)
	}
}

func TestAdminToken_IssuedAndExpired(t *testing.T) {
	shop, c := start(t, fakemagento.Options{Username: "mageline", Password: "p4ss"})
	shop.PlaceOrder(fakemagento.Placing{})
	if status, _ := c.call(http.MethodPost, "/rest/V1/integration/admin/token", `{"username":"mageline","password":"x"}`); status != 401 {
		t.Errorf("wrong password: %d", status)
	}
	status, body := c.call(http.MethodPost, "/rest/all/V1/integration/admin/token", `{"username":"mageline","password":"p4ss"}`)
	var token string
	if err := json.Unmarshal([]byte(body), &token); status != 200 || err != nil || strings.Count(token, ".") != 2 {
		t.Fatalf("%d %s", status, body)
	}
	c.header.Set("Authorization", "Bearer "+token)
	if status, _ := c.get("/rest/V1/orders/1"); status != 200 {
		t.Errorf("with the token: %d", status)
	}
	shop.RevokeAdminTokens()
	if status, _ := c.get("/rest/V1/orders/1"); status != 401 {
		t.Errorf("with a revoked token: %d", status)
	}
}

func TestServer_KeepsTheLastOrders(t *testing.T) {
	shop, c := start(t, fakemagento.Options{Keep: 2})
	for range 3 {
		shop.PlaceOrder(fakemagento.Placing{})
	}
	if status, _ := c.get("/rest/V1/orders/1"); status != 404 {
		t.Errorf("the oldest is still there: %d", status)
	}
	if status, _ := c.get("/rest/V1/orders/3"); status != 200 {
		t.Errorf("the newest is not there: %d", status)
	}
}

// What becomes of an order's status with a comment: docs/magento-versions.md.
func TestComment_StatusOfEachVersion(t *testing.T) {
	const null, refused = "", "400"
	for version, want := range map[fakemagento.Version]map[string]string{ // by the status that is given
		fakemagento.V245: {"": null, "processing": "processing", "fraud": "fraud", "complete": "complete", "no such": "no such"},
		fakemagento.V247: {"": null, "processing": "processing", "fraud": refused, "complete": refused, "no such": refused},
		fakemagento.V248: {"": "processing", "processing": "processing", "fraud": "fraud", "complete": refused, "no such": refused},
	} {
		for given, then := range want {
			t.Run(fmt.Sprintf("%s, %q", version, given), func(t *testing.T) {
				shop, c := start(t, fakemagento.Options{Version: version})
				o := shop.PlaceOrder(fakemagento.Placing{})
				body := `{"statusHistory":{"comment":"c","is_customer_notified":0,"is_visible_on_front":0,"parent_id":1`
				if given != "" {
					body += fmt.Sprintf(`,"status":%q`, given)
				}
				status, answer := c.call(http.MethodPost, "/rest/V1/orders/1/comments", body+"}}")
				if then == refused {
					if status != 400 || !strings.Contains(answer, "is not part of the order status history") || len(shop.Comments(1)) != 0 {
						t.Errorf("%d %s, %d comments", status, answer, len(shop.Comments(1)))
					}
					then = "processing"
				} else if status != 200 || shop.Comments(1)[0].Status != then {
					t.Errorf("%d %s, %+v", status, answer, shop.Comments(1))
				}
				_, answer = c.get("/rest/V1/orders/1?fields=status,state")
				_, list := c.get("/rest/V1/orders?searchCriteria%5Bfilter_groups%5D%5B0%5D%5Bfilters%5D%5B0%5D%5Bfield%5D=status&searchCriteria%5Bfilter_groups%5D%5B0%5D%5Bfilters%5D%5B0%5D%5Bcondition_type%5D=notnull")
				shown := strings.Contains(answer, `"status"`) && strings.Contains(list, `"total_count":1`)
				if got := shop.Status(1); got != then || shown != (then != null) || slices.Contains(shop.Statusless(), o.IncrementID) != (then == null) {
					t.Errorf("the order has the status %q and shows %s; without a status: %q", got, answer, shop.Statusless())
				}
				if left := given == ""; left != (len(shop.Problems()) == 1) {
					t.Errorf("problems: %v", shop.Problems())
				}
			})
		}
	}
}
