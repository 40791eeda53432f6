package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/mageline/mageline/test/kit/process"
)

const (
	// stopTimeout is longer than mageline's own for a drain.
	stopTimeout = 40 * time.Second
	callTimeout = 60 * time.Second
	// maxOutput bounds what is kept of a command's output, in bytes.
	maxOutput = 64 << 10
)

// program is a mageline binary with the environment of the demo.
type program struct {
	path string
	env  []string
}

// child is the mageline that runs; its log goes to a file.
type child struct {
	command *exec.Cmd
	log     *os.File
	ended   chan struct{}
	err     error // after ended
}

// withoutMageline leaves out what would set up the child in a way that the demo does not know.
func withoutMageline(env []string) []string {
	var kept []string
	for _, e := range env {
		if !strings.HasPrefix(e, "MAGELINE_") {
			kept = append(kept, e)
		}
	}
	return kept
}

func (p program) start() (*child, error) {
	log, err := os.CreateTemp("", "mageline-log-*")
	if err != nil {
		return nil, fmt.Errorf("make a file for mageline's log: %w", err)
	}
	c := &child{command: exec.Command(p.path, "run"), log: log, ended: make(chan struct{})} //nolint:gosec // the caller names the binary
	c.command.Env = p.env
	c.command.Stdout, c.command.Stderr = log, log
	// Ctrl-C is for the demo: it stops the child when it is done.
	process.Group(c.command)
	if err := c.command.Start(); err != nil {
		_ = log.Close()
		_ = os.Remove(log.Name())
		return nil, fmt.Errorf("start mageline (--mageline %s): %w", p.path, err)
	}
	go func() {
		defer close(c.ended)
		c.err = c.command.Wait()
	}()
	return c, nil
}

// running reports whether the child has not ended by itself.
func (c *child) running() bool {
	select {
	case <-c.ended:
		return false
	default:
		return true
	}
}

// stop ends the child as Kubernetes does, and tells what it said to that.
func (c *child) stop() error {
	defer func() { _ = c.log.Close() }()
	if !c.running() {
		return fmt.Errorf("mageline had ended by itself: %w", orEnded(c.err))
	}
	_ = c.command.Process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-c.ended:
		if c.err != nil {
			return fmt.Errorf("mageline did not end cleanly after SIGTERM: %w", c.err)
		}
		return nil
	case <-timer.C:
		_ = c.command.Process.Kill()
		<-c.ended
		return fmt.Errorf("mageline had not ended %s after SIGTERM, and was killed", stopTimeout)
	}
}

func orEnded(err error) error {
	if err == nil {
		return errors.New("exit code 0")
	}
	return err
}

// call runs another command of mageline and gives what it printed and its exit code; what it printed to stderr only
// where it failed, after the output.
func (p program) call(ctx context.Context, args ...string) (output string, code int, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, p.path, args...) //nolint:gosec // the caller names the binary
	command.Env = p.env
	var text, complaint bounded
	command.Stdout, command.Stderr = &text, &complaint
	err = command.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		return text.String() + complaint.String(), exit.ExitCode(), nil
	}
	if err != nil {
		return text.String(), 0, fmt.Errorf("mageline %s: %w", strings.Join(args, " "), err)
	}
	return text.String(), 0, nil
}

// bounded keeps the first bytes that are written to it.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if room := maxOutput - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
