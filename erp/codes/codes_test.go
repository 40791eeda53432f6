package codes

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/event"
)

const example = `stores:            # by store code, or "*"
  default: {company: "1000", sales_organization: "1000", channel: "10", division: "00", warehouse: "MAIN", currency: EUR}
payment_methods: {checkmo: "VOR", "*": "ONL"}
shipping_methods: {flatrate_flatrate: "STD", "*": "STD"}
tax:               # by percent, or by Magento's tax code where it tells one
  "19": "V1"
  "0": "V0"
units: {"*": "PC"}
countries: {UK: GB}
customer_groups: {"2": {price_group: "B2B"}}
skus: {"24-MB01": "100234", "TEE-*": "T*"}     # exact, or by prefix
accounts: {guests: "9000", shipping: "FREIGHT", discount: "DISC", gift_card: "GC", store_credit: "SC", reward_points: "RP", gift_wrap: "WRAP", weee: "WEEE", fee: "FEE", rounding: "ROUND"}
guests: {match_email: false}
fields: {header: {YY1_Channel_SDH: "web"}, line: {}}    # constants and {templates} of order fields for the ERP's own fields
tolerance: "0.02"
options: {address: deep, price_is: net, tax_as: erp, shipping_as: field}   # per ERP; the choices and why: its page in docs/
shipment: {reference_field: BillOfLading, tracking_field: DeliveryDocumentBySupplier}
`

func told(s string) *string { return &s }

