package magentoapi

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	adminTokenPath = "/V1/integration/admin/token"
	// adminTokenLife is how long a token lasts that doesn't say so itself: Magento's default of
	// oauth/access_token_expiration_period/admin, in app/code/Magento/Integration/etc/config.xml.
	adminTokenLife = 4 * time.Hour

	// A login that was refused is not tried again with the same password for this long, doubling. Magento locks the
	// account for half an hour after 6 failures (oauth/authentication_lock, same file).
	firstLoginPause, maxLoginPause = 5 * time.Second, 5 * time.Minute
)

// adminToken holds the token that all goroutines use. Whoever finds none fetches one, and the others wait for it.
type adminToken struct {
	username string
	password Secret
	now      func() time.Time

	mu    sync.Mutex
	token string
	until time.Time
	login *login // not nil while one goroutine fetches a token

	refusal       error // of the last login, if it was refused; it stands
	refusedSecret string
	refusedUntil  time.Time
	pause         time.Duration
}

// A login is one call for a token; done is closed when the rest is set.
type login struct {
	done      chan struct{}
	token     string
	err       error
	abandoned bool // its caller's context ended, which says nothing to the others
}

// AdminToken logs an admin user in and sends the token. The token is fetched once for all goroutines, again before it
// ends (after a 401 or 403 too), and a login that was refused is not tried again with the same password for a while.
// A user with two-factor authentication gets none: ErrTwoFactor. An integration (OAuth1) is what a program should have.
//
// The Credential must not be shared by Clients of different Magentos.
func AdminToken(username string, password Secret) Credential {
	return &adminToken{username: username, password: password, now: time.Now}
}

// String keeps the token and the password out of what fmt prints.
func (a *adminToken) String() string { return "admin token" }

// GoString keeps the token and the password out of what fmt prints.
func (a *adminToken) GoString() string { return a.String() }

func (a *adminToken) Authorize(c *Client, req *http.Request) error {
	token, err := a.get(req.Context(), c)
	if err != nil {
		return fmt.Errorf("logging in as the admin user: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	return nil
}

// Refused drops the token of req, unless another goroutine has fetched a newer one already.
func (a *adminToken) Refused(req *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if req.Header.Get("Authorization") == "Bearer "+a.token {
		a.token = ""
	}
}

func (a *adminToken) get(ctx context.Context, c *Client) (string, error) {
	for {
		a.mu.Lock()
		if a.token != "" && a.now().Before(a.until) {
			token := a.token
			a.mu.Unlock()
			return token, nil
		}
		running := a.login
		if running == nil {
			running = &login{done: make(chan struct{})}
			a.login = running
			a.mu.Unlock()
			a.fetch(ctx, c, running)
			return running.token, running.err
		}
		a.mu.Unlock()
		select {
		case <-running.done:
		case <-ctx.Done():
			return "", ctx.Err()
		}
		if !running.abandoned {
			return running.token, running.err
		}
	}
}

// fetch carries the login out and lets the waiting go on, even if the transport panics.
func (a *adminToken) fetch(ctx context.Context, c *Client, l *login) {
	l.err, l.abandoned = errors.New("the login did not end"), true
	defer func() {
		a.mu.Lock()
		a.login = nil
		a.mu.Unlock()
		close(l.done)
	}()
	password, err := a.password.read("admin password")
	if err != nil {
		l.err, l.abandoned = err, false
		return
	}
	if err := a.standing(password); err != nil {
		l.err, l.abandoned = err, false
		return
	}
	token, err := a.request(ctx, c, password)
	l.token, l.err = token, err
	l.abandoned = err != nil && ctx.Err() != nil

	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case err == nil:
		a.token, a.until = token, a.now().Add(usableFor(token))
		a.refusal, a.refusedSecret, a.pause = nil, "", 0
	case errors.Is(err, ErrUnauthorized):
		a.pause = min(max(2*a.pause, firstLoginPause), maxLoginPause)
		a.refusal, a.refusedSecret, a.refusedUntil = err, password, a.now().Add(a.pause)
	}
}

// standing gives the refusal of an earlier login with this password, while it is too early to try again.
func (a *adminToken) standing(password string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refusal == nil || password != a.refusedSecret {
		a.pause = 0
		return nil
	}
	if wait := a.refusedUntil.Sub(a.now()); wait > 0 {
		return fmt.Errorf("not tried again with the same password for %s: %w", wait.Round(time.Second), a.refusal)
	}
	return nil
}

// request calls POST /V1/integration/admin/token, which answers with the token as a bare JSON string.
// Source: app/code/Magento/Integration/etc/webapi.xml.
func (a *adminToken) request(ctx context.Context, c *Client, password string) (string, error) {
	body, err := json.Marshal(map[string]string{"username": a.username, "password": password})
	if err != nil {
		return "", fmt.Errorf("making the login: %w", err)
	}
	op := operation{method: http.MethodPost, path: adminTokenPath, body: body}
	answer, err := c.send(ctx, op, nil)
	if err != nil {
		var refusal *Error
		if errors.As(err, &refusal) {
			refusal.ofLogin()
		}
		return "", err
	}
	var token string
	if err := json.Unmarshal(bytes.TrimSpace(answer), &token); err != nil || strings.TrimSpace(token) == "" {
		// Some versions answer 200 with a message and the providers (TwoFactorAuth's AdminTokenService).
		refusal := op.unreadable(http.StatusOK, answer, errors.New("not a token"))
		if _, message, _ := decodeErrorBody(answer); isTwoFactor(message) {
			refusal.Message = message
			refusal.ofLogin()
		}
		return "", refusal
	}
	return token, nil
}

// usableFor says how long a token may be used from now on: its life less a tenth, at most five minutes. The life of a
// JWT is the time between its iat and its exp, which makes the two machines' clocks matter to nobody.
func usableFor(token string) time.Duration {
	life := adminTokenLife
	if parts := strings.Split(token, "."); len(parts) == 3 {
		var claims struct {
			IssuedAt  float64 `json:"iat"`
			ExpiresAt float64 `json:"exp"`
		}
		payload, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err == nil && json.Unmarshal(payload, &claims) == nil {
			seconds := claims.ExpiresAt - claims.IssuedAt
			if claims.IssuedAt > 0 && seconds > 0 && seconds < (365*24*time.Hour).Seconds() {
				life = time.Duration(seconds * float64(time.Second))
			}
		}
	}
	return life - min(life/10, 5*time.Minute)
}
