// Package products has the handler of products_exported: it writes the documents of products to the search indexes, one for each
// store view.
//
// A call takes the SKUs of many messages through the same steps (write.go). What the indexes are written to is asked for first, and a
// version is taken. The products, those that they are parts of and those that they are made of are read through each store view
// (read.go). Package mapping makes the documents. What is stale or unchanged is left out, the rest is written to every generation of
// the view's index, and what became of each document is recorded.
package products

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/handlers"
	"github.com/mageline/mageline/internal/documents"
	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/search"
)

// Name is the consumer's name.
const Name = "products_exported"

// The topics of its messages.
const (
	TopicExported = "catalog.products.exported"
	TopicDeleted  = "catalog.products.deleted"
)

// What became of a document, as metrics have it.
const (
	written   = "written"
	deleted   = "deleted"
	unchanged = "unchanged"
	stale     = "stale"
	rejected  = "rejected"
)

// Documents keeps what was written of each product. *documents.Store implements it and documents the methods.
type Documents interface {
	Now(ctx context.Context) (documents.Moment, error)
	Begin(ctx context.Context, target search.Target, began time.Time, skip bool, all []*documents.Document) error
	End(ctx context.Context, target search.Target, began time.Time, all []*documents.Document) error
	Parents(ctx context.Context, skus []string) ([]string, error)
	SetParts(ctx context.Context, parts map[string][]string) error
}

// Indexes keeps the generations of the indexes. *indexes.Store implements it and documents the methods.
type Indexes interface {
	Targets(ctx context.Context, indexes ...string) (map[string][]search.Target, error)
	Ensure(ctx context.Context, engine search.Engine, index string, fields []search.Field) (search.Target, error)
}

// Changes has products read again. *documents.Changes implements it and documents the method.
type Changes interface {
	Coming(ctx context.Context, skus []string) error
}

// Meter counts.
type Meter interface {
	// Documents counts documents by what became of them.
	Documents(index, outcome string, n int)
	// Cut counts documents of which a field was shortened or left out.
	Cut(index, field string)
	// Read counts products that were read.
	Read(n int)
}

// Handler handles products_exported.
type Handler struct {
	Engine    search.Engine
	Documents Documents
	Indexes   Indexes
	Changes   Changes
	Shop      *Shop
	Meter     Meter
	// SkipUnchanged leaves out what the index has already.
	SkipUnchanged bool

	ensured ensured
}

// item is a product on its way: the value of a consumer.Entry.
type item struct {
	sku      string
	raw      json.RawMessage
	list     string              // of the message: skus or products
	product  *magentoapi.Product // as the message has it; nil: it is read
	version  int64               // of the message; 0: that of the reading
	deletion bool
	settle   bool
	again    bool     // it is the second reading
	stores   []string // codes; none is all
}

func (i *item) describe() string { return "SKU " + i.sku }

// Entries returns the items of an event.
func (h *Handler) Entries(_ context.Context, e event.Event) ([]consumer.Entry, error) {
	p, err := event.ParseProducts(e.Body)
	if err != nil {
		return nil, err
	}
	for _, store := range p.Stores {
		if !h.Shop.writes(store) {
			return nil, event.Errorf(event.Invalid, "the event is about store view %q, which has no index: SEARCH_STORES names those that have", store)
		}
	}
	deletion := e.Topic == TopicDeleted || strings.HasSuffix(e.Topic, ".deleted")
	entries := make([]consumer.Entry, 0, len(p.Items))
	for _, one := range p.Items {
		i := &item{sku: one.SKU, raw: one.Raw, list: "skus", deletion: deletion, settle: p.Settle, again: p.Again, stores: p.Stores}
		if !p.AsOf.IsZero() {
			i.version = max(1, p.AsOf.UnixMilli())
		}
		err := one.Err
		if one.Product != nil {
			i.list = "products"
			if err == nil && !deletion {
				err = i.given(one.Product)
			}
		}
		entries = append(entries, consumer.Entry{Value: i, Key: documents.Key(one.SKU), Bytes: len(one.Raw), Err: err})
	}
	return entries, nil
}

// given reads a product that the message has.
func (i *item) given(raw json.RawMessage) error {
	i.product = &magentoapi.Product{}
	if err := json.Unmarshal(raw, i.product); err != nil {
		return event.Errorf(event.Invalid, "%s can't be read as a product of Magento's REST API: %w", i.describe(), err)
	}
	if i.version == 0 && i.product.UpdatedAt.IsZero() {
		return event.Errorf(event.Invalid, "%s has no updated_at, and the event no as_of: nobody knows whether it is newer than what the index has", i.describe())
	}
	if i.version == 0 {
		i.version = max(1, i.product.UpdatedAt.UnixMilli())
	}
	if i.product.ID == 0 || i.product.TypeID == "" || i.product.Status == 0 || i.product.Visibility == 0 {
		return event.Errorf(event.Invalid, "%s must have id, type_id, status and visibility, as in Magento's REST API; it has %s", i.describe(), event.MemberNames(raw))
	}
	return nil
}

// Letter returns the body of an event with only the rejected entries.
func (h *Handler) Letter(e event.Event, rejections []consumer.Rejection) (json.RawMessage, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(e.Body, &members); err != nil {
		return nil, err
	}
	lists := map[string][]json.RawMessage{}
	for _, r := range rejections {
		i, ok := r.Entry.Value.(*item)
		if !ok {
			return nil, fmt.Errorf("an entry of the event is a %T", r.Entry.Value)
		}
		lists[i.list] = append(lists[i.list], i.raw)
	}
	delete(members, "skus")
	delete(members, "products")
	for name, list := range lists {
		raw, err := json.Marshal(list)
		if err != nil {
			return nil, err
		}
		members[name] = raw
	}
	return json.Marshal(members)
}

// fromMagento is handlers.FromMagento, under a name that says what it is about here.
func fromMagento(err error) error { return handlers.FromMagento(err) }
