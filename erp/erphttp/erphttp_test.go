package erphttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answering makes a client whose requests are answered with a status and a body.
func answering(t *testing.T, o Options, status int, body string, header ...string) *Client {
	t.Helper()
	return through(t, o, func(r *http.Request) (*http.Response, error) {
		h := http.Header{}
		for i := 0; i+1 < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	})
}

func through(t *testing.T, o Options, f transport) *Client {
	t.Helper()
	if o.URL == "" {
		o.URL = "https://user:hush-hush@erp.example/base?code=hush-too"
	}
	o.HTTP = &http.Client{Transport: f}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// post sends a request and returns the error of it, or of its answer.
func post(ctx context.Context, c *Client, r Request) (*Answer, error) {
	if r.Method == "" {
		r.Method, r.Body = http.MethodPost, []byte(`{}`)
	}
	if r.What == "" {
		r.What = "create sales order 000000123"
	}
	a, err := c.Do(ctx, r)
	if err == nil && !a.OK() {
		err = a.Refused()
	}
	return a, err
}

func told(s string) *string { return &s }

func TestDo_SendsWhatEveryRequestHas(t *testing.T) {
	var got *http.Request
	var body []byte
	c := through(t, Options{Authorize: func(r *http.Request, body []byte, _ bool) error {
		r.Header.Set("Authorization", "Sign "+string(body))
		return nil
	}}, func(r *http.Request) (*http.Response, error) {
		got = r
		body, _ = io.ReadAll(r.Body)
		return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("\ufeff {\"a\":1}\n")), Request: r}, nil
	})
	a, err := c.Do(t.Context(), Request{
		What: "x", Method: http.MethodPost, Path: Path("orders", "SO/1 %", "cancel"), Query: url.Values{"q": {"A&1"}},
		Header: http.Header{"idempotency-key": {"k"}}, Body: []byte(`{"b":2}`),
	})
	if err != nil || string(a.Body) != `{"a":1}` {
		t.Fatalf("answer %+v, %v", a, err)
	}
	if want := "https://user:hush-hush@erp.example/base/orders/SO%2F1%20%25/cancel?code=hush-too&q=A%261"; got.URL.String() != want {
		t.Errorf("sent to %s, want %s", got.URL, want)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "mageline", "Idempotency-Key": "k",
		"Authorization": `Sign {"b":2}`,
	} {
		if v := got.Header.Get(name); v != want {
			t.Errorf("%s: sent %q, want %q", name, v, want)
		}
	}
	if string(body) != `{"b":2}` || got.GetBody != nil {
		t.Errorf("sent %s; can be rewound: %t", body, got.GetBody != nil)
	}
}

// The table of MeaningOf, row by row.
func TestMeaningOf_EveryStatus(t *testing.T) {
	rows := map[int]Meaning{
		401: {event.Unauthorized, true}, 403: {event.Unauthorized, true}, 404: {event.NotFound, true},
		408: {event.Timeout, false}, 423: {event.Unavailable, true}, 425: {event.Unavailable, true}, 429: {event.Throttled, false},
	}
	for status := 300; status < 600; status++ {
		want, ok := rows[status]
		switch {
		case ok:
		case status < 400, status >= 500:
			want = Meaning{event.Unavailable, false}
		default:
			want = Meaning{event.Rejected, true}
		}
		_, err := post(t.Context(), answering(t, Options{}, status, ``), Request{})
		if got := MeaningOf(status); got != want || event.ClassOf(err) != want.Class || event.IsNotDone(err) != want.NotDone {
			t.Errorf("%d: means %+v, error %v (class %s, not done %t); want %+v", status, got, err, event.ClassOf(err), event.IsNotDone(err), want)
		}
		_, err = post(t.Context(), answering(t, Options{}, status, ``), Request{Question: true})
		if event.ClassOf(err) != want.Class || event.IsNotDone(err) {
			t.Errorf("%d to a question: %v, not done %t", status, err, event.IsNotDone(err))
		}
	}
}

