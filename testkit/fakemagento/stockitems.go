package fakemagento

import (
	"encoding/json"
	"fmt"
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
		inv.nextArticle++
		known = &article{id: inv.nextArticle, settings: map[string]any{
			"item_id": inv.nextArticle, "product_id": inv.nextArticle, "stock_id": 1, "is_qty_decimal": false,
			"show_default_notification_message": false, "use_config_min_qty": true, "min_qty": 0, "use_config_min_sale_qty": 1, "min_sale_qty": 1,
			"use_config_max_sale_qty": true, "max_sale_qty": 10000, "use_config_backorders": true, "backorders": 0,
			"use_config_notify_stock_qty": true, "notify_stock_qty": 1, "use_config_qty_increments": true, "qty_increments": 0,
			"use_config_enable_qty_inc": true, "enable_qty_increments": false, "use_config_manage_stock": true, "manage_stock": true,
			"low_stock_date": nil, "is_decimal_divided": false, "stock_status_changed_auto": 0,
		}}
		inv.articles[a.SKU] = known
	}
	known.Article = a
	inv.save(sourceItem{SKU: a.SKU, Source: "default", Quantity: amount(a.Qty), Status: json.Number(strconv.Itoa(flag(a.Qty.IsPositive())))})
}

func (s *Server) stockItemRoutes(routes *http.ServeMux) {
	const resource = "Magento_Catalog::catalog_inventory"
	routes.Handle("GET /V1/stockItems/{sku}", s.allowed(resource, s.withArticle(func(w http.ResponseWriter, _ *http.Request, a *article) {
		answer(w, http.StatusOK, s.inventory.stockItem(a))
	})))
	routes.Handle("GET /V1/stockItems/lowStock/{$}", s.allowed(resource, s.lowStock))
	routes.Handle("GET /V1/stockStatuses/{sku}", s.allowed(resource, s.withArticle(s.stockStatus)))
	routes.Handle("PUT /V1/products/{sku}/stockItems/{item}", s.allowed(resource, s.withArticle(s.updateStockItem)))
}

// withArticle finds the article that a path names, or answers 404. It holds mu.
func (s *Server) withArticle(next func(w http.ResponseWriter, r *http.Request, a *article)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		a := s.inventory.articles[r.PathValue("sku")]
		if a == nil {
			refuse(w, http.StatusNotFound, "The product that was requested doesn't exist. Verify the product and try again.", nil)
			return
		}
		next(w, r, a)
	}
}

// stockItem needs mu.
func (inv *inventory) stockItem(a *article) map[string]any {
	d := maps.Clone(a.settings)
	d["qty"], d["is_in_stock"] = json.Number("0"), false
	if at := inv.find(a.SKU, "default"); at >= 0 {
		d["qty"], d["is_in_stock"] = inv.items[at].Quantity, inv.items[at].Status != "0"
	}
	return d
}

// updateStockItem changes the fields that are given. Magento ignores the item's id.
func (s *Server) updateStockItem(w http.ResponseWriter, r *http.Request, a *article) {
	var body struct {
		Item map[string]any `json:"stockItem"`
	}
	if !readBody(w, r, &body) {
		return
	}
	if body.Item == nil {
		required(w, "stockItem")
		return
	}
	item := s.inventory.stockItem(a)
	for key, value := range body.Item {
		if _, known := item[key]; known && key != "item_id" && key != "product_id" {
			item[key] = value
		}
	}
	status := json.Number("0")
	if yes(item["is_in_stock"]) {
		status = "1"
	}
	quantity, err := decimal.NewFromString(fmt.Sprint(item["qty"]))
	if err != nil {
		refuse(w, http.StatusBadRequest, `The "%value" value's type is invalid. The "%type" type was expected. Verify and try again.`,
			map[string]any{"value": item["qty"], "type": "float"})
		return
	}
	s.inventory.save(sourceItem{SKU: a.SKU, Source: "default", Quantity: amount(quantity), Status: status})
	delete(item, "qty")
	delete(item, "is_in_stock")
	a.settings = item
	answer(w, http.StatusOK, a.settings["item_id"])
}

// yes reads a flag as PHP does.
func yes(v any) bool {
	switch fmt.Sprint(v) {
	case "true", "1":
		return true
	default:
		return false
	}
}

func (s *Server) stockStatus(w http.ResponseWriter, _ *http.Request, a *article) {
	item := s.inventory.stockItem(a)
	status := 0
	if yes(item["is_in_stock"]) {
		status = 1
	}
	answer(w, http.StatusOK, map[string]any{
		"product_id": a.id, "stock_id": 1, "qty": item["qty"], "stock_status": status, "stock_item": item,
	})
}

// lowStock is GET /V1/stockItems/lowStock/?scopeId=…&qty=…&currentPage=…&pageSize=…
func (s *Server) lowStock(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	most, err := decimal.NewFromString(query.Get("qty"))
	if err != nil {
		required(w, "qty")
		return
	}
	if !query.Has("scopeId") {
		required(w, "scopeId")
		return
	}
	page, _ := strconv.Atoi(query.Get("currentPage"))
	size, _ := strconv.Atoi(query.Get("pageSize"))
	s.mu.Lock()
	defer s.mu.Unlock()
	var low []map[string]any
	for _, sku := range slices.Sorted(maps.Keys(s.inventory.articles)) {
		item := s.inventory.stockItem(s.inventory.articles[sku])
		if compare(item["qty"], most.String()) <= 0 {
			low = append(low, item)
		}
	}
	same := func(d map[string]any) map[string]any { return d }
	answerPage(w, r, criteria{page: max(page, 1), pageSize: size}, low, same, same)
}
