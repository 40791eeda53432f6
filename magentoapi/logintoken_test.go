package magentoapi

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// jwt makes an unsigned token that lasts for life.
func jwt(life time.Duration) string {
	payload := fmt.Sprintf(`{"uid":1,"iat":%d,"exp":%d}`, 1_000_000, 1_000_000+int(life.Seconds()))
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".sig"
}

// loginKinds are the two credentials that log in: their maker, and where they do.
var loginKinds = map[string]struct {
	make func(name string, password Secret) Credential
	path string
}{
	"admin user": {AdminToken, adminTokenPath},
	"customer":   {CustomerToken, customerTokenPath},
}

// shop answers logins with token(n) for the n-th, and everything else with true if valid says so of the token.
func shop(t *testing.T, token func(n int) string, valid func(bearer string) bool) *server {
	var logins atomic.Int32
	return serve(t, func(w http.ResponseWriter, r seen, _ int) {
		switch bearer := strings.TrimPrefix(r.header.Get("Authorization"), "Bearer "); {
		case strings.HasSuffix(r.uri, adminTokenPath), strings.HasSuffix(r.uri, customerTokenPath):
			if bearer != "" {
				t.Error("a login with a token")
			}
			respond(w, 200, `"`+token(int(logins.Add(1)))+`"`)
		case valid(bearer):
			respond(w, 200, "true")
		default:
			respond(w, 401, notAuthorized)
		}
	})
}

func comment(t *testing.T, c *Client) error { return c.Orders.AddComment(t.Context(), 1, Comment{}) }

// all runs f in many goroutines at once and gives the first error.
func all(f func() error) error {
	var wg sync.WaitGroup
	errs := make(chan error, 50)
	for range cap(errs) {
		wg.Go(func() { errs <- f() })
	}
	wg.Wait()
	close(errs)
	var first error
	for err := range errs {
		if first == nil {
			first = err
		}
	}
	return first
}

func TestOneLoginServesAllGoroutines(t *testing.T) {
	for who, kind := range loginKinds {
		s := shop(t, func(int) string { return "first" }, func(b string) bool { return b == "first" })
		c := s.client(t, Options{Auth: kind.make("a@fixture.example", Fixed("hunter2"))})
		if err := all(func() error { return comment(t, c) }); err != nil {
			t.Fatal(err)
		}
		logins := s.requests(kind.path)
		if len(logins) != 1 || logins[0].method != http.MethodPost || logins[0].body != `{"password":"hunter2","username":"a@fixture.example"}` {
			t.Errorf("%s: logins: %+v", who, logins)
		}
	}
}

func TestARevokedTokenIsRenewedOnce(t *testing.T) {
	for who, kind := range loginKinds {
		var revoked atomic.Bool
		s := shop(t, func(n int) string { return fmt.Sprint("t", n) },
			func(b string) bool { return b == "t2" || b == "t1" && !revoked.Load() })
		c := s.client(t, Options{Auth: kind.make("a", Fixed("hunter2"))})
		if err := comment(t, c); err != nil {
			t.Fatal(err)
		}
		revoked.Store(true)
		if err := all(func() error { return comment(t, c) }); err != nil {
			t.Fatal(err)
		}
		if n := len(s.requests(kind.path)); n != 2 {
			t.Errorf("%s: %d logins, want 2", who, n)
		}
	}
}

func TestATokenIsRenewedBeforeItEnds(t *testing.T) {
	for name, c := range map[string]struct {
		who, token     string
		before, beyond time.Duration
	}{
		"opaque":       {"admin user", "0123456789abcdef", 3*time.Hour + 54*time.Minute, 3*time.Hour + 56*time.Minute},
		"a customer's": {"customer", "0123456789abcdef", 54 * time.Minute, 56 * time.Minute},
		"JWT":          {"admin user", jwt(time.Hour), 54 * time.Minute, 56 * time.Minute},
		"short JWT":    {"customer", jwt(10 * time.Second), 8 * time.Second, 9500 * time.Millisecond},
		"broken JWT":   {"admin user", "a.%%%.c", 3 * time.Hour, 4 * time.Hour},
		"odd JWT":      {"admin user", jwt(-time.Hour), 3 * time.Hour, 4 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			s := shop(t, func(int) string { return c.token }, func(string) bool { return true })
			kind := loginKinds[c.who]
			auth := kind.make("a", Fixed("hunter2")).(*loginToken)
			start := time.Now()
			at := start
			auth.now = func() time.Time { return at }
			client := s.client(t, Options{Auth: auth})
			for _, step := range []struct {
				after  time.Duration
				logins int
			}{{0, 1}, {c.before, 1}, {c.beyond, 2}} {
				at = start.Add(step.after)
				if err := comment(t, client); err != nil {
					t.Fatal(err)
				}
				if n := len(s.requests(kind.path)); n != step.logins {
					t.Errorf("after %s: %d logins, want %d", step.after, n, step.logins)
				}
			}
		})
	}
}

