package products

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/mapping"
	"github.com/mageline/mageline/search"
)

// StoreView reads a store view. Its fields are parts of a magentoapi.Client.
type StoreView struct {
	Products interface {
		Search(ctx context.Context, criteria magentoapi.SearchCriteria) (*magentoapi.Page[*magentoapi.Product], error)
	}
	Attributes interface {
		Search(ctx context.Context, criteria magentoapi.SearchCriteria) (*magentoapi.Page[*magentoapi.Attribute], error)
	}
	Categories interface {
		Tree(ctx context.Context, root int64, depth int) (*magentoapi.CategoryNode, error)
	}
}

// Shop knows what the ids of products mean in each store view. It reads that when it is first needed, and again after some minutes.
// Its fields are not changed once it is used.
type Shop struct {
	// Indexes are the store views that have an index, by code; an empty code is the default store view.
	Indexes []StoreIndex
	// View returns what reads a store view.
	View   func(code string) (StoreView, error)
	Stores interface {
		Configs(ctx context.Context) ([]magentoapi.StoreConfig, error)
		Websites(ctx context.Context) ([]magentoapi.Website, error)
		Groups(ctx context.Context) ([]magentoapi.StoreGroup, error)
		Views(ctx context.Context) ([]magentoapi.StoreView, error)
	}
	Inventory interface {
		ExportSalable(ctx context.Context, website string, criteria magentoapi.SearchCriteria) (*magentoapi.Page[*magentoapi.SalableStock], error)
	}
	StockItems interface {
		Status(ctx context.Context, sku string) (*magentoapi.StockStatus, error)
	}
	// Suffix is behind the url_key in the address of a product.
	Suffix string
	// Attributes are the codes of those that become fields of their own; nil: those that the shop searches, filters or sorts by.
	Attributes  []string
	GroupPrices bool
	// Location is used for a store view whose time zone is not known.
	Location *time.Location

	mu     sync.Mutex // held while the shop is read: whoever comes needs it
	views  []view
	readAt time.Time
	legacy bool // there is no multi-source inventory, or it may not be read
}

// StoreIndex is a store view and its index.
type StoreIndex struct{ Store, Index string }

// view is a store view as it was read.
type view struct {
	mapping.View
	index   string
	named   string // as Indexes names it
	website string // its code
	reader  StoreView
	fields  []search.Field
	own     string // names what the fields are made of
}

const (
	// factsFresh is how long what was read of the shop is used.
	factsFresh = 10 * time.Minute
	// factsUnknown is how soon the shop is read again for something that is not known.
	factsUnknown = 2 * time.Minute
	// most attributes that become fields: an engine bounds them, 1,000 by default.
	mostFields = 400
	pageRows   = 100
)

// writes reports whether a store view has an index.
func (s *Shop) writes(store string) bool {
	return slices.ContainsFunc(s.Indexes, func(i StoreIndex) bool { return i.Store == store })
}

// read returns the store views. Those that were read within fresh are used as they are.
func (s *Shop) read(ctx context.Context, fresh time.Duration) ([]view, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.views != nil && time.Since(s.readAt) < fresh {
		return s.views, nil
	}
	views, err := s.readViews(ctx)
	if err != nil {
		return nil, err
	}
	s.views, s.readAt = views, time.Now()
	return views, nil
}

// of returns the store view of an index.
func (s *Shop) of(ctx context.Context, index string) (view, error) {
	views, err := s.read(ctx, factsFresh)
	if err != nil {
		return view{}, err
	}
	for _, v := range views {
		if v.index == index {
			return v, nil
		}
	}
	return view{}, event.Errorf(event.Invalid, "no store view of the shop is written to index %s", index)
}

// Fields returns the fields of the documents of an index.
func (s *Shop) Fields(ctx context.Context, index string) ([]search.Field, error) {
	v, err := s.of(ctx, index)
	return v.fields, err
}

// Visible counts the products that the store view of an index shows by themselves.
func (s *Shop) Visible(ctx context.Context, index string) (int64, error) {
	v, err := s.of(ctx, index)
	if err != nil {
		return 0, err
	}
	websites, err := s.Stores.Websites(ctx)
	if err != nil {
		return 0, fromMagento(err)
	}
	criteria := magentoapi.SearchCriteria{Fields: "items[sku],total_count"}.
		Where(magentoapi.Eq("status", "1")).Where(magentoapi.In("visibility", "2", "3", "4"))
	for _, w := range websites {
		if string(w.Code) == v.website && len(websites) > 2 { // the admin's is one of them
			criteria = criteria.Where(magentoapi.Eq("website_id", strconv.FormatInt(int64(w.ID), 10)))
		}
	}
	found, err := v.reader.Products.Search(ctx, criteria.OnPage(1, 1))
	if err != nil {
		return 0, fromMagento(err)
	}
	return int64(found.TotalCount), nil
}

