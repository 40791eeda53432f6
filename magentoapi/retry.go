package magentoapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Retries say how a request is repeated that Magento answered with 429 or 5xx, or whose connection was lost. Only reading
// is, and those writes that do no harm when they are carried out twice: their methods say so. The zero value repeats
// three times, with about 0.5, 1 and 2 s between.
//
// A request that timed out is not repeated, for it would be slow again; nor is what another error of the transport's has
// ended, as that of a circuit breaker.
type Retries struct {
	// Max is how often a request is repeated: 0 is three times, below 0 never.
	Max int
	// Wait is the first wait, 0 for 0.5 s. Each is twice as long as the one before; up to half of it is left out by
	// chance, so that many clients don't come back at once.
	Wait time.Duration
	// MaxWait is the longest wait, 0 for 30 s. If Magento asks for a longer one (Retry-After), nobody waits: the error
	// is returned, and its RetryAfter says for how long.
	MaxWait time.Duration
}

// NoRetries is for callers who decide about every repetition themselves.
var NoRetries = Retries{Max: -1}

func (r Retries) orDefaults() Retries {
	if r.Max == 0 {
		r.Max = 3
	}
	if r.Wait <= 0 {
		r.Wait = 500 * time.Millisecond
	}
	if r.MaxWait <= 0 {
		r.MaxWait = 30 * time.Second
	}
	return r
}

// wait waits before the n-th repetition, n from 1, of what failed with err. It gives err back if there is to be none: after
// Max, or when the wait that Magento asks for, or the context, doesn't allow it.
func (r Retries) wait(ctx context.Context, n int, err error) error {
	if n > r.Max {
		return err
	}
	pause := r.MaxWait
	if doubled := r.Wait << min(n-1, 30); doubled > 0 {
		pause = min(pause, doubled)
	}
	pause -= rand.N(pause/2 + 1)
	var refusal *Error
	if errors.As(err, &refusal) {
		if refusal.RetryAfter > r.MaxWait {
			return err
		}
		pause = max(pause, refusal.RetryAfter)
	}
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= pause {
		return err
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w, while waiting to repeat what failed: %w", ctx.Err(), err)
	}
}

// passing reports whether the same request may succeed a moment later.
func passing(err error) bool {
	var refusal *Error
	if errors.As(err, &refusal) && !errors.Is(err, ErrUnreadable) {
		return refusal.Status == http.StatusTooManyRequests || refusal.Status >= 500
	}
	return lost(err)
}

// lost reports whether the connection was lost before the whole answer had come, or could not be made.
func lost(err error) bool {
	var n net.Error
	if errors.As(err, &n) && n.Timeout() || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var dial *net.OpError
	if errors.As(err, &dial) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return true
	}
	return says(err, "http2: ") || says(err, "stream error: ") || says(err, "http: server closed idle connection")
}

// says reports whether the text of an error in err's tree begins so. What HTTP/2 and a connection that was closed while idle
// end with has no type outside of net/http. The beginning it must be: an open circuit may quote what has opened it.
func says(err error, text string) bool {
	if err == nil {
		return false
	}
	if strings.HasPrefix(err.Error(), text) {
		return true
	}
	switch err := err.(type) { //nolint:errorlint // this is the walk through the tree itself
	case interface{ Unwrap() error }:
		return says(err.Unwrap(), text)
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(err.Unwrap(), func(one error) bool { return says(one, text) })
	}
	return false
}
