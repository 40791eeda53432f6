package fakemagento_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

// rows wants an update of which these rows, and no others, were refused, and gives what was said.
func rows(t *testing.T, err error, given int, want ...int) []magentoapi.PriceRefusal {
	t.Helper()
	var e *magentoapi.PriceError
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want refused rows", err)
	}
	for row := range given {
		if e.Saved(row) == slices.Contains(want, row) {
			t.Errorf("row %d: saved %v, want %v refused; %+v", row, e.Saved(row), want, e.Refused)
		}
	}
	if e.Rows != given || e.Answered != given || e.Err != nil {
		t.Errorf("of %d rows: %+v", given, e)
	}
	return e.Refused
}

func TestBasePrices_SetAndRead(t *testing.T) {
	shop, client := catalog(t, fakemagento.Options{}, magentoapi.Options{})
	ctx, prices := t.Context(), client.Prices
	shop.AddProduct(fakemagento.Product{SKU: "A"})
	shop.AddProduct(fakemagento.Product{SKU: "B"})
	shop.AddProduct(fakemagento.Product{SKU: "C", TypeID: "configurable"})

	done(t, prices.UpdateBasePrices(ctx, []magentoapi.BasePrice{{SKU: "A", Price: money("19.9900")}, {SKU: "B", Price: money("0")}}))
	done(t, prices.UpdateBasePrices(ctx, nil))
	got := ok(prices.BasePrices(ctx, "A", "B", "C", "D"))(t)
	if len(got) != 2 || got[0].SKU != "A" || !got[0].Price.Equal(money("19.99")) || !got[1].Price.IsZero() {
		t.Errorf("got %+v", got)
	}

	refusals := rows(t, prices.UpdateBasePrices(ctx, []magentoapi.BasePrice{
		{SKU: "A", Price: money("1")},
		{SKU: "D", Price: money("2")},
		{SKU: "A", Price: money("-3")},
		{SKU: "B", Price: money("4"), StoreID: 9},
		{SKU: "C", Price: money("-3")}, // for two reasons, of which one names no SKU
		{SKU: "B", Price: money("5")},
		{SKU: "D", Price: money("6")},
	}), 7, 1, 2, 3, 4, 6)
	var said []string
	for _, r := range refusals {
		said = append(said, fmt.Sprint(r.Row, " ", r.Message))
	}
	if want := []string{
		"1 Invalid attribute SKU = D.", "2 Invalid attribute Price = -3.", "3 Requested store is not found. Row ID: SKU = B, Store ID: 9.",
		"4 Invalid attribute SKU = C.", "4 Invalid attribute Price = -3.", "6 Invalid attribute SKU = D.",
	}; !slices.Equal(said, want) {
		t.Errorf("got %q, want %q", said, want)
	}
	if got := ok(prices.BasePrices(ctx, "A", "B"))(t); !got[0].Price.Equal(money("1")) || !got[1].Price.Equal(money("5")) {
		t.Errorf("got %+v", got)
	}
}

func TestPrices_InSeveralCalls(t *testing.T) {
	shop, client := catalog(t, fakemagento.Options{ItemLimit: 20}, magentoapi.Options{MaxItems: 20})
	ctx := t.Context()
	var all []magentoapi.BasePrice
	var skus []string
	for i := range 45 {
		sku := fmt.Sprintf("P%02d", i)
		skus = append(skus, sku)
		all = append(all, magentoapi.BasePrice{SKU: sku, Price: money("7")})
		if i != 3 && i != 44 {
			shop.AddProduct(fakemagento.Product{SKU: sku})
		}
	}
	rows(t, client.Prices.UpdateBasePrices(ctx, all), 45, 3, 44)
	if got := ok(client.Prices.BasePrices(ctx, skus...))(t); len(got) != 43 || !got[42].Price.Equal(money("7")) {
		t.Errorf("got %d prices", len(got))
	}
	if calls := shop.Requests()["POST /V1/products/base-prices"]; calls != 3 {
		t.Errorf("%d calls", calls)
	}
	_, unbound := catalog(t, fakemagento.Options{ItemLimit: 20}, magentoapi.Options{})
	refused(t, unbound.Prices.UpdateBasePrices(ctx, all), magentoapi.ErrBadRequest, `Maximum items of type "\Magento\Catalog\Api\Data\BasePriceInterface" is 20`)
}

