package sap

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/codes"
	"github.com/mageline/mageline/erp/erphttp"
	"github.com/mageline/mageline/event"
)

// The steps of an order.
const (
	stepOrder    = "order"
	stepAddress  = "address "
	stepRounding = "rounding"
)

// salesOrder is what is read of A_SalesOrder.
type salesOrder struct {
	SalesOrder, PurchaseOrderByCustomer, SoldToParty          string
	SalesOrganization, DistributionChannel                    string
	OrganizationDivision, TransactionCurrency                 string
	TotalCreditCheckStatus                                    string
	DeliveryBlockReason, HeaderBillingBlockReason             string
	TotalBlockStatus, OverallSDDocumentRejectionSts, SalesDoc string
	TotalNetAmount                                            *amount
	Items                                                     items `json:"to_Item"`
}

// items are those of an order, or nil where the answer has only the address of them.
type items []orderItem

// orderItem is what is read of A_SalesOrderItem.
type orderItem struct {
	SalesOrderItem, PurchaseOrderByCustomer, Material string
	SalesDocumentRjcnReason, RequestedQuantityUnit    string
	RequestedQuantity, NetAmount                      amount
	TaxAmount                                         *amount
}

// UnmarshalJSON reads the list of items, or none where there is only its address.
func (i *items) UnmarshalJSON(b []byte) error {
	var nested struct {
		Results []orderItem `json:"results"`
	}
	if err := json.Unmarshal(b, &nested); err != nil {
		return err
	}
	*i = nested.Results
	return nil
}

// total returns what the order comes to, tax included; false where the answer does not say so. SAP keeps no such sum.
func (o salesOrder) total() (decimal.Decimal, bool) {
	if o.TotalNetAmount == nil || len(o.Items) == 0 {
		return decimal.Zero, false
	}
	sum := o.TotalNetAmount.Decimal
	for _, i := range o.Items {
		if i.TaxAmount == nil {
			return decimal.Zero, false
		}
		if i.SalesDocumentRjcnReason == "" {
			sum = sum.Add(i.TaxAmount.Decimal)
		}
	}
	return sum, true
}

// document returns what the caller is told of the order.
func (o salesOrder) document() erp.Document {
	d := erp.Document{Number: strings.TrimLeft(o.SalesOrder, "0"), Lines: map[string]string{}}
	for _, i := range o.Items {
		d.Lines[i.PurchaseOrderByCustomer] = i.SalesOrderItem
	}
	if total, ok := o.total(); ok {
		d.Total = erp.NewAmount(total)
	}
	for _, block := range []struct{ value, text string }{
		{strings.Trim(o.TotalCreditCheckStatus, "AD "), "its credit check has the status "},
		{o.DeliveryBlockReason, "its delivery is blocked with the reason "},
		{o.HeaderBillingBlockReason, "its billing is blocked with the reason "},
	} {
		if block.value != "" {
			d.Notes = append(d.Notes, block.text+block.value)
		}
	}
	return d
}

// several reports whether an order of these codes takes more than one request that changes something.
func several(f *codes.File, p erp.Payload) bool {
	return len(p.Requests) > 1 || f.Accounts.Rounding != ""
}

// Create posts the order and does what is to follow: addresses, where they go by requests of their own, and a condition of the
// account rounding, where SAP's tax makes another total than Magento's.
func (s *Client) Create(ctx context.Context, c erp.Call, p erp.Payload) (erp.Document, error) {
	if len(p.Requests) == 0 {
		return erp.Document{}, event.NotDone(internal(fmt.Errorf("create sales order %s: the payload is not one that Build makes", p.Order.ExternalReference)))
	}
	f := s.o.Codes()
	body, err := s.withCustomer(ctx, c, p, p.Requests[0].Body)
	if err != nil {
		return erp.Document{}, err
	}
	var created salesOrder
	post := func(ctx context.Context, a erp.Attempt) (string, error) {
		if err := a.MayRepeat("order " + p.Order.ExternalReference); err != nil {
			return "", err
		}
		var err error
		created, err = s.post(ctx, p, body)
		return strings.TrimLeft(created.SalesOrder, "0"), err
	}
	if !several(f, p) {
		if _, err := post(ctx, erp.Attempt{}); err != nil {
			return erp.Document{}, err
		}
		return s.compared(ctx, created), nil
	}
	number, err := c.Do(ctx, stepOrder, post)
	if err != nil {
		return erp.Document{}, err
	}
	return s.complete(ctx, c, f, p, number, created, false)
}