func (s *Shop) readViews(ctx context.Context) ([]view, error) {
	configs, err := s.Stores.Configs(ctx)
	if err != nil {
		return nil, fromMagento(err)
	}
	var known shopStores
	if known.websites, err = s.Stores.Websites(ctx); err != nil {
		return nil, fromMagento(err)
	}
	if known.groups, err = s.Stores.Groups(ctx); err != nil {
		return nil, fromMagento(err)
	}
	if known.views, err = s.Stores.Views(ctx); err != nil {
		return nil, fromMagento(err)
	}
	views := make([]view, 0, len(s.Indexes))
	for _, i := range s.Indexes {
		at := slices.IndexFunc(configs, func(c magentoapi.StoreConfig) bool { return string(c.Code) == i.Store })
		if i.Store == "" {
			at = known.defaultView(configs)
		}
		if at < 0 {
			return nil, event.Errorf(event.Unavailable, "Magento has no store view %q: Stores > All Stores has the codes", i.Store)
		}
		v, err := s.readView(ctx, configs[at], known)
		if err != nil {
			return nil, err
		}
		v.index, v.named = i.Index, i.Store
		views = append(views, v)
		if err := event.Progress(ctx); err != nil {
			return nil, err
		}
	}
	return views, nil
}

// shopStores are the shop's websites, stores and store views.
type shopStores struct {
	websites []magentoapi.Website
	groups   []magentoapi.StoreGroup
	views    []magentoapi.StoreView
}

// defaultView returns the place of the default store view of the first website.
func (s shopStores) defaultView(configs []magentoapi.StoreConfig) int {
	sorted := slices.Clone(s.websites)
	slices.SortFunc(sorted, func(a, b magentoapi.Website) int { return cmp.Compare(a.ID, b.ID) })
	for _, w := range sorted {
		for _, g := range s.groups {
			if w.ID == 0 || g.ID != w.DefaultGroupID {
				continue
			}
			if at := slices.IndexFunc(configs, func(c magentoapi.StoreConfig) bool { return c.ID == g.DefaultStoreID }); at >= 0 {
				return at
			}
		}
	}
	return min(0, len(configs)-1)
}

// of returns the code of a store view's website, and its root category.
func (s shopStores) of(c magentoapi.StoreConfig) (website string, root int64) {
	for _, w := range s.websites {
		if w.ID == c.WebsiteID {
			website = string(w.Code)
		}
	}
	for _, v := range s.views {
		for _, g := range s.groups {
			if v.ID == c.ID && g.ID == v.StoreGroupID {
				root = int64(g.RootCategoryID)
			}
		}
	}
	return website, root
}

func (s *Shop) readView(ctx context.Context, c magentoapi.StoreConfig, known shopStores) (view, error) {
	v := view{View: mapping.View{
		Store: string(c.Code), WebsiteID: int64(c.WebsiteID), Currency: string(c.BaseCurrencyCode), Suffix: s.Suffix, Location: s.Location,
		LinkURL:    slash(string(cmp.Or(c.SecureBaseLinkURL, c.BaseLinkURL, c.SecureBaseURL, c.BaseURL))),
		MediaURL:   slash(string(cmp.Or(c.SecureBaseMediaURL, c.BaseMediaURL))),
		Categories: map[int64]mapping.CategoryFact{}, Attributes: map[string]mapping.AttributeFact{}, Codes: map[int64]string{},
		GroupPrices: s.GroupPrices,
	}}
	if v.MediaURL == "" {
		v.MediaURL = slash(string(cmp.Or(c.SecureBaseURL, c.BaseURL))) + "media/"
	}
	if zone, err := time.LoadLocation(string(c.Timezone)); err == nil && c.Timezone != "" {
		v.Location = zone
	}
	var root int64
	v.website, root = known.of(c)
	var err error
	if v.reader, err = s.View(v.Store); err != nil {
		return view{}, err
	}
	tree, err := v.reader.Categories.Tree(ctx, root, 0)
	if err != nil && !errors.Is(err, magentoapi.ErrNotFound) {
		return view{}, fromMagento(err)
	}
	if err == nil {
		for _, child := range tree.Children {
			v.category(&child, nil, nil)
		}
	}
	err = s.readAttributes(ctx, &v, c.ID)
	return v, err
}

