package fakemagento_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

var often = magentoapi.Waiting{Interval: 2 * time.Millisecond, Patience: 30 * time.Second}

func TestBulk_OneCallCarriedOutLater(t *testing.T) {
	_, client := shopWith(t, fakemagento.Options{AsyncDelay: 50 * time.Millisecond}, nil, "A")
	scheduled := must(client.Bulk.Call(t.Context(), http.MethodPost, "/V1/inventory/source-items", map[string]any{
		"sourceItems": []any{map[string]any{"sku": "A", "source_code": "default", "quantity": 4, "status": 1}},
	}))(t)
	if len(scheduled.Items) != 1 || scheduled.Items[0].Status != "accepted" {
		t.Fatalf("got %+v", scheduled)
	}
	status := must(client.Bulk.Wait(t.Context(), scheduled.UUID, often))(t)
	if status.OperationCount != 1 || status.Operations[0].Status != magentoapi.OperationComplete || status.Operations[0].ResultSerializedData != "[]" {
		t.Errorf("got %+v", status)
	}
	if got := must(client.Inventory.SalableQuantity(t.Context(), "A", 1))(t); got.Decimal.String() != "4" {
		t.Errorf("%s are left", got.Decimal)
	}
}

// One call names a product in its path's parameter, one has none, one is of a product that can't be saved.
func TestBulk_ManyCallsOfWhichSomeFail(t *testing.T) {
	_, client := shopWith(t, fakemagento.Options{}, nil, "A/1")
	product := func(sku, name string) any {
		return map[string]any{"product": map[string]any{"sku": sku, "name": name}}
	}
	scheduled, err := client.Bulk.CallAll(t.Context(), http.MethodPut, "/V1/products/bySku", []any{
		product("A/1", "renamed"), product("", "nobody"), product("A/1", ""),
	})
	var rejected *magentoapi.RejectedError
	if !errors.As(err, &rejected) || len(rejected.Rejected) != 1 || rejected.Rejected[0].ID != 1 || rejected.Calls != 3 {
		t.Fatalf("got %v", err)
	}
	status, err := client.Bulk.Wait(t.Context(), scheduled.UUID, often)
	var failed *magentoapi.BulkError
	if !errors.As(err, &failed) || len(failed.Failed) != 2 || failed.Failed[0].Operation.Status != magentoapi.OperationRejected ||
		failed.Failed[1].Operation.Message != `The "Product Name" attribute value is empty. Set the attribute and try again.` || failed.Failed[1].Transient() {
		t.Fatalf("got %v", err)
	}
	if status.Operations[0].Status != magentoapi.OperationComplete {
		t.Errorf("got %+v", status)
	}
	if p := must(client.Products.Get(t.Context(), "A/1"))(t); p.Name != "renamed" {
		t.Errorf("the product is called %q", p.Name)
	}
	for want, of := range map[int]magentoapi.OperationStatus{1: magentoapi.OperationComplete, 0: magentoapi.OperationOpen} {
		if n := must(client.Bulk.Count(t.Context(), scheduled.UUID, of))(t); n != want {
			t.Errorf("%d operations of status %d, want %d", n, of, want)
		}
	}
	found := 0
	for o, err := range client.Bulk.AllOperations(t.Context(), magentoapi.SearchCriteria{PageSize: 2}.Where(magentoapi.Eq("bulk_uuid", scheduled.UUID))) {
		if err != nil || string(o.BulkUUID) != scheduled.UUID {
			t.Fatalf("%+v, %v", o, err)
		}
		found++
	}
	if found != 3 {
		t.Errorf("%d operations, want 3", found)
	}
}

