// Package fakefinops is Dynamics 365 Finance & Operations behind its OData data entities (docs/erp/finops.md), for tests. It
// refuses unknown properties and wrong types, shows other companies only where it is asked to, words its errors as the real one
// does, and computes amounts and totals itself. What it has booked can be read back.
package fakefinops

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/test/kit/fakeentra"
	"github.com/mageline/mageline/test/kit/fault"
	"github.com/mageline/mageline/test/kit/odata"
)

//go:embed schema.yaml
var schemaText string

var schema = odata.ParseSchema(schemaText)

// enums are the names that their properties take.
var enums = map[string][]string{
	"NoYes":                      {"No", "Yes"},
	"SalesStatus":                {"None", "Backorder", "Delivered", "Invoiced", "Canceled"},
	"SalesOrderProcessingStatus": {"Active", "Confirmed", "Picked", "PartiallyDelivered", "Delivered", "Invoiced", "PartiallyInvoiced", "Canceled", "DeliveredPartiallyInvoiced"},
	"ItemReservation":            {"None", "Automatic", "Explosion"},
	"CustVendorBlocked":          {"No", "Invoice", "All", "Payment", "Requisition", "Never", "PurchOrder"},
}

// What the fake is reached by. Company is not the default company of the user.
const (
	Company      = "usmf"
	TokenPath    = "/contoso/oauth2/v2.0/token"
	ClientID     = "0f0e0d0c-aaaa-4bbb-8ccc-000000000003"
	ClientSecret = "fo~cl13nt-s3cr3t"
	Scope        = "https://env.operations.example/.default"
)

// Options are what the environment is set up like.
type Options struct {
	Seed uint64
	// NoManualAccounts refuses customers whose account the client chooses.
	NoManualAccounts bool
	// NoTotals leaves the totals of orders at zero.
	NoTotals bool
	// DuplicateCheck refuses a second order with a reference, in a text of the customer's own.
	DuplicateCheck bool
}

// Server is the ERP. It is an http.Handler; its other methods may be called at any time, from any goroutine.
type Server struct {
	// Faults breaks its answers, but for tokens.
	Faults *fault.Injector
	Tokens *fakeentra.Tokens

	options Options
	handler http.Handler

	mu       sync.Mutex
	seq      int
	orders   []*order
	byNumber map[string]*order
	byRef    map[string][]*order
	customer map[string]map[string]any
	refused  map[string]int
	requests int
	throttle int
	after    string
	conflict int
	missing  map[string]bool
}

type order struct {
	values  map[string]any
	lines   []*line
	version int
	deleted bool
}

type line struct {
	values map[string]any
	first  decimal.Decimal
	gone   bool
}

type problem struct {
	status int
	text   string
}

func infolog(entity, format string, args ...any) *problem {
	return &problem{http.StatusBadRequest, fmt.Sprintf("Write failed for table row of type '%s'. Infolog: Warning: %s; Error: Update has been canceled..", entity, fmt.Sprintf(format, args...))}
}

// New returns an environment with the customer GUESTS.
func New(o Options) *Server {
	s := &Server{
		options: o, Tokens: fakeentra.New(ClientID, ClientSecret, Scope), seq: 1000,
		Faults:   fault.New(o.Seed, func(status int) []byte { return errorBody(http.StatusText(status)) }),
		byNumber: map[string]*order{}, byRef: map[string][]*order{}, refused: map[string]int{}, missing: map[string]bool{},
		customer: map[string]map[string]any{"GUESTS": {"CustomerAccount": "GUESTS", "dataAreaId": Company}},
	}
	routes := http.NewServeMux()
	routes.Handle(TokenPath, s.Tokens)
	routes.Handle("/", s.Faults.Wrap(http.HandlerFunc(s.serve)))
	s.handler = routes
	return s
}

// Close ends what is waited for.
func (s *Server) Close() { s.Faults.Close() }

// ServeHTTP answers one call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// errorBody is generic outside; what has happened stands inside.
func errorBody(text string) []byte {
	return encode(map[string]any{"error": map[string]any{
		"code": "", "message": "An error has occurred.",
		"innererror": map[string]string{"message": text, "type": "Microsoft.Dynamics.Platform.Integration.Services.OData.ODataException", "stacktrace": "at Microsoft..."},
	}})
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("fakefinops: an answer that is no JSON: " + err.Error())
	}
	return b
}

