package fakemagento

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/shopspring/decimal"
)

// defaultSource is the source that Magento takes where none is named and there are several.
const defaultSource = "default"

// Shipment is what was sent of an order at once.
type Shipment struct {
	ID         int
	Number     string
	SourceCode string
	// Items are the quantities above 0 by the item id of the order's row.
	Items  map[string]string
	Tracks []Track
	// Mails are the mails about it to the customer, each with the tracking numbers that it had then.
	Mails [][]string
}

// Track is a tracking number.
type Track struct {
	ID                         int
	Number, Title, CarrierCode string
}

// shipments are all of a shop. They need the server's mu.
type shipments struct {
	byID      map[int]*shipment
	of        map[int][]*shipment // by the order's id, oldest first
	last      int                 // entity id
	numbers   map[int]int         // by store id: the last shipment number
	nextItem  int
	nextTrack int
	masks     []bool // of the next saves, which fail: whether they are done all the same
}

type shipment struct {
	id, order int
	document  map[string]any
	items     []any
	tracks    []Track
	comments  []Comment
	mails     [][]string
}

var shipmentColumns = []string{
	"entity_id", "increment_id", "order_id", "store_id", "customer_id", "total_qty", "created_at", "updated_at",
}

func (s *Server) shipmentRoutes(routes *http.ServeMux) {
	const resource = "Magento_Sales::shipment"
	routes.Handle("POST /V1/order/{id}/ship", s.allowed("Magento_Sales::ship", s.ship))
	routes.Handle("GET /V1/shipments", s.allowed(resource, s.searchShipments))
	routes.Handle("GET /V1/shipment/{id}", s.allowed(resource, s.ofShipment(func(w http.ResponseWriter, _ *http.Request, sh *shipment) {
		answer(w, http.StatusOK, sh.show())
	})))
	routes.Handle("GET /V1/shipment/{id}/label", s.allowed(resource, s.ofShipment(func(w http.ResponseWriter, _ *http.Request, _ *shipment) {
		answer(w, http.StatusOK, "")
	})))
	routes.Handle("POST /V1/shipment/{id}/emails", s.allowed(resource, s.ofShipment(func(w http.ResponseWriter, _ *http.Request, sh *shipment) {
		sh.mail()
		answer(w, http.StatusOK, true)
	})))
	routes.Handle("GET /V1/shipment/{id}/comments", s.allowed(resource, s.ofShipment(func(w http.ResponseWriter, _ *http.Request, sh *shipment) {
		shown := sh.showComments()
		answer(w, http.StatusOK, map[string]any{"items": shown, "search_criteria": map[string]any{"filter_groups": []any{}}, "total_count": len(shown)})
	})))
	routes.Handle("POST /V1/shipment/{id}/comments", s.allowed(resource, s.ofShipment(s.commentShipment)))
	routes.Handle("POST /V1/shipment/track", s.allowed(resource, s.addTrack))
	routes.Handle("DELETE /V1/shipment/track/{id}", s.allowed(resource, s.deleteTrack))
}

// Shipments gives the shipments of an order, oldest first.
func (s *Server) Shipments(order int) []Shipment {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Shipment
	for _, sh := range s.shipments.of[order] {
		one := Shipment{
			ID: sh.id, Number: fmt.Sprint(sh.document["increment_id"]), SourceCode: sh.source(),
			Items: map[string]string{}, Tracks: slices.Clone(sh.tracks), Mails: slices.Clone(sh.mails),
		}
		for _, i := range sh.items {
			item, _ := i.(map[string]any)
			if qty := number4(item["qty"]); qty.IsPositive() {
				one.Items[fmt.Sprint(item["order_item_id"])] = qty.String()
			}
		}
		all = append(all, one)
	}
	return all
}

// TrackCounts gives the number of tracks by order number and tracking number, as "000000001 T1", for every order.
func (s *Server) TrackCounts() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := map[string]int{}
	for _, sh := range s.shipments.byID {
		o := s.find(sh.order)
		if o == nil {
			continue
		}
		for _, t := range sh.tracks {
			counts[fmt.Sprint(o.document["increment_id"])+" "+t.Number]++
		}
	}
	return counts
}

// MaskNextSaves has the next shipments that are to be saved fail with the 400 by which Magento masks whatever went wrong;
// each says whether the shipment is there all the same.
func (s *Server) MaskNextSaves(saved ...bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shipments.masks = append(s.shipments.masks, saved...)
}

