// Package check looks whether everything is there that the enabled consumers need: each dependency, credential and
// permission, and each setting that can lose messages. It changes nothing. Of what it is answered it repeats names and
// numbers alone: no secret, and nobody's data.
package check

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Status is how a finding begins.
type Status string

// The states of a finding.
const (
	OK      Status = "OK"
	Warn    Status = "WARN"    // works, and is not as it should be
	Fail    Status = "FAIL"    // does not work, or can lose messages
	Unknown Status = "UNKNOWN" // could not be found out
)

// Finding is one thing that was looked at, and a line of what `mageline check` prints.
type Finding struct {
	Status  Status `json:"status"`
	Subject string `json:"subject"`
	Detail  string `json:"detail"`
	Todo    string `json:"todo"` // what to do; empty if nothing
}

// String returns the finding for a terminal, always as one line.
func (l Finding) String() string {
	text := fmt.Sprintf("%s %s: %s", l.Status, l.Subject, l.Detail)
	if l.Todo != "" {
		text += "; to do: " + l.Todo
	}
	return strings.Join(strings.Fields(text), " ")
}

func ok(subject, format string, args ...any) Finding {
	return Finding{Status: OK, Subject: subject, Detail: fmt.Sprintf(format, args...)}
}

// A Checker looks at one dependency and changes nothing. It must return when its context ends.
type Checker interface {
	Check(ctx context.Context) []Finding
}

// timeout bounds a checker, all of its requests together.
const timeout = 45 * time.Second

// Run runs all checkers at once, each in bounded time, and returns their findings in the order of the checkers. What one
// finds does not keep another from looking.
func Run(ctx context.Context, checkers ...Checker) []Finding {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	found := make([][]Finding, len(checkers))
	var running sync.WaitGroup
	for i, c := range checkers {
		running.Go(func() { found[i] = c.Check(ctx) })
	}
	running.Wait()
	var all []Finding
	for _, lines := range found {
		all = append(all, lines...)
	}
	return all
}

// Failed counts the findings that are FAIL.
func Failed(lines []Finding) (n int) {
	for _, l := range lines {
		if l.Status == Fail {
			n++
		}
	}
	return n
}

// inTime says that time ran out, if that is what the error means.
func inTime(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("no answer in time (%w)", err)
	}
	return err
}