var address = regexp.MustCompile(`^/data/(\w+)(?:\(([^)]*)\))?$`)

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	s.mu.Lock()
	s.requests++
	status, answer, header := s.answer(r, body)
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json; odata.metadata=minimal")
	for name, value := range header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(status)
	_, _ = w.Write(answer)
}

// answer needs mu, as everything below.
func (s *Server) answer(r *http.Request, body []byte) (status int, answer []byte, header map[string]string) {
	var p *problem
	switch {
	case !s.Tokens.Good(r):
		p = &problem{http.StatusUnauthorized, "The token is not valid."}
	case strings.Contains(r.URL.RawQuery, "+"):
		p = &problem{http.StatusBadRequest, "A blank is %20."}
	case s.throttle > 0:
		s.throttle--
		p, header = &problem{http.StatusTooManyRequests, "Number of requests exceeded the limit of 6000 over the time window of 300 seconds."}, map[string]string{}
		if s.after != "" {
			header["Retry-After"] = s.after
		}
	case s.conflict > 0 && r.Method != http.MethodGet:
		s.conflict--
		p = infolog("SalesOrderHeaderV2Entity", "Cannot edit a record in Sales orders (SalesTable). "+
			"An update conflict occurred due to another user process deleting the record or changing one or more fields in the record.")
	default:
		var v any
		if status, v, p = s.route(r, body); p == nil {
			if v != nil {
				answer = encode(v)
			}
			return status, answer, nil
		}
	}
	s.refused[p.text]++
	return p.status, errorBody(p.text), header
}

func (s *Server) route(r *http.Request, body []byte) (status int, answer any, p *problem) {
	m := address.FindStringSubmatch(r.URL.Path)
	if m == nil || schema[m[1]] == nil {
		return 0, nil, &problem{http.StatusNotFound, "No HTTP resource was found that matches the request URI '" + r.URL.Path + "'."}
	}
	set, key := m[1], keyOf(m[2])
	q := r.URL.Query()
	if r.Method == http.MethodPost && key == nil {
		return s.create(set, body)
	}
	if r.Method == http.MethodGet && key == nil {
		return s.search(set, q)
	}
	if key["dataAreaId"] != Company || q.Get("cross-company") != "true" { // the user's own company is another one
		return 0, nil, &problem{http.StatusNotFound, "No resources were found when selecting for update."}
	}
	if r.Method != http.MethodGet && r.Header.Get("If-Match") == "" {
		return 0, nil, &problem{http.StatusPreconditionFailed, "If-Match is missing."}
	}
	return s.record(r.Method, set, key, q, body)
}

func (s *Server) record(method, set string, key map[string]string, q url.Values, body []byte) (status int, answer any, p *problem) {
	none := &problem{http.StatusNotFound, "No resources were found when selecting for update."}
	switch set {
	case "SalesOrderHeadersV2":
		o := s.byNumber[key["SalesOrderNumber"]]
		if o == nil || o.deleted {
			return 0, nil, none
		}
		switch method {
		case http.MethodGet:
			shown, p := show(set, o.values, q.Get("$select"))
			return http.StatusOK, shown, p
		case http.MethodDelete:
			if status := o.values["SalesOrderProcessingStatus"]; status != "Active" {
				return 0, nil, infolog("SalesOrderHeaderV2Entity", "Sales order %s cannot be deleted because its status is %s.", key["SalesOrderNumber"], status)
			}
			o.deleted = true
			return http.StatusNoContent, nil, nil
		}
	case "SalesOrderLines":
		for _, o := range s.orders {
			for _, l := range o.lines {
				if l.values["InventoryLotId"] == key["InventoryLotId"] && !l.gone && !o.deleted {
					return s.changeLine(method, o, l, body)
				}
			}
		}
		return 0, nil, none
	case "CustomersV3":
		c := s.customer[key["CustomerAccount"]]
		if c == nil {
			return 0, nil, none
		}
		values, p := read(set, body)
		if p == nil && method == http.MethodPatch {
			maps.Copy(c, values)
			return http.StatusNoContent, nil, nil
		}
		return 0, nil, p
	}
	return 0, nil, &problem{http.StatusMethodNotAllowed, "The requested resource does not support http method '" + method + "'."}
}

