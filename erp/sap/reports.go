package sap

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/codes"
	"github.com/mageline/mageline/erp/erphttp"
	"github.com/mageline/mageline/event"
)

// The fields of a delivery that are free for a shop's reference and tracking number, unless the file of codes names others.
const (
	defaultReferenceField = "BillOfLading"
	defaultTrackingField  = "DeliveryDocumentBySupplier"
	maxDeliveryField      = 35
)

// delivery is what is read of A_OutbDeliveryHeader.
type delivery struct {
	number, reference, tracking string
	picked, posted              bool
	etag                        string
}

// ReportShipment makes an outbound delivery, where the option delivery is on: it creates the delivery, writes reference and
// tracking number into it, has it picked and posts the goods issue. Only the create can't be repeated; how far the others have
// come the delivery itself says.
func (s *Client) ReportShipment(ctx context.Context, c erp.Call, sh erp.Shipment) (erp.Document, error) {
	f := s.o.Codes()
	if f.Option(optDelivery) != on {
		return erp.Document{}, &erp.Off{Reason: "outbound deliveries are off: options: {delivery: on} has them made"}
	}
	what := "shipment " + sh.ExternalReference
	number, err := c.Do(ctx, "delivery", func(ctx context.Context, a erp.Attempt) (string, error) {
		o, err := s.read(ctx, sh.DocumentNumber, what, false)
		if err != nil {
			return "", err
		}
		wanted, err := deliveredItems(o, sh)
		if err != nil {
			return "", event.NotDone(err)
		}
		if a.Uncertain || c.Uncertain {
			left, err := s.leftDelivery(ctx, f, o.SalesOrder, sh.ExternalReference, wanted)
			if err != nil || left != "" {
				return left, err
			}
			if err := either(a, c).MayRepeat(what); err != nil {
				return "", err
			}
		}
		return s.deliver(ctx, what, o, wanted)
	})
	if err != nil {
		return erp.Document{}, err
	}
	if err := s.postDelivery(ctx, f, what, number, sh); err != nil {
		return erp.Document{Number: number}, fmt.Errorf("delivery %s is in SAP and not posted: %w", number, err)
	}
	return erp.Document{Number: number}, nil
}

// either returns what is known of the attempt at a step, or else at the whole effect.
func either(a erp.Attempt, c erp.Call) erp.Attempt {
	if a.Uncertain {
		return a
	}
	return c.Attempt
}

// deliveredItems returns how much of each item of an order is shipped.
func deliveredItems(o salesOrder, sh erp.Shipment) (map[string]decimal.Decimal, error) {
	wanted := map[string]decimal.Decimal{}
	for _, l := range sh.Lines {
		found := false
		for _, i := range o.Items {
			if i.PurchaseOrderByCustomer == l.Reference {
				wanted[i.SalesOrderItem], found = l.Quantity.Decimal, true
			}
		}
		if !found {
			return nil, &event.Error{
				Class: event.Rejected, Downstream: downstream,
				Err: fmt.Errorf("shipment %s: document %s has no item for line %s: deliver it in SAP by hand", sh.ExternalReference, sh.DocumentNumber, l.Reference),
			}
		}
	}
	if len(wanted) == 0 {
		return nil, event.Errorf(event.Invalid, "shipment %s has no lines", sh.ExternalReference)
	}
	return wanted, nil
}