func TestSpecialPrices_SetAndRead(t *testing.T) {
	shop, client := catalog(t, fakemagento.Options{}, magentoapi.Options{})
	ctx, prices := t.Context(), client.Prices
	shop.AddProduct(fakemagento.Product{SKU: "A"})
	shop.AddProduct(fakemagento.Product{SKU: "B"})
	berlin := time.FixedZone("Berlin", 3600)
	from, to := time.Date(2026, 11, 27, 0, 0, 0, 0, berlin), time.Date(2026, 11, 30, 23, 59, 59, 0, berlin)
	done(t, prices.UpdateSpecialPrices(ctx, []magentoapi.SpecialPrice{
		{SKU: "A", Price: money("9.95"), From: from, To: to}, {SKU: "B", Price: money("8")},
	}))
	got := ok(prices.SpecialPrices(ctx, "A", "B"))(t)
	want := []magentoapi.SpecialPrice{
		{SKU: "A", Price: money("9.95"), From: time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC), To: time.Date(2026, 11, 30, 23, 59, 59, 0, time.UTC)},
		{SKU: "B", Price: money("8")},
	}
	if !slices.EqualFunc(got, want, func(a, b magentoapi.SpecialPrice) bool {
		return a.SKU == b.SKU && a.StoreID == b.StoreID && a.Price.Equal(b.Price) && a.From.Equal(b.From) && a.To.Equal(b.To)
	}) {
		t.Errorf("got %+v", got)
	}
	if text, _ := ok(client.Products.Get(ctx, "A"))(t).CustomAttributes.Text("special_price"); text != "9.950000" {
		t.Errorf("as an attribute %q", text)
	}
	rows(t, prices.UpdateSpecialPrices(ctx, []magentoapi.SpecialPrice{
		{SKU: "A", Price: money("1"), StoreID: 1},
		{SKU: "A", Price: money("2")},
		{SKU: "D", Price: money("3"), From: from},
		{SKU: "D", Price: money("3"), From: to},
		{SKU: "B", Price: money("-4"), StoreID: 9},
	}), 5, 0, 2, 3, 4)
	done(t, prices.DeleteSpecialPrices(ctx, ok(prices.SpecialPrices(ctx, "A"))(t)))
	if got := ok(prices.SpecialPrices(ctx, "A", "B"))(t); len(got) != 1 || got[0].SKU != "B" {
		t.Errorf("got %+v", got)
	}
}

func TestCosts_SetAndRead(t *testing.T) {
	shop, client := catalog(t, fakemagento.Options{}, magentoapi.Options{})
	ctx, prices := t.Context(), client.Prices
	shop.AddProduct(fakemagento.Product{SKU: "A"})
	shop.AddProduct(fakemagento.Product{SKU: "B"})
	done(t, prices.UpdateCosts(ctx, []magentoapi.Cost{{SKU: "A", Cost: money("3.1")}, {SKU: "B", Cost: money("0")}}))
	rows(t, prices.UpdateCosts(ctx, []magentoapi.Cost{{SKU: "A", Cost: money("-3.1")}, {SKU: "X", Cost: money("1")}, {SKU: "B", Cost: money("2")}}), 3, 0, 1)
	got := ok(prices.Costs(ctx, "A", "B"))(t)
	if len(got) != 2 || !got[0].Cost.Equal(money("3.1")) || !got[1].Cost.Equal(money("2")) {
		t.Errorf("got %+v", got)
	}
	done(t, prices.DeleteCosts(ctx, "A", "unknown"))
	if got := ok(prices.Costs(ctx, "A", "B"))(t); len(got) != 1 || got[0].SKU != "B" {
		t.Errorf("got %+v", got)
	}
}

