package magentoapi

import (
	"errors"
	"net/http"
	"testing"
	"time"
)

func TestWithResponse(t *testing.T) {
	for name, c := range map[string]struct {
		answers []int // each with its number in X-Answer
		want    Response
		fails   bool
	}{
		"an answer":         {[]int{200}, Response{Status: 200, Requests: 1}, false},
		"an error":          {[]int{404}, Response{Status: 404, Requests: 1}, true},
		"a repeated call":   {[]int{503, 200}, Response{Status: 200, Requests: 2}, false},
		"a refusal, then":   {[]int{401, 200}, Response{Status: 200, Requests: 2}, false},
		"a wait that is up": {[]int{429}, Response{Status: 429, Requests: 1, RetryAfter: time.Minute}, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, _ seen, n int) {
				status := c.answers[n-1]
				w.Header().Set("X-Answer", string(rune('0'+n)))
				if status == 429 {
					w.Header().Set("Retry-After", "60")
				}
				respond(w, status, `"processing"`)
			})
			var got Response
			client := s.client(t, Options{Auth: Bearer(Fixed("token")), Retries: Retries{Max: 1, Wait: time.Millisecond}})
			_, err := client.Orders.Status(WithResponse(t.Context(), &got), 57)
			if (err != nil) != c.fails || got.Status != c.want.Status || got.Requests != c.want.Requests || got.RetryAfter != c.want.RetryAfter ||
				got.Took <= 0 || got.Header.Get("X-Answer") != string(rune('0'+len(c.answers))) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

// around is a credential that wraps another one, as a program may do to count or to log.
type around struct{ Credential }

func TestCredential_Wrapped(t *testing.T) {
	t.Run("a bearer that is never accepted", func(t *testing.T) {
		s := serve(t, func(w http.ResponseWriter, _ seen, _ int) { respond(w, 401, notAuthorized) })
		_, err := s.client(t, Options{Auth: around{Bearer(Fixed("token"))}}).Orders.Get(t.Context(), 1)
		if !errors.Is(err, ErrBearerDisabled) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a signature over the other path", func(t *testing.T) {
		s := serve(t, func(w http.ResponseWriter, _ seen, n int) {
			if n == 1 {
				respond(w, 401, `{"message":"The signature is invalid. Verify and try again."}`)
				return
			}
			respond(w, 200, `{"sku":"a/b"}`)
		})
		signer := OAuth1(Fixed("k"), Fixed("s"), Fixed("t"), Fixed("ts"))
		if _, err := s.client(t, Options{Auth: around{signer}}).Products.Get(t.Context(), "a/b"); err != nil {
			t.Error(err)
		}
		if !signer.(*oauth1).decodes.Load() {
			t.Error("signed in the same way again")
		}
	})
	t.Run("a login", func(t *testing.T) {
		logins := 0
		s := serve(t, func(w http.ResponseWriter, r seen, _ int) {
			switch {
			case r.method == http.MethodPost:
				logins++
				respond(w, 200, `"token `+string(rune('0'+logins))+`"`)
			case r.header.Get("Authorization") == "Bearer token 1":
				respond(w, 401, notAuthorized)
			default:
				respond(w, 200, `"processing"`)
			}
		})
		status, err := s.client(t, Options{Auth: around{AdminToken("admin", Fixed("hunter2"))}}).Orders.Status(t.Context(), 1)
		if err != nil || status != "processing" || logins != 2 {
			t.Errorf("got %q, %v after %d logins", status, err, logins)
		}
	})
}
