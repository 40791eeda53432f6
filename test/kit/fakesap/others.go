package fakesap

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/shopspring/decimal"
)

// createCredit books a credit memo request. It needs mu.
func (s *Server) createCredit(n *node) (*row, *answer) {
	if refusal := s.locked(n.text("SoldToParty")); refusal != nil {
		return nil, refusal
	}
	if n.text("CreditMemoRequestType") == "" {
		a := s.refuse(http.StatusBadRequest, "V1/300", "Enter a sales document type")
		return nil, &a
	}
	if refusal := s.salesArea(n); refusal != nil {
		return nil, refusal
	}
	if ref := n.text("ReferenceSDDocument"); ref != "" && s.orderOf(ref) == nil {
		a := s.refuse(http.StatusBadRequest, "V1/302", "Document "+ref+" does not exist")
		return nil, &a
	}
	for _, item := range n.nested["to_Item"] {
		if refusal := s.orderItem(item); refusal != nil {
			return nil, refusal
		}
	}
	n.props["CreditMemoRequest"] = s.next("A_CreditMemoRequest")
	n.props["CreationDate"], n.props["LastChangeDateTime"] = date(s.now()), instant(s.now())
	memo := s.add(n.set, n.props)
	for i, item := range n.nested["to_Item"] {
		item.props["CreditMemoRequest"] = n.text("CreditMemoRequest")
		if item.text("CreditMemoRequestItem") == "" {
			item.props["CreditMemoRequestItem"] = strconv.Itoa((i + 1) * 10)
		}
		s.add(item.set, item.props)
		elements := item.nested["to_PricingElement"]
		if len(elements) == 0 { // the material's own price, which is to be changed
			elements = []*node{{set: schema["A_CreditMemoReqItemPrcgElmnt"], props: map[string]any{
				"ConditionType": "PMP0", "ConditionRateValue": "0", "ConditionCurrency": n.text("TransactionCurrency"),
			}}}
		}
		for j, e := range elements {
			e.props["CreditMemoRequest"], e.props["CreditMemoRequestItem"] = n.text("CreditMemoRequest"), item.text("CreditMemoRequestItem")
			s.addPrice(e.set, e, j)
		}
	}
	s.priceCredit(memo)
	return memo, nil
}

// priceCredit computes a credit memo request's net value. It needs mu.
func (s *Server) priceCredit(memo *row) {
	places, total := placesOf(memo.text("TransactionCurrency")), decimal.Zero
	for _, item := range s.related(memo, schema["A_CreditMemoRequestItem"]) {
		net := decimal.Zero
		for _, e := range s.related(item, schema["A_CreditMemoReqItemPrcgElmnt"]) {
			net = net.Add(s.conditionAmount(e, item, places))
		}
		item.props["NetAmount"] = net.StringFixed(places)
		item.props["tax"] = net.Mul(s.rateOf(item)).Div(decimal.NewFromInt(100)).Round(places).StringFixed(places)
		total = total.Add(net)
	}
	memo.props["TotalNetAmount"] = total.StringFixed(places)
}

// deliveredOf returns the items of deliveries of an order. It needs mu.
func (s *Server) deliveredOf(order string) []*row {
	var all []*row
	for _, items := range s.rows["A_OutbDeliveryItem"] {
		for _, i := range items {
			if keyed(i.text("ReferenceSDDocument")) == keyed(order) {
				all = append(all, i)
			}
		}
	}
	return all
}

func (s *Server) delivered(order, item string) decimal.Decimal {
	sum := decimal.Zero
	for _, i := range s.deliveredOf(order) {
		if keyed(i.text("ReferenceSDDocumentItem")) == keyed(item) {
			sum = sum.Add(number(i.props["ActualDeliveryQuantity"]))
		}
	}
	return sum
}

