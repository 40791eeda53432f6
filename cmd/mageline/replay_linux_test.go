package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// newTerminal opens a pseudo-terminal: the person's side, and the program's (pty(7), ioctl_tty(2)).
func newTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = person.Close() })
	var unlock, number int32
	ioctl(t, person, syscall.TIOCSPTLCK, &unlock)
	ioctl(t, person, syscall.TIOCGPTN, &number)
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Close() })
	return person, program
}

func ioctl(t *testing.T, f *os.File, request uintptr, value *int32) {
	t.Helper()
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), request, uintptr(unsafe.Pointer(value))); errno != 0 {
		t.Fatal(errno)
	}
}

// callOnTerminal runs a command for a person who types an answer; what was on the terminal is in err.
func callOnTerminal(t *testing.T, typed string, args ...string) ended {
	t.Helper()
	person, program := newTerminal(t)
	if _, err := io.WriteString(person, typed); err != nil {
		t.Fatal(err)
	}
	seen := make(chan string)
	go func() {
		all, _ := io.ReadAll(person) // ends with an error when the program's side is closed
		seen <- string(all)
	}()
	var out bytes.Buffer
	code := run(t.Context(), args, terminal{in: program, out: &out, err: program})
	if err := program.Close(); err != nil {
		t.Fatal(err)
	}
	e := ended{code, out.String(), <-seen}
	t.Logf("mageline %s: exit %d\n%s%q", strings.Join(args, " "), e.code, e.out, e.err)
	return e
}

func TestReplay_AsksOnATerminal(t *testing.T) {
	l := newLetters(t)
	l.send(4)
	question := " letters of " + l.dlq + "?"
	for _, command := range [][]string{{"--replay-dlq", l.dlq}, {"dlq", "replay", l.dlq}} {
		for _, typed := range []string{"n\n", "\n", "\x04"} {
			e := callOnTerminal(t, typed, command...)
			e.want(t, exitFailed, "", "Replay 4"+question)
			if !strings.Contains(e.err, "nothing was replayed") {
				t.Error("it does not say that nothing was replayed")
			}
		}
	}
	l.await(l.dlq, 4)

	e := callOnTerminal(t, "y\n", "--replay-dlq", l.dlq, "--limit", "1")
	e.want(t, 0, "replayed 1, skipped 0, failed 0\n", question)
	if !strings.Contains(e.err, "1 of 4: replayed 1") || strings.Contains(e.out, "of 4") {
		t.Error("progress belongs on the terminal, and only there")
	}
	// Nothing is asked where nothing would change, or where the answer is given.
	for _, flags := range [][]string{{"--dry-run"}, {"--yes"}} {
		e := callOnTerminal(t, "n\n", append([]string{"dlq", "replay", l.dlq, "--limit", "1"}, flags...)...)
		e.want(t, 0, "replay", e.err)
		if strings.Contains(e.err, question) {
			t.Errorf("%v: a question was asked", flags)
		}
	}
	l.await(l.dlq, 2)
	// Nobody can answer where stdin is no terminal: nothing is asked.
	_, program := newTerminal(t)
	var out bytes.Buffer
	if code := run(t.Context(), []string{"--replay-dlq", l.dlq}, terminal{in: strings.NewReader(""), out: &out, err: program}); code != 0 ||
		out.String() != "replayed 2, skipped 0, failed 0\n" {
		t.Errorf("exit %d, %q", code, out.String())
	}
}

func TestDiscard_AsksOnATerminal(t *testing.T) {
	l := newLetters(t)
	l.send(3)
	out := filepath.Join(t.TempDir(), "letters.jsonl")
	question := " letters of " + l.dlq + "?"
	for _, typed := range []string{"n\n", "\n", "\x04"} {
		e := callOnTerminal(t, typed, "dlq", "discard", l.dlq, "--out", out)
		e.want(t, exitFailed, "", question)
		if !strings.Contains(e.err, "nothing was dropped") {
			t.Error("it does not say that nothing was dropped")
		}
	}
	l.await(l.dlq, 3)
	callOnTerminal(t, "y\n", "dlq", "discard", l.dlq, "--out", out, "--limit", "1").want(t, 0, "discarded 1, ", question)
	for _, flag := range []string{"--dry-run", "--yes"} {
		e := callOnTerminal(t, "n\n", "dlq", "discard", l.dlq, "--out", out, "--limit", "1", flag)
		e.want(t, 0, "discard", e.err)
		if strings.Contains(e.err, question) {
			t.Errorf("%s: a question was asked", flag)
		}
	}
	l.await(l.dlq, 1)
}
