package fakemagento_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/test/kit/fakemagento"
)

// websites are two, of which the first has two store views.
var websites = []fakemagento.Store{
	{ID: 1, Code: "default", WebsiteID: 1}, {ID: 2, Code: "de", WebsiteID: 1}, {ID: 3, Code: "us", WebsiteID: 2},
}

// A shopper asks a shop as one does who has no client: with texts.
type shopper struct {
	t    *testing.T
	shop *fakemagento.Server
	url  string
	http *http.Client
}

func shopWithout(t *testing.T, o fakemagento.Options, skus ...string) shopper {
	t.Helper()
	shop, c := start(t, o)
	for _, sku := range skus {
		shop.AddProduct(fakemagento.Product{SKU: sku})
	}
	return shopper{t, shop, c.url, c.http}
}

// does sends a body and returns the answer, without the messages' ends, which name the row.
func (s shopper) does(method, path, body string) (status int, answer string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+"/rest/all/V1/"+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	response, err := s.http.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response.StatusCode, string(raw)
}

// refuses wants an answer that names failures, by the beginnings of their messages.
func (s shopper) refuses(method, path, body string, want ...string) {
	s.t.Helper()
	status, answer := s.does(method, path, body)
	var failures []struct{ Message string }
	if err := json.Unmarshal([]byte(answer), &failures); err != nil || status != http.StatusOK {
		s.t.Fatalf("%s: %d %s", path, status, answer)
	}
	ok := len(failures) == len(want)
	for i := 0; ok && i < len(want); i++ {
		ok = strings.HasPrefix(failures[i].Message, want[i])
	}
	if !ok {
		s.t.Errorf("%s %s: got %s, want %q", path, body, answer, want)
	}
}

func (s shopper) answers(method, path, body string, status int, want string) {
	s.t.Helper()
	if got, answer := s.does(method, path, body); got != status || answer != want {
		s.t.Errorf("%s %s: got %d %s, want %d %s", path, body, got, answer, status, want)
	}
}

func TestBasePrices_GoByVersionAndScope(t *testing.T) {
	for name, test := range map[string]struct {
		options fakemagento.Options
		want    string // the prices in all views, and in 1, 2 and 3
	}{
		"2.4.1 takes the store view":          {fakemagento.Options{Version: fakemagento.V241}, "10 10 7 10"},
		"later a global scope takes all":      {fakemagento.Options{}, "7 7 7 7"},
		"2.4.1, websites: the view alone":     {fakemagento.Options{Version: fakemagento.V241, PriceScope: fakemagento.ScopeWebsite}, "10 10 7 10"},
		"later, websites: the website's":      {fakemagento.Options{PriceScope: fakemagento.ScopeWebsite}, "10 7 7 10"},
		"the newest, websites: the website's": {fakemagento.Options{Version: fakemagento.V248, PriceScope: fakemagento.ScopeWebsite}, "10 7 7 10"},
	} {
		t.Run(name, func(t *testing.T) {
			test.options.Stores = websites
			s := shopWithout(t, test.options, "A")
			s.refuses("POST", "products/base-prices", `{"prices":[{"sku":" a ","price":"7.00","store_id":2}]}`)
			var got []string
			for store := range 4 {
				price, _ := s.shop.BasePrice("A", store)
				got = append(got, price.String())
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("got %v, want %s", got, test.want)
			}
		})
	}
}

func TestBasePrices_OfTypesAndOfNumbersAlike(t *testing.T) {
	s := shopWithout(t, fakemagento.Options{}, "7", "8")
	s.shop.AddProduct(fakemagento.Product{SKU: "C", TypeID: "configurable"})
	s.shop.AddProduct(fakemagento.Product{SKU: "dynamic", TypeID: "bundle"})
	s.shop.AddProduct(fakemagento.Product{SKU: "fixed", TypeID: "bundle", Attributes: map[string]string{"price_type": "1"}})
	const bad = "Invalid attribute %fieldName = %fieldValue."
	s.refuses("POST", "products/base-prices", `{"prices":[{"sku":"C","price":1,"store_id":0},{"sku":"dynamic","price":1,"store_id":0},{"sku":"fixed","price":1,"store_id":0}]}`, bad, bad)
	// "007" is not there, and PHP takes "7" for equal to it.
	s.refuses("POST", "products/base-prices", `{"prices":[{"sku":"7","price":1,"store_id":0},{"sku":"007","price":1,"store_id":0},{"sku":"8","price":1,"store_id":0}]}`, bad, bad)
	s.answers("POST", "products/base-prices-information", `{"skus":["7","8","C","none"]}`, 200,
		`[{"price":10,"sku":"7","store_id":0},{"price":1,"sku":"8","store_id":0}]`)
	s.shop.SetBasePrice("8", 0, decimal.RequireFromString("29.95"))
	s.answers("POST", "products/base-prices-information", `{"skus":["8"]}`, 200, `[{"price":29.949999999999999,"sku":"8","store_id":0}]`)
	if rows := s.shop.Rows(); rows.Written != 2 || rows.Refused != 4 || rows.Read != 3 {
		t.Errorf("counted %+v", rows)
	}
}