// createDelivery books an outbound delivery. It needs mu.
func (s *Server) createDelivery(n *node) (*row, *answer) {
	var a answer
	items := n.nested["to_DeliveryDocumentItem"]
	if len(items) == 0 {
		a = s.refuse(http.StatusBadRequest, "VL/461", "The delivery has no items")
		return nil, &a
	}
	var order *row
	for _, i := range items {
		order = s.orderOf(i.text("ReferenceSDDocument"))
		if order == nil {
			a = s.refuse(http.StatusBadRequest, "VL/302", "Sales document "+i.text("ReferenceSDDocument")+" does not exist")
			return nil, &a
		}
		if refusal := s.locked(order.text("SalesOrder")); refusal != nil {
			return nil, refusal
		}
		item := s.get(schema["A_SalesOrderItem"], map[string]string{"SalesOrder": order.text("SalesOrder"), "SalesOrderItem": i.text("ReferenceSDDocumentItem")})
		quantity := number(i.props["ActualDeliveryQuantity"])
		switch {
		case item == nil || item.text("SalesDocumentRjcnReason") != "":
			a = s.refuse(http.StatusBadRequest, "VL/367", "Item "+i.text("ReferenceSDDocumentItem")+" can't be delivered")
			return nil, &a
		case !quantity.IsPositive() || quantity.Add(s.delivered(order.text("SalesOrder"), item.text("SalesOrderItem"))).GreaterThan(number(item.props["RequestedQuantity"])):
			a = s.refuse(http.StatusBadRequest, "VL/018", "The quantity of item "+item.text("SalesOrderItem")+" is more than what is open")
			return nil, &a
		}
		i.props["Material"] = item.text("Material")
	}
	n.props["DeliveryDocument"], n.props["DeliveryVersion"] = s.next("A_OutbDeliveryHeader"), "0001"
	n.props["SoldToParty"], n.props["SalesOrganization"] = order.text("SoldToParty"), order.text("SalesOrganization")
	n.props["OverallPickingStatus"], n.props["OverallGoodsMovementStatus"] = "A", "A"
	n.props["CreationDate"] = date(s.now())
	header := s.add(n.set, n.props)
	for j, i := range items {
		i.props["DeliveryDocument"], i.props["DeliveryDocumentItem"] = n.text("DeliveryDocument"), strconv.Itoa((j+1)*10)
		s.add(i.set, i.props)
	}
	return header, nil
}

func (s *Server) changeDelivery(one *row, props map[string]any) *answer {
	if refusal := s.locked(one.text("DeliveryDocument")); refusal != nil {
		return refusal
	}
	if one.text("OverallGoodsMovementStatus") == "C" {
		a := s.refuse(http.StatusBadRequest, "VL/609", "Goods issue has already been posted")
		return &a
	}
	version, _ := strconv.Atoi(one.text("DeliveryVersion"))
	props["DeliveryVersion"] = fmt.Sprintf("%04d", version+1)
	return nil
}

var actionForm = regexp.MustCompile(`^/(\w+)$`)

// action returns the function import that a path names.
func (s *Server) action(service, rest string) (method string, run func(r *http.Request) answer, ok bool) {
	m := actionForm.FindStringSubmatch(rest)
	if m == nil || service != Deliveries || !slices.Contains([]string{"PickAllItems", "PostGoodsIssue", "ReverseGoodsIssue"}, m[1]) {
		return "", nil, false
	}
	return http.MethodPost, func(r *http.Request) answer {
		key := strings.Trim(r.URL.Query().Get("DeliveryDocument"), "'")
		one := s.get(schema["A_OutbDeliveryHeader"], map[string]string{"DeliveryDocument": key})
		if one == nil {
			return s.refuse(http.StatusNotFound, codeNoSegment, "Delivery "+key+" does not exist")
		}
		if refusal := s.conditional(r, one, s.knobs.actionIfMatch); refusal != nil {
			return *refusal
		}
		if refusal := s.locked(key); refusal != nil {
			return *refusal
		}
		switch posted := one.text("OverallGoodsMovementStatus") == "C"; {
		case m[1] == "PickAllItems" && posted, m[1] == "PostGoodsIssue" && posted:
			return s.refuse(http.StatusBadRequest, "VL/609", "Goods issue has already been posted")
		case m[1] == "PickAllItems":
			one.props["OverallPickingStatus"] = "C"
		case m[1] == "PostGoodsIssue" && one.text("OverallPickingStatus") != "C":
			return s.refuse(http.StatusBadRequest, "VL/602", "The delivery has not been picked completely")
		case m[1] == "PostGoodsIssue":
			one.props["OverallGoodsMovementStatus"], one.props["ActualGoodsMovementDate"] = "C", date(s.now())
		default:
			one.props["OverallGoodsMovementStatus"] = "A"
		}
		one.version++
		s.writes[m[1]]++
		return answer{status: http.StatusOK, body: encode(map[string]any{"d": map[string]any{m[1]: map[string]any{"Return": "true"}}})}
	}, true
}

