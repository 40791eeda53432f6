package products

import (
	"context"
	"iter"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/mapping"
	"github.com/mageline/mageline/search"
)

// Catalogue is all that one store view shows, to be read from the beginning to the end. Use a new one for each reading.
type Catalogue struct {
	// Store is the store view's code, Link the address of its pages.
	Store, Link string
	// Fields are those of the documents.
	Fields []search.Field

	shop   *Shop
	view   *view
	weight string // the unit
}

// Listing is a product that a store view shows.
type Listing struct {
	Document *search.Document
	// Weight has a unit, as in 1.5 kg; empty if it is not known.
	Weight string
	// Variants are the products of which one is bought, of a configurable product. The address of each is that of the configurable
	// product with its options chosen.
	Variants []Listing
	// Options are the values by which a variant differs from the others.
	Options []search.Option
}

// Catalogue reads what is known of a store view, the default one for an empty code, which Indexes must have.
func (s *Shop) Catalogue(ctx context.Context, store string) (*Catalogue, error) {
	views, err := s.read(ctx, factsFresh)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(views, func(v view) bool { return v.named == store })
	if at < 0 {
		return nil, event.Errorf(event.Invalid, "store view %q is none of those that are read", store)
	}
	c := &Catalogue{Store: views[at].Store, Link: views[at].LinkURL, Fields: views[at].fields, shop: s, view: &views[at]}
	configs, err := s.Stores.Configs(ctx)
	if err != nil {
		return nil, fromMagento(err)
	}
	for _, one := range configs {
		if string(one.Code) == c.Store {
			c.weight = map[string]string{"kgs": " kg", "lbs": " lb"}[string(one.WeightUnit)]
		}
	}
	return c, nil
}

// atOnce is how many products are read at once with what they are made of, which are hundreds for some configurable products.
const atOnce = 200

// some divides a page into as many products as are read at once.
func some(page []*magentoapi.Product) iter.Seq[[]*magentoapi.Product] {
	return func(yield func([]*magentoapi.Product) bool) {
		first, n := 0, 0
		for i, p := range page {
			ids, skus := mapping.PartsOf(p)
			own := 1 + len(ids) + len(skus)
			if i > first && n+own > atOnce {
				if !yield(page[first:i]) {
					return
				}
				first, n = i, 0
			}
			n += own
		}
		if first < len(page) {
			yield(page[first:])
		}
	}
}

// Each calls each with every product that the store view shows, a page of Magento's in memory at a time. progress is told how many
// products are read, and of how many. With groupsFirst configurable products come before all others.
func (c *Catalogue) Each(ctx context.Context, groupsFirst bool, progress func(read, of int64), each func(Listing) error) error {
	passes := []magentoapi.SearchCriteria{{Fields: productFields}}
	if groupsFirst {
		of := magentoapi.Eq("type_id", "configurable")
		others := of
		others.Condition = magentoapi.CondNeq
		passes = []magentoapi.SearchCriteria{{Fields: productFields}, {Fields: productFields}}
		passes[0], passes[1] = passes[0].Where(of), passes[1].Where(others)
	}
	shown := magentoapi.Eq("visibility", strconv.Itoa(int(magentoapi.NotVisible)))
	shown.Condition = magentoapi.CondNeq
	now := time.Now()
	var read, before int64
	for _, criteria := range passes {
		criteria = criteria.Where(shown).Where(magentoapi.Eq("status", strconv.Itoa(int(magentoapi.ProductEnabled)))).
			SortBy("entity_id", magentoapi.Ascending).OnPage(1, pageRows)
		// By the id and not by the page's number: what is added or deleted meanwhile moves no product to another page.
		for last := int64(0); ; {
			page, err := c.view.reader.Products.Search(ctx, criteria.Where(magentoapi.Gt("entity_id", strconv.FormatInt(last, 10))))
			if err != nil {
				return fromMagento(err)
			}
			if last == 0 {
				before += int64(page.TotalCount)
			}
			next := last
			for part := range some(page.Items) {
				for _, p := range part {
					next = max(next, int64(p.ID))
				}
				if err := c.listings(ctx, part, now, each); err != nil {
					return err
				}
				read += int64(len(part))
				progress(read, max(before, read))
			}
			if len(page.Items) < pageRows || next == last {
				break
			}
			last = next
		}
	}
	return nil
}

// listings reads what products are made of, and calls each with those that the store view shows.
func (c *Catalogue) listings(ctx context.Context, part []*magentoapi.Product, now time.Time, each func(Listing) error) error {
	products := make(map[string]*magentoapi.Product, len(part))
	for _, p := range part {
		products[strings.ToLower(string(p.SKU))] = p
	}
	r := &batchReading{Handler: &Handler{Shop: c.shop, Meter: unmetered{}}}
	parts, err := r.parts(ctx, c.view, products)
	if err != nil {
		return err
	}
	for _, p := range part {
		d := c.view.Product(p, parts, now)
		if d == nil {
			continue
		}
		if err := each(Listing{Document: d, Weight: c.weightOf(p), Variants: c.variants(p, d, parts, now)}); err != nil {
			return err
		}
	}
	return nil
}

// variants returns a document for each variant of a product's document.
func (c *Catalogue) variants(p *magentoapi.Product, d *search.Document, parts mapping.Parts, now time.Time) []Listing {
	var options []magentoapi.ConfigurableOption
	if ok, err := p.ExtensionAttributes.Get("configurable_product_options", &options); !ok || err != nil {
		options = nil
	}
	var all []Listing
	for _, v := range d.Variants {
		child := parts.ByID[v.ID]
		if child == nil {
			continue
		}
		// As if it was shown by itself: a variant rarely is.
		shown := *child
		shown.Visibility = magentoapi.VisibleInBoth
		own := c.view.Product(&shown, parts, now)
		if own == nil {
			continue
		}
		own.URL = d.URL
		// The page of a configurable product chooses the options that are in its fragment.
		chosen := url.Values{}
		for _, o := range options {
			if value, ok := child.CustomAttributes.Text(c.view.Codes[int64(o.AttributeID)]); ok {
				chosen.Set(strconv.FormatInt(int64(o.AttributeID), 10), value)
			}
		}
		if len(chosen) > 0 {
			own.URL += "#" + chosen.Encode()
		}
		all = append(all, Listing{Document: own, Weight: c.weightOf(child), Options: v.Options})
	}
	return all
}

func (c *Catalogue) weightOf(p *magentoapi.Product) string {
	if c.weight == "" || !p.Weight.Valid || !p.Weight.Decimal.IsPositive() {
		return ""
	}
	return p.Weight.Decimal.Round(4).String() + c.weight
}

// unmetered counts nothing: a command has no metrics.
type unmetered struct{}

func (unmetered) Documents(string, string, int) {}
func (unmetered) Cut(string, string)            {}
func (unmetered) Read(int)                      {}
