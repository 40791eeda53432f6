package rabbitmq

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// explained is an error with a remedy.
type explained struct {
	error
	todo string
}

func (e *explained) Error() string { return e.error.Error() + ": " + e.todo }
func (e *explained) Unwrap() error { return e.error }

// Explain adds a remedy to an error of the broker or of the connection to it. It returns other errors, and those that have one
// already, as they are.
func Explain(err error) error { return explain(err, Settings{}.named()) }

func explain(err error, s Settings) error {
	var done *explained
	if err == nil || errors.As(err, &done) {
		return err
	}
	if todo := remedy(err, s); todo != "" {
		return &explained{err, todo}
	}
	return err
}

func remedy(err error, s Settings) string {
	if todo := tlsRemedy(err, s); todo != "" {
		return todo
	}
	var refused *amqp.Error
	if !errors.As(err, &refused) {
		return ""
	}
	switch {
	case IsLimit(err):
		return limitRemedy(refused.Reason)
	case refused.Code == amqp.NotAllowed || errors.Is(err, amqp.ErrVhost):
		return "correct the vhost at the end of " + s.URL + " (%2F is /), or add it and let the user in (rabbitmqctl add_vhost, rabbitmqctl set_permissions)"
	case refused.Code == amqp.AccessRefused && (errors.Is(err, amqp.ErrCredentials) || strings.Contains(refused.Reason, "Login was refused")):
		return "correct the user and the password in " + s.URL
	case refused.Code == amqp.AccessRefused:
		return "grant the user this permission (rabbitmqctl set_permissions)"
	case refused.Code == amqp.PreconditionFailed && strings.Contains(refused.Reason, "inequivalent arg"):
		return "the arguments of a queue can't be changed: let it run empty, delete it, and it is declared again"
	}
	return ""
}

// explainCertificate adds the remedy for a client's certificate where the broker's alert may have been lost: with TLS 1.3 it comes
// after the handshake, and the end of the connection may overtake it.
func explainCertificate(err error, c *tls.Config, s Settings) error {
	if tlsRemedy(err, s) != "" && !strings.Contains(err.Error(), "remote error: tls: ") {
		return err // it is the broker's
	}
	text := err.Error()
	switch {
	case c != nil && len(c.Certificates) > 0 && c.Certificates[0].Leaf != nil && time.Now().After(c.Certificates[0].Leaf.NotAfter):
		return &explained{err, "the client certificate in " + s.Cert + " has expired on " +
			c.Certificates[0].Leaf.NotAfter.UTC().Format(time.RFC3339) + ": renew it and its key"}
	case (c == nil || len(c.Certificates) == 0) && (strings.Contains(text, "connection reset") || strings.Contains(text, "broken pipe") || strings.Contains(text, "EOF")):
		return &explained{err, "RabbitMQ ended the connection after the handshake; if it wants a client certificate, set " + s.Cert + " and " + s.Key}
	}
	return err
}

// tlsRemedy returns the remedy for a failed handshake. An alert that comes after the handshake, with which TLS 1.3 refuses a
// client's certificate, is an error of amqp091-go that has only a text.
func tlsRemedy(err error, s Settings) string {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &unknown):
		return "RabbitMQ's certificate is signed by none of the roots in " + s.CA + " (without it: the system's): add the CA that signed it"
	case errors.As(err, &host):
		return "RabbitMQ's certificate is for another host than the one in " + s.URL + ": use a name that is in it, or give the broker a certificate with this one"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "RabbitMQ's certificate has expired or is not valid yet: renew it on the broker, or correct this machine's clock"
	case errors.As(err, &invalid):
		return "RabbitMQ's certificate can't be used: see what signed it and for what (" + s.CA + ")"
	case errors.As(err, &record):
		return "RabbitMQ speaks no TLS at this port: use the TLS listener's (5671 by default), or amqp:// in " + s.URL
	}
	const alert = "remote error: tls: "
	_, reason, isAlert := strings.Cut(err.Error(), alert)
	if !isAlert {
		return ""
	}
	switch {
	case strings.HasPrefix(reason, "certificate required"), strings.HasPrefix(reason, "handshake failure"):
		return "RabbitMQ wants a client certificate: set " + s.Cert + " and " + s.Key
	case strings.HasPrefix(reason, "expired certificate"):
		return "the client certificate in " + s.Cert + " has expired: renew the file"
	case strings.HasPrefix(reason, "unknown certificate authority"), strings.HasPrefix(reason, "bad certificate"):
		return fmt.Sprintf("RabbitMQ does not know the CA of the client certificate in %s, or got none: set %s and %s to a pair that its CA signed", s.Cert, s.Cert, s.Key)
	default:
		return "RabbitMQ refuses the client certificate in " + s.Cert + ", or the TLS version: its log says why"
	}
}

// limits matches RabbitMQ's text where a limit of a vhost, a user or a node is reached (rabbit_channel, rabbit_reader,
// rabbit_vhost_limit; tried on 3.10).
var limits = regexp.MustCompile(`limit .*is reached|has reached the maximum allowed`)

// IsLimit reports whether the broker refused because a limit of a vhost or a user is reached.
func IsLimit(err error) bool {
	var e *amqp.Error
	return errors.As(err, &e) && (e.Code == amqp.NotAllowed || e.Code == amqp.PreconditionFailed) && limits.MatchString(e.Reason)
}

func limitRemedy(reason string) string {
	of, what := "vhost", "connections"
	switch {
	case strings.Contains(reason, "queue limit"):
		what = "queues"
	case strings.Contains(reason, "exchange limit"):
		what = "exchanges"
	case strings.Contains(reason, "channels"):
		of, what = "user", "channels"
	case strings.Contains(reason, "user connection limit"):
		of = "user"
	}
	return fmt.Sprintf("raise the limit of the %s (rabbitmqctl set_%s_limits, max-%s), or free some: `rabbitmqctl list_%s` says who has them", of, of, what, what)
}

// IsRefused reports whether the broker refused because the user lacks a permission (403).
func IsRefused(err error) bool {
	var e *amqp.Error
	return errors.As(err, &e) && e.Code == amqp.AccessRefused
}

// tooLarge matches RabbitMQ's text with the size (rabbit_channel:check_msg_size, 3.10 to 4.3).
var tooLarge = regexp.MustCompile(`message size (\d+) is larger than (?:configured )?max size`)

// IsTooLarge reports whether the broker refused a body of so many bytes because it is larger than max_message_size: 128 MiB by
// default, 16 MiB since RabbitMQ 4.0. The broker closes the channel, and every other publish in flight on it fails with the same
// text. The size tells which one is too large.
func IsTooLarge(err error, size int) bool {
	var e *amqp.Error
	if !errors.As(err, &e) || e.Code != amqp.PreconditionFailed {
		return false
	}
	m := tooLarge.FindStringSubmatch(e.Reason)
	return m != nil && m[1] == strconv.Itoa(size)
}
