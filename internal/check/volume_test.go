package check_test

import (
	"testing"

	"github.com/mageline/mageline/internal/check"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

// What a shop is like, and what the credential may do there, is found out without a write that a shop would take.
func TestMagento_OfPricesAndStock(t *testing.T) {
	t.Parallel()
	const (
		credential = "Magento credential"
		prices     = "Magento permission to read and write base, special and tier prices"
		edition    = "Magento edition, for special prices"
		scope      = "PRICE_SCOPE"
		stock      = "Magento stock"
		read       = "Magento permission to read stock of sources"
		write      = "Magento permission to write stock of sources"
		items      = "Magento permission to read and write stock items"
	)
	type line struct {
		status  check.Status
		subject string
		detail  string
	}
	views := []fakemagento.Store{{ID: 1, Code: "default", WebsiteID: 1}, {ID: 2, Code: "de", WebsiteID: 2}}
	for name, test := range map[string]struct {
		shop       fakemagento.Options
		perWebsite bool
		buffered   []string
		want       []line
	}{
		"all well": {fakemagento.Options{Sources: []string{"berlin"}}, false, []string{"berlin"}, []line{
			{check.OK, credential, ""},
			{check.OK, prices, ""},
			{check.OK, edition, "Open Source"},
			{check.OK, scope, "global"},
			{check.OK, stock, "2 sources: berlin, default"},
			{check.OK, read, ""},
			{check.OK, write, ""},
		}},
		"prices of websites":                {fakemagento.Options{PriceScope: fakemagento.ScopeWebsite}, true, nil, []line{{check.OK, scope, "website"}}},
		"websites, and the shop is global":  {fakemagento.Options{}, true, nil, []line{{check.Warn, scope, "prices are global"}}},
		"global, and the shop has websites": {fakemagento.Options{PriceScope: fakemagento.ScopeWebsite}, false, nil, []line{{check.Warn, scope, "single store views"}}},
		"an old release":                    {fakemagento.Options{Version: fakemagento.V241}, false, nil, []line{{check.Warn, scope, "2.4.1 or older"}}},
		"Adobe Commerce":                    {fakemagento.Options{Edition: fakemagento.Commerce}, false, nil, []line{{check.OK, edition, "Content Staging: a special price needs"}}},
		"Adobe Commerce, for websites": {
			fakemagento.Options{Edition: fakemagento.Commerce, PriceScope: fakemagento.ScopeWebsite},
			true, nil,
			[]line{{check.Warn, edition, "global price scope only"}},
		},
		"no sources":                             {fakemagento.Options{NoInventory: true}, false, nil, []line{{check.OK, stock, "no multi-source inventory"}, {check.OK, items, ""}}},
		"a buffer of a source that is not there": {fakemagento.Options{}, false, []string{"mars"}, []line{{check.Warn, stock, "names mars"}}},
		"no right to prices": {fakemagento.Options{Denied: []string{"Magento_Catalog::catalog"}}, false, nil, []line{
			{check.OK, credential, ""}, {check.Fail, prices, ""}, {check.Unknown, scope, ""}, {check.OK, read, ""},
		}},
		"no right to read stock": {fakemagento.Options{Denied: []string{"Magento_InventoryApi::source"}}, false, nil, []line{
			{check.Unknown, stock, ""}, {check.Fail, read, ""}, {check.OK, write, ""},
		}},
		"no right to write stock": {fakemagento.Options{Denied: []string{"Magento_InventoryApi::stock_source_item_assign"}}, false, nil, []line{
			{check.OK, read, ""}, {check.Fail, write, ""},
		}},
		"no right to stock items": {
			fakemagento.Options{NoInventory: true, Denied: []string{"Magento_Catalog::catalog_inventory"}},
			false, nil,
			[]line{{check.Fail, items, ""}},
		},
		"no right to modules": {fakemagento.Options{Denied: []string{"Magento_Backend::admin"}}, false, nil, []line{{check.Unknown, edition, ""}, {check.OK, prices, ""}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.shop.Token, test.shop.Stores = token, views
			fake := fakemagento.New(test.shop)
			t.Cleanup(fake.Close)
			checker := shop(t, fake, bearer(token))
			checker.Orders, checker.Comment, checker.Ship = false, false, false
			checker.Prices, checker.Stock = &check.MagentoPrices{PerWebsite: test.perWebsite}, &check.MagentoStock{Buffered: test.buffered}
			found := lines(t, checker)
			for _, l := range test.want {
				if l.detail == "" {
					want(t, found, l.status, l.subject)
				} else {
					want(t, found, l.status, l.subject, l.detail)
				}
			}
			if rows := fake.Rows(); rows.Written != 0 || fake.Requests()["GET /V1/orders"] != 0 {
				t.Errorf("%+v, and %v", rows, fake.Requests())
			}
		})
	}
}