func TestSpecialPrices_OpenSource(t *testing.T) {
	const notGlobal = "Could not change non global Price when price scope is global."
	global := shopWithout(t, fakemagento.Options{Stores: websites}, "A")
	set := func(s shopper, sku string, store int, dates string, want ...string) {
		t.Helper()
		s.refuses("POST", "products/special-price", fmt.Sprintf(`{"prices":[{"sku":%q,"price":5,"store_id":%d%s}]}`, sku, store, dates), want...)
	}
	set(global, "A", 1, "", notGlobal)
	for _, date := range []string{"2026-11-27", "2026-11-27T00:00:00", "2026-11-27 00:00:00.0", "27.11.2026 00:00:00", "2026-11-31 00:00:00", "2026-11-27 0:00:00"} {
		set(global, "A", 0, `,"price_from":"`+date+`"`, "Invalid attribute %label = %priceTo.")
	}
	set(global, "A", 0, `,"price_from":"2026-11-27 00:00:00","price_to":"2026-11-30 23:59:59"`)
	set(global, "A", 0, `,"price_from":"2026-11-28 00:00:00"`) // what is left out stays
	if got := global.shop.SpecialPrice("A", 0); got != "5 from 2026-11-28 00:00:00 to 2026-11-30 23:59:59" {
		t.Errorf("got %s", got)
	}

	site := shopWithout(t, fakemagento.Options{Stores: websites, PriceScope: fakemagento.ScopeWebsite}, "A")
	set(site, "A", 1, `,"price_from":"2026-11-27 00:00:00"`)
	set(site, "A", 3, `,"price_from":"2026-12-01 00:00:00"`)
	if got := site.shop.SpecialPrice("A", 2); got != "" {
		t.Errorf("the other view of the website has %s", got)
	}
	if _, answer := site.does("POST", "products/special-price-information", `{"skus":["A"]}`); strings.Count(answer, "price_from") != 4 {
		t.Errorf("the dates of two views are not mixed: %s", answer)
	}
	site.refuses("POST", "products/special-price-delete", `{"prices":[{"sku":"A","price":5,"store_id":1}]}`)
	if site.shop.SpecialPrice("A", 1) != "" || site.shop.SpecialPrice("A", 3) == "" {
		t.Error("deleted in another view than the one that was named")
	}

	old := shopWithout(t, fakemagento.Options{Version: fakemagento.V241, Stores: websites}, "A")
	set(old, "A", 1, "")
	set(old, "A", 3, "")
	old.refuses("POST", "products/special-price-delete", `{"prices":[{"sku":"A","price":5,"store_id":1}]}`)
	if got := old.shop.SpecialPrice("A", 3); got != "" {
		t.Errorf("2.4.1 deletes in all views, and left %s", got)
	}
}

func TestSpecialPrices_Staged(t *testing.T) {
	s := shopWithout(t, fakemagento.Options{Edition: fakemagento.Commerce, Stores: websites}, "A", "B", "C")
	year := time.Now().Year() + 1
	row := func(sku, from, to string) string {
		return fmt.Sprintf(`{"sku":%q,"price":5,"store_id":0,"price_from":"%d-%s 00:00:00","price_to":"%[2]d-%[4]s 00:00:00"}`, sku, year, from, to)
	}
	set := func(want []string, rows ...string) {
		t.Helper()
		s.refuses("POST", "products/special-price", `{"prices":[`+strings.Join(rows, ",")+`]}`, want...)
	}
	set([]string{"Invalid attribute %label", "Invalid attribute %label"}, `{"sku":"A","price":5,"store_id":0}`)
	set([]string{"The Future Update Start Time is invalid."}, `{"sku":"A","price":5,"store_id":0,"price_from":"2020-01-01 00:00:00","price_to":"2099-01-01 00:00:00"}`)
	set(nil, row("A", "02-01", "03-01"), row("B", "02-01", "03-01"), row("C", "02-01", "03-01"))
	for sku, second := range map[string]string{"A": "00", "B": "01", "C": "02"} {
		want := fmt.Sprintf("5 from %d-02-01 00:00:%s to %[1]d-03-01 00:00:%[2]s\n", year, second)
		if got := s.shop.SpecialPrice(sku, 0); got != want {
			t.Errorf("%s: got %s, want %s", sku, got, want)
		}
	}
	const overlap = "Future Update already exists in this time range."
	set([]string{overlap}, row("A", "02-15", "04-01"))
	set([]string{overlap}, row("B", "02-01", "03-01")) // it is not the same any more
	set(nil, row("A", "02-01", "03-01"))
	set(nil, row("A", "03-01", "04-01"))
	if _, answer := s.does("POST", "products/special-price-information", `{"skus":["A"]}`); strings.Count(answer, "price_from") != 2 {
		t.Errorf("got %s", answer)
	}
}

