package magentoapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// table answers searches over ids as Magento does, the last page for all that come after it too. between is called before
// each answer and may change what is there.
func table(t *testing.T, ids []int, between func(n int, ids []int) []int) *server {
	return serve(t, func(w http.ResponseWriter, r seen, n int) {
		if between != nil {
			ids = between(n, ids)
		}
		q := parse(t, r.uri).Query()
		found := slices.Clone(ids)
		slices.Sort(found)
		if q.Get("searchCriteria[sortOrders][0][direction]") == "DESC" {
			slices.Reverse(found)
		}
		for i := range 3 {
			name := "searchCriteria[filter_groups][" + strconv.Itoa(i) + "][filters][0]"
			if q.Get(name+"[condition_type]") == "gt" {
				least, _ := strconv.Atoi(q.Get(name + "[value]"))
				found = slices.DeleteFunc(found, func(id int) bool { return id <= least })
			}
		}
		total := len(found)
		size, _ := strconv.Atoi(q.Get("searchCriteria[pageSize]"))
		page, _ := strconv.Atoi(q.Get("searchCriteria[currentPage]"))
		if total > 0 {
			page = min(page, (total+size-1)/size)
			found = found[(page-1)*size : min(page*size, total)]
		}
		var items []string
		for _, id := range found {
			items = append(items, fmt.Sprintf(`{"entity_id":%d}`, id))
		}
		respond(w, 200, fmt.Sprintf(`{"items":[%s],"total_count":%d}`, strings.Join(items, ","), total))
	})
}

func upTo(n int) []int {
	var ids []int
	for i := 1; i <= n; i++ {
		ids = append(ids, i)
	}
	return ids
}

func collect(t *testing.T, c *Client, criteria SearchCriteria) []int {
	t.Helper()
	var got []int
	for o, err := range c.Orders.All(t.Context(), criteria) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, int(o.EntityID))
	}
	return got
}

func TestAllGivesEachOnceAndEnds(t *testing.T) {
	for _, c := range []struct{ rows, size, requests int }{{0, 3, 1}, {2, 3, 1}, {3, 3, 1}, {4, 3, 2}, {7, 3, 3}, {5, 1, 5}} {
		for name, sorted := range map[string]bool{"by id": false, "sorted": true} {
			s := table(t, upTo(c.rows), nil)
			criteria := SearchCriteria{PageSize: c.size, Page: 7}
			if sorted {
				criteria = criteria.SortBy("created_at", Ascending)
			}
			if got := collect(t, s.client(t, Options{}), criteria); !slices.Equal(got, upTo(c.rows)) {
				t.Errorf("%s, %+v: got %v", name, c, got)
			}
			if n := len(s.requests("")); n != c.requests {
				t.Errorf("%s, %+v: %d requests", name, c, n)
			}
		}
	}
}

func TestAllStaysRightWhileRowsComeAndGo(t *testing.T) {
	s := table(t, upTo(9), func(n int, ids []int) []int {
		switch n {
		case 2:
			return slices.DeleteFunc(ids, func(id int) bool { return id <= 2 }) // numbered pages would pass over 4 and 5
		case 3:
			return append(ids, 10, 11)
		}
		return ids
	})
	if got := collect(t, s.client(t, Options{}), SearchCriteria{PageSize: 3}); !slices.Equal(got, upTo(11)) {
		t.Errorf("got %v", got)
	}
}

func TestAllKeepsTheCallersFilters(t *testing.T) {
	s := table(t, upTo(5), nil)
	criteria := SearchCriteria{PageSize: 2}.Where(Eq("state", "new"))
	collect(t, s.client(t, Options{}), criteria)
	for i, r := range s.requests("") {
		q := parse(t, r.uri).Query()
		if q.Get("searchCriteria[filter_groups][0][filters][0][field]") != "state" || len(criteria.Groups) != 1 {
			t.Errorf("request %d: %s", i, r.uri)
		}
		if q.Has("searchCriteria[filter_groups][2][filters][0][field]") {
			t.Errorf("request %d has the filters of the pages before: %s", i, r.uri)
		}
	}
}

