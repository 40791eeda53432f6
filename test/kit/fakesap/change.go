package fakesap

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// change carries out what changes a document. It needs mu.
func (s *Server) change(r *http.Request, service, rest string, body []byte) answer {
	if method, action, ok := s.action(service, rest); ok {
		if r.Method != method {
			return s.violated(http.StatusMethodNotAllowed, codeInvalid, "Method Not Allowed")
		}
		return action(r)
	}
	res, ok := resourceOf(service, rest)
	if !ok || res.root {
		return s.violated(http.StatusNotFound, codeNoSegment, "Resource not found for the segment '"+rest+"'.")
	}
	var in map[string]any
	if r.Method != http.MethodDelete {
		var err error
		if in, err = decode(body); err != nil {
			return s.violated(http.StatusBadRequest, codeParse, "Error while parsing an XML stream")
		}
	}
	method := r.Method
	if method == "MERGE" {
		method = http.MethodPatch
	}
	switch {
	case method == http.MethodPost && res.key == nil && res.set.post:
		return s.create(r, res.set, in)
	case method == http.MethodPost && res.nav != "":
		return s.createChild(r, res, in)
	case method == http.MethodPatch && res.key != nil && res.nav == "" && res.set.patch:
		return s.patch(r, res, in)
	case method == http.MethodDelete && res.key != nil && res.nav == "" && res.set.delete:
		return s.delete(r, res)
	default:
		return s.violated(http.StatusMethodNotAllowed, codeInvalid, "Method Not Allowed")
	}
}

func (s *Server) invalid(v *violation) answer {
	return s.violated(http.StatusBadRequest, codeInvalid, fmt.Sprintf("Property %s %s", v.property, v.what))
}

// locked returns the refusal of a document that somebody works on; nil for none. It needs mu.
func (s *Server) locked(document string) *answer {
	if s.knobs.lockTries <= 0 {
		return nil
	}
	s.knobs.lockTries--
	text := s.knobs.lockText
	if text == "" {
		text = "Document %s is currently being processed by user MILLER"
	}
	code := s.knobs.lockCode
	if code == "" {
		code = "V1/042"
	}
	a := s.refuse(http.StatusBadRequest, code, strings.ReplaceAll(text, "%s", document))
	return &a
}

// create makes an entity and all that is nested in it. It needs mu.
func (s *Server) create(r *http.Request, set *entitySet, in map[string]any) answer {
	tree, v := s.tree(set, in)
	if v != nil {
		return s.invalid(v)
	}
	var root *row
	var refusal *answer
	switch set.name {
	case "A_SalesOrder":
		root, refusal = s.createOrder(tree)
	case "A_CreditMemoRequest":
		root, refusal = s.createCredit(tree)
	case "A_OutbDeliveryHeader":
		root, refusal = s.createDelivery(tree)
	case "A_BusinessPartner":
		root, refusal = s.createPartner(tree)
	case "A_BuPaIdentification":
		if s.get(schema["A_BusinessPartner"], map[string]string{"BusinessPartner": tree.text("BusinessPartner")}) == nil {
			return s.refuse(http.StatusBadRequest, "R11/102", "Business partner does not exist")
		}
		root = s.add(set, tree.props)
	default:
		return s.violated(http.StatusMethodNotAllowed, codeInvalid, "the fake does not create a "+set.name)
	}
	if refusal != nil {
		return *refusal
	}
	s.writes["POST "+set.name]++
	header := http.Header{"Location": {"https://" + r.Host + Root + set.service + "/" + set.name + "(" + root.address() + ")"}}
	if s.knobs.sapMessage != "" {
		header["Sap-Message"] = []string{s.knobs.sapMessage}
	}
	o := options{top: -1}
	if !s.knobs.deferred {
		for name := range tree.nested {
			o.expand = append(o.expand, name)
		}
	}
	return answer{status: http.StatusCreated, header: header, body: encode(map[string]any{"d": s.shown(r, root, o, "")})}
}

