package oauth_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mageline/mageline/erp/oauth"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/test/kit/fakeentra"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const scope = "https://erp.example/.default"

// rig is an endpoint for tokens, an API that asks for them, and the client of both.
type rig struct {
	fake   *fakeentra.Tokens
	tokens *oauth.Tokens
	get    func() (int, error)
}

func newRig(t *testing.T, secret string, front func(http.Handler) http.Handler) rig {
	t.Helper()
	fake := fakeentra.New("client", "right-secret", scope)
	var endpoint http.Handler = fake
	if front != nil {
		endpoint = front(fake)
	}
	routes := http.NewServeMux()
	routes.Handle("/token", endpoint)
	routes.HandleFunc("/api", func(w http.ResponseWriter, r *http.Request) {
		if !fake.Good(r) {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	server := httptest.NewServer(routes)
	transport := &http.Transport{}
	t.Cleanup(func() { transport.CloseIdleConnections(); server.Close() })
	tokens, err := oauth.New(oauth.Options{
		HTTP: &http.Client{Transport: transport}, TokenURL: server.URL + "/token", ClientID: "client", Scope: scope,
		Secret: func() string { return secret }, CredentialName: "THE_SECRET", Downstream: "erp",
	})
	if err != nil {
		t.Fatal(err)
	}
	client := tokens.Client()
	return rig{fake, tokens, func() (int, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/api", nil)
		if err != nil {
			return 0, err
		}
		res, err := client.Do(req)
		if err != nil {
			return 0, err
		}
		_ = res.Body.Close()
		return res.StatusCode, nil
	}}
}

func TestTokens_ManyRequestsShareOne(t *testing.T) {
	r := newRig(t, "right-secret", nil)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if status, err := r.get(); status != http.StatusOK || err != nil {
				t.Errorf("answered %d, %v", status, err)
			}
		})
	}
	all.Wait()
	if n := r.fake.Issued(); n != 1 {
		t.Errorf("%d tokens were issued, want 1", n)
	}
}

func TestTokens_RenewedBeforeTheyEnd(t *testing.T) {
	r := newRig(t, "right-secret", nil)
	r.fake.SetLifetime(time.Second)
	for end := time.Now().Add(1500 * time.Millisecond); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if status, err := r.get(); status != http.StatusOK || err != nil {
			t.Fatalf("answered %d, %v: a token was used after its end", status, err)
		}
	}
	if n := r.fake.Issued(); n < 2 || n > 3 {
		t.Errorf("%d tokens of a second were issued in one and a half, want 2 or 3", n)
	}
}

func TestTokens_RefusedIsNotUsedAgain(t *testing.T) {
	r := newRig(t, "right-secret", nil)
	if status, _ := r.get(); status != http.StatusOK {
		t.Fatalf("answered %d", status)
	}
	r.fake.Expire()
	if status, _ := r.get(); status != http.StatusUnauthorized {
		t.Fatalf("answered %d, want 401 for a token that was ended", status)
	}
	if status, _ := r.get(); status != http.StatusOK {
		t.Errorf("answered %d after that, want 200 with a new token", status)
	}
	if n := r.fake.Issued(); n != 2 {
		t.Errorf("%d tokens were issued, want 2", n)
	}
}

func TestTokens_ErrorsHaveTheirClass(t *testing.T) {
	says := func(status int, body string) func(http.Handler) http.Handler {
		return func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(status)
				_, _ = io.WriteString(w, body)
			})
		}
	}
	for name, tt := range map[string]struct {
		secret string
		front  func(http.Handler) http.Handler
		class  event.Class
		text   string
	}{
		"wrong secret":    {"wrong-secret", nil, event.Unauthorized, "invalid_client AADSTS7000215); check THE_SECRET"},
		"bad request":     {"right-secret", says(400, `{"error":"invalid_scope","error_description":"wrong-secret"}`), event.Unauthorized, "invalid_scope"},
		"server error":    {"right-secret", says(500, "right-secret"), event.Unavailable, "500"},
		"page":            {"right-secret", says(200, "<html>right-secret"), event.Unavailable, "no answer"},
		"without a token": {"right-secret", says(200, `{}`), event.Unavailable, "no answer"},
		"throttled":       {"right-secret", says(429, ""), event.Throttled, "429"},
		"breaks off": {"right-secret", func(http.Handler) http.Handler {
			return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		}, event.Unavailable, "no answer"},
		"a redirect to it": {"right-secret", says(302, ""), event.Unavailable, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, tt.secret, tt.front)
			_, err := r.tokens.Token(t.Context())
			if err == nil {
				t.Fatal("no error")
			}
			if event.ClassOf(err) != tt.class || !event.IsNotDone(err) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("the error %q has class %s, not done: %t; want %s", err, event.ClassOf(err), event.IsNotDone(err), tt.class)
			}
			if strings.Contains(err.Error(), "-secret") {
				t.Errorf("the error repeats the secret: %v", err)
			}
		})
	}
}

func TestTokens_WaitEndsWithTheContext(t *testing.T) {
	held := make(chan struct{})
	r := newRig(t, "right-secret", func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-held
			next.ServeHTTP(w, r)
		})
	})
	first := make(chan error, 1)
	go func() {
		_, err := r.tokens.Token(t.Context())
		first <- err
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := r.tokens.Token(ctx); event.ClassOf(err) != event.Timeout {
		t.Errorf("the error %v, want a time-out", err)
	}
	close(held)
	if err := <-first; err != nil {
		t.Errorf("the first one: %v", err)
	}
}

func TestNew_RefusesWhatIsNoAddress(t *testing.T) {
	for _, u := range []string{"", "login.microsoftonline.com", "ftp://x/y", "https://"} {
		if _, err := oauth.New(oauth.Options{TokenURL: u}); err == nil {
			t.Errorf("%q: no error", u)
		}
	}
}
