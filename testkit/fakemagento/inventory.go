package fakemagento

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/shopspring/decimal"
)

// inventory is what is where (multi-source inventory), and what of it is promised to orders.
type inventory struct {
	articles     map[string]*article
	nextArticle  int
	sources      []map[string]any
	items        []sourceItem
	stocks       []map[string]any
	links        []map[string]any
	reservations map[string]decimal.Decimal // by SKU, below 0; of the stock 1, where everything is sold
}

// sourceItem is how many of a SKU are in a source. Status 1 is in stock, 0 out.
type sourceItem struct {
	SKU      string      `json:"sku"`
	Source   string      `json:"source_code"`
	Quantity json.Number `json:"quantity"`
	Status   json.Number `json:"status"`
}

func (inv *inventory) init() {
	inv.articles, inv.reservations = map[string]*article{}, map[string]decimal.Decimal{}
	inv.sources = []map[string]any{{
		"source_code": "default", "name": "Default Source", "enabled": true, "description": "Default Source", "latitude": 0, "longitude": 0,
		"country_id": "US", "postcode": "00000", "use_default_carrier_config": true, "carrier_links": []any{},
	}}
	inv.stocks = []map[string]any{{
		"stock_id": 1, "name": "Default Stock",
		"extension_attributes": map[string]any{"sales_channels": []any{map[string]any{"type": "website", "code": "base"}}},
	}}
	inv.links = []map[string]any{{"stock_id": 1, "source_code": "default", "priority": 1}}
}

func (inv *inventory) find(sku, source string) int {
	return slices.IndexFunc(inv.items, func(i sourceItem) bool { return i.SKU == sku && i.Source == source })
}

func (inv *inventory) save(item sourceItem) {
	if at := inv.find(item.SKU, item.Source); at >= 0 {
		inv.items[at] = item
		return
	}
	inv.items = append(inv.items, item)
}

// salable is what may still be sold of a SKU: what the stock's enabled sources have, less what is promised.
func (inv *inventory) salable(sku string, stock int) decimal.Decimal {
	sum := decimal.Zero
	if stock == 1 {
		sum = inv.reservations[sku]
	}
	for _, link := range inv.links {
		if fmt.Sprint(link["stock_id"]) != strconv.Itoa(stock) {
			continue
		}
		source := inv.source(fmt.Sprint(link["source_code"]))
		at := inv.find(sku, fmt.Sprint(link["source_code"]))
		if source != nil && yes(source["enabled"]) && at >= 0 && inv.items[at].Status != "0" {
			quantity, _ := decimal.NewFromString(inv.items[at].Quantity.String())
			sum = sum.Add(quantity)
		}
	}
	return sum
}

func (inv *inventory) source(code string) map[string]any {
	return document(inv.sources, "source_code", code)
}

// document gives the one whose key has the value, or nil.
func document(all []map[string]any, key, value string) map[string]any {
	at := slices.IndexFunc(all, func(d map[string]any) bool { return fmt.Sprint(d[key]) == value })
	if at < 0 {
		return nil
	}
	return all[at]
}

