package magentoapi

import (
	"errors"
	"fmt"
	"net/http"
)

// A Credential proves to Magento who calls. Bearer, OAuth1, AdminToken and CustomerToken return one. Others can be written,
// or wrap one of these, which need nothing of the Client but these two calls. Both come from several goroutines at once.
type Credential interface {
	// Authorize adds the credential to req, which is complete but for it. It is called before each request is sent. It may
	// call Magento through c, and returns when the request's context ends. Its error ends the call, and must not hold a
	// secret.
	Authorize(c *Client, req *http.Request) error
	// Refused is told that Magento answered req with 401 or 403, and how. The Client then authorizes the request again
	// and sends it once more. So whatever was refused must be dropped, where there may be something newer.
	Refused(req *http.Request, refusal *Error)
}

// A Secret returns the present value of a password, key or token. It is called before each use, so that a changed file is
// seen. Its error must not hold the value.
type Secret func() (string, error)

// Fixed is a Secret that never changes.
func Fixed(value string) Secret {
	return func() (string, error) { return value, nil }
}

// read returns the secret's value; what names it in the error.
func (s Secret) read(what string) (string, error) {
	if s == nil {
		return "", fmt.Errorf("no %s is given", what)
	}
	value, err := s()
	if err != nil {
		return "", fmt.Errorf("reading the %s: %w", what, err)
	}
	if value == "" {
		return "", errors.New("the " + what + " is empty")
	}
	return value, nil
}

type bearer struct{ token Secret }

// Bearer sends an integration's access token, or any other token, as it is. Magento 2.4.4 and later refuse an
// integration's token unless oauth/consumer/enable_integration_as_bearer is 1: see ErrBearerDisabled, and OAuth1, which
// needs no such setting.
func Bearer(token Secret) Credential { return &bearer{token} }

func (b *bearer) Authorize(_ *Client, req *http.Request) error {
	token, err := b.token.read("bearer token")
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	return nil
}

// Refused has nothing to drop: the secret is read again for the next request. It says why Magento may have refused: what it
// answers to a bearer token that it takes for nobody's is what it answers to a missing permission.
func (b *bearer) Refused(_ *http.Request, refusal *Error) {
	if !refusal.accepted && refusal.Status == http.StatusUnauthorized && refusal.Body == BodyJSON {
		refusal.reason = ErrBearerDisabled
	}
}
