package magentoapi

import (
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

func TestEndpointHoldsAnySKU(t *testing.T) {
	for sku, want := range map[string]string{
		"24-MB01":       "24-MB01",
		"A/B":           "A%2FB",
		"A B":           "A%20B",
		"50% off":       "50%25%20off",
		"A%2FB":         "A%252FB",
		"A+B":           "A%2BB",
		"A&B=C;D,E:F@G": "A%26B%3DC%3BD%2CE%3AF%40G",
		"Größe ✓":       "Gr%C3%B6%C3%9Fe%20%E2%9C%93",
		"A?B#C":         "A%3FB%23C",
		"(20-B)*!'$":    "%2820-B%29%2A%21%27%24",
		"~a_b.c-":       "~a_b.c-",
		"...":           "...",
	} {
		path := endpoint("products", sku, "media")
		if path != "/V1/products/"+want+"/media" {
			t.Errorf("%q: got %s", sku, path)
		}
		if wrong := checkPath(path); wrong != "" {
			t.Errorf("%q: %s", sku, wrong)
		}
		if back, err := url.PathUnescape(strings.Split(path, "/")[3]); err != nil || back != sku {
			t.Errorf("%q came back as %q, %v", sku, back, err)
		}
	}
}

// What an address can't hold is not sent: DELETE /V1/products/../… deletes something else.
func TestNoSKUThatNamesAnotherEndpoint(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ seen, _ int) { respond(w, 200, "true") })
	c := s.client(t, Options{})
	ctx := t.Context()
	for _, sku := range []string{"", ".", ".."} {
		for name, err := range map[string]error{
			"get":       second(c.Products.Get(ctx, sku)),
			"update":    second(c.Products.Update(ctx, &Product{SKU: Text(sku), Name: "x"})),
			"delete":    c.Products.Delete(ctx, sku),
			"media":     second(c.Products.Media(ctx, sku)),
			"link":      c.Products.DeleteLink(ctx, "A", LinkRelated, sku),
			"unassign":  c.Categories.Unassign(ctx, 3, sku),
			"unlink":    c.Configurable.Unlink(ctx, "A", sku),
			"attribute": c.Attributes.Delete(ctx, sku),
			"Do":        c.Do(ctx, http.MethodDelete, "/V1/products/"+sku+"/./x", nil, nil, nil),
		} {
			if err == nil || !strings.Contains(err.Error(), "which no address can hold") {
				t.Errorf("%s of %q: %v", name, sku, err)
			}
		}
	}
	if sent := s.requests(""); len(sent) != 0 {
		t.Errorf("sent %+v", sent)
	}
}

func second[T any](_ T, err error) error { return err }

func TestStoreGivesAClientOfAnotherView(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ seen, _ int) { respond(w, 200, `{"sku":"A"}`) })
	all := s.client(t, Options{Auth: Bearer(Fixed("token"))})
	de, err := all.Store("de")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*Client{de, all} {
		if _, err := c.Products.Get(t.Context(), "A"); err != nil {
			t.Fatal(err)
		}
	}
	sent := s.requests("")
	if len(sent) != 2 || sent[0].uri != "/rest/de/V1/products/A" || sent[1].uri != "/rest/all/V1/products/A" {
		t.Errorf("sent %+v", sent)
	}
	for _, r := range sent {
		if r.header.Get("Authorization") != "Bearer token" {
			t.Errorf("%s: authorized by %q", r.uri, r.header.Get("Authorization"))
		}
	}
	for _, code := range []string{"", "de/../all", "1a", "a b"} {
		if _, err := all.Store(code); err == nil {
			t.Errorf("store code %q was taken", code)
		}
	}
}

// Whatever a SKU is, its path names it and nothing else, or is not sent.
func FuzzEndpoint(f *testing.F) {
	for _, sku := range []string{"24-MB01", "A/B", "../..", "", ".", "%2e%2e", "A?B", "\x00", "ö\xff"} {
		f.Add(sku)
	}
	f.Fuzz(func(t *testing.T, sku string) {
		path := endpoint("products", sku, "media")
		if sent := checkPath(path) == ""; sent == (sku == "" || sku == "." || sku == "..") {
			t.Fatalf("%q: sent %v", sku, sent)
		}
		parts := strings.Split(path, "/")
		if len(parts) != 5 || strings.ContainsAny(path, "?# ") {
			t.Fatalf("%q: %s", sku, path)
		}
		if back, err := url.PathUnescape(parts[3]); err != nil || sku != "" && back != sku {
			t.Errorf("%q came back as %q, %v", sku, back, err)
		}
		u, err := url.Parse("https://shop.example/rest/all" + path)
		if err != nil || u.EscapedPath() != "/rest/all"+path {
			t.Errorf("%q is sent as %v, %v", sku, u, err)
		}
	})
}

// Two ids of one type beside each other are swapped sooner or later, and nothing says so: they are fields of a struct.
func TestServices_TakeNoTwoIDs(t *testing.T) {
	id := reflect.TypeFor[int64]()
	services := reflect.ValueOf(&Client{}).Elem()
	methods := 0
	for i := range services.NumField() {
		service := services.Type().Field(i)
		if !service.IsExported() {
			continue
		}
		for n := range service.Type.NumMethod() {
			method := service.Type.Method(n)
			methods++
			ids := 0
			for in := range method.Type.NumIn() {
				if method.Type.In(in) == id {
					ids++
				}
			}
			if ids > 1 {
				t.Errorf("%s.%s takes %d ids", service.Name, method.Name, ids)
			}
		}
	}
	if methods < 200 {
		t.Errorf("only %d methods were looked at", methods)
	}
}
