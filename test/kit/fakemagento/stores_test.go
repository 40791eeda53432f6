package fakemagento_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

func TestServer_WebsitesStoresAndCurrencies(t *testing.T) {
	_, client := shopWith(t, fakemagento.Options{Stores: []fakemagento.Store{
		{ID: 1, Code: "de", Name: "Deutsch", WebsiteID: 1, BaseCurrency: "EUR"},
		{ID: 2, Code: "fr", Name: "Français", WebsiteID: 1, BaseCurrency: "EUR"},
		{ID: 3, Code: "ch", Name: "Schweiz", WebsiteID: 2, BaseCurrency: "CHF", DefaultDisplayCode: "EUR"},
	}}, nil)
	websites := must(client.Stores.Websites(t.Context()))(t)
	groups := must(client.Stores.Groups(t.Context()))(t)
	if len(websites) != 3 || websites[2].Code != "base_2" || len(groups) != 3 || groups[2].DefaultStoreID != 3 {
		t.Errorf("websites %+v, stores %+v", websites, groups)
	}
	swiss := must(client.Store("ch"))(t)
	currency := must(swiss.Stores.Currency(t.Context()))(t)
	if currency.BaseCode != "CHF" || currency.DisplayCode != "EUR" || currency.ExchangeRates[0].CurrencyTo != "EUR" {
		t.Errorf("currency %+v", currency)
	}
	countries := must(client.Stores.Countries(t.Context()))(t)
	germany := must(client.Stores.Country(t.Context(), "DE"))(t)
	if len(countries) < 2 || germany.ThreeLetters != "DEU" || germany.AvailableRegions[0].Code != "BER" {
		t.Errorf("countries %+v", countries)
	}
	if _, err := client.Stores.Country(t.Context(), "XX"); !errors.Is(err, magentoapi.ErrNotFound) {
		t.Errorf("no such country: %v", err)
	}
	if modules := must(client.Modules.List(t.Context()))(t); !slices.Contains(modules, "Magento_InventoryApi") {
		t.Errorf("modules %v", modules)
	}
}
