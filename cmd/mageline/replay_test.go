package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/internal/deadletter"
	"github.com/mageline/mageline/rabbitmq"
)

func TestReplay_SendsLettersBack(t *testing.T) {
	l := newLetters(t)
	l.send(6)
	for _, test := range []struct {
		flags    []string
		replayed int
	}{
		{nil, 6},
		{[]string{"--since", "25m"}, 3},
		{[]string{"--until", "25m"}, 3},
		{[]string{"--since", "35m", "--until", "15m"}, 2},
		{[]string{"--since", time.Now().Add(-25 * time.Minute).Format(time.RFC3339)}, 3},
		{[]string{"--until", time.Now().Add(-45 * time.Minute).UTC().Format(time.RFC3339Nano)}, 1},
		{[]string{"--id", id(4)}, 1},
		{[]string{"--id", "0123456789ab"}, 0},
		{[]string{"--key", key(2)}, 1},
		{[]string{"--error-class", "timeout"}, 3},
		{[]string{"--match", "order 5"}, 1},
		{[]string{"--error-class", "rejected", "--since", "25m", "--match", "refused"}, 2},
	} {
		for _, command := range [][]string{{"--replay-dlq", l.dlq}, {"dlq", "replay", l.dlq}} {
			e := call(t, "", append(append(command, "--dry-run"), test.flags...)...)
			e.want(t, 0, fmt.Sprintf("would replay %d (%d orders), would skip %d\n", test.replayed, test.replayed, 6-test.replayed), "")
			if e.err != "" {
				t.Errorf("stderr %q", e.err)
			}
		}
	}
	e := call(t, "", "--replay-dlq", l.dlq, "--dry-run", "--json", "--key", key(1))
	want := map[string]any{"queue": l.dlq, "replayed": 1.0, "skipped": 5.0, "failed": 0.0, "keys": 1.0, "dry_run": true}
	if got := decode[map[string]any](t, e); e.code != 0 || !reflect.DeepEqual(got, want) {
		t.Errorf("exit %d, %v, want %v", e.code, got, want)
	}
	l.await(l.dlq, 6)

	l.replayed(call(t, "", "--replay-dlq", l.dlq, "--limit", "2"), 0, 2, 0, 0)
	l.replayed(call(t, "", "dlq", "replay", l.dlq, "--key", key(4), "--yes"), 0, 1, 3, 0)
	e = call(t, "", "--replay-dlq", l.dlq, "--json", "--rate", "1000")
	want = map[string]any{"queue": l.dlq, "replayed": 3.0, "skipped": 0.0, "failed": 0.0, "keys": 3.0, "dry_run": false}
	if got := decode[map[string]any](t, e); e.code != 0 || !reflect.DeepEqual(got, want) {
		t.Errorf("exit %d, %v, want %v", e.code, got, want)
	}
	l.replayed(call(t, "", "--replay-dlq", l.dlq), 0, 0, 0, 0)
	if got := l.drained(l.work, 6); !slices.Equal(got, []string{"m0", "m1", "m4", "m2", "m3", "m5"}) {
		t.Errorf("replayed %v", got)
	}
}

// More than a thousand letters leave their queue only for who has chosen them, limited them, or says so.
func TestReplay_OfManyNeedsYes(t *testing.T) {
	l := newLetters(t)
	l.send(1001)
	out := filepath.Join(t.TempDir(), "letters.jsonl")
	for _, command := range [][]string{{"--replay-dlq", l.dlq}, {"dlq", "replay", l.dlq, "--limit", "2000"}, {"dlq", "discard", l.dlq, "--out", out}} {
		call(t, "y\n", command...).want(t, exitUsage, "", "--yes")
	}
	l.await(l.dlq, 1001)
	call(t, "", "--replay-dlq", l.dlq, "--dry-run").want(t, 0, "would replay 1001 (1001 orders), would skip 0\n", "")
	call(t, "", "dlq", "discard", l.dlq, "--out", out, "--dry-run").want(t, 0, "would discard 1001 (1001 orders), would skip 0\n", "")
	call(t, "", "dlq", "discard", l.dlq, "--out", out, "--since", "5m").want(t, 0, "discarded 1, skipped 1000, failed 0\n", "")
	call(t, "", "--replay-dlq", l.dlq, "--limit", "2").want(t, 0, "replayed 2, ", "")
	for i := range 3 {
		l.Send(l.dlq, l.dead(i))
	}
	l.await(l.dlq, 1001)
	call(t, "", "--replay-dlq", l.dlq, "--yes").want(t, 0, "replayed 1001, ", "")
}