func TestAllWithASortOfTheCallersBreaksTies(t *testing.T) {
	s := table(t, upTo(5), nil)
	c := s.client(t, Options{})
	if got := collect(t, c, SearchCriteria{PageSize: 2}.SortBy("entity_id", Descending)); !slices.Equal(got, []int{5, 4, 3, 2, 1}) {
		t.Errorf("got %v", got)
	}
	collect(t, c, SearchCriteria{PageSize: 2}.SortBy("created_at", Descending))
	all := s.requests("")
	first, last := parse(t, all[0].uri).Query(), parse(t, all[len(all)-1].uri).Query()
	if first.Has("searchCriteria[sortOrders][1][field]") || last.Get("searchCriteria[sortOrders][1][field]") != "entity_id" {
		t.Errorf("asked %v and %v", first, last)
	}
}

func TestAllStops(t *testing.T) {
	s := table(t, upTo(9), nil)
	c := s.client(t, Options{})
	for _, err := range c.Orders.All(t.Context(), SearchCriteria{PageSize: 3}) {
		if err != nil {
			t.Fatal(err)
		}
		break
	}
	if n := len(s.requests("")); n != 1 {
		t.Errorf("%d requests for one order", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got []error
	for _, err := range c.Orders.All(ctx, SearchCriteria{PageSize: 3}) {
		cancel()
		got = append(got, err)
	}
	if len(got) != 4 || got[2] != nil || !errors.Is(got[3], context.Canceled) {
		t.Errorf("got %v", got)
	}
}

func TestAllDoesNotRunInCircles(t *testing.T) {
	for name, body := range map[string]string{
		"no id":     `{"items":[{"state":"new"},{"state":"new"}],"total_count":9}`,
		"no filter": `{"items":[{"entity_id":1},{"entity_id":2}],"total_count":9}`,
		"no sort":   `{"items":[{"entity_id":2},{"entity_id":1}],"total_count":9}`,
	} {
		s := serve(t, func(w http.ResponseWriter, _ seen, _ int) { respond(w, 200, body) })
		var last error
		for _, last = range s.client(t, Options{}).Orders.All(t.Context(), SearchCriteria{PageSize: 2, Fields: "items[state],total_count"}) {
		}
		if last == nil || !strings.Contains(last.Error(), "entity_id") || len(s.requests("")) > 2 {
			t.Errorf("%s: %v after %d requests", name, last, len(s.requests("")))
		}
	}
	// A count that is too high, as that of products may be, is no reason to ask for ever.
	s := serve(t, func(w http.ResponseWriter, _ seen, _ int) { respond(w, 200, `{"items":[],"total_count":9}`) })
	for _, criteria := range []SearchCriteria{{PageSize: 2}, SearchCriteria{PageSize: 2}.SortBy("state", Ascending)} {
		if got := collect(t, s.client(t, Options{}), criteria); got != nil {
			t.Errorf("got %v", got)
		}
	}
}

func TestAllTellsOfWrongCriteria(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, seen, int) { t.Error("asked") })
	for _, criteria := range []SearchCriteria{SearchCriteria{}.Where(), SearchCriteria{}.SortBy("", Ascending)} {
		var got []error
		for o, err := range s.client(t, Options{}).Orders.All(t.Context(), criteria) {
			got = append(got, err)
			if o != nil {
				t.Errorf("got %v", o)
			}
		}
		if len(got) != 1 || got[0] == nil {
			t.Errorf("got %v", got)
		}
	}
}

func TestWalkPages(t *testing.T) {
	rows := []string{"a", "b", "c", "d", "e"}
	var asked []int
	search := func(_ context.Context, c SearchCriteria) (*Page[string], error) {
		asked = append(asked, c.Page)
		from := (c.Page - 1) * c.PageSize
		return &Page[string]{Items: rows[from:min(from+c.PageSize, len(rows))], TotalCount: len(rows), Number: c.Page, Size: c.PageSize}, nil
	}
	var got []string
	for s, err := range walkPages(t.Context(), SearchCriteria{}.OnPage(9, 2), search) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, s)
	}
	if !slices.Equal(asked, []int{1, 2, 3}) || !slices.Equal(got, rows) {
		t.Errorf("asked for pages %v, got %v", asked, got)
	}
}
