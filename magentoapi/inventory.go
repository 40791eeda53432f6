package magentoapi

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
)

// InventoryService calls the endpoints of multi-source inventory (MSI): what is in which source, and what of it may
// still be sold.
//
// The quantity of a source item is what is there. What may be sold is the sum of a stock's sources less the open orders
// (reservations) that are not shipped: an ERP's quantity that has them deducted already would be reduced twice.
//
// Source of the endpoints: InventoryApi/etc/webapi.xml and InventorySalesApi/etc/webapi.xml of magento/inventory.
type InventoryService struct{ client *Client }

// Source is a place with goods (InventoryApi/Api/Data/SourceInterface.php).
type Source struct {
	Code        Text `json:"source_code"`
	Name        Text `json:"name"`
	Enabled     Flag `json:"enabled"`
	Description Text `json:"description"`
	ContactName Text `json:"contact_name"`
	Email       Text `json:"email"`
	Phone       Text `json:"phone"`
	CountryID   Text `json:"country_id"` // ISO 3166-1 alpha-2
	RegionID    ID   `json:"region_id"`
	Region      Text `json:"region"`
	City        Text `json:"city"`
	Street      Text `json:"street"`
	Postcode    Text `json:"postcode"`

	ExtensionAttributes ExtensionAttributes `json:"extension_attributes"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (s *Source) UnmarshalJSON(data []byte) error { return readObject(data, s) }

// MarshalJSON writes what was read with what was changed.
func (s Source) MarshalJSON() ([]byte, error) { return writeObject(s, s.asRead) }

// Sources reads a page of the sources. Without a sort they are sorted by source_code.
//
// GET /V1/inventory/sources, permission Magento_InventoryApi::source
func (s *InventoryService) Sources(ctx context.Context, criteria SearchCriteria) (*Page[*Source], error) {
	return search[Source](ctx, s.client, endpoint("inventory", "sources"), "source_code", criteria)
}

// Source reads a source by its code.
//
// GET /V1/inventory/sources/:sourceCode, permission Magento_InventoryApi::source
func (s *InventoryService) Source(ctx context.Context, code string) (*Source, error) {
	return get[Source](ctx, s.client, endpoint("inventory", "sources", code))
}

// CreateSource makes a source. Code, Name, CountryID and Postcode are demanded. A source with this code is changed.
//
// It is repeated when its outcome is not known: the code says which source it is.
//
// POST /V1/inventory/sources, permission Magento_InventoryApi::source_edit
func (s *InventoryService) CreateSource(ctx context.Context, source *Source) error {
	op := operation{method: http.MethodPost, path: endpoint("inventory", "sources"), repeatable: true}
	return s.client.call(ctx, op, map[string]*Source{"source": source}, nil)
}

// UpdateSource changes a source, whose code is in it.
//
// It is repeated when its outcome is not known: it puts the source in its own place.
//
// PUT /V1/inventory/sources/:sourceCode, permission Magento_InventoryApi::source_edit
func (s *InventoryService) UpdateSource(ctx context.Context, source *Source) error {
	op := operation{method: http.MethodPut, path: endpoint("inventory", "sources", string(source.Code)), repeatable: true}
	return s.client.call(ctx, op, map[string]*Source{"source": source}, nil)
}

// SourceItem is how many of a SKU are in a source. Status says whether they may be sold.
type SourceItem struct {
	SKU        Text    `json:"sku"`
	SourceCode Text    `json:"source_code"`
	Quantity   Decimal `json:"quantity"`
	Status     Flag    `json:"status"` // in stock

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (i *SourceItem) UnmarshalJSON(data []byte) error { return readObject(data, i) }

// MarshalJSON writes what was read with what was changed.
func (i SourceItem) MarshalJSON() ([]byte, error) { return writeObject(i, i.asRead) }

// SourceItems reads a page of the source items. Without a sort they are sorted by source_item_id.
//
// GET /V1/inventory/source-items, permission Magento_InventoryApi::source
func (s *InventoryService) SourceItems(ctx context.Context, criteria SearchCriteria) (*Page[*SourceItem], error) {
	return search[SourceItem](ctx, s.client, endpoint("inventory", "source-items"), "source_item_id", criteria)
}

// AllSourceItems gives all source items that a search finds, a page in memory at a time. Magento doesn't tell their ids,
// so the pages are numbered: where an item is deleted meanwhile, another may be passed over. It ends after an error.
//
// GET /V1/inventory/source-items, permission Magento_InventoryApi::source
func (s *InventoryService) AllSourceItems(ctx context.Context, criteria SearchCriteria) iter.Seq2[*SourceItem, error] {
	return walkPages(ctx, criteria, s.SourceItems)
}

// SaveSourceItems writes the quantities of SKUs in sources, of a call all or, where one is refused, none
// (Options.MaxItems makes several calls of it, up to one that fails). Magento does not ask whether there are such products.
//
// It is repeated when its outcome is not known: the quantities are absolute.
//
// POST /V1/inventory/source-items, permission Magento_InventoryApi::stock_source_item_assign
func (s *InventoryService) SaveSourceItems(ctx context.Context, items ...SourceItem) error {
	for _, i := range items {
		if !i.Quantity.Valid || !i.Status.Valid {
			return fmt.Errorf("magento: source item %s in %s: the quantity or the status is not set", i.SKU, i.SourceCode)
		}
	}
	op := operation{method: http.MethodPost, path: endpoint("inventory", "source-items"), repeatable: true}
	for c := range chunks(len(items), s.client.maxItems, nil) {
		if err := s.client.call(ctx, op, map[string][]SourceItem{"sourceItems": items[c.from:c.to]}, nil); err != nil {
			return err
		}
	}
	return nil
}

// DeleteSourceItems takes SKUs out of sources; SKU and SourceCode say which. That one is not there is no error.
//
// It is repeated when its outcome is not known: what is deleted stays deleted.
//
// POST /V1/inventory/source-items-delete, permission Magento_InventoryApi::stock_source_item_assign
func (s *InventoryService) DeleteSourceItems(ctx context.Context, items ...SourceItem) error {
	var all []map[string]Text
	for _, i := range items {
		all = append(all, map[string]Text{"sku": i.SKU, "source_code": i.SourceCode})
	}
	op := operation{method: http.MethodPost, path: endpoint("inventory", "source-items-delete"), repeatable: true}
	for c := range chunks(len(all), s.client.maxItems, nil) {
		if err := s.client.call(ctx, op, map[string]any{"sourceItems": all[c.from:c.to]}, nil); err != nil {
			return err
		}
	}
	return nil
}

// SalableQuantity reads how many of a SKU a stock may still sell; it can be below 0.
//
// GET /V1/inventory/get-product-salable-quantity/:sku/:stockId, permission Magento_InventorySalesApi::stock
func (s *InventoryService) SalableQuantity(ctx context.Context, sku string, stockID int64) (Decimal, error) {
	path := endpoint("inventory", "get-product-salable-quantity", sku, itoa(stockID))
	quantity, err := get[Decimal](ctx, s.client, path)
	if err != nil {
		return Decimal{}, err
	}
	if !quantity.Valid {
		op := operation{method: http.MethodGet, path: path}
		return Decimal{}, op.unreadable(http.StatusOK, nil, errors.New("no quantity"))
	}
	return *quantity, nil
}

// SalableStock is what a sales channel may sell of a product (InventoryExportStockApi\Api\Data\ProductStockIndexDataInterface).
type SalableStock struct {
	SKU       Text    `json:"sku"`
	Qty       Decimal `json:"qty"`
	IsSalable Flag    `json:"is_salable"`
}

// ExportSalable reads what a website may sell of the products that a search finds: the fields are those of products. It answers no
// page: see SearchCriteria.PageSize for its bound.
//
// GET /V1/inventory/export-stock-salable-qty/:salesChannelType/:salesChannelCode, permission Magento_InventoryApi::stock
func (s *InventoryService) ExportSalable(ctx context.Context, website string, criteria SearchCriteria) (*Page[*SalableStock], error) {
	return search[SalableStock](ctx, s.client, endpoint("inventory", "export-stock-salable-qty", "website", website), "entity_id", criteria)
}

// IsSalable reads whether a stock may sell a SKU.
//
// GET /V1/inventory/is-product-salable/:sku/:stockId, permission Magento_InventorySalesApi::stock
func (s *InventoryService) IsSalable(ctx context.Context, sku string, stockID int64) (bool, error) {
	salable, err := get[Flag](ctx, s.client, endpoint("inventory", "is-product-salable", sku, itoa(stockID)))
	if err != nil {
		return false, err
	}
	return salable.Bool, nil
}
