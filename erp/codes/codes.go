// Package codes is the file in which a shop says what its codes are called in its ERP: stores, payment and shipping methods, tax
// rates, units, SKUs, accounts, and the ERP's own fields. A File is read once, is never changed, and answers look-ups; a code
// that it lacks is a *Missing, which has the line to add.
package codes

import (
	"fmt"
	"slices"
	"strings"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/event"
)

// any is the key for whatever has no line of its own.
const anyCode = "*"

// File is a file of codes. The zero value is an empty one, in which every code is missing.
type File struct {
	name string // for messages
	erp  string // whose options are known
	document
	blanks        []Blank
	percents      map[string]string // tax by the percent without zeros at its end
	skus, units   []prefixed        // the longest first
	header, lines []field
}

// prefixed is a key that ends with *, without it.
type prefixed struct{ prefix, value string }

// Blank is a line of the file without a value, as `mapping init` writes it. It counts as missing.
type Blank struct {
	Line int
	Key  string // such as payment_methods.checkmo
}

// Blanks are the lines without a value.
func (f *File) Blanks() []Blank { return f.blanks }

// document is the file as it is written. The tags are its keys; doc says in the JSON Schema what each is for.
type document struct {
	Stores          map[string]Store         `yaml:"stores" doc:"by the store view's code, or *"`
	PaymentMethods  map[string]string        `yaml:"payment_methods" doc:"by Magento's code, or *"`
	ShippingMethods map[string]string        `yaml:"shipping_methods" doc:"by carrier_method, or *"`
	Tax             map[string]string        `yaml:"tax" doc:"by percent, such as \"19\", or by Magento's code of the rate, or *"`
	Units           map[string]string        `yaml:"units" doc:"by SKU, by the beginning of SKUs (TEE-*), or *; without a line the ERP's unit of the item is taken"`
	Countries       map[string]string        `yaml:"countries" doc:"by Magento's code; without a line the code is used as it is"`
	CustomerGroups  map[string]CustomerGroup `yaml:"customer_groups" doc:"by Magento's id of the group, or *; without a line the ERP's defaults are taken"`
	SKUs            map[string]string        `yaml:"skus" doc:"by SKU or by the beginning of SKUs (TEE-*: T*, where * is the rest); without a line the SKU is used as it is"`
	Accounts        Accounts                 `yaml:"accounts" doc:"accounts or items of what is no product"`
	Guests          Guests                   `yaml:"guests" doc:"orders without a customer"`
	Fields          Fields                   `yaml:"fields" doc:"the ERP's own fields: constants, and texts with {fields} of the order"`
	Tolerance       decimal.Decimal          `yaml:"tolerance" doc:"by how much an ERP's total may differ from Magento's before a person is told; 0.02 without it"`
	Options         map[string]string        `yaml:"options" doc:"how the ERP is served; the choices are on its page in docs/erp"`
	Shipment        Shipment                 `yaml:"shipment" doc:"where an ERP keeps what it has no field for"`
}

// Store is what belongs to a store view.
type Store struct {
	Company           string `yaml:"company" doc:"company, company code or subsidiary"`
	SalesOrganization string `yaml:"sales_organization"`
	Channel           string `yaml:"channel" doc:"distribution channel"`
	Division          string `yaml:"division"`
	SalesOffice       string `yaml:"sales_office"`
	OrderType         string `yaml:"order_type" doc:"type, pool or origin of sales orders"`
	Warehouse         string `yaml:"warehouse" doc:"warehouse, plant or location that ships"`
	Site              string `yaml:"site"`
	ShippingPoint     string `yaml:"shipping_point"`
	Currency          string `yaml:"currency" doc:"the currency that the ERP counts in for this store"`
	Language          string `yaml:"language"`
	TaxGroup          string `yaml:"tax_group" doc:"sales tax group, tax area or nexus"`
	PaymentTerms      string `yaml:"payment_terms"`
	Department        string `yaml:"department"`
	Class             string `yaml:"class"`
	Guests            string `yaml:"guests" doc:"the guests' account of this store, in place of accounts.guests"`
}

// CustomerGroup is what belongs to a customer group.
type CustomerGroup struct {
	PriceGroup    string `yaml:"price_group"`
	CustomerGroup string `yaml:"customer_group"`
	PaymentTerms  string `yaml:"payment_terms"`
}

// Accounts are accounts, items or conditions of the ERP, by what they are for.
type Accounts struct {
	Guests       string `yaml:"guests" doc:"the customer that orders of guests are booked for"`
	Shipping     string `yaml:"shipping"`
	Discount     string `yaml:"discount"`
	GiftCard     string `yaml:"gift_card"`
	StoreCredit  string `yaml:"store_credit"`
	RewardPoints string `yaml:"reward_points"`
	GiftWrap     string `yaml:"gift_wrap"`
	WEEE         string `yaml:"weee"`
	Fee          string `yaml:"fee" doc:"what an extension adds to the total; without it, rounding"`
	Rounding     string `yaml:"rounding" doc:"cents that are left over"`
	Tax          string `yaml:"tax" doc:"tax as a line of its own, where an option says so"`
	Refund       string `yaml:"refund" doc:"an adjustment refund of a credit memo; without it, fee"`
	RefundFee    string `yaml:"refund_fee" doc:"an adjustment fee of a credit memo; without it, fee"`
}