// Ship ships quantities of an order by item id, all that is open without any, as a person does in the admin: without a
// track and a mail. It gives the shipment's entity id.
func (s *Server) Ship(id int, quantities map[string]int64) int {
	var r shipRequest
	for item, n := range quantities {
		r.Items = append(r.Items, shipItem{json.Number(item), json.Number(strconv.FormatInt(n, 10))})
	}
	shipped := 0
	s.change(id, func(o *order) {
		parts, problems := s.parcel(o, r)
		if len(problems) > 0 {
			panic(fmt.Errorf("fakemagento: order %d can't be shipped: %q", id, problems))
		}
		shipped = s.register(o, parts, r).id
	})
	return shipped
}

// Invoice invoices all that is open of an order, as a person does in the admin, and gives the invoice's entity id.
func (s *Server) Invoice(id int) int {
	invoiced := 0
	s.change(id, func(o *order) {
		parts, _, _ := o.parts(call{}, toInvoice)
		if wrong := o.checkInvoice(parts, nil); wrong != nil {
			panic(fmt.Errorf("fakemagento: order %d can't be invoiced: %s", id, wrong.template))
		}
		invoiced = s.invoice(o, parts).id
	})
	return invoiced
}

// Edit edits an order, as the admin does: it is cancelled, and another takes its place, which has a suffix to its number.
func (s *Server) Edit(id int) Placed {
	var old string
	s.change(id, func(o *order) { old = fmt.Sprint(o.document["increment_id"]) })
	original, edits, _ := strings.Cut(old, "-")
	n, _ := strconv.Atoi(edits)
	p := s.PlaceOrder(Placing{IncrementID: fmt.Sprintf("%s-%d", original, n+1)})
	s.Cancel(id)
	s.change(id, func(o *order) {
		o.document["relation_child_id"], o.document["relation_child_real_id"] = strconv.Itoa(p.EntityID), p.IncrementID
	})
	s.change(p.EntityID, func(o *order) {
		o.document["relation_parent_id"], o.document["relation_parent_real_id"] = strconv.Itoa(id), old
		o.document["original_increment_id"], o.document["edit_increment"] = original, n+1
	})
	return p
}

func (s *Server) searchShipments(w http.ResponseWriter, r *http.Request) {
	c, wrong := parseCriteria(r.URL.Query(), oneOf(shipmentColumns))
	if wrong != nil {
		wrong.answer(w)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	candidates, indexed := s.shipmentsOf(&c)
	if !indexed {
		candidates = inOrder(s.shipments.byID)
	}
	var rows []row
	for _, sh := range candidates {
		rows = append(rows, row{sh.document, sh.show})
	}
	c.answer(w, rows)
}

// shipmentsOf are the shipments of the order that a search names; there is an index on order_id. It needs mu.
func (s *Server) shipmentsOf(c *criteria) ([]*shipment, bool) {
	for _, group := range c.groups {
		if len(group) == 1 && group[0].Field == "order_id" && group[0].Condition == "eq" {
			id, err := strconv.Atoi(group[0].Value)
			return s.shipments.of[id], err == nil
		}
	}
	return nil, false
}

// ofShipment hands the shipment that a path names to next, or answers 404.
func (s *Server) ofShipment(next func(w http.ResponseWriter, r *http.Request, sh *shipment)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		id, _ := strconv.Atoi(r.PathValue("id"))
		sh := s.shipments.byID[id]
		if sh == nil {
			refuse(w, http.StatusNotFound, "The entity that was requested doesn't exist. Verify the entity and try again.", nil)
			return
		}
		next(w, r, sh)
	}
}

func (sh *shipment) show() map[string]any {
	d := map[string]any{"items": sh.items, "comments": sh.showComments(), "packages": []any{}}
	for key, value := range sh.document {
		d[key] = value
	}
	tracks := []any{}
	for _, t := range sh.tracks {
		tracks = append(tracks, sh.showTrack(t))
	}
	d["tracks"] = tracks
	return d
}

func (sh *shipment) showTrack(t Track) map[string]any {
	return map[string]any{
		"entity_id": t.ID, "parent_id": sh.id, "order_id": sh.order, "track_number": t.Number, "title": t.Title,
		"carrier_code": t.CarrierCode, "description": "", "weight": json.Number("0"), "qty": json.Number("0"),
		"created_at": sh.document["created_at"], "updated_at": sh.document["updated_at"],
	}
}

