package app

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/mageline/mageline/handlers/products"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/feed"
	"github.com/mageline/mageline/magentoapi"
)

// Export is a list of products that is to be written.
type Export struct {
	Format ExportFormat
	Store  string     // the code of the store view; empty is the default one
	Codes  feed.Codes // of the Merchant feed
	// Reject is called with each product that the Merchant feed leaves out.
	Reject func(feed.Rejection) error
	// Progress is told how many products are read, and of how many.
	Progress func(read, of int64)
}

// ExportFormat is what a list of products is written as.
type ExportFormat string

// The formats.
const (
	ExportCSV      ExportFormat = "csv"
	ExportLines    ExportFormat = "jsonl"
	ExportMerchant ExportFormat = "google-merchant"
)

// Exported is what was written.
type Exported struct {
	Store    string
	Products int // that the store view shows
	Items    int // that were written, of which a product with variants has several in a Merchant feed
}

// ExportProducts writes the products of a store view, as they are now.
func ExportProducts(ctx context.Context, cfg *config.Config, version string, e Export, out io.Writer) (Exported, error) {
	var done Exported
	client, end, err := openShop(cfg, version)
	if err != nil {
		return done, err
	}
	defer end()
	catalogue, err := productShop(cfg, client, []products.StoreIndex{{Store: e.Store}}).Catalogue(ctx, e.Store)
	if err != nil {
		return done, err
	}
	done.Store = catalogue.Store
	var w feed.Writer
	var merchant feed.MerchantWriter
	switch e.Format {
	case ExportCSV:
		w, err = feed.NewTable(out, catalogue.Fields)
	case ExportLines:
		w = feed.NewLines(out)
	case ExportMerchant:
		merchant, err = feed.NewMerchant(out, feed.Merchant{
			Title: "Products of " + catalogue.Store, Link: catalogue.Link, Codes: e.Codes, Now: time.Now(), Reject: e.Reject,
		})
		w = merchant
	default:
		err = fmt.Errorf("format %q is not known", e.Format)
	}
	if err != nil {
		return done, err
	}
	err = catalogue.Each(ctx, merchant != nil, e.Progress, func(l products.Listing) error {
		done.Products++
		return w.Write(feedProduct(l))
	})
	if err == nil {
		err = w.Close()
	}
	done.Items = done.Products
	if merchant != nil {
		done.Items = merchant.Items()
	}
	return done, err
}

func feedProduct(l products.Listing) feed.Product {
	p := feed.Product{Document: l.Document, Weight: l.Weight}
	for _, v := range l.Variants {
		p.Variants = append(p.Variants, feed.Variant{Document: v.Document, Weight: v.Weight, Options: v.Options})
	}
	return p
}

// productShop returns what reads the meaning of products' ids in store views.
func productShop(cfg *config.Config, client *magentoapi.Client, indexes []products.StoreIndex) *products.Shop {
	return &products.Shop{
		Indexes: indexes,
		View: func(code string) (products.StoreView, error) {
			of, err := client.Store(code)
			if err != nil {
				return products.StoreView{}, err
			}
			return products.StoreView{Products: of.Products, Attributes: of.Attributes, Categories: of.Categories}, nil
		},
		Stores: client.Stores, Inventory: client.Inventory, StockItems: client.StockItems,
		Suffix: cfg.SearchURLSuffix, Attributes: cfg.SearchAttributes, GroupPrices: cfg.SearchGroupPrices, Location: cfg.MagentoTimezone.Location,
	}
}