// An ERP that tells locks, throttles and permissions in its own words.
func TestDialect_RulesComeBeforeTheStatus(t *testing.T) {
	d := Dialect{Rules: []Rule{
		{Status: 401, Code: "INVALID_LOGIN", AtMost: 5, Meaning: Meaning{Class: event.Throttled}},
		{Status: 400, Text: "is locked by", Meaning: Meaning{event.Unavailable, true}},
		{Status: 400, Code: "EXISTS", Meaning: Meaning{Class: event.Unavailable}},
		{Code: "BUSY", Meaning: Meaning{Class: event.Throttled}},
		{Status: 400, Text: "your current role", Meaning: Meaning{event.Unauthorized, true}},
		{Status: 429, Code: "DAY", Meaning: Meaning{event.Rejected, true}},
	}}
	for _, tt := range []struct {
		status    int
		body      string
		throttles int
		want      Meaning
		tells     event.Subject
	}{
		{400, `{"error":{"code":"V1/042","message":{"lang":"en","value":"Order 7 IS LOCKED by SMITH"}}}`, 0, Meaning{event.Unavailable, true}, event.AboutRequest},
		{400, `{"error":{"code":"EXISTS","message":"there"}}`, 0, Meaning{event.Unavailable, false}, event.AboutRequest},
		{400, `{"message":"no such item"}`, 0, Meaning{event.Rejected, true}, event.AboutRequest},
		{400, `{"error":"Your current role does not allow it"}`, 0, Meaning{event.Unauthorized, true}, event.AboutRequest},
		{503, `{"code":"BUSY","message":"later"}`, 0, Meaning{event.Throttled, false}, event.AboutLoad},
		{503, `later`, 0, Meaning{event.Unavailable, false}, event.AboutHealth},
		{429, `{"code":"DAY","message":"enough for today"}`, 0, Meaning{event.Rejected, true}, event.AboutRequest},
		// Where the transport counts the throttles, the first five wait; the client sees only those after.
		{401, `{"code":"INVALID_LOGIN","message":"x"}`, 4, Meaning{event.Unauthorized, true}, event.AboutLoad},
		{401, `{"code":"INVALID_LOGIN","message":"x"}`, 5, Meaning{event.Unauthorized, true}, event.AboutCredential},
	} {
		_, err := post(t.Context(), answering(t, Options{Dialect: d}, tt.status, tt.body), Request{})
		if event.ClassOf(err) != tt.want.Class || event.IsNotDone(err) != tt.want.NotDone {
			t.Errorf("%d %s: error %v (class %s, not done %t), want %+v", tt.status, tt.body, err, event.ClassOf(err), event.IsNotDone(err), tt.want)
		}
		a := event.Answer{Status: tt.status, Body: []byte(tt.body), Throttles: tt.throttles}
		if got := d.Subject(a, event.SubjectOf(tt.status)); got != tt.tells {
			t.Errorf("%d %s: is about the %s, want the %s", tt.status, tt.body, got, tt.tells)
		}
	}
}

func TestReadError_UsualForms(t *testing.T) {
	for body, want := range map[string][2]string{
		`{"message":"a"}`:                      {"", "a"},
		`{"code":7,"message":"a"}`:             {"7", "a"},
		`{"message":"","error":"b"}`:           {"", "b"},
		`{"error":{"code":"X","message":"c"}}`: {"X", "c"},
		`{"code":"T","error":{"message":"c"}}`: {"T", "c"},
		`{"error":{"message":{"value":"d"}}}`:  {"", "d"},
		`{"error":{"message":{"text":"d"}}}`:   {"", ""},
		`{"detail":"e"}`:                       {"", ""},
		`["f"]`:                                {"", ""},
		`<h1>g</h1>`:                           {"", ""},
		``:                                     {"", ""},
		`{"code":{"a":1},"message":["h"],"error":12}`: {"", ""},
	} {
		if code, message := ReadError([]byte(body)); code != want[0] || message != want[1] {
			t.Errorf("%s: code %q, message %q; want %q", body, code, message, want)
		}
	}
}