func (s *Server) inventoryRoutes(routes *http.ServeMux) {
	inv := &s.inventory
	search := func(columns []string, documents func() []map[string]any) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			s.mu.Lock()
			defer s.mu.Unlock()
			searchDocuments(w, r, columns, documents())
		}
	}
	routes.Handle("GET /V1/inventory/sources", s.allowed("Magento_InventoryApi::source",
		search([]string{"source_code", "name", "enabled", "country_id"}, func() []map[string]any { return inv.sources })))
	routes.Handle("GET /V1/inventory/sources/{code}", s.allowed("Magento_InventoryApi::source", s.getSource))
	routes.Handle("POST /V1/inventory/sources", s.allowed("Magento_InventoryApi::source_edit", s.saveSource))
	routes.Handle("PUT /V1/inventory/sources/{code}", s.allowed("Magento_InventoryApi::source_edit", s.saveSource))
	routes.Handle("GET /V1/inventory/stocks", s.allowed("Magento_InventoryApi::stock",
		search([]string{"stock_id", "name"}, func() []map[string]any { return inv.stocks })))
	routes.Handle("GET /V1/inventory/stocks/{id}", s.allowed("Magento_InventoryApi::stock", s.getStock))
	routes.Handle("POST /V1/inventory/stocks", s.allowed("Magento_InventoryApi::stock_edit", s.saveStock))
	routes.Handle("PUT /V1/inventory/stocks/{id}", s.allowed("Magento_InventoryApi::stock_edit", s.saveStock))
	routes.Handle("DELETE /V1/inventory/stocks/{id}", s.allowed("Magento_InventoryApi::stock_delete", s.deleteStock))
	const links = "Magento_InventoryApi::stock_source_link"
	routes.Handle("GET /V1/inventory/stock-source-links", s.allowed(links,
		search([]string{"stock_id", "source_code", "priority"}, func() []map[string]any { return inv.links })))
	routes.Handle("POST /V1/inventory/stock-source-links", s.allowed(links, s.changeLinks(true)))
	routes.Handle("POST /V1/inventory/stock-source-links-delete", s.allowed(links, s.changeLinks(false)))
	routes.Handle("GET /V1/inventory/source-items", s.allowed("Magento_InventoryApi::source",
		search([]string{"source_item_id", "sku", "source_code", "quantity", "status"}, inv.itemDocuments)))
	const assign = "Magento_InventoryApi::stock_source_item_assign"
	routes.Handle("POST /V1/inventory/source-items", s.allowed(assign, s.saveSourceItems))
	routes.Handle("POST /V1/inventory/source-items-delete", s.allowed(assign, s.deleteSourceItems))
	const sales = "Magento_InventorySalesApi::stock"
	routes.Handle("GET /V1/inventory/get-product-salable-quantity/{sku}/{stock}", s.allowed(sales, s.salableQuantity(
		func(quantity decimal.Decimal) any { return amount(quantity) })))
	routes.Handle("GET /V1/inventory/is-product-salable/{sku}/{stock}", s.allowed(sales, s.salableQuantity(
		func(quantity decimal.Decimal) any { return quantity.IsPositive() })))
}

func (inv *inventory) itemDocuments() []map[string]any {
	var documents []map[string]any
	for i, item := range inv.items {
		documents = append(documents, map[string]any{
			"source_item_id": i + 1, "sku": item.SKU, "source_code": item.Source, "quantity": item.Quantity, "status": item.Status,
		})
	}
	return documents
}

func (s *Server) getSource(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	source := s.inventory.source(r.PathValue("code"))
	if source == nil {
		refuse(w, http.StatusNotFound, `Source with code "%value" does not exist.`, map[string]string{"value": r.PathValue("code")})
		return
	}
	answer(w, http.StatusOK, source)
}

// invalid answers as the validators of Magento's inventory do: what is wrong is in the list of errors.
func invalid(w http.ResponseWriter, template string, parameters any) {
	answer(w, http.StatusBadRequest, map[string]any{
		"message": "Validation Failed", "errors": []any{map[string]any{"message": template, "parameters": parameters}},
	})
}

func (s *Server) saveSource(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Source map[string]any `json:"source"`
	}
	if !readBody(w, r, &body) {
		return
	}
	if body.Source == nil {
		required(w, "source")
		return
	}
	if code := r.PathValue("code"); code != "" { // what the path says overrides the body
		body.Source["source_code"] = code
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.inventory.source(fmt.Sprint(body.Source["source_code"]))
	if known == nil {
		known = map[string]any{}
	}
	for _, field := range []string{"source_code", "name", "country_id", "postcode"} {
		value, given := body.Source[field]
		if text, _ := value.(string); text == "" && (given || known[field] == nil) {
			invalid(w, `"%field" can not be empty.`, map[string]string{"field": field})
			return
		}
	}
	if known["source_code"] == nil {
		known["carrier_links"] = []any{}
		s.inventory.sources = append(s.inventory.sources, known)
	}
	for key, value := range body.Source {
		known[key] = value
	}
	answer(w, http.StatusOK, []any{})
}

func (s *Server) getStock(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	stock := document(s.inventory.stocks, "stock_id", r.PathValue("id"))
	if stock == nil {
		refuse(w, http.StatusNotFound, `Stock with id "%value" does not exist.`, map[string]string{"value": r.PathValue("id")})
		return
	}
	answer(w, http.StatusOK, stock)
}

