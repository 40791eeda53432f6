package feed

import (
	"bufio"
	"cmp"
	"encoding/xml"
	"fmt"
	"hash/maphash"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/search"
)

// Limits of Google's product data specification, in characters.
const (
	maxID          = 50
	maxTitle       = 150
	maxDescription = 5000
	maxLink        = 2000
	maxType        = 750
	maxBrand       = 70
	maxOption      = 100
	maxImages      = 10
)

// Codes are the attributes that have what the specification asks for beside a document's own fields. Of several the first that a
// product has counts.
type Codes struct {
	GTIN, MPN, Brand, Condition, Category []string
}

// Merchant says how a feed for Google Merchant Center is made.
type Merchant struct {
	// Title and Link are those of the shop.
	Title, Link string
	Codes       Codes
	Now         time.Time
	// Reject is called with each product that is left out.
	Reject func(r Rejection) error
}

// Rejection is a product that is left out of a feed, with the attributes that it lacks or that can't be used.
type Rejection struct {
	SKU    string
	Group  string // the product that it is a variant of
	Lacks  []string
	Reason string
}

// member is one attribute of an item.
type member struct{ name, value string }

type merchant struct {
	Merchant
	w     *bufio.Writer
	seed  maphash.Seed
	seen  map[uint64]struct{} // ids of what is written: 8 bytes each, whatever their length
	count int
}

// MerchantWriter is a Writer that counts the items, of which a product with variants has several.
type MerchantWriter interface {
	Writer
	Items() int
}

// NewMerchant returns a Writer of a feed in RSS 2.0. A product that is written as the variant of another is not written again:
// write products with variants first.
func NewMerchant(w io.Writer, m Merchant) (MerchantWriter, error) {
	f := &merchant{Merchant: m, w: bufio.NewWriterSize(w, 64<<10), seed: maphash.MakeSeed(), seen: map[uint64]struct{}{}}
	_, _ = f.w.WriteString(xml.Header + `<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0">` + "\n<channel>\n")
	for _, one := range []member{{"title", m.Title}, {"link", m.Link}, {"description", m.Title}} {
		f.element(one)
	}
	return f, f.w.Flush()
}

// Items returns how many items were written.
func (f *merchant) Items() int { return f.count }

func (f *merchant) Close() error {
	_, _ = f.w.WriteString("</channel>\n</rss>\n")
	return f.w.Flush()
}

func (f *merchant) element(m member) {
	_, _ = f.w.WriteString("<" + m.name + ">")
	_ = xml.EscapeText(f.w, []byte(m.value)) // the writer's first error stays
	_, _ = f.w.WriteString("</" + m.name + ">\n")
}

func (f *merchant) Write(p Product) error {
	if p.Document.Type != "configurable" {
		return f.item(p.Document, p.Weight, nil, nil)
	}
	if len(p.Variants) == 0 {
		return f.Reject(Rejection{SKU: p.Document.SKU, Lacks: []string{"item_group_id"}, Reason: "no variant of it can be bought in this store view"})
	}
	for _, v := range p.Variants {
		if err := f.item(v.Document, v.Weight, p.Document, v.Options); err != nil {
			return err
		}
	}
	return nil
}

// item writes one, if it is complete and not written yet.
func (f *merchant) item(d *search.Document, weight string, group *search.Document, options []search.Option) error {
	key := maphash.String(f.seed, strings.ToLower(d.SKU))
	if _, ok := f.seen[key]; ok {
		return nil
	}
	f.seen[key] = struct{}{}
	members, lacks := f.members(d, weight, group, options)
	if len(lacks) > 0 {
		r := Rejection{SKU: d.SKU}
		if group != nil {
			r.Group = group.SKU
		}
		var reasons []string
		for _, l := range lacks {
			r.Lacks = append(r.Lacks, l.name)
			reasons = append(reasons, l.name+" "+l.value)
		}
		r.Reason = strings.Join(reasons, "; ")
		return f.Reject(r)
	}
	_, _ = f.w.WriteString("<item>\n")
	for _, m := range members {
		if m.value != "" {
			f.element(member{"g:" + m.name, m.value})
		}
	}
	f.count++
	_, err := f.w.WriteString("</item>\n")
	return err
}