// Guests says what becomes of orders without a customer.
type Guests struct {
	MatchEmail bool `yaml:"match_email" doc:"an order of a guest goes to the one customer with its e-mail address, unless that one buys on account"`
}

// Fields are the ERP's own fields.
type Fields struct {
	Header map[string]any `yaml:"header" doc:"of the document"`
	Line   map[string]any `yaml:"line" doc:"of each line; {line.sku} and the like are the line's"`
}

// Shipment says where an ERP keeps what it has no field for.
type Shipment struct {
	ReferenceField string `yaml:"reference_field" doc:"that takes our reference"`
	TrackingField  string `yaml:"tracking_field" doc:"that takes the tracking number"`
}

// Missing is a code of the shop that the file has no line for. It is an *event.Error of class Invalid too.
type Missing struct {
	// File is the file's name, Section the part of it, Key the code that is missing there.
	File, Section, Key string
	// What says what the code is, such as "payment method paypal_express".
	What string
}

// Line is what to add to the file under Section, with the ERP's code to fill in.
func (m *Missing) Line() string {
	value := `"…"`
	if m.Section == "stores" {
		value = `{company: "…"}`
	}
	return quoted(m.Key) + ": " + value
}

func (m *Missing) Error() string {
	file := m.File
	if file == "" {
		file = "the file of codes"
	}
	return fmt.Sprintf("%s has no code: add to %s, under %s, the line    %s    with the ERP's code for it, then replay the message",
		m.What, file, m.Section, m.Line())
}

// As makes the error an *event.Error where one is looked for.
func (m *Missing) As(target any) bool {
	e, ok := target.(**event.Error)
	if ok {
		*e = &event.Error{Class: event.Invalid, Downstream: "erp", Err: m}
	}
	return ok
}

