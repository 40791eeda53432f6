// Package fakeentra is the token endpoint of Microsoft Entra ID: client credentials for an access token.
package fakeentra

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Tokens issues access tokens and knows which are good. It is an http.Handler; its other methods may be called at any time.
type Tokens struct {
	clientID, secret, scope string

	mu       sync.Mutex
	lifetime time.Duration
	refuse   int
	issued   int
	ends     map[string]time.Time
}

// New returns an endpoint that knows one client. Its tokens last an hour less a second, as the real ones do.
func New(clientID, secret, scope string) *Tokens {
	return &Tokens{clientID: clientID, secret: secret, scope: scope, lifetime: 3599 * time.Second, ends: map[string]time.Time{}}
}

// SetLifetime is that of the tokens issued from now on.
func (t *Tokens) SetLifetime(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lifetime = d
}

// Expire ends all tokens.
func (t *Tokens) Expire() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ends = map[string]time.Time{}
}

// Refuse makes the next n requests for a token fail.
func (t *Tokens) Refuse(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refuse = n
}

// Issued returns how many tokens were issued.
func (t *Tokens) Issued() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.issued
}

// Good reports whether a request has a token that was issued and has not ended.
func (t *Tokens) Good(r *http.Request) bool {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	t.mu.Lock()
	defer t.mu.Unlock()
	return ok && time.Now().Before(t.ends[token])
}

// ServeHTTP answers a request for a token.
func (t *Tokens) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	refused := func(status int, code, text string) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": code, "error_description": text})
	}
	switch {
	case t.refuse > 0:
		t.refuse--
		refused(http.StatusUnauthorized, "invalid_client", "AADSTS7000222: The provided client secret keys for app '"+t.clientID+"' are expired.")
	case r.Method != http.MethodPost || r.FormValue("grant_type") != "client_credentials":
		refused(http.StatusBadRequest, "unsupported_grant_type", "AADSTS70003: The app requested an unsupported grant type.")
	case r.PostFormValue("client_id") != t.clientID || r.PostFormValue("client_secret") != t.secret:
		refused(http.StatusUnauthorized, "invalid_client", "AADSTS7000215: Invalid client secret provided.")
	case r.PostFormValue("scope") != t.scope:
		refused(http.StatusBadRequest, "invalid_scope", "AADSTS70011: The provided value for the input parameter 'scope' is not valid.")
	default:
		t.issued++
		token := fmt.Sprintf("eyJ0eXAiOiJKV1QifQ.token-%06d.c2lnbmF0dXJl", t.issued)
		t.ends[token] = time.Now().Add(t.lifetime)
		_ = json.NewEncoder(w).Encode(map[string]any{"token_type": "Bearer", "expires_in": int(t.lifetime.Seconds()), "access_token": token})
	}
}