func (s *Client) deliver(ctx context.Context, what string, o salesOrder, wanted map[string]decimal.Decimal) (string, error) {
	units := map[string]string{}
	for _, i := range o.Items {
		units[i.SalesOrderItem] = i.RequestedQuantityUnit
	}
	var items []any
	for _, number := range slices.Sorted(maps.Keys(wanted)) {
		it := map[string]any{
			"ReferenceSDDocument": o.SalesOrder, "ReferenceSDDocumentItem": number, "ActualDeliveryQuantity": wanted[number].String(),
		}
		if units[number] != "" {
			it["DeliveryQuantityUnit"] = units[number]
		}
		items = append(items, it)
	}
	body, err := json.Marshal(map[string]any{"to_DeliveryDocumentItem": map[string]any{"results": items}})
	if err != nil {
		return "", event.NotDone(internal(err))
	}
	a, err := s.deliveries.http.Do(ctx, erphttp.Request{What: "deliver " + what, Method: http.MethodPost, Path: "/A_OutbDeliveryHeader", Body: body})
	if err != nil {
		return "", err
	}
	if !a.OK() {
		return "", a.Refused()
	}
	var created struct{ DeliveryDocument string }
	if err := readOne(a, &created); err != nil || created.DeliveryDocument == "" {
		return "", a.Unreadable(errors.Join(err, errNoEntity))
	}
	return created.DeliveryDocument, nil
}

// leftDelivery looks for the delivery of an earlier attempt: it has our reference, or the same items and quantities and no
// reference of anybody.
func (s *Client) leftDelivery(ctx context.Context, f *codes.File, order, reference string, wanted map[string]decimal.Decimal) (string, error) {
	type row struct {
		DeliveryDocument, ReferenceSDDocumentItem string
		ActualDeliveryQuantity                    amount
	}
	rows, err := list[row](ctx, s.deliveries, "find the delivery of shipment "+reference, "/A_OutbDeliveryItem", url.Values{
		"$filter": {"ReferenceSDDocument eq " + literal(order)},
	})
	if err != nil {
		return "", err
	}
	byDelivery := map[string]map[string]decimal.Decimal{}
	for _, r := range rows {
		if byDelivery[r.DeliveryDocument] == nil {
			byDelivery[r.DeliveryDocument] = map[string]decimal.Decimal{}
		}
		byDelivery[r.DeliveryDocument][strings.TrimLeft(r.ReferenceSDDocumentItem, "0")] = r.ActualDeliveryQuantity.Decimal
	}
	same := func(a, b decimal.Decimal) bool { return a.Equal(b) }
	adopt := ""
	for _, number := range slices.Sorted(maps.Keys(byDelivery)) {
		d, err := s.readDelivery(ctx, f, number, "find the delivery of shipment "+reference)
		switch {
		case err != nil:
			return "", err
		case d.reference == reference:
			return number, nil
		case adopt == "" && d.reference == "" && d.tracking == "" && !d.posted && maps.EqualFunc(byDelivery[number], wanted, same):
			adopt = number
		}
	}
	return adopt, nil
}

func deliveryFields(f *codes.File) (reference, tracking string) {
	fields := f.ShipmentFields()
	return orElse(fields.ReferenceField, defaultReferenceField), orElse(fields.TrackingField, defaultTrackingField)
}

func (s *Client) readDelivery(ctx context.Context, f *codes.File, number, what string) (delivery, error) {
	a, err := s.deliveries.http.Do(ctx, erphttp.Request{
		What: what, Method: http.MethodGet, Path: entity("A_OutbDeliveryHeader", number), Query: url.Values{"$format": {"json"}}, Question: true,
	})
	if err != nil {
		return delivery{}, err
	}
	if !a.OK() {
		return delivery{}, a.Refused()
	}
	var fields map[string]json.RawMessage
	if err := readOne(a, &fields); err != nil {
		return delivery{}, a.Unreadable(err)
	}
	text := func(name string) string {
		var t string
		_ = json.Unmarshal(fields[name], &t) // what is no text is none
		return t
	}
	var metadata struct{ Etag string }
	_ = json.Unmarshal(fields["__metadata"], &metadata) // without one it is changed whatever its version is
	reference, tracking := deliveryFields(f)
	return delivery{
		number: number, reference: text(reference), tracking: text(tracking), etag: orElse(metadata.Etag, "*"),
		picked: text("OverallPickingStatus") == "C", posted: text("OverallGoodsMovementStatus") == "C",
	}, nil
}

