package main

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/rs/zerolog"

	"github.com/mageline/mageline/internal/deadletter"
	"github.com/mageline/mageline/rabbitmq"
	"github.com/mageline/mageline/test/kit"
)

const placed = "sales.order.placed"

// letters are the dead letters of a test's own order_placed.
type letters struct {
	*kit.Queues
	t                   *testing.T
	database, work, dlq string
}

func newLetters(t *testing.T) *letters {
	t.Helper()
	q, database := services(t)
	call(t, "", "topology").want(t, 0, "made", "")
	return &letters{q, t, database, q.Queue("order_placed"), q.DeadLetters("order_placed")}
}

// dead is letter i as mageline writes it: each failed ten minutes before the one ahead of it, the odd ones timed out.
func (l *letters) dead(i int) amqp.Publishing {
	class := "rejected"
	if i%2 == 1 {
		class = "timeout"
	}
	return amqp.Publishing{
		DeliveryMode: amqp.Persistent, MessageId: fmt.Sprintf("m%d", i), Body: []byte(body(i)),
		Headers: amqp.Table{
			rabbitmq.HeaderQueue: l.work, rabbitmq.HeaderTopic: placed, rabbitmq.HeaderKey: key(i),
			rabbitmq.HeaderReason: "poison", rabbitmq.HeaderErrorClass: class, rabbitmq.HeaderError: fmt.Sprintf("the ERP\nrefused order %d", i),
			rabbitmq.HeaderAttempts: int64(i + 1), rabbitmq.HeaderFailedAt: ago(i),
		},
	}
}

func body(i int) string {
	return fmt.Sprintf(`{"increment_id":%q,"customer_email":"jane%d@example.com"}`, key(i), i)
}
func key(i int) string { return fmt.Sprintf("%09d", i) }
func id(i int) string  { return rabbitmq.ID(placed, fmt.Sprintf("m%d", i), []byte(body(i))) }
func ago(i int) string {
	return time.Now().Add(-10 * time.Minute * time.Duration(i)).UTC().Format(time.RFC3339)
}

// send sends letters 0 to n-1, and then others.
func (l *letters) send(n int, others ...amqp.Publishing) {
	l.t.Helper()
	for i := range n {
		l.Send(l.dlq, l.dead(i))
	}
	for _, p := range others {
		l.Send(l.dlq, p)
	}
	l.await(l.dlq, n+len(others))
}

func (l *letters) await(queue string, n int) {
	l.t.Helper()
	kit.Eventually(l.t, 20*time.Second, func() bool { return l.Depth(queue) == n }, fmt.Sprintf("%d messages in %s", n, queue))
}

// drained takes n messages out of a queue, which are all it has, and gives their message ids.
func (l *letters) drained(queue string, n int) (all []string) {
	l.t.Helper()
	l.await(queue, n)
	for {
		d, ok := l.Get(queue)
		if !ok {
			return all
		}
		all = append(all, d.MessageId)
	}
}

// replayed wants the last line of a replay, or its JSON object.
func (l *letters) replayed(e ended, code, replayed, skipped, failed int) {
	l.t.Helper()
	e.want(l.t, code, fmt.Sprintf("replayed %d, skipped %d, failed %d\n", replayed, skipped, failed), e.err)
}

