package docs

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/webhook"
	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/mapping"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

type schema = map[string]any

func ref(name string) schema { return schema{"$ref": "#/components/schemas/" + name} }

// openAPI is the webhook's contract, made from the model that is sent.
type openAPI struct{ schemas schema }

// nullable adds null to what a schema takes.
func nullable(s schema) schema {
	if s["$ref"] != nil {
		return schema{"anyOf": []any{s, schema{"type": "null"}}}
	}
	s["type"] = []any{s["type"], "null"}
	return s
}

func (a *openAPI) of(t reflect.Type) schema {
	switch t {
	case reflect.TypeFor[erp.Amount]():
		return nullable(schema{"type": "string", "pattern": `^-?\d+\.\d\d(\d*[1-9])?$`})
	case reflect.TypeFor[erp.Quantity]():
		return nullable(schema{"type": "string", "pattern": `^-?\d+(\.\d*[1-9])?$`})
	case reflect.TypeFor[time.Time]():
		return schema{"type": "string", "format": "date-time"}
	case reflect.TypeFor[erp.Origin]():
		return schema{"type": "string", "enum": []any{string(erp.FromMagento), string(erp.FromMageline)}}
	case reflect.TypeFor[erp.AdjustmentCode]():
		return schema{"type": "string", "enum": []any{"gift_card", "store_credit", "reward_points", "gift_wrap", "weee"}}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return nullable(a.of(t.Elem()))
	case reflect.Slice:
		list := schema{"type": "array", "items": a.of(t.Elem())}
		if t.Elem().Kind() == reflect.String { // street
			return nullable(list)
		}
		return list
	case reflect.Bool:
		return schema{"type": "boolean"}
	case reflect.Int64:
		return schema{"type": "integer"}
	case reflect.Struct:
		if a.schemas[t.Name()] == nil {
			a.schemas[t.Name()] = schema{} // the place, should it contain itself
			a.schemas[t.Name()] = a.object(t)
		}
		return ref(t.Name())
	default:
		return schema{"type": "string"}
	}
}

func (a *openAPI) object(t reflect.Type) schema {
	properties, required := schema{}, []any{}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" && name != "-" {
			properties[name] = a.of(f.Type)
			required = append(required, name)
		}
	}
	return schema{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}

// document is the whole contract.
func (a *openAPI) document() schema {
	key := schema{
		"name": "Idempotency-Key", "in": "header", "required": true, "schema": schema{"type": "string"},
		"description": "The same whenever the same thing is sent: answer a second call as the first.",
	}
	number := func(name string) schema {
		return schema{"name": name, "in": "path", "required": true, "schema": schema{"type": "string"}}
	}
	body := func(v any) schema {
		return schema{"required": true, "content": schema{"application/json": schema{"schema": a.of(reflect.TypeOf(v))}}}
	}
	numbered := schema{"application/json": schema{"schema": schema{
		"type": "object", "properties": schema{"document_number": schema{"type": []any{"string", "integer", "null"}}},
	}}}
	refused := schema{"description": "Refused. See docs/erp-webhook.md for what each status means.", "content": schema{"application/json": schema{"schema": schema{
		"type": "object", "properties": schema{"message": schema{"type": "string"}},
	}}}}
	answers := func(done string) schema {
		return schema{"2XX": schema{"description": done, "content": numbered}, "default": refused}
	}
	create := answers("The document's number, or nothing yet: accepted, and asked for later.")
	create["409"] = schema{"description": "With a document_number it is there already, the same as created.", "content": numbered}
	const kept = "Any 2xx is success; a document_number is kept."
	return schema{
		"openapi": "3.1.0",
		"info": schema{
			"title": "The webhook ERP", "version": "1",
			"description": "What mageline asks of a shop's own ERP adapter. Amounts and quantities are decimal strings. Made from the model by go generate ./docs.",
		},
		"security": []any{schema{"bearer": []any{}}, schema{}},
		"paths": schema{
			"/sales-orders": schema{
				"post": schema{"operationId": "createSalesOrder", "parameters": []any{key}, "requestBody": body(erp.SalesOrder{}), "responses": create},
				"get": schema{
					"operationId": "findSalesOrder",
					"parameters":  []any{schema{"name": "external_reference", "in": "query", "required": true, "schema": schema{"type": "string"}}},
					"responses": schema{
						"200": schema{"description": "Every document with the reference.", "content": schema{"application/json": schema{"schema": schema{
							"type": "object", "required": []any{"items"}, "properties": schema{"items": schema{"type": "array", "items": schema{
								"type": "object", "properties": schema{"document_number": schema{"type": []any{"string", "integer", "null"}}, "external_reference": schema{"type": "string"}},
							}}},
						}}}},
						"404": schema{"description": "There is none."}, "default": refused,
					},
				},
			},
			"/sales-orders/{document_number}/cancel": schema{"post": schema{
				"operationId": "cancelSalesOrder", "parameters": []any{number("document_number"), key}, "requestBody": body(erp.Cancellation{}), "responses": answers(kept),
			}},
			"/shipments":    schema{"post": schema{"operationId": "reportShipment", "parameters": []any{key}, "requestBody": body(erp.Shipment{}), "responses": answers(kept)}},
			"/credit-memos": schema{"post": schema{"operationId": "reportCreditMemo", "parameters": []any{key}, "requestBody": body(erp.CreditMemo{}), "responses": answers(kept)}},
			"/customers/{id}": schema{"put": schema{
				"operationId": "writeCustomer", "parameters": []any{number("id")}, "requestBody": body(erp.CustomerRecord{}), "responses": answers(kept),
			}},
		},
		"components": schema{"schemas": a.schemas, "securitySchemes": schema{"bearer": schema{"type": "http", "scheme": "bearer"}}},
	}
}

