package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/mageline/mageline/rabbitmq"
)

func TestDiscard_RefusesWrongUsage(t *testing.T) {
	environment(t, "AMQP_URL", "amqp://127.0.0.1:1/", "DATABASE_URL", "postgres://127.0.0.1:1/d") // nothing is connected to
	out := filepath.Join(t.TempDir(), "letters.jsonl")
	for _, args := range [][]string{
		{"dlq", "discard"},
		{"dlq", "discard", ""},
		{"dlq", "discard", "m.dlq"},
		{"dlq", "discard", "m.dlq", "--out", ""},
		{"dlq", "discard", "m.dlq", "--out", out, "--limit", "-1"},
		{"dlq", "discard", "m.dlq", "--out", out, "--since", "soon"},
		{"dlq", "discard", "m.dlq", "--out", out, "--error-class", "nonsense"},
		{"dlq", "discard", "m.dlq", "--out", out, "--to", "m.other"},
		{"dlq", "discard", "m.dlq", "x", "--out", out},
		{"publish", "--letters"},
		{"publish", "--letters", ""},
		{"publish", "--letters", out, "topic"},
		{"publish", "--letters", out, "--lines"},
		{"publish", "--to", "m.other", "topic"},
		{"publish", "--to", "m.other"},
	} {
		call(t, "", args...).want(t, exitUsage, "", "mageline: ")
	}
	if _, err := os.Stat(out); !os.IsNotExist(err) {
		t.Errorf("a wrong call has made the file: %v", err)
	}
	call(t, "", "publish", "--letters", out).want(t, exitFailed, "", out)
}

func TestDiscard_KeepsLettersInAFile(t *testing.T) {
	l := newLetters(t)
	foreign := l.dead(6)
	foreign.Headers[rabbitmq.HeaderQueue] = "somebody.else"
	l.send(6, foreign)
	out := filepath.Join(t.TempDir(), "letters.jsonl")
	discarded := func(e ended, n, skipped int) {
		t.Helper()
		e.want(t, 0, fmt.Sprintf("discarded %d, skipped %d, failed 0\n", n, skipped), e.err)
	}
	call(t, "", "dlq", "discard", l.dlq, "--dry-run", "--error-class", "timeout").want(t, 0, "would discard 3 (3 orders), would skip 4\n", "")
	call(t, "", "dlq", "discard", l.Prefix+".nothing.dlq", "--out", out).want(t, exitFailed, "", "does not exist")
	call(t, "", "dlq", "discard", l.dlq, "--out", filepath.Join(out, "x")).want(t, exitFailed, "", "nothing was dropped")
	l.await(l.dlq, 7)

	discarded(call(t, "", "dlq", "discard", l.dlq, "--out", out, "--error-class", "timeout"), 3, 4)
	e := call(t, "", "dlq", "discard", l.dlq, "--out", out, "--id", id(6), "--json")
	want := map[string]any{"queue": l.dlq, "discarded": 1.0, "skipped": 3.0, "failed": 0.0, "keys": 1.0, "dry_run": false}
	if got := decode[map[string]any](t, e); e.code != 0 || !reflect.DeepEqual(got, want) {
		t.Errorf("exit %d, %v, want %v", e.code, got, want)
	}
	if got := l.drained(l.dlq, 3); !slices.Equal(got, []string{"m0", "m2", "m4"}) {
		t.Errorf("left are %v", got)
	}
	e = call(t, "", "publish", "--letters", out)
	e.want(t, exitFailed, "published 3, skipped 0, failed 1\n", "line 4 was not sent: it was consumed from somebody.else")
	if got := l.drained(l.work, 3); !slices.Equal(got, []string{"m1", "m3", "m5"}) {
		t.Errorf("sent back %v", got)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	other := l.Queue("order_canceled")
	e = call(t, string(text), "publish", "--letters", "-", "--to", other, "--json")
	if got := decode[map[string]any](t, e); e.code != 0 || !reflect.DeepEqual(got, map[string]any{"published": 4.0, "skipped": 0.0, "failed": 0.0}) {
		t.Errorf("exit %d, %v", e.code, got)
	}
	if got := l.drained(other, 4); !slices.Equal(got, []string{"m1", "m3", "m5", "m6"}) {
		t.Errorf("--to got %v", got)
	}
}
