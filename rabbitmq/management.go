package rabbitmq

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
)

// maxManagement is what is read of one answer, in bytes: a queue with a thousand consumers has less.
const maxManagement = 4 << 20

// Management is RabbitMQ's HTTP API (https://www.rabbitmq.com/docs/http-api-reference), for what AMQP does not tell. Its
// answers were looked at on 3.10.8.
type Management struct {
	VHost  string
	base   *url.URL // without a user
	user   *url.Userinfo
	client *http.Client
}

// ErrNoSuchObject is its answer of 404.
var ErrNoSuchObject = errors.New("there is no such thing")

// ManagementRefusedError is an answer that the API's user may not have.
type ManagementRefusedError struct{ status int }

func (e *ManagementRefusedError) Error() string {
	return fmt.Sprintf("answers %d %s", e.status, http.StatusText(e.status))
}

// NewManagement takes an address such as http://user:password@host:15672, and the vhost and the roots of the AMQP connection.
func NewManagement(address string, o Options) (*Management, error) {
	vhost := "/"
	if nodes, err := ParseURL(o.URL); err == nil { // else nothing is reached with it anyway
		vhost = nodes[0].Vhost
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		// The parser's error would repeat the password.
		return nil, errors.New("must be http://user:password@host:15672 or https://…, special characters percent-encoded")
	}
	transport := &http.Transport{} // without a proxy, which would see the password, and AMQP has none
	if o.TLS != nil {
		transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.TLS.RootCAs}
	}
	m := &Management{
		user: u.User, VHost: vhost,
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

// Close ends its idle connections.
func (m *Management) Close() { m.client.CloseIdleConnections() }

// Address is scheme, host and port, without the user.
func (m *Management) Address() string { return m.base.Scheme + "://" + m.base.Host }

// Get asks for one object, each part of its path escaped: the vhost / is %2F.
func (m *Management) Get(ctx context.Context, into any, path ...string) error {
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
		return late(ctx, err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
		return &ManagementRefusedError{resp.StatusCode}
	case resp.StatusCode == http.StatusNotFound:
		return ErrNoSuchObject
	case resp.StatusCode >= 300 && resp.StatusCode <= 399:
		return fmt.Errorf("answers %d: redirects are not followed", resp.StatusCode)
	// The health checks say 503 for "no", with the reason as for "yes".
	case resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusServiceUnavailable:
		return fmt.Errorf("answers %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxManagement+1))
	if err != nil {
		return late(ctx, err)
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

// late says that an error is one of the time that was given.
func late(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("no answer in time (%w)", err)
	}
	return err
}

// BindingState is a binding as the API tells it.
type BindingState struct {
	Source    string           `json:"source"` // empty for the default exchange
	Key       string           `json:"routing_key"`
	Arguments ManagementObject `json:"arguments"`
}

// Bindings lists those of a queue, the default exchange's too.
func (m *Management) Bindings(ctx context.Context, queue string) (all []BindingState, err error) {
	err = m.Get(ctx, &all, "queues", m.VHost, queue, "bindings")
	return all, err
}

// Topics gives the routing keys with which a queue is bound to an exchange.
func (m *Management) Topics(ctx context.Context, queue, exchange string) (topics []string, err error) {
	all, err := m.Bindings(ctx, queue)
	if err != nil {
		return nil, fmt.Errorf("RabbitMQ's management API at %s, asked for the bindings of queue %s: %w", m.Address(), queue, err)
	}
	for _, b := range all {
		if b.Source == exchange {
			topics = append(topics, b.Key)
		}
	}
	return topics, nil
}

// ManagementObject is a JSON object, which RabbitMQ writes as [] where it is empty in some versions.
type ManagementObject map[string]any

// UnmarshalJSON takes an object, or a list if it is empty.
func (o *ManagementObject) UnmarshalJSON(b []byte) error {
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
