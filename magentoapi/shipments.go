package magentoapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strconv"
)

// ShipmentsService calls the endpoints of shipments and their tracks. Ids are entity ids.
//
// Source of the endpoints: app/code/Magento/Sales/etc/webapi.xml.
type ShipmentsService struct{ client *Client }

// A NewShipment is what of an order is to be shipped.
type NewShipment struct {
	// Items are what is in it; none is everything that can be shipped. Of a quantity that is more than what is open of
	// its row, Magento ships what is open and says nothing (Sales\Model\Order\ShipmentFactory).
	Items  []NewDocumentItem
	Tracks []NewTrack
	// Notify mails the shipment to the customer.
	Notify bool
	// Comment is written to the shipment, empty for none. CommentVisible shows it in the customer's account, MailComment
	// adds it to the mail.
	Comment                     string
	CommentVisible, MailComment bool
	// SourceCode is that of the place that it is sent from. Without one Magento takes the stock's only source, else the
	// one with the code "default".
	SourceCode string
}

// A NewTrack is a tracking number for a new shipment. Its fields are those of ShipmentTrack.
type NewTrack struct {
	TrackNumber, Title, CarrierCode string
}

// Ship ships an order, or a part of it, and gives the shipment's entity id.
//
// It is not repeated by itself, and must not be without a look at the order's shipments: as long as something is open, each
// call ships more. A 400 is a refusal ("Shipment Document Validation Error(s): …"), or a save that failed
// (Error.Transient); in the second case too the shipment may be there. Orders that are on hold, cancelled, in payment
// review or virtual are refused.
//
// POST /V1/order/:orderId/ship, permission Magento_Sales::ship; Sales\Model\ShipOrder
func (s *ShipmentsService) Ship(ctx context.Context, orderID int64, n NewShipment) (int64, error) {
	type track struct {
		TrackNumber string `json:"track_number"`
		Title       string `json:"title"`
		CarrierCode string `json:"carrier_code"`
	}
	type extensionAttributes struct {
		SourceCode string `json:"source_code"`
	}
	type arguments struct {
		ExtensionAttributes extensionAttributes `json:"extension_attributes"`
	}
	body := struct {
		Items         []documentItem   `json:"items,omitempty"`
		Notify        bool             `json:"notify"`
		AppendComment bool             `json:"appendComment"`
		Comment       *documentComment `json:"comment,omitempty"`
		Tracks        []track          `json:"tracks,omitempty"`
		Arguments     *arguments       `json:"arguments,omitempty"`
	}{Items: documentItems(n.Items), Notify: n.Notify, AppendComment: n.MailComment, Comment: commentOf(n.Comment, n.CommentVisible)}
	for _, t := range n.Tracks {
		body.Tracks = append(body.Tracks, track(t))
	}
	if n.SourceCode != "" {
		body.Arguments = &arguments{extensionAttributes{n.SourceCode}}
	}
	op := operation{method: http.MethodPost, path: fmt.Sprintf("/V1/order/%d/ship", orderID)}
	var id ID
	if err := s.client.call(ctx, op, body, &id); err != nil {
		return 0, err
	}
	if id == 0 {
		return 0, op.unreadable(http.StatusOK, nil, errors.New("no id of a shipment"))
	}
	return int64(id), nil
}

// Get reads a shipment; ErrNotFound if there is none.
//
// GET /V1/shipment/:id, permission Magento_Sales::shipment
func (s *ShipmentsService) Get(ctx context.Context, id int64) (*Shipment, error) {
	return getByID(ctx, s.client, operation{method: http.MethodGet, path: shipmentPath(id)}, "shipment", id, func(s *Shipment) ID { return s.EntityID })
}

// Search reads one page of shipments. Without a sort they are sorted by entity_id.
//
// GET /V1/shipments, permission Magento_Sales::shipment
func (s *ShipmentsService) Search(ctx context.Context, criteria SearchCriteria) (*Page[*Shipment], error) {
	return search[Shipment](ctx, s.client, "/V1/shipments", "entity_id", criteria)
}

// All gives all shipments that a search finds, a page in memory at a time: see OrdersService.All.
//
// GET /V1/shipments, permission Magento_Sales::shipment
func (s *ShipmentsService) All(ctx context.Context, criteria SearchCriteria) iter.Seq2[*Shipment, error] {
	return walk(ctx, criteria, "entity_id", func(s *Shipment) ID { return s.EntityID }, s.Search)
}

