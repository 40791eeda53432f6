package magentoapi

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// DefaultPageSize is the number of results on a page where SearchCriteria set none. There is always one: without it
// Magento answers with everything that it has.
const DefaultPageSize = 100

// Condition compares a field with a value.
type Condition string

// The conditions that Magento knows (lib/internal/Magento/Framework/Api/SearchCriteria and
// Framework/DB/Adapter/Pdo/Mysql::prepareSqlCondition). Text is compared by the database's collation: without regard
// to case and to spaces at the end.
const (
	CondEq      Condition = "eq"
	CondNeq     Condition = "neq"
	CondGt      Condition = "gt"
	CondGteq    Condition = "gteq"
	CondLt      Condition = "lt"
	CondLteq    Condition = "lteq"
	CondLike    Condition = "like" // % and _ are wildcards
	CondNlike   Condition = "nlike"
	CondIn      Condition = "in"  // one of a comma-separated list
	CondNin     Condition = "nin" // none of a comma-separated list
	CondFinset  Condition = "finset"
	CondNull    Condition = "null" // the value is ignored
	CondNotnull Condition = "notnull"
	CondFrom    Condition = "from"
	CondTo      Condition = "to"
	CondMoreq   Condition = "moreq" // more or equal
)

var conditions = []Condition{
	CondEq, CondNeq, CondGt, CondGteq, CondLt, CondLteq, CondLike, CondNlike, CondIn, CondNin, CondFinset, CondNull,
	CondNotnull, CondFrom, CondTo, CondMoreq,
}

// A Filter is one comparison. The functions below make the common ones.
type Filter struct {
	Field     string
	Condition Condition // empty is CondEq
	Value     string
}

// Eq is field = value.
func Eq(field, value string) Filter { return Filter{field, CondEq, value} }

// Gt is field > value.
func Gt(field, value string) Filter { return Filter{field, CondGt, value} }

// Gteq is field >= value.
func Gteq(field, value string) Filter { return Filter{field, CondGteq, value} }

// Lt is field < value.
func Lt(field, value string) Filter { return Filter{field, CondLt, value} }

// Lteq is field <= value.
func Lteq(field, value string) Filter { return Filter{field, CondLteq, value} }

// In is field IN (values). Magento splits the list at commas: no value may hold one.
func In(field string, values ...string) Filter {
	return Filter{field, CondIn, strings.Join(values, ",")}
}

// DateTime writes an instant as Magento's filters want it: in UTC, without a zone, to the second.
func DateTime(t time.Time) string { return t.UTC().Format(time.DateTime) }

// Direction is how a search is sorted.
type Direction string

// The directions.
const (
	Ascending  Direction = "ASC"
	Descending Direction = "DESC"
)

// A SortOrder sorts by one field.
type SortOrder struct {
	Field     string
	Direction Direction // empty is Ascending
}

// SearchCriteria select what a search answers. The zero value selects everything, a page at a time. The methods give a
// changed copy, so that calls can be chained:
//
//	magentoapi.SearchCriteria{}.Where(magentoapi.Eq("state", "processing")).SortBy("entity_id", magentoapi.Ascending)
type SearchCriteria struct {
	// Groups of filters: a result passes at least one filter of each group.
	Groups [][]Filter
	Sort   []SortOrder
	// PageSize is the number of results on a page, 0 for DefaultPageSize. Magento's input limits may allow 300 at most.
	PageSize int
	// Page counts from 1; 0 is 1. Magento repeats the last page for all that come after it: see Page.More.
	Page int
	// Fields thins the answer out, as in "items[entity_id,status],total_count"; empty answers everything.
	Fields string
}

// Where adds a group: a result must pass one of these filters, and one of each other group.
func (s SearchCriteria) Where(anyOf ...Filter) SearchCriteria {
	s.Groups = append(slices.Clone(s.Groups), slices.Clone(anyOf))
	return s
}

// SortBy adds a field to sort by, after those that are there.
func (s SearchCriteria) SortBy(field string, d Direction) SearchCriteria {
	s.Sort = append(slices.Clone(s.Sort), SortOrder{field, d})
	return s
}

// OnPage sets the page, which counts from 1, and its size.
func (s SearchCriteria) OnPage(page, size int) SearchCriteria {
	s.Page, s.PageSize = page, size
	return s
}