func (sh *shipment) showComments() []any {
	shown := []any{}
	for i, c := range sh.comments {
		shown = append(shown, map[string]any{
			"comment": c.Text, "created_at": c.CreatedAt.UTC().Format(layout), "entity_id": sh.id*1000 + i, "parent_id": sh.id,
			"is_customer_notified": flag(c.Notified), "is_visible_on_front": flag(c.VisibleOnFront),
		})
	}
	return shown
}

func (sh *shipment) source() string {
	attributes, _ := sh.document["extension_attributes"].(map[string]any)
	return fmt.Sprint(attributes["source_code"])
}

func (sh *shipment) mail() {
	numbers := []string{}
	for _, t := range sh.tracks {
		numbers = append(numbers, t.Number)
	}
	sh.mails = append(sh.mails, numbers)
	sh.document["email_sent"] = 1
}

func (s *Server) commentShipment(w http.ResponseWriter, r *http.Request, sh *shipment) {
	var body struct {
		Entity *struct {
			Comment  string      `json:"comment"`
			Parent   json.Number `json:"parent_id"`
			Notified json.Number `json:"is_customer_notified"`
			Visible  json.Number `json:"is_visible_on_front"`
		} `json:"entity"`
	}
	switch err := json.NewDecoder(r.Body).Decode(&body); {
	case err != nil:
		refuse(w, http.StatusBadRequest, "Decoding error.", nil)
	case body.Entity == nil || body.Entity.Parent.String() != strconv.Itoa(sh.id) || body.Entity.Comment == "":
		refuse(w, http.StatusBadRequest, "Could not save the shipment comment.", nil)
	default:
		sh.comments = append(sh.comments, Comment{
			Text: body.Entity.Comment, CreatedAt: time.Now(),
			Notified: body.Entity.Notified == "1", VisibleOnFront: body.Entity.Visible == "1",
		})
		shown := sh.showComments()
		answer(w, http.StatusOK, shown[len(shown)-1])
	}
}

func (s *Server) addTrack(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Entity *struct {
			Order   json.Number  `json:"order_id"`
			Parent  json.Number  `json:"parent_id"`
			Number  *string      `json:"track_number"`
			Title   *string      `json:"title"`
			Carrier *string      `json:"carrier_code"`
			Weight  *json.Number `json:"weight"`
			Qty     *json.Number `json:"qty"`
		} `json:"entity"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		refuse(w, http.StatusBadRequest, "Decoding error.", nil)
		return
	}
	e := body.Entity
	if e == nil {
		refuse(w, http.StatusBadRequest, `"%fieldName" is required. Enter and try again.`, map[string]string{"fieldName": "entity"})
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	id, _ := strconv.Atoi(e.Parent.String())
	sh := s.shipments.byID[id]
	missing := e.Number == nil || e.Title == nil || e.Carrier == nil || e.Weight == nil || e.Qty == nil
	if missing || sh == nil || e.Order.String() != strconv.Itoa(sh.order) || *e.Number == "" || *e.Carrier == "" ||
		!s.fits(*e.Title, *e.Carrier) {
		refuse(w, http.StatusBadRequest, "Could not save the shipment tracking.", nil)
		return
	}
	t := s.track(sh, *e.Number, *e.Title, *e.Carrier)
	answer(w, http.StatusOK, sh.showTrack(t))
}

func (s *Server) deleteTrack(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, _ := strconv.Atoi(r.PathValue("id"))
	for _, sh := range s.shipments.byID {
		sh.tracks = slices.DeleteFunc(sh.tracks, func(t Track) bool { return t.ID == id })
	}
	answer(w, http.StatusOK, true) // also where there was none
}

// fits reports whether the columns hold a title and a carrier code.
func (s *Server) fits(title, carrier string) bool {
	return utf8.RuneCountInString(title) <= 255 && utf8.RuneCountInString(carrier) <= 32
}

// track adds one to a shipment: Magento keeps a number that is there already a second time. It needs mu.
func (s *Server) track(sh *shipment, number, title, carrier string) Track {
	if carrier != "custom" && !slices.Contains(s.options.Carriers, carrier) {
		s.problems["a track's carrier code is neither custom nor that of an installed carrier"]++
	}
	s.shipments.nextTrack++
	t := Track{s.shipments.nextTrack, number, title, carrier}
	sh.tracks = append(sh.tracks, t)
	sh.document["updated_at"] = time.Now().UTC().Format(layout)
	return t
}

// number4 reads a quantity of a document.
func number4(v any) decimal.Decimal {
	d, err := decimal.NewFromString(fmt.Sprint(v))
	if err != nil {
		return decimal.Zero
	}
	return d.Round(4)
}
