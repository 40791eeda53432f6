package bulk_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/test/kit/fakemagento"
)

// isWrite is true for requests that write prices or stock.
func isWrite(r *http.Request) bool {
	return r.Method != http.MethodGet && !strings.HasSuffix(r.URL.Path, "-information")
}

func (r *rig) item(sku, source, want string) {
	r.t.Helper()
	quantity, inStock, ok := r.Shop.SourceItem(sku, source)
	if got := fmt.Sprint(quantity, " ", inStock, " ", ok); got != want {
		r.t.Errorf("%s in %s is %s, want %s", sku, source, got, want)
	}
}

func TestStock_WritesSourceItems(t *testing.T) {
	t.Parallel()
	r := newRig(t, fakemagento.Options{Sources: []string{"default", "berlin"}}, "A", "B", "C,D")
	r.Stock.Buffer = map[string]decimal.Decimal{"berlin": decimal.NewFromInt(2)}
	r.want(r.stock(5, `{"sku":"A","quantity":3},{"sku":"A","source_code":"berlin","quantity":1},{"sku":"B","quantity":0,"status":1},{"sku":"C,D","quantity":4}`), "acked acked acked acked")
	r.item("A", "default", "3 true true")
	r.item("A", "berlin", "0 false true")
	r.item("B", "default", "0 true true")
	written := r.Shop.Rows().Written
	r.want(r.stock(6, `{"sku":"a","quantity":"3.0000"},{"sku":"A","source_code":"berlin","quantity":2},{"sku":"C,D","quantity":4},{"sku":"B","quantity":0}`), "acked acked acked acked")
	if n := r.Shop.Rows().Written - written; n != 1 || r.Meter.entries["unchanged"] != 3 { // B is out of stock now
		t.Errorf("%d rows were sent, %v", n, r.Meter.entries)
	}
	r.want(r.stock(5, `{"sku":"A","quantity":9}`), "stale")
}

func TestStock_RefusesASourceThatThereIsNot(t *testing.T) {
	t.Parallel()
	r := newRig(t, fakemagento.Options{}, "A", "B", "C")
	got := r.stock(5, `{"sku":"A","quantity":3},{"sku":"B","source_code":"nowhere","quantity":1},{"sku":"C","quantity":2}`)
	r.want(got, "acked invalid acked")
	r.item("C", "default", "2 true true")
}

func TestStock_WithoutSourcesWritesStockItems(t *testing.T) {
	t.Parallel()
	r := newRig(t, fakemagento.Options{NoInventory: true}, "A", "B")
	got := r.stock(5, `{"sku":"A","quantity":3},{"sku":"none","quantity":3},{"sku":"B","source_code":"berlin","quantity":1}`)
	r.want(got, "acked rejected invalid")
	writes := r.requests("stockItems/1")
	r.want(r.stock(6, `{"sku":"A","quantity":3}`), "acked")
	if n := r.requests("stockItems/1") - writes; n != 0 {
		t.Errorf("sent %d times though it is there", n)
	}
	r.want(r.stock(4, `{"sku":"A","quantity":1}`), "stale")
}