func TestTierPrices_SetAndRead(t *testing.T) {
	shop, client := catalog(t, fakemagento.Options{}, magentoapi.Options{})
	ctx, prices := t.Context(), client.Prices
	shop.AddProduct(fakemagento.Product{SKU: "A", Price: money("40")})
	shop.AddProduct(fakemagento.Product{SKU: "B"})
	tier := func(sku, price string, of magentoapi.PriceType, group, quantity string) magentoapi.TierPrice {
		return magentoapi.TierPrice{SKU: sku, Price: money(price), Type: of, Group: group, Quantity: money(quantity)}
	}
	first := []magentoapi.TierPrice{
		tier("A", "30", magentoapi.FixedPrice, magentoapi.AllGroups, "10"), tier("A", "25", magentoapi.DiscountPrice, "Wholesale", "100"),
		tier("B", "5", magentoapi.FixedPrice, "NOT LOGGED IN", "2.5"),
	}
	done(t, prices.UpdateTierPrices(ctx, first))
	if got := ok(prices.TierPrices(ctx, "A", "B"))(t); !reflect.DeepEqual(got, first) {
		t.Errorf("got %+v", got)
	}
	shown := ok(client.Products.Get(ctx, "A"))(t).TierPrices
	if len(shown) != 2 || *shown[0].CustomerGroupID != 32000 || !shown[1].Value.Decimal.Equal(money("30")) {
		t.Errorf("in the product %+v", shown)
	}
	ok(client.Products.Update(ctx, ok(client.Products.Get(ctx, "A"))(t)))(t) // a save of all keeps them
	if got := ok(prices.TierPrices(ctx, "A"))(t); !reflect.DeepEqual(got, first[:2]) {
		t.Errorf("after a save %+v", got)
	}
	refusals := rows(t, prices.UpdateTierPrices(ctx, []magentoapi.TierPrice{
		tier("A", "31", magentoapi.FixedPrice, "all groups", "10"),
		tier("A", "101", magentoapi.DiscountPrice, "General", "5"),
		tier("A", "1", magentoapi.FixedPrice, "General", "7"),
		tier("A", "2", magentoapi.FixedPrice, "general", "7.00"), // the same place as the row before
		tier("A", "1", magentoapi.FixedPrice, "Nobody", "0.5"),
		tier("X", "1", "nonsense", "General", "5"),
	}), 6, 1, 2, 3, 4, 5)
	if len(refusals) != 7 {
		t.Errorf("got %+v", refusals)
	}
	// Of B, all rows are refused: it keeps what it has. Of A, all is replaced.
	rows(t, prices.ReplaceTierPrices(ctx, []magentoapi.TierPrice{
		tier("A", "29", magentoapi.FixedPrice, "Retailer", "3"), tier("B", "-1", magentoapi.FixedPrice, "Retailer", "3"),
	}), 2, 1)
	got := ok(prices.TierPrices(ctx, "A", "B"))(t)
	if len(got) != 2 || got[0].Group != "Retailer" || got[1].SKU != "B" || got[1].Group != "NOT LOGGED IN" {
		t.Errorf("got %+v", got)
	}
	done(t, prices.DeleteTierPrices(ctx, got[1:]))
	if got := ok(prices.TierPrices(ctx, "B"))(t); len(got) != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestTierPrices_ReplacedInOneCall(t *testing.T) {
	shop, client := catalog(t, fakemagento.Options{}, magentoapi.Options{MaxItems: 3})
	ctx := t.Context()
	var all []magentoapi.TierPrice
	for sku, n := range []int{2, 2, 5, 1} {
		name := fmt.Sprint("P", sku)
		shop.AddProduct(fakemagento.Product{SKU: name})
		for i := range n {
			all = append(all, magentoapi.TierPrice{
				SKU: name, Price: money("1"), Type: magentoapi.FixedPrice, Group: magentoapi.AllGroups, Quantity: money(fmt.Sprint(i + 1)),
			})
		}
	}
	done(t, client.Prices.ReplaceTierPrices(ctx, all))
	if got := ok(client.Prices.TierPrices(ctx, "P0", "P1", "P2", "P3"))(t); !reflect.DeepEqual(got, all) {
		t.Errorf("got %+v", got)
	}
	if calls := shop.Requests()["PUT /V1/products/tier-prices"]; calls != 4 {
		t.Errorf("%d calls", calls)
	}
	if err := client.Prices.ReplaceTierPrices(ctx, append(all, all[0])); err == nil {
		t.Error("rows of one SKU that stand apart were sent")
	}
}
