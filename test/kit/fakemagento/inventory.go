package fakemagento

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/shopspring/decimal"
)

// inventory is what is where (multi-source inventory).
type inventory struct {
	settings  map[int]map[string]any // of stock items, by product id
	sources   []map[string]any
	items     []sourceItem
	bySKU     map[string][]int // the places in items, by SKU in lower case
	stocks    []map[string]any
	nextStock int
	links     []map[string]any
}

// sourceItem is how many of a SKU are in a source. Status 1 is in stock, 0 out.
type sourceItem struct {
	sku, source string
	quantity    decimal.Decimal
	status      int
}

// init makes the sources, and the stock 1, which has them all and sells everything.
func (inv *inventory) init(sources []string) {
	inv.settings = map[int]map[string]any{}
	inv.bySKU = map[string][]int{}
	inv.nextStock = 1
	inv.stocks = []map[string]any{{
		"stock_id": 1, "name": "Default Stock",
		"extension_attributes": map[string]any{"sales_channels": []any{map[string]any{"type": "website", "code": "base"}}},
	}}
	if !slices.Contains(sources, defaultSource) {
		sources = append([]string{defaultSource}, sources...)
	}
	for i, code := range sources {
		inv.sources = append(inv.sources, map[string]any{
			"source_code": code, "name": code, "enabled": true, "country_id": "US", "postcode": "00000",
			"use_default_carrier_config": true, "carrier_links": []any{},
		})
		inv.links = append(inv.links, map[string]any{"stock_id": 1, "source_code": code, "priority": i + 1})
	}
}

func (inv *inventory) find(sku, source string) int {
	for _, at := range inv.bySKU[strings.ToLower(sku)] {
		if inv.items[at].source == source {
			return at
		}
	}
	return -1
}

func (inv *inventory) save(item sourceItem) {
	if at := inv.find(item.sku, item.source); at >= 0 {
		inv.items[at] = item
		return
	}
	key := strings.ToLower(item.sku)
	inv.bySKU[key] = append(inv.bySKU[key], len(inv.items))
	inv.items = append(inv.items, item)
}

func (inv *inventory) remove(at int) {
	inv.items = slices.Delete(inv.items, at, at+1)
	clear(inv.bySKU)
	for at, item := range inv.items {
		key := strings.ToLower(item.sku)
		inv.bySKU[key] = append(inv.bySKU[key], at)
	}
}

// take takes what is shipped out of a source, if the source is known to have the SKU.
func (inv *inventory) take(sku, source string, quantity decimal.Decimal) {
	if at := inv.find(sku, source); at >= 0 {
		inv.items[at].quantity = inv.items[at].quantity.Sub(quantity)
	}
}

// salable is what a stock may still sell of a SKU: what its enabled sources have, less what is promised to open orders
// that were placed from carts.
func (s *Server) salable(sku string, stock int) decimal.Decimal {
	inv := &s.inventory
	var sum decimal.Decimal
	for _, link := range inv.links {
		code := text(link["source_code"])
		source, at := document(inv.sources, "source_code", code), inv.find(sku, code)
		if text(link["stock_id"]) == strconv.Itoa(stock) && yes(source["enabled"]) && at >= 0 && inv.items[at].status == 1 {
			sum = sum.Add(inv.items[at].quantity)
		}
	}
	if stock == 1 {
		sum = sum.Sub(s.promised(sku))
	}
	return sum
}

func (s *Server) promised(sku string) decimal.Decimal {
	var sum decimal.Decimal
	for _, k := range s.carts.all {
		o := s.find(k.order)
		if o == nil {
			continue
		}
		for _, row := range o.rows() {
			if strings.EqualFold(text(row["sku"]), sku) {
				sum = sum.Add(openQty(row))
			}
		}
	}
	return sum
}

// document gives the one whose key has the value, or nil.
func document(all []map[string]any, key, value string) map[string]any {
	at := slices.IndexFunc(all, func(d map[string]any) bool { return text(d[key]) == value })
	if at < 0 {
		return nil
	}
	return all[at]
}

// fieldErrors is what the validators of Magento's inventory found wrong.
type fieldErrors []map[string]any

