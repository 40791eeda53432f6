package magentoapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
)

// StockItemsService calls the endpoints of the stock as it was before multi-source inventory (MSI). Where MSI is
// installed, as it is by default since 2.3, they read and write the source "default"; InventoryService has the others.
//
// Source of the endpoints: app/code/Magento/CatalogInventory/etc/webapi.xml.
type StockItemsService struct{ client *Client }

// StockItem is a product's stock and the rules for selling it
// (app/code/Magento/CatalogInventory/Api/Data/StockItemInterface.php). A rule whose UseConfig… is set is the shop's, and
// the value beside it is of no use.
type StockItem struct {
	ItemID    ID      `json:"item_id"`
	ProductID ID      `json:"product_id"`
	StockID   ID      `json:"stock_id"`
	Qty       Decimal `json:"qty"` // what is there, open orders not deducted
	IsInStock Flag    `json:"is_in_stock"`

	IsQtyDecimal         Flag    `json:"is_qty_decimal"` // sold in parts of a piece
	ManageStock          Flag    `json:"manage_stock"`
	UseConfigManageStock Flag    `json:"use_config_manage_stock"`
	MinQty               Decimal `json:"min_qty"` // out of stock at this quantity
	UseConfigMinQty      Flag    `json:"use_config_min_qty"`
	MinSaleQty           Decimal `json:"min_sale_qty"` // the fewest in one order
	UseConfigMinSaleQty  Flag    `json:"use_config_min_sale_qty"`
	MaxSaleQty           Decimal `json:"max_sale_qty"`
	UseConfigMaxSaleQty  Flag    `json:"use_config_max_sale_qty"`
	Backorders           *Int    `json:"backorders"` // 0 none, 1 allowed, 2 allowed and the customer is told
	UseConfigBackorders  Flag    `json:"use_config_backorders"`
	NotifyStockQty       Decimal `json:"notify_stock_qty"` // reported as low below this
	UseConfigNotifyQty   Flag    `json:"use_config_notify_stock_qty"`
	LowStockDate         Time    `json:"low_stock_date"`

	ExtensionAttributes ExtensionAttributes `json:"extension_attributes"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (i *StockItem) UnmarshalJSON(data []byte) error { return readObject(data, i) }

// MarshalJSON writes what was read with what was changed.
func (i StockItem) MarshalJSON() ([]byte, error) { return writeObject(i, i.asRead) }

// Get reads the stock item of a SKU; ErrNotFound if there is no such product.
//
// GET /V1/stockItems/:sku, permission Magento_Catalog::catalog_inventory
func (s *StockItemsService) Get(ctx context.Context, sku string) (*StockItem, error) {
	return get[StockItem](ctx, s.client, endpoint("stockItems", sku))
}

// Update changes the stock item of a SKU and gives its id. Only the fields that are set are changed: a StockItem that was
// made with nothing but Qty and IsInStock changes these two. What was read and is written as a whole takes back what
// others, and orders, have changed meanwhile. Magento finds the item by the SKU and does not look at ItemID
// (app/code/Magento/CatalogInventory/Model/StockRegistry.php).
//
// It is repeated when its outcome is not known: the values are absolute.
//
// PUT /V1/products/:sku/stockItems/:itemId, permission Magento_Catalog::catalog_inventory
func (s *StockItemsService) Update(ctx context.Context, sku string, item *StockItem) (int64, error) {
	all, err := item.members()
	if err != nil {
		return 0, fmt.Errorf("magento: stock item of %s: %w", sku, err)
	}
	if all != nil {
		// Magento tells it but has no setter for it, and refuses it where it is true (Webapi/ServiceInputProcessor.php).
		all = slices.DeleteFunc(all, func(m member) bool { return m.name == "show_default_notification_message" })
		read, err := encodeMembers(all)
		if err != nil {
			return 0, fmt.Errorf("magento: stock item of %s: %w", sku, err)
		}
		its := *item
		its.json, item = string(read), &its
	}
	op := operation{method: http.MethodPut, path: endpoint("products", sku, "stockItems", itoa(int64(item.ItemID))), repeatable: true}
	return s.client.identified(ctx, op, map[string]*StockItem{"stockItem": item})
}

// LowStock is what StockItemsService.LowStock asks for.
type LowStock struct {
	WebsiteID int64
	AtMost    Decimal // the quantity
	Page      int     // counts from 1, which 0 is too
	PageSize  int     // 0 is DefaultPageSize
}

// LowStock reads a page of the stock items of a website with at most a quantity.
//
// GET /V1/stockItems/lowStock, permission Magento_Catalog::catalog_inventory
func (s *StockItemsService) LowStock(ctx context.Context, low LowStock) (*Page[*StockItem], error) {
	criteria := SearchCriteria{}.OnPage(low.Page, low.PageSize)
	page, size := criteria.paging()
	if !low.AtMost.Valid || page < 1 || size < 1 {
		return nil, fmt.Errorf("magento: low stock: page %d of size %d: neither may be below 0, and the quantity must be set", page, size)
	}
	query := url.Values{
		"scopeId": {itoa(low.WebsiteID)}, "qty": {low.AtMost.Decimal.String()},
		"currentPage": {fmt.Sprint(page)}, "pageSize": {fmt.Sprint(size)},
	}
	op := operation{method: http.MethodGet, path: endpoint("stockItems", "lowStock"), query: encodeQuery(query)}
	var body json.RawMessage
	if err := s.client.call(ctx, op, nil, &body); err != nil {
		return nil, err
	}
	found, err := decodePage[*StockItem](body, criteria)
	if err != nil {
		return nil, op.unreadable(http.StatusOK, body, err)
	}
	s.client.tell(ctx, op, found.odd)
	return found, nil
}

// StockStatus is whether a product may be sold.
type StockStatus struct {
	ProductID   ID         `json:"product_id"`
	StockID     ID         `json:"stock_id"`
	Qty         Decimal    `json:"qty"`
	StockStatus Flag       `json:"stock_status"` // in stock
	StockItem   *StockItem `json:"stock_item"`
}

// Status reads whether a SKU may be sold.
//
// GET /V1/stockStatuses/:sku, permission Magento_Catalog::catalog_inventory
func (s *StockItemsService) Status(ctx context.Context, sku string) (*StockStatus, error) {
	status, err := get[StockStatus](ctx, s.client, endpoint("stockStatuses", sku))
	if err == nil && status.ProductID == 0 {
		op := operation{method: http.MethodGet, path: endpoint("stockStatuses", sku)}
		return nil, op.unreadable(http.StatusOK, nil, errors.New("no product_id"))
	}
	return status, err
}
