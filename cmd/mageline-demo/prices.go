package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/test/kit/fakemagento"
)

// What a price list has: listed rows, of which some differ from what Magento has, some are of no product, and one is wrong by a
// decimal point.
const (
	listed  = 2000
	changed = 40
	refused = 10
)

// calls to Magento that a price list makes.
const (
	readPrices  = "POST /V1/products/base-prices-information"
	writePrices = "POST /V1/products/base-prices"
)

// priceList imports a list of which little has changed.
func (d *demo) priceList(ctx context.Context) error {
	d.title("A price list")
	d.say("The ERP exports all %d prices, as it does each night. %d have changed; %d are of articles that the shop does", listed, changed, refused)
	d.say("not have; and in one somebody has lost a decimal comma.")
	old, dear, typo := decimal.RequireFromString("12.50"), decimal.RequireFromString("13.75"), decimal.RequireFromString("1250")
	var list strings.Builder
	list.WriteString("Artikelnummer;Verkaufspreis EUR\n")
	for i := range listed {
		sku, price := fmt.Sprintf("ART-%04d", i), old
		switch {
		case i >= listed-refused:
			sku = fmt.Sprintf("GONE-%04d", i)
		case i == listed/2:
			price = typo
		case i%(listed/changed) == 7:
			price = dear
		}
		if i < listed-refused {
			d.shop.AddProduct(fakemagento.Product{SKU: sku, Price: old})
		}
		fmt.Fprintf(&list, "%s;%s\n", sku, strings.ReplaceAll(price.StringFixed(2), ".", ","))
	}
	path := filepath.Join(d.lists, "preise.csv")
	if err := os.WriteFile(path, []byte(list.String()), 0o600); err != nil {
		return err
	}
	began, calls, rows := time.Now(), d.shop.Requests(), d.shop.Rows()
	if err := d.show(ctx, "import", "prices", path); err != nil {
		return err
	}
	queue := d.prefix + ".price_sync.dlq"
	var dead, have int
	var held string
	err := d.await(ctx, d.patience, "the changed prices in Magento, one held and the others refused", func() (done bool, err error) {
		have = 0
		for i := range listed - refused {
			if price, _ := d.shop.BasePrice(fmt.Sprintf("ART-%04d", i), 0); price.Equal(dear) {
				have++
			}
		}
		if dead, err = d.wire.depth(queue); err != nil || dead < 1 || have < changed {
			return false, err
		}
		held, _, err = d.program.call(ctx, "prices", "held")
		return strings.Contains(held, "1250"), err
	})
	if err != nil {
		return fmt.Errorf("%w (%d of %d changed, %d dead letters)", err, have, changed, dead)
	}
	d.letters = dead
	now := d.shop.Requests()
	d.good("%.1f s later %d prices are new. Magento was asked for its prices %d times and sent some %d times:", time.Since(began).Seconds(), changed,
		now[readPrices]-calls[readPrices], now[writePrices]-calls[writePrices])
	d.say("  %d rows instead of %d, and no call for each article. What was equal was not sent.", d.shop.Rows().Written+d.shop.Rows().Refused-rows.Written-rows.Refused, listed)
	d.say("What Magento refused is a dead letter that has only these entries:")
	if err := d.show(ctx, "dlq", "list", queue); err != nil {
		return err
	}
	d.say("The price that is a hundred times the old one was not written: somebody decides.")
	d.command(filepath.Base(d.program.path)+" prices held", held)
	return nil
}