func validationFailed(template string, parameters map[string]any) *problem {
	return invalid("Validation Failed", fieldErrors{{"message": template, "parameters": parameters}})
}

func empty(field string) *problem {
	return validationFailed(`"%field" can not be empty.`, map[string]any{"field": field})
}

func (s *Server) inventoryRoutes(routes *http.ServeMux) {
	inv := &s.inventory
	route := func(pattern, resource string, f func(call) (any, *problem)) {
		routes.Handle(pattern, s.allowed("Magento_Inventory"+resource, s.endpoint(f)))
	}
	lists := func(all func() []map[string]any, columns ...string) func(call) (any, *problem) {
		return func(c call) (any, *problem) {
			return list(c, func(field string) bool { return slices.Contains(columns, field) }, slices.Clone(all()))
		}
	}
	route("GET /V1/inventory/sources", "Api::source",
		lists(func() []map[string]any { return inv.sources }, "source_code", "name", "enabled", "country_id"))
	route("GET /V1/inventory/sources/{code}", "Api::source", s.getSource)
	route("POST /V1/inventory/sources", "Api::source_edit", s.saveSource)
	route("PUT /V1/inventory/sources/{code}", "Api::source_edit", s.saveSource)
	route("GET /V1/inventory/stocks", "Api::stock", lists(func() []map[string]any { return inv.stocks }, "stock_id", "name"))
	route("GET /V1/inventory/stocks/{id}", "Api::stock", s.getStock)
	route("POST /V1/inventory/stocks", "Api::stock_edit", s.saveStock)
	route("PUT /V1/inventory/stocks/{id}", "Api::stock_edit", s.saveStock)
	route("DELETE /V1/inventory/stocks/{id}", "Api::stock_delete", s.deleteStock)
	route("GET /V1/inventory/stock-source-links", "Api::stock_source_link",
		lists(func() []map[string]any { return inv.links }, "stock_id", "source_code", "priority"))
	route("POST /V1/inventory/stock-source-links", "Api::stock_source_link", s.saveLinks)
	route("POST /V1/inventory/stock-source-links-delete", "Api::stock_source_link", s.deleteLinks)
	routes.Handle("GET /V1/inventory/source-items", s.allowed("Magento_InventoryApi::source", s.reading(s.searchSourceItems)))
	routes.Handle("POST /V1/inventory/source-items", s.allowed("Magento_InventoryApi::stock_source_item_assign",
		s.writing("sourceItems", "Could not save Source Item", s.saveSourceItems)))
	route("POST /V1/inventory/source-items-delete", "Api::stock_source_item_assign", s.deleteSourceItems)
	route("GET /V1/inventory/source-selection-algorithm-list", "SourceSelectionApi::source_selection_algorithm", s.selectionAlgorithms)
	route("POST /V1/inventory/source-selection-algorithm-result", "SourceSelectionApi::source_selection_algorithm_post", s.selectSources)
	route("GET /V1/inventory/stock-resolver/{type}/{code}", "SalesApi::stock", s.resolveStock)
	for pattern, f := range map[string]func(call) (any, *problem){
		"POST /V1/inventory/bulk-product-source-transfer": s.transfer, "POST /V1/inventory/bulk-partial-source-transfer": s.transferPart,
	} {
		routes.Handle(pattern, s.allowed("Magento_Catalog::products", s.endpoint(f)))
	}
	route("GET /V1/inventory/get-product-salable-quantity/{sku}/{stock}", "SalesApi::stock", func(c call) (any, *problem) {
		quantity, wrong := s.salableOf(c)
		return amount(quantity), wrong
	})
	route("GET /V1/inventory/export-stock-salable-qty/{type}/{code}", "Api::stock", s.exportSalable)
	route("GET /V1/inventory/is-product-salable/{sku}/{stock}", "SalesApi::stock", func(c call) (any, *problem) {
		quantity, wrong := s.salableOf(c)
		return quantity.IsPositive(), wrong
	})
}

