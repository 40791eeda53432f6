package fakemagento

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/shopspring/decimal"
)

// What follows is after Sales\Model\ShipOrder, Order\ShipmentDocumentFactory, Order\ShipmentFactory, Order\Item (isDummy,
// getQtyToShip) and the validators of Sales\Model\Order\Shipment\Validation.

type shipItem struct {
	ID  json.Number `json:"order_item_id"`
	Qty json.Number `json:"qty"`
}

// shipRequest is the body of POST /V1/order/:id/ship.
type shipRequest struct {
	Items         []shipItem `json:"items"`
	Notify        bool       `json:"notify"`
	AppendComment bool       `json:"appendComment"`
	Comment       *struct {
		Comment string      `json:"comment"`
		Visible json.Number `json:"is_visible_on_front"`
	} `json:"comment"`
	Tracks []struct {
		Number  string `json:"track_number"`
		Title   string `json:"title"`
		Carrier string `json:"carrier_code"`
	} `json:"tracks"`
	Arguments struct {
		ExtensionAttributes struct {
			SourceCode string `json:"source_code"`
		} `json:"extension_attributes"`
	} `json:"arguments"`
}

func (s *Server) ship(w http.ResponseWriter, r *http.Request) {
	var request shipRequest
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		refuse(w, http.StatusBadRequest, "Decoding error.", nil)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.visible(w, r)
	if o == nil {
		return
	}
	items, problems := s.parcel(o, request)
	for _, t := range request.Tracks {
		if t.Number == "" {
			problems = append(problems, "Please enter a tracking number.")
		}
	}
	if len(problems) > 0 {
		message := "Shipment Document Validation Error(s):"
		for _, p := range problems {
			message += "\n" + p
		}
		refuse(w, http.StatusBadRequest, message, nil)
		return
	}
	saved, masked := s.saves(request)
	if masked && !saved {
		refuse(w, http.StatusBadRequest, "Could not save a shipment, see error log for details", nil)
		return
	}
	sh := s.register(o, items, request)
	if masked {
		refuse(w, http.StatusBadRequest, "Could not save a shipment, see error log for details", nil)
		return
	}
	if request.Notify {
		sh.mail()
	}
	answer(w, http.StatusOK, sh.id)
}

// saves tells whether a shipment is saved, and whether what has gone wrong is masked. It needs mu.
func (s *Server) saves(r shipRequest) (saved, masked bool) {
	if len(s.shipments.masks) > 0 {
		saved = s.shipments.masks[0]
		s.shipments.masks = s.shipments.masks[1:]
		return saved, true
	}
	if !slices.Contains(s.options.Sources, s.sourceOf(r)) {
		return false, true // the source has no stock of it to deduct from
	}
	for _, t := range r.Tracks {
		if !s.fits(t.Title, t.Carrier) {
			return false, true
		}
	}
	return true, false
}

// sourceOf is where a shipment leaves from: the one that is named, else the only one, else "default".
func (s *Server) sourceOf(r shipRequest) string {
	switch {
	case r.Arguments.ExtensionAttributes.SourceCode != "":
		return r.Arguments.ExtensionAttributes.SourceCode
	case len(s.options.Sources) == 1:
		return s.options.Sources[0]
	default:
		return defaultSource
	}
}

// rows are the order's rows.
func (o *order) rows() []map[string]any {
	items, _ := o.document["items"].([]any)
	rows := make([]map[string]any, 0, len(items))
	for _, i := range items {
		if row, ok := i.(map[string]any); ok {
			rows = append(rows, row)
		}
	}
	return rows
}

func idOf(row map[string]any) string     { return fmt.Sprint(row["item_id"]) }
func parentOf(row map[string]any) string { return fmt.Sprint(row["parent_item_id"]) }

func hasParent(row map[string]any) bool { return row["parent_item_id"] != nil }

func isVirtual(row map[string]any) bool { return fmt.Sprint(row["is_virtual"]) == "1" }

