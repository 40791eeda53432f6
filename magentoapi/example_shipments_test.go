package magentoapi_test

import (
	"context"
	"fmt"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/magentoapi"
)

// One piece is shipped with its tracking number, then the rest; another number is added to the first shipment.
func ExampleShipmentsService() {
	_, client, done := simulated()
	defer done()
	ctx := context.Background()
	order, err := client.Orders.Get(ctx, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	first, err := client.Shipments.Ship(ctx, 1, magentoapi.NewShipment{
		Items:  []magentoapi.NewDocumentItem{{OrderItemID: int64(order.Items[0].ItemID), Qty: decimal.New(1, 0)}},
		Tracks: []magentoapi.NewTrack{{TrackNumber: "JJD0001", Title: "DHL Paket", CarrierCode: "dhl"}},
		Notify: true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := client.Shipments.Ship(ctx, 1, magentoapi.NewShipment{}); err != nil {
		fmt.Println(err)
		return
	}
	if _, err := client.Shipments.AddTrack(ctx, &magentoapi.ShipmentTrack{
		OrderID: 1, ParentID: magentoapi.ID(first), TrackNumber: "JJD0002", Title: "Messenger", CarrierCode: magentoapi.CarrierCustom,
	}); err != nil {
		fmt.Println(err)
		return
	}
	shipments, err := client.Shipments.OfOrder(ctx, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range shipments {
		fmt.Println(s.IncrementID, "pieces:", s.TotalQty.Decimal, "mailed:", s.EmailSent.Bool)
		for _, t := range s.Tracks {
			fmt.Println(" ", t.Title, t.TrackNumber)
		}
	}
	_, err = client.Shipments.Ship(ctx, 1, magentoapi.NewShipment{})
	fmt.Println(err)
	// Output:
	// 000000001 pieces: 1 mailed: true
	//   DHL Paket JJD0001
	//   Messenger JJD0002
	// 000000002 pieces: 1 mailed: false
	// magento: POST /V1/order/1/ship: 400: Shipment Document Validation Error(s): The order does not allow a shipment to be created. You can't create a shipment without products.
}