// searchSourceItems answers with the rows of a search. Which those of some SKUs are, an index knows.
func (s *Server) searchSourceItems(c call) (any, *problem) {
	columns := []string{"source_item_id", "sku", "source_code", "quantity", "status"}
	criteria, wrong := parseCriteria(c.URL.Query(), oneOf(columns))
	if wrong != nil {
		return nil, wrong
	}
	inv, remaining := &s.inventory, criteria
	places := make([]int, 0, len(inv.items))
	group := slices.IndexFunc(criteria.groups, func(g []filter) bool {
		return len(g) == 1 && g[0].Field == "sku" && (g[0].Condition == "in" || g[0].Condition == "eq")
	})
	if group < 0 {
		for at := range inv.items {
			places = append(places, at)
		}
	} else {
		of := criteria.groups[group][0]
		skus := []string{of.Value}
		if of.Condition == "in" { // which is split wherever there is a comma, also in a SKU
			skus = strings.Split(of.Value, ",")
		}
		for _, sku := range skus {
			places = append(places, inv.bySKU[strings.ToLower(sku)]...)
		}
		slices.Sort(places)
		places = slices.Compact(places)
		remaining.groups = slices.Delete(slices.Clone(criteria.groups), group, group+1)
	}
	rows := make([]row, 0, len(places))
	for _, at := range places { // the source_item_id is their order, and is not shown
		item := inv.items[at]
		d := map[string]any{"sku": item.sku, "source_code": item.source, "quantity": amount(item.quantity), "status": item.status}
		rows = append(rows, row{d, func() map[string]any { return d }})
	}
	found := remaining.result(rows)
	if page, ok := found.(map[string]any); ok {
		page["search_criteria"] = criteria.show()
	}
	return found, nil
}

func (s *Server) getSource(c call) (any, *problem) {
	code := c.PathValue("code")
	source := document(s.inventory.sources, "source_code", code)
	if source == nil {
		return nil, notFound(`Source with code "%value" does not exist.`, map[string]string{"value": code})
	}
	return source, nil
}

func (s *Server) saveSource(c call) (any, *problem) {
	source, wrong := c.object("source")
	if wrong != nil {
		return nil, wrong
	}
	if code := c.PathValue("code"); code != "" { // what the path says overrides the body
		source["source_code"] = code
	}
	known := document(s.inventory.sources, "source_code", text(source["source_code"]))
	saved := map[string]any{"carrier_links": []any{}}
	maps.Copy(saved, known)
	maps.Copy(saved, source)
	for _, field := range []string{"source_code", "name", "country_id", "postcode"} {
		if text(saved[field]) == "" {
			return nil, empty(field)
		}
	}
	if known != nil {
		maps.Copy(known, saved)
	} else {
		s.inventory.sources = append(s.inventory.sources, saved)
	}
	return []any{}, nil
}

func (s *Server) stock(id string) (map[string]any, *problem) {
	stock := document(s.inventory.stocks, "stock_id", id)
	if stock == nil {
		return nil, notFound(`Stock with id "%value" does not exist.`, map[string]string{"value": id})
	}
	return stock, nil
}

func (s *Server) getStock(c call) (any, *problem) {
	stock, wrong := s.stock(c.PathValue("id"))
	return stock, wrong
}

func (s *Server) saveStock(c call) (any, *problem) {
	given, wrong := c.object("stock")
	if wrong != nil {
		return nil, wrong
	}
	if text(given["name"]) == "" {
		return nil, empty("name")
	}
	id := c.PathValue("id")
	if id == "" {
		s.inventory.nextStock++
		given["stock_id"] = s.inventory.nextStock
		s.inventory.stocks = append(s.inventory.stocks, given)
		return given["stock_id"], nil
	}
	stock, wrong := s.stock(id)
	if wrong != nil {
		return nil, wrong
	}
	delete(given, "stock_id")
	maps.Copy(stock, given)
	return stock["stock_id"], nil
}

func (s *Server) deleteStock(c call) (any, *problem) {
	id := c.PathValue("id")
	if id == "1" {
		return nil, invalid("Default Stock could not be deleted.", nil)
	}
	of := func(d map[string]any) bool { return text(d["stock_id"]) == id }
	s.inventory.stocks = slices.DeleteFunc(s.inventory.stocks, of)
	s.inventory.links = slices.DeleteFunc(s.inventory.links, of)
	return []any{}, nil
}

