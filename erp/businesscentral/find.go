package businesscentral

import (
	"context"
	"fmt"
	"net/url"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/erphttp"
	"github.com/mageline/mageline/event"
)

// Find asks for the orders with a reference and, since a posted order is gone, for the invoices and shipments that came of one.
// Several that came of one order are one document.
func (c *Client) Find(ctx context.Context, reference string) ([]erp.Document, error) {
	wanted, err := referenceOf(reference)
	if err != nil {
		return nil, err
	}
	var found []erp.Document
	seen := map[string]bool{}
	for _, set := range []struct{ name, fields string }{
		{"salesOrders", "id,number,status,externalDocumentNumber,totalAmountIncludingTax"},
		{"salesInvoices", "id,number,orderNumber,externalDocumentNumber"},
		{"salesShipments", "id,number,orderNumber,externalDocumentNumber"},
	} {
		records, err := c.search(ctx, "find sales order "+reference, set.name, equals("externalDocumentNumber", wanted), url.Values{"$select": {set.fields}, "$top": {"20"}})
		if err != nil {
			return nil, err
		}
		for _, r := range records {
			if code(r.Reference) != wanted {
				continue
			}
			if set.name != "salesOrders" && r.OrderNumber != "" {
				r = record{Number: r.OrderNumber}
			}
			if r.Number == "" {
				return nil, &event.Error{
					Class: event.Unavailable, Downstream: erphttp.Downstream, Unreadable: true,
					Err: fmt.Errorf("find sales order %s: a record of %s has no number", reference, set.name),
				}
			}
			if !seen[r.Number] {
				seen[r.Number] = true
				found = append(found, documentOf(r))
			}
		}
	}
	return found, nil
}
