package magentoapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestWhatIsScheduled(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ seen, _ int) {
		respond(w, 202, `{"bulk_uuid":"u-1","request_items":[{"id":"0","data_hash":"h","status":"accepted"},{"id":1,"status":"rejected","error_message":"Error of mara@shop.example","error_code":400}],"errors":true}`)
	})
	bulk := s.client(t, Options{StoreCode: "de"}).Bulk
	scheduled, err := bulk.CallAll(t.Context(), http.MethodPut, "/V1/products/bySku", []any{map[string]string{"sku": "A"}, 2})
	var rejected *RejectedError
	if !errors.As(err, &rejected) || scheduled == nil || scheduled.UUID != "u-1" || len(scheduled.Items) != 2 || rejected.Rejected[0].ErrorCode != "400" {
		t.Fatalf("got %+v, %v", scheduled, err)
	}
	if text := err.Error(); !strings.Contains(text, "1 of 2 calls were not taken") || strings.Contains(text, "mara@") {
		t.Errorf("the error says %q", text)
	}
	if got := s.requests("")[0]; got.method != http.MethodPut || got.uri != "/rest/de/async/bulk/V1/products/bySku" || got.body != `[{"sku":"A"},2]` {
		t.Errorf("sent %+v", got)
	}
	if _, err := bulk.Call(t.Context(), http.MethodDelete, "/V1/products/A", nil); !errors.As(err, &rejected) {
		t.Errorf("got %v", err)
	}
	if got := s.requests("")[1]; got.method != http.MethodDelete || got.uri != "/rest/de/async/V1/products/A" || got.body != "" {
		t.Errorf("sent %+v", got)
	}
}

func TestWhatCanNotBeScheduled(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, seen, int) { t.Error("sent") })
	bulk := s.client(t, Options{}).Bulk
	if _, err := bulk.Call(t.Context(), http.MethodGet, "/V1/orders", nil); err == nil {
		t.Error("a GET: no error")
	}
	if _, err := bulk.CallAll(t.Context(), http.MethodPost, "/V1/orders", nil); err == nil {
		t.Error("no calls: no error")
	}
}

// A list that is shorter than the count has operations that are open (in versions that list none before it has ended).
func TestHowManyOperationsAreOpen(t *testing.T) {
	for _, test := range []struct {
		want int
		body string
	}{
		{3, `{"operation_count":3,"operations_list":[]}`},
		{2, `{"operation_count":3,"operations_list":[{"id":0,"status":1},{"id":1,"status":4}]}`},
		{0, `{"operation_count":"2","operations_list":[{"id":0,"status":"1"},{"id":1,"status":3}]}`},
		{1, `{"operations_list":[{"id":0,"status":"4"}]}`},
		{0, `{"operations_list":[]}`},
	} {
		s := serve(t, func(w http.ResponseWriter, _ seen, _ int) { respond(w, 200, test.body) })
		status, err := s.client(t, Options{}).Bulk.Status(t.Context(), "u")
		if err != nil || status.Open() != test.want {
			t.Errorf("%s: %+v, %v", test.body, status, err)
		}
	}
	for _, body := range []string{`{}`, `[]`, `{"bulk_id":"u","operation_count":0}`, `<html>`} {
		s := serve(t, func(w http.ResponseWriter, _ seen, _ int) { respond(w, 200, body) })
		if status, err := s.client(t, Options{}).Bulk.Status(t.Context(), "u"); !errors.Is(err, ErrUnreadable) {
			t.Errorf("%s looks like a bulk that is done: %+v, %v", body, status, err)
		}
	}
}

// statuses makes a client whose bulk shows these operations, one list after the other and the last for ever, and the
// times at which it was asked. It must be called in a bubble of synctest.
func statuses(t *testing.T, lists ...string) (*BulkService, *[]time.Duration) {
	t.Helper()
	start, asked := time.Now(), &[]time.Duration{}
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		list := lists[min(len(*asked), len(lists)-1)]
		*asked = append(*asked, time.Since(start))
		w := &response{header: http.Header{}}
		respond(w, 200, fmt.Sprintf(`{"bulk_id":"u","operation_count":2,"operations_list":[%s]}`, list))
		return w.of(r), nil
	})
	c, err := New("https://shop.example", Options{HTTPClient: &http.Client{Transport: transport}, Retries: NoRetries})
	if err != nil {
		t.Fatal(err)
	}
	return c.Bulk, asked
}

func TestWaitingAsksLessAndLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const open = `{"id":0,"status":1},{"id":1,"status":4}`
		bulk, asked := statuses(t, open, open, open, open, `{"id":0,"status":1},{"id":1,"status":1}`)
		status, err := bulk.Wait(t.Context(), "u", Waiting{MaxInterval: 2 * time.Second})
		if err != nil || len(status.Operations) != 2 {
			t.Fatalf("got %+v, %v", status, err)
		}
		// The last is for the details.
		if got := fmt.Sprint(*asked); got != "[0s 1s 2.5s 4.5s 6.5s 6.5s]" {
			t.Errorf("asked at %s", got)
		}
	})
}

