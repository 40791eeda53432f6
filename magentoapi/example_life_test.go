package magentoapi_test

import (
	"context"
	"fmt"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/magentoapi"
)

// The whole life of an order: a guest fills a cart and orders, the shop invoices, ships and tracks the parcel, and one of
// two pieces comes back.
func Example_lifeOfAnOrder() {
	_, client, closeShop := openShop(nil)
	defer closeShop()
	if err := live(context.Background(), client); err != nil {
		fmt.Println(err)
	}
	// Output:
	// ordered: 000000001 is new, 86.87 EUR to pay
	// invoiced: 000000001 is processing, 86.87 paid
	// shipped: 000000001 is complete, with the parcel 00340434161094042557
	// refunded: 40.46 for 1 x 24-MB01; 000000001 is complete
	// refunded: 000000001 is closed
}

func live(ctx context.Context, client *magentoapi.Client) error {
	orderID, err := buy(ctx, client)
	if err != nil {
		return err
	}
	order, err := client.Orders.Get(ctx, orderID)
	if err != nil {
		return err
	}
	fmt.Printf("ordered: %s is %s, %s %s to pay\n", order.IncrementID, order.State, order.TotalDue.Decimal, order.OrderCurrencyCode)

	if _, err := client.Orders.Invoice(ctx, orderID, magentoapi.NewInvoice{Notify: true}); err != nil {
		return err
	}
	if order, err = client.Orders.Get(ctx, orderID); err != nil {
		return err
	}
	fmt.Printf("invoiced: %s is %s, %s paid\n", order.IncrementID, order.State, order.TotalPaid.Decimal)

	shipmentID, err := client.Shipments.Ship(ctx, orderID, magentoapi.NewShipment{})
	if err != nil {
		return err
	}
	track, err := client.Shipments.AddTrack(ctx, &magentoapi.ShipmentTrack{
		OrderID: order.EntityID, ParentID: magentoapi.ID(shipmentID), TrackNumber: "00340434161094042557",
		Title: "DHL", CarrierCode: magentoapi.CarrierCustom,
	})
	if err != nil {
		return err
	}
	if order, err = client.Orders.Get(ctx, orderID); err != nil {
		return err
	}
	fmt.Printf("shipped: %s is %s, with the parcel %s\n", order.IncrementID, order.State, track.TrackNumber)

	memoID, err := client.Orders.Refund(ctx, orderID, magentoapi.NewCreditMemo{
		Items:          []magentoapi.NewDocumentItem{{OrderItemID: int64(order.Items[0].ItemID), Qty: decimal.New(1, 0)}},
		ShippingAmount: number("0"),
	})
	if err != nil {
		return err
	}
	memo, err := client.CreditMemos.Get(ctx, memoID)
	if err != nil {
		return err
	}
	if order, err = client.Orders.Get(ctx, orderID); err != nil {
		return err
	}
	fmt.Printf("refunded: %s for %s x %s; %s is %s\n",
		memo.GrandTotal.Decimal, memo.Items[0].Qty.Decimal, memo.Items[0].SKU, order.IncrementID, order.State)

	if _, err := client.Orders.Refund(ctx, orderID, magentoapi.NewCreditMemo{}); err != nil { // what is left
		return err
	}
	if order, err = client.Orders.Get(ctx, orderID); err != nil {
		return err
	}
	fmt.Printf("refunded: %s is %s\n", order.IncrementID, order.State)
	return nil
}

// buy orders two pieces as a guest and gives the order's entity id.
func buy(ctx context.Context, client *magentoapi.Client) (int64, error) {
	maskedID, err := client.Carts.CreateGuest(ctx)
	if err != nil {
		return 0, err
	}
	cart := client.GuestCart(maskedID)
	if _, err := cart.AddItem(ctx, &magentoapi.CartItem{SKU: "24-MB01", Qty: number("2")}); err != nil {
		return 0, err
	}
	address := magentoapi.CartAddress{
		Firstname: "Mara", Lastname: "Muster", Street: magentoapi.Street{"Am Markt 1"}, Postcode: "10115", City: "Berlin",
		CountryID: "DE", Telephone: "030 555", Email: "mara@shop.example",
	}
	methods, err := cart.EstimateShipping(ctx, &address)
	if err != nil {
		return 0, err
	}
	details, err := cart.SetShippingInformation(ctx, magentoapi.ShippingInformation{
		ShippingAddress: &address, BillingAddress: &address,
		CarrierCode: string(methods[0].CarrierCode), MethodCode: string(methods[0].MethodCode),
	})
	if err != nil {
		return 0, err
	}
	return cart.PlaceOrder(ctx, &magentoapi.Payment{Method: details.PaymentMethods[0].Code})
}
