package mapping

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/search"
)

// View is what is known of a store view: what a product's ids mean there.
type View struct {
	Store     string // its code
	WebsiteID int64
	Currency  string // of the prices that the REST API has: the base currency
	// LinkURL and MediaURL end in a slash; Suffix is behind the url_key in an address.
	LinkURL, MediaURL, Suffix string
	Location                  *time.Location
	// Categories are those that the shop shows below the root category of the store view, by id.
	Categories map[int64]CategoryFact
	Attributes map[string]AttributeFact // by code
	Codes      map[int64]string         // of attributes, by id
	// GroupPrices has the prices of customer groups written into documents.
	GroupPrices bool
}

// CategoryFact is a category.
type CategoryFact struct {
	Name  string
	Path  []string // the names from below the root to this one
	IDs   []int64  // of the path
	Level int64
}

// AttributeFact is an attribute as a store view has it.
type AttributeFact struct {
	Label   string
	Input   string            // Magento's frontend_input
	Options map[string]string // labels by value, of an attribute with a choice
	// Type is not empty if the attribute is a field of its own.
	Type search.Type
	// Listed attributes are in the list of all others.
	Listed bool
}

// Stock is what can be sold of a product.
type Stock struct {
	Quantity decimal.NullDecimal
	InStock  bool
}

// Parts are the products that others are made of, and what can be sold of each. Keys are SKUs in lower case.
type Parts struct {
	Products map[string]*magentoapi.Product
	ByID     map[int64]*magentoapi.Product
	Stock    map[string]Stock
}

// allGroups is the customer group of a price that is for all of them, and guests the one of those not logged in.
const (
	allGroups = 32000
	guests    = 0
)

// PartsOf returns which products a product is made of: by id those of a configurable product, by SKU those of others.
func PartsOf(p *magentoapi.Product) (ids []int64, skus []string) {
	switch p.TypeID {
	case "configurable":
		var links []magentoapi.ID
		if ok, err := p.ExtensionAttributes.Get("configurable_product_links", &links); ok && err == nil {
			for _, id := range links {
				ids = append(ids, int64(id))
			}
		}
	case "grouped":
		for _, l := range p.ProductLinks {
			if l.LinkType == magentoapi.LinkAssociated {
				skus = append(skus, string(l.LinkedProductSKU))
			}
		}
	case "bundle":
		for _, o := range bundleOptions(p) {
			for _, l := range o.Links {
				skus = append(skus, string(l.SKU))
			}
		}
	}
	return ids, skus
}

func bundleOptions(p *magentoapi.Product) []magentoapi.BundleOption {
	var options []magentoapi.BundleOption
	if ok, err := p.ExtensionAttributes.Get("bundle_product_options", &options); !ok || err != nil {
		return nil
	}
	return options
}

// Product returns a product's document in the store view, or nil if the view does not show it: it is disabled, not visible by itself,
// or not in the view's website. now decides which prices are in force.
func (v *View) Product(p *magentoapi.Product, parts Parts, now time.Time) *search.Document {
	if p.Status != magentoapi.ProductEnabled || p.Visibility == magentoapi.NotVisible || !v.offers(p) {
		return nil
	}
	d := &search.Document{
		SKU: string(p.SKU), ID: int64(p.ID), Type: string(p.TypeID), Store: v.Store, Name: plain(string(p.Name)), Currency: v.Currency,
		Description: plain(attributeText(p, "description")), ShortDescription: plain(attributeText(p, "short_description")),
		URL:       v.address(p),
		InCatalog: p.Visibility == magentoapi.VisibleInList || p.Visibility == magentoapi.VisibleInBoth,
		InSearch:  p.Visibility == magentoapi.VisibleInSearch || p.Visibility == magentoapi.VisibleInBoth,
		CreatedAt: utc(p.CreatedAt.Time), UpdatedAt: utc(p.UpdatedAt.Time),
		NewFrom: v.day(attributeText(p, "news_from_date"), false), NewTo: v.day(attributeText(p, "news_to_date"), true),
	}
	v.images(p, d)
	stock := parts.Stock[skuKey(string(p.SKU))]
	d.InStock = stock.InStock
	if stock.Quantity.Valid {
		d.Quantity = search.NewAmount(stock.Quantity.Decimal)
	}
	v.priced(p, d, now)
	switch p.TypeID {
	case "configurable":
		v.configurable(p, d, parts, now)
	case "grouped":
		v.grouped(p, d, parts, now)
	case "bundle":
		v.bundle(p, d, parts, now)
	case "giftcard":
		giftCard(p, d)
	}
	if d.PriceFrom == nil {
		d.PriceFrom, d.PriceTo = d.FinalPrice, d.FinalPrice
	}
	d.Categories = v.categories(p)
	v.attributes(p, d)
	rating(p, d)
	return d
}