func TestWaitingHasAnEnd(t *testing.T) {
	const open, less = ``, `{"id":0,"status":1}` // of two
	synctest.Test(t, func(t *testing.T) {
		bulk, asked := statuses(t, open, open, open, less)
		status, err := bulk.Wait(t.Context(), "u", Waiting{MaxInterval: time.Minute, Patience: 10 * time.Minute})
		last := (*asked)[len(*asked)-1]
		// The operation that ended at the fourth look, 4.75 s after the first, has begun the patience anew.
		if !errors.Is(err, ErrStillOpen) || status.Open() != 1 || last != 4750*time.Millisecond+10*time.Minute {
			t.Errorf("after %s: %+v, %v", last, status, err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		bulk, _ := statuses(t, open)
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		if status, err := bulk.Wait(ctx, "u", Waiting{}); !errors.Is(err, context.DeadlineExceeded) || status.Open() != 2 {
			t.Errorf("got %+v, %v", status, err)
		}
	})
}

func TestOperationsThatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bulk, _ := statuses(t, `{"id":0,"status":1,"result_serialized_data":"[]"},{"id":1,"status":2,"result_message":"lock of mara@shop.example","error_code":1205}`)
		status, err := bulk.Wait(t.Context(), "u", Waiting{})
		var failed *BulkError
		var first *OperationError
		if !errors.As(err, &failed) || !errors.As(err, &first) || len(failed.Failed) != 1 || first.Operation.Code != "1205" || !first.Transient() ||
			len(status.Operations) != 2 {
			t.Fatalf("got %+v, %v", status, err)
		}
		if strings.Contains(err.Error()+first.Error(), "mara@") {
			t.Errorf("the errors say %q, %q", err, first)
		}
	})
}

func TestWhatAnOperationAnswered(t *testing.T) {
	for result, want := range map[string]string{
		``:   "[] <nil>",
		`[]`: "[] <nil>",
		`[{"message":"Invalid attribute %fieldName = %fieldValue.","parameters":["SKU","A"]}]`:                                                                         "[Invalid attribute SKU = A.] <nil>",
		`[{"message":"Requested store is not found. Row ID: SKU = %SKU, Store ID: %storeId.","parameters":{"SKU":"A","storeId":"3"}},{"message":"m","parameters":[]}]`: "[Requested store is not found. Row ID: SKU = A, Store ID: 3. m] <nil>",
		`true`:       "[] an error",
		`{"id":1}`:   "[] an error",
		`[{"message`: "[] an error",
		`<html>`:     "[] an error",
	} {
		o := Operation{ResultSerializedData: Text(result)}
		refused, err := o.PriceRefusals()
		texts := []string{}
		for _, r := range refused {
			texts = append(texts, r.Message)
		}
		got := fmt.Sprint(texts, " ", err)
		if err != nil {
			got = fmt.Sprint(texts, " an error")
		}
		if strings.ReplaceAll(got, "  ", " ") != want {
			t.Errorf("%s: got %s, want %s", result, got, want)
		}
	}
	var id ID
	if ok, err := (&Operation{ResultSerializedData: `"17"`}).Result(&id); !ok || err != nil || id != 17 {
		t.Errorf("got %d, %t, %v", id, ok, err)
	}
	if ok, err := (&Operation{}).Result(&id); ok || err != nil {
		t.Errorf("no answer: %t, %v", ok, err)
	}
}

func FuzzBulkStatus(f *testing.F) {
	for _, body := range []string{
		`{"operation_count":2,"operations_list":[{"id":0,"status":1,"result_serialized_data":"[{\"message\":\"%1\",\"parameters\":[\"A\"]}]"}]}`,
		`{"operation_count":-1,"operations_list":[{"id":"x","status":"4"}]}`, `[]`, `{"operations_list":null}`,
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		var status BulkStatus
		if json.Unmarshal([]byte(body), &status) != nil {
			return
		}
		if open := status.Open(); open < 0 || open > max(int(status.OperationCount), len(status.Operations)) {
			t.Errorf("%d open of %d, %d are listed", open, status.OperationCount, len(status.Operations))
		}
		for _, o := range status.Operations {
			refused, err := o.PriceRefusals()
			if err != nil && len(refused) > 0 {
				t.Errorf("refused rows of what is no list: %+v, %v", refused, err)
			}
			for _, r := range refused {
				if r.Message == "" || len(r.Message) > maxMessage {
					t.Errorf("message %q", r.Message)
				}
			}
		}
		if err := failures("u", &status); err != nil && len(err.Error()) > 2*maxMessage {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	})
}
