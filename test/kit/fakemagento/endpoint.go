package fakemagento

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/shopspring/decimal"
)

// A call is a request as an endpoint sees it.
type call struct {
	*http.Request
	store int            // 0 is all store views
	body  map[string]any // numbers as json.Number
	limit int            // of items in a list, 0 for none
}

// endpoint answers with what f gives. It is called with mu held.
func (s *Server) endpoint(f func(c call) (any, *problem)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if c, ok := s.decode(w, r); ok {
			s.finish(w, c, f)
		}
	}
}

// decode reads a request, or answers that it can't be read.
func (s *Server) decode(w http.ResponseWriter, r *http.Request) (c call, ok bool) {
	c = call{Request: r, limit: s.options.ItemLimit}
	c.store, _ = r.Context().Value(storeKey{}).(int)
	if r.Method == http.MethodPost || r.Method == http.MethodPut {
		d := json.NewDecoder(r.Body)
		d.UseNumber()
		if err := d.Decode(&c.body); err != nil && !errors.Is(err, io.EOF) { // some need no body
			refuse(w, http.StatusBadRequest, "Decoding error.", nil)
			return c, false
		}
	}
	return c, true
}

// finish answers with what f returns; ok is false where that is a refusal.
func (s *Server) finish(w http.ResponseWriter, c call, f func(c call) (any, *problem)) (result any, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	result, wrong := f(c)
	if wrong != nil {
		wrong.answer(w)
		return nil, false
	}
	answer(w, http.StatusOK, result)
	return result, true
}

// object gives the object under a key of the body, which Magento demands.
func (c call) object(key string) (map[string]any, *problem) {
	object, ok := c.body[key].(map[string]any)
	if !ok {
		return nil, required(key)
	}
	return object, nil
}

// rows gives the list of objects under a key of the body.
func (c call) rows(key string) ([]map[string]any, *problem) {
	list, ok := c.body[key].([]any)
	if !ok {
		return nil, required(key)
	}
	if c.limit > 0 && len(list) > c.limit {
		// Only lists of data objects are counted, so those of SKUs are not (Webapi/Validator/EntityArrayValidator.php).
		return nil, invalid(`Maximum items of type "%type" is %max`, map[string]any{"type": dataObject(key, c.URL.Path), "max": c.limit})
	}
	rows := make([]map[string]any, 0, len(list))
	for _, one := range list {
		row, _ := one.(map[string]any)
		rows = append(rows, row)
	}
	return rows, nil
}

// dataObject is the class of the objects in a list.
func dataObject(key, path string) string {
	switch {
	case key == "sourceItems":
		return `\Magento\InventoryApi\Api\Data\SourceItemInterface`
	case strings.Contains(path, "/base-prices"):
		return `\Magento\Catalog\Api\Data\BasePriceInterface`
	case strings.Contains(path, "/special-price"):
		return `\Magento\Catalog\Api\Data\SpecialPriceInterface`
	case strings.Contains(path, "/tier-prices"):
		return `\Magento\Catalog\Api\Data\TierPriceInterface`
	case strings.Contains(path, "/cost"):
		return `\Magento\Catalog\Api\Data\CostInterface`
	default:
		return key
	}
}

// id gives a number of the path.
func (c call) id(name string) (int, *problem) {
	id, err := strconv.Atoi(c.PathValue(name))
	if err != nil {
		return 0, invalid(`The "%value" value's type is invalid. The "%type" type was expected. Verify and try again.`,
			map[string]string{"value": c.PathValue(name), "type": "int"})
	}
	return id, nil
}

func invalid(template string, parameters any) *problem {
	return &problem{http.StatusBadRequest, template, parameters}
}

func notFound(template string, parameters any) *problem {
	return &problem{http.StatusNotFound, template, parameters}
}

func required(field string) *problem {
	return invalid(`"%fieldName" is required. Enter and try again.`, map[string]string{"fieldName": field})
}

// noSuchEntity is NoSuchEntityException::singleField.
func noSuchEntity(field string, value any) *problem {
	return notFound("No such entity with %fieldName = %fieldValue", map[string]any{"fieldName": field, "fieldValue": value})
}

// list answers a search: those of all that match, sorted, of them the page that is asked for.
func list(c call, known func(field string) bool, all []map[string]any) (any, *problem) {
	query := c.URL.Query()
	criteria, wrong := parseCriteria(query, known)
	if wrong != nil {
		return nil, wrong
	}
	rows := make([]row, 0, len(all))
	for _, d := range all {
		rows = append(rows, row{searchable(d), func() map[string]any { return d }})
	}
	return criteria.result(rows), nil
}

// searchable gives the columns of a document: its keys, the attributes, entity_id for id, and category_id, which is each
// of the categories.
func searchable(d map[string]any) map[string]any {
	columns := map[string]any{"entity_id": d["id"]}
	for key, value := range d {
		columns[key] = value
	}
	attributes, _ := d["custom_attributes"].([]any)
	for _, a := range attributes {
		if attribute, ok := a.(map[string]any); ok {
			code, _ := attribute["attribute_code"].(string)
			columns[code] = attribute["value"]
			if ids, ok := attribute["value"].([]any); ok && code == "category_ids" {
				columns["category_id"] = anyOf(ids)
			}
		}
	}
	return columns
}

// number reads an int out of JSON: a number, or a text that holds one.
func number(v any) (int, bool) {
	n, err := strconv.Atoi(fmt.Sprint(v))
	return n, err == nil
}

// money reads an amount out of JSON.
func money(v any) (decimal.Decimal, bool) {
	if v == nil {
		return decimal.Zero, false
	}
	d, err := decimal.NewFromString(fmt.Sprint(v))
	return d, err == nil
}

// text reads a text, a number's literal, or nothing for null.
func text(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}
