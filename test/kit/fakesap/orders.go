package fakesap

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/shopspring/decimal"
)

// internalCodes are the partner functions as documents are sent them, and as they are answered.
var internalCodes = map[string]string{"WE": "SH", "RE": "BP", "RG": "PY", "AG": "SP"}

// samePartner reports whether two partner functions are one, in either form. It needs mu.
func (s *Server) samePartner(property string, one *row, wanted string) bool {
	return property == "PartnerFunction" && (internalCodes[wanted] == one.text(property) || internalCodes[one.text(property)] == wanted)
}

// written changes what is answered into the form of the system. It needs mu.
func (s *Server) written(out map[string]any) {
	if code, ok := out["PartnerFunction"].(string); ok && internalCodes[code] != "" {
		out["PartnerFunctionInternalCode"] = code
		out["PartnerFunction"] = internalCodes[code]
	}
	if n, ok := out["SalesOrder"].(string); ok && s.knobs.leadingZeros {
		out["SalesOrder"] = fmt.Sprintf("%010s", n)
	}
}

func (s *Server) orderOf(number string) *row {
	return s.get(schema["A_SalesOrder"], map[string]string{"SalesOrder": number})
}

// knownCustomer reports whether there is an account. It needs mu.
func (s *Server) knownCustomer(number string) bool {
	for _, all := range s.rows["A_BusinessPartner"] {
		if slices.ContainsFunc(all, func(p *row) bool { return p.text("Customer") == number }) {
			return true
		}
	}
	if s.o.Customers == nil {
		return number != "" && len(strings.Trim(number, "0123456789")) == 0
	}
	return slices.Contains(s.o.Customers, number)
}

// salesArea looks at the sales area and the account of a document. It needs mu.
func (s *Server) salesArea(n *node) *answer {
	area := n.text("SalesOrganization") + "/" + n.text("DistributionChannel") + "/" + n.text("OrganizationDivision")
	var a answer
	switch {
	case strings.Contains("/"+area+"/", "//") || s.o.SalesAreas != nil && !slices.Contains(s.o.SalesAreas, area):
		a = s.refuse(http.StatusBadRequest, "V1/307", "Sales area "+strings.ReplaceAll(area, "/", " ")+" is not defined")
	case n.text("SoldToParty") == "":
		a = s.refuse(http.StatusBadRequest, "V1/310", "Enter a sold-to party")
	case s.knobs.missing[n.text("SoldToParty")] || !s.knownCustomer(n.text("SoldToParty")):
		a = s.refuse(http.StatusBadRequest, "VP/199", "Sold-to party "+n.text("SoldToParty")+" not maintained for sales area "+strings.ReplaceAll(area, "/", " "))
	default:
		return nil
	}
	return &a
}

// createOrder books a sales order. It needs mu.
func (s *Server) createOrder(n *node) (*row, *answer) {
	if refusal := s.locked(n.text("SoldToParty")); refusal != nil {
		return nil, refusal
	}
	if n.text("SalesOrderType") == "" {
		a := s.refuse(http.StatusBadRequest, "V1/300", "Enter a sales document type")
		return nil, &a
	}
	if refusal := s.salesArea(n); refusal != nil {
		return nil, refusal
	}
	if _, sent := n.props["SalesOrder"]; sent {
		a := s.refuse(http.StatusBadRequest, "V1/319", "The document type has no external number range")
		return nil, &a
	}
	for _, item := range n.nested["to_Item"] {
		if refusal := s.orderItem(item); refusal != nil {
			return nil, refusal
		}
	}
	for _, element := range n.nested["to_PricingElement"] {
		if c, ok := s.o.Conditions[element.text("ConditionType")]; !ok || !c.Header {
			a := s.refuse(http.StatusBadRequest, "V1/401", "Condition type "+element.text("ConditionType")+" is not in procedure")
			return nil, &a
		}
	}
	for _, p := range n.nested["to_Partner"] {
		if refusal := s.partner(p); refusal != nil {
			return nil, refusal
		}
	}
	number := s.next("A_SalesOrder")
	n.props["SalesOrder"] = number
	n.props["CreationDate"], n.props["LastChangeDateTime"] = date(s.now()), instant(s.now())
	order := s.add(n.set, n.props)
	s.orders = append(s.orders, order)
	ref := order.text("PurchaseOrderByCustomer")
	s.byRef[ref] = append(s.byRef[ref], order)
	s.addNested(order, n)
	s.block(order)
	s.price(order)
	return order, nil
}