func (s *Server) changeLine(method string, o *order, l *line, body []byte) (status int, answer any, p *problem) {
	if status := o.values["SalesOrderProcessingStatus"]; status != "Active" {
		return 0, nil, infolog("SalesOrderLineEntity", "The line cannot be changed because the status of the order is %s.", status)
	}
	switch method {
	case http.MethodDelete:
		l.gone = true
	case http.MethodPatch:
		values, p := read("SalesOrderLines", body)
		if p != nil {
			return 0, nil, p
		}
		maps.Copy(l.values, values)
	}
	s.sum(o)
	return http.StatusNoContent, nil, nil
}

// keyOf reads a key such as dataAreaId='usmf',SalesOrderNumber='1'; nil for none.
func keyOf(text string) map[string]string {
	if text == "" {
		return nil
	}
	key := map[string]string{}
	for _, part := range strings.Split(text, ",") {
		name, value, _ := strings.Cut(part, "=")
		key[name] = strings.Trim(value, "'")
	}
	return key
}

var number = regexp.MustCompile(`^-?\d+(\.\d+)?$`)

// read reads a body by the schema of a set.
func read(set string, body []byte) (map[string]any, *problem) {
	members, err := odata.Members(body)
	if err != nil {
		return nil, &problem{http.StatusBadRequest, "The request body can't be read: " + err.Error()}
	}
	values := map[string]any{}
	for _, m := range members {
		p, ok := schema[set][m.Name]
		if !ok {
			return nil, &problem{http.StatusBadRequest, "The property '" + m.Name + "' does not exist on type 'Microsoft.Dynamics.DataEntities." + set + "'."}
		}
		var text string
		isText := json.Unmarshal(m.Value, &text) == nil && m.Value[0] == '"'
		bad := &problem{http.StatusBadRequest, fmt.Sprintf("Cannot convert the literal '%s' of %s to the expected type '%s'.", m.Value, m.Name, p.Type)}
		switch p.Type {
		case "Edm.Decimal", "Edm.Int32":
			if !number.Match(m.Value) {
				return nil, bad
			}
			values[m.Name] = decimal.RequireFromString(string(m.Value))
		case "enum":
			if !isText || enums[p.Of] != nil && !slices.Contains(enums[p.Of], text) {
				return nil, bad
			}
			values[m.Name] = text
		case "Edm.DateTimeOffset":
			if _, err := time.Parse(time.RFC3339, text); err != nil {
				return nil, bad
			}
			values[m.Name] = text
		default:
			if !isText {
				return nil, bad
			}
			values[m.Name] = text
		}
	}
	return values, nil
}

// Lengths of the fields that take references.
const (
	maxReference   = 60
	maxRequisition = 20
)

func (s *Server) create(set string, body []byte) (status int, answer any, p *problem) {
	values, p := read(set, body)
	if p != nil {
		return 0, nil, p
	}
	if values["dataAreaId"] != Company {
		return 0, nil, infolog(set, "The company %v does not exist.", values["dataAreaId"])
	}
	switch set {
	case "SalesOrderHeadersV2":
		return s.createHeader(values)
	case "SalesOrderLines":
		return s.createLine(values)
	case "CustomersV3":
		account := fmt.Sprint(values["CustomerAccount"])
		switch {
		case s.options.NoManualAccounts:
			return 0, nil, infolog("CustomerV3Entity", "Field 'Customer account' does not allow editing.")
		case s.customer[account] != nil:
			return 0, nil, infolog("CustomerV3Entity", "Cannot create a record in Customers (CustTable). Customer account: %s. The record already exists.", account)
		case values["CustomerGroupId"] == nil:
			return 0, nil, infolog("CustomerV3Entity", "Field 'Customer group' must be filled in.")
		}
		s.customer[account] = values
		shown, p := show(set, values, "")
		return http.StatusCreated, shown, p
	}
	return 0, nil, &problem{http.StatusMethodNotAllowed, "POST is not supported."}
}

func text(values map[string]any, name string) string {
	t, _ := values[name].(string)
	return t
}