func (s *Server) saveStock(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Stock map[string]any `json:"stock"`
	}
	if !readBody(w, r, &body) {
		return
	}
	if name, _ := body.Stock["name"].(string); name == "" {
		invalid(w, `"%field" can not be empty.`, map[string]string{"field": "name"})
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if id := r.PathValue("id"); id != "" {
		stock := document(s.inventory.stocks, "stock_id", id)
		if stock == nil {
			refuse(w, http.StatusNotFound, `Stock with id "%value" does not exist.`, map[string]string{"value": id})
			return
		}
		for key, value := range body.Stock {
			if key != "stock_id" {
				stock[key] = value
			}
		}
		answer(w, http.StatusOK, stock["stock_id"])
		return
	}
	id, _ := s.inventory.stocks[len(s.inventory.stocks)-1]["stock_id"].(int)
	body.Stock["stock_id"] = id + 1
	s.inventory.stocks = append(s.inventory.stocks, body.Stock)
	answer(w, http.StatusOK, id+1)
}

func (s *Server) deleteStock(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	s.mu.Lock()
	defer s.mu.Unlock()
	if id == "1" {
		refuse(w, http.StatusBadRequest, "Default Stock could not be deleted.", nil)
		return
	}
	s.inventory.stocks = slices.DeleteFunc(s.inventory.stocks, func(d map[string]any) bool { return fmt.Sprint(d["stock_id"]) == id })
	s.inventory.links = slices.DeleteFunc(s.inventory.links, func(d map[string]any) bool { return fmt.Sprint(d["stock_id"]) == id })
	answer(w, http.StatusOK, []any{})
}

// changeLinks adds or changes links of stocks and sources, or takes them away.
func (s *Server) changeLinks(keep bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Links []map[string]any `json:"links"`
		}
		if !readBody(w, r, &body) {
			return
		}
		if len(body.Links) == 0 {
			refuse(w, http.StatusBadRequest, "Input data is empty", nil)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, link := range body.Links {
			s.inventory.links = slices.DeleteFunc(s.inventory.links, func(d map[string]any) bool {
				return fmt.Sprint(d["stock_id"]) == fmt.Sprint(link["stock_id"]) && d["source_code"] == link["source_code"]
			})
			if keep {
				s.inventory.links = append(s.inventory.links, link)
			}
		}
		answer(w, http.StatusOK, []any{})
	}
}

type sourceItems struct {
	Items []sourceItem `json:"sourceItems"`
}

// saveSourceItems saves all or none. Magento does not ask whether there is such a product.
func (s *Server) saveSourceItems(w http.ResponseWriter, r *http.Request) {
	var body sourceItems
	if !readBody(w, r, &body) {
		return
	}
	if len(body.Items) == 0 {
		refuse(w, http.StatusBadRequest, "Input data is empty", nil)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, item := range body.Items {
		_, err := decimal.NewFromString(item.Quantity.String())
		switch {
		case item.SKU == "":
			invalid(w, `"%field" can not be empty.`, map[string]string{"field": "sku"})
			return
		case s.inventory.source(item.Source) == nil:
			invalid(w, `Source with code "%code" does not exist.`, map[string]string{"code": item.Source})
			return
		case err != nil:
			invalid(w, `"%field" should be numeric.`, map[string]string{"field": "quantity"})
			return
		case item.Status != "0" && item.Status != "1":
			invalid(w, `"%field" should be a known status.`, map[string]string{"field": "status"})
			return
		}
	}
	for _, item := range body.Items {
		s.inventory.save(item)
	}
	answer(w, http.StatusOK, []any{})
}

func (s *Server) deleteSourceItems(w http.ResponseWriter, r *http.Request) {
	var body sourceItems
	if !readBody(w, r, &body) {
		return
	}
	if len(body.Items) == 0 {
		refuse(w, http.StatusBadRequest, "Input data is empty", nil)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, item := range body.Items {
		if at := s.inventory.find(item.SKU, item.Source); at >= 0 {
			s.inventory.items = slices.Delete(s.inventory.items, at, at+1)
		}
	}
	answer(w, http.StatusOK, []any{})
}

// salableQuantity answers what show makes of what may still be sold.
func (s *Server) salableQuantity(show func(decimal.Decimal) any) http.HandlerFunc {
	return s.withArticle(func(w http.ResponseWriter, r *http.Request, a *article) {
		id, ok := pathID(w, r, "stock")
		if !ok {
			return
		}
		if document(s.inventory.stocks, "stock_id", strconv.Itoa(id)) == nil {
			refuse(w, http.StatusNotFound, `Stock with id "%value" does not exist.`, map[string]int{"value": id})
			return
		}
		answer(w, http.StatusOK, show(s.inventory.salable(a.SKU, id)))
	})
}
