// Package oauth gets access tokens by client credentials, with a secret or a signed assertion: those of Microsoft Entra ID that
// Business Central and Finance & Operations ask for, and those of NetSuite. A token is kept until shortly before it ends, and
// fetched by one request however many wait for it.
package oauth

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/mageline/mageline/event"
)

// Options is what a token is asked for with.
type Options struct {
	// HTTP sends the requests for tokens, and those that bear them.
	HTTP *http.Client
	// TokenURL is the endpoint, such as https://login.microsoftonline.com/<tenant>/oauth2/v2.0/token.
	TokenURL string
	// ClientID and Scope are sent unless they are empty.
	ClientID, Scope string
	// Assertion, if set, proves who the client is in place of ClientID and Secret: a JWT that the client has signed (RFC 7523).
	// It is asked before each request for a token.
	Assertion func() (string, error)
	// Secret is asked before each request for a token, so that one that was changed in its file is used at once.
	Secret func() string
	// CredentialName is what the settings are called that hold client id and secret, for errors.
	CredentialName string
	// Downstream is the name that errors bear.
	Downstream string
}

// Tokens keeps the token in use. It is safe for concurrent use.
type Tokens struct {
	o Options

	fetching chan struct{} // holds one element while nobody fetches

	mu   sync.Mutex
	now  *oauth2.Token // nil: none, or one that was refused
	from time.Time
	last string // the token before, for Secrets
}

// New makes a Tokens without a token. It connects to nothing.
func New(o Options) (*Tokens, error) {
	u, err := url.Parse(o.TokenURL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, errors.New("the address for access tokens is none: want https://login.microsoftonline.com/<tenant>/oauth2/v2.0/token")
	}
	if o.HTTP == nil {
		o.HTTP = &http.Client{}
	}
	own := *o.HTTP // redirects are never followed: the secret would go to whoever is there
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	o.HTTP = &own
	t := &Tokens{o: o, fetching: make(chan struct{}, 1)}
	t.fetching <- struct{}{}
	return t, nil
}

// Client returns an http.Client that sends requests through Options.HTTP with a token. A token that is refused with 401 is not
// used again: the next request has a new one.
func (t *Tokens) Client() *http.Client {
	c := *t.o.HTTP
	next := c.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	c.Transport = bearer{t, next}
	return &c
}

// Secrets returns what must be in no error.
func (t *Tokens) Secrets() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := []string{t.last}
	if t.now != nil {
		all = append(all, t.now.AccessToken)
	}
	if t.o.Secret != nil {
		all = append(all, t.o.Secret())
	}
	return all
}

type bearer struct {
	tokens *Tokens
	next   http.RoundTripper
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	token, err := b.tokens.Token(r.Context())
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, err
	}
	own := r.Clone(r.Context())
	own.Header.Set("Authorization", "Bearer "+token)
	res, err := b.next.RoundTrip(own)
	var e *event.Error
	switch {
	case err == nil && res.StatusCode == http.StatusUnauthorized:
		b.tokens.refused(token)
	case errors.As(err, &e) && e.Class == event.Throttled:
		b.tokens.doubted(token)
	}
	return res, err
}

