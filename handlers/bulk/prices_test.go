package bulk_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/handlers/bulk"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
)

// twoWebsites has the store views 1 and 2 in one website, and 3 in another.
var twoWebsites = []fakemagento.Store{
	{ID: 1, Code: "default", WebsiteID: 1}, {ID: 2, Code: "de", WebsiteID: 1}, {ID: 3, Code: "us", WebsiteID: 2},
}

func TestPrices_WritesTheNewestOfEach(t *testing.T) {
	t.Parallel()
	r := newRig(t, fakemagento.Options{}, "A", "B")
	r.want(r.price("base", 5, `{"sku":"A","price":7},{"sku":"B","price":"8.50"},{"sku":"a","price":9}`), "stale acked acked")
	r.base("A", 0, "9")
	r.base("B", 0, "8.5")
	r.want(r.price("base", 4, `{"sku":"A","price":1},{"sku":"B","price":1}`), "stale stale")
	r.want(r.price("base", 5, `{"sku":"A","price":3}`), "acked")
	r.base("A", 0, "3")
	r.base("B", 0, "8.5")
}

func TestPrices_SendsOnlyWhatDiffers(t *testing.T) {
	t.Parallel()
	r := newRig(t, fakemagento.Options{}, "A", "B")
	r.Shop.SetBasePrice("A", 0, decimal.RequireFromString("29.95"))
	r.want(r.price("base", 1, `{"sku":"A","price":29.95},{"sku":"B","price":5}`), "acked acked")
	if rows := r.Shop.Rows(); rows.Written != 1 || r.Meter.entries["unchanged"] != 1 || r.Meter.entries["written"] != 1 {
		t.Errorf("rows %+v, entries %v", rows, r.Meter.entries)
	}
	r.want(r.price("base", 0, `{"sku":"A","price":1}`), "stale") // what was equal counts as written
	r.sendAll()
	r.want(r.price("base", 2, `{"sku":"A","price":29.95},{"sku":"B","price":5}`), "acked acked")
	if rows := r.Shop.Rows(); rows.Written != 3 {
		t.Errorf("with everything sent: %+v", rows)
	}
}

func TestPrices_LeavesWhatAnotherChangedAfterTheSameMessage(t *testing.T) {
	t.Parallel()
	r := newRig(t, fakemagento.Options{}, "A")
	const row = `{"sku":"A","price":7}`
	r.want(r.price("base", 1, row), "acked")
	r.Shop.SetBasePrice("A", 0, decimal.RequireFromString("8"))
	r.repeat = true // the acknowledgement was lost
	r.want(r.price("base", 1, row), "duplicate")
	r.base("A", 0, "8")
	r.repeat = false // a new message with the same version
	r.want(r.price("base", 1, row), "acked")
	r.base("A", 0, "7")
}

func TestPrices_RejectsEntriesAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t, fakemagento.Options{}, "A", "B", "7")
	got := r.price("base", 1, `{"sku":"A","price":1,"note":"kept"},{"sku":"none","price":2},{"sku":"B","price":0},{"sku":"007","price":3},{"sku":"7","price":4},{"sku":"B","price":5,"store_id":9}`)
	r.want(got, "acked rejected invalid rejected acked rejected")
	var letter struct {
		Type   string           `json:"type"`
		AsOf   string           `json:"as_of"`
		Prices []map[string]any `json:"prices"`
	}
	if err := json.Unmarshal([]byte(got.letter), &letter); err != nil || letter.Type != "base" || letter.AsOf != at(1) || len(letter.Prices) != 4 ||
		letter.Prices[0]["sku"] != "none" || letter.Prices[3]["store_id"] != 9.0 {
		t.Errorf("the letter is %s (%v)", got.letter, err)
	}
	r.base("A", 0, "1")
	r.base("7", 0, "4")
	r.Prices.Rules.AllowZero = true
	r.want(r.price("base", 2, `{"sku":"B","price":0}`), "acked")
	// A rejection has left the row as it was: the same version is written.
	r.Shop.AddProduct(fakemagento.Product{SKU: "none"})
	r.want(r.price("base", 1, `{"sku":"none","price":2}`), "acked")
}

