package erptest

import (
	"net/http"
	"sync"
)

// Strike is a transport that lets its process die at one moment: before a request is sent, or when its answer has come. Moments
// are counted from 1, two for each request.
type Strike struct {
	Next http.RoundTripper
	At   int

	mu sync.Mutex
	n  int
}

// Struck is what it panics with.
type Struck struct{}

// RoundTrip sends a request between two moments.
func (s *Strike) RoundTrip(r *http.Request) (*http.Response, error) {
	s.moment(r, nil)
	res, err := s.Next.RoundTrip(r)
	s.moment(r, res)
	return res, err
}

func (s *Strike) moment(r *http.Request, res *http.Response) {
	s.mu.Lock()
	s.n++
	hit := s.n == s.At
	s.mu.Unlock()
	if !hit {
		return
	}
	if res != nil {
		_ = res.Body.Close()
	} else if r.Body != nil {
		_ = r.Body.Close()
	}
	panic(Struck{})
}

// Hit reports whether the moment has come.
func (s *Strike) Hit() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.n >= s.At
}

// Dies runs f and reports whether it was struck.
func Dies(f func() error) (struck bool, err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case Struck:
			struck = true
		default:
			panic(p)
		}
	}()
	return false, f()
}
