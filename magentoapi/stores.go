package magentoapi

import (
	"context"
	"net/http"
)

// StoresService calls the endpoints of store views and their configuration.
//
// Source of the endpoints: app/code/Magento/Store/etc/webapi.xml.
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
	var configs []StoreConfig
	err := s.client.Do(ctx, http.MethodGet, "/V1/store/storeConfigs", nil, nil, &configs)
	return configs, err
}

// Views reads all store views.
//
// GET /V1/store/storeViews
func (s *StoresService) Views(ctx context.Context) ([]StoreView, error) {
	var views []StoreView
	err := s.client.Do(ctx, http.MethodGet, "/V1/store/storeViews", nil, nil, &views)
	return views, err
}