// Complete goes on with an order that an earlier attempt has left without its addresses or its rounding.
func (s *Client) Complete(ctx context.Context, c erp.Call, p erp.Payload, d erp.Document) (erp.Document, error) {
	f := s.o.Codes()
	if !several(f, p) {
		return d, nil
	}
	number, err := c.Do(ctx, stepOrder, func(_ context.Context, a erp.Attempt) (string, error) {
		if !a.Uncertain {
			return "", errNotOurs
		}
		return d.Number, nil // found: it was carried out
	})
	switch {
	case errors.Is(err, errNotOurs):
		return d, nil
	case err != nil:
		return d, err
	}
	return s.complete(ctx, c, f, p, number, salesOrder{}, true)
}

// errNotOurs means that no attempt to create the order is on record.
var errNotOurs = event.NotDone(&event.Error{Class: event.NotFound, Downstream: downstream, Err: errors.New("no attempt to create the order is on record")})

// complete does the steps behind the create. resumed is true where an earlier attempt may have done some of them.
func (s *Client) complete(ctx context.Context, c erp.Call, f *codes.File, p erp.Payload, number string, o salesOrder, resumed bool) (erp.Document, error) {
	what := "sales order " + number + " of " + p.Order.ExternalReference
	for _, r := range p.Requests[1:] {
		_, err := c.Do(ctx, stepAddress+r.Path, func(ctx context.Context, _ erp.Attempt) (string, error) { // the same again changes nothing
			return "", s.change(ctx, s.orders, "address of "+what, erp.Request{
				Method: r.Method, Path: strings.ReplaceAll(r.Path, orderWord, number), Body: r.Body,
			}, &p.Order)
		})
		if err != nil {
			return erp.Document{Number: number}, fmt.Errorf("%s is in SAP without its address: %w", what, err)
		}
	}
	if _, known := o.total(); !known {
		var err error
		if o, err = s.read(ctx, number, what, true); err != nil {
			return erp.Document{Number: number}, err
		}
	}
	difference, rounds := roundable(p.Order, o, f.Tolerance())
	if f.Accounts.Rounding == "" || !rounds || difference.IsZero() && !resumed {
		return o.document(), nil
	}
	_, err := c.Do(ctx, stepRounding, func(ctx context.Context, a erp.Attempt) (string, error) {
		if difference.IsZero() { // it needed none, or an earlier request was carried out
			return "0", nil
		}
		if err := a.MayRepeat("the rounding of " + what); err != nil {
			return "", err
		}
		return difference.String(), s.round(ctx, f, p.Order, number, what, difference)
	})
	if err != nil {
		return o.document(), fmt.Errorf("%s is in SAP, and differs by %s: %w", what, difference, err)
	}
	if difference.IsZero() {
		return o.document(), nil
	}
	if o, err = s.read(ctx, number, what, true); err != nil {
		return erp.Document{Number: number}, err
	}
	d := o.document()
	if difference.Abs().GreaterThan(f.Tolerance()) {
		d.Notes = append(d.Notes, fmt.Sprintf("%s of the total is booked as rounding: Magento's tax is another than its rate makes of the net amounts", difference))
	}
	return d, nil
}

// roundable returns what Magento's total has more than SAP's, and whether the account rounding takes it: a cent for each item,
// and what Magento's own tax is beside its rate, as where it taxes prices before discounts. What is more is a wrong tax in SAP
// or somebody's work, and is left to be compared.
func roundable(o erp.SalesOrder, in salesOrder, tolerance decimal.Decimal) (decimal.Decimal, bool) {
	difference, known := differs(o, in)
	most := decimal.New(int64(len(in.Items))+1, -erp.Places(o.Currency)).Add(besideRate(o, tolerance).Abs())
	return difference, known && difference.Abs().LessThanOrEqual(most)
}

// besideRate returns what the tax of an order is more than its net amounts at their rates.
func besideRate(o erp.SalesOrder, tolerance decimal.Decimal) decimal.Decimal {
	parts := erp.PartsOf(o, tolerance)
	more := func(s erp.Sum, told erp.Quantity) decimal.Decimal {
		return s.Tax.Sub(s.Net.Mul(s.Percent(told)).Div(decimal.NewFromInt(100)))
	}
	sum := decimal.Zero
	for i, l := range o.Lines {
		sum = sum.Add(more(parts.Lines[i], l.TaxPercent))
	}
	if o.Shipping != nil {
		sum = sum.Add(more(parts.Shipping, o.Shipping.TaxPercent))
	}
	return sum
}

// differs returns what Magento's total has more than SAP's.
func differs(o erp.SalesOrder, in salesOrder) (decimal.Decimal, bool) {
	total, known := in.total()
	if !known || !o.Totals.GrandTotal.Valid {
		return decimal.Zero, false
	}
	return o.Totals.GrandTotal.Decimal.Round(erp.Places(o.Currency)).Sub(total), true
}

