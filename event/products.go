package event

import (
	"bytes"
	"encoding/json"
	"time"
)

// ProductsExport is the body of catalog.products.exported and of catalog.products.deleted: products by their SKU, or as Magento's
// REST API has them (docs/search.md).
type ProductsExport struct {
	// AsOf is the version of all of them; zero if the event has none.
	AsOf time.Time
	// Settle says that Magento's indexes may not show the change yet.
	Settle bool
	// Again says that the event is about the second reading of products, which has no third one.
	Again bool
	// Stores are the codes of the store views that the event is about; none is all.
	Stores []string
	// Items are the SKUs, then the products.
	Items []ProductItem
}

// ProductItem is one product of an event.
type ProductItem struct {
	SKU string
	// Product is the product as the event has it; nil if it has the SKU alone.
	Product json.RawMessage
	// Raw is the item as the event had it.
	Raw json.RawMessage
	// Err is Invalid if this item can't be used, beside others that can.
	Err error
}

// ParseProducts reads the body of an event about products. A body that can't be used as a whole is Invalid; an item that can't be
// used beside others that can has Err set. The items share the body's memory.
func ParseProducts(body json.RawMessage) (ProductsExport, error) {
	var m struct {
		AsOf     json.RawMessage   `json:"as_of"`
		Settle   json.RawMessage   `json:"settle"`
		Again    json.RawMessage   `json:"again"`
		Stores   []Text            `json:"stores"`
		SKUs     []json.RawMessage `json:"skus"`
		Products []json.RawMessage `json:"products"`
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return ProductsExport{}, Errorf(Invalid, "the event can't be read as one about products: %w", err)
	}
	var p ProductsExport
	if text := bytes.TrimSpace(m.AsOf); len(text) > 0 && string(text) != "null" {
		at, err := asOf(m.AsOf, body)
		if err != nil {
			return ProductsExport{}, err
		}
		p.AsOf = at
	}
	var err error
	if p.Settle, err = boolean(m.Settle); err != nil {
		return ProductsExport{}, Errorf(Invalid, "settle must be true or false")
	}
	if p.Again, err = boolean(m.Again); err != nil {
		return ProductsExport{}, Errorf(Invalid, "again must be true or false")
	}
	for _, store := range m.Stores {
		p.Stores = append(p.Stores, string(store))
	}
	if m.SKUs == nil && m.Products == nil {
		return ProductsExport{}, Errorf(Invalid, "the event has no list of skus and none of products; its members are %s", MemberNames(body))
	}
	for _, raw := range m.SKUs {
		p.Items = append(p.Items, skuItem(raw))
	}
	for _, raw := range m.Products {
		p.Items = append(p.Items, productItem(raw))
	}
	return p, nil
}

func skuItem(raw json.RawMessage) ProductItem {
	i := ProductItem{Raw: raw}
	var sku Text
	if err := json.Unmarshal(raw, &sku); err != nil {
		i.Err = Errorf(Invalid, "the SKU can't be read: %w", err)
		return i
	}
	i.SKU = string(sku)
	i.Err = checkSKU(i.SKU)
	return i
}

func productItem(raw json.RawMessage) ProductItem {
	i := ProductItem{Raw: raw, Product: raw}
	var m struct {
		SKU Text `json:"sku"`
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		i.Err = Errorf(Invalid, "the product can't be read: %w", err)
		return i
	}
	i.SKU = string(m.SKU)
	i.Err = checkSKU(i.SKU)
	return i
}
