package fakemagento

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// filter is one condition; filters of a group are alternatives, groups must all hold.
type filter struct {
	Field     string `json:"field"`
	Value     string `json:"value"`
	Condition string `json:"condition_type"`
}

type sortOrder struct{ field, direction string }

type criteria struct {
	groups   [][]filter
	sort     []sortOrder
	pageSize int // 0: everything
	page     int // from 1
}

var (
	filterKey = regexp.MustCompile(`^\[(?:filter_groups|filterGroups)\]\[(\d{1,3})\]\[filters\]\[(\d{1,3})\]\[(field|value|condition_type|conditionType)\]$`)
	sortKey   = regexp.MustCompile(`^\[(?:sortOrders|sort_orders)\]\[(\d{1,3})\]\[(field|direction)\]$`)
	pageKey   = regexp.MustCompile(`^\[(pageSize|page_size|currentPage|current_page)\]$`)
)

// orderColumns are those of sales_order that can be searched and sorted by.
var orderColumns = []string{
	"entity_id", "increment_id", "ext_order_id", "state", "status", "store_id", "customer_id", "customer_email", "customer_group_id",
	"customer_is_guest", "grand_total", "base_grand_total", "total_paid", "total_due", "quote_id", "original_increment_id", "relation_parent_id",
	"relation_child_id", "order_currency_code", "created_at", "updated_at", "is_virtual",
}

var conditions = map[string]func(have any, want string) bool{
	"eq":    func(have any, want string) bool { return have != nil && compare(have, want) == 0 },
	"neq":   func(have any, want string) bool { return have != nil && compare(have, want) != 0 },
	"gt":    func(have any, want string) bool { return have != nil && compare(have, want) > 0 },
	"gteq":  func(have any, want string) bool { return have != nil && compare(have, want) >= 0 },
	"moreq": func(have any, want string) bool { return have != nil && compare(have, want) >= 0 },
	"from":  func(have any, want string) bool { return have != nil && compare(have, want) >= 0 },
	"lt":    func(have any, want string) bool { return have != nil && compare(have, want) < 0 },
	"lteq":  func(have any, want string) bool { return have != nil && compare(have, want) <= 0 },
	"to":    func(have any, want string) bool { return have != nil && compare(have, want) <= 0 },
	"like":  func(have any, want string) bool { return have != nil && like(have, want) },
	"nlike": func(have any, want string) bool { return have != nil && !like(have, want) },
	"in":    func(have any, want string) bool { return have != nil && among(have, want) },
	"nin":   func(have any, want string) bool { return have != nil && !among(have, want) },
	"finset": func(have any, want string) bool {
		return have != nil && slices.Contains(strings.Split(fmt.Sprint(have), ","), want)
	},
	"null":    func(have any, _ string) bool { return have == nil },
	"notnull": func(have any, _ string) bool { return have != nil },
}

// anyOf is a column that equals each of its values.
type anyOf []any

// compare compares as MySQL does: numbers as numbers, text without regard to case.
func compare(have any, want string) int {
	switch have := have.(type) {
	case anyOf:
		if slices.ContainsFunc(have, func(one any) bool { return compare(one, want) == 0 }) {
			return 0
		}
		return 1
	case int, json.Number:
		a, errA := decimal.NewFromString(fmt.Sprint(have))
		b, errB := decimal.NewFromString(want)
		if errA == nil && errB == nil {
			return a.Cmp(b)
		}
	}
	return strings.Compare(strings.ToLower(fmt.Sprint(have)), strings.ToLower(want))
}

func among(have any, list string) bool {
	return slices.ContainsFunc(strings.Split(list, ","), func(want string) bool { return compare(have, want) == 0 })
}