func TestPrices_RefusesAVersionThatIsAhead(t *testing.T) {
	t.Parallel()
	r := newRig(t, fakemagento.Options{}, "A")
	got := r.handle(r.Prices, `{"type":"base","as_of":"2099-01-01T00:00:00Z","prices":[{"sku":"A","price":1}]}`)
	r.want(got, "invalid")
	if !strings.Contains(fmt.Sprint(got.errs), "as_of") {
		t.Errorf("it says %v", got.errs)
	}
}

func TestPrices_LowersTheSizeAsMagentoSays(t *testing.T) {
	t.Parallel()
	r := newRig(t, fakemagento.Options{ItemLimit: 20})
	var rows []string
	for n := range 50 {
		sku := fmt.Sprintf("S%02d", n)
		r.Shop.AddProduct(fakemagento.Product{SKU: sku})
		rows = append(rows, fmt.Sprintf(`{"sku":%q,"price":7}`, sku))
	}
	got := r.price("base", 1, strings.Join(rows, ","))
	if words := strings.Join(got.words, " "); words != strings.TrimSpace(strings.Repeat("acked ", 50)) {
		t.Fatalf("got %s: %v", words, got.errs)
	}
	if n := r.Prices.Limit("base"); n != 20 {
		t.Errorf("a call has %d entries at most now", n)
	}
	r.base("S49", 0, "7")
}

func TestPrices_AfterALostAnswerNothingOlderIsWritten(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]fault.Fault{"dropped after it was applied": {Kind: fault.Drop}, "dropped before": {Kind: fault.Refuse}, "late": {Kind: fault.Late, After: 2 * impatience}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRigWith(t, fakemagento.Options{}, impatience, "A")
			r.want(r.price("base", 1, `{"sku":"A","price":1}`), "acked")
			r.Shop.Faults.Set(fault.Plan{Only: isWrite})
			r.Shop.Faults.Next(f)
			got := r.price("base", 3, `{"sku":"A","price":3}`)
			if class := event.ClassOf(got.errs[0]); class.Poison() || got.errs[0] == nil {
				t.Fatalf("got %v", got.errs)
			}
			r.want(r.price("base", 2, `{"sku":"A","price":2}`), "stale")
			// The wait for the lost call is over before a batch loses its patience.
			r.want(r.price("base", 3, `{"sku":"A","price":3}`), "acked")
			r.base("A", 0, "3")
		})
	}
}

func TestPrices_AfterAnAnswerOfMagentosNothingIsWaitedFor(t *testing.T) {
	t.Parallel()
	r := newRig(t, fakemagento.Options{}, "A")
	r.Store.Timeout = 1e12
	r.Shop.Faults.Set(fault.Plan{Only: isWrite})
	for _, f := range []fault.Fault{{Kind: fault.Fail}, {Kind: fault.Say, Status: 400, Text: `{"message":"Could not save Prices."}`}, {Kind: fault.Garble}} {
		r.Shop.Faults.Next(f)
		if got := r.price("base", 3, `{"sku":"A","price":3}`); event.ClassOf(got.errs[0]) != event.Unavailable {
			t.Errorf("fault %v: %v", f, got.errs)
		}
	}
	r.want(r.price("base", 2, `{"sku":"A","price":2}`), "stale")
	r.want(r.price("base", 3, `{"sku":"A","price":3}`), "acked")
	r.Shop.Faults.Next(fault.Fault{Kind: fault.Page, Status: 504}) // a front has answered: Magento may be at it still
	r.price("base", 4, `{"sku":"A","price":4}`)
	got := r.price("base", 4, `{"sku":"A","price":4}`)
	if !strings.Contains(fmt.Sprint(got.errs), "given up") {
		t.Errorf("after a front's answer: %v", got.errs)
	}
}

