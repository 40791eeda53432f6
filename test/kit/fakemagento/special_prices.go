package fakemagento

import (
	"fmt"
	"slices"
	"time"
)

// Special prices of Magento Open Source are three attributes; of Adobe Commerce each is a scheduled update of the product.
//
// Sources: SpecialPriceStorage.php, and ResourceModel/Product/Price/SpecialPrice.php of 2.4.1 and 2.4.6-p1. Of Adobe Commerce:
// AdobeDocs/commerce-webapi on catalog pricing, magento2 issue 34103, the quality patch MDVA-31640.

// A period is a scheduled update that gives a product another price.
type period struct {
	store    int
	price    any
	from, to time.Time
}

func (p period) overlaps(other period) bool {
	return p.from.Before(other.to) && other.from.Before(p.to)
}

// isDate says whether a text is of the one form that is taken; nothing is one, too.
func isDate(v any) bool {
	at, err := time.Parse(layout, text(v))
	return v == nil || v == "" || err == nil && at.Format(layout) == v
}

// checkSpecial tells what is wrong with a row of special prices.
func (s *Server) checkSpecial(f *failures, p *product, row map[string]any) {
	id := []any{row["sku"], row["store_id"], row["price_from"], row["price_to"]}
	if p == nil {
		f.add("The product that was requested doesn't exist. Verify the product and try again. "+ofSpecial, id...)
	}
	if store, _ := number(row["store_id"]); store != 0 && s.options.PriceScope == ScopeGlobal && s.options.Version != V241 {
		f.add("Could not change non global Price when price scope is global. "+ofSpecial, id...)
	}
	if !s.catalog.hasStore(row["store_id"]) {
		f.add("Requested store is not found. "+ofSpecial, id...)
	}
	if negative(row["price"]) {
		f.add("Invalid attribute Price = %price. "+ofSpecial, append([]any{row["price"]}, id...)...)
	}
	needed := s.options.Edition == Commerce
	if from := row["price_from"]; !isDate(from) || needed && text(from) == "" {
		f.add("Invalid attribute %label = %priceTo. "+ofSpecial, append([]any{"Price From"}, id...)...)
	}
	if to := row["price_to"]; !isDate(to) || needed && text(to) == "" {
		f.add("Invalid attribute %label = %priceTo. "+ofSpecial, append([]any{"Price To"}, id...)...)
	}
}

// updateSpecialPrices writes the store view that is named and no other, also where prices are those of websites. A date that
// is not given stays as it is.
func (s *Server) updateSpecialPrices(c call) (any, *problem) {
	return s.eachPrice(c, s.catalog.of(withSpecial), func(f *failures, p *product, row map[string]any) {
		if s.checkSpecial(f, p, row); f.row {
			return
		}
		if s.options.Edition == Commerce {
			s.scheduleSpecial(f, p, row)
			return
		}
		price, _ := money(row["price"])
		store, _ := number(row["store_id"])
		p.set(store, "special_price", price.StringFixed(6))
		for key, code := range map[string]string{"price_from": "special_from_date", "price_to": "special_to_date"} {
			if text(row[key]) != "" {
				p.set(store, code, row[key])
			}
		}
	})
}

// scheduleSpecial makes a scheduled update of a row. One with just this period is changed. The number of an update is the second in
// which it begins, so that where there is one already, of whatever product, the period moves by a second.
func (s *Server) scheduleSpecial(f *failures, p *product, row map[string]any) {
	id := []any{row["sku"], row["store_id"], row["price_from"], row["price_to"]}
	of := period{price: row["price"]}
	of.store, _ = number(row["store_id"])
	of.from, _ = time.Parse(layout, text(row["price_from"]))
	of.to, _ = time.Parse(layout, text(row["price_to"]))
	for i, have := range p.periods {
		if have.store == of.store && have.from.Equal(of.from) && have.to.Equal(of.to) {
			p.periods[i] = of
			return
		}
	}
	switch {
	case !of.to.After(of.from):
		f.add("The Future Update End Time must be later than the Start Time. "+ofSpecial, id...)
		return
	case of.from.Before(time.Now()):
		f.add("The Future Update Start Time is invalid. It can't be earlier than the current time. "+ofSpecial, id...)
		return
	case slices.ContainsFunc(p.periods, of.overlaps):
		f.add("Future Update already exists in this time range. Set a different range and try again. "+ofSpecial, id...)
		return
	}
	for s.updates[of.from.Unix()] {
		of.from, of.to = of.from.Add(time.Second), of.to.Add(time.Second)
	}
	s.updates[of.from.Unix()] = true
	p.periods = append(p.periods, of)
}

// deleteSpecialPrices deletes by SKU and store view, whatever else a row has; up to 2.4.1 those of all store views.
func (s *Server) deleteSpecialPrices(c call) (any, *problem) {
	return s.eachPrice(c, s.catalog.of(withSpecial), func(f *failures, p *product, row map[string]any) {
		if s.checkSpecial(f, p, row); f.row {
			return
		}
		store, _ := number(row["store_id"])
		p.periods = slices.DeleteFunc(p.periods, func(one period) bool {
			if one.store == store {
				delete(s.updates, one.from.Unix())
			}
			return one.store == store
		})
		stores := []int{store}
		if s.options.Version == V241 {
			stores = []int{0}
			for view := range p.scoped {
				stores = append(stores, view)
			}
		}
		for _, store := range stores {
			for _, code := range []string{"special_price", "special_from_date", "special_to_date"} {
				p.set(store, code, nil)
			}
		}
	})
}

// specialPrices joins the dates by the product alone: of one with special prices in several store views, every price comes with
// the dates of every view.
func (s *Server) specialPrices(c call) (any, *problem) {
	return s.eachKnown(c, s.catalog.of(withSpecial), func(p pricedSKU, add func(row map[string]any)) {
		for _, one := range p.periods {
			add(map[string]any{
				"price": asFloat(one.price), "store_id": one.store, "sku": p.sku,
				"price_from": one.from.Format(layout), "price_to": one.to.Format(layout),
			})
		}
		dates := func(code string) (all []any) {
			p.eachScope(code, func(_ int, value any) { all = append(all, value) })
			if all == nil {
				return []any{nil}
			}
			return all
		}
		p.eachScope("special_price", func(store int, price any) {
			for _, from := range dates("special_from_date") {
				for _, to := range dates("special_to_date") {
					add(map[string]any{"price": asFloat(price), "store_id": store, "sku": p.sku, "price_from": from, "price_to": to})
				}
			}
		})
	})
}

// SpecialPrice describes the special price of a SKU in a store view, as "9.95 from 2026-11-27 00:00:00 to 2026-11-30 23:59:59";
// it is empty where there is none, and has a line for each scheduled update.
func (s *Server) SpecialPrice(sku string, store int) (described string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, wrong := s.catalog.product(sku)
	if wrong != nil {
		return ""
	}
	for _, one := range p.periods {
		if one.store == store {
			price, _ := money(one.price)
			described += fmt.Sprintf("%s from %s to %s\n", price, one.from.Format(layout), one.to.Format(layout))
		}
	}
	values := p.values
	if store != 0 {
		values = p.scoped[store]
	}
	if price, ok := money(values["special_price"]); ok {
		described += price.String()
		if from := text(values["special_from_date"]); from != "" {
			described += " from " + from
		}
		if to := text(values["special_to_date"]); to != "" {
			described += " to " + to
		}
	}
	return described
}