// Values gives the criteria as a query. Equal criteria give equal queries.
func (s SearchCriteria) Values() (url.Values, error) {
	q := url.Values{}
	groups := indexes(len(s.Groups))
	for i, group := range s.Groups {
		if len(group) == 0 {
			return nil, errors.New("magento: search: a group without filters")
		}
		filters := indexes(len(group))
		for j, f := range group {
			if f.Condition == "" {
				f.Condition = CondEq
			}
			switch {
			case f.Field == "":
				return nil, errors.New("magento: search: a filter without a field")
			case !slices.Contains(conditions, f.Condition):
				return nil, fmt.Errorf("magento: search: the filter on %s has an unknown condition %q", f.Field, f.Condition)
			case (f.Condition == CondIn || f.Condition == CondNin) && slices.Contains(strings.Split(f.Value, ","), ""):
				return nil, fmt.Errorf("magento: search: the list of the filter on %s is empty or has an empty value", f.Field)
			case (f.Condition == CondNull || f.Condition == CondNotnull) && f.Value == "":
				f.Value = "1" // Magento ignores it, but some versions leave a filter without a value out
			}
			name := "searchCriteria[filter_groups][" + groups(i) + "][filters][" + filters(j) + "]"
			q.Set(name+"[field]", f.Field)
			q.Set(name+"[value]", f.Value)
			q.Set(name+"[condition_type]", string(f.Condition))
		}
	}
	sorts := indexes(len(s.Sort))
	for i, o := range s.Sort {
		if o.Direction == "" {
			o.Direction = Ascending
		}
		if o.Field == "" || o.Direction != Ascending && o.Direction != Descending {
			return nil, fmt.Errorf("magento: search: can't sort by %q in direction %q", o.Field, o.Direction)
		}
		name := "searchCriteria[sortOrders][" + sorts(i) + "]"
		q.Set(name+"[field]", o.Field)
		q.Set(name+"[direction]", string(o.Direction))
	}
	page, size := s.paging()
	if page < 1 || size < 1 {
		return nil, fmt.Errorf("magento: search: page %d of size %d: both must be above 0", s.Page, s.PageSize)
	}
	q.Set("searchCriteria[pageSize]", strconv.Itoa(size))
	q.Set("searchCriteria[currentPage]", strconv.Itoa(page))
	if s.Fields != "" {
		fields, err := fieldsFilter([]string{s.Fields})
		if err != nil {
			return nil, fmt.Errorf("magento: search: %w", err)
		}
		q.Set("fields", fields)
	}
	return q, nil
}

func (s SearchCriteria) paging() (page, size int) {
	page, size = s.Page, s.PageSize
	if page == 0 {
		page = 1
	}
	if size == 0 {
		size = DefaultPageSize
	}
	return page, size
}

// indexes gives n ascending array indexes that all have as many digits: from 0 if ten are enough, else from 10, from
// 100, … To Magento they are just keys. Were they of different lengths, the order of bytes (RFC 5849) and that of
// PHP's strnatcmp, by which Magento checks, would differ, and an OAuth signature over them would be refused.
func indexes(n int) func(int) string {
	first := 0
	for most := 10; n > most-first; most *= 10 {
		first = most
	}
	return func(i int) string { return strconv.Itoa(first + i) }
}

// A Page is one page of what a search found.
type Page[T any] struct {
	Items []T
	// TotalCount is how many there are on all pages, at the time of this answer.
	TotalCount int
	// Number and Size are those asked for.
	Number, Size int

	odd []OddField
}

// More reports whether there are pages after this one. It must be asked: behind the last page Magento answers with the
// last page again, for ever (magento2 issues 3787 and 8099).
func (p *Page[T]) More() bool { return p.Number*p.Size < p.TotalCount }

// decodePage reads {"items": […], "total_count": n}. The items must be there, unless the caller thinned the answer out:
// an answer that merely isn't an error must not look like a search that found nothing. The count may be left out, as
// some modules and proxies do, by a page that is not full: then there is no other. Nobody may write to body from then on.
func decodePage[T any](body []byte, s SearchCriteria) (*Page[T], error) {
	answer := newReading(body)
	answer.owned = true
	if answer.kind() != '{' {
		value := answer.value()
		if answer.end(); answer.err != nil {
			return nil, answer.err
		}
		form, _ := formOf(value)
		return nil, OddField{Form: form, Want: "an object"}
	}
	p := &Page[T]{}
	p.Number, p.Size = s.paging()
	var (
		items bool
		total []byte
		wrong error // with the items
	)
	for answer.token(); answer.more('}'); {
		switch answer.string(answer.value()) {
		case "items":
			items = true
			p.odd, wrong = answer.next(reflect.ValueOf(&p.Items).Elem())
		case "total_count":
			total = slices.Clone(answer.value())
		default:
			answer.value()
		}
	}
	switch answer.end(); {
	case answer.err != nil:
		return nil, answer.err
	case !items && s.Fields == "":
		return nil, errors.New("no list of items")
	case wrong != nil:
		return nil, describeJSON(wrong)
	}
	for i := range p.odd {
		p.odd[i].under("items")
	}
	count, err := strconv.Atoi(string(bytes.Trim(total, `"`)))
	switch {
	case total == nil && (s.Fields != "" || p.Items != nil && len(p.Items) < p.Size):
		count = (p.Number-1)*p.Size + len(p.Items)
	case err != nil || count < 0:
		return nil, errors.New("no total_count")
	}
	p.TotalCount = count
	return p, nil
}
