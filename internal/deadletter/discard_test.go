package deadletter

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/rabbitmq"
	"github.com/mageline/mageline/test/kit"
)

func newFile(t *testing.T) *DiscardFile {
	t.Helper()
	f, err := OpenDiscardFile(filepath.Join(t.TempDir(), "letters.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func (l *testQueue) mustDiscard(o DiscardOptions, discarded, skipped, failed int) {
	l.t.Helper()
	o.Queue = l.dlq
	sum, err := New(l.o).Discard(l.t.Context(), o)
	if err != nil {
		l.t.Fatal(err)
	}
	if sum.Discarded != discarded || sum.Skipped != skipped || sum.Failed != failed {
		l.t.Fatalf("%s, want %d, %d, %d", sum, discarded, skipped, failed)
	}
}

// restore sends a file's letters back and gives why which lines were not sent.
func (l *testQueue) restore(lines, to string, published, skipped int) map[int]string {
	l.t.Helper()
	stay := map[int]string{}
	sum, err := New(l.o).Restore(l.t.Context(), strings.NewReader(lines), RestoreOptions{To: to, Failed: func(n int, err error) { stay[n] = err.Error() }})
	if err != nil {
		l.t.Fatal(err)
	}
	if want := (RestoreSummary{published, skipped, len(stay)}); sum != want {
		l.t.Fatalf("%+v, want %+v; %v", sum, want, stay)
	}
	return stay
}

func read(t *testing.T, f *DiscardFile) string {
	t.Helper()
	b, err := os.ReadFile(f.f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// everyType has a header of each type that AMQP has, and some that JSON has trouble with.
func everyType() amqp.Table {
	return amqp.Table{
		"nothing": nil, "yes": true, "text": "ä<&>\n", "no text": "\xff\xfe", "bytes": []byte("b\xff"), "no bytes": []byte{},
		"int8": int8(-8), "uint8": uint8(200), "int16": int16(-16000), "uint16": uint16(60000), "int32": int32(-7),
		"uint32": uint32(math.MaxUint32), "int64": int64(math.MinInt64), "large": int64(1<<53 + 1),
		"float32": float32(0.1), "float64": 0.1, "decimal": amqp.Decimal{Scale: 2, Value: -1999},
		"time": time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC), "far": time.Unix(1_800_000_000_000, 0).UTC(),
		"array": []any{int32(1), "a", []any(nil), amqp.Table{"b": int16(2)}}, "table": amqp.Table{"a": amqp.Table{}, "n": nil},
		"looks typed": amqp.Table{"amqp:int8": int64(1)}, "amqp:int8": "x",
	}
}

// What a discard has written comes back as a replay would have sent it.
func TestDiscard_WritesWhatRestoreSends(t *testing.T) {
	t.Parallel()
	l := newTestQueue(t)
	p := l.dead(1, "rejected")
	p.ContentType, p.ContentEncoding, p.Priority, p.CorrelationId, p.ReplyTo = "application/json", "utf-8", 3, "c\xff", "r"
	p.Timestamp, p.Type, p.AppId, p.UserId = time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC), "t", "a", "guest"
	p.Body = []byte("{ \"entity_id\" : 1 }\n\xff")
	p.Headers[rabbitmq.HeaderReplayCount] = int64(2)
	for name, v := range everyType() {
		p.Headers[name] = v
	}
	l.Send(l.dlq, p)
	l.Send(l.dlq, p)
	f := newFile(t)
	l.mustDiscard(DiscardOptions{Out: f, Limit: 1}, 1, 0, 0)
	l.awaitDepth(l.dlq, 0)
	text := read(t, f)
	if strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") {
		t.Fatalf("%q is not one line", text)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &members); err != nil {
		t.Fatal(err)
	}
	if len(members) != 5 || string(members["topic"]) != `"`+topic+`"` || string(members["queue"]) != `"`+l.work+`"` ||
		string(members["body_base64"]) != `"eyAiZW50aXR5X2lkIiA6IDEgfQr/"` || members["properties"] == nil || members["headers"] == nil {
		t.Errorf("members %s", text)
	}
	if stay := l.restore(text, "", 1, 0); len(stay) != 0 {
		t.Fatal(stay)
	}

	got := l.drain(l.work, 1)[0]
	if string(got.Body) != string(p.Body) || got.MessageId != p.MessageId || got.ContentType != p.ContentType ||
		got.ContentEncoding != p.ContentEncoding || got.Priority != p.Priority || got.CorrelationId != p.CorrelationId ||
		got.ReplyTo != p.ReplyTo || !got.Timestamp.Equal(p.Timestamp) || got.Type != p.Type || got.AppId != p.AppId ||
		got.DeliveryMode != amqp.Persistent || got.Exchange != "" {
		t.Fatalf("sent as %+v", got)
	}
	if at, err := time.Parse(time.RFC3339, rabbitmq.Text(got.Headers, rabbitmq.HeaderReplayedAt)); err != nil || time.Since(at) > time.Hour {
		t.Errorf("replayed at %v", got.Headers[rabbitmq.HeaderReplayedAt])
	}
	if rabbitmq.Text(got.Headers, rabbitmq.HeaderReplayID) == "" {
		t.Error("no replay id")
	}
	delete(got.Headers, rabbitmq.HeaderReplayedAt)
	delete(got.Headers, rabbitmq.HeaderReplayID)
	kit.DropCounts(got.Headers)
	want := everyType()
	want[rabbitmq.HeaderTopic], want[rabbitmq.HeaderFirstFailedAt] = topic, "2026-11-20T10:00:00Z"
	want[rabbitmq.HeaderReplayCount], want["traceparent"], want[rabbitmq.HeaderOriginalUserID] = int64(3), "00-abc-def-01", "guest"
	for name := range want {
		if fmt.Sprintf("%#v", got.Headers[name]) != fmt.Sprintf("%#v", want[name]) && !sameTime(got.Headers[name], want[name]) {
			t.Errorf("header %s is %#v, want %#v", name, got.Headers[name], want[name])
		}
	}
	if len(got.Headers) != len(want) {
		t.Errorf("headers %v\nwant %v", got.Headers, want)
	}
}

func sameTime(a, b any) bool {
	x, ok := a.(time.Time)
	y, also := b.(time.Time)
	return ok && also && x.Equal(y)
}

// A discard drops what a replay would take, and the rest keeps its place.
func TestDiscard_DropsOnlyWhatMatches(t *testing.T) {
	t.Parallel()
	const n = 120
	l := newTestQueue(t)
	l.fill(n, oddTimeout)
	l.Send(l.dlq, l.dead(8, "timeout")) // matches; the first of it did not
	f := newFile(t)
	l.mustDiscard(DiscardOptions{Filter: Filter{Class: "timeout"}, DryRun: true}, n/2+1, n/2-1, 0)
	l.awaitDepth(l.dlq, n+1)
	l.mustDiscard(DiscardOptions{Filter: Filter{Class: "timeout"}, Out: f}, n/2+1, n/2-1, 0)
	l.mustDiscard(DiscardOptions{Limit: 2, Out: f}, 2, 0, 0)
	rest := wanted(n, func(i int) bool { return i%2 == 0 && i != 8 && i > 2 })
	l.awaitDepth(l.dlq, len(rest))
	if got := ids(l.drain(l.dlq, len(rest))); !slices.Equal(got, rest) {
		t.Errorf("left are %v", got)
	}
	if l.Depth(l.work) != 0 {
		t.Error("a discard has published")
	}
	gone := append(wanted(n, func(i int) bool { return i%2 == 1 }), "m8", "m0", "m2")
	text := read(t, f)
	l.restore(text+"\n"+text, "", len(gone), len(gone)) // twice each, as after a kill
	if got := ids(l.drain(l.work, len(gone))); !slices.Equal(got, gone) {
		t.Errorf("sent back %v\nwant %v", got, gone)
	}
}

// Headers of a letter that are not ours stay unbelieved, and the broker's own letter goes where it came from.
func TestDiscard_TakesTheBrokersOwnLetters(t *testing.T) {
	t.Parallel()
	l := newTestQueue(t)
	ch := l.channel()
	p := l.dead(1, "rejected")
	p.Headers[rabbitmq.HeaderQueue] = "somebody.else"
	if err := ch.PublishWithContext(t.Context(), l.Exchange, topic, true, false, p); err != nil {
		t.Fatal(err)
	}
	l.awaitDepth(l.work, 1)
	l.refuse(1)
	l.awaitDepth(l.dlq, 1)
	l.Send(l.dlq, amqp.Publishing{MessageId: "none", Body: []byte("of nobody")})
	l.awaitDepth(l.dlq, 2)
	f := newFile(t)
	l.mustDiscard(DiscardOptions{Out: f}, 2, 0, 0)
	text := read(t, f)
	if strings.Contains(text, "x-mageline-") || !strings.Contains(text, `"x-death"`) {
		t.Errorf("written %s", text)
	}
	if stay := l.restore(text, "", 1, 0); !strings.Contains(stay[2], "does not say where it was consumed") {
		t.Errorf("%v", stay)
	}
	got := l.drain(l.work, 1)[0]
	if got.MessageId != "m1" || rabbitmq.Text(got.Headers, rabbitmq.HeaderTopic) != topic || got.Headers["x-death"] != nil ||
		rabbitmq.Text(got.Headers, rabbitmq.HeaderQueue) != "" || rabbitmq.Int(got.Headers, rabbitmq.HeaderReplayCount) != 1 {
		t.Errorf("sent as %+v", got)
	}
}

// A line that can't be sent says why, and keeps no other from it.
func TestRestore_ChoosesTheTargetQueue(t *testing.T) {
	t.Parallel()
	l := newTestQueue(t)
	other := l.Prefix + "other" // its name begins as the prefix does, and is outside of it
	l.Own(other)
	if _, err := l.channel().QueueDeclare(other, true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	of := func(queue, rest string) string { return fmt.Sprintf(`{"topic":"t","queue":%q%s}`, queue, rest) + "\n" }
	lines := of(other, `,"body_base64":"QQ=="`) +
		of(l.Queue("order_canceled"), `,"body_base64":"QQ=="`) +
		of("", `,"body_base64":"QQ=="`) +
		of(l.work, `,"headers":{"x":1},"body_base64":"Qg=="`) +
		"\n" +
		of(l.work, "") +
		of(l.work, `,"body_base64":"?"`) +
		of(l.work, `,"body_base64":"QQ==","headers":{"x":{"amqp:int8":300}}`) +
		of(l.work, `,"body_base64":"QQ==","properties":{"nonsense":"x"}`) +
		of(l.work, `,"body_base64":"QQ==","properties":{"priority":-1}`) +
		of(l.work, `,"body_base64":"QQ=="`)[:20]
	stay := l.restore(lines, "", 1, 0)
	for n, want := range map[int]string{
		1: "not one of", 2: "no queue took", 3: "neither", 6: "body_base64 is missing", 7: "body_base64", 8: "header x",
		9: `"nonsense"`, 10: "priority", 11: "cut short",
	} {
		if !strings.Contains(stay[n], want) {
			t.Errorf("line %d: %q, want %q", n, stay[n], want)
		}
	}
	got := l.drain(l.work, 1)
	if len(got) != 1 || string(got[0].Body) != "B" || got[0].Headers["x"] != int64(1) {
		t.Errorf("sent %+v", got)
	}
	l.restore(of("somewhere", `,"body_base64":"QQ=="`), other, 1, 0)
	l.awaitDepth(other, 1)
}

// What can't be written down stays in the queue.
func TestDiscard_KeepsLettersItCantWrite(t *testing.T) {
	t.Parallel()
	l := newTestQueue(t)
	l.fill(3, rejected)
	odd := l.dead(3, "rejected")
	odd.Headers["\xff"] = "x"
	l.Send(l.dlq, odd)
	l.awaitDepth(l.dlq, 4)
	f := newFile(t)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	sum, err := New(l.o).Discard(t.Context(), DiscardOptions{Queue: l.dlq, Out: f})
	if !errors.Is(err, os.ErrClosed) || sum.Discarded != 0 {
		t.Errorf("%s, %v", sum, err)
	}
	l.awaitDepth(l.dlq, 4)
	l.mustDiscard(DiscardOptions{Out: newFile(t)}, 3, 0, 1)
	if got := ids(l.drain(l.dlq, 1)); !slices.Equal(got, []string{"m3"}) {
		t.Errorf("left are %v", got)
	}
}

// What the disk does not take is never dropped, whatever a later sync says.
func TestFile_StopsAfterAFailedSync(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe() // a pipe can be written to and not synced
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	f := &DiscardFile{f: w}
	defer func() { _ = f.Close() }()
	var ends []int64
	for range 2 {
		end, err := f.append([]byte("{}\n"))
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, end)
	}
	for range 2 {
		for _, end := range ends {
			if err := f.sync(end); err == nil {
				t.Fatal("a line that is not on the disk counts as written")
			}
		}
	}
	if _, err := f.append([]byte("{}\n")); err == nil {
		t.Error("a broken file takes more")
	}
}

func TestOpenFile_ContinuesItsOwnFilesOnly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "letters.jsonl")
	long := `{"topic":"` + strings.Repeat("x", 100<<10)
	for _, test := range []struct{ has, keeps string }{
		{"", ""},
		{`{"to`, ""},
		{`{"topic":"a"}` + "\n", `{"topic":"a"}` + "\n"},
		{`{"topic":"a"}` + "\n" + `{"topic":"b`, `{"topic":"a"}` + "\n"},
		{`{"topic":"a"}` + "\n" + long, `{"topic":"a"}` + "\n"},
		{long, ""},
	} {
		if err := os.WriteFile(path, []byte(test.has), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := OpenDiscardFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := OpenDiscardFile(path); err == nil || !strings.Contains(err.Error(), "another discard") {
			t.Errorf("opened twice: %v", err)
		}
		if _, err := f.append([]byte("{}\n")); err != nil {
			t.Fatal(err)
		}
		if got := read(t, f); got != test.keeps+"{}\n" {
			t.Errorf("%.40q became %.40q", test.has, got)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	other := filepath.Join(t.TempDir(), "orders.csv")
	if err := os.WriteFile(other, []byte("id;name"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, refused := range []string{other, "/dev/null", t.TempDir(), filepath.Join(t.TempDir(), "no", "folder")} {
		if f, err := OpenDiscardFile(refused); err == nil {
			_ = f.Close()
			t.Errorf("%s was opened", refused)
		}
	}
	if b, err := os.ReadFile(other); err != nil || string(b) != "id;name" {
		t.Errorf("a file with something else became %q, %v", b, err)
	}
	info, err := os.Stat(newFile(t).f.Name())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v: others can read personal data", info.Mode(), err)
	}
}

// What is read as a letter is written so that it is read as the same.
func FuzzDecodeLine(f *testing.F) {
	headers := everyType()
	headers["inf"] = float32(math.Inf(-1)) // which RabbitMQ itself can't read
	one, err := encode(letter{d: &amqp.Delivery{Headers: headers, Body: []byte("x"), MessageId: "\xff", Timestamp: time.Unix(1<<50, 0)}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(one)
	f.Add([]byte(`{"topic":"t","queue":"q","properties":{"priority":3,"timestamp":"2026-11-20T09:00:00Z"},"headers":{"a":[1,{"amqp:table":{"amqp:x":1}}]},"body_base64":""}`))
	f.Add([]byte(`{"body_base64":"","headers":{"d":{"amqp:decimal":[1,2]},"f":{"amqp:float64":"NaN"}}} x`))
	f.Fuzz(func(t *testing.T, line []byte) {
		first, err := decode(line)
		if err != nil {
			return
		}
		text, err := encode(first)
		if err != nil {
			t.Fatalf("%s was read as %+v, which can't be written: %v", line, first.d, err)
		}
		second, err := decode(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		again, err := encode(second)
		if err != nil || !bytes.Equal(text, again) || first.Letter != second.Letter || !reflect.DeepEqual(first.d.Body, second.d.Body) {
			t.Errorf("%s\n%s\n%v", text, again, err)
		}
	})
}
