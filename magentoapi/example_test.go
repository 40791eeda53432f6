package magentoapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/mageline/mageline/magentoapi"
)

// magento answers the examples, in the place of a real one.
func magento(answers map[string]string) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, ok := answers[r.Method+" "+r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			answer = `{"message":"No such entity with %fieldName = %fieldValue","parameters":{"fieldName":"entity_id","fieldValue":8}}`
		}
		fmt.Fprint(w, answer)
	}))
}

func ExampleOrdersService() {
	server := magento(map[string]string{
		"GET /rest/all/V1/orders/57":           `{"entity_id":57,"increment_id":"000000123","state":"processing","grand_total":29.99}`,
		"POST /rest/all/V1/orders/57/comments": `true`,
		"GET /rest/all/V1/orders":              `{"items":[{"entity_id":57,"increment_id":"000000123"}],"total_count":1}`,
	})
	defer server.Close()
	client, err := magentoapi.New(server.URL, magentoapi.Options{
		HTTPClient: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}},
		Auth: magentoapi.OAuth1(magentoapi.Fixed("consumer key"), magentoapi.Fixed("consumer secret"),
			magentoapi.Fixed("access token"), magentoapi.Fixed("access token secret")),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()

	order, err := client.Orders.Get(ctx, 57)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(order.IncrementID, order.State, order.GrandTotal.Decimal)

	if err := client.Orders.AddComment(ctx, 57, magentoapi.Comment{Text: "Sales order 4711 created"}); err != nil {
		fmt.Println(err)
		return
	}

	criteria := magentoapi.SearchCriteria{}.
		Where(magentoapi.Eq("state", "new"), magentoapi.Eq("state", "processing")).               // either of them
		Where(magentoapi.Gteq("created_at", magentoapi.DateTime(time.Now().Add(-24*time.Hour)))). // and this
		OnPage(1, 50)
	page, err := client.Orders.Search(ctx, criteria)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(page.Items), "of", page.TotalCount, "more:", page.More())

	_, err = client.Orders.Get(ctx, 8)
	fmt.Println(errors.Is(err, magentoapi.ErrNotFound), err)
	// Output:
	// 000000123 processing 29.99
	// 1 of 1 more: false
	// true magento: GET /V1/orders/8: 404: No such entity with entity_id = 8
}

func ExampleStoresService() {
	server := magento(map[string]string{
		"GET /rest/all/V1/store/storeConfigs": `[{"id":1,"code":"default","timezone":"Europe/Zurich","base_currency_code":"CHF"}]`,
	})
	defer server.Close()
	client, err := magentoapi.New(server.URL, magentoapi.Options{
		HTTPClient: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
		Auth:       magentoapi.Bearer(magentoapi.Fixed("token")),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	configs, err := client.Stores.Configs(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range configs {
		fmt.Println(c.Code, c.Timezone, c.BaseCurrencyCode)
	}
	// Output: default Europe/Zurich CHF
}

// A shop's own endpoint, or one that has no method here.
func ExampleClient_Do() {
	server := magento(map[string]string{"GET /rest/de/V1/modules": `["Magento_Store","Magento_Sales"]`})
	defer server.Close()
	client, err := magentoapi.New(server.URL+"/rest", magentoapi.Options{
		HTTPClient: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
		StoreCode:  "de",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	var modules []string
	if err := client.Do(context.Background(), http.MethodGet, "/V1/modules", nil, nil, &modules); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(modules)
	// Output: [Magento_Store Magento_Sales]
}
