package magentoapi

import (
	"context"
	"net/http"

	"github.com/shopspring/decimal"
)

// StoresService calls the endpoints of websites, stores and store views, and of what they are configured to: countries and
// currencies.
//
// Source of the endpoints: app/code/Magento/Store/etc/webapi.xml and app/code/Magento/Directory/etc/webapi.xml.
type StoresService struct{ client *Client }

// StoreConfig is the configuration of a store view (Store\Api\Data\StoreConfigInterface).
type StoreConfig struct {
	ID                         ID   `json:"id"`
	Code                       Text `json:"code"`
	WebsiteID                  ID   `json:"website_id"`
	Locale                     Text `json:"locale"` // as in de_CH
	BaseCurrencyCode           Text `json:"base_currency_code"`
	DefaultDisplayCurrencyCode Text `json:"default_display_currency_code"`
	Timezone                   Text `json:"timezone"` // of the IANA database, as in Europe/Zurich
	WeightUnit                 Text `json:"weight_unit"`
	BaseURL                    Text `json:"base_url"`
	// The addresses that links and media begin with, for pages without TLS and with it.
	BaseLinkURL        Text `json:"base_link_url"`
	BaseMediaURL       Text `json:"base_media_url"`
	SecureBaseURL      Text `json:"secure_base_url"`
	SecureBaseLinkURL  Text `json:"secure_base_link_url"`
	SecureBaseMediaURL Text `json:"secure_base_media_url"`
}

// StoreView is a store view (Store\Api\Data\StoreInterface). The one with the id 0 is the admin's.
type StoreView struct {
	ID           ID   `json:"id"`
	Code         Text `json:"code"`
	Name         Text `json:"name"`
	WebsiteID    ID   `json:"website_id"`
	StoreGroupID ID   `json:"store_group_id"`
	IsActive     Flag `json:"is_active"`
}

// Configs reads the configuration of all store views, but the admin's.
//
// GET /V1/store/storeConfigs
func (s *StoresService) Configs(ctx context.Context) ([]StoreConfig, error) {
	return getList[StoreConfig](ctx, s.client, "/V1/store/storeConfigs")
}

// Views reads all store views.
//
// GET /V1/store/storeViews
func (s *StoresService) Views(ctx context.Context) ([]StoreView, error) {
	return getList[StoreView](ctx, s.client, "/V1/store/storeViews")
}

// Website has stores with customers, prices and a stock of its own (Store\Api\Data\WebsiteInterface). The one with the id 0
// is the admin's.
type Website struct {
	ID             ID   `json:"id"`
	Code           Text `json:"code"` // what a stock's sales channel calls it by
	Name           Text `json:"name"`
	DefaultGroupID ID   `json:"default_group_id"`
}

// Websites reads all websites.
//
// GET /V1/store/websites
func (s *StoresService) Websites(ctx context.Context) ([]Website, error) {
	return getList[Website](ctx, s.client, "/V1/store/websites")
}

// StoreGroup is a store of a website, which has store views (Store\Api\Data\GroupInterface).
type StoreGroup struct {
	ID             ID   `json:"id"`
	WebsiteID      ID   `json:"website_id"`
	RootCategoryID ID   `json:"root_category_id"`
	DefaultStoreID ID   `json:"default_store_id"` // a store view
	Name           Text `json:"name"`
	Code           Text `json:"code"`
}

// Groups reads all stores.
//
// GET /V1/store/storeGroups
func (s *StoresService) Groups(ctx context.Context) ([]StoreGroup, error) {
	return getList[StoreGroup](ctx, s.client, "/V1/store/storeGroups")
}

// Country is one that the shop sells to.
type Country struct {
	ID               Text            `json:"id"` // ISO 3166-1 alpha-2
	ThreeLetters     Text            `json:"three_letter_abbreviation"`
	NameLocal        Text            `json:"full_name_locale"` // in the store view's language
	NameEnglish      Text            `json:"full_name_english"`
	AvailableRegions []CountryRegion `json:"available_regions"` // none where an address's region is free text
}

// CountryRegion is a region that can be chosen in an address.
type CountryRegion struct {
	ID   ID   `json:"id"`
	Code Text `json:"code"`
	Name Text `json:"name"`
}

// Countries reads the countries of the store view.
//
// GET /V1/directory/countries
func (s *StoresService) Countries(ctx context.Context) ([]*Country, error) {
	return pointed[Country](ctx, s.client, operation{method: http.MethodGet, path: "/V1/directory/countries"}, nil)
}

// Country reads a country by its two letters; ErrNotFound if the shop doesn't sell there.
//
// GET /V1/directory/countries/:countryId
func (s *StoresService) Country(ctx context.Context, id string) (*Country, error) {
	return get[Country](ctx, s.client, endpoint("directory", "countries", id))
}

// Currency is the currencies of a store view.
type Currency struct {
	BaseCode       Text           `json:"base_currency_code"`
	BaseSymbol     Text           `json:"base_currency_symbol"`
	DisplayCode    Text           `json:"default_display_currency_code"`
	DisplaySymbol  Text           `json:"default_display_currency_symbol"`
	AvailableCodes []Text         `json:"available_currency_codes"`
	ExchangeRates  []ExchangeRate `json:"exchange_rates"`
}

// ExchangeRate is how many of a currency one of the base currency is.
type ExchangeRate struct {
	CurrencyTo Text `json:"currency_to"`
	Rate       Rate `json:"rate"`
}

// Rate is an exchange rate. It keeps all its places, which are twelve in Magento's column.
type Rate struct{ decimal.NullDecimal }

// UnmarshalJSON reads a number from its literal, or a text that holds one.
func (r *Rate) UnmarshalJSON(data []byte) (err error) {
	r.NullDecimal, err = readDecimal(data)
	return err
}

// Currency reads the currencies of the store view.
//
// GET /V1/directory/currency
func (s *StoresService) Currency(ctx context.Context) (*Currency, error) {
	return get[Currency](ctx, s.client, endpoint("directory", "currency"))
}