func TestPrices_OfWebsites(t *testing.T) {
	t.Parallel()
	r := newRig(t, fakemagento.Options{PriceScope: fakemagento.ScopeWebsite, Stores: twoWebsites}, "A")
	r.want(r.price("base", 2, `{"sku":"A","price":7,"store_id":2}`), "acked")
	r.base("A", 1, "7")
	r.base("A", 3, "10")
	r.want(r.price("base", 1, `{"sku":"A","price":8,"store_id":1}`), "stale") // the same website
	r.want(r.price("special", 2, `{"sku":"A","price":5,"store_id":1,"price_from":"2026-11-23 00:00:00"}`), "acked")
	for store, want := range map[int]bool{1: true, 2: true, 3: false} {
		if got := r.Shop.SpecialPrice("A", store); strings.Contains(got, "5") != want {
			t.Errorf("the special price of store %d is %q", store, got)
		}
	}
	r.want(r.price("special_delete", 3, `{"sku":"A","store_id":2}`), "acked")
	if got := r.Shop.SpecialPrice("A", 1); got != "" {
		t.Errorf("after it was deleted: %q", got)
	}
	r.want(r.price("base", 4, `{"sku":"A","price":7,"store_id":9}`), "rejected")
}

func TestPrices_Special(t *testing.T) {
	t.Parallel()
	r := newRig(t, fakemagento.Options{}, "A", "B")
	const row = `{"sku":"A","price":5,"price_from":"2026-11-23 00:00:00","price_to":"2026-11-24 00:00:00"}`
	r.want(r.price("special", 1, row+`,{"sku":"B","price":4}`), "acked acked")
	before := r.Shop.Rows().Written
	r.want(r.price("special", 2, row), "acked")
	r.want(r.price("special", 3, `{"sku":"A","price":5.0}`), "acked") // dates that are not given stay
	if after := r.Shop.Rows().Written; after != before || r.Meter.entries["unchanged"] != 2 {
		t.Errorf("what is equal was sent: %d rows, %v", after-before, r.Meter.entries)
	}
	r.want(r.price("special", 4, strings.Replace(row, "24 00:00:00", "24 00:00:01", 1)), "acked")
	if got := r.Shop.SpecialPrice("A", 0); !strings.Contains(got, "2026-11-24 00:00:01") {
		t.Errorf("the special price is %q", got)
	}
	r.want(r.price("special", 5, `{"sku":"A","price":5,"store_id":1}`), "rejected") // prices are global
	r.want(r.price("special_delete", 6, `{"sku":"A"},{"sku":"none"}`), "acked acked")
	r.want(r.price("special", 5, row), "stale")
}

func TestPrices_SpecialWithContentStaging(t *testing.T) {
	t.Parallel()
	r := newRig(t, fakemagento.Options{Edition: fakemagento.Commerce}, "A", "B", "C")
	const period = `"price_from":"2036-11-23 00:00:00","price_to":"2036-11-24 00:00:00"`
	r.want(r.price("special", 1, `{"sku":"A","price":5,`+period+`},{"sku":"B","price":4,`+period+`},{"sku":"C","price":4}`), "acked acked invalid")
	written := r.Shop.Rows().Written
	for _, all := range []bool{false, true} {
		r.Prices.All = all
		r.want(r.price("special", 2, `{"sku":"A","price":5,`+period+`},{"sku":"B","price":4,`+period+`}`), "acked acked") // B's seconds were shifted
	}
	if n := r.Shop.Rows().Written - written; n != 0 {
		t.Errorf("%d rows were sent though they are there", n)
	}
	got := r.price("special", 3, `{"sku":"A","price":6,"price_from":"2036-11-23 12:00:00","price_to":"2036-11-26 00:00:00"}`)
	r.want(got, "invalid")
	if !strings.Contains(fmt.Sprint(got.errs), "2036-11-23 00:00:00") {
		t.Errorf("the period is not named: %v", got.errs)
	}
	r.want(r.price("special_delete", 4, `{"sku":"A"}`), "acked")
	r.want(r.price("special", 5, `{"sku":"A","price":6,"price_from":"2036-11-23 12:00:00","price_to":"2036-11-26 00:00:00"}`), "acked")
}

func tierRow(group string, quantity, price string) string {
	return fmt.Sprintf(`{"sku":"A","price":%s,"price_type":"fixed","website_id":0,"customer_group":%q,"quantity":%s}`, price, group, quantity)
}