func (o *order) components(row map[string]any) []map[string]any {
	var all []map[string]any
	for _, other := range o.rows() {
		if hasParent(other) && parentOf(other) == idOf(row) {
			all = append(all, other)
		}
	}
	return all
}

// isSeparate tells of a composite, or a component of one, whether the components are shipped one by one.
func (s *Server) isSeparate(row map[string]any) bool {
	if hasParent(row) {
		return s.separately[parentOf(row)]
	}
	return s.separately[idOf(row)]
}

// isDummy tells whether a row is not what Magento ships by.
func (s *Server) isDummy(o *order, row map[string]any) bool {
	switch {
	case len(o.components(row)) > 0:
		return s.isSeparate(row)
	case hasParent(row):
		return !s.isSeparate(row)
	default:
		return false
	}
}

// openQty is what is open to ship of a row, dummy or not.
func openQty(row map[string]any) decimal.Decimal {
	open := number4(row["qty_ordered"]).Sub(number4(row["qty_shipped"])).Sub(number4(row["qty_refunded"])).Sub(number4(row["qty_canceled"]))
	return decimal.Max(open, decimal.Zero)
}

// toShip is what can be shipped of a row by itself.
func (s *Server) toShip(o *order, row map[string]any) decimal.Decimal {
	if s.isDummy(o, row) {
		return decimal.Zero
	}
	return openQty(row)
}

// part is a row of a shipment that is to be.
type part struct {
	row map[string]any
	qty decimal.Decimal
}

// parcel gives the rows of a shipment, and what is wrong with it. It needs mu.
func (s *Server) parcel(o *order, r shipRequest) ([]part, []string) {
	var problems []string
	rows := o.rows()
	wanted := map[string]decimal.Decimal{}
	for _, item := range r.Items {
		if !slices.ContainsFunc(rows, func(row map[string]any) bool { return idOf(row) == item.ID.String() }) {
			problems = append(problems, "The shipment contains product item that is not part of the original order.")
		}
		wanted[item.ID.String()] = number4(item.Qty)
	}
	if len(r.Items) == 0 {
		for _, row := range rows {
			if !isVirtual(row) && (!hasParent(row) || s.isSeparate(row)) {
				wanted[idOf(row)] = number4(row["qty_ordered"])
			}
		}
	}
	var parts []part
	total := decimal.Zero
	for _, row := range rows {
		if p, ok := s.partOf(o, row, wanted); ok {
			parts = append(parts, p)
		}
	}
	// A composite whose components go one by one is not shipped without any of them.
	parts = slices.DeleteFunc(parts, func(p part) bool {
		return len(o.components(p.row)) > 0 && s.isSeparate(p.row) && !slices.ContainsFunc(parts, func(other part) bool {
			return hasParent(other.row) && parentOf(other.row) == idOf(p.row)
		})
	})
	for _, p := range parts {
		total = total.Add(p.qty)
	}
	state := fmt.Sprint(o.document["state"])
	switch {
	case slices.Contains([]string{"payment_review", "holded", "canceled"}, state) || fmt.Sprint(o.document["is_virtual"]) == "1":
		problems = append(problems, fmt.Sprintf("A shipment cannot be created when an order has a status of %v", o.document["status"]))
	case !slices.ContainsFunc(rows, func(row map[string]any) bool { return !isVirtual(row) && s.toShip(o, row).IsPositive() }):
		problems = append(problems, "The order does not allow a shipment to be created.")
	}
	if !total.IsPositive() {
		problems = append(problems, "You can't create a shipment without products.")
	}
	return parts, problems
}

