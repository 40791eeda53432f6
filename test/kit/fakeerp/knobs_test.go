package fakeerp_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mageline/mageline/test/kit/fakeerp"
)

func post(c *client, path, key, body string) (int, string) {
	return c.call(context.Background(), http.MethodPost, path, key, body)
}

// A body that is against the contract is refused with what is wrong, booked nowhere, and counted as a problem.
func TestServer_RefusesOrdersAgainstTheContract(t *testing.T) {
	good := order(t, "1")
	for name, tt := range map[string]struct{ old, new, says string }{
		"no reference":             {`"external_reference":"1"`, `"external_reference":""`, "external_reference is missing"},
		"a member that is unknown": {`"comment":null`, `"comment":null,"coment":"x"`, `a member "coment" that is not known`},
		"a member that is missing": {`"comment":null,`, ``, `has no "comment"`},
		"a member of a line":       {`"sku":"24-MB02",`, ``, `lines[1] has no "sku"`},
		"a number for an amount":   {`"row_total":"68.00"`, `"row_total":68`, "lines[0].row_total is 68"},
		"one decimal":              {`"row_total":"68.00"`, `"row_total":"68.0"`, "lines[0].row_total is 68.0"},
		"zeros at the end":         {`"tax_percent":"19"`, `"tax_percent":"19.00"`, "tax_percent is 19.00"},
		"a text for an id":         {`"entity_id":57`, `"entity_id":"57"`, "entity_id is no whole number"},
		"a local instant":          {`"placed_at":"2026-11-23T09:15:02Z"`, `"placed_at":"2026-11-23T09:15:02+01:00"`, "placed_at is no instant"},
		"no lines":                 {`"lines":[`, `"lines":null,"lines_":[`, "lines_"},
		"totals that differ":       {`"grand_total":"127.33"`, `"grand_total":"127.34"`, "the totals add up to 127.3300"},
		"a text for a truth":       {`"guest":false`, `"guest":"no"`, "guest is neither true nor false"},
	} {
		erp, c := start(t, fakeerp.Options{})
		body := good
		if tt.new == "" && strings.HasPrefix(tt.old, `"comment"`) {
			body = strings.Replace(body, `,"comment":null`, ``, 1)
		} else {
			body = strings.Replace(body, tt.old, tt.new, 1)
		}
		if body == good {
			t.Fatalf("%s: %q is not in the order %s", name, tt.old, good)
		}
		status, said := post(c, "/sales-orders", "k", body)
		if status != http.StatusUnprocessableEntity || !strings.Contains(strings.ReplaceAll(said, `\"`, `"`), tt.says) {
			t.Errorf("%s: %d %s, want %q", name, status, said, tt.says)
		}
		if len(erp.Documents()) > 0 || len(erp.Problems()) != 1 || len(erp.Refusals()) != 1 {
			t.Errorf("%s: %d documents, problems %v, refusals %v", name, len(erp.Documents()), erp.Problems(), erp.Refusals())
		}
	}
}

func TestServer_RefusesCancellationsOfWhatIsNotThere(t *testing.T) {
	cancel := func(line, quantity string) string {
		return `{"reason":"r","complete":false,"lines":[{"reference":"` + line + `","sku":null,"quantity":"` + quantity + `"}]}`
	}
	erp, c := start(t, fakeerp.Options{Mode: fakeerp.Conflicts})
	c.create("1")
	for _, step := range []struct {
		body   string
		status int
		says   string
	}{
		{cancel("1001", "1"), 200, ""},
		{cancel("1001", "2"), 422, "only 1.0000 is left"},
		{cancel("9", "1"), 422, "no line 9"},
		{cancel("1001", "1.0"), 422, "quantity is 1.0"},
		{cancel("1001", "1"), 200, ""},
		{`{"complete":true,"lines":[]}`, 422, "reason"},
		{`[`, 400, "not JSON"},
	} {
		if status, said := post(c, "/sales-orders/SO-1001/cancel", "k", step.body); status != step.status || !strings.Contains(said, step.says) {
			t.Errorf("%s: %d %s, want %d %q", step.body, status, said, step.status, step.says)
		}
	}
	if n := len(erp.DocumentsOf("1")[0].Cancellations); n != 2 {
		t.Errorf("%d cancellations, want 2", n)
	}
}

// What people and the ERP itself do between two calls.
func TestServer_Knobs(t *testing.T) {
	erp, c := start(t, fakeerp.Options{})
	erp.Lock(2, "SMITH")
	for _, want := range []int{423, 423, 201} {
		if status, said := c.create("1"); status != want || want == 423 && !strings.Contains(said, "processed by SMITH") {
			t.Errorf("locked: %d %s, want %d", status, said, want)
		}
	}
	erp.RefuseToken(1)
	for _, want := range []int{401, 201} {
		if status, _ := c.create("2"); status != want {
			t.Errorf("token refused: %d, want %d", status, want)
		}
	}
	erp.SetMissing("24-MB02")
	if status, said := c.create("3"); status != 422 || !strings.Contains(said, "24-MB02") {
		t.Errorf("missing item: %d %s", status, said)
	}
	erp.SetMissing()
	erp.SetNumbers(true)
	if status, said := c.create("4"); status != 201 || said != `{"document_number":1003}` {
		t.Errorf("numbers: %d %s", status, said)
	}
	erp.SetUnfiltered(true)
	if _, said := c.call(t.Context(), http.MethodGet, "/sales-orders?external_reference=none", "", ""); strings.Count(said, "document_number") != 3 {
		t.Errorf("unfiltered: %s", said)
	}
	erp.SetNumbers(false)
	erp.Ship("SO-1001")
	whole := `{"reason":"r","complete":true,"lines":[]}`
	if status, said := post(c, "/sales-orders/SO-1001/cancel", "a", whole); status != 409 || !strings.Contains(said, "shipped") {
		t.Errorf("shipped: %d %s", status, said)
	}
	erp.Delete("SO-1002")
	if status, _ := post(c, "/sales-orders/SO-1002/cancel", "b", whole); status != 404 {
		t.Errorf("deleted: %d", status)
	}
	if got := erp.Refusals(); len(got) != 5 || got["the record is currently being processed by SMITH"] != 2 {
		t.Errorf("refusals %v", got)
	}
}

func TestServer_ClockIsOff(t *testing.T) {
	erp, c := start(t, fakeerp.Options{})
	erp.SetClock(-time.Hour)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.url+"/sales-orders?external_reference=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := c.http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if at, err := http.ParseTime(response.Header.Get("Date")); err != nil || time.Since(at) < 50*time.Minute {
		t.Errorf("Date is %q", response.Header.Get("Date"))
	}
}
