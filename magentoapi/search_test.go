package magentoapi

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestCriteriaAsAQuery(t *testing.T) {
	const group = "searchCriteria[filter_groups]"
	for name, c := range map[string]struct {
		criteria SearchCriteria
		want     url.Values
	}{
		"nothing": {SearchCriteria{}, url.Values{
			"searchCriteria[pageSize]": {"100"}, "searchCriteria[currentPage]": {"1"},
		}},
		"everything": {
			SearchCriteria{Fields: "items[entity_id],total_count"}.
				Where(Eq("state", "processing"), Filter{Field: "state", Value: "complete"}).
				Where(Gteq("created_at", DateTime(time.Date(2026, 11, 23, 10, 0, 0, 0, time.FixedZone("", 3600))))).
				Where(In("entity_id", "1", "2"), Filter{Field: "x", Condition: CondNull}).
				SortBy("created_at", Descending).SortBy("entity_id", "").OnPage(3, 50),
			url.Values{
				group + "[0][filters][0][field]": {"state"}, group + "[0][filters][0][value]": {"processing"},
				group + "[0][filters][0][condition_type]": {"eq"},
				group + "[0][filters][1][field]":          {"state"}, group + "[0][filters][1][value]": {"complete"},
				group + "[0][filters][1][condition_type]": {"eq"},
				group + "[1][filters][0][field]":          {"created_at"}, group + "[1][filters][0][value]": {"2026-11-23 09:00:00"},
				group + "[1][filters][0][condition_type]": {"gteq"},
				group + "[2][filters][0][field]":          {"entity_id"}, group + "[2][filters][0][value]": {"1,2"},
				group + "[2][filters][0][condition_type]": {"in"},
				group + "[2][filters][1][field]":          {"x"}, group + "[2][filters][1][value]": {"1"},
				group + "[2][filters][1][condition_type]":  {"null"},
				"searchCriteria[sortOrders][0][field]":     {"created_at"},
				"searchCriteria[sortOrders][0][direction]": {"DESC"}, "searchCriteria[sortOrders][1][field]": {"entity_id"},
				"searchCriteria[sortOrders][1][direction]": {"ASC"}, "searchCriteria[pageSize]": {"50"},
				"searchCriteria[currentPage]": {"3"}, "fields": {"items[entity_id],total_count"},
			},
		},
	} {
		got, err := c.criteria.Values()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if encodeQuery(got) != encodeQuery(c.want) {
			t.Errorf("%s: got  %q\nwant %q", name, got, c.want)
		}
	}
}

func TestCriteriaThatMeanNothing(t *testing.T) {
	for name, c := range map[string]SearchCriteria{
		"empty group":        SearchCriteria{}.Where(),
		"no field":           SearchCriteria{}.Where(Eq("", "1")),
		"unknown condition":  SearchCriteria{}.Where(Filter{"a", "is", "1"}),
		"empty list":         SearchCriteria{}.Where(In("a")),
		"empty value":        SearchCriteria{}.Where(In("a", "1", "", "2")),
		"negative page":      SearchCriteria{}.OnPage(-1, 10),
		"negative page size": SearchCriteria{}.OnPage(1, -10),
		"sorted by nothing":  SearchCriteria{}.SortBy("", Ascending),
		"sorted nowhere":     SearchCriteria{}.SortBy("a", "UP"),
	} {
		if q, err := c.Values(); err == nil {
			t.Errorf("%s: made %q", name, q)
		}
	}
}

func TestCriteriaAreCopied(t *testing.T) {
	base := SearchCriteria{}.Where(Eq("a", "1")).SortBy("a", Ascending)
	one, two := base.Where(Eq("b", "1")), base.Where(Eq("c", "1"))
	if one.Groups[1][0].Field != "b" || two.Groups[1][0].Field != "c" || len(base.Groups) != 1 {
		t.Errorf("got %v, %v, %v", base, one, two)
	}
}

// PHP's strnatcmp, for names without spaces: runs of digits compare as numbers, or as fractions if one begins with 0.
func naturalCompare(a, b string) int {
	digits := func(s string) string { return s[:len(s)-len(strings.TrimLeft(s, "0123456789"))] }
	for a != "" && b != "" {
		x, y := digits(a), digits(b)
		if x != "" && y != "" {
			c := strings.Compare(x, y)
			if x[0] != '0' && y[0] != '0' && len(x) != len(y) {
				c = len(x) - len(y)
			}
			if c != 0 {
				return c
			}
			a, b = a[len(x):], b[len(y):]
			continue
		}
		if a[0] != b[0] {
			return int(a[0]) - int(b[0])
		}
		a, b = a[1:], b[1:]
	}
	return len(a) - len(b)
}

