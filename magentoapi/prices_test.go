package magentoapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
)

func TestPricesAreSentAsLiterals(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ seen, _ int) { respond(w, 200, `[]`) })
	c := s.client(t, Options{})
	d := decimal.RequireFromString
	from := time.Date(2026, 11, 27, 0, 0, 0, 0, time.FixedZone("", -7*3600))
	for _, err := range []error{
		c.Prices.UpdateBasePrices(t.Context(), []BasePrice{{SKU: "A", Price: d("0.10"), StoreID: 2}, {SKU: "B", Price: d("0")}}),
		c.Prices.UpdateSpecialPrices(t.Context(), []SpecialPrice{{SKU: "A", Price: d("9007199254740993.01"), From: from}}),
		c.Prices.DeleteSpecialPrices(t.Context(), []SpecialPrice{{SKU: "A", Price: d("1")}}),
		c.Prices.UpdateCosts(t.Context(), []Cost{{SKU: "A", Cost: d("1.2345")}}),
		c.Prices.ReplaceTierPrices(t.Context(), []TierPrice{{SKU: "A", Price: d("5"), Type: DiscountPrice, Group: AllGroups, Quantity: d("2.5")}}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var sent []string
	for _, r := range s.requests("") {
		sent = append(sent, r.method+" "+strings.TrimPrefix(r.uri, "/rest/all/V1/products/")+" "+r.body)
	}
	if want := []string{
		`POST base-prices {"prices":[{"sku":"A","store_id":2,"price":0.1},{"sku":"B","store_id":0,"price":0}]}`,
		`POST special-price {"prices":[{"sku":"A","store_id":0,"price":9007199254740993.01,"price_from":"2026-11-27 00:00:00"}]}`,
		`POST special-price-delete {"prices":[{"sku":"A","store_id":0,"price":1}]}`,
		`POST cost {"prices":[{"sku":"A","store_id":0,"cost":1.2345}]}`,
		`PUT tier-prices {"prices":[{"sku":"A","price":5,"price_type":"discount","website_id":0,"customer_group":"ALL GROUPS","quantity":2.5}]}`,
	}; !slices.Equal(sent, want) {
		t.Errorf("sent\n%s\nwant\n%s", strings.Join(sent, "\n"), strings.Join(want, "\n"))
	}
}

func TestPricesAreReadInAnyForm(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ seen, _ int) {
		respond(w, 200, `[{"sku":123,"store_id":"1","price":"29.990000","price_from":null,"extension_attributes":[]},{"sku":"A","price":29.989999999999998,"price_to":"2026-11-30 23:59:59"}]`)
	})
	got, err := s.client(t, Options{}).Prices.SpecialPrices(t.Context(), "123", "A")
	if err != nil || len(got) != 2 || got[0].SKU != "123" || got[0].StoreID != 1 || !got[1].Price.Equal(decimal.RequireFromString("29.99")) ||
		!got[1].To.Equal(time.Date(2026, 11, 30, 23, 59, 59, 0, time.UTC)) || !got[0].From.IsZero() {
		t.Errorf("got %+v, %v", got, err)
	}
}