// That an operation is complete does not mean that each of its rows was saved.
func TestBulk_PriceRowsRefusedLater(t *testing.T) {
	_, client := shopWith(t, fakemagento.Options{}, nil, "A")
	prices := func(rows ...any) any { return map[string]any{"prices": rows} }
	row := func(sku, price string) any { return map[string]any{"sku": sku, "price": price, "store_id": 0} }
	scheduled := must(client.Bulk.CallAll(t.Context(), http.MethodPost, "/V1/products/base-prices", []any{
		prices(row("A", "12.34"), row("unknown", "1")), prices(row("A", "13")),
	}))(t)
	status := must(client.Bulk.Wait(t.Context(), scheduled.UUID, often))(t)
	refused := must(status.Operations[0].PriceRefusals())(t)
	none := must(status.Operations[1].PriceRefusals())(t)
	if len(refused) != 1 || refused[0].Message != "Invalid attribute SKU = unknown." || len(none) != 0 {
		t.Errorf("refused %+v and %+v", refused, none)
	}
	if got := must(client.Prices.BasePrices(t.Context(), "A"))(t); got[0].Price.String() != "13" {
		t.Errorf("the price is %s", got[0].Price)
	}
}

func TestBulk_OperationThatMayBeTriedAgain(t *testing.T) {
	shop, client := shopWith(t, fakemagento.Options{}, nil, "A")
	shop.FailOperations(fakemagento.OperationFailure{Retriable: true, Message: "Deadlock found when trying to get lock"},
		fakemagento.OperationFailure{Message: "SQLSTATE[40001]: Serialization failure"}, fakemagento.OperationFailure{Message: "no"})
	remove := map[string]any{"sku": "A"}
	scheduled := must(client.Bulk.CallAll(t.Context(), http.MethodDelete, "/V1/products/bySku", []any{remove, remove, remove, remove}))(t)
	_, err := client.Bulk.Wait(t.Context(), scheduled.UUID, often)
	var failed *magentoapi.BulkError
	if !errors.As(err, &failed) {
		t.Fatalf("got %v", err)
	}
	var transient []bool
	for _, f := range failed.Failed {
		transient = append(transient, f.Transient())
	}
	if fmt.Sprint(transient) != "[true true false]" {
		t.Errorf("transient: %v", transient)
	}
	if _, err := client.Products.Get(t.Context(), "A"); !errors.Is(err, magentoapi.ErrNotFound) {
		t.Errorf("the fourth was not carried out: %v", err)
	}
}

func TestBulk_RightsAreAskedAtOnce(t *testing.T) {
	_, client := shopWith(t, fakemagento.Options{Token: "integration"}, magentoapi.Bearer(magentoapi.Fixed("wrong")))
	if _, err := client.Bulk.Call(t.Context(), http.MethodDelete, "/V1/customers/1", nil); !errors.Is(err, magentoapi.ErrUnauthorized) {
		t.Errorf("with a wrong token: %v", err)
	}
	_, client = shopWith(t, fakemagento.Options{Token: "integration"}, magentoapi.Bearer(magentoapi.Fixed("integration")))
	if _, err := client.Bulk.Call(t.Context(), http.MethodPost, "/V1/nothing", nil); !errors.Is(err, magentoapi.ErrNoEndpoint) {
		t.Errorf("no such endpoint: %v", err)
	}
	if _, err := client.Bulk.Status(t.Context(), "0000"); !errors.Is(err, magentoapi.ErrNotFound) {
		t.Errorf("no such bulk: %v", err)
	}
}

func TestBulk_OperationStaysOpen(t *testing.T) {
	_, client := shopWith(t, fakemagento.Options{AsyncDelay: time.Hour}, nil, "A")
	scheduled := must(client.Bulk.Call(t.Context(), http.MethodDelete, "/V1/products/A", nil))(t)
	status, err := client.Bulk.Wait(t.Context(), scheduled.UUID, magentoapi.Waiting{Interval: time.Millisecond, Patience: 10 * time.Millisecond})
	if !errors.Is(err, magentoapi.ErrStillOpen) || status.Open() != 1 {
		t.Errorf("got %+v, %v", status, err)
	}
}
