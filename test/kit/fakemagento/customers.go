package fakemagento

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

type customers struct {
	all         []map[string]any
	passwords   map[int]string // by customer id
	tokens      map[string]session
	nextID      int
	nextAddress int
	groups      []map[string]any
	nextGroup   int

	defaultGroups map[int]int // by store view, 0 for all
}

// session is what a customer's token stands for.
type session struct {
	customer int
	end      time.Time
}

// sessionLifetime is Magento's (oauth/access_token_expiration_period/customer).
const sessionLifetime = time.Hour

func (cs *customers) init() {
	cs.passwords, cs.tokens = map[int]string{}, map[string]session{}
	cs.initGroups()
}

func (s *Server) customerRoutes(routes *http.ServeMux) {
	route := func(pattern, resource string, f func(call) (any, *problem)) {
		routes.Handle(pattern, s.allowed("Magento_Customer::"+resource, s.endpoint(f)))
	}
	self := func(pattern string, f func(call) (any, *problem)) { routes.Handle(pattern, s.endpoint(s.self(f))) }
	routes.Handle("POST /V1/integration/customer/token", s.endpoint(s.customerToken))
	routes.Handle("POST /V1/customers", s.endpoint(s.createCustomer))
	route("GET /V1/customers/search", "customer", s.searchCustomers)
	route("GET /V1/customers/{id}", "customer", s.getCustomer)
	route("PUT /V1/customers/{id}", "manage", s.updateCustomer)
	route("DELETE /V1/customers/{id}", "delete", s.deleteCustomer)
	// Two routes in one, which ServeMux can't tell apart: /customers/addresses/:addressId and /customers/:id/billingAddress.
	route("GET /V1/customers/{id}/{what}", "manage", s.customerAddress)
	route("DELETE /V1/addresses/{id}", "manage", s.deleteAddress)
	self("GET /V1/customers/me", s.getCustomer)
	self("PUT /V1/customers/me", s.updateMe)
	self("GET /V1/customers/me/{what}", s.customerAddress)
}

// self lets a customer's token through, and makes the customer's id that of the path.
func (s *Server) self(next func(call) (any, *problem)) func(call) (any, *problem) {
	return func(c call) (any, *problem) {
		login := s.customers.tokens[strings.TrimPrefix(c.Header.Get("Authorization"), "Bearer ")]
		if !time.Now().Before(login.end) {
			return nil, &problem{http.StatusUnauthorized, "The consumer isn't authorized to access %resources.", map[string]string{"resources": "self"}}
		}
		c.SetPathValue("id", strconv.Itoa(login.customer))
		return next(c)
	}
}

func (s *Server) customerToken(c call) (any, *problem) {
	cs := &s.customers
	for _, customer := range cs.all {
		id, _ := number(customer["id"])
		if strings.EqualFold(text(customer["email"]), text(c.body["username"])) && cs.passwords[id] != "" && cs.passwords[id] == text(c.body["password"]) {
			now := time.Now()
			maps.DeleteFunc(cs.tokens, func(_ string, login session) bool { return now.After(login.end) })
			token := jwt(now, now.Add(sessionLifetime))
			cs.tokens[token] = session{id, now.Add(sessionLifetime)}
			return token, nil
		}
	}
	return nil, &problem{
		http.StatusUnauthorized,
		"The account sign-in was incorrect or your account is disabled temporarily. Please wait and try again later.", nil,
	}
}

func (s *Server) customer(id string) (map[string]any, *problem) {
	customer := document(s.customers.all, "id", id)
	if customer == nil {
		return nil, noSuchEntity("customerId", id)
	}
	return customer, nil
}

func (s *Server) getCustomer(c call) (any, *problem) {
	customer, wrong := s.customer(c.PathValue("id"))
	return customer, wrong
}

var customerColumns = []string{
	"entity_id", "email", "firstname", "lastname", "group_id", "website_id", "store_id", "created_at", "updated_at", "dob", "taxvat",
}

func (s *Server) searchCustomers(c call) (any, *problem) {
	return list(c, func(field string) bool { return slices.Contains(customerColumns, field) }, slices.Clone(s.customers.all))
}

func (s *Server) createCustomer(c call) (any, *problem) {
	customer, wrong := c.object("customer")
	if wrong != nil {
		return nil, wrong
	}
	now := time.Now().UTC().Format(layout)
	store := s.store(c.store)
	made := map[string]any{
		"group_id": 1, "website_id": store.WebsiteID, "store_id": store.ID, "created_in": store.Name, "disable_auto_group_change": 0,
		"extension_attributes": map[string]any{"is_subscribed": false}, "addresses": []any{},
	}
	maps.Copy(made, customer)
	s.customers.nextID++
	made["id"], made["created_at"], made["updated_at"] = s.customers.nextID, now, now
	if wrong := s.checkCustomer(made); wrong != nil {
		return nil, wrong
	}
	s.customers.numberAddresses(made)
	s.customers.passwords[s.customers.nextID] = text(c.body["password"])
	s.customers.all = append(s.customers.all, made)
	return made, nil
}