func TestARefusedLoginIsNotRepeatedAtOnce(t *testing.T) {
	const right = `{"password":"right","username":"admin"}`
	s := serve(t, func(w http.ResponseWriter, r seen, _ int) {
		switch {
		case !strings.HasSuffix(r.uri, adminTokenPath):
			respond(w, 200, "true")
		case r.body == right:
			respond(w, 200, `"token"`)
		default:
			respond(w, 401, `{"message":"The account sign-in was incorrect or your account is disabled temporarily."}`)
		}
	})
	password := "hunter2"
	auth := AdminToken("admin", func() (string, error) { return password, nil }).(*loginToken)
	at := time.Now()
	auth.now = func() time.Time { return at }
	c := s.client(t, Options{Auth: auth})
	for _, step := range []struct {
		wait   time.Duration
		logins int
	}{{0, 1}, {time.Second, 1}, {5 * time.Second, 2}, {9 * time.Second, 2}, {2 * time.Second, 3}} {
		at = at.Add(step.wait)
		err := comment(t, c)
		if !errors.Is(err, ErrUnauthorized) || !strings.Contains(err.Error(), "admin user") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v", err)
		}
		if n := len(s.requests(adminTokenPath)); n != step.logins {
			t.Errorf("%d logins, want %d", n, step.logins)
		}
	}
	password = "right"
	if err := comment(t, c); err != nil {
		t.Errorf("with a new password: %v", err)
	}
}

func TestLoginsThatFail(t *testing.T) {
	const twoFactor = `{"message":"Please use the 2fa provider-specific endpoints to obtain a token.","parameters":{"active_providers":["google"]}}`
	for name, c := range map[string]struct {
		status                             int
		body                               string
		unauthorized, twoFactor, transient bool
	}{
		"two factors":             {status: 400, body: twoFactor, unauthorized: true, twoFactor: true},
		"two factors, with 200":   {status: 200, body: twoFactor, unauthorized: true, twoFactor: true},
		"two factors to set up":   {status: 400, body: `{"message":"You are required to configure personal Two-Factor Authorization in order to login. Please check your email."}`, unauthorized: true, twoFactor: true},
		"wrong":                   {status: 401, body: `{"message":"The account sign-in was incorrect"}`, unauthorized: true},
		"no such endpoint":        {status: 404, body: `<title>404</title>`, unauthorized: true},
		"maintenance":             {status: 503, body: `<title>Maintenance</title>`, transient: true},
		"too many":                {status: 429, transient: true},
		"a lock":                  {status: 400, body: `{"message":"SQLSTATE[HY000]: General error: 1205 Lock wait timeout exceeded"}`, transient: true},
		"no token":                {status: 200, body: `{}`, transient: true},
		"an empty token":          {status: 200, body: `" "`, transient: true},
		"HTML in a token's place": {status: 200, body: `<html>`, transient: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, _ seen, _ int) { respond(w, c.status, c.body) })
			_, err := s.client(t, Options{Auth: AdminToken("admin", Fixed("hunter2"))}).Orders.Get(t.Context(), 1)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v", err)
			}
			if errors.Is(err, ErrUnauthorized) != c.unauthorized || errors.Is(err, ErrTwoFactor) != c.twoFactor || e.Transient() != c.transient {
				t.Errorf("unauthorized %v, two factors %v, transient %v: %v",
					errors.Is(err, ErrUnauthorized), errors.Is(err, ErrTwoFactor), e.Transient(), err)
			}
			if c.twoFactor && !strings.Contains(err.Error(), "use an integration") {
				t.Errorf("it does not say what to do: %v", err)
			}
			if n := len(s.requests("")); n != 1 {
				t.Errorf("%d requests, want the login alone", n)
			}
		})
	}
}

// The goroutine that logs in gives up; those that wait for it must not fail with it.
func TestAnAbandonedLoginIsTakenOver(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	var logins atomic.Int32
	s := serve(t, func(w http.ResponseWriter, r seen, _ int) {
		if !strings.HasSuffix(r.uri, adminTokenPath) {
			respond(w, 200, "true")
			return
		}
		if logins.Add(1) == 1 {
			close(begun)
			<-release
			return
		}
		respond(w, 200, `"token"`)
	})
	defer close(release)
	auth := AdminToken("admin", Fixed("hunter2"))
	c := s.client(t, Options{Auth: auth})
	ctx, cancel := context.WithCancel(t.Context())
	abandoned := make(chan error, 1)
	go func() { abandoned <- c.Orders.AddComment(ctx, 1, Comment{}) }()
	<-begun
	waiting := make(chan error, 1)
	go func() { waiting <- comment(t, c) }()
	gaveUp, giveUp := context.WithCancel(t.Context())
	giveUp()
	if err := c.Orders.AddComment(gaveUp, 1, Comment{}); !errors.Is(err, context.Canceled) {
		t.Errorf("one that waits no longer: %v", err)
	}
	cancel()
	if err := <-abandoned; !errors.Is(err, context.Canceled) {
		t.Errorf("the one that logged in: %v", err)
	}
	if err := <-waiting; err != nil {
		t.Errorf("the one that waited: %v", err)
	}
}

func TestFmtPrintsNoToken(t *testing.T) {
	s := shop(t, func(int) string { return "s3cret" }, func(string) bool { return true })
	for who, kind := range loginKinds {
		auth := kind.make("jane", Fixed("s3cret"))
		c := s.client(t, Options{Auth: auth})
		if err := comment(t, c); err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{fmt.Sprintf("%v %+v %#v", auth, auth, auth), fmt.Sprintf("%+v", c.auth)} {
			if strings.Contains(text, "s3cret") || strings.Contains(text, "jane") {
				t.Errorf("%s: printed %s", who, text)
			}
		}
	}
}