// orderItem looks at one item of a sales order. It needs mu.
func (s *Server) orderItem(item *node) *answer {
	material := item.text("Material")
	var a answer
	switch {
	case material == "" || s.knobs.missing[material]:
		a = s.refuse(http.StatusBadRequest, "V1/382", "Material "+material+" is not defined for sales org. 1010, distr. chan. 10, language EN")
	case !number(item.props["RequestedQuantity"]).IsPositive():
		a = s.refuse(http.StatusBadRequest, "V1/395", "Enter a quantity of item "+item.text("SalesOrderItem"))
	default:
		if c := item.text("ProductTaxClassification1"); c != "" {
			if _, ok := s.rates[c]; !ok {
				a = s.refuse(http.StatusBadRequest, "V1/384", "Tax classification "+c+" is not defined")
				return &a
			}
		}
		for _, element := range item.nested["to_PricingElement"] {
			c, ok := s.o.Conditions[element.text("ConditionType")]
			if !ok || c.Header {
				a = s.refuse(http.StatusBadRequest, "V1/401", "Condition type "+element.text("ConditionType")+" is not in procedure")
				return &a
			}
		}
		return nil
	}
	return &a
}

func (s *Server) partner(p *node) *answer {
	code := p.text("PartnerFunction")
	_, internal := internalCodes[code]
	external := code == "SH" || code == "BP" || code == "PY" || code == "SP"
	var a answer
	switch {
	case s.knobs.partnerCodes == External && internal, s.knobs.partnerCodes == Internal && external, !internal && !external:
		a = s.refuse(http.StatusBadRequest, "VPD/122", "Partner function "+code+" is not allowed")
	case p.text("Customer") != "" && !s.knownCustomer(p.text("Customer")):
		a = s.refuse(http.StatusBadRequest, "VP/201", "Business partner "+p.text("Customer")+" does not exist")
	default:
		return nil
	}
	return &a
}

// addNested stores what is nested in a sales order. It needs mu.
func (s *Server) addNested(order *row, n *node) {
	number := order.text("SalesOrder")
	for i, item := range n.nested["to_Item"] {
		item.props["SalesOrder"] = number
		if item.text("SalesOrderItem") == "" {
			item.props["SalesOrderItem"] = strconv.Itoa((i + 1) * 10)
		}
		item.props["TransactionCurrency"] = order.text("TransactionCurrency")
		if item.text("RequestedQuantityUnit") == "" {
			item.props["RequestedQuantityUnit"] = "PC"
		}
		item.props["ordered"] = item.text("RequestedQuantity")
		s.add(item.set, item.props)
		for j, element := range item.nested["to_PricingElement"] {
			element.props["SalesOrder"], element.props["SalesOrderItem"] = number, item.text("SalesOrderItem")
			s.addPrice(element.set, element, j)
		}
		for _, text := range item.nested["to_Text"] {
			text.props["SalesOrder"], text.props["SalesOrderItem"] = number, item.text("SalesOrderItem")
			s.add(text.set, text.props)
		}
	}
	for j, element := range n.nested["to_PricingElement"] {
		element.props["SalesOrder"] = number
		s.addPrice(element.set, element, j)
	}
	for _, text := range n.nested["to_Text"] {
		text.props["SalesOrder"] = number
		s.add(text.set, text.props)
	}
	functions := map[string]bool{}
	for _, p := range n.nested["to_Partner"] {
		s.addOrderPartner(number, p)
		functions[p.text("PartnerFunction")] = true
	}
	for code := range internalCodes { // the account's own
		if !functions[code] && !functions[internalCodes[code]] {
			s.addOrderPartner(number, &node{set: schema["A_SalesOrderHeaderPartner"], props: map[string]any{
				"PartnerFunction": code, "Customer": order.text("SoldToParty"),
			}})
		}
	}
}