func TestDLQ_RefusesWrongUsage(t *testing.T) {
	environment(t, "AMQP_URL", "amqp://127.0.0.1:1/", "DATABASE_URL", "postgres://127.0.0.1:1/d") // nothing is connected to
	for _, flags := range [][]string{
		{"--since", "yesterday"},
		{"--since", "-5m"},
		{"--until", "2026-11-23"},
		{"--until", "5"},
		{"--limit", "-1"},
		{"--limit", "many"},
		{"--rate", "-0.5"},
		{"--rate", "NaN"},
		{"--canary", "--canary-timeout", "0"},
		{"--canary", "--canary-timeout", "soon"},
		{"--canary-timeout", "1m"},
		{"--wait", "--wait-timeout", "0"},
		{"--wait-timeout", "1m"},
		{"--canary", "--to", "m.elsewhere"},
		{"--to", "m.order_placed.dlq"},
		{"--nonsense"},
		{"--id"},
		{"one-more"},
	} {
		for _, command := range [][]string{{"--replay-dlq", "m.order_placed.dlq"}, {"dlq", "replay", "m.order_placed.dlq"}} {
			call(t, "", append(command, flags...)...).want(t, exitUsage, "", "mageline: ")
		}
	}
	for _, args := range [][]string{
		{"--replay-dlq"},
		{"--replay-dlq", "m.dlq", "run"},
		{"--replay-dlq", "m.dlq", "dlq", "list"},
		{"dlq", "nonsense"},
		{"dlq", "replay"},
		{"dlq", "list", "a", "b"},
		{"dlq", "list", "--limit", "1"},
		{"dlq", "list", "--since", "2h"},
		{"dlq", "list", "m.dlq", "--since", "soon"},
		{"dlq", "show", "m.dlq"},
		{"dlq", "show", "m.dlq", "a", "b"},
	} {
		call(t, "", args...).want(t, exitUsage, "", "mageline: ")
	}
	// As where a shell's variable is empty: that must not consume.
	call(t, "", "--replay-dlq", "").want(t, exitUsage, "", "which queue?")
	call(t, "", "dlq", "replay", "").want(t, exitUsage, "", "which queue?")
	// The flags of a replay do nothing where nothing is replayed.
	for _, flag := range []string{
		"--dry-run", "--limit=1", "--rate=1", "--since=1h", "--until=1h", "--id=x", "--key=x", "--error-class=x", "--match=x", "--to=x", "--yes", "--json",
		"--canary", "--canary-timeout=1m", "--wait", "--wait-timeout=1m",
	} {
		name, _, _ := strings.Cut(flag, "=")
		call(t, "", flag).want(t, exitUsage, "", name+" goes with --replay-dlq")
		call(t, "", "run", flag).want(t, exitUsage, "", "unknown flag")
	}
}

func TestDLQ_FailsWithoutTheQueue(t *testing.T) {
	l := newLetters(t)
	for _, name := range []string{l.Prefix + ".nothing.dlq", "nothing"} {
		for _, args := range [][]string{
			{"--replay-dlq", name},
			{"--replay-dlq", name, "--json"},
			{"--replay-dlq", name, "--dry-run"},
			{"dlq", "replay", name},
			{"dlq", "list", name},
			{"dlq", "list", name, "--json"},
			{"dlq", "show", name, "0123456789ab"},
		} {
			call(t, "", args...).want(t, exitFailed, "", "the queue "+name+" does not exist")
		}
		if l.Depth(name) != -1 {
			t.Errorf("%s was declared", name)
		}
	}
	call(t, "", "dlq", "show", l.dlq, "0123456789ab").want(t, exitFailed, "", "no letter in "+l.dlq+" has the id 0123456789ab")
	call(t, "", "dlq", "list", l.dlq).want(t, 0, "ID", "")
	call(t, "", "dlq", "list", l.dlq, "--json").want(t, 0, "", "")
}