func TestTierPrices_OfWebsites(t *testing.T) {
	s := shopWithout(t, fakemagento.Options{Stores: websites, PriceScope: fakemagento.ScopeWebsite}, "A", "B")
	s.shop.AddProduct(fakemagento.Product{SKU: "set", TypeID: "bundle"})
	row := func(sku, price string, website int) string {
		return fmt.Sprintf(`{"sku":%q,"price":%s,"price_type":"fixed","website_id":%d,"customer_group":"general","quantity":5}`, sku, price, website)
	}
	const duplicate = "We found a duplicate website, tier price, customer group and quantity"
	s.refuses("POST", "products/tier-prices", `{"prices":[`+row("A", "4", 1)+`,`+row("A", "4", 2)+`]}`)
	s.refuses("POST", "products/tier-prices", `{"prices":[`+row("A", "3", 0)+`]}`, duplicate, duplicate)
	s.refuses("POST", "products/tier-prices", `{"prices":[`+row("A", "3", 9)+`,`+row("set", "3", 0)+`]}`, "Invalid attribute Website ID", "Invalid attribute Price Type")
	s.refuses("POST", "products/tier-prices-delete", `{"prices":[`+row("A", "4", 1)+`]}`)
	s.answers("POST", "products/tier-prices-information", `{"skus":["A"]}`, 200, `[]`) // that of the other website is gone too
	s.refuses("PUT", "products/tier-prices", `{"prices":[`+row("B", "4", 1)+`]}`)
	s.refuses("PUT", "products/tier-prices", `{"prices":[`+row("B", "3", 0)+`]}`)
	s.answers("POST", "products/tier-prices-information", `{"skus":["b"]}`, 200,
		`[{"customer_group":"general","price":3,"price_type":"fixed","quantity":5,"sku":"b","website_id":0}]`)
}

func TestSourceItems_ReadInBulk(t *testing.T) {
	s := shopWithout(t, fakemagento.Options{Sources: []string{"eu"}, ItemLimit: 20})
	var rows []string
	for i := range 20 {
		rows = append(rows, fmt.Sprintf(`{"sku":"S%02d","source_code":"eu","quantity":%d,"status":1}`, i, i))
	}
	save := func(rows ...string) (int, string) {
		return s.does("POST", "inventory/source-items", `{"sourceItems":[`+strings.Join(rows, ",")+`]}`)
	}
	if status, answer := save(rows...); status != 200 || answer != "[]" {
		t.Fatal(status, answer)
	}
	if status, answer := save(append(rows, rows[0])...); status != 400 || !strings.Contains(answer, "SourceItemInterface") {
		t.Errorf("21 rows: %d %s", status, answer)
	}
	if status, answer := save(`{"sku":"unknown, with a comma","source_code":"default","quantity":0,"status":0}`); status != 200 {
		t.Errorf("an unknown SKU: %d %s", status, answer)
	}
	find := func(skus, condition, more string) string {
		t.Helper()
		query := url.Values{}
		for key, value := range map[string]string{"field": "sku", "value": skus, "condition_type": condition} {
			query.Set("searchCriteria[filter_groups][0][filters][0]["+key+"]", value)
		}
		status, answer := s.does("GET", "inventory/source-items?"+query.Encode()+more, "")
		if status != 200 {
			t.Fatal(status, answer)
		}
		return answer
	}
	if answer := find("S03,s07,S19,S77", "in", "&searchCriteria[pageSize]=2&searchCriteria[currentPage]=2"); !strings.Contains(answer, `"total_count":3`) ||
		!strings.Contains(answer, `{"quantity":19,"sku":"S19","source_code":"eu","status":1}`) || strings.Contains(answer, `"sku":"S03"`) {
		t.Errorf("got %s", answer)
	}
	if answer := find("unknown, with a comma", "in", ""); !strings.Contains(answer, `"total_count":0`) {
		t.Errorf("a SKU with a comma was found by in: %s", answer)
	}
	if answer := find("unknown, with a comma", "eq", ""); !strings.Contains(answer, `"total_count":1`) {
		t.Errorf("got %s", answer)
	}
	if status, _ := s.does("GET", "inventory/source-items?searchCriteria[pageSize]=1&x="+strings.Repeat("x", 8200), ""); status != http.StatusRequestURITooLong {
		t.Errorf("an address of over 8 kB: %d", status)
	}
}

