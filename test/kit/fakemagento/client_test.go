package fakemagento_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

// The client and this shop were written by two people from the same facts: where they understand each other, with each
// way to log in, both have read them alike.
func TestServer_UnderstandsTheClient(t *testing.T) {
	integration := fakemagento.OAuth{ConsumerKey: "ck", ConsumerSecret: "c&s", AccessToken: "at", AccessTokenSecret: "a s"}
	tests := map[string]struct {
		options    fakemagento.Options
		credential magentoapi.Credential
	}{
		"bearer": {fakemagento.Options{Token: "secret"}, magentoapi.Bearer(magentoapi.Fixed("secret"))},
		"OAuth": {fakemagento.Options{OAuth: integration}, magentoapi.OAuth1(
			magentoapi.Fixed(integration.ConsumerKey), magentoapi.Fixed(integration.ConsumerSecret),
			magentoapi.Fixed(integration.AccessToken), magentoapi.Fixed(integration.AccessTokenSecret))},
		"admin": {fakemagento.Options{Username: "mageline", Password: "p4ss"}, magentoapi.AdminToken("mageline", magentoapi.Fixed("p4ss"))},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.options.Version = fakemagento.V248
			shop, c := start(t, test.options)
			var orders []fakemagento.Placed
			for range 5 {
				orders = append(orders, shop.PlaceOrder(fakemagento.Placing{CustomerID: 42}))
			}
			client, err := magentoapi.New(c.url, magentoapi.Options{HTTPClient: c.http, Auth: test.credential})
			if err != nil {
				t.Fatal(err)
			}
			found, err := client.Orders.ByIncrementID(t.Context(), orders[2].IncrementID)
			if err != nil || len(found) != 1 || found[0].EntityID != magentoapi.ID(orders[2].EntityID) {
				t.Fatalf("by number: %d orders, %v", len(found), err)
			}
			o := found[0]
			if !o.GrandTotal.Valid || o.GrandTotal.Decimal.String() != "86.87" || o.ShippingAssignment().Method != "flatrate_flatrate" {
				t.Errorf("grand total %v, shipping %+v", o.GrandTotal, o.ShippingAssignment())
			}
			var seen []magentoapi.ID
			criteria := magentoapi.SearchCriteria{}.
				Where(magentoapi.Eq("state", "processing"), magentoapi.Eq("state", "new")).
				Where(magentoapi.In("entity_id", "1", "2", "4", "5")).
				SortBy("entity_id", magentoapi.Ascending)
			for page, more := 1, true; more; page++ {
				answer, err := client.Orders.Search(t.Context(), criteria.OnPage(page, 3))
				if err != nil {
					t.Fatal(err)
				}
				for _, o := range answer.Items {
					seen = append(seen, o.EntityID)
				}
				more = answer.More() && page < 10
			}
			if len(seen) != 4 || seen[0] != 1 || seen[3] != 5 {
				t.Errorf("the search gave %v, want 1, 2, 4 and 5", seen)
			}
			// A token that was withdrawn is fetched anew; the other credentials are as good as before.
			shop.RevokeAdminTokens()
			if err := client.Orders.AddComment(t.Context(), 3, magentoapi.Comment{Text: "c", Status: "processing"}); err != nil {
				t.Error(err)
			}
			comments, err := client.Orders.Comments(t.Context(), 3)
			if err != nil || len(comments) != 1+2 || // those that it came with
				len(shop.Comments(3)) != 1 || len(shop.Problems()) != 0 {
				t.Errorf("%d comments, %v, %v", len(comments), shop.Problems(), err)
			}
			var refused *magentoapi.Error
			err = client.Orders.AddComment(t.Context(), 3, magentoapi.Comment{Text: "c", Status: "complete"})
			if !errors.As(err, &refused) || refused.Status != http.StatusBadRequest ||
				refused.Message != `Unable to add comment: The status "complete" is not part of the order status history.` {
				t.Errorf("a status of another state: %v", err)
			}
			if _, err := client.Orders.Get(t.Context(), 99); !errors.Is(err, magentoapi.ErrNotFound) {
				t.Errorf("no such order: %v", err)
			}
			configs, err := client.Stores.Configs(t.Context())
			if err != nil || len(configs) != 1 || configs[0].Timezone != "Europe/Berlin" {
				t.Errorf("%+v %v", configs, err)
			}
			views, err := client.Stores.Views(t.Context())
			if err != nil || len(views) != 2 {
				t.Errorf("%+v %v", views, err)
			}
		})
	}
}
