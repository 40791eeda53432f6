package fakeerp_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mageline/mageline/erp/erptest"
	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/fakeerp"
	"github.com/mageline/mageline/test/kit/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type client struct {
	t      *testing.T
	url    string
	http   *http.Client
	header http.Header
}

func start(t *testing.T, o fakeerp.Options) (*fakeerp.Server, *client) {
	t.Helper()
	erp := fakeerp.New(o)
	server := httptest.NewServer(erp)
	c := &client{t, server.URL, &http.Client{Transport: &http.Transport{}}, http.Header{}}
	t.Cleanup(func() {
		c.http.CloseIdleConnections()
		erp.Close()
		server.Close()
	})
	return erp, c
}

// call gives status 0 where there was no answer.
func (c *client) call(ctx context.Context, method, path, key, body string) (status int, answer string) {
	c.t.Helper()
	request, err := http.NewRequestWithContext(ctx, method, c.url+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	request.GetBody = nil // or net/http sends it again by itself
	for k, v := range c.header {
		request.Header[k] = v
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return 0, ""
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, ""
	}
	return response.StatusCode, string(text)
}

func (c *client) create(reference string) (status int, answer string) {
	c.t.Helper()
	return c.call(c.t.Context(), http.MethodPost, "/sales-orders", "order_placed:"+reference, order(c.t, reference))
}

// order returns the body of an order with two lines.
func order(t *testing.T, reference string) string {
	t.Helper()
	body, err := json.Marshal(erptest.Order(reference))
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestServer_SecondPost(t *testing.T) {
	tests := map[string]struct {
		mode      fakeerp.Mode
		documents int
		status    int
		sameBody  bool
	}{
		"books":        {fakeerp.Books, 2, 201, false},
		"honours keys": {fakeerp.HonoursKeys, 1, 201, true},
		"conflicts":    {fakeerp.Conflicts, 1, 409, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			erp, c := start(t, fakeerp.Options{Mode: test.mode})
			status, first := c.create("000000001")
			if status != 201 || first != `{"document_number":"SO-1001"}` {
				t.Fatalf("first: %d %s", status, first)
			}
			status, second := c.create("000000001")
			if status != test.status || (first == second) != test.sameBody {
				t.Errorf("second: %d %s", status, second)
			}
			if status == 409 && !strings.Contains(second, `"document_number":"SO-1001"`) {
				t.Errorf("the conflict does not name the document: %s", second)
			}
			if got := erp.Counts()["000000001"]; got != test.documents {
				t.Errorf("%d documents, want %d", got, test.documents)
			}
		})
	}
}

// What it does not fail is booked the moment it arrives, however late it answers.
func TestServer_BooksBeforeALateAnswer(t *testing.T) {
	erp, c := start(t, fakeerp.Options{})
	erp.Faults.Next(fault.Fault{Kind: fault.Fail}, fault.Fault{Kind: fault.Late, After: time.Hour}, fault.Fault{Kind: fault.Drop})
	if status, _ := c.create("1"); status != 500 {
		t.Errorf("status %d, want 500", status)
	}
	if n := len(erp.Documents()); n != 0 {
		t.Errorf("a failed call made %d documents", n)
	}
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	answered, body := make(chan int, 1), order(t, "1")
	go func() {
		status, _ := c.call(ctx, http.MethodPost, "/sales-orders", "k", body)
		answered <- status
	}()
	kit.Eventually(t, 20*time.Second, func() bool { return erp.Counts()["1"] == 1 }, "the order to be booked")
	leave()
	if status := <-answered; status != 0 {
		t.Errorf("the late answer came: %d", status)
	}
	if status, _ := c.create("1"); status != 0 {
		t.Errorf("the dropped answer came: %d", status)
	}
	if n := erp.Counts()["1"]; n != 2 {
		t.Errorf("%d documents, want 2: a late one and a dropped one", n)
	}
	if n := len(erp.Requests()); n != 3 {
		t.Errorf("%d requests recorded, want 3", n)
	}
}

// Ten calls with one key, all while the first is running, make one document and get one answer.
func TestServer_HonoursKeyOfARunningCall(t *testing.T) {
	erp, c := start(t, fakeerp.Options{Mode: fakeerp.HonoursKeys})
	erp.SetBookingTime(50 * time.Millisecond)
	answers := make([]string, 10)
	var wait sync.WaitGroup
	for i := range answers {
		wait.Go(func() { _, answers[i] = c.create("7") })
	}
	wait.Wait()
	for _, a := range answers {
		if a != `{"document_number":"SO-1001"}` {
			t.Errorf("answer %q", a)
		}
	}
	if n := erp.Counts()["7"]; n != 1 {
		t.Errorf("%d documents, want 1", n)
	}
}

// A booking goes on after its client has left.
func TestServer_BooksThoughTheClientLeaves(t *testing.T) {
	erp, c := start(t, fakeerp.Options{})
	erp.SetBookingTime(100 * time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan struct{})
	go func() {
		defer close(left)
		c.call(ctx, http.MethodPost, "/sales-orders", "k", order(t, "9"))
	}()
	await(t, func() bool { return len(erp.Requests()) == 1 })
	cancel()
	<-left
	await(t, func() bool { return erp.Counts()["9"] == 1 })
}

func await(t *testing.T, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(20 * time.Second)
	for !done() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("it did not happen within 20 s")
		}
	}
}

