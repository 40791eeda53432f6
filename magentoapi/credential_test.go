package magentoapi

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

const notAuthorized = `{"message":"The consumer isn't authorized to access %resources.",` +
	`"parameters":{"resources":"Magento_Sales::actions_view"}}`

func TestARefusedCredentialIsTriedOnceMore(t *testing.T) {
	for name, auth := range map[string]Credential{
		"bearer": Bearer(Fixed("hunter2")),
		"OAuth":  OAuth1(Fixed("k"), Fixed("hunter2"), Fixed("t"), Fixed("hunter2")),
		"admin":  AdminToken("admin", Fixed("hunter2")),
	} {
		for _, status := range []int{401, 403} {
			for refusals, wantErr := range map[int]bool{1: false, 2: true} {
				t.Run(fmt.Sprint(name, " ", status, " ", refusals), func(t *testing.T) {
					var calls atomic.Int32
					s := serve(t, func(w http.ResponseWriter, r seen, _ int) {
						if strings.HasSuffix(r.uri, adminTokenPath) {
							respond(w, 200, `"token"`)
						} else if int(calls.Add(1)) <= refusals {
							respond(w, status, notAuthorized)
						} else {
							respond(w, 200, "true")
						}
					})
					err := s.client(t, Options{Auth: auth}).Orders.AddComment(t.Context(), 5, Comment{Text: "x"})
					got := s.requests("comments")
					if len(got) != 2 || got[0].body != got[1].body || !strings.Contains(got[1].body, `"comment":"x"`) {
						t.Fatalf("sent %d requests: %+v", len(got), got)
					}
					if name == "OAuth" && got[0].header.Get("Authorization") == got[1].header.Get("Authorization") {
						t.Error("signed twice with one nonce")
					}
					if (err != nil) != wantErr {
						t.Fatalf("got %v", err)
					}
					if wantErr && (!errors.Is(err, ErrUnauthorized) && status == 401 || strings.Contains(err.Error(), "hunter2")) {
						t.Errorf("got %v", err)
					}
				})
			}
		}
	}
}

func TestASecretIsReadBeforeEachRequest(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r seen, _ int) {
		if r.header.Get("Authorization") == "Bearer new" {
			respond(w, 200, "true")
			return
		}
		respond(w, 401, notAuthorized)
	})
	n := 0
	changing := func() (string, error) {
		n++
		return map[bool]string{true: "old", false: "new"}[n == 1], nil
	}
	if err := s.client(t, Options{Auth: Bearer(changing)}).Orders.AddComment(t.Context(), 5, Comment{}); err != nil {
		t.Error(err)
	}
}

func TestASecretThatCanNotBeRead(t *testing.T) {
	gone := errors.New("no such file")
	s := serve(t, func(http.ResponseWriter, seen, int) { t.Error("sent without a credential") })
	for name, auth := range map[string]Credential{
		"bearer":         Bearer(func() (string, error) { return "", gone }),
		"bearer, empty":  Bearer(Fixed("")),
		"bearer, none":   Bearer(nil),
		"OAuth":          OAuth1(Fixed("k"), Fixed("s"), func() (string, error) { return "", gone }, Fixed("ts")),
		"admin password": AdminToken("admin", func() (string, error) { return "", gone }),
	} {
		_, err := s.client(t, Options{Auth: auth}).Orders.Get(t.Context(), 1)
		if err == nil || !errors.Is(err, gone) && !strings.Contains(err.Error(), "bearer token") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestADisabledBearerIsToldFromAMissingPermission(t *testing.T) {
	var known atomic.Bool
	s := serve(t, func(w http.ResponseWriter, r seen, _ int) {
		switch {
		case strings.Contains(r.uri, "/store/"), strings.Contains(r.uri, "/guest-carts/"):
			respond(w, 200, "[]")
		case known.Load() && r.method == http.MethodPost:
			respond(w, 200, "true")
		default:
			respond(w, 401, notAuthorized)
		}
	})
	c := s.client(t, Options{Auth: Bearer(Fixed("hunter2"))})
	if _, err := c.Stores.Views(t.Context()); err != nil { // needs no credential, so says nothing of it
		t.Fatal(err)
	}
	if err := c.Do(t.Context(), http.MethodGet, "/V1/guest-carts/x", nil, nil, nil); err != nil { // so does this
		t.Fatal(err)
	}
	_, err := c.Orders.Get(t.Context(), 1)
	if !errors.Is(err, ErrBearerDisabled) || !errors.Is(err, ErrUnauthorized) ||
		!strings.Contains(err.Error(), "enable_integration_as_bearer") {
		t.Errorf("never accepted: %v", err)
	}
	known.Store(true)
	if err := c.Orders.AddComment(t.Context(), 1, Comment{}); err != nil {
		t.Fatal(err)
	}
	_, err = c.Orders.Get(t.Context(), 1)
	if errors.Is(err, ErrBearerDisabled) || !errors.Is(err, ErrUnauthorized) ||
		!strings.Contains(err.Error(), "permission Magento_Sales::actions_view") {
		t.Errorf("accepted before: %v", err)
	}
}
