package fakemagento

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/shopspring/decimal"
)

// Article is a product that is kept in stock. Its price is tax excluded.
type Article struct {
	SKU, Name  string
	Price      decimal.Decimal
	TaxPercent decimal.Decimal
	// Qty is the physical quantity in the source "default"; it is in stock there if this is above 0.
	Qty decimal.Decimal
}

type article struct {
	Article
	id       int
	settings map[string]any // of the stock item, all but its quantity and whether it is in stock
}

// StockArticle adds an article, or replaces what is known of its SKU.
func (s *Server) StockArticle(a Article) {
	s.mu.Lock()
	defer s.mu.Unlock()
	inv := &s.inventory
	known := inv.articles[a.SKU]
	if known == nil {
		id := len(inv.articles) + 1
		known = &article{id: id, settings: map[string]any{
			"item_id": id, "product_id": id, "stock_id": 1, "is_qty_decimal": false,
			"show_default_notification_message": false, "use_config_min_qty": true, "min_qty": 0, "use_config_min_sale_qty": 1, "min_sale_qty": 1,
			"use_config_max_sale_qty": true, "max_sale_qty": 10000, "use_config_backorders": true, "backorders": 0,
			"use_config_notify_stock_qty": true, "notify_stock_qty": 1, "use_config_qty_increments": true, "qty_increments": 0,
			"use_config_enable_qty_inc": true, "enable_qty_increments": false, "use_config_manage_stock": true, "manage_stock": true,
			"low_stock_date": nil, "is_decimal_divided": false, "stock_status_changed_auto": 0,
		}}
		inv.articles[a.SKU] = known
	}
	known.Article = a
	inv.save(sourceItem{a.SKU, "default", a.Qty, flag(a.Qty.IsPositive())})
}

func (s *Server) stockItemRoutes(routes *http.ServeMux) {
	route := func(pattern string, f func(call) (any, *problem)) {
		routes.Handle(pattern, s.allowed("Magento_Catalog::catalog_inventory", s.endpoint(f)))
	}
	route("GET /V1/stockItems/{sku}", s.getStockItem)
	route("GET /V1/stockItems/lowStock/{$}", s.lowStock)
	route("GET /V1/stockStatuses/{sku}", s.stockStatus)
	route("PUT /V1/products/{sku}/stockItems/{item}", s.updateStockItem)
}

// article gives the one that the path names.
func (s *Server) article(c call) (*article, *problem) {
	a := s.inventory.articles[c.PathValue("sku")]
	if a == nil {
		return nil, notFound("The product that was requested doesn't exist. Verify the product and try again.", nil)
	}
	return a, nil
}

func (inv *inventory) stockItem(a *article) map[string]any {
	d := maps.Clone(a.settings)
	d["qty"], d["is_in_stock"] = json.Number("0"), false
	if at := inv.find(a.SKU, "default"); at >= 0 {
		d["qty"], d["is_in_stock"] = amount(inv.items[at].quantity), inv.items[at].status == 1
	}
	return d
}

func (s *Server) getStockItem(c call) (any, *problem) {
	a, wrong := s.article(c)
	if wrong != nil {
		return nil, wrong
	}
	return s.inventory.stockItem(a), nil
}

// updateStockItem changes the fields that are given. Magento ignores the item's id.
func (s *Server) updateStockItem(c call) (any, *problem) {
	given, wrong := c.object("stockItem")
	if wrong != nil {
		return nil, wrong
	}
	a, wrong := s.article(c)
	if wrong != nil {
		return nil, wrong
	}
	item := s.inventory.stockItem(a)
	for key, value := range given {
		if key != "item_id" && key != "product_id" {
			item[key] = value
		}
	}
	quantity, ok := money(item["qty"])
	if !ok {
		return nil, invalid(`The "%value" value's type is invalid. The "%type" type was expected. Verify and try again.`,
			map[string]any{"value": item["qty"], "type": "float"})
	}
	s.inventory.save(sourceItem{a.SKU, "default", quantity, flag(yes(item["is_in_stock"]))})
	delete(item, "qty")
	delete(item, "is_in_stock")
	a.settings = item
	return item["item_id"], nil
}

// yes reads a flag.
func yes(v any) bool { return text(v) == "true" || text(v) == "1" }

func (s *Server) stockStatus(c call) (any, *problem) {
	a, wrong := s.article(c)
	if wrong != nil {
		return nil, wrong
	}
	item := s.inventory.stockItem(a)
	return map[string]any{
		"product_id": a.id, "stock_id": 1, "qty": item["qty"], "stock_status": flag(yes(item["is_in_stock"])), "stock_item": item,
	}, nil
}

// lowStock is GET /V1/stockItems/lowStock/?scopeId=…&qty=…&currentPage=…&pageSize=…
func (s *Server) lowStock(c call) (any, *problem) {
	query := c.URL.Query()
	most, ok := money(query.Get("qty"))
	switch {
	case !query.Has("scopeId"):
		return nil, required("scopeId")
	case !ok:
		return nil, required("qty")
	}
	low := []map[string]any{}
	for _, sku := range slices.Sorted(maps.Keys(s.inventory.articles)) {
		item := s.inventory.stockItem(s.inventory.articles[sku])
		if compare(item["qty"], most.String()) <= 0 {
			low = append(low, item)
		}
	}
	total := len(low)
	if size, _ := strconv.Atoi(query.Get("pageSize")); size > 0 && total > 0 {
		page, _ := strconv.Atoi(query.Get("currentPage"))
		page = min(max(page, 1), (total+size-1)/size)
		low = low[(page-1)*size : min(page*size, total)]
	}
	return map[string]any{"items": low, "search_criteria": []any{}, "total_count": total}, nil
}
