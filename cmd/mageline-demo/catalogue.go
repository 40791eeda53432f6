package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/test/kit/fakemagento"
)

// The catalogue of the demo, and how the search engine has it.
const (
	products    = 200
	searchIndex = "products"
	// repriced is the place of the product whose price changes: a simple one.
	repriced = 8
)

// document is what the demo shows of a document.
type document struct {
	SKU        string          `json:"sku"`
	Name       string          `json:"name"`
	Price      decimal.Decimal `json:"price"`
	FinalPrice decimal.Decimal `json:"final_price"`
	Currency   string          `json:"currency"`
	InStock    bool            `json:"in_stock"`
}

// catalogue fills a search index, and changes a price.
func (d *demo) catalogue(ctx context.Context) error {
	d.title("Products in the search engine")
	d.shop.Generate(products)
	shown := d.shop.Generated()
	d.say("The shop has %d products, of which its front end shows %d by themselves: simple ones, configurable ones with", products, shown)
	d.say("variants, bundles, groups, gift cards. They are written to OpenSearch without Magento's indexer:")
	if err := d.show(ctx, "reindex"); err != nil {
		return err
	}
	sku := fakemagento.GeneratedSKU(repriced)
	before, version, err := d.document(sku)
	if err != nil {
		return err
	}
	if n := len(d.engine.Documents(searchIndex)); n < shown {
		return fmt.Errorf("the index has %d documents, and should have %d at least", n, shown)
	}
	d.good("the index has %d documents, written in %d calls; this is the one of %s:", len(d.engine.Documents(searchIndex)), d.engine.Bulks(), sku)
	d.sayDocument(before, version)
	price := before.Price.Add(decimal.New(1, 0))
	d.say("The ERP sends a new price, %s. price_sync writes it to Magento, and the document follows by itself:", price)
	began := time.Now()
	body, err := json.Marshal(map[string]any{
		"type": "base", "as_of": began.UTC().Format(time.RFC3339Nano), "prices": []map[string]any{{"sku": sku, "price": price, "store_id": 0}},
	})
	if err != nil {
		return err
	}
	if err := d.wire.publish(ctx, "pricing.sync.requested", body); err != nil {
		return err
	}
	var after document
	err = d.await(ctx, d.patience, "the new price in the document of "+sku, func() (bool, error) {
		var err error
		after, version, err = d.document(sku)
		return err == nil && after.Price.Equal(price), err
	})
	if err != nil {
		return fmt.Errorf("%w (it is %s)", err, after.Price)
	}
	d.sayDocument(after, version)
	d.good("%.1f s from the message to the search engine, through Magento", time.Since(began).Seconds())
	return nil
}

// document returns what the engine has of a product, and its version.
func (d *demo) document(sku string) (doc document, version int64, err error) {
	found, ok := d.engine.Document(searchIndex, sku)
	if !ok {
		return doc, 0, errors.New("the index " + searchIndex + " has no document of " + sku)
	}
	return doc, found.Version, json.Unmarshal(found.Source, &doc)
}

func (d *demo) sayDocument(doc document, version int64) {
	d.say("  version %d: %s, price %s, final price %s %s, in stock: %t", version, doc.Name, doc.Price, doc.FinalPrice, doc.Currency, doc.InStock)
}
