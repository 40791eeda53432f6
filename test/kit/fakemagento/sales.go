package fakemagento

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/shopspring/decimal"
)

// sales is what belongs to orders but for shipments. After Sales\Model\InvoiceOrder, RefundOrder, RefundInvoice,
// Service\OrderService and the validators of Sales\Model\Order.
type sales struct {
	invoices, creditMemos papers
	transactions          []map[string]any
	lastTransaction       int
}

func (s *Server) salesRoutes(routes *http.ServeMux) {
	route := func(pattern, resource string, f func(call) (any, *problem)) {
		routes.Handle(pattern, s.allowed("Magento_Sales::"+resource, s.endpoint(f)))
	}
	route("POST /V1/orders", "api_actions", s.saveOrder)
	route("PUT /V1/orders/create", "create", s.saveOrder)
	route("PUT /V1/orders/{id}", "create", s.saveOrderAddress)
	route("POST /V1/orders/{id}/cancel", "cancel", s.cancelOrder)
	route("POST /V1/orders/{id}/hold", "hold", s.holdOrder)
	route("POST /V1/orders/{id}/unhold", "unhold", s.unholdOrder)
	route("POST /V1/orders/{id}/emails", "emails", s.mailOrder)
	route("GET /V1/orders/items", "actions_view", s.listOrderItems)

	route("POST /V1/order/{id}/invoice", "invoice", s.invoiceOrder)
	route("POST /V1/order/{id}/refund", "creditmemo", s.refundOrder)
	route("POST /V1/invoice/{id}/refund", "sales_invoice", s.refundInvoice)
	route("POST /V1/invoices/{id}/capture", "sales_invoice", s.captureInvoice)
	route("POST /V1/invoices/{id}/void", "sales_invoice", s.voidInvoice)
	route("POST /V1/invoices/comments", "sales_invoice", func(c call) (any, *problem) {
		entity, wrong := c.object("entity")
		if wrong != nil {
			return nil, wrong
		}
		return s.sales.invoices.comment(entity["parent_id"], entity)
	})
	route("POST /V1/creditmemo/refund", "sales_creditmemo", s.refundAsGiven)
	// The cancel of a credit memo begins with this refusal: Sales\Model\Service\CreditmemoService.
	route("PUT /V1/creditmemo/{id}", "sales_creditmemo", func(call) (any, *problem) {
		return nil, invalid("You can not cancel Credit Memo", nil)
	})
	route("POST /V1/creditmemo/{id}/comments", "sales_creditmemo", func(c call) (any, *problem) {
		entity, wrong := c.object("entity")
		if wrong != nil {
			return nil, wrong
		}
		return s.sales.creditMemos.comment(c.PathValue("id"), entity)
	})
	for _, kind := range []struct {
		list, one, resource string
		papers              *papers
	}{
		{"/V1/invoices", "/V1/invoices/{id}", "sales_invoice", &s.sales.invoices},
		{"/V1/creditmemos", "/V1/creditmemo/{id}", "sales_creditmemo", &s.sales.creditMemos},
	} {
		papers := kind.papers
		papers.numbers = map[int]int{}
		route("GET "+kind.list, kind.resource, func(c call) (any, *problem) {
			return list(c, oneOf([]string{
				"entity_id", "increment_id", "order_id", "store_id", "state", "grand_total", "created_at", "updated_at", "invoice_id",
			}), papers.documents())
		})
		route("GET "+kind.one, kind.resource, papers.of(func(p *paper) (any, *problem) { return p.show(), nil }))
		route("GET "+kind.one+"/comments", kind.resource, papers.of(func(p *paper) (any, *problem) {
			return map[string]any{"items": newestFirst(p.comments), "search_criteria": map[string]any{"filter_groups": []any{}}, "total_count": len(p.comments)}, nil
		}))
		route("POST "+kind.one+"/emails", kind.resource, papers.of(func(p *paper) (any, *problem) {
			p.document["email_sent"] = 1
			return true, nil
		}))
	}
	route("GET /V1/transactions", "transactions_fetch", func(c call) (any, *problem) {
		return list(c, oneOf([]string{"transaction_id", "order_id", "payment_id", "txn_id", "txn_type", "created_at"}), slices.Clone(s.sales.transactions))
	})
	route("GET /V1/transactions/{id}", "transactions_fetch", func(c call) (any, *problem) {
		for _, t := range s.sales.transactions {
			if fmt.Sprint(t["transaction_id"]) == c.PathValue("id") {
				return t, nil
			}
		}
		return nil, unknownEntity()
	})
}

