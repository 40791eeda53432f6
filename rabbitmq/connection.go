// Package rabbitmq has what every user of RabbitMQ in this module needs: connections that can't hang (Dial), the exchanges,
// queues and bindings (Topology), confirmed publishes (Publisher), the message that publishes a delivery again (Republishing), and
// errors with a remedy (Explain). It knows AMQP and nothing of events or handlers.
package rabbitmq

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Options say how to reach a broker.
type Options struct {
	// URL is an address with its credentials, or several: see ParseURL. It is never logged.
	URL string
	// TLS is used for amqps://; nil trusts the system's roots.
	TLS *tls.Config
	// Newest, if not nil, replaces URL and TLS before each connection: files with secrets and certificates change while the
	// process runs.
	Newest func() (url string, tls *tls.Config)
	// Settings are named in errors.
	Settings Settings
}

// Settings are the names of the settings of a program that its Options come from. Errors name them to whoever must correct one.
// An empty name is replaced by a description.
type Settings struct {
	URL  string // of Options.URL
	CA   string // the file with the roots that the broker's certificate is checked against
	Cert string // the file with the client's certificate
	Key  string // the file with its key
}

func (s Settings) named() Settings {
	return Settings{
		cmp.Or(s.URL, "the address"), cmp.Or(s.CA, "the file of the roots"),
		cmp.Or(s.Cert, "the client certificate's file"), cmp.Or(s.Key, "its key's file"),
	}
}

func (o Options) newest() Options {
	if o.Newest != nil {
		o.URL, o.TLS = o.Newest()
	}
	return o
}

const (
	dialTimeout = 10 * time.Second
	// writeTimeout bounds a write. One that takes longer means that the broker has stopped reading (an alarm) or is gone.
	// amqp091-go would block for ever, whatever the context says.
	writeTimeout = 20 * time.Second
	heartbeat    = 10 * time.Second
)

// Dial opens a connection. Of several nodes it tries each, in random order, until one accepts. name is shown in the broker's list
// of connections. The recovery of amqp091-go stays off: with it a late acknowledgement can settle another message, which is lost
// (docs/reference/rabbitmq.md).
func Dial(ctx context.Context, o Options, name string) (*amqp.Connection, error) {
	o = o.newest()
	nodes, err := ParseURL(o.URL)
	if err != nil {
		return nil, fmt.Errorf("%s can't be used: %w", o.Settings.named().URL, err)
	}
	rand.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	var errs []error
	for _, n := range nodes {
		conn, err := n.dial(ctx, o, name)
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	if len(errs) == 1 {
		return nil, errs[0]
	}
	return nil, nodesError(errs)
}

// nodesError is why each node of a cluster accepted no connection, in one line.
type nodesError []error

func (e nodesError) Error() string {
	texts := make([]string, 0, len(e))
	for _, err := range e {
		texts = append(texts, err.Error())
	}
	return "no node accepts a connection: " + strings.Join(texts, "; ")
}

func (e nodesError) Unwrap() []error { return e }

func (n Node) dial(ctx context.Context, o Options, name string) (*amqp.Connection, error) {
	tls := o.TLS
	if tls != nil {
		tls = tls.Clone() // the library writes the host into it
		tls.ServerName = n.ServerName
	}
	timeout := dialTimeout
	if n.ConnectionTimeout > 0 {
		timeout = time.Duration(n.ConnectionTimeout) * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := amqp.DialConfig(n.url, amqp.Config{
		Heartbeat:       heartbeat,
		TLSClientConfig: tls,
		Properties:      amqp.Table{"product": "mageline", "connection_name": name},
		Dial: func(network, addr string) (net.Conn, error) {
			c, err := (&net.Dialer{KeepAlive: 30 * time.Second}).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			// This bounds the handshake. The library clears the deadline afterwards.
			if err := c.SetReadDeadline(time.Now().Add(timeout)); err != nil {
				return nil, errors.Join(err, c.Close())
			}
			return &stream{Conn: c, in: bufio.NewReaderSize(c, readAhead)}, nil
		},
	})
	if err != nil {
		err = fmt.Errorf("connect to RabbitMQ at %s, vhost %q: %w", n.HostPort(), n.Vhost, err)
		if n.Scheme == "amqps" {
			err = explainCertificate(err, tls, o.Settings.named())
		}
		return nil, explain(err, o.Settings.named())
	}
	return conn, nil
}

// Close closes a connection without waiting for a broker that does not answer.
func Close(conn *amqp.Connection) {
	_ = conn.CloseDeadline(time.Now().Add(2 * time.Second)) // it ends either way
}

// readAhead is the size of the read buffer, in bytes. With the library's 4 KiB most messages cost two system calls.
const readAhead = 64 << 10

// stream is a connection that bounds its writes and buffers its reads.
type stream struct {
	net.Conn
	in *bufio.Reader
}

func (s *stream) Read(b []byte) (int, error) { return s.in.Read(b) }

func (s *stream) Write(b []byte) (int, error) {
	if err := s.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return s.Conn.Write(b)
}