// Which row a refusal is of, where more than one could be.
func TestPlaceOfARefusal(t *testing.T) {
	d := decimal.RequireFromString
	refusal := func(parameters ...string) string {
		b, _ := json.Marshal(map[string]any{"message": "%1 …", "parameters": parameters})
		return string(b)
	}
	for name, c := range map[string]struct {
		rows    []BasePrice
		refused []string
		want    []int
	}{
		"none fits": {[]BasePrice{{SKU: "A", Price: d("1")}}, []string{refusal("SKU", "B"), refusal("strange"), refusal()}, []int{-1, -1, -1}},
		"the same row twice in the list": {
			[]BasePrice{{SKU: "A"}, {SKU: "B"}, {SKU: "A"}}, []string{refusal("SKU", "A"), refusal("SKU", "A")}, []int{0, 2},
		},
		"a reason without a SKU is of the row at hand": {
			[]BasePrice{{SKU: "A", Price: d("-1")}, {SKU: "X", Price: d("-1.0")}, {SKU: "B", Price: d("-1")}},
			[]string{refusal("Price", "-1"), refusal("SKU", "X"), refusal("Price", "-1"), refusal("Price", "-1")},
			[]int{0, 1, 1, 2},
		},
		"another order than the rows'": {
			[]BasePrice{{SKU: "A"}, {SKU: "B"}}, []string{refusal("SKU", "B"), refusal("SKU", "A")}, []int{1, 0},
		},
		"the same of one row twice": {[]BasePrice{{SKU: "A"}}, []string{refusal("SKU", "A"), refusal("SKU", "A")}, []int{0, 0}},
		"the store view": {
			[]BasePrice{{SKU: "A", StoreID: 1}, {SKU: "A", StoreID: 9}}, []string{refusal("A", "9")}, []int{1},
		},
		"a SKU that looks like another's number": {[]BasePrice{{SKU: "10"}, {SKU: "010"}}, []string{refusal("SKU", "010")}, []int{1}},
		"named parameters": {
			[]BasePrice{{SKU: "A"}, {SKU: "B"}}, []string{`{"message":"Invalid attribute %fieldName = %fieldValue.","parameters":{"fieldName":"SKU","fieldValue":"B"}}`}, []int{1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, _ seen, _ int) { respond(w, 200, "["+strings.Join(c.refused, ",")+"]") })
			var e *PriceError
			if err := s.client(t, Options{}).Prices.UpdateBasePrices(t.Context(), c.rows); !errors.As(err, &e) {
				t.Fatalf("got %v", err)
			}
			var got []int
			for _, r := range e.Refused {
				got = append(got, r.Row)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
			for row := range c.rows {
				if slices.Contains(got, row) && e.Saved(row) {
					t.Errorf("row %d is refused and told to be saved", row)
				}
			}
			if unplaced := slices.Contains(c.want, -1); e.Saved(0) && (unplaced || slices.Contains(c.want, 0)) {
				t.Error("row 0 is told to be saved")
			}
		})
	}
}

// Of two rows that hold the same as far as Magento tells, and of which one is refused, neither is told to be saved; nor is
// a tier price that is refused for the sake of one in another website.
func TestARowInDoubtIsNotToldToBeSaved(t *testing.T) {
	d := decimal.RequireFromString
	const of = "Row ID: SKU = %SKU, Website ID: %websiteId, Customer Group: %customerGroup, Quantity: %qty."
	answer := ""
	s := serve(t, func(w http.ResponseWriter, _ seen, _ int) { respond(w, 200, answer) })
	c := s.client(t, Options{})
	tier := func(website int64, group string) TierPrice {
		return TierPrice{SKU: "A", Price: d("1"), Type: FixedPrice, WebsiteID: website, Group: group, Quantity: d("5")}
	}
	for name, test := range map[string]struct {
		answer string
		err    func() error
		saved  []bool
	}{
		"special prices": {
			`[{"message":"Invalid attribute Price = %price. …","parameters":["-1","A","0","",""]}]`, func() error {
				return c.Prices.UpdateSpecialPrices(t.Context(), []SpecialPrice{{SKU: "A", Price: d("1")}, {SKU: "A", Price: d("-1")}, {SKU: "B"}})
			}, []bool{false, false, true},
		},
		"a tier price of another website": {
			`[{"message":"We found a duplicate … ` + of + `","parameters":["A","0","general","5.0000"]}]`, func() error {
				return c.Prices.UpdateTierPrices(t.Context(), []TierPrice{tier(1, "Retailer"), tier(2, "General")})
			}, []bool{true, false},
		},
		"a tier price of this website": {
			`[{"message":"Invalid attribute Website ID = %websiteId. ` + of + `","parameters":["A","2","General","5"]}]`, func() error {
				return c.Prices.UpdateTierPrices(t.Context(), []TierPrice{tier(1, "General"), tier(2, "General")})
			}, []bool{true, false},
		},
	} {
		t.Run(name, func(t *testing.T) {
			answer = test.answer
			var e *PriceError
			if err := test.err(); !errors.As(err, &e) {
				t.Fatalf("got %v", err)
			}
			for row, want := range test.saved {
				if e.Saved(row) != want {
					t.Errorf("row %d: saved %v", row, !want)
				}
			}
		})
	}
}

