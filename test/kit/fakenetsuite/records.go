package fakenetsuite

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/test/kit/odata"
)

func text(v any) string {
	s, _ := v.(string)
	return s
}

func amount(v any) decimal.Decimal {
	d, _ := v.(decimal.Decimal)
	return d
}

// ref returns the id of a reference.
func ref(v any) string {
	m, _ := v.(map[string]any)
	return text(m["id"])
}

// items returns the members of a collection.
func items(v any) []map[string]any {
	list, _ := v.([]map[string]any)
	return list
}

// read reads a body as a record of a set. strict has an unknown field refused; without it NetSuite only warns.
func (s *Server) read(set, path string, body []byte, strict bool) (map[string]any, *problem) {
	members, err := odata.Members(body)
	if err != nil {
		return nil, refusal(codeContent, path, "Invalid content in the request body: %v.", err)
	}
	values := map[string]any{}
	for _, m := range members {
		at := m.Name
		if path != "" {
			at = path + "." + m.Name
		}
		property, known := schema[set][m.Name]
		switch {
		case !known && slices.Contains(s.options.Columns, m.Name):
			property = odata.Property{Type: "custom"}
		case !known && strict:
			return nil, refusal(codeContent, at, "Unknown reference or property name '%s'.", m.Name)
		case !known:
			s.problems["a field that is dropped without a word: "+at]++
			continue
		case property.ReadOnly:
			return nil, refusal(codeContent, at, "The field %s is read-only.", m.Name)
		}
		v, p := s.value(property, at, m, strict)
		if p != nil {
			return nil, p
		}
		values[m.Name] = v
	}
	return values, nil
}

var (
	jsonNumber = regexp.MustCompile(`^-?\d+(\.\d+)?$`)
	internalID = regexp.MustCompile(`^-?\d+$`)
	country    = regexp.MustCompile(`^[A-Z]{2}$`)
)

func invalidValue(at, name string, v any) *problem {
	return refusal(codeUser, at, access+"You have entered an Invalid Field Value %v for the following field: %s.", v, name)
}

// value reads a member as its property's type.
func (s *Server) value(p odata.Property, at string, m odata.Member, strict bool) (any, *problem) {
	wrong := refusal("INVALID_VALUE", at, "Invalid value for the field %s: it is no %s.", m.Name, p.Type)
	var t string
	isText := len(m.Value) > 0 && m.Value[0] == '"' && json.Unmarshal(m.Value, &t) == nil
	switch p.Type {
	case "string":
		if n := utf8.RuneCountInString(t); isText && p.Max > 0 && n > p.Max {
			return nil, refusal(codeUser, at, access+"The field %s contained more than the maximum number ( %d ) of characters allowed.", m.Name, p.Max)
		}
	case "date":
		_, err := time.Parse(time.DateOnly, t)
		isText = isText && err == nil
	case "number":
		if !jsonNumber.Match(m.Value) {
			return nil, wrong
		}
		return decimal.RequireFromString(string(m.Value)), nil
	case "boolean":
		var b bool
		if json.Unmarshal(m.Value, &b) != nil {
			return nil, wrong
		}
		return b, nil
	case "custom":
		var v any
		if json.Unmarshal(m.Value, &v) != nil {
			return nil, wrong
		}
		return v, nil
	case "ref", "enum":
		if !isText || p.Type == "ref" {
			var r struct {
				ID         *string `json:"id"`
				ExternalID *string `json:"externalId"`
			}
			if json.Unmarshal(m.Value, &r) != nil || r.ID == nil || r.ExternalID != nil {
				return nil, wrong
			}
			t = *r.ID
		}
		if p.Type == "enum" && !slices.Contains(strings.Split(p.Of, "|"), t) || p.Type == "ref" && !s.refers(at, m.Name, t) {
			return nil, invalidValue(at, m.Name, t)
		}
		return map[string]any{"id": t}, nil
	case "address":
		return s.read("address", at, m.Value, strict)
	case "collection":
		return s.collection(p.Of, at, m.Value, strict)
	default:
		return nil, wrong
	}
	if !isText {
		return nil, wrong
	}
	return t, nil
}

// refers reports whether there is what a reference names. Of most types the account has everything.
func (s *Server) refers(at, name, id string) bool {
	switch {
	case name == "country":
		return country.MatchString(id)
	case name == "entity":
		c := s.tables["customer"].byID[id]
		return c != nil && !c.deleted
	case name == "item":
		return s.numbers[id] != ""
	case strings.HasSuffix(at, "taxDetailsReference"):
		return id != ""
	default:
		return internalID.MatchString(id)
	}
}

func (s *Server) collection(set, at string, body []byte, strict bool) (any, *problem) {
	var c struct {
		Items *[]json.RawMessage `json:"items"`
	}
	if json.Unmarshal(body, &c) != nil || c.Items == nil {
		return nil, refusal("INVALID_VALUE", at, "Invalid value for the field %s: it is no collection.", at)
	}
	list := []map[string]any{}
	for i, one := range *c.Items {
		values, p := s.read(set, fmt.Sprintf("%s.items[%d]", at, i), one, strict)
		if p != nil {
			return nil, p
		}
		list = append(list, values)
	}
	return list, nil
}

// strictly reports whether a request wants unknown fields refused.
func (s *Server) strictly(r *http.Request) bool {
	if r.Header.Get("X-NetSuite-PropertyNameValidation") == "Error" {
		return true
	}
	s.problems["no X-NetSuite-PropertyNameValidation: Error, so that a misspelt field is dropped"]++
	return false
}

