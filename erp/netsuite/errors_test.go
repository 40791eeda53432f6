package netsuite_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/mageline/mageline/erp/erptest"
	"github.com/mageline/mageline/erp/netsuite"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/internal/downstream"
	"github.com/mageline/mageline/test/kit/fakenetsuite"
)

// Each error of NetSuite that docs/erp/netsuite.md lists, and what it means for a create.
func TestCreate_EachErrorHasItsClass(t *testing.T) {
	const access = "Error while accessing a resource. "
	rows := []struct {
		status     int
		code, text string
		class      event.Class
		notDone    bool
	}{
		{400, "INVALID_CONTENT", "Error while accessing resource: You have entered an Invalid Field Value 9999 for the following field: item", event.Invalid, true},
		{400, "USER_ERROR", access + "You have entered an Invalid Field Value 53384 for the following field: customer.", event.Invalid, true},
		{400, "INVALID_VALUE", "Invalid value.", event.Invalid, true},
		{400, "USER_ERROR", access + "You must enter a value for Company Name.", event.Invalid, true},
		{400, "USER_ERROR", access + "Please enter value(s) for: Location.", event.Invalid, true},
		{400, "USER_ERROR", "Search error occurred: Field 'foo' not found.", event.Invalid, true},
		{400, "USER_ERROR", access + "This record already exists.", event.Unavailable, false},
		{400, "USER_ERROR", access + "This entity already exists.", event.Unavailable, false},
		{400, "DUP_RCRD", "x", event.Unavailable, false},
		{400, "DUP_ENTITY", "x", event.Unavailable, false},
		{400, "IDEMPOTENCY_ERROR", "Conflict", event.Unavailable, false},
		{400, "USER_ERROR", access + "This record has been locked by a user defined workflow.", event.Rejected, true},
		{400, "USER_ERROR", access + "The transaction date you specified is not within the date range of your accounting period.", event.Rejected, true},
		{400, "USER_ERROR", "Your current role does not have permission to perform this action.", event.Unauthorized, true},
		{403, "INSUFFICIENT_PERMISSION", "You do not have permission to access this record.", event.Unauthorized, true},
		{400, "INSUFFICIENT_PERMISSION", "x", event.Unauthorized, true},
		{401, "INVALID_LOGIN", "Invalid login attempt.", event.Unauthorized, true}, // by itself; behind the transport a throttle first
		{400, "RCRD_HAS_BEEN_CHANGED", "x", event.Unavailable, true},
		{409, "RCRD_HAS_BEEN_CHANGED", "x", event.Unavailable, true},
		{400, "USER_ERROR", "Record has been changed", event.Unavailable, true},
		{409, "", "", event.Unavailable, true},
		{429, "CONCURRENCY_LIMIT_EXCEEDED", "Concurrent request limit exceeded. Request blocked.", event.Throttled, false},
		{429, "REQUEST_LIMIT_EXCEEDED", "x", event.Throttled, false},
		{400, "SSS_REQUEST_LIMIT_EXCEEDED", "x", event.Throttled, false},
		{400, "WS_REQUEST_BLOCKED", "x", event.Throttled, false},
		{429, "", "", event.Throttled, false},
		{400, "USER_ERROR", "Something else.", event.Rejected, true},
		{404, "NONEXISTENT_ID", "x", event.NotFound, true},
		{408, "", "", event.Timeout, false},
		{500, "UNEXPECTED_ERROR", "An unexpected error occurred.", event.Unavailable, false},
		{502, "", "", event.Unavailable, false},
		{503, "", "", event.Unavailable, false},
		{504, "", "", event.Unavailable, false},
	}
	for _, row := range rows {
		t.Run(strings.TrimSpace(row.code+" "+row.text), func(t *testing.T) {
			r := newRig(t, fakenetsuite.Options{}, guests, func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
					if req.Method != http.MethodPost || !strings.HasPrefix(req.URL.Path, fakenetsuite.RecordPath) {
						next.ServeHTTP(w, req)
						return
					}
					w.WriteHeader(row.status)
					if row.text != "" {
						_ = json.NewEncoder(w).Encode(map[string]any{"title": "Bad Request", "status": row.status, "o:errorDetails": []map[string]string{
							{"detail": row.text, "o:errorCode": row.code, "o:errorPath": "item.items[0].item"},
						}})
					}
				})
			})
			_, err := r.send(erptest.Order("ET-1"))
			if event.ClassOf(err) != row.class || event.IsNotDone(err) != row.notDone {
				t.Errorf("the error %v has class %s, not done: %t; want %s, %t", err, event.ClassOf(err), event.IsNotDone(err), row.class, row.notDone)
			}
			if row.text != "" && (err == nil || !strings.Contains(err.Error(), "item.items[0].item")) {
				t.Errorf("the error does not say where: %v", err)
			}
		})
	}
}

