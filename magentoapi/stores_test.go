package magentoapi

import (
	"errors"
	"net/http"
	"reflect"
	"testing"
)

func TestStores(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r seen, _ int) {
		switch r.uri {
		case "/rest/all/V1/store/storeConfigs":
			respond(w, 200, `[{"id":"1","code":"default","website_id":1,"locale":"de_CH","base_currency_code":"CHF","default_display_currency_code":"CHF","timezone":"Europe/Zurich","weight_unit":"kgs","base_url":"https://shop.example/","extra":1}]`)
		case "/rest/all/V1/store/storeViews":
			respond(w, 200, `[{"id":0,"code":"admin","name":"Admin","website_id":0,"store_group_id":0,"is_active":1},{"id":1,"code":"default","name":"Default Store View","website_id":1,"store_group_id":1}]`)
		default:
			respond(w, 404, "")
		}
	})
	c := s.client(t, Options{})
	configs, err := c.Stores.Configs(t.Context())
	if err != nil || !reflect.DeepEqual(configs, []StoreConfig{{ID: 1, Code: "default", WebsiteID: 1, Locale: "de_CH", BaseCurrencyCode: "CHF", DefaultDisplayCurrencyCode: "CHF", Timezone: "Europe/Zurich", WeightUnit: "kgs", BaseURL: "https://shop.example/"}}) {
		t.Errorf("got %+v, %v", configs, err)
	}
	views, err := c.Stores.Views(t.Context())
	if err != nil || !reflect.DeepEqual(views, []StoreView{
		{Code: "admin", Name: "Admin", IsActive: Flag{true, true}}, {1, "default", "Default Store View", 1, 1, Flag{}},
	}) {
		t.Errorf("got %+v, %v", views, err)
	}
}

func TestStoresThatCanNotBeRead(t *testing.T) {
	for _, body := range []string{"{}", "null", "", "<html>", `[1]`} {
		s := serve(t, func(w http.ResponseWriter, _ seen, _ int) { respond(w, 200, body) })
		if got, err := s.client(t, Options{}).Stores.Configs(t.Context()); !errors.Is(err, ErrUnreadable) {
			t.Errorf("%s: %+v, %v", body, got, err)
		}
	}
}