func (s *Server) createHeader(values map[string]any) (status int, answer any, p *problem) {
	const entity = "SalesOrderHeaderV2Entity"
	reference := text(values, "CustomersOrderReference")
	for _, name := range []string{"OrderingCustomerAccountNumber", "InvoiceCustomerAccountNumber"} {
		if account := text(values, name); s.customer[account] == nil {
			return 0, nil, infolog(entity, "The value '%s' in field '%s' is not found in the related table 'Customers'.", account, name)
		}
	}
	switch {
	case len(reference) > maxReference || len(text(values, "CustomerRequisitionNumber")) > maxRequisition:
		return 0, nil, infolog(entity, "The length of the reference exceeds the length of the field.")
	case values["SalesOrderNumber"] != nil:
		return 0, nil, infolog(entity, "Field 'Sales order' does not allow editing.")
	case s.options.DuplicateCheck && len(s.live(reference)) > 0:
		return 0, nil, infolog(entity, "The shopify reference %s is already exist in sales order %v.", reference, s.live(reference)[0].values["SalesOrderNumber"])
	}
	s.seq++
	o := &order{values: values, version: 1}
	values["SalesOrderNumber"], values["SalesOrderStatus"], values["SalesOrderProcessingStatus"] = fmt.Sprintf("%06d", s.seq), "Backorder", "Active"
	s.sum(o)
	s.orders = append(s.orders, o)
	s.byNumber[text(values, "SalesOrderNumber")] = o
	s.byRef[reference] = append(s.byRef[reference], o)
	shown, p := show("SalesOrderHeadersV2", values, "")
	return http.StatusCreated, shown, p
}

func (s *Server) live(reference string) []*order {
	return slices.DeleteFunc(slices.Clone(s.byRef[reference]), func(o *order) bool { return o.deleted })
}

func (s *Server) createLine(values map[string]any) (status int, answer any, p *problem) {
	const entity = "SalesOrderLineEntity"
	o := s.byNumber[text(values, "SalesOrderNumber")]
	item := text(values, "ItemNumber")
	switch {
	case o == nil || o.deleted:
		return 0, nil, infolog(entity, "The value '%s' in field 'Sales order' is not found in the related table 'Sales orders'.", text(values, "SalesOrderNumber"))
	case o.values["SalesOrderProcessingStatus"] != "Active":
		return 0, nil, infolog(entity, "Lines can't be added: the status of the order is %v.", o.values["SalesOrderProcessingStatus"])
	case item == "" || s.missing[item]:
		return 0, nil, infolog(entity, "The value '%s' in field 'Item number' is not found in the related table 'Items'.", item)
	case text(values, "ShippingWarehouseId") == "" && text(o.values, "DefaultShippingWarehouseId") == "":
		return 0, nil, infolog(entity, "Inventory dimension Site is mandatory and must consequently be specified.")
	case values["OrderedSalesQuantity"] == nil:
		return 0, nil, infolog(entity, "Field 'Quantity' must be filled in.")
	}
	if percent, ok := taxPercent(text(values, "SalesTaxItemGroupCode")); !ok {
		return 0, nil, infolog(entity, "The value '%s' in field 'Item sales tax group' is not found in the related table 'Item sales tax groups'. %s", text(values, "SalesTaxItemGroupCode"), percent)
	}
	s.seq++
	values["InventoryLotId"], values["LineNumber"], values["SalesOrderLineStatus"] = fmt.Sprintf("LOT-%06d", s.seq), decimal.NewFromInt(int64(len(o.lines)+1)), "Backorder"
	if values["LineAmount"] == nil {
		values["LineAmount"] = amount(values["OrderedSalesQuantity"]).Mul(amount(values["SalesPrice"])).Round(2)
	}
	l := &line{values: values, first: amount(values["OrderedSalesQuantity"])}
	o.lines = append(o.lines, l)
	s.sum(o)
	shown, p := show("SalesOrderLines", values, "")
	return http.StatusCreated, shown, p
}

func amount(v any) decimal.Decimal {
	d, _ := v.(decimal.Decimal)
	return d
}

// taxPercent returns the rate of an item sales tax group: FULL, RED, ZERO, and VAT with any number after it.
func taxPercent(group string) (decimal.Decimal, bool) {
	rate, ok := map[string]string{"FULL": "19", "RED": "7", "ZERO": "0"}[group]
	if !ok {
		rate, ok = strings.CutPrefix(group, "VAT")
	}
	percent, err := decimal.NewFromString(rate)
	return percent, ok && err == nil
}