// orderParts answers what is below an order in the paths of GET. One pattern has them all: http.ServeMux can't tell
// /V1/orders/items/{id} from /V1/orders/{id}/comments.
func (s *Server) orderParts(w http.ResponseWriter, r *http.Request) {
	switch part := r.PathValue("part"); {
	case r.PathValue("id") == "items":
		s.endpoint(s.getOrderItem)(w, r)
	case part == "comments":
		s.listComments(w, r)
	case part == "statuses":
		s.getStatus(w, r)
	default:
		refuse(w, http.StatusNotFound, "Request does not match any route.", nil)
	}
}

func unknownEntity() *problem {
	return notFound("The entity that was requested doesn't exist. Verify the entity and try again.", nil)
}

// orderOf gives the order that the path names.
func (s *Server) orderOf(c call) (*order, *problem) {
	id, wrong := c.id("id")
	if wrong != nil {
		return nil, wrong
	}
	if o := s.find(id); o != nil && !time.Now().Before(o.visibleAt) {
		return o, nil
	}
	return nil, unknownEntity()
}

// parts are the rows of a new document: those that are wanted, else all that is open, with the rows of their components. A
// quantity of a row that is not the order's comes back under its id.
func (o *order) parts(c call, open func(row map[string]any) decimal.Decimal) (parts []part, strangers []string, wrong *problem) {
	wanted := map[string]decimal.Decimal{}
	if c.body["items"] != nil {
		rows, wrong := c.rows("items")
		if wrong != nil {
			return nil, nil, wrong
		}
		for _, row := range rows {
			wanted[text(row["order_item_id"])] = number4(row["qty"])
		}
	}
	all := len(wanted) == 0
	for _, row := range o.rows() {
		if hasParent(row) {
			continue
		}
		qty, ok := wanted[idOf(row)]
		delete(wanted, idOf(row))
		if all {
			qty, ok = open(row), open(row).IsPositive()
		}
		if !ok {
			continue
		}
		parts = append(parts, part{row, qty})
		for _, component := range o.components(row) {
			delete(wanted, idOf(component))
			per := number4(component["qty_ordered"]).Div(number4(row["qty_ordered"]))
			parts = append(parts, part{component, per.Mul(qty).Round(4)})
		}
	}
	for id := range wanted {
		strangers = append(strangers, id)
	}
	return parts, strangers, nil
}

// share is what of an amount falls on qty of a row, after done of it: the shares of a whole row add up to the amount.
func share(row map[string]any, key string, done, qty decimal.Decimal) decimal.Decimal {
	ordered := number4(row["qty_ordered"])
	if ordered.IsZero() {
		return decimal.Zero
	}
	upTo := func(n decimal.Decimal) decimal.Decimal { return number4(row[key]).Mul(n).Div(ordered).Round(2) }
	return upTo(done.Add(qty)).Sub(upTo(done))
}

// documentRows are the rows of a document, and their sums; counted is the order's row's key with what documents of this kind
// have of it already.
func documentRows(parts []part, counted string) (rows []any, sums map[string]decimal.Decimal) {
	sums = map[string]decimal.Decimal{}
	for _, p := range parts {
		row := map[string]any{
			"order_item_id": p.row["item_id"], "product_id": p.row["product_id"], "sku": p.row["sku"], "name": p.row["name"], "qty": amount(p.qty),
			"price": p.row["price"], "base_price": p.row["base_price"], "price_incl_tax": p.row["price_incl_tax"],
		}
		for _, key := range []string{"row_total", "row_total_incl_tax", "tax_amount", "discount_amount"} {
			n := share(p.row, key, number4(p.row[counted]), p.qty)
			both(row, key, n)
			sums[key] = sums[key].Add(n)
		}
		if !hasParent(p.row) {
			sums["qty"] = sums["qty"].Add(p.qty)
		}
		rows = append(rows, row)
	}
	return rows, sums
}

// plus adds to an amount in the order's and in the base currency.
func plus(d map[string]any, key string, n decimal.Decimal) { both(d, key, number4(d[key]).Add(n)) }

// offline are the methods of payment with which Magento itself moves no money.
func (o *order) offline() bool {
	payment, _ := o.document["payment"].(map[string]any)
	return slices.Contains([]string{"checkmo", "banktransfer", "cashondelivery", "purchaseorder", "free"}, text(payment["method"]))
}

func (o *order) state() string { return text(o.document["state"]) }

func (s *Server) enter(o *order, state string) {
	o.document["state"] = state
	if statuses := s.statuses[state]; len(statuses) > 0 {
		o.document["status"] = statuses[0]
	}
	o.document["updated_at"] = time.Now().UTC().Format(layout)
}
