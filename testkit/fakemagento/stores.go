package fakemagento

import "net/http"

func (s *Server) storeConfigs(w http.ResponseWriter, _ *http.Request) {
	configs := []any{}
	for _, store := range s.options.Stores {
		display := store.DefaultDisplayCode
		if display == "" {
			display = store.BaseCurrency
		}
		configs = append(configs, map[string]any{
			"id": store.ID, "code": store.Code, "website_id": store.WebsiteID, "locale": store.Locale,
			"base_currency_code": store.BaseCurrency, "default_display_currency_code": display,
			"timezone": store.Timezone, "weight_unit": "kgs",
			"base_url": "http://magento.test/", "secure_base_url": "https://magento.test/",
		})
	}
	answer(w, http.StatusOK, configs)
}

func (s *Server) storeViews(w http.ResponseWriter, _ *http.Request) {
	views := []any{map[string]any{"id": 0, "code": "admin", "name": "Admin", "website_id": 0, "store_group_id": 0, "is_active": 1}}
	for _, store := range s.options.Stores {
		views = append(views, map[string]any{
			"id": store.ID, "code": store.Code, "name": store.Name, "website_id": store.WebsiteID, "store_group_id": 1, "is_active": 1,
		})
	}
	answer(w, http.StatusOK, views)
}