// Magento sorts the parameters of a signature in another order than RFC 5849.
func TestManyFiltersSortAlikeForMagentoAndTheRFC(t *testing.T) {
	if naturalCompare("a[2]", "a[10]") >= 0 || naturalCompare("a[0]", "a[10]") >= 0 || naturalCompare("b", "a") <= 0 {
		t.Fatal("this is not the order of strnatcmp")
	}
	for _, n := range []int{1, 2, 9, 10, 11, 90, 91, 200, 1000} {
		c := SearchCriteria{}
		for i := range n {
			c = c.Where(Eq("a", fmt.Sprint(i)))
		}
		var wide []Filter
		for i := range n {
			wide = append(wide, Eq("b", fmt.Sprint(i)))
		}
		for _, c := range []SearchCriteria{c, SearchCriteria{}.Where(wide...)} {
			q, err := c.Values()
			if err != nil {
				t.Fatal(err)
			}
			if len(q) != 3*n+2 {
				t.Fatalf("%d filters make %d parameters", n, len(q))
			}
			var names []string
			for name := range q {
				names = append(names, percentEncode(name))
			}
			slices.Sort(names)
			if !slices.IsSortedFunc(names, naturalCompare) {
				t.Errorf("%d filters: the orders differ", n)
			}
		}
	}
}

func TestMorePages(t *testing.T) {
	for _, c := range []struct {
		total, number, size int
		want                bool
	}{{0, 1, 10, false}, {10, 1, 10, false}, {11, 1, 10, true}, {11, 2, 10, false}, {11, 3, 10, false}} {
		if got := (&Page[int]{TotalCount: c.total, Number: c.number, Size: c.size}).More(); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestPages(t *testing.T) {
	for body, want := range map[string]int{
		`{"items":[{"entity_id":1},{"entity_id":"2"}],"search_criteria":{},"total_count":12}`: 2,
		`{"items":[],"total_count":"0"}`: 0, `{"items":null,"total_count":0}`: 0, `{"items":[]}`: 0, `{"items":[{"entity_id":1}]}`: 1,
	} {
		if p, err := decodePage[*Order]([]byte(body), SearchCriteria{}); err != nil || len(p.Items) != want {
			t.Errorf("%s: %v", body, err)
		}
	}
	for _, body := range []string{
		`[]`, `{}`, `{"items":null}`, `{"items":[` + strings.Repeat(`{},`, DefaultPageSize-1) + `{}]}`, `{"total_count":0}`, `{"items":{},"total_count":0}`, `{"items":[1],"total_count":1}`,
		`{"items":[],"total_count":-1}`, `{"items":[],"total_count":"many"}`, `null`, ``,
	} {
		if p, err := decodePage[*Order]([]byte(body), SearchCriteria{}); err == nil {
			t.Errorf("%s is a page: %+v", body, p)
		}
	}
	p, err := decodePage[*Order]([]byte(`{"items":[{"entity_id":1}]}`), SearchCriteria{Fields: "items[entity_id]"})
	if err != nil || p.TotalCount != 1 {
		t.Errorf("a thin page: %+v, %v", p, err)
	}
}

func FuzzDecodePage(f *testing.F) {
	for _, seed := range []string{
		`{"items":[{"entity_id":1,"grand_total":29.99,"items":[{"sku":"a","parent_item":{"item_id":1}}]}],"total_count":12}`,
		`{"items":null,"total_count":"0"}`, `{"items":[null],"total_count":1e3}`, `[]`, `{"items":[{"created_at":"x"}]}`,
		`{"items":[{"extension_attributes":[]}],"total_count":1}`, "",
	} {
		f.Add([]byte(seed), "")
	}
	f.Fuzz(func(t *testing.T, body []byte, fields string) {
		p, err := decodePage[*Order](body, SearchCriteria{Fields: fields})
		if err != nil {
			return
		}
		if !json.Valid(body) {
			t.Errorf("read %q", body)
		}
		if p.TotalCount < 0 || p.Number != 1 || p.Size != DefaultPageSize {
			t.Errorf("got %+v", p)
		}
	})
}