func TestServer_WithoutInventory(t *testing.T) {
	s := shopWithout(t, fakemagento.Options{NoInventory: true, Denied: []string{"Magento_Catalog::catalog"}}, "A")
	s.answers("POST", "inventory/source-items", `{"sourceItems":[]}`, 404, `{"message":"Request does not match any route."}`)
	s.answers("PUT", "products/A/stockItems/1", `{"stockItem":{"qty":3,"is_in_stock":true}}`, 200, `1`)
	if quantity, inStock, ok := s.shop.SourceItem("A", "default"); !ok || !inStock || quantity.String() != "3" {
		t.Errorf("%s, %v, %v", quantity, inStock, ok)
	}
	if status, answer := s.does("POST", "products/base-prices", `{"prices":[]}`); status != 401 || !strings.Contains(answer, "Magento_Catalog::catalog") {
		t.Errorf("a right that is not there: %d %s", status, answer)
	}
	if _, answer := s.does("GET", "modules", ""); strings.Contains(answer, "InventoryApi") {
		t.Errorf("got %s", answer)
	}
}

func TestLoad_TakesTimeByRows(t *testing.T) {
	s := shopWithout(t, fakemagento.Options{}, "A")
	s.shop.SetLoad(fakemagento.Load{RowWritten: time.Millisecond, RowSquared: time.Millisecond})
	took := func(n int) time.Duration {
		rows := strings.Repeat(`,{"sku":"A","price":1}`, n)[1:]
		begin := time.Now()
		s.refuses("POST", "products/base-prices", `{"prices":[`+rows+`]}`, refusedStores(n)...)
		return time.Since(begin)
	}
	if five, ten := took(5), took(10); five < 30*time.Millisecond || ten < 110*time.Millisecond {
		t.Errorf("5 rows took %s, 10 rows %s", five, ten)
	}
}

// refusedStores are the failures of rows without a store view.
func refusedStores(n int) (failures []string) {
	for range n {
		failures = append(failures, "Requested store is not found.")
	}
	return failures
}

// With several that write there are deadlocks, of which nothing was written; with one there are none.
func TestLoad_DeadlocksUnderConcurrency(t *testing.T) {
	s := shopWithout(t, fakemagento.Options{}, "A")
	s.shop.SetLoad(fakemagento.Load{Call: 2 * time.Millisecond, Deadlocks: 0.5})
	body := []byte(`{"prices":[{"sku":"A","price":1,"store_id":0}]}`)
	call := func() (int, string) {
		response, err := s.http.Post(s.url+"/rest/all/V1/products/base-prices", "application/json", bytes.NewReader(body))
		if err != nil {
			return 0, err.Error()
		}
		defer func() { _ = response.Body.Close() }()
		raw, _ := io.ReadAll(response.Body)
		return response.StatusCode, string(raw)
	}
	for range 10 {
		if status, answer := call(); status != 200 {
			t.Fatalf("alone: %d %s", status, answer)
		}
	}
	var mu sync.Mutex
	seen := map[int]int{}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 25 {
				status, answer := call()
				mu.Lock()
				seen[status]++
				mu.Unlock()
				if status == 400 && answer != `{"message":"Could not save Prices."}` {
					t.Errorf("a masked deadlock: %s", answer)
				}
			}
		})
	}
	all.Wait()
	if rows := s.shop.Rows(); seen[200]+seen[400]+seen[500] != 100 || seen[400] == 0 || seen[500] == 0 || rows.Deadlocks != seen[400]+seen[500] || rows.Written != 10+seen[200] {
		t.Errorf("answered %v, counted %+v", seen, rows)
	}
}