func TestRefused_RepeatsNoPersonalData(t *testing.T) {
	order := &erp.SalesOrder{
		ExternalReference: "000000123",
		Customer:          erp.Customer{Email: told("vesna@fixture.example"), FirstName: told("Vesna"), LastName: told("Testperson")},
		ShippingAddress:   &erp.Address{Street: []string{"Geheimweg  7"}, Telephone: told("+49 341 5550142"), FirstName: told("Vesna Maria")},
	}
	for body, want := range map[string]string{
		`{"message":"customer VESNA testperson <vesna@fixture.example>, other@fixture.example\n of Geheimweg 7 (+49 341 5550142) is blocked"}`: "customer *** *** <***>, *** of *** (***) is blocked",
		`{"error":"Vesna Maria is unknown"}`:           "*** is unknown",
		`{"error":{"code":7,"message":"no such SKU"}}`: "no such SKU",
	} {
		_, err := post(t.Context(), answering(t, Options{}, 422, body), Request{Order: order})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q in it", body, err, want)
		}
		for _, personal := range []string{"esna", "estperson", "fixture.example", "Geheim", "5550142", "Maria"} {
			if strings.Contains(err.Error(), personal) {
				t.Errorf("%s: %q is in %v", body, personal, err)
			}
		}
	}
	for _, body := range []string{`<h1>Vesna</h1>`, `["Vesna"]`, `{"detail":"Vesna"}`, `{"message":{"text":"Vesna"}}`} {
		if _, err := post(t.Context(), answering(t, Options{}, 500, body), Request{}); strings.Contains(err.Error(), "Vesna") {
			t.Errorf("%s is repeated: %v", body, err)
		}
	}
	_, err := post(t.Context(), answering(t, Options{}, 422, `{"message":"`+strings.Repeat("ä", 50_000)+`"}`), Request{Order: order})
	if len([]rune(err.Error())) > 2*maxMessage {
		t.Errorf("the error has %d characters", len([]rune(err.Error())))
	}
}

// An ERP or a proxy may repeat what it was sent.
func TestErrors_RepeatNoCredential(t *testing.T) {
	authorize := func(r *http.Request, _ []byte, _ bool) error {
		r.Header.Set("Authorization", "Token s3cr3t-t0ken")
		r.Header.Set("Cookie", "session=s3cr3t-session; plain=1")
		return nil
	}
	for status, text := range map[int]string{
		400: "unknown header Authorization: Token s3cr3t-t0ken", 401: "the token s3cr3t-t0ken has ended",
		500: "session s3cr3t-session of code hush-too, user:hush-hush", 403: "Bearer an-other.s3cr3t-one is not valid here",
	} {
		c := answering(t, Options{Authorize: authorize}, status, fmt.Sprintf(`{"message":%q}`, text))
		if _, err := post(t.Context(), c, Request{}); strings.Contains(err.Error(), "s3cr3t") || strings.Contains(err.Error(), "hush") || !strings.Contains(err.Error(), "***") {
			t.Errorf("%d: %v", status, err)
		}
	}
	for _, cause := range []error{io.ErrUnexpectedEOF, context.DeadlineExceeded, errors.New("x")} {
		c := through(t, Options{Authorize: authorize}, func(*http.Request) (*http.Response, error) { return nil, cause })
		if _, err := post(t.Context(), c, Request{}); strings.Contains(err.Error(), "s3cr3t") || strings.Contains(err.Error(), "hush") {
			t.Errorf("%v: %v", cause, err)
		}
	}
}

func TestErrors_NameTheSettings(t *testing.T) {
	for _, tt := range []struct {
		o               Options
		status          int
		address, secret string
	}{
		{Options{}, 404, "the ERP's address", "the ERP's credential"},
		{Options{AddressName: "SHOP_ERP", CredentialName: "SHOP_TOKEN"}, 404, "SHOP_ERP", "SHOP_TOKEN"},
	} {
		_, err := post(t.Context(), answering(t, tt.o, tt.status, ``), Request{})
		_, refused := post(t.Context(), answering(t, tt.o, 401, ``), Request{})
		if !strings.Contains(err.Error(), tt.address) || !strings.Contains(refused.Error(), tt.secret) || strings.Contains(err.Error()+refused.Error(), "MAGELINE") {
			t.Errorf("errors %v; %v", err, refused)
		}
	}
}