func (s *Server) addOrderPartner(number string, p *node) {
	p.props["SalesOrder"] = number
	s.add(p.set, p.props)
	address := map[string]any{}
	for _, a := range p.nested["to_Address"] {
		address = a.props
	}
	address["SalesOrder"], address["PartnerFunction"], address["AddressRepresentationCode"] = number, p.text("PartnerFunction"), ""
	s.add(schema["A_SalesOrderPartnerAddress"], address)
}

// block sets what a knob says is in the way of a new order. It needs mu.
func (s *Server) block(order *row) {
	switch s.knobs.blocked {
	case "credit":
		order.props["TotalCreditCheckStatus"] = "B"
	case "delivery":
		order.props["DeliveryBlockReason"] = "01"
	case "billing":
		order.props["HeaderBillingBlockReason"] = "01"
	}
}

// frozen returns the refusal of a change of an order; nil where it may be changed. It needs mu.
func (s *Server) frozen(order *row) *answer {
	if refusal := s.locked(order.text("SalesOrder")); refusal != nil {
		return refusal
	}
	if order.props["approved"] == true {
		a := s.refuse(http.StatusBadRequest, "V2/474", "Sales document "+order.text("SalesOrder")+" has already been approved")
		return &a
	}
	return nil
}

// changeOrder looks at a change of an order or of what is in it. It needs mu.
func (s *Server) changeOrder(one *row, props map[string]any) *answer {
	order := s.orderOf(one.text("SalesOrder"))
	if order == nil {
		a := s.refuse(http.StatusNotFound, codeNoSegment, "Resource not found for segment 'A_SalesOrder'")
		return &a
	}
	if refusal := s.frozen(order); refusal != nil {
		return refusal
	}
	if one.set.name != "A_SalesOrderItem" {
		return nil
	}
	delivered := s.delivered(one.text("SalesOrder"), one.text("SalesOrderItem"))
	reason, _ := props["SalesDocumentRjcnReason"].(string)
	if reason != "" && delivered.IsPositive() {
		a := s.refuse(http.StatusBadRequest, "V1/485", "Item "+one.text("SalesOrderItem")+" has been delivered: it can't be rejected")
		return &a
	}
	if quantity, ok := props["RequestedQuantity"]; ok {
		if !number(quantity).IsPositive() || number(quantity).LessThan(delivered) {
			a := s.refuse(http.StatusBadRequest, "V1/495", "The quantity of item "+one.text("SalesOrderItem")+" is less than what has been delivered")
			return &a
		}
	}
	return nil
}

func (s *Server) touch(order *row) {
	order.version++
	order.props["LastChangeDateTime"] = instant(s.now())
}

var currencyPlaces = map[string]int32{"JPY": 0, "KRW": 0, "ISK": 0, "KWD": 3, "BHD": 3, "TND": 3}

func placesOf(currency string) int32 {
	if places, ok := currencyPlaces[currency]; ok {
		return places
	}
	return 2
}