// updateCustomer changes what is given; an address that is not in a given list is deleted.
func (s *Server) updateCustomer(c call) (any, *problem) {
	given, wrong := c.object("customer")
	if wrong != nil {
		return nil, wrong
	}
	customer, wrong := s.customer(c.PathValue("id"))
	if wrong != nil {
		return nil, wrong
	}
	changed := maps.Clone(customer)
	maps.Copy(changed, given)
	changed["id"], changed["updated_at"] = customer["id"], time.Now().UTC().Format(layout)
	if wrong := s.checkCustomer(changed); wrong != nil {
		return nil, wrong
	}
	s.customers.numberAddresses(changed)
	clear(customer)
	maps.Copy(customer, changed)
	return customer, nil
}

// updateMe is updateCustomer but for what is not the customer's own to change.
func (s *Server) updateMe(c call) (any, *problem) {
	given, wrong := c.object("customer")
	if wrong != nil {
		return nil, wrong
	}
	for _, field := range []string{"group_id", "website_id", "store_id"} {
		delete(given, field)
	}
	return s.updateCustomer(c)
}

func (s *Server) checkCustomer(customer map[string]any) *problem {
	for _, field := range []string{"email", "firstname", "lastname"} {
		if text(customer[field]) == "" {
			return required(field)
		}
	}
	for _, other := range s.customers.all {
		if text(other["id"]) != text(customer["id"]) && strings.EqualFold(text(other["email"]), text(customer["email"])) &&
			text(other["website_id"]) == text(customer["website_id"]) {
			return invalid("A customer with the same email address already exists in an associated website.", nil)
		}
	}
	for _, a := range objects(customer["addresses"]) {
		for _, field := range []string{"firstname", "lastname", "city", "country_id", "telephone"} {
			if text(a[field]) == "" {
				return required(field)
			}
		}
	}
	return nil
}

// objects gives the objects of a list in JSON.
func objects(v any) []map[string]any {
	if already, ok := v.([]map[string]any); ok {
		return already
	}
	list, _ := v.([]any)
	var all []map[string]any
	for _, one := range list {
		if object, ok := one.(map[string]any); ok {
			all = append(all, object)
		}
	}
	return all
}

// numberAddresses gives the addresses ids, and says at the customer which are the defaults. A default takes the place of the one
// before it.
func (cs *customers) numberAddresses(customer map[string]any) {
	for _, a := range objects(customer["addresses"]) {
		if text(a["id"]) == "" || text(a["id"]) == "0" {
			cs.nextAddress++
			a["id"] = cs.nextAddress
		}
		a["customer_id"] = customer["id"]
		for _, kind := range []string{"default_billing", "default_shipping"} {
			if yes(a[kind]) {
				customer[kind] = text(a["id"])
			}
		}
	}
	for _, kind := range []string{"default_billing", "default_shipping"} {
		there := false
		for _, a := range objects(customer["addresses"]) {
			if text(a["id"]) == text(customer[kind]) {
				there, a[kind] = true, true
			} else {
				delete(a, kind)
			}
		}
		if !there {
			delete(customer, kind)
		}
	}
}

func (s *Server) deleteCustomer(c call) (any, *problem) {
	customer, wrong := s.customer(c.PathValue("id"))
	if wrong != nil {
		return nil, wrong
	}
	id, _ := number(customer["id"])
	s.customers.all = slices.DeleteFunc(s.customers.all, func(d map[string]any) bool { return text(d["id"]) == text(id) })
	delete(s.customers.passwords, id)
	maps.DeleteFunc(s.customers.tokens, func(_ string, login session) bool { return login.customer == id })
	return true, nil
}

func (s *Server) customerAddress(c call) (any, *problem) {
	what := c.PathValue("what")
	if c.PathValue("id") == "addresses" {
		_, address, wrong := s.findAddress(what)
		return address, wrong
	}
	kind, ok := map[string]string{"billingAddress": "default_billing", "shippingAddress": "default_shipping"}[what]
	if !ok {
		return nil, notFound("Request does not match any route.", nil)
	}
	customer, wrong := s.customer(c.PathValue("id"))
	if wrong != nil {
		return nil, wrong
	}
	for _, a := range objects(customer["addresses"]) {
		if yes(a[kind]) {
			return a, nil
		}
	}
	return []any{}, nil // PHP's null
}

func (s *Server) findAddress(id string) (customer, address map[string]any, wrong *problem) {
	for _, customer := range s.customers.all {
		for _, a := range objects(customer["addresses"]) {
			if text(a["id"]) == id {
				return customer, a, nil
			}
		}
	}
	return nil, nil, noSuchEntity("addressId", id)
}

func (s *Server) deleteAddress(c call) (any, *problem) {
	customer, _, wrong := s.findAddress(c.PathValue("id"))
	if wrong != nil {
		return nil, wrong
	}
	kept := []any{}
	for _, a := range objects(customer["addresses"]) {
		if text(a["id"]) != c.PathValue("id") {
			kept = append(kept, a)
		}
	}
	customer["addresses"] = kept
	s.customers.numberAddresses(customer)
	return true, nil
}

// AddCustomer adds a customer who is given as Magento's JSON, without an id, and gives the id.
func (s *Server) AddCustomer(document []byte, password string) (int, error) {
	var customer map[string]any
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	if err := decoder.Decode(&customer); err != nil {
		return 0, fmt.Errorf("fakemagento: add a customer: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, wrong := s.createCustomer(call{body: map[string]any{"customer": customer, "password": password}})
	if wrong != nil {
		return 0, fmt.Errorf("fakemagento: add a customer: %s %v", wrong.template, wrong.parameters)
	}
	return s.customers.nextID, nil
}