func TestDo_RefusedIsRepeatedOnceWithARenewedCredential(t *testing.T) {
	for _, tt := range []struct {
		answers []int
		class   event.Class // "" is success
	}{
		{[]int{401, 201}, ""},
		{[]int{403, 200}, ""},
		{[]int{401, 401}, event.Unauthorized},
		{[]int{401, 422}, event.Rejected},
		{[]int{422}, event.Rejected},
		{[]int{500}, event.Unavailable},
	} {
		var sent []string
		c := through(t, Options{Authorize: func(r *http.Request, _ []byte, refused bool) error {
			r.Header.Set("Authorization", fmt.Sprint(refused))
			return nil
		}}, func(r *http.Request) (*http.Response, error) {
			body, _ := io.ReadAll(r.Body)
			sent = append(sent, r.Header.Get("Authorization")+" "+string(body))
			return &http.Response{StatusCode: tt.answers[len(sent)-1], Body: http.NoBody, Request: r}, nil
		})
		_, err := post(t.Context(), c, Request{})
		if (err == nil) != (tt.class == "") || err != nil && event.ClassOf(err) != tt.class || len(sent) != len(tt.answers) {
			t.Errorf("%v: %v after %q", tt.answers, err, sent)
		}
		if len(sent) == 2 && (sent[0] != "false {}" || sent[1] != "true {}") {
			t.Errorf("%v: sent %q", tt.answers, sent)
		}
	}
}

func TestDo_FailedAuthorizationSendsNothing(t *testing.T) {
	cause := &event.Error{Class: event.Unavailable, Downstream: Downstream, Err: errors.New("no token")}
	c := through(t, Options{Authorize: func(*http.Request, []byte, bool) error { return cause }}, func(*http.Request) (*http.Response, error) {
		t.Error("it was sent")
		return nil, io.EOF
	})
	if _, err := post(t.Context(), c, Request{}); !errors.Is(err, cause) || !event.IsNotDone(err) {
		t.Errorf("error %v, not done %t", err, event.IsNotDone(err))
	}
}

func TestRefused_SaysForHowLongItIsThrottled(t *testing.T) {
	now := time.Date(2026, 11, 23, 9, 15, 2, 0, time.UTC)
	for header, want := range map[string]time.Duration{"": 0, "7": 7 * time.Second, "soon": 0, "Mon, 23 Nov 2026 09:15:32 GMT": 30 * time.Second} {
		c := answering(t, Options{Now: func() time.Time { return now }}, 429, ``, "Retry-After", header)
		_, err := post(t.Context(), c, Request{})
		var e *event.Error
		if !errors.As(err, &e) || e.RetryAfter != want {
			t.Errorf("%q: error %v, want %v", header, e, want)
		}
	}
}

func TestDo_ErrorsOfTheTransportKeepTheirClassAndMark(t *testing.T) {
	for name, tt := range map[string]struct {
		err     error
		class   event.Class
		notDone bool
	}{
		"refused before it was written": {event.NotDone(&event.Error{Class: event.Unavailable, Downstream: "erp", Err: errors.New("refused")}), event.Unavailable, true},
		"classified":                    {&event.Error{Class: event.Throttled, Downstream: "erp", RetryAfter: time.Minute, Err: errors.New("429")}, event.Throttled, false},
		"plain":                         {io.ErrUnexpectedEOF, event.Unavailable, false},
		"deadline":                      {context.DeadlineExceeded, event.Timeout, false},
	} {
		c := through(t, Options{}, func(*http.Request) (*http.Response, error) { return nil, tt.err })
		_, err := post(t.Context(), c, Request{})
		if event.ClassOf(err) != tt.class || event.IsNotDone(err) != tt.notDone || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: error %v, class %s, not done %t", name, err, event.ClassOf(err), event.IsNotDone(err))
		}
		if _, err := post(t.Context(), c, Request{Question: true}); event.ClassOf(err) != tt.class || event.IsNotDone(err) {
			t.Errorf("%s, asked: error %v, class %s, not done %t", name, err, event.ClassOf(err), event.IsNotDone(err))
		}
	}
}

func TestDo_OpenCircuitStaysADeferral(t *testing.T) {
	open := &event.Deferral{Reason: "the circuit of erp is open", Downstream: "erp", Pick: event.Shortest}
	c := through(t, Options{}, func(*http.Request) (*http.Response, error) { return nil, event.NotDone(open) })
	var d *event.Deferral
	if _, err := post(t.Context(), c, Request{}); !errors.As(err, &d) || !event.IsNotDone(err) {
		t.Errorf("error %v", err)
	}
	if _, err := post(t.Context(), c, Request{Question: true}); !errors.As(err, &d) || event.IsNotDone(err) {
		t.Errorf("asked: error %v, not done %t", err, event.IsNotDone(err))
	}
}