// round adds a condition of the account rounding to the header.
func (s *Client) round(ctx context.Context, f *codes.File, o erp.SalesOrder, number, what string, difference decimal.Decimal) error {
	element := map[string]string{"ConditionType": f.Accounts.Rounding, "ConditionRateValue": difference.String()}
	if o.Currency != nil {
		element["ConditionCurrency"] = *o.Currency
	}
	body, err := json.Marshal(element)
	if err != nil {
		return event.NotDone(internal(err))
	}
	return s.change(ctx, s.orders, "round "+what, erp.Request{Method: http.MethodPost, Path: entity("A_SalesOrder", number) + "/to_PricingElement", Body: body}, nil)
}

// post sends the create and reads its answer.
func (s *Client) post(ctx context.Context, p erp.Payload, body []byte) (salesOrder, error) {
	a, err := s.orders.http.Do(ctx, erphttp.Request{
		What: "create sales order " + p.Order.ExternalReference, Method: http.MethodPost, Path: p.Requests[0].Path, Body: body, Order: &p.Order,
	})
	switch {
	case err != nil:
		return salesOrder{}, err
	case !a.OK():
		return salesOrder{}, s.withLine(a.Refused(), p)
	}
	var o salesOrder
	if err := readOne(a, &o); err != nil {
		return salesOrder{}, a.Unreadable(err)
	}
	if o.SalesOrder == "" {
		return salesOrder{}, a.Unreadable(errors.New("it has no SalesOrder"))
	}
	return o, nil
}

// compared returns an order that is there with its total: as the create answered it, or as it is read. One that can't be read
// is there all the same.
func (s *Client) compared(ctx context.Context, o salesOrder) erp.Document {
	if _, known := o.total(); known {
		return o.document()
	}
	if read, err := s.read(ctx, o.SalesOrder, "sales order "+o.SalesOrder, true); err == nil {
		return read.document()
	}
	return o.document()
}

// withLine adds to an error about what is not there in SAP the line of the file of codes that would cure it.
func (s *Client) withLine(err error, p erp.Payload) error {
	if event.ClassOf(err) != event.Invalid {
		return err
	}
	f := s.o.Codes()
	for _, l := range p.Order.Lines {
		if material, codeErr := f.SKU(l.SKU); codeErr == nil && strings.Contains(err.Error(), strings.ToUpper(material)) {
			return fmt.Errorf("%w; if the item is called otherwise in SAP, add to %s, under skus, the line    %q: \"…\"", err, orElse(f.Name(), "the file of codes"), *l.SKU)
		}
	}
	return err
}

// change sends a request that may be repeated, and expects no answer but success.
func (s *Client) change(ctx context.Context, sv *service, what string, r erp.Request, o *erp.SalesOrder) error {
	header := http.Header{}
	if r.Method == http.MethodPatch || r.Method == http.MethodDelete {
		header.Set("If-Match", "*")
	}
	a, err := sv.http.Do(ctx, erphttp.Request{What: what, Method: r.Method, Path: r.Path, Body: r.Body, Header: header, Order: o})
	switch {
	case err != nil:
		return err
	case !a.OK():
		return a.Refused()
	default:
		return nil
	}
}

// Find asks for the orders with a reference. SAP keeps it as it was sent, and so it is compared.
func (s *Client) Find(ctx context.Context, reference string) ([]erp.Document, error) {
	found, err := list[salesOrder](ctx, s.orders, "find sales order "+reference, "/A_SalesOrder", url.Values{
		"$filter": {"PurchaseOrderByCustomer eq " + literal(reference)},
		"$select": {"SalesOrder,PurchaseOrderByCustomer,SoldToParty,CreationDate,OverallSDDocumentRejectionSts"}, "$top": {"10"},
	})
	if err != nil {
		return nil, err
	}
	var docs []erp.Document
	for _, o := range found {
		if o.PurchaseOrderByCustomer == reference && o.SalesOrder != "" {
			docs = append(docs, erp.Document{Number: strings.TrimLeft(o.SalesOrder, "0")})
		}
	}
	return docs, nil
}

// list asks a question whose answer is a list.
func list[T any](ctx context.Context, sv *service, what, path string, query url.Values) ([]T, error) {
	query.Set("$format", "json")
	a, err := sv.http.Do(ctx, erphttp.Request{What: what, Method: http.MethodGet, Path: path, Query: query, Question: true})
	if err != nil {
		return nil, err
	}
	if !a.OK() {
		return nil, a.Refused()
	}
	all, err := readList[T](a)
	if err != nil {
		return nil, a.Unreadable(err)
	}
	return all, nil
}

