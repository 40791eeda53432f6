// Package check looks whether everything is there that the enabled consumers need: each dependency, credential and
// permission, and each setting that can lose messages. It changes nothing, and repeats nothing that it was answered with
// but names and numbers: no secret, and nobody's data.
package check

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Status is how a Line begins.
type Status string

// The states of a line.
const (
	OK      Status = "OK"
	Warn    Status = "WARN"    // works, and is not as it should be
	Fail    Status = "FAIL"    // does not work, or can lose messages
	Unknown Status = "UNKNOWN" // could not be found out
)

// Line is one thing that was looked at.
type Line struct {
	Status  Status `json:"status"`
	Subject string `json:"subject"`
	Detail  string `json:"detail"`
	Todo    string `json:"todo"` // what to do; empty if nothing
}

// String gives the line for a terminal, always one line.
func (l Line) String() string {
	text := fmt.Sprintf("%s %s: %s", l.Status, l.Subject, l.Detail)
	if l.Todo != "" {
		text += "; to do: " + l.Todo
	}
	return strings.Join(strings.Fields(text), " ")
}

func ok(subject, format string, args ...any) Line {
	return Line{Status: OK, Subject: subject, Detail: fmt.Sprintf(format, args...)}
}

// A Probe looks at one dependency. It must end when its context does.
type Probe interface {
	Lines(ctx context.Context) []Line
}

// timeout bounds a probe, all of its requests together.
const timeout = 45 * time.Second

// Run runs all probes side by side, each in bounded time, and gives their lines in the order of the probes: what one
// finds does not keep another from looking.
func Run(ctx context.Context, probes ...Probe) []Line {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	found := make([][]Line, len(probes))
	var running sync.WaitGroup
	for i, p := range probes {
		running.Go(func() { found[i] = p.Lines(ctx) })
	}
	running.Wait()
	var all []Line
	for _, lines := range found {
		all = append(all, lines...)
	}
	return all
}

// Failed counts the lines that are FAIL.
func Failed(lines []Line) (n int) {
	for _, l := range lines {
		if l.Status == Fail {
			n++
		}
	}
	return n
}

// inTime says that time ran out, where that is what an error means.
func inTime(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("no answer in time (%w)", err)
	}
	return err
}
