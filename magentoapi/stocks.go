package magentoapi

import (
	"context"
	"iter"
	"net/http"
)

// Stock is a set of sources that sales channels sell from (InventoryApi/Api/Data/StockInterface.php).
type Stock struct {
	ID   ID   `json:"stock_id"`
	Name Text `json:"name"`
	// ExtensionAttributes have the sales_channels, a list of {"type": "website", "code": …}.
	ExtensionAttributes ExtensionAttributes `json:"extension_attributes"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (s *Stock) UnmarshalJSON(data []byte) error { return readObject(data, s) }

// MarshalJSON writes what was read with what was changed.
func (s Stock) MarshalJSON() ([]byte, error) { return writeObject(s, s.asRead) }

// Stocks reads a page of the stocks. Without a sort they are sorted by stock_id.
//
// GET /V1/inventory/stocks, permission Magento_InventoryApi::stock
func (s *InventoryService) Stocks(ctx context.Context, criteria SearchCriteria) (*Page[*Stock], error) {
	return search[Stock](ctx, s.client, endpoint("inventory", "stocks"), "stock_id", criteria)
}

// Stock reads a stock by its id; 1 is the default one.
//
// GET /V1/inventory/stocks/:stockId, permission Magento_InventoryApi::stock
func (s *InventoryService) Stock(ctx context.Context, id int64) (*Stock, error) {
	return get[Stock](ctx, s.client, endpoint("inventory", "stocks", itoa(id)))
}

// CreateStock makes a stock and gives its id. It is not repeated: twice makes two stocks.
//
// POST /V1/inventory/stocks, permission Magento_InventoryApi::stock_edit
func (s *InventoryService) CreateStock(ctx context.Context, stock *Stock) (int64, error) {
	op := operation{method: http.MethodPost, path: endpoint("inventory", "stocks")}
	return s.client.identified(ctx, op, map[string]*Stock{"stock": stock})
}

// UpdateStock changes a stock, whose id is in it.
//
// It is repeated when its outcome is not known: it puts the stock in its own place.
//
// PUT /V1/inventory/stocks/:stockId, permission Magento_InventoryApi::stock_edit
func (s *InventoryService) UpdateStock(ctx context.Context, stock *Stock) error {
	op := operation{method: http.MethodPut, path: endpoint("inventory", "stocks", itoa(int64(stock.ID))), repeatable: true}
	_, err := s.client.identified(ctx, op, map[string]*Stock{"stock": stock})
	return err
}

// DeleteStock deletes a stock; the default one can't be. It is not repeated: the second time it would be ErrNotFound.
//
// DELETE /V1/inventory/stocks/:stockId, permission Magento_InventoryApi::stock_delete
func (s *InventoryService) DeleteStock(ctx context.Context, id int64) error {
	return s.client.call(ctx, operation{method: http.MethodDelete, path: endpoint("inventory", "stocks", itoa(id))}, nil, nil)
}

// StockSourceLink gives a stock a source. Those of a lower priority's number are shipped from first.
type StockSourceLink struct {
	StockID    ID   `json:"stock_id"`
	SourceCode Text `json:"source_code"`
	Priority   *Int `json:"priority"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (l *StockSourceLink) UnmarshalJSON(data []byte) error { return readObject(data, l) }

// MarshalJSON writes what was read with what was changed.
func (l StockSourceLink) MarshalJSON() ([]byte, error) { return writeObject(l, l.asRead) }

// StockSourceLinks reads a page of the links. Without a sort they are sorted by source_code.
//
// GET /V1/inventory/stock-source-links, permission Magento_InventoryApi::stock_source_link
func (s *InventoryService) StockSourceLinks(ctx context.Context, criteria SearchCriteria) (*Page[*StockSourceLink], error) {
	return search[StockSourceLink](ctx, s.client, endpoint("inventory", "stock-source-links"), "source_code", criteria)
}

// AllStockSourceLinks gives all links that a search finds, by numbered pages: where one is deleted meanwhile, another may
// be passed over. It ends after an error.
//
// GET /V1/inventory/stock-source-links, permission Magento_InventoryApi::stock_source_link
func (s *InventoryService) AllStockSourceLinks(ctx context.Context, criteria SearchCriteria) iter.Seq2[*StockSourceLink, error] {
	if len(criteria.Sort) == 0 {
		criteria = criteria.SortBy("stock_id", Ascending).SortBy("source_code", Ascending)
	}
	return walkPages(ctx, criteria, s.StockSourceLinks)
}

// SaveStockSourceLinks gives stocks their sources.
//
// It is repeated when its outcome is not known: stock and source say which link it is.
//
// POST /V1/inventory/stock-source-links, permission Magento_InventoryApi::stock_source_link
func (s *InventoryService) SaveStockSourceLinks(ctx context.Context, links ...StockSourceLink) error {
	return s.links(ctx, operation{method: http.MethodPost, path: endpoint("inventory", "stock-source-links"), repeatable: true}, links)
}

// DeleteStockSourceLinks takes sources from stocks.
//
// It is repeated when its outcome is not known: what is deleted stays deleted.
//
// POST /V1/inventory/stock-source-links-delete, permission Magento_InventoryApi::stock_source_link
func (s *InventoryService) DeleteStockSourceLinks(ctx context.Context, links ...StockSourceLink) error {
	return s.links(ctx, operation{method: http.MethodPost, path: endpoint("inventory", "stock-source-links-delete"), repeatable: true}, links)
}

func (s *InventoryService) links(ctx context.Context, op operation, links []StockSourceLink) error {
	if len(links) == 0 {
		return nil
	}
	return s.client.call(ctx, op, map[string][]StockSourceLink{"links": links}, nil)
}