func parsed(t *testing.T, text string) *File {
	t.Helper()
	f, err := Parse("mapping.yaml", "", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestParse_TheExampleForEachERP(t *testing.T) {
	for _, name := range []string{"", "sap", "netsuite", "businesscentral", "finops", "webhook"} {
		f, err := Parse("mapping.yaml", name, []byte(example))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(f.Blanks()) > 0 {
			t.Errorf("%s: blanks %v", name, f.Blanks())
		}
	}
}

func TestFile_LookUps(t *testing.T) {
	f := parsed(t, example)
	percent := func(s string) decimal.Decimal { return decimal.RequireFromString(s) }
	one := func(s string, err error) string {
		if err != nil {
			return "error: " + err.Error()
		}
		return s
	}
	for name, c := range map[string]struct{ got, want string }{
		"payment":              {one(f.PaymentMethod(told("checkmo"))), "VOR"},
		"payment by *":         {one(f.PaymentMethod(told("paypal"))), "ONL"},
		"shipping":             {one(f.ShippingMethod(told("flatrate_flatrate"))), "STD"},
		"tax":                  {one(f.Tax(nil, percent("19.0000"))), "V1"},
		"tax of nothing":       {one(f.Tax(nil, decimal.Zero)), "V0"},
		"unit":                 {f.Unit(told("x")), "PC"},
		"country":              {f.Country(told("UK")), "GB"},
		"country as it is":     {f.Country(told("DE")), "DE"},
		"SKU":                  {one(f.SKU(told("24-MB01"))), "100234"},
		"SKU by its beginning": {one(f.SKU(told("TEE-S-BLUE"))), "TS-BLUE"},
		"SKU as it is":         {one(f.SKU(told("24-MB02"))), "24-MB02"},
		"account":              {one(f.Account(erp.AccountGiftCard)), "GC"},
		"refund is a fee":      {one(f.Account(erp.AccountRefund)), "FEE"},
		"guests":               {one(f.GuestAccount(erp.Store{Code: told("default")})), "9000"},
		"tolerance":            {f.Tolerance().String(), "0.02"},
		"option":               {f.Option("address"), "deep"},
		"group":                {f.CustomerGroup(new(int64(2))).PriceGroup, "B2B"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q, want %q", name, c.got, c.want)
		}
	}
	if s, err := f.Store(erp.Store{Code: told("default")}); err != nil || s.Warehouse != "MAIN" {
		t.Errorf("store: %+v, %v", s, err)
	}
	if got := f.HeaderFields(erp.SalesOrder{}); len(got) != 1 {
		t.Errorf("header fields: %v", got)
	}
}

func TestMissing_HasTheLineToAdd(t *testing.T) {
	f := parsed(t, `tax: {"19": V1}`)
	_, payment := f.PaymentMethod(told("paypal_express"))
	_, tax := f.Tax(nil, decimal.RequireFromString("7.5"))
	_, store := f.Store(erp.Store{Code: told("de")})
	_, account := f.Account(erp.AccountFee)
	for want, err := range map[string]error{
		`under payment_methods, the line    paypal_express: "…"`: payment,
		`under tax, the line    "7.5": "…"`:                      tax,
		`under stores, the line    de: {company: "…"}`:           store,
		`under accounts, the line    fee: "…"`:                   account,
	} {
		var missing *Missing
		if !errors.As(err, &missing) || !strings.Contains(err.Error(), want) || event.ClassOf(err) != event.Invalid {
			t.Errorf("%v (%s), want %s", err, event.ClassOf(err), want)
			continue
		}
		if _, err := Parse("m", "", []byte(missing.Section+":\n  "+missing.Line()+"\n")); err != nil {
			t.Errorf("the line of %v can't be added: %v", missing, err)
		}
	}
}

func TestParse_SaysEveryProblemWithItsLine(t *testing.T) {
	_, err := Parse("m.yaml", "sap", []byte(`stores:
  default: {companny: "1000"}
payment_method: {checkmo: VOR}
tax: {"19": V1, "19": V2}
guests: {match_email: sometimes}
tolerance: lots
options: {address: deeep, price_iss: net}
skus: {"A*B": C}
fields: {header: {X: "{increment_idd}"}}
countries: [DE]
units: &u {"*": PC}
`))
	var problems *Problems
	if !errors.As(err, &problems) {
		t.Fatalf("error %v", err)
	}
	for i, want := range []string{
		"m.yaml:2: there is no key stores.default.companny: did you mean company?",
		"m.yaml:3: there is no key payment_method: did you mean payment_methods?",
		"m.yaml:4: tax.19 is there already, in line 4",
		"m.yaml:5: guests.match_email must be true or false",
		"m.yaml:6: tolerance must be an amount",
		"m.yaml:7: options.address must be deep or off or patch, and is \"deeep\"",
		"m.yaml:7: there is no key options.price_iss: did you mean price_is?",
		"m.yaml:8: skus.A*B: a * stands at the end only",
		"m.yaml:9: fields.header.X: the order has no field {increment_idd}: did you mean increment_id?",
		"m.yaml:10: countries must be a mapping of keys to values, and is a list",
		"m.yaml:11: units: anchors and aliases are not used here",
	} {
		lines := strings.Split(err.Error(), "\n")
		if i >= len(lines) || !strings.Contains(lines[i], want) {
			t.Errorf("problem %d of\n%v\nis not %s", i+1, err, want)
		}
	}
}

func TestParse_NoYAMLSaysWhere(t *testing.T) {
	for text, want := range map[string]string{
		"stores: {":          "m.yaml",
		"a: b: c":            "m.yaml: no YAML: mapping values",
		"tax: {}\n---\n{}\n": "a second document begins",
		"- a":                "the file must be a mapping of keys to values, and is a list",
	} {
		if _, err := Parse("m.yaml", "", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestParse_BlanksCountAsMissing(t *testing.T) {
	f := parsed(t, "payment_methods:\n  checkmo:\n  paypal: \"\"\n  \"*\": X\nstores:\n  default: {company: \"\"}\naccounts: {fee: }\n")
	if got, err := f.PaymentMethod(told("checkmo")); err != nil || got != "X" {
		t.Errorf("a blank: %q, %v", got, err)
	}
	var keys []string
	for _, b := range f.Blanks() {
		keys = append(keys, b.Key)
	}
	if got := strings.Join(keys, " "); got != "payment_methods.checkmo payment_methods.paypal stores.default.company accounts.fee" {
		t.Errorf("blanks: %s", got)
	}
}

func TestParse_NothingIsEmpty(t *testing.T) {
	for _, text := range []string{"", "# nothing yet\n", "---\n", "tax:\n"} {
		f := parsed(t, text)
		if _, err := f.Tax(nil, decimal.Zero); err == nil {
			t.Errorf("%q has a tax", text)
		}
	}
}

func TestFields_FillTemplates(t *testing.T) {
	f := parsed(t, `fields:
  header: {a: "{increment_id} of {store.code}", b: true, c: 1.50, d: {id: "{payment.method}"}, e: "{{x", f: "{comment}", g: ["{currency}"]}
  line: {x: "{line.reference}/{increment_id}/{line.row_total}"}
`)
	o := erp.SalesOrder{
		IncrementID: told("000000123"), Store: erp.Store{Code: told("de")}, Payment: erp.Payment{Method: told("checkmo")}, Currency: told("EUR"),
		Lines: []erp.Line{{Reference: "1001", RowTotal: erp.NewAmount(decimal.NewFromInt(68))}},
	}
	got, err := json.Marshal([]any{f.HeaderFields(o), f.LineFields(o, o.Lines[0])})
	want := `[{"a":"000000123 of de","b":true,"c":1.5,"d":{"id":"checkmo"},"e":"{x","f":"","g":["EUR"]},{"x":"1001/000000123/68.00"}]`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
}

// The schema knows each key that the file may have, and no other.
func TestSchema_HasEachKeyOfTheExample(t *testing.T) {
	var schema struct {
		Properties map[string]struct {
			Properties map[string]any `json:"properties"`
		} `json:"properties"`
		AdditionalProperties bool `json:"additionalProperties"`
	}
	if err := json.Unmarshal(Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(example) {
		key, _, ok := strings.Cut(line, ":")
		if ok && !strings.HasPrefix(line, " ") && schema.Properties[key].Properties == nil && !strings.Contains(string(Schema()), `"`+key+`"`) {
			t.Errorf("the schema has no %s", key)
		}
	}
	for _, key := range []string{"address", "price_is", "tax_as", "shipping_as"} {
		if schema.Properties["options"].Properties[key] == nil {
			t.Errorf("the schema has no options.%s", key)
		}
	}
	if schema.AdditionalProperties {
		t.Error("the schema takes unknown keys")
	}
}

// A draft is a file that can be read, whose lines are all blank.
func TestDraft_CanBeRead(t *testing.T) {
	draft := Draft(Shop{
		Stores: []Named{{"default", "Default Store View"}}, PaymentMethods: []Named{{"checkmo", "Check / Money order"}},
		ShippingMethods: []Named{{"flatrate_flatrate", ""}}, TaxPercents: []string{"0", "19", "7.5"}, CustomerGroups: []Named{{"0", "NOT LOGGED IN"}},
	})
	f := parsed(t, string(draft))
	keys := map[string]bool{}
	for _, b := range f.Blanks() {
		keys[b.Key] = true
	}
	for _, want := range []string{
		"stores.default.company", "payment_methods.checkmo", "shipping_methods.flatrate_flatrate", "tax.0", "tax.19", "tax.7.5",
		"customer_groups.0.price_group", "accounts.guests",
	} {
		if !keys[want] {
			t.Errorf("no blank %s in\n%s", want, draft)
		}
	}
}