// postDelivery does what is still to be done of a delivery.
func (s *Client) postDelivery(ctx context.Context, f *codes.File, what, number string, sh erp.Shipment) error {
	d, err := s.readDelivery(ctx, f, number, what)
	if err != nil || d.posted {
		return err
	}
	if d.reference != sh.ExternalReference {
		reference, tracking := deliveryFields(f)
		fields := map[string]any{}
		words(fields, reference, &sh.ExternalReference, maxDeliveryField)
		for _, t := range sh.Tracks {
			if _, ok := fields[tracking]; !ok {
				words(fields, tracking, t.TrackingNumber, maxDeliveryField)
			}
		}
		body, err := json.Marshal(fields)
		if err != nil {
			return internal(err)
		}
		if err := s.deliveryCall(ctx, "write the reference of "+what, http.MethodPatch, entity("A_OutbDeliveryHeader", number), nil, d.etag, body); err != nil {
			return err
		}
	}
	document := url.Values{"DeliveryDocument": {literal(number)}}
	if !d.picked {
		if err := s.deliveryCall(ctx, "pick "+what, http.MethodPost, "/PickAllItems", document, "*", nil); err != nil {
			return err
		}
	}
	return s.deliveryCall(ctx, "post the goods issue of "+what, http.MethodPost, "/PostGoodsIssue", document, "*", nil)
}

func (s *Client) deliveryCall(ctx context.Context, what, method, path string, query url.Values, etag string, body []byte) error {
	a, err := s.deliveries.http.Do(ctx, erphttp.Request{
		What: what, Method: method, Path: path, Query: query, Body: body, Header: http.Header{"If-Match": {etag}},
	})
	if err == nil && !a.OK() {
		err = a.Refused()
	}
	return event.MayBeDone(err)
}

// ReportCreditMemo makes a credit memo request, from which SAP's billing makes the credit memo, and has the order not deliver
// what was refunded.
func (s *Client) ReportCreditMemo(ctx context.Context, c erp.Call, m erp.CreditMemo) (erp.Document, error) {
	what := "credit memo " + m.ExternalReference
	o, err := s.read(ctx, m.DocumentNumber, what, false)
	if err != nil {
		return erp.Document{}, err
	}
	number, err := c.Do(ctx, "credit memo request", func(ctx context.Context, a erp.Attempt) (string, error) {
		if a.Uncertain || c.Uncertain {
			there, err := s.findCredit(ctx, m.ExternalReference)
			if err != nil || there != "" {
				return there, err
			}
			if err := either(a, c).MayRepeat(what); err != nil {
				return "", err
			}
		}
		body, err := s.creditBody(m, o)
		if err != nil {
			return "", event.NotDone(err)
		}
		return s.credit(ctx, what, body)
	})
	if err != nil {
		return erp.Document{}, err
	}
	keep := map[string]decimal.Decimal{}
	for _, l := range m.Lines {
		if l.Row.Ordered.Valid {
			keep[l.Reference] = l.Row.Keep()
		}
	}
	if err := s.reduce(ctx, o, m.Over(), keep); err != nil {
		return erp.Document{Number: number}, fmt.Errorf("credit memo request %s is in SAP, and the order is not reduced: %w", number, event.MayBeDone(err))
	}
	return erp.Document{Number: number}, nil
}

type creditMemo struct{ CreditMemoRequest, PurchaseOrderByCustomer string }

func (s *Client) findCredit(ctx context.Context, reference string) (string, error) {
	found, err := list[creditMemo](ctx, s.credits, "find credit memo "+reference, "/A_CreditMemoRequest", url.Values{
		"$filter": {"PurchaseOrderByCustomer eq " + literal(reference)}, "$select": {"CreditMemoRequest,PurchaseOrderByCustomer"}, "$top": {"10"},
	})
	if err != nil {
		return "", err
	}
	var numbers []string
	for _, m := range found {
		if m.PurchaseOrderByCustomer == reference {
			numbers = append(numbers, m.CreditMemoRequest)
		}
	}
	switch len(numbers) {
	case 0:
		return "", nil
	case 1:
		return numbers[0], nil
	default:
		return "", event.Errorf(event.Rejected, "SAP has %d credit memo requests for %s: %q. Reject all but one there, then replay", len(numbers), reference, numbers)
	}
}