// A second reader is told who holds the queue since when; the lock is free when that one has ended.
func TestDLQ_NamesWhoHoldsTheQueue(t *testing.T) {
	l := newLetters(t)
	l.send(2)
	reader := deadletter.New(deadletter.Options{
		Broker: rabbitmq.Options{URL: l.URL}, DatabaseURL: l.database, Prefix: l.Prefix, Host: "first-host", Log: zerolog.Nop(),
	})
	tried := false
	_, err := reader.Replay(t.Context(), deadletter.ReplayOptions{Queue: l.dlq, Limit: 1, Progress: func(deadletter.ReplayStep) {
		tried = true
		for _, args := range [][]string{
			{"--replay-dlq", l.dlq},
			{"--replay-dlq", l.dlq, "--dry-run", "--json"},
			{"dlq", "replay", l.dlq},
			{"dlq", "list", l.dlq},
			{"dlq", "show", l.dlq, id(0)},
		} {
			e := call(t, "", args...)
			e.want(t, exitFailed, "", l.dlq)
			if !regexp.MustCompile(`mageline first-host/\d+ works on the queue .* since 20\d\d-\d\d-\d\dT`).MatchString(e.err) {
				t.Errorf("%q does not say who holds it since when", e.err)
			}
		}
		e := call(t, "", "dlq", "list")
		e.want(t, 0, l.dlq, "")
		if !strings.Contains(e.out, "mageline first-host/") {
			t.Error("the list of queues does not say who works on it")
		}
		if !strings.Contains(call(t, "", "dlq", "list", "--json").out, `"locked":"mageline first-host/`) {
			t.Error("nor as JSON")
		}
	}})
	if err != nil || !tried {
		t.Fatalf("tried %t, %v", tried, err)
	}
	l.replayed(call(t, "", "--replay-dlq", l.dlq), 0, 1, 0, 0)
}

func TestDLQ_ListsQueuesByCause(t *testing.T) {
	l := newLetters(t)
	if e := call(t, "", "dlq", "list"); !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(l.dlq) + `  0 letters$`).MatchString(e.out) {
		t.Error("an empty queue is missing")
	}
	again, broken := l.dead(2), amqp.Publishing{MessageId: "b", Body: []byte("x"), Headers: amqp.Table{
		rabbitmq.HeaderQueue: l.work, rabbitmq.HeaderTopic: placed, rabbitmq.HeaderErrorClass: "malformed",
		rabbitmq.HeaderError: "the body is not JSON after byte 21", rabbitmq.HeaderFailedAt: ago(3),
	}}
	again.MessageId = "another event of the same order"
	l.send(3, again, broken)
	other := l.DeadLetters("order_canceled")
	l.Send(other, amqp.Publishing{Body: []byte("x")})
	l.await(other, 1)
	for range 2 {
		e := call(t, "", "dlq", "list")
		e.want(t, 0, l.dlq+"  5 letters\n", "")
		for _, line := range []string{
			`(?m)^  rejected +3 letters  2 orders  first 20\S+Z  last 20\S+Z  still happening  the ERP refused order <n> +what helps: .*--canary`,
			`(?m)^  timeout +1 letter   1 order   first 20\S+Z  last 20\S+Z {19}the ERP refused order <n> +what helps: passing: `,
			`(?m)^  malformed +1 letter   0 orders  first 20\S+Z  last 20\S+Z {19}the body is not JSON after byte <n> +what helps: can't be replayed with success: .*discard`,
			`(?m)^` + regexp.QuoteMeta(other) + `  1 letter$`,
			`(?m)^  unknown +1 letter  0 orders .*what helps: .*--to QUEUE`,
		} {
			if !regexp.MustCompile(line).MatchString(e.out) {
				t.Errorf("no line like %s", line)
			}
		}
	}
	got := map[string]map[string]any{}
	for line := range strings.Lines(call(t, "", "dlq", "list", "--json").out) {
		var o map[string]any
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatal(err)
		}
		got[o["queue"].(string)] = o
	}
	o := got[l.dlq]
	classes := map[string]any{"rejected": 3.0, "timeout": 1.0, "malformed": 1.0}
	if age, _ := o["oldest_age_seconds"].(float64); o["depth"] != 5.0 || age < 1800 || !reflect.DeepEqual(o["classes"], classes) {
		t.Errorf("%v", o)
	}
	cause, _ := o["causes"].([]any)[0].(map[string]any)
	for name, want := range map[string]any{
		"class": "rejected", "error": "the ERP refused order <n>", "letters": 3.0, "keys": 2.0, "still_happening": true, "replayable": true,
	} {
		if cause[name] != want {
			t.Errorf("%s of the cause is %v, want %v", name, cause[name], want)
		}
	}
	if o := got[other]; o["depth"] != 1.0 || !reflect.DeepEqual(o["classes"], map[string]any{"unknown": 1.0}) {
		t.Errorf("%v", o)
	}
	l.await(l.dlq, 5)
}

