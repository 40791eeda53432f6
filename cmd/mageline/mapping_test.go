package main

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mageline/mageline/internal/app"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

func TestMappingCheck_SaysEveryProblem(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mapping.yaml")
	if err := os.WriteFile(file, []byte("payment_method: {checkmo: VOR}\ntax: {\"19\": }\nguests: {match_email: 1}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	environment(t)
	e := call(t, "", "mapping", "check", file)
	out, stderr, code := e.out, e.err, e.code
	if code != exitFailed || !strings.Contains(out, file+":1: there is no key payment_method: did you mean payment_methods?") ||
		!strings.Contains(out, file+":3: guests.match_email must be true or false") || !strings.Contains(stderr, "2 problems") {
		t.Errorf("exit code %d:\n%s%s", code, out, stderr)
	}
}

func TestMappingCheck_ShowsTheRequestsOfAnOrder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mapping.yaml")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	environment(t)
	e := call(t, "", "mapping", "check", file, "../../mapping/testdata/simple.order.json", "--json")
	got := decode[app.MappingCheck](t, e)
	if e.code != 0 {
		t.Fatalf("exit code %d", e.code)
	}
	if len(got.Requests) != 1 || got.Requests[0].Method != "POST" || got.Requests[0].Path != "/sales-orders" || !strings.Contains(string(got.Requests[0].Body), `"code":"default"`) {
		t.Errorf("requests %+v", got.Requests)
	}
	call(t, "", "mapping", "check", file, "../../mapping/testdata/simple.order.json").want(t, 0, "POST /sales-orders\n{\n", "")
}

func TestMappingSchema_IsJSON(t *testing.T) {
	environment(t)
	e := call(t, "", "mapping", "schema")
	if schema := decode[map[string]any](t, e); e.code != 0 || schema["additionalProperties"] != false {
		t.Errorf("exit code %d", e.code)
	}
}

// What the shop has codes for is in the file, which can be read and is all blanks.
func TestMappingInit_AsksTheShop(t *testing.T) {
	shop := fakemagento.New(fakemagento.Options{})
	defer shop.Close()
	shop.PlaceOrder(fakemagento.Placing{Method: "cashondelivery"})
	server := httptest.NewServer(shop)
	defer server.Close()
	environment(t, "MAGENTO_URL", server.URL, "MAGENTO_TOKEN", "t")
	file := filepath.Join(t.TempDir(), "mapping.yaml")
	if e := call(t, "", "mapping", "init", file); e.code != 0 {
		t.Fatal(e.err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"  default: {company:", "  cashondelivery: \"\"", "  flatrate_flatrate: \"\"", "  \"0\": {price_group:"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	call(t, "", "mapping", "check", file).want(t, 0, "payment_methods.cashondelivery is blank", "")
	call(t, "", "mapping", "init", file).want(t, exitFailed, "", "it is not written over")
}

// With an order's number the order is read from Magento, with its store view.
func TestMappingCheck_ReadsTheOrder(t *testing.T) {
	shop := fakemagento.New(fakemagento.Options{})
	defer shop.Close()
	p := shop.PlaceOrder(fakemagento.Placing{})
	server := httptest.NewServer(shop)
	defer server.Close()
	environment(t, "MAGENTO_URL", server.URL, "MAGENTO_TOKEN", "t", "ERP_REFERENCE_PREFIX", "M2-")
	file := filepath.Join(t.TempDir(), "mapping.yaml")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	call(t, "", "mapping", "check", file, p.IncrementID).want(t, 0, "\"external_reference\": \"M2-"+p.IncrementID+"\"", "")
	call(t, "", "mapping", "check", file, "999999999").want(t, exitFailed, "", "Magento has no order 999999999")
}