// price computes an order's amounts: of each item the net value from its conditions and its part of the header's, the tax
// from the base and the tax classification. It needs mu.
func (s *Server) price(order *row) {
	places := placesOf(order.text("TransactionCurrency"))
	items := s.related(order, schema["A_SalesOrderItem"])
	open := slices.DeleteFunc(slices.Clone(items), func(i *row) bool { return i.text("SalesDocumentRjcnReason") != "" })
	lines := make([]*pricing, len(open))
	for i, item := range open {
		lines[i] = &pricing{rate: s.rateOf(item)}
		for _, e := range s.related(item, schema["A_SalesOrderItemPrElement"]) {
			lines[i].net = lines[i].net.Add(s.conditionAmount(e, item, places))
		}
		lines[i].base = lines[i].net
	}
	for _, e := range s.related(order, schema["A_SalesOrderHeaderPrElement"]) {
		amount := number(e.props["ConditionRateValue"]).Round(places)
		e.props["ConditionAmount"] = amount.StringFixed(places)
		spread(lines, amount, s.o.Conditions[e.text("ConditionType")].Untaxed, places)
	}
	total := decimal.Zero
	for i, item := range open {
		net, tax := lines[i].result(s.knobs.gross, places)
		if s.knobs.taxOff == item.text("SalesOrderItem") {
			tax = tax.Add(decimal.New(1, -places))
		}
		item.props["NetAmount"], item.props["TaxAmount"] = net.StringFixed(places), tax.StringFixed(places)
		total = total.Add(net)
	}
	if s.knobs.taxByDocument && len(open) > 0 {
		byDocument(open, lines, places)
	}
	order.props["TotalNetAmount"] = total.StringFixed(places)
	status := "A"
	switch {
	case len(items) > 0 && len(open) == 0:
		status = "C"
	case len(open) < len(items):
		status = "B"
	}
	order.props["OverallSDDocumentRejectionSts"] = status
}

// pricing is what one item comes to.
type pricing struct{ net, base, rate decimal.Decimal }

// result returns an item's net value and tax. Where the price is gross, the tax is taken out of it.
func (p *pricing) result(gross bool, places int32) (net, tax decimal.Decimal) {
	hundred := decimal.NewFromInt(100)
	if gross {
		tax = p.base.Sub(p.base.Mul(hundred).Div(hundred.Add(p.rate))).Round(places)
		return p.net.Sub(tax), tax
	}
	return p.net, p.base.Mul(p.rate).Div(hundred).Round(places)
}

// spread distributes an amount of the header over items by their net values; the rest goes to the largest.
func spread(lines []*pricing, amount decimal.Decimal, untaxed bool, places int32) {
	if len(lines) == 0 {
		return
	}
	sum, largest := decimal.Zero, 0
	for i, l := range lines {
		sum = sum.Add(l.net)
		if l.net.GreaterThan(lines[largest].net) {
			largest = i
		}
	}
	parts, left := make([]decimal.Decimal, len(lines)), amount
	for i, l := range lines {
		if sum.IsPositive() {
			parts[i] = amount.Mul(l.net).Div(sum).Round(places)
			left = left.Sub(parts[i])
		}
	}
	parts[largest] = parts[largest].Add(left)
	for i, l := range lines {
		l.net = l.net.Add(parts[i])
		if !untaxed {
			l.base = l.base.Add(parts[i])
		}
	}
}

// byDocument rounds the tax once for the document, and corrects the last item.
func byDocument(items []*row, lines []*pricing, places int32) {
	exact, rounded := decimal.Zero, decimal.Zero
	for i, l := range lines {
		exact = exact.Add(l.base.Mul(l.rate).Div(decimal.NewFromInt(100)))
		rounded = rounded.Add(number(items[i].props["TaxAmount"]))
	}
	last := items[len(items)-1]
	last.props["TaxAmount"] = number(last.props["TaxAmount"]).Add(exact.Round(places).Sub(rounded)).StringFixed(places)
}

// conditionAmount is a price for so many units, times the quantity. It needs mu.
func (s *Server) conditionAmount(e, item *row, places int32) decimal.Decimal {
	per := number(e.props["ConditionQuantity"])
	if !per.IsPositive() {
		per = decimal.NewFromInt(1)
	}
	rate := number(e.props["ConditionRateValue"]).Round(s.knobs.rateDecimals)
	amount := rate.Mul(number(item.props["RequestedQuantity"])).Div(per).Round(places)
	e.props["ConditionAmount"] = amount.StringFixed(places)
	return amount
}

func (s *Server) rateOf(item *row) decimal.Decimal {
	class := item.text("ProductTaxClassification1")
	if class == "" {
		class = "1"
		if s.o.MaterialTax != nil {
			class = s.o.MaterialTax(item.text("Material"))
		}
	}
	return s.rates[class]
}