// net/http repeats a POST with an Idempotency-Key by itself when a kept connection breaks, if it can rewind the body.
func TestDo_NetHTTPDoesNotRepeatAPost(t *testing.T) {
	var posts atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if posts.Add(1) == 1 {
			w.WriteHeader(http.StatusCreated)
			return
		}
		if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
			conn.Close()
		}
	}))
	defer server.Close()
	c, err := New(Options{HTTP: server.Client(), URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	keyed := Request{What: "x", Method: http.MethodPost, Header: http.Header{"Idempotency-Key": {"k"}}, Body: []byte(`{}`)}
	if _, err := c.Do(t.Context(), keyed); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Do(t.Context(), keyed); event.ClassOf(err) != event.Unavailable || event.IsNotDone(err) || posts.Load() != 2 {
		t.Errorf("error %v after %d requests, want 2", err, posts.Load())
	}
}

type breaking struct{ io.Reader }

func (b breaking) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func TestDo_BodyThatBreaksOff(t *testing.T) {
	for status, class := range map[int]event.Class{201: event.Unavailable, 422: event.Rejected} {
		c := through(t, Options{}, func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, Body: io.NopCloser(breaking{strings.NewReader(`{"message":"no"}`)}), Request: r}, nil
		})
		if _, err := post(t.Context(), c, Request{}); event.ClassOf(err) != class || event.IsNotDone(err) != (status == 422) {
			t.Errorf("%d: error %v, not done %t", status, err, event.IsNotDone(err))
		}
	}
}

func TestAnswer_LongerThanTheBoundIsUnreadable(t *testing.T) {
	for length, fits := range map[int]bool{100: true, 101: false} {
		c := answering(t, Options{MaxBody: 100}, 200, `{"a":1}`+strings.Repeat(" ", length-7))
		a, err := c.Do(t.Context(), Request{What: "x", Method: http.MethodGet})
		if err != nil {
			t.Fatal(err)
		}
		var v map[string]any
		err = a.Object(&v)
		if (err == nil) != fits || !fits && !errors.Is(err, ErrTooLong) {
			t.Errorf("%d bytes: %v", length, err)
		}
		var e *event.Error
		if err = a.Unreadable(errors.New("x")); !errors.As(err, &e) || !e.Unreadable || e.Class != event.Unavailable || event.IsNotDone(err) {
			t.Errorf("unreadable: %v", err)
		}
	}
}

func TestDo_HeaderWithControlCharactersIsNotSent(t *testing.T) {
	c := through(t, Options{}, func(*http.Request) (*http.Response, error) {
		t.Error("it was sent")
		return nil, io.EOF
	})
	_, err := post(t.Context(), c, Request{Header: http.Header{"Idempotency-Key": {"a\r\nb"}}})
	if event.ClassOf(err) != event.Invalid || !event.IsNotDone(err) {
		t.Errorf("error %v", err)
	}
}

func TestNew_RefusesWhatIsNoAddress(t *testing.T) {
	for _, u := range []string{"", "erp.example", "ftp://erp.example", "https://", "https://user:hush@erp.example:port", "://"} {
		if _, err := New(Options{URL: u}); err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%q: error %v", u, err)
		}
	}
}

func FuzzRefused(f *testing.F) {
	for _, s := range []string{`{"message":"no a@b.c"}`, "\ufeff{}", `{"error":{"message":"x"}}`, `{"message":"Bearer abcdefghi"}`, ``, `[]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		_, message := ReadError(body)
		m := redact(message, nil, nil, []string{"s3cr3t"})
		if len([]rune(m)) > maxMessage+1 || emailLike.MatchString(strings.TrimSuffix(m, "…")) || strings.ContainsAny(m, "\r\n\x1b") || strings.Contains(m, "s3cr3t") {
			t.Errorf("message %q", m)
		}
	})
}

// OData's options begin with a dollar, and not every ERP takes a plus for a blank.
func TestDo_QueryHasNoPlusForABlank(t *testing.T) {
	t.Parallel()
	var sent string
	c := through(t, Options{URL: "https://erp.example/base"}, func(r *http.Request) (*http.Response, error) {
		sent = r.URL.RawQuery
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("{}")), Request: r}, nil
	})
	_, err := c.Do(t.Context(), Request{What: "ask", Method: http.MethodGet, Query: url.Values{"$filter": {"Name eq 'O''Neil + 1$'"}}, Question: true})
	if want := "$filter=Name%20eq%20%27O%27%27Neil%20%2B%201$%27"; err != nil || sent != want {
		t.Errorf("the query is %s, error %v; want %s", sent, err, want)
	}
}
