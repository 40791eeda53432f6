package magentoapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

// startShop starts a simulated shop in the place of https://shop.example, with one order and one product.
func startShop(o fakemagento.Options) (url string, stop func()) {
	shop := fakemagento.New(o)
	shop.AddProduct(fakemagento.Product{SKU: "24-MB01", Name: "Joust Duffle Bag", Price: decimal.New(34, 0)})
	shop.PlaceOrder(fakemagento.Placing{IncrementID: "000000001"})
	server := httptest.NewServer(shop)
	return server.URL, func() {
		server.Close()
		shop.Close()
	}
}

// httpClient is as a program has it, but that no connection outlives an example.
var httpClient = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// A program calls Magento as an integration (System > Extensions > Integrations), whose four values don't expire.
func Example() {
	oauth := fakemagento.OAuth{ConsumerKey: "key", ConsumerSecret: "secret", AccessToken: "token", AccessTokenSecret: "token secret"}
	shopURL, stop := startShop(fakemagento.Options{OAuth: oauth})
	defer stop()

	client, err := magentoapi.New(shopURL, magentoapi.Options{
		HTTPClient: httpClient,
		Auth: magentoapi.OAuth1(magentoapi.Fixed("key"), magentoapi.Fixed("secret"),
			magentoapi.Fixed("token"), magentoapi.Fixed("token secret")),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	order, err := client.Orders.Get(context.Background(), 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(order.IncrementID, order.State)
	// Output: 000000001 processing
}

// An integration's access token alone, where the shop takes it as a bearer (oauth/consumer/enable_integration_as_bearer).
// A Secret is read before each request: this one changes with its file.
func Example_bearer() {
	shopURL, stop := startShop(fakemagento.Options{Token: "integration token"})
	defer stop()
	file := os.TempDir() + "/magentoapi-example-token"
	if err := os.WriteFile(file, []byte("integration token"), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	defer os.Remove(file)

	client, err := magentoapi.New(shopURL, magentoapi.Options{
		HTTPClient: httpClient,
		Auth: magentoapi.Bearer(func() (string, error) {
			token, err := os.ReadFile(file)
			return strings.TrimSpace(string(token)), err
		}),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	status, err := client.Orders.Status(context.Background(), 1)
	fmt.Println(status, err)
	// Output: processing <nil>
}

// An admin user without two-factor authentication. The token is fetched, kept and renewed.
func Example_adminToken() {
	shopURL, stop := startShop(fakemagento.Options{Username: "admin", Password: "hunter2"})
	defer stop()

	client, err := magentoapi.New(shopURL, magentoapi.Options{
		HTTPClient: httpClient, Auth: magentoapi.AdminToken("admin", magentoapi.Fixed("hunter2")),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	product, err := client.Products.Get(context.Background(), "24-MB01")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(product.Name)

	// Another user's password is wrong.
	client, err = magentoapi.New(shopURL, magentoapi.Options{
		HTTPClient: httpClient, Auth: magentoapi.AdminToken("admin", magentoapi.Fixed("wrong")),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = client.Products.Get(context.Background(), "24-MB01")
	fmt.Println(errors.Is(err, magentoapi.ErrUnauthorized))
	// Output:
	// Joust Duffle Bag
	// true
}

// All reads page after page; Search reads one page.
func Example_searchWithPages() {
	shopURL, stop := startShop(fakemagento.Options{})
	defer stop()
	client, err := magentoapi.New(shopURL, magentoapi.Options{HTTPClient: httpClient})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()

	criteria := magentoapi.SearchCriteria{}.
		Where(magentoapi.Eq("state", "new"), magentoapi.Eq("state", "processing")).               // one of the two,
		Where(magentoapi.Gteq("created_at", magentoapi.DateTime(time.Now().Add(-24*time.Hour)))). // and this
		OnPage(1, 50)
	for order, err := range client.Orders.All(ctx, criteria) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(order.IncrementID)
	}

	page, err := client.Orders.Search(ctx, criteria)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(page.Items), "of", page.TotalCount, "more:", page.More())
	// Output:
	// 000000001
	// 1 of 1 more: false
}

// What was read and is saved keeps all that the client has no field for.
func Example_getAndSave() {
	shopURL, stop := startShop(fakemagento.Options{})
	defer stop()
	client, err := magentoapi.New(shopURL, magentoapi.Options{HTTPClient: httpClient})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()

	product, err := client.Products.Get(ctx, "24-MB01")
	if err != nil {
		fmt.Println(err)
		return
	}
	product.Price = number("29.90")
	saved, err := client.Products.Update(ctx, product)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(saved.Name, saved.Price.Decimal)
	// Output: Joust Duffle Bag 29.9
}

// Many calls in one request, which Magento carries out one after the other when it has time.
func Example_bulk() {
	shopURL, stop := startShop(fakemagento.Options{})
	defer stop()
	client, err := magentoapi.New(shopURL, magentoapi.Options{HTTPClient: httpClient})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()

	body := func(sku, name string) any {
		return map[string]any{"product": map[string]any{"sku": sku, "name": name, "price": 10, "attribute_set_id": 4}}
	}
	scheduled, err := client.Bulk.CallAll(ctx, http.MethodPost, "/V1/products", []any{body("A", "Apple"), body("B", "Berry")})
	if err != nil {
		fmt.Println(err)
		return
	}
	done, err := client.Bulk.Wait(ctx, scheduled.UUID, magentoapi.Waiting{Interval: 10 * time.Millisecond})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, operation := range done.Operations {
		fmt.Println(operation.ID, operation.Status == magentoapi.OperationComplete)
	}
	// Output:
	// 0 true
	// 1 true
}

// The header of an answer.
func ExampleWithResponse() {
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-RateLimit-Remaining", "41")
		fmt.Fprint(w, `"processing"`)
	}))
	defer gateway.Close()
	client, err := magentoapi.New(gateway.URL, magentoapi.Options{HTTPClient: httpClient})
	if err != nil {
		fmt.Println(err)
		return
	}

	var answer magentoapi.Response
	status, err := client.Orders.Status(magentoapi.WithResponse(context.Background(), &answer), 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(status, answer.Status, answer.Header.Get("X-RateLimit-Remaining"))
	// Output: processing 200 41
}

// counted is a credential that counts what another one does.
type counted struct {
	magentoapi.Credential
	authorized, refused int
}

func (c *counted) Authorize(client *magentoapi.Client, req *http.Request) error {
	c.authorized++
	return c.Credential.Authorize(client, req)
}

func (c *counted) Refused(req *http.Request, refusal *magentoapi.Error) {
	c.refused++
	c.Credential.Refused(req, refusal)
}

// A Credential that wraps another one.
func ExampleCredential() {
	shopURL, stop := startShop(fakemagento.Options{Token: "integration token"})
	defer stop()

	credential := &counted{Credential: magentoapi.Bearer(magentoapi.Fixed("an old token"))}
	client, err := magentoapi.New(shopURL, magentoapi.Options{HTTPClient: httpClient, Auth: credential})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = client.Orders.Get(context.Background(), 1)
	fmt.Println(errors.Is(err, magentoapi.ErrUnauthorized), credential.authorized, credential.refused)
	// Output: true 2 1
}
