package fakemagento

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
)

func (s *Server) storeRoutes(routes *http.ServeMux) {
	const resource = "Magento_Backend::store"
	routes.Handle("GET /V1/store/storeConfigs", s.allowed(resource, s.storeConfigs))
	routes.Handle("GET /V1/store/storeViews", s.allowed(resource, s.storeViews))
	routes.Handle("GET /V1/store/storeGroups", s.allowed(resource, s.storeGroups))
	routes.Handle("GET /V1/store/websites", s.allowed(resource, s.websites))
	routes.HandleFunc("GET /V1/directory/countries", s.listCountries)
	routes.HandleFunc("GET /V1/directory/countries/{id}", s.country)
	routes.HandleFunc("GET /V1/directory/currency", s.currency)
}

func (s *Server) storeConfigs(w http.ResponseWriter, _ *http.Request) {
	configs := []any{}
	for _, store := range s.options.Stores {
		configs = append(configs, map[string]any{
			"id": store.ID, "code": store.Code, "website_id": store.WebsiteID, "locale": store.Locale,
			"base_currency_code": store.BaseCurrency, "default_display_currency_code": store.display(),
			"timezone": store.Timezone, "weight_unit": "kgs",
			"base_url": "http://magento.test/", "secure_base_url": "https://magento.test/",
			"base_link_url": "http://magento.test/", "secure_base_link_url": "https://magento.test/",
			"base_static_url": "http://magento.test/static/", "secure_base_static_url": "https://magento.test/static/",
			"base_media_url": "http://magento.test/media/", "secure_base_media_url": "https://magento.test/media/",
		})
	}
	answer(w, http.StatusOK, configs)
}

// store gives the one of an id, or the first.
func (s *Server) store(id int) Store {
	at := slices.IndexFunc(s.options.Stores, func(st Store) bool { return st.ID == id })
	return s.options.Stores[max(at, 0)]
}

func (s Store) display() string { return cmp.Or(s.DefaultDisplayCode, s.BaseCurrency) }

func (s *Server) storeViews(w http.ResponseWriter, _ *http.Request) {
	views := []any{map[string]any{"id": 0, "code": "admin", "name": "Admin", "website_id": 0, "store_group_id": 0, "is_active": 1}}
	for _, store := range s.options.Stores {
		views = append(views, map[string]any{
			"id": store.ID, "code": store.Code, "name": store.Name, "website_id": store.WebsiteID, "store_group_id": store.WebsiteID, "is_active": 1,
		})
	}
	answer(w, http.StatusOK, views)
}

// storeGroups shows one group for each website: the id of both is the same.
func (s *Server) storeGroups(w http.ResponseWriter, _ *http.Request) {
	groups := []any{map[string]any{"id": 0, "website_id": 0, "root_category_id": 0, "default_store_id": 0, "name": "Default", "code": "default"}}
	for _, website := range s.websiteStores() {
		groups = append(groups, map[string]any{
			"id": website.WebsiteID, "website_id": website.WebsiteID, "root_category_id": 2, "default_store_id": website.ID,
			"name": "Main Website Store", "code": "main_website_store" + suffix(website.WebsiteID),
		})
	}
	answer(w, http.StatusOK, groups)
}

func (s *Server) websites(w http.ResponseWriter, _ *http.Request) {
	sites := []any{map[string]any{"id": 0, "code": "admin", "name": "Admin", "default_group_id": 0}}
	for _, website := range s.websiteStores() {
		sites = append(sites, map[string]any{
			"id": website.WebsiteID, "code": websiteCode(website.WebsiteID), "name": "Main Website", "default_group_id": website.WebsiteID,
		})
	}
	answer(w, http.StatusOK, sites)
}

// websiteStores gives the first store of each website.
func (s *Server) websiteStores() []Store {
	seen := map[int]bool{}
	var firsts []Store
	for _, store := range s.options.Stores {
		if !seen[store.WebsiteID] {
			seen[store.WebsiteID] = true
			firsts = append(firsts, store)
		}
	}
	return firsts
}

func websiteCode(id int) string { return "base" + suffix(id) }

func suffix(website int) string {
	if website <= 1 {
		return ""
	}
	return "_" + strconv.Itoa(website)
}

// countries are some; a country without regions has no available_regions.
var countries = []map[string]any{
	{"id": "CH", "two_letter_abbreviation": "CH", "three_letter_abbreviation": "CHE", "full_name_locale": "Schweiz", "full_name_english": "Switzerland", "available_regions": []any{
		map[string]any{"id": "104", "code": "AG", "name": "Aargau"}, map[string]any{"id": "130", "code": "ZH", "name": "Zürich"},
	}},
	{"id": "DE", "two_letter_abbreviation": "DE", "three_letter_abbreviation": "DEU", "full_name_locale": "Deutschland", "full_name_english": "Germany", "available_regions": []any{
		map[string]any{"id": "82", "code": "BER", "name": "Berlin"},
	}},
	{"id": "GB", "two_letter_abbreviation": "GB", "three_letter_abbreviation": "GBR", "full_name_locale": "United Kingdom", "full_name_english": "United Kingdom"},
}

func (s *Server) listCountries(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, countries)
}

func (s *Server) country(w http.ResponseWriter, r *http.Request) {
	for _, c := range countries {
		if c["id"] == r.PathValue("id") {
			answer(w, http.StatusOK, c)
			return
		}
	}
	refuse(w, http.StatusNotFound, "The country isn't available.", nil)
}

func (s *Server) currency(w http.ResponseWriter, r *http.Request) {
	id, _ := r.Context().Value(storeKey{}).(int)
	store := s.store(id)
	answer(w, http.StatusOK, map[string]any{
		"base_currency_code": store.BaseCurrency, "base_currency_symbol": store.BaseCurrency,
		"default_display_currency_code": store.display(), "default_display_currency_symbol": store.display(),
		"available_currency_codes": []string{store.display()},
		"exchange_rates":           []any{map[string]any{"currency_to": store.display(), "rate": json.Number("1")}},
	})
}
