package magentoapi

import (
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestErrorBodies(t *testing.T) {
	long := strings.Repeat("ü", 2000)
	for name, c := range map[string]struct {
		body    string
		kind    BodyKind
		message string
		params  []Parameter
	}{
		"positions": {
			`{"message":"No such entity with %1 = %2","parameters":["orderId","57"]}`, BodyJSON,
			"No such entity with orderId = 57",
			[]Parameter{{"", "orderId"}, {"", "57"}},
		},
		"names": {
			`{"message":"\"%fieldName\" is required. Enter and try again.","parameters":{"fieldName":"searchCriteria"},"trace":"#0 /var/www/secret"}`,
			BodyJSON, `"searchCriteria" is required. Enter and try again.`,
			[]Parameter{{"fieldName", "searchCriteria"}},
		},
		"names for a list": {
			`{"message":"Invalid attribute %fieldName = %fieldValue.","parameters":["SKU","A-1"]}`, BodyJSON,
			"Invalid attribute SKU = A-1.",
			[]Parameter{{"", "SKU"}, {"", "A-1"}},
		},
		"the longest placeholder": {
			`{"message":"%field %fieldName %10 %1","parameters":{"field":"a","fieldName":"b","0":"c"}}`, BodyJSON,
			"a b c0 c",
			[]Parameter{{"field", "a"}, {"fieldName", "b"}, {"1", "c"}},
		},
		"values that look like placeholders": {
			`{"message":"%1 and %2 of 100%","parameters":["%2","%1"]}`, BodyJSON, "%2 and %1 of 100%",
			[]Parameter{{"", "%2"}, {"", "%1"}},
		},
		"values of all types": {
			`{"message":"%1|%2|%3|%4|%5|%6","parameters":[12.50,null,true,false,["a"],{"b":1}]}`, BodyJSON,
			`12.50||1||["a"]|{"b":1}`,
			[]Parameter{{"", "12.50"}, {"", ""}, {"", "1"}, {"", ""}, {"", `["a"]`}, {"", `{"b":1}`}},
		},
		"no values": {`{"message":"Internal %1","parameters":[]}`, BodyJSON, "Internal %1", nil},
		"several": {
			`{"message":"One or more input exceptions have occurred.","errors":[{"message":"%fieldName is required","parameters":{"fieldName":"qty"}},{"message":"second"}]}`,
			BodyJSON, "One or more input exceptions have occurred.; qty is required; second", nil,
		},
		"the other shape": {
			`{"messages":{"error":[{"code":500,"message":"Internal Error. Report ID: webapi-5f","trace":"x"},{"code":0,"message":"again"}]}}`,
			BodyJSON, "Internal Error. Report ID: webapi-5f; again", nil,
		},
		"odd types":            {`{"message":{"a":1},"parameters":"p","errors":{},"messages":[]}`, BodyJSON, `{"a":1}`, nil},
		"a bare text":          {`"Not allowed"`, BodyJSON, "Not allowed", nil},
		"a list":               {`["a"]`, BodyJSON, "", nil},
		"a mark of byte order": {"\ufeff" + `{"message":"m"}`, BodyJSON, "m", nil},
		"broken JSON":          {`{"message":"No such`, BodyJSON, "", nil},
		"HTML": {
			"<!doctype html>\n<html><head><TITLE lang=\"en\">\n 503 Backend\n fetch failed &amp; co</TITLE></head><body>jane@fixture.example</body></html>",
			BodyHTML, "503 Backend fetch failed & co", nil,
		},
		"HTML without a title":    {`<b>Fatal error</b>: secret in /var/www`, BodyHTML, "", nil},
		"text":                    {"upstream connect error, secret", BodyText, "", nil},
		"nothing":                 {" \n", BodyEmpty, "", nil},
		"a message without bound": {`{"message":"` + long + `"}`, BodyJSON, strings.Repeat("ü", 510) + "…", nil},
	} {
		kind, message, params := decodeErrorBody([]byte(c.body))
		if kind != c.kind || message != c.message || !reflect.DeepEqual(params, c.params) {
			t.Errorf("%s: got %s %q %q\nwant %s %q %q", name, kind, message, params, c.kind, c.message, c.params)
		}
	}
}

func TestErrorsByStatus(t *testing.T) {
	sentinels := []status{
		ErrBadRequest, ErrUnauthorized, ErrForbidden, ErrNotFound, ErrMethodNotAllowed, ErrConflict, ErrTooManyRequests,
		ErrInternal, ErrUnavailable,
	}
	for _, want := range sentinels {
		s := serve(t, func(w http.ResponseWriter, _ seen, _ int) {
			w.Header().Set("Retry-After", "7")
			respond(w, int(want), `{"message":"Order of %1","parameters":["jane@fixture.example"]}`)
		})
		_, err := s.client(t, Options{}).Orders.Search(t.Context(), SearchCriteria{}.Where(Eq("customer_email", "joe@fixture.example")))
		for _, other := range sentinels {
			if errors.Is(err, other) != (other == want) {
				t.Errorf("errors.Is(%v, %v) is %v", err, other, other != want)
			}
		}
		for _, other := range []error{ErrUnreadable, ErrTwoFactor, ErrNoEndpoint, ErrBearerDisabled} {
			if errors.Is(err, other) {
				t.Errorf("%v is %v", err, other)
			}
		}
		var e *Error
		if !errors.As(err, &e) || e.Method != http.MethodGet || e.Path != "/V1/orders" || e.RetryAfter != 7*time.Second ||
			e.Message != "Order of jane@fixture.example" {
			t.Errorf("got %+v", e)
		}
		if text := err.Error(); strings.Contains(text, "@fixture") || !strings.Contains(text, "Order of ***") {
			t.Errorf("the text is %q", text)
		}
	}
}

func TestErrorTexts(t *testing.T) {
	for _, c := range []struct {
		status     int
		body, want string
	}{
		{404, `{"message":"No such\n entity"}`, "magento: GET /V1/orders/7: 404: No such entity"},
		{502, `<title>Bad gateway</title>`, "magento: GET /V1/orders/7: 502: Bad gateway (answered in html, not by Magento's API)"},
		{503, ``, "magento: GET /V1/orders/7: 503 Service Unavailable"},
		{500, `oops`, "magento: GET /V1/orders/7: 500 Internal Server Error (answered in text, not by Magento's API)"},
		{
			401, `{"message":"The signature is invalid. Verify and try again."}`,
			"magento: GET /V1/orders/7: 401: The signature is invalid. Verify and try again. (check the four OAuth values, and that a proxy hands the scheme, host, path and query through unchanged)",
		},
		{
			401, `{"message":"The oauth_timestamp value in the timestamp parameter is invalid."}`,
			"magento: GET /V1/orders/7: 401: The oauth_timestamp value in the timestamp parameter is invalid. (check this machine's clock)",
		},
	} {
		s := serve(t, func(w http.ResponseWriter, _ seen, _ int) { respond(w, c.status, c.body) })
		_, err := s.client(t, Options{}).Orders.Get(t.Context(), 7)
		if err == nil || err.Error() != c.want {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
	}
}

func TestARedirectSaysWhereItLeads(t *testing.T) {
	for location, want := range map[string]string{
		"https://user:secret@www.shop.example/rest/all/V1/orders/7?token=secret#secret": "this one leads to https://www.shop.example/rest/all/V1/orders/7:",
		"/customer/account/login?secret":                                                "/customer/account/login:",
		"":                                                                              "set the base address to where it leads",
	} {
		s := serve(t, func(w http.ResponseWriter, _ seen, _ int) {
			if location != "" {
				w.Header().Set("Location", location)
			}
			w.WriteHeader(http.StatusMovedPermanently)
		})
		_, err := s.client(t, Options{}).Orders.Get(t.Context(), 7)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", location, err)
		}
	}
}

func TestAMissingEndpointIsToldFromAMissingEntity(t *testing.T) {
	for body, missing := range map[string]bool{
		`{"message":"Request does not match any route."}`: true, "<title>404 Not Found</title>": true, "": true,
		`{"message":"No such entity with id = 7"}`: false,
	} {
		s := serve(t, func(w http.ResponseWriter, _ seen, _ int) { respond(w, 404, body) })
		_, err := s.client(t, Options{}).Orders.Get(t.Context(), 7)
		if !errors.Is(err, ErrNotFound) || errors.Is(err, ErrNoEndpoint) != missing || strings.Contains(err.Error(), "base address") != missing {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestTransient(t *testing.T) {
	for _, message := range []string{
		"Could not save a shipment, see error log for details", "The order couldn't be saved.", "Unable to save order",
		"Could not save the order: %1", "Cannot save the shipment", "Failed to save", "The product was unable to be saved. Please try again.",
		"SQLSTATE[40001]: Serialization failure: 1213 Deadlock found when trying to get lock; try restarting transaction",
		"SQLSTATE[HY000]: General error: 1205 Lock wait timeout exceeded", "Database deadlock found when trying to get lock",
		"SQLSTATE[HY000] [2002] Connection refused", "MySQL server has gone away",
	} {
		if e := (&Error{Status: 400, Message: message}); !e.Transient() {
			t.Errorf("400 %q is for good", message)
		}
	}
	for _, message := range []string{
		"", `Unable to add comment: The status "x" is not part of the order status history.`,
		"Shipment Document Validation Error(s):\nThe order does not allow a shipment", `No such entity with SKU = padlock`,
		"The requested qty is not available",
	} {
		if e := (&Error{Status: 400, Message: message}); e.Transient() {
			t.Errorf("400 %q is transient", message)
		}
	}
	for status, want := range map[int]bool{
		401: false, 403: false, 404: false, 405: false, 408: true, 409: false, 422: false, 423: true, 425: true, 429: true,
		500: true, 502: true, 503: true, 504: true, 301: false,
	} {
		if e := (&Error{Status: status}); e.Transient() != want {
			t.Errorf("%d transient: %v", status, e.Transient())
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"": 0, "12": 12 * time.Second, "-1": 0, "soon": 0, "1.5": 0, "4294967295": 24 * time.Hour, "99999999999999999999": 24 * time.Hour,
		" 12 ":                          12 * time.Second,
		"Mon, 23 Nov 2026 10:01:00 GMT": time.Minute, "Mon, 23 Nov 2026 09:00:00 GMT": 0,
		"Mon, 23 Nov 2037 09:00:00 GMT": 24 * time.Hour,
	} {
		if got := retryAfter(http.Header{"Retry-After": {header}}, now); got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
}

func FuzzDecodeErrorBody(f *testing.F) {
	for _, seed := range []string{
		`{"message":"No such entity with %1 = %2","parameters":["orderId","57"],"errors":[{"message":"%a","parameters":{"a":1}}]}`,
		`{"messages":{"error":[{"code":500,"message":"x"}]}}`, `{"message":"%1%2%1","parameters":{"0":"%","1":"%1"}}`,
		"<title>\xff</title>", `"\ud800"`, `{"parameters":{"":""},"message":"%"}`, `[`, "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		kind, message, params := decodeErrorBody(body)
		switch kind {
		case BodyEmpty, BodyJSON, BodyHTML, BodyText:
		default:
			t.Errorf("kind %q", kind)
		}
		if len(message) > maxMessage || !utf8.ValidString(message) {
			t.Errorf("message of %d bytes: %q", len(message), message)
		}
		if len(params) > maxParameters {
			t.Errorf("%d parameters", len(params))
		}
		for _, p := range params {
			if len(p.Name) > maxParameter || len(p.Value) > maxParameter {
				t.Errorf("parameter %q is too long", p)
			}
		}
		if (kind == BodyText || kind == BodyEmpty) && message != "" {
			t.Errorf("repeats a body: %q", message)
		}
	})
}