// node is a checked body with those nested in it.
type node struct {
	set    *entitySet
	props  map[string]any
	nested map[string][]*node
}

func (n *node) text(name string) string {
	s, _ := n.props[name].(string)
	return s
}

// notInsertable are the navigations that the metadata calls so, though many a system takes them.
var notInsertable = map[string]string{
	"A_SalesOrderHeaderPartner.to_Address":      "address",
	"A_CreditMemoRequest.to_PricingElement":     "credit price",
	"A_CreditMemoRequestItem.to_PricingElement": "credit price",
	"A_BusinessPartner.to_Customer":             "customer",
	// Items of a delivery have no POST of their own, and are created with it.
	"A_OutbDeliveryHeader.to_DeliveryDocumentItem": "item",
}

// tree checks a body and all that is nested in it. It needs mu.
func (s *Server) tree(set *entitySet, in map[string]any) (*node, *violation) {
	props, nested, v := s.check(set, in, false)
	if v != nil {
		return nil, v
	}
	n := &node{set: set, props: props, nested: map[string][]*node{}}
	for name, list := range nested {
		target := schema[set.nav[name].set]
		switch how := notInsertable[set.name+"."+name]; {
		case how == "address" && s.knobs.addressInsert == Refused, how == "credit price" && s.knobs.creditPriceInsert == Refused:
			return nil, &violation{name, "can't be created in this body"}
		case how == "address" && s.knobs.addressInsert == Ignored, how == "credit price" && s.knobs.creditPriceInsert == Ignored:
			continue
		case how == "" && !target.post:
			return nil, &violation{name, "can't be created in this body"}
		}
		for _, one := range list {
			child, v := s.tree(target, one)
			if v != nil {
				return nil, v
			}
			n.nested[name] = append(n.nested[name], child)
		}
	}
	return n, nil
}

// createChild makes an entity below another one, such as a price element of an order. It needs mu.
func (s *Server) createChild(r *http.Request, res resource, in map[string]any) answer {
	parent := s.get(res.set, res.key)
	set := schema[res.set.nav[res.nav].set]
	switch {
	case parent == nil:
		return s.refuse(http.StatusNotFound, codeNoSegment, "Resource not found for segment '"+res.set.name+"'")
	case set == nil || !set.post || set.name != "A_SalesOrderHeaderPrElement":
		return s.violated(http.StatusMethodNotAllowed, codeInvalid, "the fake does not create below "+res.nav)
	}
	tree, v := s.tree(set, in)
	if v != nil {
		return s.invalid(v)
	}
	order := parent.text("SalesOrder")
	if refusal := s.frozen(parent); refusal != nil {
		return *refusal
	}
	if c, ok := s.o.Conditions[tree.text("ConditionType")]; !ok || !c.Header {
		return s.refuse(http.StatusBadRequest, "V1/401", "Condition type "+tree.text("ConditionType")+" is not in procedure")
	}
	tree.props["SalesOrder"] = order
	one := s.addPrice(set, tree, len(s.related(parent, set)))
	s.touch(parent)
	s.price(parent)
	s.writes["POST "+set.name]++
	return answer{status: http.StatusCreated, body: encode(map[string]any{"d": s.shown(r, one, options{top: -1}, "")})}
}

func (s *Server) addPrice(set *entitySet, n *node, at int) *row {
	if n.text("PricingProcedureStep") == "" {
		n.props["PricingProcedureStep"] = "11"
	}
	n.props["PricingProcedureCounter"] = strconv.Itoa(at + 1)
	return s.add(set, n.props)
}

// conditional looks at If-Match. It needs mu.
func (s *Server) conditional(r *http.Request, one *row, needed bool) *answer {
	match := r.Header.Get("If-Match")
	switch {
	case match == "" && needed:
		status := s.knobs.ifMatchMissing
		s.problems["no If-Match"]++
		a := s.refuse(status, codeInvalid, `The Data Service Request is required to be conditional. Try using the "If-Match" header`)
		return &a
	case match != "" && match != "*" && one.set.etag && match != etag(one):
		a := s.refuse(http.StatusPreconditionFailed, codeInvalid, "Precondition failed")
		return &a
	}
	return nil
}

