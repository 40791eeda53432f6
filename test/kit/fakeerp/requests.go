package fakeerp

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// signatureAge is how old a signature may be: a captured call can't be repeated for ever.
const signatureAge = 5 * time.Minute

var traceparent = regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// record keeps each call with what is wrong with it, and passes it on with its body unread.
func (s *Server) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		problems := s.check(r, body)
		s.mu.Lock()
		for _, p := range problems {
			s.problems[p]++
		}
		s.requests = append(s.requests, Request{
			Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery,
			Header: r.Header.Clone(), Body: body, At: time.Now(), Problems: problems,
		})
		if extra := len(s.requests) - s.options.Keep; extra > 0 {
			s.requests = slices.Delete(s.requests, 0, extra)
		}
		s.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

func (s *Server) check(r *http.Request, body []byte) []string {
	var problems []string
	if r.Method == http.MethodPost && r.Header.Get("Idempotency-Key") == "" {
		problems = append(problems, "no Idempotency-Key")
	}
	if r.Method == http.MethodPut && r.Header.Get("Idempotency-Key") != "" {
		problems = append(problems, "an Idempotency-Key on a PUT")
	}
	if r.Header.Get("Content-Type") != "application/json" {
		problems = append(problems, "Content-Type is not application/json")
	}
	if !traceparent.MatchString(r.Header.Get("Traceparent")) {
		problems = append(problems, "no traceparent")
	}
	if s.options.Token != "" && !s.authorized(r) {
		problems = append(problems, "wrong token")
	}
	if s.options.Secret != "" && !s.signed(r, body) {
		problems = append(problems, "wrong signature")
	}
	return problems
}

func (s *Server) authorized(r *http.Request) bool {
	return hmac.Equal([]byte(r.Header.Get("Authorization")), []byte("Bearer "+s.options.Token))
}

// signed verifies X-Mageline-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256 of "<t>.<body>">.
func (s *Server) signed(r *http.Request, body []byte) bool {
	stamp, signature, ok := strings.Cut(r.Header.Get("X-Mageline-Signature"), ",")
	stamp, isStamp := strings.CutPrefix(stamp, "t=")
	signature, isSignature := strings.CutPrefix(signature, "v1=")
	if !ok || !isStamp || !isSignature {
		return false
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || time.Since(time.Unix(seconds, 0)).Abs() > signatureAge {
		return false
	}
	mac := hmac.New(sha256.New, []byte(s.options.Secret))
	mac.Write([]byte(stamp + "."))
	mac.Write(body)
	return hmac.Equal([]byte(signature), []byte(hex.EncodeToString(mac.Sum(nil))))
}

func (s *Server) authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		switch {
		case s.options.Token != "" && !s.authorized(r):
			reply(w, answer{http.StatusUnauthorized, message("the token is wrong")})
		case s.options.Secret != "" && !s.signed(r, body):
			reply(w, answer{http.StatusUnauthorized, message("the signature is wrong")})
		default:
			next.ServeHTTP(w, r)
		}
	})
}
