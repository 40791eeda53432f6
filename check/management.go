package check

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

const (
	// managementTimeout bounds all questions to RabbitMQ's HTTP API together.
	managementTimeout = 15 * time.Second
	// maxManagement is what is read of one answer, in bytes: a queue with a thousand consumers has less.
	maxManagement = 4 << 20
)

// management is RabbitMQ's HTTP API (https://www.rabbitmq.com/docs/http-api-reference), as far as check reads it. Its
// answers were looked at on 3.10.8.
type management struct {
	base   *url.URL // without a user
	user   *url.Userinfo
	vhost  string
	client *http.Client
}

var errNoSuchObject = errors.New("there is no such thing")

// refusedError is an answer that the API's user may not have.
type refusedError struct{ status int }

func (e *refusedError) Error() string {
	return fmt.Sprintf("answers %d %s", e.status, http.StatusText(e.status))
}

// newManagement takes an address such as http://user:password@host:15672, and the roots of the AMQP connection if it has
// its own. The caller closes the client's idle connections.
func newManagement(address, vhost string, roots *tls.Config) (*management, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		// The parser's error would repeat the password.
		return nil, errors.New("must be http://user:password@host:15672 or https://…, special characters percent-encoded")
	}
	transport := &http.Transport{} // without a proxy, which would see the password, and AMQP has none
	if roots != nil {
		transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots.RootCAs}
	}
	m := &management{
		user: u.User, vhost: vhost,
		client: &http.Client{
			Transport: transport,
			// A redirect would take the password elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	m.base = u
	return m, nil
}

// get asks for one object, each part of its path escaped: the vhost / is %2F.
func (m *management) get(ctx context.Context, into any, path ...string) error {
	escaped := make([]string, 0, len(path)+1)
	escaped = append(escaped, "api")
	for _, part := range path {
		escaped = append(escaped, url.PathEscape(part))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.base.JoinPath(escaped...).String(), http.NoBody)
	if err != nil {
		return errors.New("MAGELINE_AMQP_MANAGEMENT_URL makes no address")
	}
	if password, ok := m.user.Password(); ok || m.user.Username() != "" {
		req.SetBasicAuth(m.user.Username(), password)
	}
	resp, err := m.client.Do(req)
	if err != nil {
		var outer *url.Error
		if errors.As(err, &outer) {
			err = outer.Err // without the address
		}
		return inTime(ctx, err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
		return &refusedError{resp.StatusCode}
	case resp.StatusCode == http.StatusNotFound:
		return errNoSuchObject
	case resp.StatusCode >= 300 && resp.StatusCode <= 399:
		return fmt.Errorf("answers %d: redirects are not followed", resp.StatusCode)
	// The health checks say 503 for "no", with the reason as for "yes".
	case resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusServiceUnavailable:
		return fmt.Errorf("answers %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxManagement+1))
	if err != nil {
		return inTime(ctx, err)
	}
	if len(body) > maxManagement {
		return fmt.Errorf("answers with more than %d bytes", maxManagement)
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if err := decoder.Decode(into); err != nil {
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("answers %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
		}
		return errors.New("answers with what is not RabbitMQ's: see that it is the management API's address, as http://host:15672")
	}
	return nil
}

// object is a JSON object, which RabbitMQ writes as [] where it is empty in some versions.
type object map[string]any

func (o *object) UnmarshalJSON(b []byte) error {
	if !bytes.HasPrefix(bytes.TrimSpace(b), []byte("{")) {
		var list []any
		if err := json.Unmarshal(b, &list); err != nil {
			return err
		}
		if len(list) > 0 {
			return errors.New("an object was expected, not a list")
		}
		*o = nil
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(b))
	decoder.UseNumber()
	return decoder.Decode((*map[string]any)(o))
}

// queueState is a queue as the API tells it.
type queueState struct {
	Name       string `json:"name"`
	Type       string `json:"type"`
	Durable    bool   `json:"durable"`
	AutoDelete bool   `json:"auto_delete"`
	Arguments  object `json:"arguments"`
	// Policy and OperatorPolicy are the names of those that match, null for none, and Effective what they set together:
	// of two limits the lower one.
	Policy         string `json:"policy"`
	OperatorPolicy string `json:"operator_policy"`
	Effective      object `json:"effective_policy_definition"`
}

type exchangeState struct {
	Name      string `json:"name"`
	Arguments object `json:"arguments"`
	Policy    string `json:"policy"`
}

type policyState struct {
	Name       string `json:"name"`
	Pattern    string `json:"pattern"`
	ApplyTo    string `json:"apply-to"`
	Priority   int    `json:"priority"`
	Definition object `json:"definition"`
}

type bindingState struct {
	Source    string `json:"source"` // empty for the default exchange
	Key       string `json:"routing_key"`
	Arguments object `json:"arguments"`
}

type alarmState struct {
	Status string `json:"status"`
	Alarms []struct {
		Node     string `json:"node"`
		Resource string `json:"resource"`
	} `json:"alarms"`
}
