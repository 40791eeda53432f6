package fakeerp

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// The kinds of reports.
const (
	Shipment   = "shipment"
	CreditMemo = "credit memo"
	Customer   = "customer"
)

// Report is what the ERP was told beside sales orders: a shipment, a credit memo or a customer, each as often as it was booked.
type Report struct {
	Kind      string
	Number    string
	Reference string // external_reference, or the customer's id
	Document  string // document_number of the order
	Key       string // Idempotency-Key
	Body      json.RawMessage
	At        time.Time
}

var (
	orderLine    = object{"ordered": quantity, "shipped": quantity, "refunded": quantity, "canceled": quantity, "open": quantity}.check
	totalsObject = object{
		"subtotal": amount, "discount": amount, "discount_tax_compensation": amount, "shipping": amount, "tax": amount,
		"adjustments": list(object{"code": needed, "amount": amount}.check), "other": amount, "grand_total": amount,
	}.check
	shipment = object{
		"external_reference": needed, "entity_id": not(id), "order_reference": needed, "document_number": needed, "created_at": instant,
		"source_code": text, "origin": oneOf("magento", "mageline"),
		"lines":  not(list(object{"reference": needed, "sku": text, "quantity": not(quantity)}.check)),
		"tracks": not(list(object{"carrier_code": text, "title": text, "tracking_number": text}.check)),
	}.check
	creditMemo = object{
		"external_reference": needed, "entity_id": not(id), "order_reference": needed, "document_number": needed, "invoice_reference": text,
		"created_at": instant, "state": text, "currency": text,
		"lines": not(list(object{
			"reference": needed, "sku": text, "quantity": not(quantity), "row_total": amount, "row_total_incl_tax": amount,
			"discount_amount": amount, "tax_amount": amount, "discount_tax_compensation": amount, "order_line": not(orderLine),
		}.check)),
		"shipping": not(object{"amount": amount, "tax_amount": amount}.check), "adjustment_refund": amount, "adjustment_fee": amount,
		"totals": not(totalsObject), "order_state": text, "transaction_id": text, "comment": text,
	}.check
	customer = object{
		"id": not(id), "website_id": id, "group_id": id, "email": text, "first_name": text, "last_name": text, "tax_id": text, "company": company,
		"created_at": instant, "updated_at": instant,
		"addresses": not(list(object{
			"id": id, "first_name": text, "last_name": text, "company": text, "street": list(text), "city": text, "region": text,
			"region_code": text, "postcode": text, "country": text, "telephone": text, "tax_id": text,
			"default_billing": not(truth), "default_shipping": not(truth),
		}.check)),
	}.check
)

func oneOf(words ...string) check {
	return func(path string, v any) string {
		if s, ok := v.(string); !ok || !slices.Contains(words, s) {
			return fmt.Sprintf("%s is %v: want %s", path, v, strings.Join(words, " or "))
		}
		return ""
	}
}

// Reports returns what the ERP was told of a kind, oldest first.
func (s *Server) Reports(kind string) []Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.reports), func(r Report) bool { return r.Kind != kind })
}

// reported is the handler of a kind: what is against the contract is refused, and what is of no document of the ERP's.
func (s *Server) reported(kind string, contract check) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		var told struct {
			Reference string          `json:"external_reference"`
			Document  string          `json:"document_number"`
			ID        json.Number     `json:"id"`
			Totals    map[string]any  `json:"totals"`
			Lines     json.RawMessage `json:"lines"`
		}
		problem := violation(contract, body)
		if problem == "" {
			if err := json.Unmarshal(body, &told); err != nil {
				problem = "it can't be read: " + err.Error()
			} else if told.Totals != nil {
				problem = order{Totals: told.Totals}.sum()
			}
		}
		if kind == Customer && problem == "" && told.ID.String() != r.PathValue("id") {
			problem = "the id of the body is not that of the path"
		}
		if problem != "" {
			s.violated(w, problem)
			return
		}
		key := r.Header.Get("Idempotency-Key")
		s.once(w, r, key, func() answer {
			if told.Document != "" && !slices.ContainsFunc(s.documents, func(d *Document) bool { return s.written(d.Number) == any(told.Document) || d.Number == told.Document }) {
				return s.refuse(http.StatusUnprocessableEntity, "there is no document "+told.Document)
			}
			s.number++
			one := Report{
				Kind: kind, Number: fmt.Sprintf("%s-%d", strings.ToUpper(kind[:2]), s.number), Reference: told.Reference, Document: told.Document,
				Key: key, Body: body, At: time.Now(),
			}
			if kind == Customer {
				one.Reference = told.ID.String()
			}
			s.reports = append(s.reports, one)
			if extra := len(s.reports) - s.options.Keep; extra > 0 {
				s.reports = slices.Delete(s.reports, 0, extra)
			}
			return answer{http.StatusOK, encode(map[string]any{"document_number": one.Number})}
		})
	}
}
