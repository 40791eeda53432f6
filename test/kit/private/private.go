// Package private starts RabbitMQ and Postgres servers of a test's own, from the installed programs, on free ports of
// 127.0.0.1: for tests that restart, fill or break a server, which must not be done to the one that others use.
package private

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mageline/mageline/test/kit/process"
)

// Require leaves a test out where the servers are not installed, as beside Docker alone. In CI that is a failure.
func Require(t testing.TB) {
	t.Helper()
	_, err := program(otherPrograms(), "rabbitmq-server", "/usr/lib/rabbitmq/bin")
	_, other := program(otherPrograms(), "postgres", places...)
	if err = errors.Join(err, other); err == nil {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal(err)
	}
	t.Skip(err)
}

// server is a process group that can be ended and started again.
type server struct {
	path, folder string
	args, env    []string
	log          string // file
	programs     string // folder of other versions' programs; "" for what is installed

	command *exec.Cmd
	ended   chan struct{}
}

// otherPrograms is a folder with the servers' programs of other versions than the installed ones, or ""
// (scripts/services/debian.sh).
func otherPrograms() string { return os.Getenv("MAGELINE_TEST_PROGRAMS") }

// unprivileged has a command run as "nobody" where we are root: Postgres refuses root, and RabbitMQ needs no rights. Other
// versions' programs see to that themselves: it takes root to enter their folder.
func (s *server) unprivileged(c *exec.Cmd) error {
	if os.Getuid() != 0 || s.programs != "" {
		return nil
	}
	uid, gid, err := nobody()
	if err != nil {
		return err
	}
	process.RunAs(c, uid, gid)
	return nil
}

func nobody() (uid, gid uint32, err error) {
	u, err := user.Lookup("nobody")
	if err != nil {
		return 0, 0, fmt.Errorf("a user who may run servers: %w", err)
	}
	id, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return 0, 0, err
	}
	group, err := strconv.ParseUint(u.Gid, 10, 32)
	return uint32(id), uint32(group), err
}

// folder makes one that a server can reach: parts of t.TempDir can be entered by their owner alone.
func folder() (string, error) {
	path, err := os.MkdirTemp("", "mageline-private-")
	if err != nil {
		return "", err
	}
	return path, own(path)
}

// own gives a folder to whom unprivileged runs as.
func own(folder string) error {
	if os.Getuid() != 0 {
		return nil
	}
	uid, gid, err := nobody()
	if err != nil {
		return err
	}
	return os.Chown(folder, int(uid), int(gid))
}

func (s *server) start() error {
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	command := exec.Command(s.path, s.args...) //nolint:gosec,noctx // an installed server; stop ends it
	command.Dir, command.Env = s.folder, s.env
	command.Stdout, command.Stderr = log, log
	process.Group(command) // Ctrl-C at the terminal must not reach it before the tests have ended
	if err := s.unprivileged(command); err != nil {
		return errors.Join(err, log.Close())
	}
	if err := command.Start(); err != nil {
		return errors.Join(fmt.Errorf("start %s: %w", s.path, err), log.Close())
	}
	ended := make(chan struct{})
	s.command, s.ended = command, ended
	go func() {
		_ = command.Wait() // what it says at its end is in its log
		_ = log.Close()
		close(ended)
	}()
	return nil
}

// end sends a signal to the process, kills what is left of its group after the grace, and waits.
func (s *server) end(signal syscall.Signal, grace time.Duration) {
	if s.command == nil {
		return
	}
	_ = s.command.Process.Signal(signal) // it may be gone
	select {
	case <-s.ended:
	case <-time.After(grace):
	}
	process.SignalGroup(s.command, syscall.SIGKILL)
	<-s.ended
	s.command = nil
}

// signal is for the whole group.
func (s *server) signal(signal syscall.Signal) { process.SignalGroup(s.command, signal) }

// await repeats until there is no error.
func (s *server) await(limit time.Duration, what string, try func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for {
		one, stop := context.WithTimeout(ctx, 5*time.Second)
		err := try(one)
		stop()
		if err == nil {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-s.ended:
			return fmt.Errorf("%s has ended while it started: see %s", what, s.log)
		case <-ctx.Done():
			return fmt.Errorf("%s within %s: %w; see %s", what, limit, err, s.log)
		}
	}
}

// program finds a program in the folder of other versions, or else an installed one: on PATH, or the newest in one of
// these places, which Debian keeps off it.
func program(folder, name string, places ...string) (string, error) {
	if folder != "" {
		path := filepath.Join(folder, name)
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("MAGELINE_TEST_PROGRAMS has no %s: %w", name, err)
		}
		return path, nil
	}
	for _, place := range places {
		found, err := filepath.Glob(filepath.Join(place, name))
		if err == nil && len(found) > 0 {
			return slices.Max(found), nil
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("no %s here, on PATH or in %s: install the server (scripts/services/install.sh)", name, strings.Join(places, ", "))
	}
	return path, nil
}

// run runs a program that comes with the server, and gives what it said.
func (s *server) run(ctx context.Context, path string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, path, args...) //nolint:gosec // an installed program
	command.Dir, command.Env = s.folder, s.env
	if err := s.unprivileged(command); err != nil {
		return "", err
	}
	out, err := command.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s %s: %w: %s", filepath.Base(path), strings.Join(args, " "), err, out)
	}
	return string(out), nil
}
