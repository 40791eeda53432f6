package magentoapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/shopspring/decimal"
)

// SourceSelectionAlgorithm is a way to choose the sources that an order is sent from.
type SourceSelectionAlgorithm struct {
	Code        Text `json:"code"` // priority and distance are Magento's own
	Title       Text `json:"title"`
	Description Text `json:"description"`
}

// SourceSelectionAlgorithms reads the ways to choose sources.
//
// GET /V1/inventory/source-selection-algorithm-list, permission Magento_InventorySourceSelectionApi::source_selection_algorithm
func (s *InventoryService) SourceSelectionAlgorithms(ctx context.Context) ([]SourceSelectionAlgorithm, error) {
	return getList[SourceSelectionAlgorithm](ctx, s.client, endpoint("inventory", "source-selection-algorithm-list"))
}

// A SKUQuantity is so many of a SKU.
type SKUQuantity struct {
	SKU string
	Qty decimal.Decimal
}

// SourceSelection is where to send goods from. Shippable is false where the sources have not all of them.
type SourceSelection struct {
	Shippable Flag                  `json:"shippable"`
	Items     []SourceSelectionItem `json:"source_selection_items"`
}

// SourceSelectionItem is how many of a SKU to take from a source, and how many it has.
type SourceSelectionItem struct {
	SourceCode   Text    `json:"source_code"`
	SKU          Text    `json:"sku"`
	QtyToDeduct  Decimal `json:"qty_to_deduct"`
	QtyAvailable Decimal `json:"qty_available"`
}

// SelectSources asks where a stock's goods are best sent from, by an algorithm. The code distance needs an address, which
// Magento takes among the request's extension attributes: Client.Do. It is repeated where a read is: nothing is reserved.
//
// POST /V1/inventory/source-selection-algorithm-result, permission Magento_InventorySourceSelectionApi::source_selection_algorithm_post
func (s *InventoryService) SelectSources(ctx context.Context, stockID int64, algorithm string, items ...SKUQuantity) (*SourceSelection, error) {
	body := map[string]any{
		"inventoryRequest": map[string]any{"stockId": stockID, "items": skuQuantities(items)}, "algorithmCode": algorithm,
	}
	op := operation{method: http.MethodPost, path: endpoint("inventory", "source-selection-algorithm-result"), repeatable: true}
	var selection SourceSelection
	odd, err := s.client.ask(ctx, op, body, &selection)
	if err == nil && !selection.Shippable.Valid {
		if err = oddAt(odd, "shippable"); err == nil {
			err = errors.New("it does not say whether the goods can be shipped")
		}
		err = op.unreadable(http.StatusOK, []byte("{}"), err)
	}
	if err != nil {
		return nil, err
	}
	return &selection, nil
}

func skuQuantities(items []SKUQuantity) []map[string]any {
	all := make([]map[string]any, 0, len(items))
	for _, i := range items {
		all = append(all, map[string]any{"sku": i.SKU, "qty": amount(i.Qty)})
	}
	return all
}

// ResolveStock reads the stock that a sales channel sells from: of the type website with the website's code; ErrNotFound if
// there is none.
//
// GET /V1/inventory/stock-resolver/:type/:code, permission Magento_InventorySalesApi::stock
func (s *InventoryService) ResolveStock(ctx context.Context, channel, code string) (*Stock, error) {
	path := endpoint("inventory", "stock-resolver", channel, code)
	stock, err := get[Stock](ctx, s.client, path)
	if err == nil && stock.ID == 0 {
		op := operation{method: http.MethodGet, path: path}
		return nil, op.unreadable(http.StatusOK, []byte("{}"), errors.New("a stock without an id"))
	}
	return stock, err
}

// A SourceRoute is from which source to which goods are moved, by their codes.
type SourceRoute struct {
	From, To string
}

// Transfer moves all that a source has of some SKUs to another; with unassign the first does not have them any more, not
// even none of them. A SKU that is no product's, or that the source has not, is passed over. It is not repeated: what has
// come in since the first time would be moved, too.
//
// POST /V1/inventory/bulk-product-source-transfer, permission Magento_Catalog::products
func (s *InventoryService) Transfer(ctx context.Context, route SourceRoute, unassign bool, skus ...string) error {
	body := map[string]any{"skus": skus, "originSource": route.From, "destinationSource": route.To, "unassignFromOrigin": unassign}
	return s.client.confirmed(ctx, operation{method: http.MethodPost, path: endpoint("inventory", "bulk-product-source-transfer")}, body)
}

// TransferPart moves quantities from a source to another; both must have a source item of each SKU. More than there is of
// one is ErrBadRequest, and nothing is moved. It is not repeated: twice moves twice as many.
//
// POST /V1/inventory/bulk-partial-source-transfer, permission Magento_Catalog::products
func (s *InventoryService) TransferPart(ctx context.Context, route SourceRoute, items ...SKUQuantity) error {
	for _, i := range items {
		if !i.Qty.IsPositive() {
			return fmt.Errorf("magento: transfer from %s to %s: the quantity of %s is not above 0", route.From, route.To, i.SKU)
		}
	}
	body := map[string]any{"originSourceCode": route.From, "destinationSourceCode": route.To, "items": skuQuantities(items)}
	return s.client.call(ctx, operation{method: http.MethodPost, path: endpoint("inventory", "bulk-partial-source-transfer")}, body, nil)
}
