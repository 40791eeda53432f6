package erptest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/event"
)

// Late is a transport that keeps one request that writes from the ERP, and tells its client that time is over: as where an ERP
// carries out a request whose client has given up. Commit has it carried out.
type Late struct {
	Next http.RoundTripper
	// Writes reports whether a request changes the ERP, as in a Rig; nil: every request does but GET and HEAD.
	Writes func(*http.Request) bool
	// At is which of the requests that write is kept, counted from 1.
	At int

	mu   sync.Mutex
	n    int
	kept *http.Request
}

// RoundTrip sends a request, or keeps it.
func (l *Late) RoundTrip(r *http.Request) (*http.Response, error) {
	writes := r.Method != http.MethodGet && r.Method != http.MethodHead
	if l.Writes != nil {
		writes = l.Writes(r)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if writes {
		l.n++
	}
	if !writes || l.n != l.At {
		return l.Next.RoundTrip(r)
	}
	kept := r.Clone(context.WithoutCancel(r.Context()))
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err != nil {
			return nil, err
		}
		kept.Body = io.NopCloser(bytes.NewReader(body))
	}
	l.kept = kept
	return nil, context.DeadlineExceeded
}

// Commit has the ERP carry out the request that was kept. It returns false where none was.
func (l *Late) Commit() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kept == nil {
		return false
	}
	if res, err := l.Next.RoundTrip(l.kept); err == nil {
		_ = res.Body.Close()
	}
	return true
}

// Delayed is an effect of which one request is carried out after its client has given up.
type Delayed struct {
	// Run runs the effect through a transport, as the handlers do: where c.Uncertain it looks first.
	Run func(through http.RoundTripper, c erp.Call) error
	// Stands returns how the ERP stands with it, and Want is how it is to be.
	Stands func() string
	Want   string
}

// RunDelayed runs an effect once for each of its requests that write. That one is carried out late: after another attempt was
// made, and before Attempt.Wait has passed. An attempt knows of earlier ones what the ledger keeps. open begins again each time, with
// nothing done of the effect; next and writes are those of Late.
func RunDelayed(t *testing.T, next http.RoundTripper, writes func(*http.Request) bool, open func() Delayed) {
	t.Helper()
	for at := 1; ; at++ {
		effect, late := open(), &Late{Next: next, Writes: writes, At: at}
		call, done := erp.Call{Key: "late", Steps: &Steps{Wait: time.Hour}}, false
		attempt := func(through http.RoundTripper) error {
			if done {
				return nil
			}
			err := effect.Run(through, call)
			done = err == nil
			if err != nil && !event.IsNotDone(err) {
				call.Attempt = erp.Attempt{Uncertain: true, Wait: time.Hour}
			}
			return err
		}
		err := attempt(late)
		if late.kept == nil {
			switch {
			case err != nil:
				t.Errorf("undisturbed: %v", err)
			case at == 1:
				t.Error("the effect has sent nothing that writes")
			}
			return
		}
		what := late.kept.Method + " " + late.kept.URL.Path
		if err == nil {
			t.Errorf("%s without an answer: no error", what)
		}
		var deferral *event.Deferral
		if err := attempt(next); err != nil && !errors.As(err, &deferral) {
			t.Errorf("%s, not carried out yet: the next attempt fails: %v", what, err)
		}
		late.Commit()
		if err := attempt(next); err != nil {
			t.Errorf("%s, carried out late: the next attempt fails: %v", what, err)
		}
		if got := effect.Stands(); got != effect.Want {
			t.Errorf("%s, carried out late: the ERP has %s, want %s", what, got, effect.Want)
		}
	}
}
