package event

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// This file has what the answers of HTTP APIs mean, for every client: the class of a status, what an answer tells of, and how long
// callers must wait.

// ClassOfStatus returns the class of an HTTP status that is not 2xx, where the API has no finer rule of its own.
func ClassOfStatus(status int) Class {
	switch {
	case status >= 300 && status <= 399: // the address is wrong
		return Unavailable
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return Unauthorized
	case status == http.StatusNotFound:
		return NotFound
	case status == http.StatusRequestTimeout:
		return Timeout
	case status == http.StatusLocked, status == http.StatusTooEarly:
		return Unavailable
	case status == http.StatusTooManyRequests:
		return Throttled
	case status >= 500:
		return Unavailable
	default:
		return Rejected
	}
}

// Tells is what an answer of a remote API tells of: the one request that it answers, or something that all requests share.
type Tells int

const (
	// OfRequest is when the API has decided about this request, for or against it.
	OfRequest Tells = iota
	// OfCredential is when the API refuses whoever asks, whatever the request says.
	OfCredential
	// OfLoad is when the API asks to be called later. All requests wait.
	OfLoad
	// OfHealth is when the API fails.
	OfHealth
	// OfAddress is when something else than the API answers at its address.
	OfAddress
)

// String returns a word for logs.
func (t Tells) String() string {
	switch t {
	case OfRequest:
		return "request"
	case OfCredential:
		return "credential"
	case OfLoad:
		return "load"
	case OfHealth:
		return "health"
	case OfAddress:
		return "address"
	default:
		return strconv.Itoa(int(t))
	}
}

// TellsOf returns what an answer tells of by its status alone.
func TellsOf(status int) Tells {
	switch {
	case status >= 300 && status <= 399:
		return OfAddress
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return OfCredential
	case status == http.StatusTooManyRequests:
		return OfLoad
	case status == http.StatusRequestTimeout, status >= 500:
		return OfHealth
	default:
		return OfRequest
	}
}

// Answer is an answer other than 2xx, for a rule that decides what it tells of by more than its status.
type Answer struct {
	Status int
	Header http.Header
	// Body is the beginning of the body, at most 16 KiB.
	Body []byte
	// Throttles counts the answers before this one that told OfLoad, with no success since. A rule for an answer that may
	// mean either a throttle or a wrong credential takes the first few for the one, and all others for the other.
	Throttles int
}

// maxRetryAfter bounds the result of RetryAfter, far above any wait.
const maxRetryAfter = 366 * 24 * time.Hour

// RetryAfter reads the header Retry-After (RFC 9110, section 10.2.3), which has seconds or a date. It returns 0 for a header that is
// missing, neither a number nor a date, or a date that has passed. A date is compared with the Date of the same answer, if it has
// one, because the clocks of the two machines may differ.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v != "" && strings.Trim(v, "0123456789") == "" {
		seconds, err := strconv.ParseUint(v, 10, 64)
		if err != nil || seconds > uint64(maxRetryAfter/time.Second) { // more digits than a number has
			return maxRetryAfter
		}
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}