func (s *Server) saveLinks(c call) (any, *problem) {
	links, wrong := s.takeLinks(c)
	if wrong != nil {
		return nil, wrong
	}
	s.inventory.links = append(s.inventory.links, links...)
	return []any{}, nil
}

func (s *Server) deleteLinks(c call) (any, *problem) {
	_, wrong := s.takeLinks(c)
	return []any{}, wrong
}

// takeLinks takes away the links of the stocks and sources that the body names, and gives the body's.
func (s *Server) takeLinks(c call) ([]map[string]any, *problem) {
	links, wrong := c.rows("links")
	if wrong != nil {
		return nil, wrong
	}
	if len(links) == 0 {
		return nil, invalid("Input data is empty", nil)
	}
	for _, link := range links {
		if _, wrong := s.stock(text(link["stock_id"])); wrong != nil {
			return nil, validationFailed(`Stock with id "%id" does not exist.`, map[string]any{"id": link["stock_id"]})
		}
		s.inventory.links = slices.DeleteFunc(s.inventory.links, func(d map[string]any) bool {
			return text(d["stock_id"]) == text(link["stock_id"]) && d["source_code"] == link["source_code"]
		})
	}
	return links, nil
}

// saveSourceItems saves all or none, and names the first row that is wrong, not its SKU. It does not ask whether there is such
// a product; whether there is such a source, only the database does, which tells of no reason.
//
// Sources: Inventory/Model/SourceItem/Command/Handler/SourceItemsSaveHandler.php and Model/SourceItem/Validator of
// magento/inventory.
func (s *Server) saveSourceItems(c call) (any, *problem) {
	rows, wrong := c.rows("sourceItems")
	if wrong != nil {
		return nil, wrong
	}
	if len(rows) == 0 {
		return nil, invalid("Input data is empty", nil)
	}
	items, unknown := make([]sourceItem, 0, len(rows)), false
	for _, row := range rows {
		item := sourceItem{sku: text(row["sku"]), source: text(row["source_code"])}
		var numeric, known bool
		item.quantity, numeric = money(row["quantity"])
		item.status, known = number(row["status"])
		switch {
		case strings.TrimSpace(item.sku) == "":
			return nil, badSourceItem(`"%field" can not be empty.`, "sku")
		case strings.TrimSpace(item.source) == "":
			return nil, badSourceItem(`"%field" can not be empty.`, "source_code")
		case !numeric:
			return nil, badSourceItem(`"%field" should be numeric.`, "quantity")
		case !known || item.status < 0 || item.status > 1:
			return nil, badSourceItem(`"%field" should be a known status.`, "status")
		}
		unknown = unknown || document(s.inventory.sources, "source_code", item.source) == nil
		items = append(items, item)
	}
	if unknown {
		return nil, invalid("Could not save Source Item", nil)
	}
	for _, item := range items {
		s.remember(item.sku)
		s.inventory.save(item)
	}
	return []any{}, nil
}

func badSourceItem(template, field string) *problem {
	return invalid("Validation Failed: "+strings.ReplaceAll(template, "%field", field),
		fieldErrors{{"message": template, "parameters": map[string]any{"field": field}}})
}

func (s *Server) deleteSourceItems(c call) (any, *problem) {
	rows, wrong := c.rows("sourceItems")
	if wrong != nil {
		return nil, wrong
	}
	if len(rows) == 0 {
		return nil, invalid("Input data is empty", nil)
	}
	for _, row := range rows {
		if at := s.inventory.find(text(row["sku"]), text(row["source_code"])); at >= 0 {
			s.inventory.remove(at)
		}
	}
	return []any{}, nil
}

func (s *Server) salableOf(c call) (decimal.Decimal, *problem) {
	p, wrong := s.catalog.product(c.PathValue("sku"))
	if wrong != nil {
		return decimal.Zero, wrong
	}
	id, wrong := c.id("stock")
	if wrong != nil {
		return decimal.Zero, wrong
	}
	if _, wrong := s.stock(fmt.Sprint(id)); wrong != nil {
		return decimal.Zero, wrong
	}
	return s.salable(p.sku, id), nil
}