// Token returns a token that has not ended. Its errors are marked by event.NotDone: what the token is for has not been sent.
func (t *Tokens) Token(ctx context.Context) (string, error) {
	if token := t.good(); token != "" {
		return token, nil
	}
	select {
	case <-t.fetching:
		defer func() { t.fetching <- struct{}{} }()
	case <-ctx.Done():
		return "", event.NotDone(&event.Error{Class: event.Timeout, Downstream: t.o.Downstream, Err: fmt.Errorf("get an access token: %w", ctx.Err())})
	}
	if token := t.good(); token != "" { // somebody else has fetched it meanwhile
		return token, nil
	}
	config, err := t.config()
	if err != nil {
		return "", event.NotDone(&event.Error{
			Class: event.Unauthorized, Downstream: t.o.Downstream, Err: fmt.Errorf("get an access token: %w; check %s", err, t.o.CredentialName),
		})
	}
	token, err := config.Token(context.WithValue(ctx, oauth2.HTTPClient, t.o.HTTP))
	if err != nil {
		return "", event.NotDone(t.failed(err))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now, t.from = token, time.Now()
	return token.AccessToken, nil
}

// assertionType is what RFC 7523 calls a JWT that proves who a client is.
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// config is what the next token is asked for with.
func (t *Tokens) config() (clientcredentials.Config, error) {
	c := clientcredentials.Config{TokenURL: t.o.TokenURL, AuthStyle: oauth2.AuthStyleInParams}
	if t.o.Scope != "" {
		c.Scopes = []string{t.o.Scope}
	}
	if t.o.Assertion != nil {
		assertion, err := t.o.Assertion()
		c.EndpointParams = url.Values{"client_assertion_type": {assertionType}, "client_assertion": {assertion}}
		return c, err
	}
	c.ClientID = t.o.ClientID
	if t.o.Secret != nil {
		c.ClientSecret = t.o.Secret()
	}
	return c, nil
}

// good returns the token in use; "" where it must be renewed. It is renewed before it ends, so that none ends on its way.
func (t *Tokens) good() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now == nil {
		return ""
	}
	if end := t.now.Expiry; !end.IsZero() {
		margin := min(time.Minute, end.Sub(t.from)/4)
		if time.Until(end) <= margin {
			return ""
		}
	}
	return t.now.AccessToken
}

func (t *Tokens) refused(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now != nil && t.now.AccessToken == token {
		t.last, t.now = token, nil
	}
}

// doubtAfter is how old a token must be to be doubted.
const doubtAfter = time.Minute

// doubted drops a token that met a throttle, unless it is new: NetSuite words a refused token and a throttle alike.
func (t *Tokens) doubted(token string) {
	t.mu.Lock()
	old := time.Since(t.from) >= doubtAfter
	t.mu.Unlock()
	if old {
		t.refused(token)
	}
}

// failed returns the error of a request for a token, with its class and without what it was sent.
func (t *Tokens) failed(err error) error {
	var e *event.Error
	var d *event.Deferral
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err // without the address
	}
	if errors.As(err, &e) || errors.As(err, &d) {
		return fmt.Errorf("get an access token: %w", err)
	}
	class, text := event.Unavailable, "no answer that has one"
	var refused *oauth2.RetrieveError
	var ne net.Error
	switch {
	case errors.As(err, &refused):
		class = event.ClassOfStatus(refused.Response.StatusCode)
		text = "answered " + refused.Response.Status
		if code := codeOf(refused.ErrorCode, refused.ErrorDescription); code != "" {
			text += " (" + code + ")"
		}
		if refused.Response.StatusCode < 500 && class != event.Throttled && class != event.Timeout {
			class = event.Unauthorized
			text += "; check " + t.o.CredentialName
		}
		if refused.Response.StatusCode < 400 {
			class = event.Unavailable
		}
	case errors.Is(err, context.DeadlineExceeded) || errors.As(err, &ne) && ne.Timeout():
		class, text = event.Timeout, "no answer in time"
	}
	return &event.Error{Class: class, Downstream: t.o.Downstream, Err: errors.New("get an access token: " + text)}
}

// codeOf returns the two codes of a refusal: OAuth's, and Microsoft's number that a person can search for. The rest of the text
// may repeat what was sent.
func codeOf(code, description string) string {
	word := func(s string) string {
		return strings.Map(func(r rune) rune {
			if r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
				return r
			}
			return -1
		}, s[:min(len(s), 40)])
	}
	number, _, _ := strings.Cut(description, ":")
	if !strings.HasPrefix(number, "AADSTS") {
		number = ""
	}
	return strings.TrimSpace(word(code) + " " + word(number))
}
