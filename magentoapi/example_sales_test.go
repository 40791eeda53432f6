package magentoapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

// simulated gives a shop that keeps state and answers as Magento does, with an order whose entity id is 1, and a client of it.
func simulated() (*fakemagento.Server, *magentoapi.Client, func()) {
	shop := fakemagento.New(fakemagento.Options{Token: "token"})
	server := httptest.NewServer(shop)
	client, err := magentoapi.New(server.URL, magentoapi.Options{
		HTTPClient: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
		Auth:       magentoapi.Bearer(magentoapi.Fixed("token")),
	})
	if err != nil {
		panic(err)
	}
	shop.PlaceOrder(fakemagento.Placing{State: "new", Lines: []fakemagento.Line{
		{SKU: "24-MB01", Name: "Joust Duffle Bag", Qty: 2, Price: decimal.New(34, 0), TaxPercent: decimal.New(19, 0)},
	}})
	return shop, client, func() {
		server.Close()
		shop.Close()
	}
}

// All pages by itself and stays right while orders come in.
func ExampleOrdersService_All() {
	shop, client, done := simulated()
	defer done()
	for range 4 {
		shop.PlaceOrder(fakemagento.Placing{})
	}
	criteria := magentoapi.SearchCriteria{PageSize: 2, Fields: "items[entity_id,state],total_count"}.
		Where(magentoapi.Eq("state", "processing"))
	for order, err := range client.Orders.All(context.Background(), criteria) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(order.EntityID, order.State)
	}
	// Output:
	// 2 processing
	// 3 processing
	// 4 processing
	// 5 processing
}

// The number that another system has given an order. Save sends the ids and what was changed, and nothing else.
func ExampleOrdersService_Save() {
	_, client, done := simulated()
	defer done()
	ctx := context.Background()
	order, err := client.Orders.Get(ctx, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	order.ExtOrderID = "SO-4711"
	if _, err := client.Orders.Save(ctx, order); err != nil {
		fmt.Println(err)
		return
	}
	order, err = client.Orders.Get(ctx, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(order.IncrementID, order.ExtOrderID, len(order.Items))
	// Output: 000000001 SO-4711 1
}

func ExampleInvoicesService() {
	_, client, done := simulated()
	defer done()
	ctx := context.Background()
	id, err := client.Orders.Invoice(ctx, 1, magentoapi.NewInvoice{Comment: "paid by transfer"})
	if err != nil {
		fmt.Println(err)
		return
	}
	invoice, err := client.Invoices.Get(ctx, id)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(invoice.IncrementID, invoice.State == magentoapi.InvoicePaid, invoice.GrandTotal.Decimal, invoice.Comments[0].Comment)

	_, err = client.Orders.Invoice(ctx, 1, magentoapi.NewInvoice{})
	fmt.Println(errors.Is(err, magentoapi.ErrBadRequest), err)
	// Output:
	// 000000001 true 86.87 paid by transfer
	// true magento: POST /V1/order/1/invoice: 400: Invoice Document Validation Error(s): You can't create an invoice without products. An invoice cannot be created when an order has a status of processing.
}

func ExampleCreditMemosService() {
	shop, client, done := simulated()
	defer done()
	ctx := context.Background()
	shop.Invoice(1)
	order, err := client.Orders.Get(ctx, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	// One piece, without the shipping.
	id, err := client.Orders.Refund(ctx, 1, magentoapi.NewCreditMemo{
		Items:          []magentoapi.NewDocumentItem{{OrderItemID: int64(order.Items[0].ItemID), Qty: decimal.New(1, 0)}},
		ShippingAmount: magentoapi.Decimal{NullDecimal: decimal.NewNullDecimal(decimal.Zero)},
		ReturnToStock:  []int64{int64(order.Items[0].ItemID)},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	memo, err := client.CreditMemos.Get(ctx, id)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(memo.IncrementID, memo.GrandTotal.Decimal, memo.Items[0].SKU, memo.Items[0].Qty.Decimal)
	// Output: 000000001 40.46 24-MB01 1
}

func ExampleTransactionsService() {
	shop, client, done := simulated()
	defer done()
	ctx := context.Background()
	order := shop.PlaceOrder(fakemagento.Placing{State: "new", Method: "stripe_payments"})
	if _, err := client.Orders.Invoice(ctx, int64(order.EntityID), magentoapi.NewInvoice{Capture: true}); err != nil {
		fmt.Println(err)
		return
	}
	criteria := magentoapi.SearchCriteria{}.Where(magentoapi.Eq("order_id", fmt.Sprint(order.EntityID)))
	for transaction, err := range client.Transactions.All(ctx, criteria) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(transaction.TxnType, transaction.Method)
	}
	// Output: capture stripe_payments
}
