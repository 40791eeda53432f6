package elastic_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/search"
	"github.com/mageline/mageline/search/elastic"
	"github.com/mageline/mageline/test/kit/fakesearch"
	"github.com/mageline/mageline/test/kit/fault"
)

func many(n int) []search.Write {
	writes := make([]search.Write, n)
	for i := range writes {
		writes[i] = put(fmt.Sprintf("s%d", i), 1, `{"name":"x"}`)
	}
	return writes
}

func TestWrite_RepeatsOnlyItemsThatFailed(t *testing.T) {
	for _, status := range []int{429, 503} {
		e := fake(t, fakesearch.Options{})
		c := e.client()
		target := e.ensure(c, "t-products")
		e.fake.FailItems(fakesearch.ItemFault{Every: 3, Status: status})
		for i, end := range e.write(c, target, many(100)...) {
			if end != "written" {
				t.Errorf("%d: item %d: %s", status, i, end)
			}
		}
		// 100, then 33, 11, 3, 1: what was written is not sent again.
		if writes, bulks := e.fake.Writes(), e.fake.Bulks(); writes != 100 || bulks != 5 {
			t.Errorf("%d: %d writes in %d requests", status, writes, bulks)
		}
	}
}

func TestWrite_ItemThatStaysThrottledFailsAlone(t *testing.T) {
	for status, class := range map[int]event.Class{429: event.Throttled, 503: event.Unavailable} {
		e := fake(t, fakesearch.Options{})
		c := e.client()
		target := e.ensure(c, "t-products")
		e.fake.FailItems(fakesearch.ItemFault{Every: 1, Status: status, Only: func(id string) bool { return id == "s7" }})
		for i, end := range e.write(c, target, many(20)...) {
			if want := map[bool]string{true: string(class), false: "written"}[i == 7]; end != want {
				t.Errorf("%d: item %d: %s, want %s", status, i, end, want)
			}
		}
		if bulks := e.fake.Bulks(); bulks != 6 {
			t.Errorf("%d: %d requests, want 1 and 5 repetitions", status, bulks)
		}
	}
}

func TestWrite_RepeatsTheWholeRequest(t *testing.T) {
	for name, f := range map[string]fault.Fault{
		"429": {Kind: fault.Throttle}, "502": {Kind: fault.Fail, Status: 502}, "503": {Kind: fault.Page, Status: 503}, "504": {Kind: fault.Fail, Status: 504},
		"not taken": {Kind: fault.Refuse}, "answer lost": {Kind: fault.Drop},
	} {
		t.Run(name, func(t *testing.T) {
			e := fake(t, fakesearch.Options{})
			c := e.client()
			target := e.ensure(c, "t-products")
			e.fake.Faults.Next(f, f)
			for i, end := range e.write(c, target, many(3)...) {
				if end != "written" {
					t.Errorf("item %d: %s", i, end)
				}
			}
			if len(e.fake.Documents("t-products")) != 3 {
				t.Errorf("documents %v", e.fake.Documents("t-products"))
			}
		})
	}
}

func TestWrite_WaitsNoLongerThanItMay(t *testing.T) {
	e := fake(t, fakesearch.Options{})
	c := e.client(func(o *elastic.Options) { o.Repeats = elastic.Repeats{Wait: time.Hour, MaxWait: 2 * time.Hour} })
	target := e.ensure(c, "t-products")
	e.fake.Faults.Set(fault.Plan{Every: fault.Fault{Kind: fault.Throttle}})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := c.Write(ctx, target, many(1)); event.ClassOf(err) != event.Throttled {
		t.Errorf("a deadline before the end of the wait: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := c.Write(ctx, target, many(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that ends: %v", err)
	}
	e.fake.Faults.Set(fault.Plan{Every: fault.Fault{Kind: fault.Throttle, RetryAfter: "100000"}})
	var told *event.Error
	if _, err := c.Write(t.Context(), target, many(1)); !errors.As(err, &told) || told.RetryAfter != 100000*time.Second {
		t.Errorf("a wait that is too long: %v", err)
	}
	// Single items, too: their results say how far it came.
	e.fake.Faults.Set(fault.Plan{})
	e.fake.FailItems(fakesearch.ItemFault{Every: 2})
	ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	results, err := c.Write(ctx, target, many(4))
	if err != nil || results[0].Err != nil || event.ClassOf(results[1].Err) != event.Throttled {
		t.Errorf("%+v, %v", results, err)
	}
}