// createPartner books a business partner, with the customer that its role makes. It needs mu.
func (s *Server) createPartner(n *node) (*row, *answer) {
	category := n.text("BusinessPartnerCategory")
	var a answer
	switch {
	case category != "1" && category != "2":
		a = s.refuse(http.StatusBadRequest, "R11/014", "Enter a business partner category")
		return nil, &a
	case category == "1" && n.text("LastName") == "", category == "2" && n.text("OrganizationBPName1") == "":
		a = s.refuse(http.StatusBadRequest, "R11/016", "Enter a name")
		return nil, &a
	}
	for _, id := range n.nested["to_BuPaIdentification"] {
		if !slices.Contains(s.knobs.identificationTypes, id.text("BPIdentificationType")) {
			a = s.refuse(http.StatusBadRequest, "R1/205", "Identification type "+id.text("BPIdentificationType")+" is not defined")
			return nil, &a
		}
	}
	number := s.next("A_BusinessPartner")
	n.props["BusinessPartner"] = number
	for _, role := range n.nested["to_BusinessPartnerRole"] {
		if strings.HasPrefix(role.text("BusinessPartnerRole"), "FLCU") {
			n.props["Customer"] = number
		}
	}
	partner := s.add(n.set, n.props)
	s.addAccount(partner.text("Customer"), n)
	for _, name := range []string{"to_BuPaIdentification", "to_BusinessPartnerRole", "to_BusinessPartnerTax"} {
		for _, child := range n.nested[name] {
			child.props["BusinessPartner"] = number
			s.add(child.set, child.props)
		}
	}
	for _, address := range n.nested["to_BusinessPartnerAddress"] {
		id := s.next("Address")
		address.props["BusinessPartner"], address.props["AddressID"] = number, id
		s.add(address.set, address.props)
		for _, mail := range address.nested["to_EmailAddress"] {
			s.addMail(id, mail.props)
		}
		for _, phone := range address.nested["to_PhoneNumber"] {
			phone.props["AddressID"], phone.props["Person"], phone.props["OrdinalNumber"] = id, "", "1"
			s.add(phone.set, phone.props)
		}
	}
	return partner, nil
}

// addAccount makes the customer of a partner that has the role, with its sales areas. It needs mu.
func (s *Server) addAccount(number string, n *node) {
	if number == "" {
		return
	}
	for _, account := range n.nested["to_Customer"] {
		account.props["Customer"] = number
		s.add(account.set, account.props)
		for _, area := range account.nested["to_CustomerSalesArea"] {
			area.props["Customer"] = number
			s.add(area.set, area.props)
		}
	}
}

func (s *Server) addMail(address string, props map[string]any) {
	props["AddressID"], props["Person"], props["OrdinalNumber"] = address, "", "1"
	mail, _ := props["EmailAddress"].(string)
	search := []rune(strings.ToUpper(mail))
	props["SearchEmailAddress"] = string(search[:min(len(search), 20)])
	s.add(schema["A_AddressEmailAddress"], props)
}