func TestServer_Find(t *testing.T) {
	erp, c := start(t, fakeerp.Options{})
	erp.SetAccepting(true)
	if status, body := c.create("A&B/1"); status != 202 || body != "{}" {
		t.Errorf("%d %s", status, body)
	}
	erp.Book("A&B/1")
	status, body := c.call(t.Context(), http.MethodGet, "/sales-orders?external_reference=A%26B%2F1", "", "")
	want := `{"items":[{"document_number":"SO-1001","external_reference":"A\u0026B/1"},{"document_number":"SO-1002","external_reference":"A\u0026B/1"}]}`
	if status != 200 || body != want {
		t.Errorf("%d %s", status, body)
	}
	if status, body := c.call(t.Context(), http.MethodGet, "/sales-orders?external_reference=none", "", ""); status != 200 || body != `{"items":[]}` {
		t.Errorf("%d %s", status, body)
	}
	erp.SetLag(time.Hour)
	if _, body := c.call(t.Context(), http.MethodGet, "/sales-orders?external_reference=A%26B%2F1", "", ""); body != `{"items":[]}` {
		t.Errorf("a lagging look-up found %s", body)
	}
}

func TestServer_Cancel(t *testing.T) {
	erp, c := start(t, fakeerp.Options{Mode: fakeerp.HonoursKeys})
	c.create("1")
	body := `{"reason":"canceled in Magento","complete":true,"lines":[{"reference":"1001","sku":"24-MB01","quantity":"2"}]}`
	cancel := func(number, key string) (int, string) {
		return c.call(t.Context(), http.MethodPost, "/sales-orders/"+number+"/cancel", key, body)
	}
	if status, _ := cancel("SO-9", "order_canceled:x"); status != 404 {
		t.Errorf("unknown document: %d", status)
	}
	erp.RefuseCancellations("already shipped")
	if status, body := cancel("SO-1001", "order_canceled:1"); status != 422 || !strings.Contains(body, "already shipped") {
		t.Errorf("refused: %d %s", status, body)
	}
	erp.RefuseCancellations("")
	for range 2 {
		if status, _ := cancel("SO-1001", "order_canceled:1"); status != 200 {
			t.Errorf("status %d", status)
		}
	}
	d := erp.DocumentsOf("1")[0]
	if !d.Canceled || len(d.Cancellations) != 1 || d.Cancellations[0].Lines[0].Quantity != "2" {
		t.Errorf("%+v", d)
	}
}

func TestServer_CredentialsAndHeaders(t *testing.T) {
	const token, secret = "erp-token", "erp-secret"
	erp, c := start(t, fakeerp.Options{Token: token, Secret: secret})
	body := order(t, "1")
	sign := func(stamp int64, body string) string {
		mac := hmac.New(sha256.New, []byte(secret))
		fmt.Fprintf(mac, "%d.%s", stamp, body)
		return "t=" + strconv.FormatInt(stamp, 10) + ",v1=" + hex.EncodeToString(mac.Sum(nil))
	}
	now := time.Now().Unix()
	tests := []struct {
		name, authorization, signature, key string
		status                              int
		problem                             string
	}{
		{"right", "Bearer " + token, sign(now, body), "k", 201, ""},
		{"no token", "", sign(now, body), "k", 401, "wrong token"},
		{"other token", "Bearer x", sign(now, body), "k", 401, "wrong token"},
		{"no signature", "Bearer " + token, "", "k", 401, "wrong signature"},
		{"other body signed", "Bearer " + token, sign(now, "{}"), "k", 401, "wrong signature"},
		{"old signature", "Bearer " + token, sign(now-3600, body), "k", 401, "wrong signature"},
		{"no key", "Bearer " + token, sign(now, body), "", 201, "no Idempotency-Key"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c.header = http.Header{"Authorization": {test.authorization}, "X-Mageline-Signature": {test.signature}}
			if status, _ := c.call(t.Context(), http.MethodPost, "/sales-orders", test.key, body); status != test.status {
				t.Errorf("status %d, want %d", status, test.status)
			}
			requests := erp.Requests()
			if got := strings.Join(requests[len(requests)-1].Problems, ", "); got != test.problem {
				t.Errorf("problems %q, want %q", got, test.problem)
			}
		})
	}
	if erp.Problems()["wrong signature"] != 3 {
		t.Errorf("%v", erp.Problems())
	}
}

func TestServer_RefusesWhatIsNoOrder(t *testing.T) {
	erp, c := start(t, fakeerp.Options{})
	for body, want := range map[string]int{`{`: 400, `{}`: 422} {
		if status, _ := c.call(t.Context(), http.MethodPost, "/sales-orders", "k", body); status != want {
			t.Errorf("%s: %d, want %d", body, status, want)
		}
	}
	if n := len(erp.Documents()); n != 0 {
		t.Errorf("%d documents", n)
	}
}

// A simulator that runs for ever does not grow for ever.
func TestServer_KeepsTheLastRequests(t *testing.T) {
	erp, c := start(t, fakeerp.Options{Keep: 3, Mode: fakeerp.HonoursKeys})
	for i := range 5 {
		c.create(strconv.Itoa(i))
	}
	documents := erp.Documents()
	if len(documents) != 3 || documents[0].Reference != "2" || len(erp.Requests()) != 3 {
		t.Errorf("%d documents, %d requests", len(documents), len(erp.Requests()))
	}
	var body struct {
		Reference string `json:"external_reference"`
	}
	if err := json.Unmarshal(documents[2].Body, &body); err != nil || body.Reference != "4" {
		t.Errorf("%s %v", documents[2].Body, err)
	}
}
