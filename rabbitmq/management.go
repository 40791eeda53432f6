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

// maxManagement bounds an answer, in bytes. That of a queue with a thousand consumers is smaller.
const maxManagement = 4 << 20

// Management is a client of RabbitMQ's HTTP API (https://www.rabbitmq.com/docs/http-api-reference), for what AMQP does not
// show: policies, bindings, alarms. It was written against the answers of 3.10.8.
type Management struct {
	VHost  string
	base   *url.URL // without a user
	user   *url.Userinfo
	client *http.Client
}

// ErrNoSuchObject means that the API answered 404.
var ErrNoSuchObject = errors.New("there is no such object")

// ManagementRefusedError means that the API answered 401 or 403.
type ManagementRefusedError struct{ status int }

func (e *ManagementRefusedError) Error() string {
	return fmt.Sprintf("answers %d %s", e.status, http.StatusText(e.status))
}

// NewManagement returns a client for an address such as http://user:password@host:15672. It uses the vhost and the roots of o.
func NewManagement(address string, o Options) (*Management, error) {
	vhost := "/"
	if nodes, err := ParseURL(o.URL); err == nil { // else no connection can be opened either
		vhost = nodes[0].Vhost
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		// The parser's error would repeat the password.
		return nil, errors.New("must be http://user:password@host:15672 or https://…, special characters percent-encoded")
	}
	transport := &http.Transport{} // without a proxy, as for AMQP: it would see the password
	if o.TLS != nil {
		transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.TLS.RootCAs}
	}
	m := &Management{
		user: u.User, VHost: vhost,
		client: &http.Client{
			Transport: transport,
			// A redirect would send the password elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	m.base = u
	return m, nil
}

// Close closes idle connections.
func (m *Management) Close() { m.client.CloseIdleConnections() }

// Address returns scheme, host and port, without the user.
func (m *Management) Address() string { return m.base.Scheme + "://" + m.base.Host }

// Get reads one object into into. It escapes each part of the path: the vhost / becomes %2F.
func (m *Management) Get(ctx context.Context, into any, path ...string) error {
	escaped := make([]string, 0, len(path)+1)
	escaped = append(escaped, "api")
	for _, part := range path {
		escaped = append(escaped, url.PathEscape(part))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.base.JoinPath(escaped...).String(), http.NoBody)
	if err != nil {
		return errors.New("the management API's address is no address of HTTP")
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
	// A health check that fails answers 503, with the reason.
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
		return errors.New("answers with something that is not RabbitMQ's: check that it is the management API's address, as http://host:15672")
	}
	return nil
}

// late adds to an error that the deadline has passed.
func late(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("no answer in time (%w)", err)
	}
	return err
}

// BindingState is a binding as the API shows it.
type BindingState struct {
	Source    string           `json:"source"` // empty for the default exchange
	Key       string           `json:"routing_key"`
	Arguments ManagementObject `json:"arguments"`
}

// Bindings returns the bindings of a queue, with that of the default exchange.
func (m *Management) Bindings(ctx context.Context, queue string) (all []BindingState, err error) {
	err = m.Get(ctx, &all, "queues", m.VHost, queue, "bindings")
	return all, err
}

// Topics returns the routing keys with which a queue is bound to an exchange.
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

// ManagementObject is a JSON object. Some versions of RabbitMQ write an empty one as [].
type ManagementObject map[string]any

// UnmarshalJSON accepts an object or an empty list.
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