// OfOrder reads all shipments of an order, oldest first.
//
// GET /V1/shipments, permission Magento_Sales::shipment
func (s *ShipmentsService) OfOrder(ctx context.Context, orderID int64) ([]*Shipment, error) {
	var all []*Shipment
	for shipment, err := range s.All(ctx, SearchCriteria{}.Where(Eq("order_id", strconv.FormatInt(orderID, 10)))) {
		if err != nil {
			return nil, err
		}
		// An answer about another order's shipments would send this one's tracks there.
		if err := oddAt(shipment.odd, "order_id"); err != nil {
			return nil, fmt.Errorf("magento: shipment %d can't be read: %w", shipment.EntityID, err)
		}
		if int64(shipment.OrderID) != orderID {
			return nil, fmt.Errorf("magento: asked for the shipments of order %d, shipment %d is of order %d: %w",
				orderID, shipment.EntityID, shipment.OrderID, ErrUnreadable)
		}
		all = append(all, shipment)
	}
	return all, nil
}

// AddTrack adds a tracking number to a shipment. OrderID and ParentID, the shipment's, must be set, and must belong
// together. Magento looks neither for the same number, which it keeps twice, nor at the carrier code. It gives the track
// as it is now. No mail is sent: see SendEmail.
//
// POST /V1/shipment/track, permission Magento_Sales::shipment; the body's fields are those of
// app/code/Magento/Sales/Api/Data/ShipmentTrackInterface.php, of which weight, qty and description may not be left out
func (s *ShipmentsService) AddTrack(ctx context.Context, t *ShipmentTrack) (*ShipmentTrack, error) {
	body := map[string]any{
		"order_id": t.OrderID, "parent_id": t.ParentID, "track_number": t.TrackNumber, "title": t.Title,
		"carrier_code": t.CarrierCode, "description": t.Description,
		"weight": json.Number(t.Weight.Decimal.String()), "qty": json.Number(t.Qty.Decimal.String()),
	}
	var added ShipmentTrack
	op := operation{method: http.MethodPost, path: "/V1/shipment/track"}
	if err := s.client.call(ctx, op, map[string]any{"entity": body}, &added); err != nil {
		return nil, err
	}
	return &added, nil
}

// DeleteTrack removes a tracking number by its own entity id.
//
// DELETE /V1/shipment/track/:id, permission Magento_Sales::shipment
func (s *ShipmentsService) DeleteTrack(ctx context.Context, id int64) error {
	op := operation{method: http.MethodDelete, path: fmt.Sprintf("/V1/shipment/track/%d", id)}
	return s.client.confirmed(ctx, op, nil)
}

// SendEmail mails a shipment to the customer, with the tracks that it has now. It reports whether the mail was sent: a shop
// may not send such mails, or send them later.
//
// POST /V1/shipment/:id/emails, permission Magento_Sales::shipment; Sales\Model\Service\ShipmentService::notify
func (s *ShipmentsService) SendEmail(ctx context.Context, id int64) (bool, error) {
	return sendEmail(ctx, s.client, shipmentPath(id)+"/emails")
}

// Label gives the shipping label as the carrier's module has stored it; empty if there is none.
//
// GET /V1/shipment/:id/label, permission Magento_Sales::shipment
func (s *ShipmentsService) Label(ctx context.Context, id int64) (string, error) {
	label, err := get[Text](ctx, s.client, shipmentPath(id)+"/label")
	if err != nil {
		return "", err
	}
	return string(*label), nil
}

// Comments reads all comments of a shipment; the endpoint has no pages.
//
// GET /V1/shipment/:id/comments, permission Magento_Sales::shipment
func (s *ShipmentsService) Comments(ctx context.Context, id int64) ([]DocumentComment, error) {
	return comments[DocumentComment](ctx, s.client, shipmentPath(id)+"/comments")
}

// AddComment adds a comment to a shipment, and gives it as it is now. Nothing is mailed.
//
// POST /V1/shipment/:id/comments, permission Magento_Sales::shipment; the body's fields are those of
// app/code/Magento/Sales/Api/Data/ShipmentCommentInterface.php
func (s *ShipmentsService) AddComment(ctx context.Context, id int64, c Comment) (*DocumentComment, error) {
	return addDocumentComment(ctx, s.client, shipmentPath(id)+"/comments", id, c)
}

func shipmentPath(id int64) string { return fmt.Sprintf("/V1/shipment/%d", id) }
