package event

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// This file has what the answers of HTTP APIs mean, for every client: the class of a status, what an answer is about, and how long
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

// Subject is what an answer of a remote API is about: the one request that it answers, or something that all requests share.
type Subject int

const (
	// AboutRequest is when the API has decided about this request, for or against it.
	AboutRequest Subject = iota
	// AboutCredential is when the API refuses whoever asks, whatever the request says.
	AboutCredential
	// AboutLoad is when the API asks to be called later. All requests wait.
	AboutLoad
	// AboutHealth is when the API fails.
	AboutHealth
	// AboutAddress is when something other than the API answers at its address.
	AboutAddress
)

// String returns a word for logs.
func (s Subject) String() string {
	switch s {
	case AboutRequest:
		return "request"
	case AboutCredential:
		return "credential"
	case AboutLoad:
		return "load"
	case AboutHealth:
		return "health"
	case AboutAddress:
		return "address"
	default:
		return strconv.Itoa(int(s))
	}
}

// SubjectOf returns what an answer is about, by its status alone.
func SubjectOf(status int) Subject {
	switch {
	case status >= 300 && status <= 399:
		return AboutAddress
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return AboutCredential
	case status == http.StatusTooManyRequests:
		return AboutLoad
	case status == http.StatusRequestTimeout, status >= 500:
		return AboutHealth
	default:
		return AboutRequest
	}
}

// Answer is an answer other than 2xx, for a rule that decides what it is about by more than its status.
type Answer struct {
	Status int
	Header http.Header
	// Body is the beginning of the body, at most 16 KiB.
	Body []byte
	// Throttles counts the answers before this one that were AboutLoad, with no success since. A rule for an answer that may
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
