package fakemagento

import (
	"encoding/json"
	"maps"
	"net/http"
	"strconv"

	"github.com/shopspring/decimal"
)

// Stock puts a quantity of a product into the source "default"; it is in stock there if this is above 0.
func (s *Server) Stock(sku string, quantity decimal.Decimal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inventory.save(sourceItem{sku, "default", quantity, flag(quantity.IsPositive())})
}

// SourceItem returns how many of a SKU are in a source, and whether they are in stock there.
func (s *Server) SourceItem(sku, source string) (quantity decimal.Decimal, inStock, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.inventory.find(sku, source)
	if at < 0 {
		return decimal.Zero, false, false
	}
	return s.inventory.items[at].quantity, s.inventory.items[at].status == 1, true
}

// stockSettings are those of a new stock item, all but its quantity and whether it is in stock.
var stockSettings = map[string]any{
	"stock_id": 1, "is_qty_decimal": false,
	"show_default_notification_message": false, "use_config_min_qty": true, "min_qty": 0, "use_config_min_sale_qty": 1, "min_sale_qty": 1,
	"use_config_max_sale_qty": true, "max_sale_qty": 10000, "use_config_backorders": true, "backorders": 0,
	"use_config_notify_stock_qty": true, "notify_stock_qty": 1, "use_config_qty_increments": true, "qty_increments": 0,
	"use_config_enable_qty_inc": true, "enable_qty_increments": false, "use_config_manage_stock": true, "manage_stock": true,
	"low_stock_date": nil, "is_decimal_divided": false, "stock_status_changed_auto": 0,
}

func (s *Server) stockItemRoutes(routes *http.ServeMux) {
	route := func(pattern string, f func(call) (any, *problem)) {
		routes.Handle(pattern, s.allowed("Magento_Catalog::catalog_inventory", s.endpoint(f)))
	}
	route("GET /V1/stockItems/{sku}", s.getStockItem)
	route("GET /V1/stockItems/lowStock", s.lowStock)
	route("GET /V1/stockStatuses/{sku}", s.stockStatus)
	routes.Handle("PUT /V1/products/{sku}/stockItems/{item}", s.allowed("Magento_Catalog::catalog_inventory",
		s.writing("stockItem", "The stock item was unable to be saved. Please try again.", s.updateStockItem)))
}

func (inv *inventory) stockItem(p *product) map[string]any {
	d := maps.Clone(stockSettings)
	maps.Copy(d, inv.settings[p.id])
	d["item_id"], d["product_id"], d["qty"], d["is_in_stock"] = p.id, p.id, json.Number("0"), false
	if at := inv.find(p.sku, "default"); at >= 0 {
		d["qty"], d["is_in_stock"] = amount(inv.items[at].quantity), inv.items[at].status == 1
	}
	return d
}

// stocked gives the product that the path names.
func (s *Server) stocked(c call) (*product, *problem) {
	p, wrong := s.catalog.product(c.PathValue("sku"))
	if wrong != nil {
		return nil, notFound(`The Product with the "%1" SKU doesn't exist.`, []string{c.PathValue("sku")})
	}
	return p, nil
}

func (s *Server) getStockItem(c call) (any, *problem) {
	p, wrong := s.stocked(c)
	if wrong != nil {
		return nil, wrong
	}
	return s.inventory.stockItem(p), nil
}

// updateStockItem changes the fields that are given. Magento ignores the item's id.
func (s *Server) updateStockItem(c call) (any, *problem) {
	given, wrong := c.object("stockItem")
	if wrong != nil {
		return nil, wrong
	}
	p, wrong := s.stocked(c)
	if wrong != nil {
		return nil, wrong
	}
	item := s.inventory.stockItem(p)
	if yes(given["show_default_notification_message"]) { // has no setter
		return nil, required("ShowDefaultNotificationMessage")
	}
	maps.Copy(item, given)
	quantity, ok := money(item["qty"])
	if !ok {
		return nil, invalid(`The "%value" value's type is invalid. The "%type" type was expected. Verify and try again.`,
			map[string]any{"value": item["qty"], "type": "float"})
	}
	s.inventory.save(sourceItem{p.sku, "default", quantity, flag(yes(item["is_in_stock"]))})
	s.inventory.settings[p.id] = item
	return p.id, nil
}

// yes reads a flag.
func yes(v any) bool { return text(v) == "true" || text(v) == "1" }

func (s *Server) stockStatus(c call) (any, *problem) {
	p, wrong := s.stocked(c)
	if wrong != nil {
		return nil, wrong
	}
	item := s.inventory.stockItem(p)
	return map[string]any{
		"product_id": p.id, "stock_id": 1, "qty": item["qty"], "stock_status": flag(yes(item["is_in_stock"])), "stock_item": item,
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
	for _, p := range s.catalog.sorted() {
		item := s.inventory.stockItem(p)
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