// members returns the attributes of an item, and what is wrong with those that it must have.
func (f *merchant) members(d *search.Document, weight string, group *search.Document, options []search.Option) (members, lacks []member) {
	add := func(name, value string) { members = append(members, member{name, value}) }
	lack := func(name, why string) { lacks = append(lacks, member{name, why}) }

	whole := d // what a variant shares with the others
	title := d.Name
	if group != nil {
		whole = group
		title = group.Name
		var values []string
		for _, o := range options {
			values = append(values, o.Value)
		}
		if len(values) > 0 {
			title = trim(title, maxTitle-utf8.RuneCountInString(strings.Join(values, ", "))-3) + " - " + strings.Join(values, ", ")
		}
	}
	id := func(name, sku string) {
		if n := utf8.RuneCountInString(sku); n > maxID {
			lack(name, fmt.Sprintf("is the SKU, which has %d characters: %d are possible", n, maxID))
		}
		add(name, sku)
	}
	id("id", d.SKU)
	if title == "" {
		lack("title", "is missing: the product has no name")
	}
	add("title", trim(title, maxTitle))
	description := cmp.Or(d.Description, d.ShortDescription, whole.Description, whole.ShortDescription)
	if description == "" {
		lack("description", "is missing: the product has neither a description nor a short one")
	}
	add("description", trim(description, maxDescription))
	if why := badLink(d.URL); why != "" {
		lack("link", why)
	}
	add("link", d.URL)
	f.images(d, whole, add, lack)
	add("availability", map[bool]string{true: "in_stock", false: "out_of_stock"}[d.InStock])
	f.prices(d, add, lack)
	f.identifiers(d, whole, add)
	add("condition", condition(first(f.Codes.Condition, d, whole)))
	add("google_product_category", trim(first(f.Codes.Category, d, whole), maxType))
	if c := deepest(d, whole); c != "" {
		add("product_type", trim(c, maxType))
	}
	if group != nil {
		id("item_group_id", group.SKU)
		for _, o := range options {
			if name := optionNames[strings.ToLower(o.Code)]; name != "" {
				add(name, trim(o.Value, maxOption))
			}
		}
	}
	add("shipping_weight", weight)
	return members, lacks
}

// optionNames are the attributes of the specification by which variants may differ, by the codes that shops give theirs.
var optionNames = map[string]string{
	"color": "color", "colour": "color", "farbe": "color", "couleur": "color", "size": "size", "groesse": "size", "taille": "size",
	"material": "material", "pattern": "pattern", "gender": "gender", "age_group": "age_group",
}

// trim shortens a text to so many characters, at the end of a word where there is one.
func trim(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	runes := []rune(s)
	return search.Shorten(s, min(len(s)-1, len(string(runes[:max(most, 1)]))))
}

func badLink(link string) string {
	u, err := url.Parse(link)
	switch {
	case link == "":
		return "is missing"
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return "is no address with http or https: see the base addresses of the store view"
	case utf8.RuneCountInString(link) > maxLink:
		return fmt.Sprintf("has more than %d characters", maxLink)
	}
	return ""
}

func (f *merchant) images(d, whole *search.Document, add, lack func(name, value string)) {
	image := cmp.Or(d.Image, whole.Image)
	if why := badLink(image); why != "" {
		lack("image_link", why)
	}
	add("image_link", image)
	var more []string
	for _, i := range append(slices.Clone(d.Images), whole.Images...) {
		if i.URL != image && badLink(i.URL) == "" && !slices.Contains(more, i.URL) && len(more) < maxImages {
			more = append(more, i.URL)
			add("additional_image_link", i.URL)
		}
	}
}

// decimals are those of the currencies that do not have two.
var decimals = map[string]int32{
	"CLP": 0, "ISK": 0, "JPY": 0, "KRW": 0, "PYG": 0, "UGX": 0, "VND": 0, "XAF": 0, "XOF": 0,
	"BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3,
}

// money returns a price as the specification has it, such as 12.34 EUR.
func money(amount decimal.Decimal, currency string) string {
	places, ok := decimals[currency]
	if !ok {
		places = 2
	}
	return amount.StringFixed(places) + " " + currency
}

