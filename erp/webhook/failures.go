package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/event"
)

// lost makes the error of a request without an answer. What the transport has classified stays as it is, with its mark.
func lost(what string, err error) error {
	// *url.Error repeats the address with its query.
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	var e *event.Error
	var d *event.Deferral
	if errors.As(err, &e) || errors.As(err, &d) {
		return fmt.Errorf("%s: %w", what, err)
	}
	class := event.Unavailable
	var ne net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &ne) && ne.Timeout() {
		class = event.Timeout
	}
	return &event.Error{
		Class: class, Downstream: downstream,
		Err: fmt.Errorf("%s: no answer from the ERP; see that MAGELINE_ERP_URL is right and the adapter runs: %w", what, err),
	}
}

// unreadable makes the error of a 2xx that says nothing: what was asked may have been done.
func unreadable(what string, a answer, err error) error {
	return &event.Error{
		Class: event.Unavailable, Downstream: downstream, Unreadable: true,
		Err: fmt.Errorf("%s: the ERP answered %d, and the answer can't be read: %w; see that MAGELINE_ERP_URL leads to the adapter and not to a proxy's page", what, a.status, err),
	}
}

// refused makes the error of an answer that is not 2xx. The ERP's own message is part of it, shortened and without the
// given personal data.
func refused(what string, a answer, personal *regexp.Regexp) error {
	class := event.ClassOfStatus(a.status)
	text := fmt.Sprintf("%s: the ERP answered %d %s", what, a.status, http.StatusText(a.status))
	if m := message(a.body, personal); m != "" {
		text += fmt.Sprintf(" (%s)", m)
	}
	switch {
	case a.status >= 300 && a.status <= 399:
		text += "; redirects are not followed: set MAGELINE_ERP_URL to the final address"
	case class == event.Unauthorized:
		text += "; check MAGELINE_ERP_TOKEN and MAGELINE_ERP_SECRET"
	case class == event.NotFound:
		text += "; see that MAGELINE_ERP_URL leads to the adapter and that it has what is named"
	case class == event.Rejected:
		text += "; correct what it refuses, then replay the message"
	}
	err := error(&event.Error{Class: class, Downstream: downstream, RetryAfter: a.retryAfter, Request: what, Err: errors.New(text)})
	if a.status >= 400 && a.status <= 499 && a.status != http.StatusRequestTimeout && a.status != http.StatusTooManyRequests {
		err = event.NotDone(err)
	}
	return err
}

// unmarked gives err without the mark of event.NotDone.
func unmarked(err error) error {
	if !event.IsNotDone(err) {
		return err
	}
	var d *event.Deferral
	if errors.As(err, &d) {
		own := *d
		own.Err = nil
		return &own
	}
	own := event.Error{Class: event.ClassOf(err), Downstream: downstream, Err: errors.New(err.Error())}
	var e *event.Error
	if errors.As(err, &e) {
		own.RetryAfter, own.Unreadable, own.Request = e.RetryAfter, e.Unreadable, e.Request
	}
	return &own
}

// retryAfter reads the header of that name: seconds or an HTTP date. 0 if there is none.
func retryAfter(header string, now time.Time) time.Duration {
	if s, err := strconv.ParseUint(header, 10, 31); err == nil {
		return time.Duration(s) * time.Second
	}
	if t, err := http.ParseTime(header); err == nil {
		return max(0, t.Sub(now))
	}
	return 0
}

// maxMessage is how many characters of the ERP's own message an error repeats.
const maxMessage = 200

var emailLike = regexp.MustCompile(`[^\s<>"'(),;:]+@[^\s<>"'(),;:]+`)

// message takes what a person can read out of a JSON error: its "message" or "error". The ERP may repeat in it what it
// was sent, so personal data that is known is taken out, and whatever looks like an e-mail address.
func message(body []byte, personal *regexp.Regexp) string {
	var e struct {
		Message json.RawMessage `json:"message"`
		Error   json.RawMessage `json:"error"`
	}
	if object(trim(body), &e) != nil {
		return ""
	}
	var s string
	for _, raw := range []json.RawMessage{e.Message, e.Error} {
		var inner struct {
			Message string `json:"message"`
		}
		if json.Unmarshal(raw, &s) == nil && s != "" {
			break
		}
		if json.Unmarshal(raw, &inner) == nil && inner.Message != "" {
			s = inner.Message
			break
		}
	}
	// Far more than is kept, so that what follows is short work.
	if len(s) > 16*maxMessage {
		s = s[:16*maxMessage]
	}
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, ""), func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
	s = emailLike.ReplaceAllString(s, "***")
	if personal != nil {
		s = personal.ReplaceAllString(s, "***")
	}
	if r := []rune(s); len(r) > maxMessage {
		s = string(r[:maxMessage]) + "…"
	}
	return s
}

// personalData matches what the order says of persons, in any case of letters; nil if it says nothing. Very short values
// are left out: they would match inside every other word.
func personalData(o erp.SalesOrder) *regexp.Regexp {
	values := []*string{o.Customer.Email, o.Customer.FirstName, o.Customer.LastName, o.Customer.TaxID, o.Comment}
	for _, a := range []*erp.Address{o.BillingAddress, o.ShippingAddress} {
		if a == nil {
			continue
		}
		values = append(values, a.FirstName, a.LastName, a.Company, a.Postcode, a.Telephone, a.TaxID)
		for i := range a.Street {
			values = append(values, &a.Street[i])
		}
	}
	var patterns []string
	for _, v := range values {
		if v == nil {
			continue
		}
		// The message has its white space folded to single spaces.
		if s := strings.Join(strings.Fields(*v), " "); len([]rune(s)) >= 3 && len(s) <= 1024 {
			patterns = append(patterns, regexp.QuoteMeta(s))
		}
	}
	if len(patterns) == 0 {
		return nil
	}
	// Of alternatives the first one that fits is taken: the longest first, so that no rest of a value stays.
	slices.SortFunc(patterns, func(a, b string) int { return len(b) - len(a) })
	re, err := regexp.Compile("(?i)" + strings.Join(patterns, "|"))
	if err != nil { // invalid UTF-8 in a value
		return emailLike
	}
	return re
}