func TestWrite_TooLargeIsHalved(t *testing.T) {
	engines(t, func(t *testing.T, e *engine) {
		unit := 1 << 20
		if e.fake != nil {
			unit = 64 << 10
			e.fake.SetMaxContent(int64(8 * unit))
		}
		c := e.client(func(o *elastic.Options) { o.MaxBytes, o.MaxDocument = 64<<20, 64<<20 })
		index := e.index("products")
		target := e.ensure(c, index)
		text := func(units int) string { return `{"image":"` + strings.Repeat("i", units*unit) + `"}` }
		writes := []search.Write{put("a", 1, text(3)), put("b", 1, text(3)), put("c", 1, text(9)), put("d", 1, text(1)), put("e", 1, text(3)), drop("f", 1)}
		for i, end := range e.write(c, target, writes...) {
			if want := map[bool]string{true: "rejected", false: "written"}[i == 2]; end != want {
				t.Errorf("%s: %s, want %s", writes[i].ID, end, want)
			}
		}
		if n, err := c.Count(t.Context(), target); n != 4 || err != nil {
			t.Errorf("%d documents, %v", n, err)
		}
		if e.fake == nil {
			return
		}
		before := e.fake.Refusals()["413 "]
		e.write(c, target, put("a", 2, text(3)), put("b", 2, text(3)), put("e", 2, text(3)))
		if again := e.fake.Refusals()["413 "]; again != before {
			t.Errorf("%d requests were too large again", again-before)
		}
	})
}

func TestWrite_DocumentOverTheLimitIsRefusedAlone(t *testing.T) {
	e := fake(t, fakesearch.Options{})
	c := e.client(func(o *elastic.Options) { o.MaxDocument = 1000 })
	target := e.ensure(c, "t-products")
	ends := e.write(c, target, put("A", 1, `{"name":"`+strings.Repeat("x", 2000)+`"}`), put("B", 1, `{}`))
	if ends[0] != "rejected" || ends[1] != "written" {
		t.Error(ends)
	}
}

func TestWrite_RenewsTheCredential(t *testing.T) {
	e := fake(t, fakesearch.Options{Authorization: "ApiKey new-one"})
	var asked atomic.Int64
	c := e.client(func(o *elastic.Options) {
		o.Credential = func(_ context.Context, refused bool) (string, error) {
			asked.Add(1)
			if refused {
				return "ApiKey new-one", nil
			}
			return "ApiKey old-one", nil
		}
	})
	target := e.ensure(c, "t-products")
	if ends := e.write(c, target, many(1)...); ends[0] != "written" {
		t.Error(ends)
	}
	c = e.client(func(o *elastic.Options) { o.Credential, o.CredentialName = elastic.APIKey("old-one"), "SEARCH_KEY" })
	_, err := c.Write(t.Context(), target, many(1))
	if event.ClassOf(err) != event.Unauthorized || !strings.Contains(err.Error(), "SEARCH_KEY") {
		t.Errorf("error %v", err)
	}
	for want, credential := range map[string]elastic.Credential{
		"Basic dXNlcjpwYXNz": elastic.Basic("user", "pass"), "ApiKey os_x:y=": elastic.APIKey("os_x:y="), "Bearer a.b.c": elastic.Bearer("a.b.c"),
	} {
		if got, err := credential(t.Context(), false); got != want || err != nil {
			t.Errorf("%s, %v; want %s", got, err, want)
		}
	}
}