// offers reports whether the product is in the view's website. One that does not say where it is, is everywhere.
func (v *View) offers(p *magentoapi.Product) bool {
	var websites []magentoapi.ID
	ok, err := p.ExtensionAttributes.Get("website_ids", &websites)
	return !ok || err != nil || slices.Contains(websites, magentoapi.ID(v.WebsiteID))
}

func (v *View) address(p *magentoapi.Product) string {
	if key := attributeText(p, "url_key"); key != "" {
		return v.LinkURL + key + v.Suffix
	}
	return v.LinkURL + "catalog/product/view/id/" + strconv.FormatInt(int64(p.ID), 10)
}

func (v *View) media(file string) string {
	if file == "" || file == "no_selection" {
		return ""
	}
	if strings.HasPrefix(file, "http://") || strings.HasPrefix(file, "https://") {
		return file
	}
	return v.MediaURL + "catalog/product/" + strings.TrimPrefix(file, "/")
}

func (v *View) images(p *magentoapi.Product, d *search.Document) {
	entries := slices.Clone(p.MediaGalleryEntries)
	slices.SortStableFunc(entries, func(a, b magentoapi.MediaEntry) int { return cmp.Compare(a.Position, b.Position) })
	for _, e := range entries {
		if url := v.media(string(e.File)); url != "" && !e.Disabled.Bool && (e.MediaType == "" || e.MediaType == "image") {
			d.Images = append(d.Images, search.Image{URL: url, Label: plain(string(e.Label))})
		}
	}
	d.Image, d.Thumbnail = v.media(attributeText(p, "image")), v.media(cmp.Or(image(p, "small_image"), image(p, "thumbnail")))
	if d.Image == "" && len(d.Images) > 0 {
		d.Image = d.Images[0].URL
	}
	if d.Thumbnail == "" {
		d.Thumbnail = d.Image
	}
}

// image returns the file of a role; empty if none was chosen.
func image(p *magentoapi.Product, role string) string {
	if file := attributeText(p, role); file != "no_selection" {
		return file
	}
	return ""
}

