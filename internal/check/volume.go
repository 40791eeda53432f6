package check

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/magentoapi"
)

// MagentoPrices says that prices are written.
type MagentoPrices struct {
	// PerWebsite is true if special prices are written for websites (PRICE_SCOPE).
	PerWebsite bool
}

// MagentoStock says that stock is written.
type MagentoStock struct {
	// Buffered are the sources of which something is kept back (STOCK_BUFFER).
	Buffered []string
}

// noSKU is one that no shop has. Calls that write have nothing else, and nothing that Magento takes.
const noSKU = "mageline check"

// stagingModule is that of Adobe Commerce by which special prices are scheduled updates.
const stagingModule = "Magento_CatalogStaging"

// prices asks for a price that is not there: one permission is for all endpoints of prices.
func (m Magento) prices(ctx context.Context) (Finding, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, err := m.Client.Prices.BasePrices(ctx, noSKU)
	return allowed("read and write base, special and tier prices", "Magento_Catalog::catalog", inTimeOrNil(ctx, err)), err
}

// edition finds out whether special prices are scheduled updates.
func (m Magento) edition(ctx context.Context) (Finding, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	const subject = "Magento edition, for special prices"
	modules, err := m.Client.Modules.List(ctx)
	switch {
	case err != nil:
		return Finding{
			Unknown, subject, inTime(ctx, err).Error() + "; special prices are sent as Magento Open Source takes them",
			"give the integration or the user the resource Magento_Backend::admin, or know that this is no Adobe Commerce",
		}, err
	case !slices.Contains(modules, stagingModule):
		return ok(subject, "Magento Open Source: no Content Staging"), nil
	case m.Prices.PerWebsite:
		return Finding{
			Warn, subject, "Adobe Commerce with Content Staging, where special prices of two store views may not overlap: it takes them with a global price scope only",
			"set MAGELINE_PRICE_SCOPE=global, if the shop's price scope is Global",
		}, nil
	}
	return ok(subject, "Adobe Commerce with Content Staging: a special price needs price_from and price_to, and may overlap no other of its SKU"), nil
}

// scope finds out whether the shop's prices are global. No endpoint tells: a special price for a single store view is refused where
// they are, whatever else is wrong with it. This one is for no product and below 0, so that no shop takes it.
func (m Magento) scope(ctx context.Context) (Finding, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	const subject = "PRICE_SCOPE"
	views, err := m.Client.Stores.Views(ctx)
	if err == nil && len(views) > 0 {
		view := int64(views[len(views)-1].ID) // the first one may be the admin's
		err = m.Client.Prices.UpdateSpecialPrices(ctx, []magentoapi.SpecialPrice{{SKU: noSKU, StoreID: view, Price: decimal.New(-1, 0)}})
	}
	var refusal *magentoapi.PriceError
	if !errors.As(err, &refusal) || refusal.Err != nil {
		detail := "the shop has no store view"
		if err != nil {
			detail = inTime(ctx, err).Error()
		}
		return Finding{Unknown, subject, detail, "see the other lines"}, err
	}
	global := slices.ContainsFunc(refusal.Refused, func(r magentoapi.PriceRefusal) bool { return strings.Contains(r.Message, "price scope is global") })
	const where = "Stores > Configuration > Catalog > Catalog > Price > Catalog Price Scope"
	switch {
	case global && m.Prices.PerWebsite:
		return Finding{Warn, subject, "is website, and the shop's prices are global: every special price of a website is refused", "set MAGELINE_PRICE_SCOPE=global"}, nil
	case global:
		return ok(subject, "global, as the shop's prices are"), nil
	case m.Prices.PerWebsite:
		return ok(subject, "website, and the shop takes prices of single store views"), nil
	}
	return Finding{
		Warn, subject, "is global, and the shop takes prices of single store views: those of a website reach one of its views, unless the release is 2.4.1 or older, which does not say",
		"look at " + where + ", and set MAGELINE_PRICE_SCOPE=website where it is Website",
	}, nil
}

// stock finds out how the shop keeps stock, and whether it may be written.
func (m Magento) stock(ctx context.Context) (all []Finding, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	const subject = "Magento stock"
	page, err := m.Client.Inventory.Sources(ctx, magentoapi.SearchCriteria{Fields: "items[source_code],total_count"}.OnPage(1, 1000))
	switch {
	case errors.Is(err, magentoapi.ErrNoEndpoint):
		_, err := m.Client.StockItems.Get(ctx, noSKU)
		if isNoProduct(err) {
			err = nil
		}
		return []Finding{
			ok(subject, "no multi-source inventory: the stock item of each SKU is written, one call each"),
			allowed("read and write stock items", "Magento_Catalog::catalog_inventory", inTimeOrNil(ctx, err)),
		}, err
	case err == nil:
		all = append(all, m.sources(subject, page))
	default:
		all = append(all, Finding{Unknown, subject, "whether the shop has multi-source inventory: " + inTime(ctx, err).Error(), "see the next lines"})
	}
	criteria := magentoapi.SearchCriteria{Fields: "items[sku],total_count"}.Where(magentoapi.Eq("sku", noSKU)).OnPage(1, 1)
	_, read := m.Client.Inventory.SourceItems(ctx, criteria)
	all = append(all, allowed("read stock of sources", "Magento_InventoryApi::source", inTimeOrNil(ctx, read)))

	// One without a SKU is refused, and with it all of the call, by who may write.
	var nothing magentoapi.SourceItem
	nothing.SourceCode, nothing.Quantity.Valid, nothing.Status.Valid = "default", true, true
	write := m.Client.Inventory.SaveSourceItems(ctx, nothing)
	if errors.Is(write, magentoapi.ErrBadRequest) && !errors.Is(write, magentoapi.ErrUnauthorized) {
		write = nil
	}
	all = append(all, allowed("write stock of sources", "Magento_InventoryApi::stock_source_item_assign", inTimeOrNil(ctx, write)))
	return all, errors.Join(err, read, write)
}

func isNoProduct(err error) bool {
	return errors.Is(err, magentoapi.ErrNotFound) && !errors.Is(err, magentoapi.ErrNoEndpoint)
}

// sources compares the shop's sources with those of which something is kept back.
func (m Magento) sources(subject string, page *magentoapi.Page[*magentoapi.Source]) Finding {
	var codes, missing []string
	for _, s := range page.Items {
		codes = append(codes, string(s.Code))
	}
	for _, code := range m.Stock.Buffered {
		if !page.More() && !slices.ContainsFunc(codes, func(c string) bool { return strings.EqualFold(c, code) }) {
			missing = append(missing, code)
		}
	}
	if len(missing) > 0 {
		return Finding{
			Warn, subject, fmt.Sprintf("STOCK_BUFFER names %s, and the shop has the sources %s", strings.Join(missing, ", "), strings.Join(codes, ", ")),
			"correct MAGELINE_STOCK_BUFFER",
		}
	}
	shown := codes[:min(len(codes), 10)]
	detail := fmt.Sprintf("multi-source inventory, %d sources: %s", page.TotalCount, strings.Join(shown, ", "))
	if len(shown) < len(codes) {
		detail += ", …"
	}
	return ok(subject, "%s", detail)
}
