package erphttp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/mageline/mageline/event"
)

// Meaning is what an answer other than 2xx means for the effect that was asked for.
type Meaning struct {
	Class event.Class
	// NotDone is true where the effect has certainly not happened. It may then be repeated without a look-up.
	NotDone bool
}

// Meanings that the tables of several ERPs have.
var (
	// Busy is a refusal that ends by itself. Nothing was done.
	Busy = Meaning{Class: event.Unavailable, NotDone: true}
	// Unsure is one after which the ERP is asked before anything is sent again.
	Unsure = Meaning{Class: event.Unavailable}
	// Unusable is one that names what is missing or not set up.
	Unusable = Meaning{Class: event.Invalid, NotDone: true}
	// Refused is one for good.
	Refused = Meaning{Class: event.Rejected, NotDone: true}
)

// MeaningOf returns the meaning of a status, for every ERP and every call of which no Rule says otherwise.
//
//	3xx                 Unavailable    may be done: something else than the ERP answers
//	400, 405, 409, …    Rejected       not done; every 4xx that is not in another row
//	401, 403            Unauthorized   not done
//	404                 NotFound       not done
//	408                 Timeout        may be done
//	423, 425            Unavailable    not done: a locked record
//	429                 Throttled      may be done
//	5xx                 Unavailable    may be done
func MeaningOf(status int) Meaning {
	m := Meaning{Class: event.ClassOfStatus(status)}
	switch status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
	default:
		m.NotDone = status >= 400 && status <= 499
	}
	return m
}

// Dialect is how an ERP words its errors.
type Dialect struct {
	// Read takes code and message out of the body of an error; nil is ReadError.
	Read func(body []byte) (code, message string)
	// Rules are tried in their order; where none holds, MeaningOf decides.
	Rules []Rule
}

// Rule is one row of an ERP's table of errors: what the answers mean that have all of Status, Code and Text.
type Rule struct {
	// Status is that of the answer; 0 is any.
	Status int
	// Code is the code in the body; empty is any.
	Code string
	// Text is contained in the message, in any case of letters; empty is any.
	Text string
	// AtMost limits the rule to the first so many throttles in a row, for an answer that may mean a throttle or a wrong
	// credential. Only the transport counts them: without it the rule does not hold. 0 is no limit.
	AtMost  int
	Meaning Meaning
}

// Subject has the form of downstream.Options.Classify: a throttle is one for the transport too, however the ERP words it.
// What any other answer is about, its status decides.
func (d Dialect) Subject(a event.Answer, byStatus event.Subject) event.Subject {
	if rule, ok := d.rule(a.Status, a.Body, a.Throttles); ok {
		switch {
		case rule.Meaning.Class == event.Throttled:
			return event.AboutLoad
		case byStatus == event.AboutLoad:
			return event.AboutRequest
		}
	}
	return byStatus
}

// notCounted is for rule where nobody counts the throttles.
const notCounted = -1

func (d Dialect) rule(status int, body []byte, throttles int) (Rule, bool) {
	code, message := d.read(body)
	message = strings.ToLower(message)
	i := slices.IndexFunc(d.Rules, func(r Rule) bool {
		return (r.Status == 0 || r.Status == status) && (r.Code == "" || r.Code == code) &&
			strings.Contains(message, strings.ToLower(r.Text)) &&
			(r.AtMost == 0 || throttles != notCounted && throttles < r.AtMost)
	})
	if i < 0 {
		return Rule{}, false
	}
	return d.Rules[i], true
}

func (d Dialect) read(body []byte) (code, message string) {
	if d.Read == nil {
		return ReadError(body)
	}
	return d.Read(body)
}

func (a *Answer) meaning() Meaning {
	if rule, ok := a.client.o.Dialect.rule(a.Status, a.Body, notCounted); ok {
		return rule.Meaning
	}
	return MeaningOf(a.Status)
}

// Refused returns the error of an answer that is no success. The ERP's own message is part of it, shortened, without the
// personal data of the request's order and without the credential.
func (a *Answer) Refused() error {
	c, m := a.client, a.meaning()
	text := fmt.Sprintf("%s: the ERP answered %d %s", a.request.What, a.Status, http.StatusText(a.Status))
	if _, message := c.o.Dialect.read(a.Body); message != "" {
		text += fmt.Sprintf(" (%s)", redact(message, a.request.Order, a.request.Customer, a.secrets))
	}
	switch {
	case a.Status >= 300 && a.Status <= 399:
		text += fmt.Sprintf("; redirects are not followed: set %s to the final address", c.o.AddressName)
	case m.Class == event.Unauthorized:
		text += "; check " + c.o.CredentialName
	case m.Class == event.NotFound:
		text += fmt.Sprintf("; see that %s leads to the ERP and that it has what is named", c.o.AddressName)
	case m.Class == event.Rejected:
		text += "; correct what it refuses, then replay the message"
	}
	err := error(&event.Error{Class: m.Class, Downstream: Downstream, RetryAfter: a.after, Request: a.request.What, Err: errors.New(text)})
	if m.NotDone {
		err = event.NotDone(err)
	}
	return a.request.failed(err)
}

// Unreadable returns the error of a success that says nothing: what was asked may have been done.
func (a *Answer) Unreadable(why error) error {
	return &event.Error{
		Class: event.Unavailable, Downstream: Downstream, Unreadable: true,
		Err: fmt.Errorf("%s: the ERP answered %d, and the answer can't be read: %w; see that %s leads to the ERP and not to a proxy's page",
			a.request.What, a.Status, why, a.client.o.AddressName),
	}
}

// lost returns the error of a request without an answer. What the transport has classified stays as it is, with its mark.
func (c *Client) lost(r Request, err error) error {
	// *url.Error repeats the address with its query.
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	var e *event.Error
	var d *event.Deferral
	if errors.As(err, &e) || errors.As(err, &d) {
		return fmt.Errorf("%s: %w", r.What, err)
	}
	class := event.Unavailable
	var ne net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &ne) && ne.Timeout() {
		class = event.Timeout
	}
	return &event.Error{
		Class: class, Downstream: Downstream,
		Err: fmt.Errorf("%s: no answer from the ERP; see that %s is right and the ERP runs: %w", r.What, c.o.AddressName, err),
	}
}