func TestWrite_AsksTheNextNode(t *testing.T) {
	e := fake(t, fakesearch.Options{})
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	c := e.client(func(o *elastic.Options) { o.URLs = []string{dead.URL, e.url} })
	target := e.ensure(c, "t-products")
	if ends := e.write(c, target, many(1)...); ends[0] != "written" {
		t.Error(ends)
	}
}

// answering makes a client whose requests all get one answer.
func answering(t *testing.T, status int, body string, header ...string) *elastic.Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	c, err := elastic.New(elastic.Options{
		URLs: []string{strings.Replace(server.URL, "http://", "http://user:hush-hush@", 1) + "/base"}, AddressName: "SEARCH_URL", CredentialName: "SEARCH_KEY",
		Credential: elastic.APIKey("s3cr3t-k3y"), Repeats: elastic.Repeats{Max: -1},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWrite_WholeRequestRefused(t *testing.T) {
	say := func(kind string) string { return `{"error":{"type":"` + kind + `","reason":"why"},"status":0}` }
	for _, tt := range []struct {
		status int
		body   string
		class  event.Class
		text   string
	}{
		{301, "", event.Unavailable, "SEARCH_URL to the final address"},
		{401, say("security_exception"), event.Unauthorized, "check SEARCH_KEY"},
		{403, say("security_exception"), event.Unauthorized, "check SEARCH_KEY"},
		{403, say("cluster_block_exception"), event.Unavailable, "takes no writes"},
		{429, say("cluster_block_exception"), event.Unavailable, "takes no writes"},
		{429, say("circuit_breaking_exception"), event.Throttled, "circuit_breaking_exception"},
		{429, "", event.Throttled, "429"},
		{404, say("index_not_found_exception"), event.Unavailable, "not there any more"},
		{404, "<h1>no</h1>", event.Unavailable, "see that SEARCH_URL leads to"},
		{405, `{"error":"Incorrect HTTP method"}`, event.Unavailable, "Incorrect HTTP method"},
		{406, `{"error":"Content-Type header [x] is not supported","status":406}`, event.Unavailable, "is not supported"},
		{408, "", event.Timeout, "408"},
		{500, say("exception"), event.Unavailable, "exception: why"},
		{503, "<html>", event.Unavailable, "503"},
		{200, "<html>login</html>", event.Unavailable, "can't be read"},
		{200, "", event.Unavailable, "can't be read"},
		{200, `{"errors":false}`, event.Unavailable, "it has 0 items"},
		{200, `{"items":[{"delete":{"status":200}},{"index":{"status":200}}]}`, event.Unavailable, "not of the action"},
		{200, `[1]`, event.Unavailable, "can't be read"},
	} {
		_, err := answering(t, tt.status, tt.body, "Location", "https://elsewhere.example").Write(t.Context(), search.Target{Index: "products", Name: "p-write"}, many(2))
		if event.ClassOf(err) != tt.class || err == nil || !strings.Contains(err.Error(), tt.text) || !strings.HasPrefix(err.Error(), "write 2 documents to products") {
			t.Errorf("%d %s: %v (%s), want %s with %q", tt.status, tt.body, err, event.ClassOf(err), tt.class, tt.text)
		}
		var e *event.Error
		if !errors.As(err, &e) || e.Downstream != "search" || e.Unreadable != (tt.status == 200) {
			t.Errorf("%d %s: %+v", tt.status, tt.body, e)
		}
	}
	// What may be one document's fault is refused for each, and no call fails.
	for _, status := range []int{400, 413} {
		results, err := answering(t, status, say("illegal_argument_exception")).Write(t.Context(), search.Target{Index: "products", Name: "p-write"}, many(3))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range results {
			if event.ClassOf(r.Err) != event.Rejected || !strings.Contains(r.Err.Error(), "document s") {
				t.Errorf("%d: %v", status, r.Err)
			}
		}
	}
}

func TestErrors_RepeatNoCredential(t *testing.T) {
	text := `{"error":{"type":"security_exception","reason":"ApiKey s3cr3t-k3y of user:hush-hush is not known,\n nor Bearer aaaaaaaa.bbbbbb ` + strings.Repeat("ä", 5000) + `"}}`
	for _, status := range []int{401, 403, 500} {
		_, err := answering(t, status, text).Count(t.Context(), search.Target{Index: "products", Name: "p-write"})
		if err == nil || strings.Contains(err.Error(), "s3cr3t") || strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "aaaa") || strings.Contains(err.Error(), "\n") ||
			len([]rune(err.Error())) > 700 {
			t.Errorf("%d: %v", status, err)
		}
	}
	c, err := elastic.New(elastic.Options{URLs: []string{"http://user:hush-hush@127.0.0.1:1/"}, Repeats: elastic.Repeats{Max: -1}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Version(t.Context()); err == nil || strings.Contains(err.Error(), "hush") || event.ClassOf(err) != event.Unavailable {
		t.Errorf("error %v", err)
	}
}

func TestEnsure_RefusesOldEngines(t *testing.T) {
	for number, want := range map[string]bool{
		`"7.9.3"`: false, `"6.8.0"`: false, `"7.10.2"`: true, `"8.0.0"`: true, `"10.1"`: true, `"1.3.0","distribution":"opensearch"`: true, `"new"`: true,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/" {
				w.WriteHeader(http.StatusTeapot)
			}
			_, _ = io.WriteString(w, `{"version":{"number":`+number+`}}`)
		}))
		c, err := elastic.New(elastic.Options{URLs: []string{server.URL}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Ensure(t.Context(), "products", fields)
		if got := event.ClassOf(err) != event.Invalid; got != want {
			t.Errorf("%s: %v", number, err)
		}
		server.Close()
	}
}

func TestNew_Addresses(t *testing.T) {
	for address, ok := range map[string]bool{
		"http://localhost:9200": true, " https://u:p@search.example/es ": true, "localhost:9200": false, "": false, "ftp://x": false, "https://x?a=b": false, "http://h\x7f": false,
	} {
		_, err := elastic.New(elastic.Options{URLs: []string{address}})
		if (err == nil) != ok {
			t.Errorf("%q: %v", address, err)
		}
	}
	if _, err := elastic.New(elastic.Options{AddressName: "SEARCH_URL"}); err == nil || !strings.Contains(err.Error(), "SEARCH_URL") {
		t.Errorf("error %v", err)
	}
}

func TestCheckName(t *testing.T) {
	for name, ok := range map[string]bool{
		"products": true, "products_de": true, "prödukte.2": true, "": false, "Products": false, "-a": false, "_a": false, "+a": false, "a b": false, "a*": false, "a/b": false,
		"a,b": false, "a:b": false, "a#b": false, ".": false, strings.Repeat("a", 201): false,
	} {
		if err := elastic.CheckName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestSubject(t *testing.T) {
	for _, tt := range []struct {
		status int
		body   string
		want   event.Subject
	}{
		{403, `{"error":{"type":"cluster_block_exception"}}`, event.AboutHealth},
		{429, `{"error":{"type":"cluster_block_exception"}}`, event.AboutHealth},
		{429, `{"error":{"type":"circuit_breaking_exception"}}`, event.AboutLoad},
		{403, `{"error":{"type":"security_exception"}}`, event.AboutCredential},
		{403, `<h1>`, event.AboutCredential},
		{404, `{}`, event.AboutRequest},
	} {
		if got := elastic.Subject(event.Answer{Status: tt.status, Body: []byte(tt.body)}, event.SubjectOf(tt.status)); got != tt.want {
			t.Errorf("%d %s: %s, want %s", tt.status, tt.body, got, tt.want)
		}
	}
}