// read reads an order with its items. question is true where the effect may have begun, false where nothing was sent yet.
func (s *Client) read(ctx context.Context, number, what string, question bool) (salesOrder, error) {
	a, err := s.orders.http.Do(ctx, erphttp.Request{
		What: what, Method: http.MethodGet, Path: entity("A_SalesOrder", number), Query: url.Values{"$expand": {"to_Item"}, "$format": {"json"}}, Question: question,
	})
	if err == nil && !a.OK() {
		err = a.Refused()
	}
	var o salesOrder
	if err == nil {
		if err = readOne(a, &o); err != nil || o.SalesOrder == "" {
			err = a.Unreadable(errors.Join(err, errNoEntity))
		}
	}
	if err != nil && !question {
		return o, event.NotDone(err)
	}
	return o, err
}

// Cancel rejects items: all that are open of the whole document; of a line what is left of it is its new quantity, so that the
// same again changes nothing.
func (s *Client) Cancel(ctx context.Context, _ erp.Call, d erp.Document, x erp.Cancellation) error {
	o, err := s.read(ctx, d.Number, "cancel document "+d.Number, false)
	if err != nil {
		return err
	}
	keep := map[string]decimal.Decimal{}
	for _, l := range x.Lines {
		keep[l.Reference] = l.Row.Keep()
	}
	if !x.Complete {
		for _, l := range x.Lines {
			if !o.has(l.Reference) {
				return event.NotDone(&event.Error{
					Class: event.Rejected, Downstream: downstream,
					Err: fmt.Errorf("cancel document %s: it has no item for line %s: cancel it in SAP by hand", d.Number, l.Reference),
				})
			}
		}
	}
	return s.reduce(ctx, o, x.Complete, keep)
}

func (o salesOrder) has(reference string) bool {
	for _, i := range o.Items {
		if i.PurchaseOrderByCustomer == reference {
			return true
		}
	}
	return false
}

// reduce rejects the items of an order: all of them, or those of which nothing is to be kept; and lowers the others.
func (s *Client) reduce(ctx context.Context, o salesOrder, whole bool, keep map[string]decimal.Decimal) error {
	reason := s.o.Codes().Option(optRejection)
	begun := false
	for _, i := range o.Items {
		quantity, named := keep[i.PurchaseOrderByCustomer]
		var body map[string]string
		switch {
		case i.SalesDocumentRjcnReason != "":
		case whole, named && !quantity.IsPositive():
			body = map[string]string{"SalesDocumentRjcnReason": reason}
		case named && quantity.LessThan(i.RequestedQuantity.Decimal):
			body = map[string]string{"RequestedQuantity": quantity.String()}
		}
		if body == nil {
			continue
		}
		text, err := json.Marshal(body)
		if err != nil {
			return event.NotDone(internal(err))
		}
		err = s.change(ctx, s.orders, "cancel item "+i.SalesOrderItem+" of document "+o.SalesOrder, erp.Request{
			Method: http.MethodPatch, Path: entity("A_SalesOrderItem", "SalesOrder", o.SalesOrder, "SalesOrderItem", i.SalesOrderItem), Body: text,
		}, nil)
		if err != nil && begun {
			return event.MayBeDone(err)
		}
		if err != nil {
			return err
		}
		begun = true
	}
	return nil
}

// withCustomer puts the customer's account in the place of the word for it.
func (s *Client) withCustomer(ctx context.Context, c erp.Call, p erp.Payload, body []byte) ([]byte, error) {
	if !bytes.Contains(body, []byte(`"SoldToParty":"`+customerWord+`"`)) {
		return body, nil
	}
	f := s.o.Codes()
	found, ok, err := erp.FindCustomer(ctx, c, customers{s, f, p.Order.Store}, p.Order, s.o.Prefix, f.MatchEmail())
	if err != nil { // nothing of the order was sent; what became of a new customer is known of its own step
		return nil, event.NotDone(err)
	}
	account := found.Number
	if !ok {
		if account, err = f.GuestAccount(p.Order.Store); err != nil {
			return nil, event.NotDone(err)
		}
	}
	text, err := json.Marshal(account)
	if err != nil {
		return nil, event.NotDone(internal(err))
	}
	// A quote within a text is escaped: these can only be properties.
	for _, property := range []string{"SoldToParty", "Customer"} {
		body = bytes.ReplaceAll(body, []byte(`"`+property+`":"`+customerWord+`"`), []byte(`"`+property+`":`+string(text)))
	}
	return body, nil
}
