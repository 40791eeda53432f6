package downstream_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/internal/downstream"
)

// answering answers every call with a status and a body.
func (r *remote) answering(status int, body string, header ...string) {
	r.set(func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

func isThrottled(t *testing.T, err error, wait time.Duration) {
	t.Helper()
	var e *event.Error
	if !errors.As(err, &e) || e.Class != event.Throttled || e.RetryAfter != wait || event.IsNotDone(err) {
		t.Fatalf("error %v, want a throttle of %s that leaves open whether it was done", err, wait)
	}
}

// An API that refuses some calls as wrong logins while too many are under way, as NetSuite does.
func TestClassify_ThrottleToldAsWrongLogin(t *testing.T) {
	const login = `{"o:errorDetails":[{"o:errorCode":"INVALID_LOGIN"}]}`
	o := downstream.Options{Failures: 3, OpenFor: time.Minute, Classify: func(a event.Answer, byStatus event.Subject) event.Subject {
		if a.Status == http.StatusUnauthorized && bytes.Contains(a.Body, []byte("INVALID_LOGIN")) && a.Throttles < 2 {
			return event.AboutLoad
		}
		return byStatus
	}}
	bubble(t, o, func(t *testing.T, d *downstream.Downstream, r *remote) {
		r.answering(http.StatusUnauthorized, login)
		_, err := call(t.Context(), d, http.MethodPost, "a")
		isThrottled(t, err, 5*time.Second)
		_, err = call(t.Context(), d, http.MethodPost, "b")
		isThrottled(t, err, 10*time.Second)
		for range 2 { // it goes on after two throttles: the credential is wrong, and stays so
			if status, err := call(t.Context(), d, http.MethodPost, "c"); err != nil || status != http.StatusUnauthorized {
				t.Fatalf("status %d, %v, want the answer itself", status, err)
			}
		}
		r.status(http.StatusCreated)
		if status, err := call(t.Context(), d, http.MethodPost, "d"); err != nil || status != http.StatusCreated {
			t.Fatalf("status %d, %v", status, err)
		}
		r.answering(http.StatusUnauthorized, login)
		_, err = call(t.Context(), d, http.MethodPost, "e")
		isThrottled(t, err, 5*time.Second)
		wantState(t, d, "closed")
	})
}

func TestClassify_DecidesForAnswersThatRefuse(t *testing.T) {
	long := strings.Repeat("x", 100<<10)
	for _, tt := range []struct {
		name   string
		status int
		body   string
		tells  event.Subject
		class  event.Class // of the error; "": the answer itself
		state  string      // after three such answers
	}{
		{"503 is a throttle", 503, "busy", event.AboutLoad, event.Throttled, "closed"},
		{"429 is not one", 429, "quota of the day", event.AboutRequest, "", "closed"},
		{"400 is a failure", 400, "deadlock", event.AboutHealth, "", "open"},
		{"500 is no failure", 500, "no such item", event.AboutRequest, "", "closed"},
		{"404 is of another program", 404, "no such app", event.AboutAddress, event.Unavailable, "open"},
		{"400 of the credential", 400, "your role", event.AboutCredential, "", "closed"},
		{"a long body", 422, long, event.AboutRequest, "", "closed"},
		{"no body", 422, "", event.AboutRequest, "", "closed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var seen event.Answer
			o := downstream.Options{Failures: 3, OpenFor: time.Hour, Classify: func(a event.Answer, byStatus event.Subject) event.Subject {
				if byStatus != event.SubjectOf(tt.status) {
					t.Errorf("the status is about the %s, want the %s", byStatus, event.SubjectOf(tt.status))
				}
				seen = a
				return tt.tells
			}}
			bubble(t, o, func(t *testing.T, d *downstream.Downstream, r *remote) {
				r.answering(tt.status, tt.body, "X-Which", "this", "Retry-After", "3")
				for i := range 3 {
					ctx := event.WithHandling(t.Context(), event.Handling{Message: func() string { return strconv.Itoa(i) }})
					req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://erp.test/", strings.NewReader("{}"))
					if err != nil {
						t.Fatal(err)
					}
					resp, err := d.Client().Do(req)
					if (err == nil) != (tt.class == "") || err != nil && event.ClassOf(err) != tt.class {
						t.Fatalf("error %v, want class %q", err, tt.class)
					}
					if err != nil {
						continue
					}
					body, err := io.ReadAll(resp.Body)
					if err != nil || string(body) != tt.body || resp.StatusCode != tt.status {
						t.Fatalf("the client gets %d and %d bytes, %v", resp.StatusCode, len(body), err)
					}
					_ = resp.Body.Close()
				}
				if seen.Status != tt.status || seen.Header.Get("X-Which") != "this" || !strings.HasPrefix(tt.body, string(seen.Body)) || len(seen.Body) < min(len(tt.body), 16<<10) {
					t.Errorf("it was shown %d, %q and %d bytes", seen.Status, seen.Header, len(seen.Body))
				}
				wantState(t, d, tt.state)
			})
		})
	}
}

// A success, a redirect and a page of HTML are what they are.
func TestClassify_IsNotAskedAboutSuccessesAndOtherPrograms(t *testing.T) {
	o := downstream.Options{Classify: func(event.Answer, event.Subject) event.Subject {
		t.Error("it was asked")
		return event.AboutLoad
	}}
	bubble(t, o, func(t *testing.T, d *downstream.Downstream, r *remote) {
		r.status(http.StatusCreated)
		if status, err := call(t.Context(), d, http.MethodPost, "a"); err != nil || status != http.StatusCreated {
			t.Errorf("status %d, %v", status, err)
		}
		r.status(http.StatusFound)
		if _, err := call(t.Context(), d, http.MethodPost, "b"); event.ClassOf(err) != event.Unavailable {
			t.Errorf("redirect: %v", err)
		}
		r.answering(http.StatusBadRequest, "<!doctype html><title>Login</title>")
		if _, err := call(t.Context(), d, http.MethodPost, "c"); event.ClassOf(err) != event.Unavailable {
			t.Errorf("page: %v", err)
		}
	})
}
