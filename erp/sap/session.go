package sap

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/mageline/mageline/erp/erphttp"
)

var (
	errNoToken       = errors.New("it has no header x-csrf-token")
	errNoAccessToken = errors.New("it has no access_token")
)

// session is what a request that changes something must have: a CSRF token, and the cookies of the security session to which
// it belongs. They are kept and sent together.
type session struct {
	csrf    string
	cookies []*http.Cookie
}

// authorize adds the log-on to a request, and to one that changes something the session. After a refusal both are renewed: by
// the status alone it can't be told which of them has ended, and a request without a valid token was not processed.
func (sv *service) authorize(req *http.Request, _ []byte, refused bool) error {
	s := sv.sap
	reads := req.Method == http.MethodGet || req.Method == http.MethodHead
	if s.o.TokenURL == "" {
		req.SetBasicAuth(s.o.Username, s.o.Password())
	} else {
		bearer, err := s.token.get(req.Context(), s, refused)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	if s.o.Client != "" {
		req.Header.Set("Sap-Client", s.o.Client)
	}
	req.Header.Set("Sap-Language", s.o.Language)
	req.Header.Set("Accept-Language", strings.ToLower(s.o.Language))
	if key := s.o.APIKey(); key != "" {
		req.Header.Set("Apikey", key)
	}
	if req.Header.Get("X-Csrf-Token") == fetch { // it is open that asks, and a new session begins without the old one's cookies
		return nil
	}
	sv.mu.Lock()
	defer sv.mu.Unlock()
	if !reads && (refused || sv.session.csrf == "") {
		if err := sv.open(req.Context()); err != nil {
			return err
		}
	}
	if !reads {
		req.Header.Set("X-Csrf-Token", sv.session.csrf)
	}
	for _, c := range sv.session.cookies {
		req.AddCookie(c)
	}
	return nil
}

// fetch is the value of X-Csrf-Token that asks for a token.
const fetch = "Fetch"

// open fetches a session. It needs mu.
func (sv *service) open(ctx context.Context) error {
	var a *erphttp.Answer
	for _, method := range []string{http.MethodHead, http.MethodGet} {
		var err error
		a, err = sv.http.Do(ctx, erphttp.Request{
			What: "open a session of " + sv.name, Method: method, Path: "/", Header: http.Header{"X-Csrf-Token": {fetch}},
		})
		if err != nil {
			return err
		}
		// The token is good also where the service's root is not for this user.
		if csrf := a.Header.Get("X-Csrf-Token"); csrf != "" && !strings.EqualFold(csrf, "Required") {
			sv.session = session{csrf: csrf, cookies: (&http.Response{Header: a.Header}).Cookies()}
			return nil
		}
		if a.Status == http.StatusUnauthorized || a.Status >= http.StatusInternalServerError {
			break
		}
	}
	if !a.OK() {
		return a.Refused()
	}
	return a.Unreadable(errNoToken)
}

// token is OAuth's access token, renewed a minute before it ends.
type token struct {
	http *erphttp.Client

	mu    sync.Mutex
	value string
	until time.Time
}

// renewBefore is how long before its end a token is renewed, or a tenth of its time if that is less.
const renewBefore = time.Minute

func (t *token) get(ctx context.Context, s *Client, refused bool) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !refused && t.value != "" && s.o.Now().Before(t.until) {
		return t.value, nil
	}
	form := url.Values{"grant_type": {"client_credentials"}}
	if s.o.Scope != "" {
		form.Set("scope", s.o.Scope)
	}
	a, err := t.http.Do(ctx, erphttp.Request{
		What: "fetch a token for SAP", Method: http.MethodPost, Body: []byte(form.Encode()),
		Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
	})
	if err != nil {
		return "", err
	}
	if !a.OK() {
		return "", a.Refused()
	}
	var answer struct {
		AccessToken string          `json:"access_token"`
		ExpiresIn   json.RawMessage `json:"expires_in"`
	}
	if err := a.Object(&answer); err != nil || answer.AccessToken == "" {
		return "", a.Unreadable(errNoAccessToken)
	}
	lasts := time.Hour
	if text, err := erphttp.Text("expires_in", answer.ExpiresIn); err == nil && text != "" {
		if d, err := time.ParseDuration(text + "s"); err == nil {
			lasts = d
		}
	}
	t.value, t.until = answer.AccessToken, s.o.Now().Add(lasts-min(renewBefore, lasts/10))
	return t.value, nil
}