// create answers a POST. order is what a fulfilment is made of.
func (s *Server) create(kind string, order *record, r *http.Request, body []byte) (answer, *problem) {
	if kind == "itemFulfillment" && order == nil {
		return answer{}, notAllowed
	}
	values, p := s.read(kind, "", body, s.strictly(r))
	if p != nil {
		return answer{}, p
	}
	s.seq++
	made := &record{kind: kind, id: fmt.Sprint(s.seq), reference: text(values["externalId"]), booked: time.Now(), values: values, order: order, more: map[string][]map[string]any{}}
	if made.reference != "" {
		if there := s.find(kind, "eid:"+made.reference); there != nil {
			return answer{}, s.exists(kind)
		}
	}
	for _, name := range []string{"package", "addressBook"} {
		if list := items(values[name]); list != nil {
			made.more[name] = list
			delete(values, name)
		}
	}
	switch kind {
	case "customer":
		p = s.newCustomer(made)
	case "itemFulfillment":
		p = s.fulfil(made)
	default:
		p = s.newDocument(made)
	}
	if p != nil {
		return answer{}, p
	}
	s.add(made)
	return answer{status: http.StatusNoContent, header: map[string]string{"Location": "https://1234567-sb1.suitetalk.api.netsuite.com" + RecordPath + "/" + kind + "/" + made.id}}, nil
}

func (s *Server) exists(kind string) *problem {
	switch {
	case s.knobs.duplicateAs != "":
		return refusal(s.knobs.duplicateAs, "", "The record is there.")
	case kind == "customer":
		return refusal(codeUser, "", access+"This entity already exists.")
	default:
		return refusal(codeUser, "", access+"This record already exists.")
	}
}

func (s *Server) newCustomer(c *record) *problem {
	person, _ := c.values["isPerson"].(bool)
	name := text(c.values["companyName"])
	switch {
	case person && (text(c.values["firstName"]) == "" || text(c.values["lastName"]) == ""):
		return refusal(codeUser, "", access+"You must enter a value for First Name.")
	case person:
		name = text(c.values["firstName"]) + " " + text(c.values["lastName"])
	case name == "":
		return refusal(codeUser, "", access+"You must enter a value for Company Name.")
	}
	if s.options.OneWorld && ref(c.values["subsidiary"]) == "" {
		return refusal(codeUser, "", access+"Please enter value(s) for: Primary Subsidiary.")
	}
	id := text(c.values["entityId"])
	if id == "" && !s.options.NamesByHand {
		id = "CUST" + c.id
	}
	if id == "" {
		id = name
	}
	for _, other := range s.tables["customer"].all {
		if !other.deleted && strings.EqualFold(text(other.values["entityId"]), id) {
			return refusal(codeUser, "", access+"This entity already exists.")
		}
	}
	c.values["entityId"] = id
	return nil
}

// change answers a PATCH.
func (s *Server) change(e *record, r *http.Request, body []byte) (answer, *problem) {
	values, p := s.read(e.kind, "", body, s.strictly(r))
	if p != nil {
		return answer{}, p
	}
	replaced := strings.Split(r.URL.Query().Get("replace"), ",")
	if reference, ok := values["externalId"]; ok && text(reference) != e.reference {
		if s.find(e.kind, "eid:"+text(reference)) != nil {
			return answer{}, s.exists(e.kind)
		}
		e.reference = text(reference)
		s.tables[e.kind].byReference[e.reference] = e
	}
	switch e.kind {
	case "salesOrder":
		if p := s.changeOrder(e, values, replaced); p != nil {
			return answer{}, p
		}
	case "customer":
		for name, v := range values {
			list := items(v)
			switch {
			case name != "addressBook":
				e.values[name] = v
			case slices.Contains(replaced, name):
				e.more[name] = list
			default: // addresses without an id are added
				e.more[name] = append(e.more[name], list...)
			}
		}
	default:
		return answer{}, notAllowed
	}
	return answer{status: http.StatusNoContent}, nil
}

// show answers a GET of one record.
func (s *Server) show(e *record, q url.Values) (answer, *problem) {
	for name := range q {
		if name != "fields" && name != "expandSubResources" {
			return answer{}, refusal("INVALID_PARAMETER", "", "The parameter %s is not known.", name)
		}
	}
	shown := map[string]any{"links": []any{}, "id": e.id}
	for name, v := range e.values {
		if name != "item" && name != "taxDetails" {
			shown[name] = wire(v)
		}
	}
	if e.reference != "" {
		shown["externalId"] = e.reference
	}
	expand := q.Get("expandSubResources") == "true"
	for name, list := range map[string][]map[string]any{"item": e.lines, "taxDetails": e.taxes} {
		if _, ok := schema[e.kind][name]; !ok {
			continue
		}
		shown[name] = map[string]any{"links": []any{}}
		if expand {
			all := []any{}
			for _, one := range list {
				all = append(all, wire(one))
			}
			shown[name] = map[string]any{"links": []any{}, "items": all, "totalResults": len(all)}
		}
	}
	if q.Get("fields") != "" {
		picked := map[string]any{"links": []any{}}
		for _, name := range strings.Split(q.Get("fields"), ",") {
			if _, ok := schema[e.kind][name]; !ok {
				return answer{}, refusal("INVALID_PARAMETER", "", "The field %s is not known.", name)
			}
			if v, ok := shown[name]; ok {
				picked[name] = v
			}
		}
		shown = picked
	}
	return answer{status: http.StatusOK, body: encode(shown)}, nil
}

// wire returns a value in its form in JSON.
func wire(v any) any {
	switch v := v.(type) {
	case decimal.Decimal:
		return json.Number(v.String())
	case map[string]any:
		m := map[string]any{}
		for name, one := range v {
			m[name] = wire(one)
		}
		if id, ok := v["id"]; ok && len(v) == 1 {
			m["links"], m["refName"] = []any{}, id
		}
		return m
	default:
		return v
	}
}