func TestPrices_Tiers(t *testing.T) {
	t.Parallel()
	r := newRig(t, fakemagento.Options{}, "A")
	r.want(r.price("tier", 5, tierRow("General", "10", "8")+","+tierRow("General", "20", "7")), "acked acked")
	before := r.Shop.Rows().Written
	r.want(r.price("tier", 6, tierRow("General", "10.0", "8.00")), "acked")
	if n := r.Shop.Rows().Written - before; n != 0 {
		t.Errorf("%d rows were sent though they are there", n)
	}
	r.want(r.price("tier", 5, tierRow("general", "10", "1")), "stale")
	r.want(r.price("tier", 6, tierRow("Nobody", "10", "1")), "rejected")
	r.want(r.price("tier_delete", 7, `{"sku":"A","customer_group":"General","quantity":10}`), "acked")
	r.want(r.price("tier_delete", 8, `{"sku":"A","customer_group":"General","quantity":10}`), "acked") // it is gone already
	r.want(r.price("tier", 6, tierRow("General", "10", "9")), "stale")
	if got := tiers(t, r); got != "20:7" {
		t.Errorf("the tiers are %s", got)
	}
}

func TestPrices_ReplaceKeepsWhatIsNewer(t *testing.T) {
	t.Parallel()
	r := newRig(t, fakemagento.Options{}, "A")
	r.want(r.price("tier", 5, tierRow("General", "10", "8")+","+tierRow("General", "20", "7")), "acked acked")
	r.want(r.price("tier", 9, tierRow("General", "30", "6")), "acked")
	r.want(r.price("tier", 7, tierRow("General", "10", "8.5")+","+tierRow("General", "30", "1"), `"replace":true`), "acked")
	if got := tiers(t, r); got != "10:8.5 30:6" {
		t.Errorf("the tiers are %s", got)
	}
	r.want(r.price("tier", 6, tierRow("General", "20", "7")), "stale") // it was replaced since
	r.want(r.price("tier", 6, tierRow("General", "20", "7"), `"replace":true`), "stale")
	calls := r.requests("PUT /rest/all/V1/products/tier-prices")
	r.want(r.price("tier", 8, tierRow("General", "10", "8.5"), `"replace":true`), "acked")
	if n := r.requests("PUT /rest/all/V1/products/tier-prices") - calls; n != 0 {
		t.Errorf("replaced by the same in %d calls", n)
	}
	got := r.price("tier", 10, tierRow("General", "10", "3")+`,{"sku":"A","price":1}`, `"replace":true`)
	r.want(got, "invalid") // one that can't be used keeps the others from taking the place of all
	if strings.Count(got.letter, `"sku"`) != 2 {
		t.Errorf("the letter is %s", got.letter)
	}
}

// tiers are those of A, by quantity.
func tiers(t *testing.T, r *rig) string {
	t.Helper()
	rows, err := r.Prices.Prices.TierPrices(t.Context(), "A")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, row := range rows {
		all = append(all, row.Quantity.String()+":"+row.Price.String())
	}
	return strings.Join(sorted(all...), " ")
}

func TestPrices_HoldsWhatChangesTooMuch(t *testing.T) {
	t.Parallel()
	r := newRig(t, fakemagento.Options{}, "A", "B", "C")
	r.Prices.Rules.Guard = &bulk.Guard{MaxChange: decimal.RequireFromString("0.5")}
	for _, all := range []bool{false, true} {
		r.Prices.All = all
		r.want(r.price("base", 5, `{"sku":"A","price":4.99},{"sku":"B","price":5},{"sku":"C","price":15.01}`), "skipped acked skipped")
	}
	r.base("A", 0, "10")
	r.want(r.price("base", 4, `{"sku":"A","price":1}`), "stale") // older than what is held
	r.want(r.price("base", 6, `{"sku":"A","price":4}`), "skipped")
	held, err := r.Store.Held(t.Context())
	if err != nil || len(held) != 2 || held[1].SKU != "a" && held[0].SKU != "a" {
		t.Fatalf("held %+v, %v", held, err)
	}
	released, err := r.Store.Release(t.Context(), "a")
	if err != nil || len(released) != 1 || !released[0].New.Equal(decimal.NewFromInt(4)) || !released[0].Old.Equal(decimal.NewFromInt(10)) {
		t.Fatalf("released %+v, %v", released, err)
	}
	r.want(r.handle(r.Prices, released[0].Body), "acked")
	r.base("A", 0, "4")
	r.want(r.price("base", 7, `{"sku":"C","price":12}`), "acked") // what was held is older
	if held, err := r.Store.Held(t.Context()); err != nil || len(held) != 0 {
		t.Errorf("held %+v, %v", held, err)
	}
}