// Of a letter that can't be replayed with success it is said, with what to do instead.
func TestDLQ_SaysWhatCanNotSucceed(t *testing.T) {
	l := newLetters(t)
	hopeless := func(i int, class, key string) amqp.Publishing {
		p := l.dead(i)
		p.Headers[rabbitmq.HeaderErrorClass], p.Headers[rabbitmq.HeaderKey] = class, key
		return p
	}
	l.Send(l.dlq, hopeless(0, "malformed", ""))
	l.Send(l.dlq, hopeless(1, "invalid", ""))
	l.Send(l.dlq, hopeless(2, "invalid", key(2)))
	l.Send(l.dlq, hopeless(3, "rejected", ""))
	l.await(l.dlq, 4)
	const says = "can't be replayed with success"
	list := strings.Split(call(t, "", "dlq", "list", l.dlq).out, "\n")
	for i, want := range []bool{true, true, false, false} {
		line, whole := list[i+1], call(t, "", "dlq", "show", l.dlq, id(i)).out
		for _, text := range []string{line, whole} {
			if strings.Contains(text, says) != want || want && !strings.Contains(text, "mageline dlq discard") {
				t.Errorf("letter %d: %q", i, text)
			}
		}
		for _, args := range [][]string{{"dlq", "list", l.dlq, "--id", id(i), "--json"}, {"dlq", "show", l.dlq, id(i), "--json"}} {
			if o := decode[map[string]any](t, call(t, "", args...)); o["replayable"] != !want || strings.Contains(fmt.Sprint(o["help"]), says) != want {
				t.Errorf("letter %d: %v", i, o)
			}
		}
	}
}

func TestDLQ_ListsLettersByFilter(t *testing.T) {
	l := newLetters(t)
	double := l.dead(1)
	double.Headers[rabbitmq.HeaderFailedAt] = ago(0) // the same message, dead a second time
	odd := l.dead(3)
	odd.Headers[rabbitmq.HeaderKey] = "tab\there\nrow \x1b[31mred"
	l.send(3, double, odd)
	for range 2 { // listing changes nothing
		e := call(t, "", "dlq", "list", l.dlq)
		e.want(t, 0, "ID", "")
		lines := strings.Split(strings.TrimSuffix(e.out, "\n"), "\n")
		if len(lines) != 5 {
			t.Fatalf("%d lines, want a heading and one for each of 4 messages", len(lines))
		}
		for i, want := range []string{
			`^ID +KEY +TOPIC +CLASS +ATTEMPTS +FAILED AT +ERROR$`,
			`^` + id(0) + ` +000000000 +sales.order.placed +rejected +1 +20\S+Z +the ERP refused order 0$`,
			`^` + id(1) + ` \(2 times\) +000000001 +sales.order.placed +timeout +2 +20\S+Z +the ERP refused order 1$`,
			`^` + id(2) + ` +000000002 `,
			`^` + id(3) + ` +tab here row \[31mred +sales`,
		} {
			if !regexp.MustCompile(want).MatchString(lines[i]) {
				t.Errorf("line %q, want %s", lines[i], want)
			}
		}
	}
	var got []map[string]any
	for line := range strings.Lines(call(t, "", "dlq", "list", l.dlq, "--json", "--error-class", "timeout", "--since", "15m").out) {
		var o map[string]any
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatal(err)
		}
		got = append(got, o)
	}
	if len(got) != 1 {
		t.Fatalf("%v", got)
	}
	for name, want := range map[string]any{
		"id": id(1), "key": key(1), "topic": placed, "queue": l.work, "class": "timeout", "error": "the ERP\nrefused order 1",
		"attempts": 2.0, "count": 2.0,
	} {
		if got[0][name] != want {
			t.Errorf("%s is %v, want %v", name, got[0][name], want)
		}
	}
	if at, err := time.Parse(time.RFC3339, fmt.Sprint(got[0]["failed_at"])); err != nil || time.Since(at) < 10*time.Minute {
		t.Errorf("failed_at %v, %v", got[0]["failed_at"], err)
	}

	l.replayed(call(t, "", "--replay-dlq", l.dlq, "--id", id(1)), 0, 1, 3, 0)
	if got := l.drained(l.work, 1); !slices.Equal(got, []string{"m1"}) {
		t.Errorf("replayed %v, want one of the two", got)
	}
	if got := l.drained(l.dlq, 3); !slices.Equal(got, []string{"m0", "m2", "m3"}) {
		t.Errorf("left are %v: both of that id had to leave, and the rest to keep its order", got)
	}
}

