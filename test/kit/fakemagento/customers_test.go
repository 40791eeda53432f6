package fakemagento_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

const mara = `{"email":"mara@shop.example","firstname":"Mara","lastname":"Muster","addresses":[
	{"firstname":"Mara","lastname":"Muster","street":["Am Markt 1","Hof"],"city":"Berlin","country_id":"DE","postcode":"01067","telephone":"1","default_billing":true,"default_shipping":true},
	{"firstname":"Mara","lastname":"Muster","street":["Seeweg 2"],"city":"Bern","country_id":"CH","postcode":"3000","telephone":"2"}],
	"custom_attributes":[{"attribute_code":"erp_number","value":"K-4711"}],"extension_attributes":{"is_subscribed":true,"company_attributes":{"status":1}}}`

func TestCustomer_ReadAndWrittenWhole(t *testing.T) {
	shop, client := shopWith(t, fakemagento.Options{}, nil)
	id, err := shop.AddCustomer([]byte(mara), "pa55")
	if err != nil {
		t.Fatal(err)
	}
	customer := must(client.Customers.Get(t.Context(), int64(id)))(t)
	if erp, _ := customer.CustomAttributes.Text("erp_number"); erp != "K-4711" || customer.DefaultBilling != customer.Addresses[0].ID ||
		customer.Addresses[0].Postcode != "01067" || len(customer.Addresses[0].Street) != 2 {
		t.Errorf("got %+v", customer)
	}
	// The second address becomes the default, the first is deleted.
	customer.Addresses = customer.Addresses[1:]
	customer.Addresses[0].DefaultBilling = yes
	customer.GroupID = new(magentoapi.ID(2))
	must(client.Customers.Update(t.Context(), customer))(t)
	customer = must(client.Customers.Get(t.Context(), int64(customer.ID)))(t)
	whole, err := json.Marshal(customer)
	if err != nil || !strings.Contains(string(whole), `"company_attributes":{"status":1}`) {
		t.Errorf("what the client has no field for is gone: %s", whole)
	}
	billing := must(client.Customers.BillingAddress(t.Context(), int64(customer.ID)))(t)
	shipping := must(client.Customers.ShippingAddress(t.Context(), int64(customer.ID)))(t)
	if *customer.GroupID != 2 || len(customer.Addresses) != 1 || billing == nil || billing.City != "Bern" || shipping != nil || customer.DefaultShipping != 0 {
		t.Errorf("got %+v, billing %+v, shipping %+v", customer, billing, shipping)
	}
	address := must(client.Customers.Address(t.Context(), int64(billing.ID)))(t)
	if address.CustomerID != customer.ID {
		t.Errorf("the address is of customer %d", address.CustomerID)
	}
	if err := client.Customers.DeleteAddress(t.Context(), int64(address.ID)); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Customers.Address(t.Context(), int64(address.ID)); !errors.Is(err, magentoapi.ErrNotFound) {
		t.Errorf("an address that was deleted: %v", err)
	}
	if err := client.Customers.Delete(t.Context(), int64(customer.ID)); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Customers.Get(t.Context(), int64(customer.ID)); !errors.Is(err, magentoapi.ErrNotFound) {
		t.Errorf("a customer who was deleted: %v", err)
	}
}

func TestCustomer_AllOnceThoughSomeGo(t *testing.T) {
	shop, client := shopWith(t, fakemagento.Options{}, nil)
	for i := range 7 {
		if _, err := shop.AddCustomer(fmt.Appendf(nil, `{"email":"c%d@shop.example","firstname":"C","lastname":"C","group_id":%d}`, i, i%2), ""); err != nil {
			t.Fatal(err)
		}
	}
	var seen []magentoapi.ID
	for customer, err := range client.Customers.All(t.Context(), magentoapi.SearchCriteria{PageSize: 2}.Where(magentoapi.Eq("group_id", "0"))) {
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, customer.ID)
		if err := client.Customers.Delete(t.Context(), int64(customer.ID)); err != nil {
			t.Fatal(err)
		}
	}
	if fmt.Sprint(seen) != "[1 3 5 7]" {
		t.Errorf("got %v", seen)
	}
}

func TestCustomer_SeesOnlyThemselves(t *testing.T) {
	options := fakemagento.Options{Token: "integration"}
	shop, client := shopWith(t, options, magentoapi.CustomerToken("mara@shop.example", magentoapi.Fixed("pa55")))
	if _, err := shop.AddCustomer([]byte(`{"email":"other@shop.example","firstname":"O","lastname":"O"}`), "other"); err != nil {
		t.Fatal(err)
	}
	if _, err := shop.AddCustomer([]byte(mara), "pa55"); err != nil {
		t.Fatal(err)
	}
	me := must(client.Customers.Me(t.Context()))(t)
	me.Lastname, me.GroupID = "Meier", new(magentoapi.ID(2))
	if me = must(client.Customers.UpdateMe(t.Context(), me))(t); me.ID != 2 || me.Lastname != "Meier" || *me.GroupID != 1 {
		t.Errorf("got %+v", me)
	}
	billing := must(client.Customers.MyBillingAddress(t.Context()))(t)
	shipping := must(client.Customers.MyShippingAddress(t.Context()))(t)
	if billing.City != "Berlin" || shipping.ID != billing.ID {
		t.Errorf("billing %+v, shipping %+v", billing, shipping)
	}
	if _, err := client.Customers.Get(t.Context(), 1); !errors.Is(err, magentoapi.ErrUnauthorized) {
		t.Errorf("another customer: %v", err)
	}
}

func TestCustomerGroup_Kept(t *testing.T) {
	_, client := shopWith(t, fakemagento.Options{}, nil)
	groups := client.CustomerGroups
	group := must(groups.Create(t.Context(), &magentoapi.CustomerGroup{Code: "Dealers", TaxClassID: 3}))(t)
	group.Code = "Partners"
	must(groups.Update(t.Context(), group))(t)
	if got := must(groups.Get(t.Context(), int64(*group.ID)))(t); got.Code != "Partners" || got.TaxClassName != "Retail Customer" {
		t.Errorf("got %+v", got)
	}
	if general := must(groups.Default(t.Context()))(t); general.Code != "General" {
		t.Errorf("the default is %+v", general)
	}
	var codes []magentoapi.Text
	for g, err := range groups.All(t.Context(), magentoapi.SearchCriteria{PageSize: 2}) {
		if err != nil {
			t.Fatal(err)
		}
		codes = append(codes, g.Code)
	}
	if fmt.Sprint(codes) != "[NOT LOGGED IN General Wholesale Retailer Partners]" {
		t.Errorf("got %v", codes)
	}
	if _, err := groups.Create(t.Context(), &magentoapi.CustomerGroup{Code: "partners"}); !errors.Is(err, magentoapi.ErrBadRequest) {
		t.Errorf("a name that there is: %v", err)
	}
	if err := groups.Delete(t.Context(), int64(*group.ID)); err != nil {
		t.Fatal(err)
	}
	if err := groups.Delete(t.Context(), 1); !errors.Is(err, magentoapi.ErrBadRequest) {
		t.Errorf("the default: %v", err)
	}
}
