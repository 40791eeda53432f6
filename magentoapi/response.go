package magentoapi

import (
	"context"
	"net/http"
	"time"
)

// A Response is what an answer has besides its body. See WithResponse.
type Response struct {
	Status int
	// Header is the answer's, such as the limits that a gateway in front of Magento counts, or the number of a trace.
	Header http.Header
	// RetryAfter is how long the answer asks to wait; 0 if it doesn't.
	RetryAfter time.Duration
	// Requests is how many requests were answered under this context: above 1 where one was repeated, sent again with a
	// renewed credential, or where a call takes several.
	Requests int
	// Took is the time from the sending of the request to the answer's header.
	Took time.Duration
}

type responseKey struct{}

// WithResponse returns a context under which calls note their answers in r; after a call, r has the last one, also if it
// was an error. A call that got no answer leaves r as it was. Give calls that run at the same time a Response each.
func WithResponse(ctx context.Context, r *Response) context.Context {
	return context.WithValue(ctx, responseKey{}, r)
}

// noteResponse notes an answer for whoever has asked for it.
func noteResponse(req *http.Request, resp *http.Response, sent time.Time) {
	r, ok := req.Context().Value(responseKey{}).(*Response)
	if !ok || r == nil {
		return
	}
	now := time.Now()
	*r = Response{
		Status: resp.StatusCode, Header: resp.Header, Took: now.Sub(sent), Requests: r.Requests + 1,
		RetryAfter: retryAfter(resp.Header, now),
	}
}
