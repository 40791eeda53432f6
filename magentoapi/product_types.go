package magentoapi

import (
	"fmt"
	"strconv"
)

// Int is a whole number that may come as a text; 0 where Magento told none.
type Int int64

// UnmarshalJSON reads a number, or a text that holds one. An empty text is 0.
func (i *Int) UnmarshalJSON(data []byte) error {
	s, err := scalar(data)
	if err != nil || s == "" {
		*i = 0
		return err
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return fmt.Errorf("%.40q is not a whole number", s)
	}
	*i = Int(n)
	return nil
}

// The statuses of a product.
const (
	ProductEnabled  Int = 1
	ProductDisabled Int = 2
)

// The visibilities of a product.
const (
	NotVisible      Int = 1 // by itself; as a configurable product's child it is
	VisibleInList   Int = 2 // in categories
	VisibleInSearch Int = 3
	VisibleInBoth   Int = 4
)

// Product is a product (Catalog\Api\Data\ProductInterface). What has no field here is in CustomAttributes, by the
// attribute's code: special_price, description, color, category_ids, …
type Product struct {
	ID             ID   `json:"id"`
	SKU            Text `json:"sku"`
	Name           Text `json:"name"`
	AttributeSetID ID   `json:"attribute_set_id"` // 4 is the default one
	TypeID         Text `json:"type_id"`          // simple, virtual, configurable, bundle, grouped, downloadable, …
	Status         Int  `json:"status"`
	Visibility     Int  `json:"visibility"`
	// Price is the regular one, of the store view that is asked, in the base currency. Configurable and grouped products
	// have none, or 0.
	Price     Decimal `json:"price"`
	Weight    Decimal `json:"weight"` // in the unit of the store's configuration
	CreatedAt Time    `json:"created_at"`
	UpdatedAt Time    `json:"updated_at"`

	// ProductLinks, if they are saved, take the place of all that the product has; so do the next two.
	ProductLinks        []ProductLink      `json:"product_links"`
	MediaGalleryEntries []MediaEntry       `json:"media_gallery_entries"`
	TierPrices          []ProductTierPrice `json:"tier_prices"`
	// Options are the custom options, which take the place of all that the product has: see ProductOptionsService.
	Options []ProductCustomOption `json:"options"`

	CustomAttributes    CustomAttributes    `json:"custom_attributes"`
	ExtensionAttributes ExtensionAttributes `json:"extension_attributes"` // website_ids, category_links, stock_item, …

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (p *Product) UnmarshalJSON(data []byte) error { return readObject(data, p) }

// MarshalJSON writes what was read with what was changed.
func (p Product) MarshalJSON() ([]byte, error) { return writeObject(p, p.asRead) }

// ProductTierPrice is a tier price as a product has it (Catalog\Api\Data\ProductTierPriceInterface): the group by its id,
// 32000 for all of them, and a percentage among the extension attributes. PricesService has them by the group's name.
type ProductTierPrice struct {
	CustomerGroupID     *ID                 `json:"customer_group_id"` // 0 is the group of those not logged in
	Qty                 Decimal             `json:"qty"`
	Value               Decimal             `json:"value"`
	ExtensionAttributes ExtensionAttributes `json:"extension_attributes"` // percentage_value, website_id

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (t *ProductTierPrice) UnmarshalJSON(data []byte) error { return readObject(data, t) }

// MarshalJSON writes what was read with what was changed.
func (t ProductTierPrice) MarshalJSON() ([]byte, error) { return writeObject(t, t.asRead) }

// ProductType is a type that a product can have.
type ProductType struct {
	Name  Text `json:"name"` // as in Product.TypeID
	Label Text `json:"label"`
}