func TestGenerated_OpenAPI(t *testing.T) {
	text, err := json.MarshalIndent((&openAPI{schema{}}).document(), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, '\n')
	path := filepath.Join(root, "docs", "erp", "webhook.openapi.json")
	if *update {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if read(t, "docs", "erp", "webhook.openapi.json") != string(text) {
		t.Error("docs/erp/webhook.openapi.json is not that of the model: run go generate ./docs")
	}
}

// against returns what a value has against a schema of the document.
func against(document, s schema, path string, v any) []string {
	if name, ok := s["$ref"].(string); ok {
		at := any(document)
		for step := range strings.SplitSeq(strings.TrimPrefix(name, "#/"), "/") {
			at = at.(schema)[step]
		}
		return against(document, at.(schema), path, v)
	}
	if all, ok := s["anyOf"].([]any); ok {
		var problems []string
		for _, one := range all {
			p := against(document, one.(schema), path, v)
			if len(p) == 0 {
				return nil
			}
			problems = append(problems, p...)
		}
		return problems
	}
	types, ok := s["type"].([]any)
	if !ok {
		types = []any{s["type"]}
	}
	kind := map[reflect.Kind]string{reflect.Invalid: "null", reflect.Bool: "boolean", reflect.Float64: "integer", reflect.String: "string", reflect.Slice: "array", reflect.Map: "object"}[reflect.ValueOf(v).Kind()]
	if !slices.Contains(types, any(kind)) {
		return []string{fmt.Sprintf("%s is a %s: want %v", path, kind, types)}
	}
	var problems []string
	switch v := v.(type) {
	case string:
		if pattern, ok := s["pattern"].(string); ok && !regexp.MustCompile(pattern).MatchString(v) {
			problems = append(problems, fmt.Sprintf("%s is %q: want %s", path, v, pattern))
		}
		if all, ok := s["enum"].([]any); ok && !slices.Contains(all, any(v)) {
			problems = append(problems, fmt.Sprintf("%s is %q: want one of %v", path, v, all))
		}
		if _, err := time.Parse(time.RFC3339, v); s["format"] == "date-time" && err != nil {
			problems = append(problems, fmt.Sprintf("%s is %q: want an instant", path, v))
		}
	case []any:
		for i, one := range v {
			problems = append(problems, against(document, s["items"].(schema), fmt.Sprintf("%s[%d]", path, i), one)...)
		}
	case map[string]any:
		properties := s["properties"].(schema)
		for name, one := range v {
			if properties[name] == nil {
				problems = append(problems, path+" has "+name+", which the contract does not have")
				continue
			}
			problems = append(problems, against(document, properties[name].(schema), path+"."+name, one)...)
		}
		for _, name := range s["required"].([]any) {
			if _, ok := v[name.(string)]; !ok {
				problems = append(problems, fmt.Sprintf("%s has no %s", path, name))
			}
		}
	}
	return problems
}

// What mageline sends is what the contract says: of the golden orders, and of a shipment, a credit memo, a customer and a
// cancellation of a simulated shop.
func TestOpenAPI_HoldsForWhatIsSent(t *testing.T) {
	var document schema
	if err := json.Unmarshal([]byte(read(t, "docs", "erp", "webhook.openapi.json")), &document); err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	number := regexp.MustCompile(`/(SO-1|\d+)`)
	adapter := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		path := number.ReplaceAllStringFunc(r.URL.Path, func(s string) string {
			if s == "/SO-1" {
				return "/{document_number}"
			}
			return "/{id}"
		})
		operation, ok := document["paths"].(schema)[path].(schema)[strings.ToLower(r.Method)].(schema)
		if !ok {
			t.Errorf("the contract has no %s %s", r.Method, path)
			return
		}
		counts[operation["operationId"].(string)]++
		var v any
		if err := json.Unmarshal(body, &v); err != nil {
			t.Error(err)
		}
		s := operation["requestBody"].(schema)["content"].(schema)["application/json"].(schema)["schema"].(schema)
		for _, problem := range against(document, s, "the body", v) {
			t.Errorf("%s %s: %s", r.Method, path, problem)
		}
		keyed := r.Header.Get("Idempotency-Key") != ""
		if wants := strings.Contains(fmt.Sprint(operation["parameters"]), "Idempotency-Key"); wants != keyed {
			t.Errorf("%s %s: an Idempotency-Key: %t", r.Method, path, keyed)
		}
		_, _ = io.WriteString(w, `{"document_number":"SO-1"}`)
	}))
	defer adapter.Close()
	connector, err := webhook.New(adapter.Client(), webhook.Options{URL: adapter.URL})
	if err != nil {
		t.Fatal(err)
	}
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, call := t.Context(), erp.Call{Key: "k"}

	files, err := filepath.Glob(filepath.Join(root, "mapping", "testdata", "*.order.json"))
	ok(err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		ok(err)
		o := &magentoapi.Order{}
		ok(json.Unmarshal(text, o))
		so, _, err := mapping.SalesOrder(o, "R", mapping.Store{})
		ok(err)
		p, err := connector.Build(so)
		ok(err)
		_, err = connector.Create(ctx, call, p)
		ok(err)
	}

	shop := fakemagento.New(fakemagento.Options{})
	defer shop.Close()
	server := httptest.NewServer(shop)
	defer server.Close()
	client, err := magentoapi.New(server.URL, magentoapi.Options{})
	ok(err)
	placed := shop.PlaceOrder(fakemagento.Placing{Lines: []fakemagento.Line{{SKU: "A", Name: "A", Qty: 3, Price: decimal.NewFromInt(10), TaxPercent: decimal.NewFromInt(19)}}})
	shop.Invoice(placed.EntityID)
	shipmentID, memoID := shop.Ship(placed.EntityID, nil), shop.Refund(placed.EntityID)
	o, err := client.Orders.Get(ctx, int64(placed.EntityID))
	ok(err)
	of := mapping.Reported{Order: o, Reference: "R", Document: "SO-1"}
	shipment, err := client.Shipments.Get(ctx, int64(shipmentID))
	ok(err)
	es, err := mapping.Shipment(shipment, of, mapping.ByIncrementID, "", erp.FromMagento)
	ok(err)
	_, err = connector.ReportShipment(ctx, call, es)
	ok(err)
	memo, err := client.CreditMemos.Get(ctx, int64(memoID))
	ok(err)
	em, _, err := mapping.CreditMemo(memo, of, mapping.ByIncrementID, "", "")
	ok(err)
	_, err = connector.ReportCreditMemo(ctx, call, em)
	ok(err)
	id, err := shop.AddCustomer([]byte(`{"email":"ada@example.com","firstname":"Ada","lastname":"Byron","group_id":1,"website_id":1,"store_id":1,
		"addresses":[{"firstname":"Ada","lastname":"Byron","street":["Main St 1"],"city":"Berlin","postcode":"10115","country_id":"DE","telephone":"1"}]}`), "Passw0rd!")
	ok(err)
	customer, err := client.Customers.Get(ctx, int64(id))
	ok(err)
	record, err := mapping.Customer(customer, "", mapping.Store{})
	ok(err)
	_, err = connector.WriteCustomer(ctx, call, record)
	ok(err)
	cancelled := shop.PlaceOrder(fakemagento.Placing{})
	shop.Cancel(cancelled.EntityID)
	o, err = client.Orders.Get(ctx, int64(cancelled.EntityID))
	ok(err)
	ok(connector.Cancel(ctx, call, erp.Document{Number: "SO-1"}, mapping.Cancellation(o, nil)))

	want := map[string]int{"createSalesOrder": len(files), "cancelSalesOrder": 1, "reportShipment": 1, "reportCreditMemo": 1, "writeCustomer": 1}
	if !reflect.DeepEqual(counts, want) {
		t.Errorf("sent %v, want %v", counts, want)
	}
}
