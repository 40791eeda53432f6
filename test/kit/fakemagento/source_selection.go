package fakemagento

import (
	"slices"

	"github.com/shopspring/decimal"
)

func (s *Server) selectionAlgorithms(call) (any, *problem) {
	return []any{
		map[string]any{"code": "priority", "title": "Source Priority", "description": "Algorithm which provides Source Selections based on predefined priority of Sources"},
		map[string]any{"code": "distance", "title": "Distance Priority", "description": "Algorithm based on the distance to the address"},
	}, nil
}

// selectSources goes through the stock's enabled sources by their priority (InventorySourceSelectionApi). The distance needs
// an address.
func (s *Server) selectSources(c call) (any, *problem) {
	request, wrong := c.object("inventoryRequest")
	if wrong != nil {
		return nil, wrong
	}
	algorithm := text(c.body["algorithmCode"])
	switch {
	case algorithm == "":
		return nil, required("algorithmCode")
	case algorithm == "distance":
		return nil, invalid("No destination address was provided in the request", nil)
	case algorithm != "priority":
		return nil, invalid("There is no such Source Selection Algorithm implemented: %1", []string{algorithm})
	}
	stock, wrong := s.stock(text(request["stockId"]))
	if wrong != nil {
		return nil, wrong
	}
	var links []map[string]any
	for _, link := range s.inventory.links {
		source := document(s.inventory.sources, "source_code", text(link["source_code"]))
		if text(link["stock_id"]) == text(stock["stock_id"]) && source != nil && yes(source["enabled"]) {
			links = append(links, link)
		}
	}
	slices.SortStableFunc(links, func(a, b map[string]any) int {
		x, _ := number(a["priority"])
		y, _ := number(b["priority"])
		return x - y
	})
	taken, shippable := []any{}, true
	for _, item := range objects(request["items"]) {
		left, _ := money(item["qty"])
		for _, link := range links {
			at := s.inventory.find(text(item["sku"]), text(link["source_code"]))
			if at < 0 || s.inventory.items[at].status == 0 {
				continue
			}
			has := s.inventory.items[at].quantity
			n := decimal.Max(decimal.Min(left, has), decimal.Zero)
			left = left.Sub(n)
			taken = append(taken, map[string]any{
				"source_code": link["source_code"], "sku": item["sku"], "qty_to_deduct": amount(n), "qty_available": amount(has),
			})
		}
		shippable = shippable && !left.IsPositive()
	}
	return map[string]any{"source_selection_items": taken, "shippable": shippable}, nil
}

func (s *Server) resolveStock(c call) (any, *problem) {
	for _, stock := range s.inventory.stocks {
		extension, _ := stock["extension_attributes"].(map[string]any)
		for _, channel := range objects(extension["sales_channels"]) {
			if text(channel["type"]) == c.PathValue("type") && text(channel["code"]) == c.PathValue("code") {
				return stock, nil
			}
		}
	}
	return nil, notFound("No linked stock found", nil)
}

// checkTransfer is InventoryCatalog\Model\Source\Validator\Bulk\TransferSourceValidator.
func (s *Server) checkTransfer(message, from, to string) *problem {
	refusal := func(template string, parameters map[string]any) *problem {
		return invalid(message, fieldErrors{{"message": template, "parameters": parameters}})
	}
	switch {
	case document(s.inventory.sources, "source_code", from) == nil:
		return refusal("Origin source %sourceCode does not exist", map[string]any{"sourceCode": from})
	case document(s.inventory.sources, "source_code", to) == nil:
		return refusal("Destination source %sourceCode does not exist", map[string]any{"sourceCode": to})
	case from == to:
		return refusal("Cannot transfer a source on itself", map[string]any{})
	}
	return nil
}

// transfer moves all of the SKUs that the first source has, and answers true. A SKU that is no product's is passed over.
func (s *Server) transfer(c call) (any, *problem) {
	skus, ok := c.body["skus"].([]any)
	if !ok {
		return nil, required("skus")
	}
	from, to := text(c.body["originSource"]), text(c.body["destinationSource"])
	if wrong := s.checkTransfer("Validation Failed", from, to); wrong != nil {
		return nil, wrong
	}
	for _, sku := range skus {
		at := s.inventory.find(text(sku), from)
		if _, wrong := s.catalog.product(text(sku)); wrong != nil || at < 0 {
			continue
		}
		s.inventory.move(text(sku), from, to, s.inventory.items[at].quantity)
		s.inventory.items[at].status = 0
		if yes(c.body["unassignFromOrigin"]) {
			s.inventory.remove(at)
		}
	}
	return true, nil
}

// transferPart answers nothing, which is []. All rows are looked at before any is moved
// (InventoryCatalog\Model\Source\Validator\PartialTransferItemsValidator).
func (s *Server) transferPart(c call) (any, *problem) {
	const failed = "Transfer validation failed"
	rows, wrong := c.rows("items")
	if wrong != nil {
		return nil, wrong
	}
	from, to := text(c.body["originSourceCode"]), text(c.body["destinationSourceCode"])
	if wrong := s.checkTransfer(failed, from, to); wrong != nil {
		return nil, wrong
	}
	for _, row := range rows {
		sku := text(row["sku"])
		for _, source := range []string{from, to} {
			if s.inventory.find(sku, source) < 0 {
				return nil, invalid(failed, fieldErrors{{"message": "%message", "parameters": map[string]any{
					"message": "Source item for " + sku + " and " + source + " does not exist",
				}}})
			}
		}
		if quantity, _ := money(row["qty"]); quantity.GreaterThan(s.inventory.items[s.inventory.find(sku, from)].quantity) {
			return nil, invalid(failed, fieldErrors{{"message": "Requested transfer amount for sku %sku is not available", "parameters": map[string]any{"sku": sku}}})
		}
	}
	for _, row := range rows {
		quantity, _ := money(row["qty"])
		s.inventory.move(text(row["sku"]), from, to, quantity)
	}
	return []any{}, nil
}

func (inv *inventory) move(sku, from, to string, quantity decimal.Decimal) {
	inv.take(sku, from, quantity)
	item := sourceItem{sku: sku, source: to, quantity: quantity, status: 1}
	if at := inv.find(sku, to); at >= 0 {
		item.quantity = item.quantity.Add(inv.items[at].quantity)
	}
	inv.save(item)
}
