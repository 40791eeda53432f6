package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/erphttp"
	"github.com/mageline/mageline/event"
)

// ReportShipment posts to /shipments. Any 2xx is success. It needs no look-up: the adapter answers a second call with the same
// key as the first.
func (c *Client) ReportShipment(ctx context.Context, call erp.Call, s erp.Shipment) (erp.Document, error) {
	return c.report(ctx, erphttp.Request{
		What: "report shipment " + s.ExternalReference, Method: http.MethodPost, Path: erphttp.Path("shipments"), Header: keyed(call.Key),
	}, s)
}

// ReportCreditMemo posts to /credit-memos, as ReportShipment to /shipments.
func (c *Client) ReportCreditMemo(ctx context.Context, call erp.Call, m erp.CreditMemo) (erp.Document, error) {
	return c.report(ctx, erphttp.Request{
		What: "report credit memo " + m.ExternalReference, Method: http.MethodPost, Path: erphttp.Path("credit-memos"), Header: keyed(call.Key),
		Order: &erp.SalesOrder{Customer: m.Customer, Comment: m.Comment},
	}, m)
}

// WriteCustomer puts to /customers/{id}. It has no key: it may be repeated.
func (c *Client) WriteCustomer(ctx context.Context, _ erp.Call, r erp.CustomerRecord) (erp.Document, error) {
	id := strconv.FormatInt(r.ID, 10)
	return c.report(ctx, erphttp.Request{
		What: "write customer " + id, Method: http.MethodPut, Path: erphttp.Path("customers", id), Customer: &r,
	}, r)
}

// report sends what is reported. A document_number in the answer is kept; any other body is as good as none.
func (c *Client) report(ctx context.Context, r erphttp.Request, what any) (erp.Document, error) {
	var err error
	if r.Body, err = json.Marshal(what); err != nil {
		return erp.Document{}, event.NotDone(&event.Error{
			Class: event.Internal, Downstream: erphttp.Downstream, Err: fmt.Errorf("%s: write the body as JSON: %w", r.What, err),
		})
	}
	a, err := c.http.Do(ctx, r)
	switch {
	case err != nil:
		return erp.Document{}, err
	case !a.OK():
		return erp.Document{}, a.Refused()
	}
	number, err := documentNumber(a)
	if err != nil {
		number = ""
	}
	return erp.Document{Number: number}, nil
}