// Letters that can't go back stay, with the reason, and the rest goes.
func TestReplay_ExitsWith3WhenSomeStay(t *testing.T) {
	l := newLetters(t)
	gone, foreign := l.dead(7), l.dead(8)
	gone.Headers[rabbitmq.HeaderQueue] = l.Queue("no_more")
	foreign.Headers[rabbitmq.HeaderQueue] = "somebody.else"
	l.send(1, gone, foreign, amqp.Publishing{MessageId: "none", Body: []byte("x")})
	stay := []string{
		"letter " + id(7) + " stays: ", l.Queue("no_more"),
		"letter " + id(8) + " stays: it was consumed from somebody.else",
		"letter " + rabbitmq.ID("", "none", []byte("x")) + " stays: it does not say where it was consumed",
	}
	for _, flags := range [][]string{{"--dry-run"}, {"--json"}, {}} {
		e := call(t, "", append([]string{"--replay-dlq", l.dlq}, flags...)...)
		for _, reason := range stay {
			if !strings.Contains(e.err, reason) {
				t.Errorf("stderr %q lacks %q", e.err, reason)
			}
		}
		if strings.Count(e.err, "\n") != 3 {
			t.Errorf("want a line of stderr for each that stays")
		}
		if slices.Contains(flags, "--json") {
			want := map[string]any{"queue": l.dlq, "replayed": 1.0, "skipped": 0.0, "failed": 3.0, "keys": 1.0, "dry_run": false}
			if got := decode[map[string]any](t, e); e.code != exitPartial || !reflect.DeepEqual(got, want) {
				t.Errorf("exit %d, %v, want %v", e.code, got, want)
			}
			l.Send(l.dlq, l.dead(1))
			l.await(l.dlq, 4)
			continue
		}
		if slices.Contains(flags, "--dry-run") {
			e.want(t, exitPartial, "would replay 1 (1 orders), would skip 0\n", e.err)
			continue
		}
		l.replayed(e, exitPartial, 1, 0, 3)
	}

	l.replayed(call(t, "", "--replay-dlq", l.dlq, "--to", l.Queue("no_more")), exitPartial, 0, 0, 3)
	other := l.Queue("order_canceled")
	l.replayed(call(t, "", "--replay-dlq", l.dlq, "--to", other), 0, 3, 0, 0)
	if got := l.drained(other, 3); !slices.Equal(got, []string{"m7", "m8", "none"}) {
		t.Errorf("--to got %v", got)
	}
	if got := l.drained(l.work, 2); !slices.Equal(got, []string{"m0", "m1"}) {
		t.Errorf("replayed %v", got)
	}
}

// An interrupt ends a replay with the numbers so far, and what was not replayed stays where it was.
func TestReplay_ExitsWith3WhenInterrupted(t *testing.T) {
	l := newLetters(t)
	foreign := l.dead(3)
	foreign.Headers[rabbitmq.HeaderQueue] = "somebody.else"
	l.send(3, foreign, l.dead(4), l.dead(5))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out bytes.Buffer
	said := &interrupting{cancel: cancel}
	code := run(ctx, []string{"--replay-dlq", l.dlq}, terminal{in: strings.NewReader(""), out: &out, err: said})
	if code != exitPartial || out.String() != "replayed 3, skipped 0, failed 1\n" || !strings.Contains(said.String(), "interrupted; what was not replayed is still in "+l.dlq) {
		t.Errorf("exit %d, %q, %q", code, out.String(), said.String())
	}
	if got := l.drained(l.work, 3); !slices.Equal(got, []string{"m0", "m1", "m2"}) {
		t.Errorf("replayed %v", got)
	}
	if got := l.drained(l.dlq, 3); !slices.Equal(got, []string{"m3", "m4", "m5"}) {
		t.Errorf("left %v", got)
	}
}

// interrupting is a stderr whose reader interrupts the program when something is said.
type interrupting struct {
	bytes.Buffer
	cancel func()
}

func (w *interrupting) Write(p []byte) (int, error) {
	w.cancel()
	return w.Buffer.Write(p)
}

// The call that goes on after a stop is what a shell reads back as the same replay.
func TestGoOn_RepeatsTheCallWithItsFlags(t *testing.T) {
	until := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	since := time.Date(2026, 11, 23, 8, 30, 0, 500_000_000, time.FixedZone("", 3600))
	for _, test := range []struct {
		args   []string
		filter deadletter.Filter
		stop   deadletter.StoppedError
		want   []string
	}{
		{
			nil,
			deadletter.Filter{},
			deadletter.StoppedError{Until: until},
			[]string{"mageline", "dlq", "replay", "m.dlq", "--until", "2026-11-23T09:00:00Z"},
		},
		{
			[]string{
				"--since=2h", "--until=1h", "--limit=10", "--rate=0.5", "--yes", "--json", "--error-class=rejected",
				"--match=it's \"odd\" $HOME `id` \\", "--to=m.other",
			},
			deadletter.Filter{Since: since},
			deadletter.StoppedError{Until: until, Limit: 4},
			[]string{
				"mageline", "dlq", "replay", "m.dlq", "--until", "2026-11-23T09:00:00Z", "--since", "2026-11-23T07:30:00.5Z", "--limit", "4",
				"--error-class=rejected", "--json=true", "--match=it's \"odd\" $HOME `id` \\", "--rate=0.5", "--to=m.other", "--yes=true",
			},
		},
	} {
		flags := &replayFlags{}
		cmd := newRun(terminal{})
		flags.register(cmd)
		if err := cmd.ParseFlags(test.args); err != nil {
			t.Fatal(err)
		}
		if spent := goOn("replay", "m.dlq", flags.own, flags.limit, test.filter, &deadletter.StoppedError{Until: until}); flags.limit > 0 && spent != "" {
			t.Errorf("%s would replay more than --limit %d", spent, flags.limit)
		}
		line := goOn("replay", "m.dlq", flags.own, flags.limit, test.filter, &test.stop)
		words, err := exec.CommandContext(t.Context(), "sh", "-c", `printf '%s\n' `+line).Output()
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if got := strings.Split(strings.TrimSuffix(string(words), "\n"), "\n"); !slices.Equal(got, test.want) {
			t.Errorf("%s\nis read as %q\nwant        %q", line, got, test.want)
		}
	}
}