func (v *View) categories(p *magentoapi.Product) []search.Category {
	positions := map[int64]int64{}
	var links []struct {
		Position magentoapi.Int `json:"position"`
		ID       magentoapi.ID  `json:"category_id"`
	}
	if ok, err := p.ExtensionAttributes.Get("category_links", &links); ok && err == nil {
		for _, l := range links {
			positions[int64(l.ID)] = int64(l.Position)
		}
	}
	if ids, err := p.CustomAttributes.List("category_ids"); err == nil {
		for _, one := range ids {
			id, err := strconv.ParseInt(strings.TrimSpace(one), 10, 64)
			if _, known := positions[id]; err == nil && !known {
				positions[id] = 0
			}
		}
	}
	var all []search.Category
	for id, position := range positions {
		if c, ok := v.Categories[id]; ok {
			all = append(all, search.Category{ID: id, Name: c.Name, Path: strings.Join(c.Path, " > "), Level: c.Level, IDs: c.IDs, Position: position})
		}
	}
	slices.SortFunc(all, func(a, b search.Category) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// unlisted are attributes that documents have other members for, and those that say how Magento shows, packs or taxes a product, or
// what it was bought for.
var unlisted = map[string]bool{}

func init() {
	for _, code := range strings.Fields(`sku name description short_description status visibility price special_price special_from_date
		special_to_date tier_price cost minimal_price url_key url_path image small_image thumbnail swatch_image image_label small_image_label
		thumbnail_label media_gallery gallery category_ids news_from_date news_to_date created_at updated_at has_options required_options
		options_container page_layout custom_design custom_design_from custom_design_to custom_layout custom_layout_update
		custom_layout_update_file meta_title meta_keyword meta_description tax_class_id gift_message_available gift_wrapping_available
		gift_wrapping_price msrp msrp_display_actual_price_type price_type price_view sku_type weight_type shipment_type links_title
		links_purchased_separately links_exist samples_title quantity_and_stock_status is_returnable related_tgtr_position_behavior
		related_tgtr_position_limit upsell_tgtr_position_behavior upsell_tgtr_position_limit rating_summary reviews_count
		giftcard_type giftcard_amounts allow_open_amount open_amount_min open_amount_max is_redeemable use_config_is_redeemable lifetime
		use_config_lifetime email_template use_config_email_template allow_message use_config_allow_message old_id`) {
		unlisted[code] = true
	}
}

// Listable reports whether an attribute may be in documents, as a field or in the list of all others.
func Listable(code string) bool { return !unlisted[code] }

// longValue bounds a value in the list of attributes, in bytes: engines refuse a keyword of more than 32 KiB.
const longValue = 8000

func (v *View) attributes(p *magentoapi.Product, d *search.Document) {
	custom := p.CustomAttributes
	if p.Weight.Valid {
		weight, err := json.Marshal(p.Weight)
		if err == nil && !slices.ContainsFunc(custom, func(a magentoapi.CustomAttribute) bool { return a.Code == "weight" }) {
			custom = append(slices.Clone(custom), magentoapi.CustomAttribute{Code: "weight", Value: weight})
		}
	}
	for _, a := range custom {
		fact, known := v.Attributes[a.Code]
		if !known {
			continue
		}
		if fact.Type != "" {
			if value := v.value(custom, a.Code, fact); value != nil {
				if d.Attributes == nil {
					d.Attributes = search.Values{}
				}
				d.Attributes[a.Code] = value
			}
			continue
		}
		if !fact.Listed {
			continue
		}
		if values := v.labels(custom, a.Code, fact); len(values) > 0 {
			d.OtherAttributes = append(d.OtherAttributes, search.Attribute{Code: a.Code, Label: fact.Label, Value: values})
		}
	}
	slices.SortFunc(d.OtherAttributes, func(a, b search.Attribute) int { return cmp.Compare(a.Code, b.Code) })
}

// labels returns an attribute's values as the store view shows them.
func (v *View) labels(custom magentoapi.CustomAttributes, code string, fact AttributeFact) []string {
	var values []string
	switch {
	case fact.Input == "boolean":
		text, ok := custom.Text(code)
		if !ok || text == "" {
			return nil
		}
		values = []string{cmp.Or(fact.Options[text], map[bool]string{true: "Yes", false: "No"}[truth(text)])}
	case len(fact.Options) > 0:
		list, err := custom.List(code)
		if err != nil {
			return nil
		}
		for _, one := range list {
			if label := fact.Options[strings.TrimSpace(one)]; label != "" {
				values = append(values, label)
			}
		}
	default:
		text, ok := custom.Text(code)
		if !ok {
			list, err := custom.List(code)
			if err != nil {
				return nil
			}
			text = strings.Join(list, ", ")
		}
		if fact.Input == "price" || fact.Input == "weight" {
			if n, err := decimal.NewFromString(text); err == nil {
				text = n.Round(4).String()
			}
		}
		values = []string{plain(text)}
	}
	var kept []string
	for _, value := range values {
		if value != "" && !slices.Contains(kept, value) {
			kept = append(kept, search.Shorten(value, longValue))
		}
	}
	return kept
}

// value returns an attribute's value for a field of its type; nil if there is none that fits.
func (v *View) value(custom magentoapi.CustomAttributes, code string, fact AttributeFact) any {
	text, _ := custom.Text(code)
	switch fact.Type {
	case search.Boolean:
		if text == "" {
			return nil
		}
		return truth(text)
	case search.Decimal:
		n, err := decimal.NewFromString(text)
		if err != nil || n.Exponent() > 20 {
			return nil
		}
		return *search.NewAmount(n)
	case search.Date:
		if at := v.day(text, false); at != nil {
			return *at
		}
		return nil
	}
	values := v.labels(custom, code, fact)
	switch {
	case len(values) == 0:
		return nil
	case len(values) == 1 && fact.Input != "multiselect":
		return values[0]
	}
	return values
}

func truth(text string) bool { return text != "0" && text != "false" }

// rating reads what modules of reviews add to a product; Magento's own API has none.
func rating(p *magentoapi.Product, d *search.Document) {
	number := func(name string) (decimal.Decimal, bool) {
		var n magentoapi.Decimal
		if ok, err := p.ExtensionAttributes.Get(name, &n); !ok || err != nil {
			if n, err = p.CustomAttributes.Decimal(name); err != nil {
				return decimal.Decimal{}, false
			}
		}
		return n.Decimal, n.Valid
	}
	if n, ok := number("rating_summary"); ok && n.IsPositive() {
		d.Rating = search.NewAmount(n)
	}
	if n, ok := number("reviews_count"); ok {
		count := n.IntPart()
		d.RatingCount = &count
	}
}

// attributeText returns the value of a custom attribute; empty if it has none.
func attributeText(p *magentoapi.Product, code string) string {
	text, _ := p.CustomAttributes.Text(code)
	return text
}

func utc(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// day reads a date of the store's own time zone, as Magento keeps those that people enter; a date at midnight that ends something
// means the end of that day (lib/internal/Magento/Framework/Stdlib/DateTime/Timezone.php, isScopeDateInInterval).
func (v *View) day(text string, end bool) *time.Time {
	for _, layout := range []string{time.DateTime, time.DateOnly, time.RFC3339} {
		t, err := time.ParseInLocation(layout, strings.TrimSpace(text), v.Location)
		if err != nil || t.Year() < 1 || t.Year() > 9999 {
			continue
		}
		if end && t.Hour() == 0 && t.Minute() == 0 && t.Second() == 0 {
			t = t.AddDate(0, 0, 1).Add(-time.Second)
		}
		return utc(t)
	}
	return nil
}

func skuKey(sku string) string { return strings.ToLower(strings.TrimSpace(sku)) }
