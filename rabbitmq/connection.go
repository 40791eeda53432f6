// Package rabbitmq is what consuming and dead letters share of RabbitMQ: connections that can't hang, the topology and
// its arguments, publishes that are confirmed, and what a message keeps when it is published again.
package rabbitmq

import (
	"bufio"
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
	// URL is an amqp:// or amqps:// address with its credentials, or several, as of ParseURL. It is never logged.
	URL string
	// TLS is used for amqps://; nil trusts the system's roots.
	TLS *tls.Config
	// Newest, where it is set, is asked for the two above before each connection: files of secrets and certificates change
	// while the process runs.
	Newest func() (url string, tls *tls.Config)
}

func (o Options) newest() Options {
	if o.Newest != nil {
		o.URL, o.TLS = o.Newest()
	}
	return o
}

const (
	dialTimeout = 10 * time.Second
	// A write that takes longer means that the broker has stopped reading (an alarm) or is gone: amqp091-go would wait
	// for ever, whatever the context says.
	writeTimeout = 20 * time.Second
	heartbeat    = 10 * time.Second
)

// Dial opens a connection, of several nodes to one that takes it, asked in random order. name is what the broker's list of
// connections shows. The library's own recovery stays off: with it a late acknowledgement can settle another message and
// lose it (docs/reference/rabbitmq.md).
func Dial(ctx context.Context, o Options, name string) (*amqp.Connection, error) {
	o = o.newest()
	nodes, err := ParseURL(o.URL)
	if err != nil {
		return nil, fmt.Errorf("AMQP_URL can't be used: %w", err)
	}
	rand.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	var errs []error
	for _, n := range nodes {
		conn, err := n.dial(ctx, o.TLS, name)
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

// nodesError is why each node of a cluster took no connection, in one line.
type nodesError []error

func (e nodesError) Error() string {
	texts := make([]string, 0, len(e))
	for _, err := range e {
		texts = append(texts, err.Error())
	}
	return "no node takes a connection: " + strings.Join(texts, "; ")
}

func (e nodesError) Unwrap() []error { return e }

func (n Node) dial(ctx context.Context, tls *tls.Config, name string) (*amqp.Connection, error) {
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
			// The handshake is bounded too; the library clears this deadline when it is done.
			if err := c.SetReadDeadline(time.Now().Add(timeout)); err != nil {
				return nil, errors.Join(err, c.Close())
			}
			return &stream{Conn: c, in: bufio.NewReaderSize(c, readAhead)}, nil
		},
	})
	if err != nil {
		err = fmt.Errorf("connect to RabbitMQ at %s, vhost %q: %w", n.HostPort(), n.Vhost, err)
		if n.Scheme == "amqps" {
			err = explainCertificate(err, tls)
		}
		return nil, Explain(err)
	}
	return conn, nil
}

// Close closes a connection without waiting for a broker that does not answer.
func Close(conn *amqp.Connection) {
	_ = conn.CloseDeadline(time.Now().Add(2 * time.Second)) // it is gone either way
}

// readAhead is how much is read at once, in bytes: the library's own 4 KiB make two system calls of nearly each message.
const readAhead = 64 << 10

// stream is a connection whose writes end, and that reads many messages at once.
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
