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
	adminTokenPath    = "/V1/integration/admin/token"
	customerTokenPath = "/V1/integration/customer/token"
	// How long a token lasts that doesn't say so itself: Magento's defaults of
	// oauth/access_token_expiration_period/admin and …/customer, in app/code/Magento/Integration/etc/config.xml.
	adminTokenLife, customerTokenLife = 4 * time.Hour, time.Hour

	// A login that was refused is not tried again with the same password for this long, doubling. Magento locks the
	// account for half an hour after 6 failures (oauth/authentication_lock, same file).
	firstLoginPause, maxLoginPause = 5 * time.Second, 5 * time.Minute
)

// loginToken holds the token that all goroutines use. Whoever finds none fetches one, and the others wait for it.
type loginToken struct {
	who      string // "admin user" or "customer"
	path     string
	life     time.Duration // of a token that doesn't say so itself
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
//
// POST /V1/integration/admin/token
//
// Source: app/code/Magento/Integration/etc/webapi.xml
func AdminToken(username string, password Secret) Credential {
	return &loginToken{
		who: "admin user", path: adminTokenPath, life: adminTokenLife, username: username, password: password, now: time.Now,
	}
}

// CustomerToken logs a customer in, by e-mail address, and sends the token; all that AdminToken does is done here too. A
// customer reaches what is the customer's own: the endpoints with "mine" in their paths. The store code matters where
// customers belong to a website.
//
// POST /V1/integration/customer/token
//
// Source: app/code/Magento/Integration/etc/webapi.xml
func CustomerToken(email string, password Secret) Credential {
	return &loginToken{
		who: "customer", path: customerTokenPath, life: customerTokenLife, username: email, password: password, now: time.Now,
	}
}

// String keeps the token and the password out of what fmt prints.
func (t *loginToken) String() string { return "token of the " + t.who }

// GoString keeps the token and the password out of what fmt prints.
func (t *loginToken) GoString() string { return t.String() }

func (t *loginToken) Authorize(c *Client, req *http.Request) error {
	token, err := t.get(req.Context(), c)
	if err != nil {
		return fmt.Errorf("logging in as the %s: %w", t.who, err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	return nil
}

// Refused drops the token of req, unless another goroutine has fetched a newer one already.
func (t *loginToken) Refused(req *http.Request, _ *Error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if req.Header.Get("Authorization") == "Bearer "+t.token {
		t.token = ""
	}
}

func (t *loginToken) get(ctx context.Context, c *Client) (string, error) {
	for {
		t.mu.Lock()
		if t.token != "" && t.now().Before(t.until) {
			token := t.token
			t.mu.Unlock()
			return token, nil
		}
		running := t.login
		if running == nil {
			running = &login{done: make(chan struct{})}
			t.login = running
			t.mu.Unlock()
			t.fetch(ctx, c, running)
			return running.token, running.err
		}
		t.mu.Unlock()
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
func (t *loginToken) fetch(ctx context.Context, c *Client, l *login) {
	l.err, l.abandoned = errors.New("the login did not end"), true
	defer func() {
		t.mu.Lock()
		t.login = nil
		t.mu.Unlock()
		close(l.done)
	}()
	password, err := t.password.read("password of the " + t.who)
	if err != nil {
		l.err, l.abandoned = err, false
		return
	}
	if err := t.standing(password); err != nil {
		l.err, l.abandoned = err, false
		return
	}
	token, err := t.request(ctx, c, password)
	l.token, l.err = token, err
	l.abandoned = err != nil && ctx.Err() != nil

	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil:
		t.token, t.until = token, t.now().Add(usableFor(token, t.life))
		t.refusal, t.refusedSecret, t.pause = nil, "", 0
	case errors.Is(err, ErrUnauthorized):
		t.pause = min(max(2*t.pause, firstLoginPause), maxLoginPause)
		t.refusal, t.refusedSecret, t.refusedUntil = err, password, t.now().Add(t.pause)
	}
}

// standing gives the refusal of an earlier login with this password, while it is too early to try again.
func (t *loginToken) standing(password string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.refusal == nil || password != t.refusedSecret {
		t.pause = 0
		return nil
	}
	if wait := t.refusedUntil.Sub(t.now()); wait > 0 {
		return fmt.Errorf("not tried again with the same password for %s: %w", wait.Round(time.Second), t.refusal)
	}
	return nil
}

// request asks for a token, which comes as a bare JSON string. It is asked for once: a second try would count towards the
// lock of the account.
func (t *loginToken) request(ctx context.Context, c *Client, password string) (string, error) {
	body, err := json.Marshal(map[string]string{"username": t.username, "password": password})
	if err != nil {
		return "", fmt.Errorf("making the login: %w", err)
	}
	op := operation{method: http.MethodPost, path: t.path, body: body}
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
// JWT is the time between its iat and its exp, which makes the two machines' clocks matter to nobody; of any other token
// it is the default.
func usableFor(token string, life time.Duration) time.Duration {
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
