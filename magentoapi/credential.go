package magentoapi

import (
	"errors"
	"fmt"
	"net/http"
)

// A Credential proves to Magento who calls. Bearer, OAuth1, AdminToken and CustomerToken make one.
type Credential interface {
	// Authorize adds the credential to req, which is complete but for it, and is called before each sending. It may
	// call Magento by c, and gives up when the request's context ends.
	Authorize(c *Client, req *http.Request) error
	// Refused is told that Magento answered req with 401 or 403. The Client then authorizes the request anew and sends
	// it once more, so that what Refused leaves behind must not be what was refused, if there is anything newer.
	Refused(req *http.Request)
}

// A Secret gives the present value of a password, key or token; it is asked before each use, so that a changed file is
// seen. Its error must not hold the value.
type Secret func() (string, error)

// Fixed is a Secret that never changes.
func Fixed(value string) Secret {
	return func() (string, error) { return value, nil }
}

// read gives the secret's value; what names it in the error.
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

// Refused has nothing to drop: the secret is read again for the next request.
func (b *bearer) Refused(*http.Request) {}
