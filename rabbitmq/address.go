package rabbitmq

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Node is the address of one node of a cluster.
type Node struct {
	amqp.URI
	url string // with its credentials
}

// HostPort returns host:port, for logs.
func (n Node) HostPort() string { return net.JoinHostPort(n.Host, strconv.Itoa(n.Port)) }

// nextNode matches where the next address of a list begins. A comma alone does not: a password may have one.
var nextNode = regexp.MustCompile(`,[ \t]*amqps?://`)

// parameters are the query parameters that amqp.ParseURI knows.
var parameters = []string{
	"auth_mechanism", "cacertfile", "certfile", "channel_max", "connection_timeout", "heartbeat", "keyfile", "server_name_indication",
}

// ParseURL parses an amqp:// or amqps:// address, or several, separated by commas: those of the nodes of one cluster. It accepts
// what amqp091-go accepts, but for parts that amqp091-go would silently ignore. Its errors never contain an address.
func ParseURL(list string) ([]Node, error) {
	var nodes []Node
	parts := cutNodes(list)
	for i, part := range parts {
		n, err := parseNode(part)
		if err != nil && len(parts) > 1 {
			err = fmt.Errorf("address %d of %d: %w", i+1, len(parts), err)
		}
		if err != nil {
			return nil, err
		}
		if i > 0 && (n.Username != nodes[0].Username || n.Password != nodes[0].Password || n.Vhost != nodes[0].Vhost) {
			return nil, fmt.Errorf("address %d of %d: user, password and vhost must be those of the first: the addresses are of the nodes of one cluster", i+1, len(parts))
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

func cutNodes(list string) []string {
	var parts []string
	for {
		at := nextNode.FindStringIndex(list)
		if at == nil {
			return append(parts, list)
		}
		parts = append(parts, list[:at[0]])
		list = strings.TrimLeft(list[at[0]+1:], " \t")
	}
}

func parseNode(address string) (Node, error) {
	const want = "want amqp://user:password@host:port/vhost or amqps://…, special characters percent-encoded"
	if strings.HasSuffix(address, ",") {
		return Node{}, errors.New("an address is missing after the last comma")
	}
	if strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return Node{}, errors.New("has a blank or a control character in it (%20 is a blank); " + want)
	}
	u, err := url.Parse(address)
	switch {
	case err != nil: // its text has the address
		return Node{}, errors.New(want)
	case u.Scheme != "amqp" && u.Scheme != "amqps":
		return Node{}, errors.New("must begin with amqp:// or amqps://; " + want)
	case strings.Contains(u.Host, ","):
		return Node{}, errors.New("several nodes are several whole addresses, as amqp://user:password@a:5672/vhost,amqp://user:password@b:5672/vhost")
	case u.Hostname() == "":
		return Node{}, errors.New("has no host; " + want)
	case strings.Contains(u.Hostname(), ":") && !strings.HasPrefix(u.Host, "["):
		return Node{}, errors.New("has an IPv6 address without brackets: want [::1]:5672")
	case u.Fragment != "" || strings.HasSuffix(address, "#"):
		return Node{}, errors.New("has a # in it, which is %23 in a password or vhost; " + want)
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > math.MaxUint16 {
			return Node{}, errors.New("its port must be from 1 to 65535")
		}
	}
	if err := checkParameters(u); err != nil {
		return Node{}, err
	}
	uri, err := amqp.ParseURI(address)
	if err != nil {
		return Node{}, errors.New(want)
	}
	return Node{URI: uri, url: address}, nil
}

// fewestChannels is how many channels a process needs on one connection, with some to spare.
const fewestChannels = 64

func checkParameters(u *url.URL) error {
	params, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return errors.New("its parameters can't be read: want name=value, separated by &")
	}
	number := func(name string, least, most int) error {
		if !params.Has(name) {
			return nil
		}
		if n, err := strconv.Atoi(params.Get(name)); err != nil || n < least || n > most {
			return fmt.Errorf("its parameter %s must be a whole number from %d to %d", name, least, most)
		}
		return nil
	}
	for name := range params {
		if !slices.Contains(parameters, name) {
			return fmt.Errorf("there is no parameter %q, but %s", name, strings.Join(parameters, ", "))
		}
	}
	if err := errors.Join(number("heartbeat", 0, math.MaxUint16), number("connection_timeout", 1, 600_000)); err != nil {
		return err
	}
	if params.Get("channel_max") != "0" {
		if err := number("channel_max", fewestChannels, math.MaxUint16); err != nil {
			return fmt.Errorf("%w, or 0", err)
		}
	}
	for _, name := range params["auth_mechanism"] {
		if !slices.Contains([]string{"PLAIN", "AMQPLAIN", "EXTERNAL"}, strings.ToUpper(name)) {
			return fmt.Errorf("its parameter auth_mechanism must be plain, amqplain or external")
		}
	}
	if params.Has("certfile") != params.Has("keyfile") {
		return errors.New("its parameters certfile and keyfile are needed together")
	}
	ca, cert, key := params.Get("cacertfile"), params.Get("certfile"), params.Get("keyfile")
	if u.Scheme == "amqp" && (ca != "" || cert != "" || params.Has("server_name_indication")) {
		return errors.New("its parameters cacertfile, certfile, keyfile and server_name_indication are for amqps://")
	}
	if _, err := LoadTLS(ca, cert, key); err != nil {
		return fmt.Errorf("its parameters: %w", err)
	}
	return nil
}

// FileError means that a file given to LoadTLS can't be used.
type FileError struct {
	Cert bool // true for the client's certificate or key, false for the roots
	Err  error
}

func (e *FileError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *FileError) Unwrap() error { return e.Err }

// LoadTLS reads the PEM files of a connection: the roots that the broker's certificate is checked against (empty: the system's),
// and the client's certificate with its key (empty: none). Without files it returns nil. Its errors are *FileError.
func LoadTLS(ca, cert, key string) (*tls.Config, error) {
	if ca == "" && cert == "" && key == "" {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, &FileError{Err: err} // it names the path
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, &FileError{Err: fmt.Errorf("%s holds no certificate in PEM form", ca)}
		}
	}
	if cert != "" || key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, &FileError{Cert: true, Err: fmt.Errorf("%s and %s are no certificate with its key in PEM form: %w", cert, key, err)}
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// Nodes returns options for each node alone.
func (o Options) Nodes() ([]Options, error) {
	nodes, err := ParseURL(o.URL)
	if err != nil {
		return nil, err
	}
	all := make([]Options, 0, len(nodes))
	for _, n := range nodes {
		all = append(all, Options{URL: n.url, TLS: o.TLS, Settings: o.Settings})
	}
	return all, nil
}

// HostPort returns host:port of each node of an address, for logs.
func HostPort(url string) string {
	nodes, err := ParseURL(url)
	if err != nil {
		return "?"
	}
	names := make([]string, 0, len(nodes))
	for _, n := range nodes {
		names = append(names, n.HostPort())
	}
	return strings.Join(names, ",")
}
