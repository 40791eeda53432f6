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

// explained is an error with what to do about it.
type explained struct {
	error
	todo string
}

func (e *explained) Error() string { return e.error.Error() + ": " + e.todo }
func (e *explained) Unwrap() error { return e.error }

// Explain adds to an error of the broker, or of the way to it, which variable or permission is at fault and what to do.
// Other errors, and those that are explained already, stay as they are.
func Explain(err error) error {
	var done *explained
	if err == nil || errors.As(err, &done) {
		return err
	}
	if todo := remedy(err); todo != "" {
		return &explained{err, todo}
	}
	return err
}

func remedy(err error) string {
	if todo := tlsRemedy(err); todo != "" {
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
		return "correct the vhost at the end of MAGELINE_AMQP_URL (%2F is /), or make it and let the user in (rabbitmqctl add_vhost, rabbitmqctl set_permissions)"
	case refused.Code == amqp.AccessRefused && (errors.Is(err, amqp.ErrCredentials) || strings.Contains(refused.Reason, "Login was refused")):
		return "correct the user and the password in MAGELINE_AMQP_URL"
	case refused.Code == amqp.AccessRefused:
		return "give the user of MAGELINE_AMQP_URL that right (rabbitmqctl set_permissions); `mageline check` lists all that it lacks"
	case refused.Code == amqp.PreconditionFailed && strings.Contains(refused.Reason, "inequivalent arg"):
		return "`mageline check` says what differs; arguments can't be changed: let the queue run empty, delete it, and it is declared anew"
	}
	return ""
}

// explainCertificate tells what is wrong with the client's certificate where the broker's alert may have been lost: with TLS
// 1.3 it comes after the handshake, and the end of the connection may overtake it.
func explainCertificate(err error, c *tls.Config) error {
	if tlsRemedy(err) != "" && !strings.Contains(err.Error(), "remote error: tls: ") {
		return err // it is the broker's
	}
	const pair = "MAGELINE_AMQP_CERT_FILE and MAGELINE_AMQP_KEY_FILE"
	text := err.Error()
	switch {
	case c != nil && len(c.Certificates) > 0 && c.Certificates[0].Leaf != nil && time.Now().After(c.Certificates[0].Leaf.NotAfter):
		return &explained{err, "the client certificate in MAGELINE_AMQP_CERT_FILE has expired on " +
			c.Certificates[0].Leaf.NotAfter.UTC().Format(time.RFC3339) + ": renew it and its key"}
	case (c == nil || len(c.Certificates) == 0) && (strings.Contains(text, "connection reset") || strings.Contains(text, "broken pipe") || strings.Contains(text, "EOF")):
		return &explained{err, "RabbitMQ ended the connection after the handshake; if it wants a client certificate, set " + pair}
	}
	return err
}

// tlsRemedy tells a handshake's failures apart. The library's error for an alert that comes after the handshake, as TLS
// 1.3 refuses a client's certificate, has nothing but its text.
func tlsRemedy(err error) string {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &unknown):
		return "RabbitMQ's certificate is signed by none of the roots in MAGELINE_AMQP_CA_FILE (without it: the system's): put the CA that signed it there"
	case errors.As(err, &host):
		return "RabbitMQ's certificate is for another host than the one in MAGELINE_AMQP_URL: use a name that is in it, or give the broker a certificate with this one"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "RabbitMQ's certificate has expired or is not valid yet: renew it on the broker, or correct this machine's clock"
	case errors.As(err, &invalid):
		return "RabbitMQ's certificate can't be used: see what signed it and for what (MAGELINE_AMQP_CA_FILE)"
	case errors.As(err, &record):
		return "RabbitMQ speaks no TLS at this port: use the TLS listener's (5671 by default), or amqp:// in MAGELINE_AMQP_URL"
	}
	const alert = "remote error: tls: "
	_, reason, isAlert := strings.Cut(err.Error(), alert)
	if !isAlert {
		return ""
	}
	const cert = "MAGELINE_AMQP_CERT_FILE"
	switch {
	case strings.HasPrefix(reason, "certificate required"), strings.HasPrefix(reason, "handshake failure"):
		return "RabbitMQ wants a client certificate: set " + cert + " and MAGELINE_AMQP_KEY_FILE"
	case strings.HasPrefix(reason, "expired certificate"):
		return "the client certificate in " + cert + " has expired: renew the file"
	case strings.HasPrefix(reason, "unknown certificate authority"), strings.HasPrefix(reason, "bad certificate"):
		return fmt.Sprintf("RabbitMQ does not know the CA of the client certificate in %s, or got none: set %s and MAGELINE_AMQP_KEY_FILE to a pair that its CA signed", cert, cert)
	default:
		return "RabbitMQ refuses the client certificate in " + cert + ", or the TLS version: its log says why"
	}
}

// limits are what RabbitMQ says where a vhost, a user or a node has as much of something as it may have
// (rabbit_channel, rabbit_reader, rabbit_vhost_limit; tried on 3.10).
var limits = regexp.MustCompile(`limit .*is reached|has reached the maximum allowed`)

// IsLimit reports whether the broker said that a limit of a vhost or a user is reached.
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

// IsRefused reports whether the broker said that the user may not do it.
func IsRefused(err error) bool {
	var e *amqp.Error
	return errors.As(err, &e) && e.Code == amqp.AccessRefused
}

// tooLarge is RabbitMQ's text, with the size (rabbit_channel:check_msg_size, 3.10 to 4.3).
var tooLarge = regexp.MustCompile(`message size (\d+) is larger than (?:configured )?max size`)

// IsTooLarge reports whether the broker refused a body of so many bytes for its size: it is larger than max_message_size,
// 128 MiB by default and 16 MiB since RabbitMQ 4.0. The broker ends the channel for it, and whatever else was under way
// there fails with the same text: hence the size.
func IsTooLarge(err error, size int) bool {
	var e *amqp.Error
	if !errors.As(err, &e) || e.Code != amqp.PreconditionFailed {
		return false
	}
	m := tooLarge.FindStringSubmatch(e.Reason)
	return m != nil && m[1] == strconv.Itoa(size)
}