// A call that fails after others have succeeded leaves their rows told.
func TestACallThatFailsInTheMiddle(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ seen, n int) {
		switch n {
		case 1:
			respond(w, 200, `[{"message":"Invalid attribute %fieldName = %fieldValue.","parameters":["SKU","P1"]}]`)
		case 2:
			respond(w, 200, `[]`)
		default:
			respond(w, 400, `{"message":"no more"}`)
		}
	})
	var prices []BasePrice
	for i := range 9 {
		prices = append(prices, BasePrice{SKU: fmt.Sprint("P", i)})
	}
	err := s.client(t, Options{MaxItems: 2}).Prices.UpdateBasePrices(t.Context(), prices)
	var e *PriceError
	if !errors.As(err, &e) || !errors.Is(err, ErrBadRequest) || e.Answered != 4 || e.Rows != 9 {
		t.Fatalf("got %v", err)
	}
	var saved []int
	for row := range prices {
		if e.Saved(row) {
			saved = append(saved, row)
		}
	}
	if !slices.Equal(saved, []int{0, 2, 3}) || len(s.requests("")) != 3 {
		t.Errorf("saved %v in %d calls", saved, len(s.requests("")))
	}
	if want := "magento: POST /V1/products/base-prices: 1 of 4 rows refused, the others are saved: row 1: Invalid attribute SKU = P1.; " +
		"of 9 rows those from 4 on were not answered for: magento: POST /V1/products/base-prices: 400: no more"; err.Error() != want {
		t.Errorf("got %s", err)
	}

	none := serve(t, func(w http.ResponseWriter, _ seen, _ int) { respond(w, 400, `{"message":"no"}`) })
	if err := none.client(t, Options{MaxItems: 2}).Prices.UpdateBasePrices(t.Context(), prices); errors.As(err, &e) || !errors.Is(err, ErrBadRequest) {
		t.Errorf("the first call's error: %v", err)
	}
}

func TestAnAnswerThatIsNoListOfRefusals(t *testing.T) {
	for _, body := range []string{`{}`, `null`, ``, `true`, `<html>`, `[1]`, `[{}]`, `[{"message":""}]`, `[{"message":"x"`} {
		s := serve(t, func(w http.ResponseWriter, _ seen, _ int) { respond(w, 200, body) })
		if err := s.client(t, Options{}).Prices.UpdateBasePrices(t.Context(), []BasePrice{{SKU: "A"}}); !errors.Is(err, ErrUnreadable) {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestChunks(t *testing.T) {
	groups := func(s string) func(int) bool { return func(i int) bool { return s[i] == s[i-1] } }
	for _, c := range []struct {
		list string
		of   int
		want string
	}{
		{"", 2, ""},
		{"abc", 0, "abc"},
		{"abcde", 2, "ab cd e"},
		{"aabbc", 2, "aa bb c"},
		{"abbc", 2, "a bb c"},
		{"aaab", 2, "aaa b"},
		{"abbbb", 3, "a bbbb"},
		{"aaaa", 1, "aaaa"},
		{"ab", 5, "ab"},
	} {
		var got []string
		for k := range chunks(len(c.list), c.of, groups(c.list)) {
			got = append(got, c.list[k.from:k.to])
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s in %d: got %q, want %q", c.list, c.of, got, c.want)
		}
	}
}

// A refusal is of a row that is there or of none, and what can't be read is no success.
func FuzzDecodeRefusals(f *testing.F) {
	f.Add([]byte(`[{"message":"Invalid attribute %fieldName = %fieldValue.","parameters":["SKU","A"]}]`))
	f.Add([]byte(`[{"message":"Requested store is not found. Row ID: SKU = A, Store ID: 9.","parameters":{"SKU":"A","storeId":9}}]`))
	f.Add([]byte(`[]`))
	rows := []TierPrice{{SKU: "A", Group: AllGroups, Quantity: decimal.New(1, 0)}, {SKU: "A"}, {}}
	f.Fuzz(func(t *testing.T, body []byte) {
		refused, err := decodeRefusals(body)
		if err != nil {
			return
		}
		doubtful := tierPrices.place(refused, rows)
		for _, r := range refused {
			if r.Message == "" || r.Row < -1 || r.Row >= len(rows) || len(r.Parameters) > maxParameters {
				t.Errorf("%q: %+v", body, r)
			}
			if r.Row >= 0 && !doubtful[r.Row] {
				t.Errorf("%q: row %d is refused and not in doubt", body, r.Row)
			}
		}
		var list []json.RawMessage
		if json.Unmarshal(body, &list) != nil || len(list) != len(refused) {
			t.Errorf("%q: %d refusals", body, len(refused))
		}
		if again, err := decodeRefusals(body); err != nil || len(again) != len(refused) || len(again) > 0 && !reflect.DeepEqual(again[0].Parameters, refused[0].Parameters) {
			t.Errorf("%q: another time %+v, %v", body, again, err)
		}
	})
}