func (s *Client) credit(ctx context.Context, what string, body []byte) (string, error) {
	a, err := s.credits.http.Do(ctx, erphttp.Request{What: "create " + what, Method: http.MethodPost, Path: "/A_CreditMemoRequest", Body: body})
	if err != nil {
		return "", err
	}
	if !a.OK() {
		return "", a.Refused()
	}
	var created creditMemo
	if err := readOne(a, &created); err != nil || created.CreditMemoRequest == "" {
		return "", a.Unreadable(errors.Join(err, errNoEntity))
	}
	return created.CreditMemoRequest, nil
}

// creditBody maps a credit memo. Who is credited and in which sales area, the order's document says.
func (s *Client) creditBody(m erp.CreditMemo, o salesOrder) ([]byte, error) {
	d := &document{file: s.o.Codes()}
	f := d.file
	parts := erp.PartsOfCreditMemo(m, f.Tolerance())
	to := map[string]any{
		"SalesOrganization": o.SalesOrganization, "DistributionChannel": o.DistributionChannel, "OrganizationDivision": o.OrganizationDivision,
		"SoldToParty": o.SoldToParty, "PurchaseOrderByCustomer": m.ExternalReference, "TransactionCurrency": o.TransactionCurrency,
	}
	if n := len([]rune(m.ExternalReference)); n > maxReference {
		d.failed(event.Errorf(event.Invalid, "the reference has %d characters, and SAP's PurchaseOrderByCustomer %d", n, maxReference))
	}
	d.put(to, "CreditMemoRequestType", f.Option(optCreditType), 4)
	d.put(to, "SDDocumentReason", f.Option(optCreditReason), 3)
	d.put(to, "HeaderBillingBlockReason", f.Option(optCreditBlock), 2)
	d.put(to, "AssignmentReference", o.SalesOrder, 18)
	if m.PlacedOn != nil {
		on, err := date(*m.PlacedOn)
		d.failed(err)
		to["CreditMemoRequestDate"], to["PricingDate"] = on, on
	}
	refers := f.Option(optCreditRefers) == "order"
	if refers {
		to["ReferenceSDDocument"] = o.SalesOrder
	}
	var items []any
	for i, l := range m.Lines {
		it := map[string]any{}
		material, err := f.SKU(l.SKU)
		d.code(it, "Material", maxMaterial, material, err)
		d.put(it, "PurchaseOrderByCustomer", l.Reference, maxReference)
		d.quantity(it, l.Quantity, f.Unit(l.SKU), "line "+l.Reference)
		d.tax(it, parts.Lines[i], l.TaxCode, l.TaxPercent)
		d.price(it, parts.Lines[i], l.Quantity, m.Currency)
		for _, of := range o.Items {
			if refers && of.PurchaseOrderByCustomer == l.Reference {
				it["ReferenceSDDocument"], it["ReferenceSDDocumentItem"] = o.SalesOrder, of.SalesOrderItem
			}
		}
		items = append(items, it)
	}
	if !parts.Shipping.Gross().IsZero() {
		account := erp.AccountRefund // a condition of the header needs items to be spread over
		if f.Option(optShippingAs) == line {
			account = erp.AccountShipping
		}
		items = append(items, d.extra(account, parts.Shipping, m.Shipping.TaxCode, m.Shipping.TaxPercent, m.Currency))
	}
	for _, e := range parts.Extras {
		if e.Account == erp.AccountRounding {
			continue // a cent less or more is a matter of the credit memo's own rounding
		}
		items = append(items, d.extra(e.Account, erp.Sum{Net: e.Amount}, nil, erp.Quantity{}, m.Currency))
	}
	to["to_Item"] = map[string]any{"results": items}
	if err := d.result("credit memo " + m.ExternalReference); err != nil {
		return nil, err
	}
	body, err := json.Marshal(to)
	if err != nil {
		return nil, internal(err)
	}
	return body, nil
}