// quoted returns a key as it is written in YAML.
func quoted(key string) string {
	plain := key != "" && !strings.ContainsFunc(key, func(r rune) bool {
		return r != '_' && r != '-' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9')
	})
	if plain && strings.ContainsFunc(key, func(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }) && !slices.Contains(words, strings.ToLower(key)) {
		return key
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(key) + `"`
}

// words are what YAML takes for something else than a text.
var words = []string{"true", "false", "yes", "no", "on", "off", "y", "n", "null"}

// Missing returns the error of a code that the file lacks: section and key say where its line belongs, such as stores.default and
// company, and what is how a person calls it.
func (f *File) Missing(section, key, what string) error {
	return &Missing{File: f.name, Section: section, Key: key, What: what}
}

// Name is the file's name.
func (f *File) Name() string { return f.name }

// find returns the value of a key, or of *.
func find[V any](values map[string]V, key string) (v V, ok bool) {
	if v, ok = values[key]; ok {
		return v, true
	}
	v, ok = values[anyCode]
	return v, ok
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// Store returns what belongs to the store view of an order, credit memo or customer.
func (f *File) Store(s erp.Store) (Store, error) {
	code := value(s.Code)
	if found, ok := find(f.Stores, code); ok {
		return found, nil
	}
	if code == "" {
		code = anyCode
	}
	return Store{}, f.Missing("stores", code, "store "+code)
}

// PaymentMethod returns the ERP's code of how an order is paid.
func (f *File) PaymentMethod(method *string) (string, error) {
	return f.code("payment_methods", "payment method", f.PaymentMethods, value(method))
}

// ShippingMethod returns the ERP's code of how an order is shipped.
func (f *File) ShippingMethod(method *string) (string, error) {
	return f.code("shipping_methods", "shipping method", f.ShippingMethods, value(method))
}

func (f *File) code(section, what string, codes map[string]string, key string) (string, error) {
	if found, ok := find(codes, key); ok {
		return found, nil
	}
	if key == "" {
		key = anyCode
	}
	return "", f.Missing(section, key, what+" "+key)
}

// Tax returns the ERP's code of a tax rate: by Magento's code where exactly one rate applies and the file has it, else by the
// percent. A part without a percent and without tax has the percent 0.
func (f *File) Tax(code *string, percent decimal.Decimal) (string, error) {
	if found, ok := f.document.Tax[value(code)]; ok && code != nil {
		return found, nil
	}
	if found, ok := f.percents[percent.String()]; ok {
		return found, nil
	}
	if found, ok := f.document.Tax[anyCode]; ok {
		return found, nil
	}
	return "", f.Missing("tax", percent.String(), "tax of "+percent.String()+" %")
}

// Unit returns the ERP's unit of an item; "" where the ERP's own is to be taken.
func (f *File) Unit(sku *string) string {
	unit, _ := byPrefix(f.Units, f.units, value(sku))
	return unit
}

// SKU returns what an item is called in the ERP.
func (f *File) SKU(sku *string) (string, error) {
	if value(sku) == "" {
		return "", event.Errorf(event.Invalid, "a line has no SKU: see which product of the shop has none")
	}
	pattern, prefix := byPrefix(f.SKUs, f.skus, *sku)
	switch {
	case pattern == "":
		return *sku, nil
	case prefix == *sku: // exact
		return pattern, nil
	default:
		return strings.ReplaceAll(pattern, anyCode, strings.TrimPrefix(*sku, prefix)), nil
	}
}

// byPrefix returns the value of a key, or of the longest beginning of it, and how much of the key was matched.
func byPrefix(values map[string]string, prefixes []prefixed, key string) (found, matched string) {
	if v, ok := values[key]; ok {
		return v, key
	}
	for _, p := range prefixes {
		if strings.HasPrefix(key, p.prefix) {
			return p.value, p.prefix
		}
	}
	return "", ""
}

// prefixesOf returns the keys that end with *, the longest first.
func prefixesOf(values map[string]string) []prefixed {
	var all []prefixed
	for key, v := range values {
		if prefix, ok := strings.CutSuffix(key, anyCode); ok {
			all = append(all, prefixed{prefix, v})
		}
	}
	slices.SortFunc(all, func(a, b prefixed) int { return len(b.prefix) - len(a.prefix) })
	return all
}

// Country returns the ERP's code of a country.
func (f *File) Country(code *string) string {
	if found, ok := f.Countries[value(code)]; ok {
		return found
	}
	return value(code)
}

// CustomerGroup returns what belongs to a customer group; the zero value where the file says nothing of it.
func (f *File) CustomerGroup(id *int64) CustomerGroup {
	key := ""
	if id != nil {
		key = fmt.Sprint(*id)
	}
	group, _ := find(f.CustomerGroups, key)
	return group
}

// Account returns the ERP's account, item or condition of what is no product. A fee, and what a credit memo refunds beside its
// lines, is booked as rounding where the file has no account of its own for it.
func (f *File) Account(a erp.Account) (string, error) {
	accounts := map[erp.Account]string{
		erp.AccountGuests: f.Accounts.Guests, erp.AccountShipping: f.Accounts.Shipping, erp.AccountDiscount: f.Accounts.Discount,
		erp.AccountGiftCard: f.Accounts.GiftCard, erp.AccountCredit: f.Accounts.StoreCredit, erp.AccountPoints: f.Accounts.RewardPoints,
		erp.AccountGiftWrap: f.Accounts.GiftWrap, erp.AccountWEEE: f.Accounts.WEEE, erp.AccountFee: f.Accounts.Fee,
		erp.AccountRounding: f.Accounts.Rounding, erp.AccountTax: f.Accounts.Tax,
		erp.AccountRefund: f.Accounts.Refund, erp.AccountRefundFee: f.Accounts.RefundFee,
	}
	order := []erp.Account{a}
	switch a {
	case erp.AccountRefund, erp.AccountRefundFee:
		order = append(order, erp.AccountFee, erp.AccountRounding)
	case erp.AccountFee:
		order = append(order, erp.AccountRounding)
	}
	for _, one := range order {
		if found := accounts[one]; found != "" {
			return found, nil
		}
	}
	return "", f.Missing("accounts", string(a), "the account "+string(a))
}

// GuestAccount returns the account that orders of guests are booked for.
func (f *File) GuestAccount(s erp.Store) (string, error) {
	if store, err := f.Store(s); err == nil && store.Guests != "" {
		return store.Guests, nil
	}
	return f.Account(erp.AccountGuests)
}

// MatchEmail reports whether a guest's order may go to the customer with its e-mail address.
func (f *File) MatchEmail() bool { return f.Guests.MatchEmail }

var defaultTolerance = decimal.RequireFromString("0.02")

// Tolerance is by how much an ERP's total may differ from Magento's.
func (f *File) Tolerance() decimal.Decimal {
	if f.document.Tolerance.IsZero() {
		return defaultTolerance
	}
	return f.document.Tolerance
}

// Option returns what an option of the ERP is set to, or its default.
func (f *File) Option(name string) string {
	if v, ok := f.Options[name]; ok {
		return v
	}
	for _, o := range options {
		if o.ERP == f.erp && o.Name == name {
			return o.Default
		}
	}
	return ""
}

// ShipmentFields says where an ERP keeps a shipment's reference and its tracking number.
func (f *File) ShipmentFields() Shipment { return f.Shipment }