// sum computes the totals of an order: tax by line, in or on top of its amount.
func (s *Server) sum(o *order) {
	total, tax := decimal.Zero, decimal.Zero
	hundred := decimal.NewFromInt(100)
	included := text(o.values, "ArePricesIncludingSalesTax") == "Yes"
	for _, l := range o.lines {
		if l.gone {
			continue
		}
		a := amount(l.values["LineAmount"]).Round(2)
		percent, _ := taxPercent(text(l.values, "SalesTaxItemGroupCode"))
		if included {
			tax = tax.Add(a.Sub(a.Mul(hundred).Div(hundred.Add(percent)).Round(2)))
		} else {
			own := a.Mul(percent).Div(hundred).Round(2)
			tax, a = tax.Add(own), a.Add(own)
		}
		total = total.Add(a)
	}
	o.values["AreTotalsCalculated"] = "Yes"
	o.values["OrderTotalAmount"], o.values["OrderTotalTaxAmount"] = total, tax
	if s.options.NoTotals {
		o.values["AreTotalsCalculated"], o.values["OrderTotalAmount"], o.values["OrderTotalTaxAmount"] = "No", decimal.Zero, decimal.Zero
	}
}

func show(set string, values map[string]any, names string) (map[string]any, *problem) {
	picked := strings.Split(names, ",")
	if names == "" {
		picked = slices.Collect(maps.Keys(schema[set]))
	}
	shown := map[string]any{"@odata.etag": `W/"JzE7NTYz"`}
	for _, name := range picked {
		p, ok := schema[set][name]
		if !ok {
			return nil, &problem{http.StatusBadRequest, "Could not find a property named '" + name + "' on type 'Microsoft.Dynamics.DataEntities." + set + "'."}
		}
		switch v := values[name].(type) {
		case decimal.Decimal:
			shown[name] = json.Number(v.String())
		case nil:
			shown[name] = map[string]any{"Edm.Decimal": 0, "Edm.Int32": 0, "Edm.DateTimeOffset": "1900-01-01T12:00:00Z"}[p.Type]
			if shown[name] == nil {
				shown[name] = ""
			}
		default:
			shown[name] = v
		}
	}
	return shown, nil
}

func (s *Server) search(set string, q url.Values) (status int, answer any, p *problem) {
	f, err := odata.ParseFilter(q.Get("$filter"))
	if err != nil {
		return 0, nil, &problem{http.StatusBadRequest, "The filter can't be read: " + err.Error()}
	}
	all := []map[string]any{}
	reference := ""
	for _, c := range f.Clauses {
		if _, ok := schema[set][c.Property]; !ok {
			return 0, nil, &problem{http.StatusBadRequest, "Could not find a property named '" + c.Property + "' on type 'Microsoft.Dynamics.DataEntities." + set + "'."}
		}
		if c.Property == "CustomersOrderReference" && !strings.Contains(c.Literal, "*") {
			reference = c.Literal
		}
	}
	switch set {
	case "SalesOrderHeadersV2":
		from := s.orders
		if reference != "" {
			from = s.byRef[reference]
		}
		for _, o := range from {
			if !o.deleted {
				all = append(all, o.values)
			}
		}
	case "SalesOrderLines":
		for _, c := range f.Clauses {
			if o := s.byNumber[c.Literal]; c.Property == "SalesOrderNumber" && o != nil && !o.deleted {
				for _, l := range o.lines {
					if !l.gone {
						all = append(all, l.values)
					}
				}
			}
		}
	case "CustomersV3":
		for _, account := range slices.Sorted(maps.Keys(s.customer)) {
			all = append(all, s.customer[account])
		}
	}
	found := []map[string]any{}
	for _, values := range all {
		if q.Get("cross-company") != "true" || !fits(values, f) {
			continue
		}
		shown, p := show(set, values, q.Get("$select"))
		if p != nil {
			return 0, nil, p
		}
		found = append(found, shown)
	}
	return http.StatusOK, map[string]any{"@odata.context": "$metadata#" + set, "value": found}, nil
}

// fits compares; a * in a literal is a wildcard.
func fits(values map[string]any, f odata.Filter) bool {
	for _, c := range f.Clauses {
		equal := fmt.Sprint(values[c.Property]) == c.Literal
		if strings.Contains(c.Literal, "*") {
			equal, _ = path.Match(c.Literal, fmt.Sprint(values[c.Property]))
		}
		if f.Any && equal {
			return true
		}
		if !f.Any && equal != (c.Op == "eq") {
			return false
		}
	}
	return !f.Any
}