func slash(url string) string {
	if url == "" {
		return ""
	}
	return strings.TrimRight(url, "/") + "/"
}

// category adds a category, and those below it, if the shop shows it.
func (v *view) category(n *magentoapi.CategoryNode, path []string, ids []int64) {
	if !n.IsActive.Bool {
		return
	}
	path, ids = append(slices.Clone(path), string(n.Name)), append(slices.Clone(ids), int64(n.ID))
	v.Categories[int64(n.ID)] = mapping.CategoryFact{Name: string(n.Name), Path: path, IDs: ids, Level: int64(len(ids))}
	for i := range n.Children {
		v.category(&n.Children[i], path, ids)
	}
}

const attributeFields = "items[attribute_id,attribute_code,frontend_input,backend_type,default_frontend_label,frontend_labels,options,is_user_defined," +
	"is_searchable,is_filterable,is_filterable_in_search,used_for_sort_by],total_count"

func (s *Shop) readAttributes(ctx context.Context, v *view, store magentoapi.ID) error {
	var own []search.Own
	for page := 1; ; page++ {
		found, err := v.reader.Attributes.Search(ctx, magentoapi.SearchCriteria{Fields: attributeFields}.
			SortBy("attribute_code", magentoapi.Ascending).OnPage(page, pageRows))
		if err != nil {
			return fromMagento(err)
		}
		for _, a := range found.Items {
			fact, sort := s.fact(a, store)
			code := string(a.AttributeCode)
			if fact.Type != "" && len(own) == mostFields {
				fact.Type, fact.Listed = "", true
				zerolog.Ctx(ctx).Warn().Str("event", "search_fields_full").Str("attribute", code).Int("most", mostFields).
					Msg("more attributes would become fields than an engine takes: this one goes into the list of all others; name those that are needed in SEARCH_ATTRIBUTES")
			}
			if fact.Type != "" {
				own = append(own, search.Own{Code: code, Type: fact.Type, Sort: sort})
			}
			v.Attributes[code], v.Codes[int64(a.AttributeID)] = fact, code
		}
		if !found.More() {
			break
		}
		if err := event.Progress(ctx); err != nil {
			return err
		}
	}
	v.fields = search.Fields(own)
	for _, o := range own {
		v.own += o.Code + ":" + string(o.Type) + " "
	}
	return nil
}

// fact is what documents need to know of an attribute, and whether it is sorted by.
func (s *Shop) fact(a *magentoapi.Attribute, store magentoapi.ID) (mapping.AttributeFact, bool) {
	code := string(a.AttributeCode)
	fact := mapping.AttributeFact{Label: cmp.Or(string(a.DefaultFrontendLabel), code), Input: string(a.FrontendInput), Options: map[string]string{}}
	for _, l := range a.FrontendLabels {
		if l.StoreID == store && l.Label != "" {
			fact.Label = string(l.Label)
		}
	}
	for _, o := range a.Options {
		if o.Value != "" {
			fact.Options[string(o.Value)] = strings.TrimSpace(string(o.Label))
		}
	}
	if !mapping.Listable(code) {
		return fact, false
	}
	named := slices.Contains(s.Attributes, code)
	used := a.IsSearchable.Bool || a.IsFilterable.Bool || a.IsFilterableInSearch.Bool || a.UsedForSortBy.Bool
	if named || s.Attributes == nil && used {
		fact.Type = typeOf(a)
	}
	fact.Listed = fact.Type == "" && a.IsUserDefined.Bool
	return fact, a.UsedForSortBy.Bool && fact.Type == search.Text
}

func typeOf(a *magentoapi.Attribute) search.Type {
	switch a.FrontendInput {
	case "boolean":
		return search.Boolean
	case "price", "weight":
		return search.Decimal
	case "date", "datetime":
		return search.Date
	case "text", "textarea", "texteditor", "pagebuilder":
		if a.BackendType == "decimal" {
			return search.Decimal
		}
		return search.Text
	default:
		return search.Keyword
	}
}

// olderThan reports whether the shop was read longer ago.
func (s *Shop) olderThan(d time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.readAt) > d
}

// lacks reports whether a product has an attribute that is not known.
func (v *view) lacks(products map[string]*magentoapi.Product) bool {
	for _, p := range products {
		for _, a := range p.CustomAttributes {
			if _, known := v.Attributes[a.Code]; !known && mapping.Listable(a.Code) {
				return true
			}
		}
	}
	return false
}