// patch changes an entity. It needs mu.
func (s *Server) patch(r *http.Request, res resource, in map[string]any) answer {
	one := s.get(res.set, res.key)
	if one == nil {
		return s.refuse(http.StatusNotFound, codeNoSegment, "Resource not found for segment '"+res.set.name+"'")
	}
	needed := res.set.etag && !s.knobs.ifMatchLenient || res.set.name == "A_SalesOrderItem" && s.knobs.itemIfMatch
	if refusal := s.conditional(r, one, needed); refusal != nil {
		return *refusal
	}
	props, _, v := s.check(res.set, in, true)
	if v != nil {
		return s.invalid(v)
	}
	var refusal *answer
	switch res.set.name {
	case "A_SalesOrder", "A_SalesOrderItem", "A_SalesOrderPartnerAddress", "A_SalesOrderHeaderPrElement":
		refusal = s.changeOrder(one, props)
	case "A_OutbDeliveryHeader":
		refusal = s.changeDelivery(one, props)
	case "A_CreditMemoReqItemPrcgElmnt":
		one.set = res.set
	case "A_BusinessPartner", "A_BusinessPartnerAddress", "A_AddressEmailAddress", "A_AddressPhoneNumber":
	default:
		return s.violated(http.StatusMethodNotAllowed, codeInvalid, "the fake does not change a "+res.set.name)
	}
	if refusal != nil {
		return *refusal
	}
	for name, value := range props {
		one.props[name] = value
	}
	s.changed(one)
	s.writes["PATCH "+res.set.name]++
	return answer{status: http.StatusNoContent}
}

// changed computes what follows from a change. It needs mu.
func (s *Server) changed(one *row) {
	one.version++
	switch one.set.service {
	case Orders:
		if order := s.orderOf(one.text("SalesOrder")); order != nil {
			if order != one {
				s.touch(order)
			}
			s.price(order)
		}
	case Credits:
		if memo := s.get(schema["A_CreditMemoRequest"], map[string]string{"CreditMemoRequest": one.text("CreditMemoRequest")}); memo != nil {
			s.priceCredit(memo)
		}
	}
}

func (s *Server) delete(r *http.Request, res resource) answer {
	one := s.get(res.set, res.key)
	if one == nil {
		return s.refuse(http.StatusNotFound, codeNoSegment, "Resource not found for segment '"+res.set.name+"'")
	}
	if refusal := s.conditional(r, one, res.set.etag && !s.knobs.ifMatchLenient); refusal != nil {
		return *refusal
	}
	if res.set.name == "A_SalesOrder" && len(s.deliveredOf(one.text("SalesOrder"))) > 0 && !s.knobs.deleteWithFollowers {
		return s.refuse(http.StatusBadRequest, "V1/450", "Document has subsequent documents: it can't be deleted")
	}
	s.forget(one)
	s.writes["DELETE "+res.set.name]++
	return answer{status: http.StatusNoContent}
}

// forget removes an entity and, of a document, all that is in it. It needs mu.
func (s *Server) forget(one *row) {
	s.remove(one)
	if one.set.name != "A_SalesOrder" {
		return
	}
	ref := one.text("PurchaseOrderByCustomer")
	s.byRef[ref] = slices.DeleteFunc(s.byRef[ref], func(r *row) bool { return r == one })
	s.orders = slices.DeleteFunc(s.orders, func(r *row) bool { return r == one })
	for _, set := range schema {
		if set.service == Orders {
			delete(s.rows[set.name], keyed(one.text("SalesOrder")))
		}
	}
}

func (s *Server) next(name string) string {
	s.numbers[name]++
	return strconv.Itoa(s.numbers[name])
}