func TestDLQ_ShowsALetterRedacted(t *testing.T) {
	l := newLetters(t)
	l.send(3, l.dead(1))
	e := call(t, "", "dlq", "show", l.dlq, id(1))
	e.want(t, 0, "\n\n"+body(1)+"\n", "")
	for _, line := range []string{
		`(?m)^id +` + id(1) + `$`, `(?m)^key +000000001$`, `(?m)^error +the ERP refused order 1$`,
		`(?m)^property message_id +m1$`, `(?m)^header x-mageline-attempts +2$`,
	} {
		if len(regexp.MustCompile(line).FindAllString(e.out, -1)) != 2 {
			t.Errorf("no line like %s for each of the two letters", line)
		}
	}
	if e := call(t, "", "dlq", "show", l.dlq, id(1), "--redact"); e.code != 0 || strings.Contains(e.out, "jane1") || !strings.Contains(e.out, key(1)) {
		t.Error("--redact leaves personal data, or no order number")
	}
	e = call(t, "", "dlq", "show", l.dlq, id(0), "--json", "--redact")
	o := decode[struct {
		ID, Body   string
		Properties map[string]any
		Headers    map[string]any
	}](t, e)
	if o.ID != id(0) || o.Properties["message_id"] != "m0" || o.Headers[rabbitmq.HeaderKey] != key(0) || !strings.Contains(o.Body, key(0)) || strings.Contains(e.out, "jane") {
		t.Errorf("%+v", o)
	}
	if o := decode[map[string]any](t, call(t, "", "dlq", "show", l.dlq, id(0), "--json")); o["body"] != body(0) {
		t.Errorf("%v", o)
	}
	if got := l.drained(l.dlq, 4); !slices.Equal(got, []string{"m0", "m1", "m2", "m1"}) {
		t.Errorf("show has changed the queue: %v", got)
	}
}

// With the broker or Postgres away, it is said which, without secrets.
func TestDLQ_SaysWhichServiceIsAway(t *testing.T) {
	for _, away := range [][2]string{{"AMQP_URL", "amqp://u:s3cr3t@127.0.0.1:1/"}, {"DATABASE_URL", "postgres://u:s3cr3t@127.0.0.1:1/d"}} {
		l := newLetters(t)
		l.send(1)
		t.Setenv("MAGELINE_"+away[0], away[1])
		for _, args := range [][]string{{"--replay-dlq", l.dlq}, {"dlq", "list"}, {"dlq", "list", l.dlq}, {"dlq", "show", l.dlq, id(0)}} {
			e := call(t, "", args...)
			if e.code != exitFailed || !strings.Contains(e.err, "127.0.0.1:1") || strings.Contains(e.err+e.out, "s3cr3t") {
				t.Errorf("%v: exit %d, %q", args, e.code, e.err)
			}
		}
		if l.Depth(l.dlq) != 1 {
			t.Error("the letter is gone")
		}
	}
}