// partOf gives what of a row goes into a shipment of the wanted quantities.
func (s *Server) partOf(o *order, row map[string]any, wanted map[string]decimal.Decimal) (part, bool) {
	qty := wanted[idOf(row)]
	switch {
	case isVirtual(row):
		return part{}, false
	case !s.isDummy(o, row): // more than what is open is cut without a word
		qty = decimal.Min(qty, s.toShip(o, row))
		return part{row, qty}, qty.IsPositive()
	case !hasParent(row): // a bundle whose components go one by one counts as one
		return part{row, decimal.New(1, 0)}, true
	}
	of := s.composite(o, row)
	if of == nil || !wanted[idOf(of)].IsPositive() {
		return part{}, false
	}
	if of["product_type"] != "bundle" { // a variant is in its product's row
		return part{row, decimal.Zero}, true
	}
	per := number4(row["qty_ordered"]).Div(number4(of["qty_ordered"]))
	return part{row, decimal.Min(per.Mul(wanted[idOf(of)]), openQty(row)).Round(4)}, true
}

func (s *Server) composite(o *order, row map[string]any) map[string]any {
	for _, other := range o.rows() {
		if idOf(other) == parentOf(row) {
			return other
		}
	}
	return nil
}

// register saves a shipment and what it means for its order. It needs mu.
func (s *Server) register(o *order, parts []part, r shipRequest) *shipment {
	store, _ := strconv.Atoi(fmt.Sprint(o.document["store_id"]))
	s.shipments.numbers[store]++
	number := fmt.Sprintf("%09d", s.shipments.numbers[store])
	if store > 1 {
		number = strconv.Itoa(store) + number
	}
	now := time.Now().UTC().Format(layout)
	s.shipments.last++
	sh := &shipment{id: s.shipments.last, order: o.id, items: []any{}}
	total := decimal.Zero
	for _, p := range parts {
		s.shipments.nextItem++
		sh.items = append(sh.items, map[string]any{
			"entity_id": s.shipments.nextItem, "parent_id": sh.id, "order_item_id": p.row["item_id"], "product_id": p.row["product_id"],
			"sku": p.row["sku"], "name": p.row["name"], "price": p.row["price"], "weight": p.row["weight"], "qty": amount(p.qty),
		})
		if !s.isDummy(o, p.row) {
			total = total.Add(p.qty)
		}
		p.row["qty_shipped"] = amount(number4(p.row["qty_shipped"]).Add(p.qty))
		s.inventory.take(text(p.row["sku"]), s.sourceOf(r), p.qty)
	}
	sh.document = map[string]any{
		"entity_id": sh.id, "increment_id": number, "order_id": o.id, "store_id": store, "total_qty": amount(total),
		"billing_address_id": 2 * o.id, "shipping_address_id": 2*o.id - 1, "created_at": now, "updated_at": now,
		"extension_attributes": map[string]any{"source_code": s.sourceOf(r)},
	}
	for _, t := range r.Tracks {
		s.track(sh, t.Number, t.Title, t.Carrier)
	}
	if r.Comment != nil {
		sh.comments = append(sh.comments, Comment{
			Text: r.Comment.Comment, CreatedAt: time.Now(), Notified: r.Notify && r.AppendComment, VisibleOnFront: r.Comment.Visible == "1",
		})
	}
	s.shipments.byID[sh.id] = sh
	s.shipments.of[o.id] = append(s.shipments.of[o.id], sh)
	if o.document["state"] == "new" {
		o.document["state"], o.document["status"] = "processing", "processing"
	}
	s.progress(o)
	o.document["updated_at"] = now
	return sh
}

// progress makes an order complete of which nothing is open to ship or to invoice. It needs mu.
func (s *Server) progress(o *order) {
	if o.document["state"] != "processing" {
		return
	}
	for _, row := range o.rows() {
		if isVirtual(row) || hasParent(row) && !s.isSeparate(row) {
			continue
		}
		invoiced := number4(row["qty_invoiced"]).Add(number4(row["qty_canceled"]))
		if s.toShip(o, row).IsPositive() || invoiced.LessThan(number4(row["qty_ordered"])) {
			return
		}
	}
	o.document["state"], o.document["status"] = "complete", "complete"
}