// like matches % with any text and _ with any character.
func like(have any, pattern string) bool {
	var expression strings.Builder
	expression.WriteString("(?is)^")
	for _, c := range pattern {
		switch c {
		case '%':
			expression.WriteString(".*")
		case '_':
			expression.WriteString(".")
		default:
			expression.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	matched, err := regexp.MatchString(expression.String()+"$", fmt.Sprint(have))
	return err == nil && matched
}

// problem is a refusal: Magento's template and its parameters.
type problem struct {
	status     int
	template   string
	parameters any
}

// parseCriteria reads a query; known says which fields can be searched and sorted by.
func parseCriteria(query url.Values, known func(field string) bool) (criteria, *problem) {
	c := criteria{page: 1}
	groups := map[int]map[int]*filter{}
	sorts := map[int]*sortOrder{}
	present := false
	for key, values := range query {
		value := values[len(values)-1]
		rest, ok := strings.CutPrefix(key, "searchCriteria")
		if !ok {
			rest, ok = strings.CutPrefix(key, "search_criteria")
		}
		if !ok {
			continue
		}
		present = true
		if rest == "" {
			continue
		}
		if m := filterKey.FindStringSubmatch(rest); m != nil {
			group, _ := strconv.Atoi(m[1])
			at, _ := strconv.Atoi(m[2])
			if groups[group] == nil {
				groups[group] = map[int]*filter{}
			}
			if groups[group][at] == nil {
				groups[group][at] = &filter{Condition: "eq"}
			}
			f := groups[group][at]
			switch m[3] {
			case "field":
				f.Field = value
			case "value":
				f.Value = value
			default:
				f.Condition = value
			}
			continue
		}
		if m := sortKey.FindStringSubmatch(rest); m != nil {
			at, _ := strconv.Atoi(m[1])
			if sorts[at] == nil {
				sorts[at] = &sortOrder{direction: "DESC"}
			}
			if m[2] == "field" {
				sorts[at].field = value
			} else {
				sorts[at].direction = strings.ToUpper(value)
			}
			continue
		}
		m := pageKey.FindStringSubmatch(rest)
		if m == nil {
			return c, &problem{http.StatusBadRequest, `Property "%1" does not have accessor method in class "Magento\Framework\Api\SearchCriteria".`, []string{rest}}
		}
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 {
			return c, &problem{http.StatusBadRequest, `The "%value" value's type is invalid. The "%type" type was expected. Verify and try again.`, map[string]string{"value": value, "type": "int"}}
		}
		if strings.HasPrefix(strings.ToLower(m[1]), "page") {
			c.pageSize = n
		} else {
			c.page = max(n, 1)
		}
	}
	if !present {
		return c, &problem{http.StatusBadRequest, "%fieldName is a required field.", map[string]string{"fieldName": "searchCriteria"}}
	}
	for _, group := range inOrder(groups) {
		var filters []filter
		for _, f := range inOrder(group) {
			if conditions[f.Condition] == nil || !known(f.Field) {
				return c, &problem{http.StatusInternalServerError, "Internal Error. Details are available in Magento log file. Report ID: webapi-6743a1b2c3d4f", nil}
			}
			filters = append(filters, *f)
		}
		c.groups = append(c.groups, filters)
	}
	for _, s := range inOrder(sorts) {
		if !known(s.field) || s.direction != "ASC" && s.direction != "DESC" {
			return c, &problem{http.StatusInternalServerError, "Internal Error. Details are available in Magento log file. Report ID: webapi-6743a1b2c3d50", nil}
		}
		c.sort = append(c.sort, *s)
	}
	return c, nil
}

func inOrder[V any](m map[int]V) []V {
	keys := make([]int, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	values := make([]V, 0, len(m))
	for _, k := range keys {
		values = append(values, m[k])
	}
	return values
}

func (c criteria) match(document map[string]any) bool {
	for _, group := range c.groups {
		if !slices.ContainsFunc(group, func(f filter) bool { return conditions[f.Condition](document[f.Field], f.Value) }) {
			return false
		}
	}
	return true
}

// show gives the criteria as Magento repeats them in its answer.
func (c criteria) show() map[string]any {
	groups := []any{}
	for _, g := range c.groups {
		groups = append(groups, map[string]any{"filters": g})
	}
	shown := map[string]any{"filter_groups": groups}
	if c.pageSize > 0 {
		shown["page_size"], shown["current_page"] = c.pageSize, c.page
	}
	return shown
}

func (s *Server) searchOrders(w http.ResponseWriter, r *http.Request) {
	c, wrong := parseCriteria(r.URL.Query(), oneOf(orderColumns))
	if wrong != nil {
		wrong.answer(w)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var rows []row
	for _, o := range s.candidates(&c) {
		if !time.Now().Before(o.visibleAt) {
			rows = append(rows, row{o.document, o.show})
		}
	}
	c.answer(w, rows)
}

// oneOf makes what knows the fields of a list.
func oneOf(columns []string) func(field string) bool {
	return func(field string) bool { return slices.Contains(columns, field) }
}

func (p *problem) answer(w http.ResponseWriter) { refuse(w, p.status, p.template, p.parameters) }

// row is one of the things that are searched: what conditions look at, and how the API shows it.
type row struct {
	document map[string]any
	show     func() map[string]any
}

func (c *criteria) answer(w http.ResponseWriter, rows []row) {
	answer(w, http.StatusOK, c.result(rows))
}

// result is the page that is asked for of the rows that match.
func (c *criteria) result(rows []row) any {
	var found []row
	for _, candidate := range rows {
		if c.match(candidate.document) {
			found = append(found, candidate)
		}
	}
	slices.SortStableFunc(found, func(a, b row) int {
		for _, by := range c.sort {
			order := compare(a.document[by.field], fmt.Sprint(b.document[by.field]))
			if by.direction == "DESC" {
				order = -order
			}
			if order != 0 {
				return order
			}
		}
		return 0
	})
	total := len(found)
	if c.pageSize > 0 && total > 0 {
		// A page beyond the last is the last page again.
		size := min(c.pageSize, total)
		page := min(c.page, (total+size-1)/size)
		found = found[(page-1)*size : min(page*size, total)]
	}
	items := []any{}
	for _, f := range found {
		items = append(items, f.show())
	}
	return map[string]any{"items": items, "search_criteria": c.show(), "total_count": total}
}

// candidates are the orders among which those of a search are: all, or those that an index knows, as Magento's has one for
// the increment id. It needs mu.
func (s *Server) candidates(c *criteria) []*order {
	for _, group := range c.groups {
		if len(group) == 1 && group[0].Field == "increment_id" && group[0].Condition == "eq" {
			return s.numbered[strings.ToLower(group[0].Value)]
		}
	}
	return s.orders
}