func (f *merchant) prices(d *search.Document, add, lack func(name, value string)) {
	price := d.Price
	switch {
	case len(d.Currency) != 3 || strings.ToUpper(d.Currency) != d.Currency:
		lack("price", "has no currency")
		return
	case price == nil || !price.IsPositive():
		lack("price", "is missing, or not above 0")
		return
	}
	add("price", money(price.Decimal, d.Currency))
	sale, from, to := d.FinalPrice, time.Time{}, d.SpecialPriceTo
	switch special := d.SpecialPrice; {
	case special != nil && special.LessThan(price.Decimal) && d.SpecialPriceFrom != nil && d.SpecialPriceFrom.After(f.Now):
		// One that is to come is told if it has an end, as the specification wants both.
		if sale == nil || !sale.LessThan(price.Decimal) {
			sale, from = special, *d.SpecialPriceFrom
			if to == nil {
				return
			}
		} else {
			to = nil
		}
	case special == nil || sale == nil || !sale.Equal(special.Decimal):
		to = nil // the lower price is another one
	case d.SpecialPriceFrom != nil:
		from = *d.SpecialPriceFrom
	}
	if sale == nil || !sale.LessThan(price.Decimal) || !sale.IsPositive() {
		return
	}
	add("sale_price", money(sale.Decimal, d.Currency))
	if to != nil {
		if from.IsZero() {
			from = f.Now
		}
		add("sale_price_effective_date", from.UTC().Format(effective)+"/"+to.UTC().Format(effective))
	}
}

// effective is how the specification has times.
const effective = "2006-01-02T15:04Z0700"

// identifiers adds what makes a product known outside of the shop: a GTIN, or the maker's number with the brand.
func (f *merchant) identifiers(d, whole *search.Document, add func(name, value string)) {
	gtin := validGTIN(first(f.Codes.GTIN, d))
	mpn, brand := first(f.Codes.MPN, d), first(f.Codes.Brand, d, whole)
	add("gtin", gtin)
	add("mpn", trim(mpn, maxBrand))
	add("brand", trim(brand, maxBrand))
	if gtin == "" && (mpn == "" || brand == "") {
		add("identifier_exists", "no")
	}
}

// validGTIN returns a number of 8, 12, 13 or 14 digits with the right check digit; empty for anything else, which Google would refuse.
func validGTIN(s string) string {
	s = strings.NewReplacer(" ", "", "-", "").Replace(s)
	if n := len(s); n != 8 && n != 12 && n != 13 && n != 14 || strings.Trim(s, "0123456789") != "" || strings.Trim(s, "0") == "" {
		return ""
	}
	sum := 0
	for i := range len(s) - 1 {
		weight := 3
		if (len(s)-1-i)%2 == 0 {
			weight = 1
		}
		sum += weight * int(s[i]-'0')
	}
	if (10-sum%10)%10 != int(s[len(s)-1]-'0') {
		return ""
	}
	return s
}

// condition returns one of the specification's words; what is not known to be used is new.
func condition(text string) string {
	switch strings.ToLower(text) {
	case "used", "gebraucht", "occasion", "usato", "usado", "gebruikt":
		return "used"
	case "refurbished", "renewed", "generalüberholt", "reconditionné", "ricondizionato", "reacondicionado":
		return "refurbished"
	default:
		return "new"
	}
}

// deepest returns the path of the category that is furthest from the root, of those of equal depth the first.
func deepest(all ...*search.Document) string {
	for _, d := range all {
		found := search.Category{}
		for _, c := range d.Categories {
			if c.Level > found.Level {
				found = c
			}
		}
		if found.Path != "" {
			return found.Path
		}
	}
	return ""
}

// first returns the first value that one of the documents has of the attributes.
func first(codes []string, all ...*search.Document) string {
	for _, d := range all {
		for _, code := range codes {
			if v := attribute(d, code); v != "" {
				return v
			}
		}
	}
	return ""
}

// attribute returns the value of an attribute, wherever the document has it.
func attribute(d *search.Document, code string) string {
	switch v := d.Attributes[code].(type) {
	case nil:
	case []string:
		return strings.Join(v, ", ")
	default:
		return fmt.Sprint(v)
	}
	for _, a := range d.OtherAttributes {
		if a.Code == code {
			return strings.Join(a.Value, ", ")
		}
	}
	return ""
}