// What the fake refuses by itself has its class too.
func TestCreate_ErrorsOfTheAccount(t *testing.T) {
	for name, tt := range map[string]struct {
		turn  func(f *fakenetsuite.Server)
		class event.Class
		text  string
	}{
		"limit":           {func(f *fakenetsuite.Server) { f.Throttle(1, "7") }, event.Throttled, "429"},
		"plain 503":       {func(f *fakenetsuite.Server) { f.Unavailable(1) }, event.Unavailable, "503"},
		"forbidden":       {func(f *fakenetsuite.Server) { f.Forbid(2, false) }, event.Unauthorized, "permission to access this record"},
		"forbidden, 400":  {func(f *fakenetsuite.Server) { f.Forbid(2, true) }, event.Unauthorized, "current role"},
		"changed":         {func(f *fakenetsuite.Server) { f.Changed(1, 409) }, event.Unavailable, "has been changed"},
		"changed, 400":    {func(f *fakenetsuite.Server) { f.Changed(1, 400) }, event.Unavailable, "has been changed"},
		"workflow":        {func(f *fakenetsuite.Server) { f.LockByWorkflow(1) }, event.Rejected, "locked by a user defined workflow"},
		"unknown account": {func(f *fakenetsuite.Server) { f.SetMissing("ACCOUNT-SHIP", "24-MB01") }, event.Invalid, "24-MB01"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, fakenetsuite.Options{}, guests, nil)
			tt.turn(r.fake)
			_, err := r.send(erptest.Order("ET-1"))
			if event.ClassOf(err) != tt.class || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("the error %v has class %s; want %s with %q", err, event.ClassOf(err), tt.class, tt.text)
			}
			if n := len(r.fake.Orders("ET-1")); n != 0 {
				t.Errorf("%d orders were booked", n)
			}
		})
	}
}

// NetSuite tells its limit as a wrong login, too. The first such answers are throttles, those that go on are about the credential.
func TestCreate_InvalidLoginIsAThrottleFirst(t *testing.T) {
	r := newRig(t, fakenetsuite.Options{}, guests, nil)
	d := downstream.New(downstream.Options{Name: "erp", Classify: netsuite.Dialect.Subject})
	defer d.Close()
	r.client = d.Client()
	c := r.connect()
	p, err := c.Build(erptest.Order("ET-1"))
	if err != nil {
		t.Fatal(err)
	}
	r.fake.SetThrottleAsLogin(true)
	r.fake.Throttle(4, "0")
	var classes []event.Class
	for range 5 {
		_, err := c.Create(t.Context(), call("k"), p)
		d.Resume() // the test does not wait for the throttle
		if err == nil {
			break
		}
		classes = append(classes, event.ClassOf(err))
	}
	if len(classes) < 3 || classes[0] != event.Throttled || classes[1] != event.Throttled || classes[2] != event.Throttled {
		t.Errorf("the classes are %v, want throttled three times first", classes)
	}
	if n := r.fake.Counts()["ET-1"]; n != 1 {
		t.Errorf("%d orders, want 1 in the end", n)
	}
}
