package consumer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mageline/mageline/event"
)

// lister is the handler of a list of numbers.
type lister struct{ BatchHandler }

type list struct {
	AsOf    string          `json:"as_of,omitempty"`
	Numbers []int           `json:"numbers"`
	Errors  json.RawMessage `json:"errors,omitempty"`
}

func (lister) Entries(_ context.Context, e event.Event) (entries []Entry, err error) {
	var l list
	if err := json.Unmarshal(e.Body, &l); err != nil {
		return nil, event.Errorf(event.Malformed, "%w", err)
	}
	for _, n := range l.Numbers {
		entries = append(entries, Entry{Value: n})
	}
	return entries, nil
}

func (lister) Letter(e event.Event, rejected []Rejection) (json.RawMessage, error) {
	var l list
	if err := json.Unmarshal(e.Body, &l); err != nil {
		return nil, err
	}
	l.Numbers = nil
	for _, r := range rejected {
		l.Numbers = append(l.Numbers, r.Entry.Value.(int))
	}
	return json.Marshal(l)
}

func TestPartialLetter(t *testing.T) {
	t.Parallel()
	of := func(count int, body string) entriesOf {
		return entriesOf{event: event.Event{Body: json.RawMessage(body)}, count: count}
	}
	for _, tt := range []struct {
		name     string
		events   []entriesOf
		rejected []int // indexes; the value of an entry is its index
		rows     int
		body     string
		error    string
	}{
		{
			"one",
			[]entriesOf{of(3, `{"as_of":"t","numbers":[0,1,2]}`)},
			[]int{1},
			0,
			`{"as_of":"t","errors":[{"index":0,"message":"1 is wrong"}],"numbers":[1]}`, "1 is wrong",
		},
		{
			"several",
			[]entriesOf{of(3, `{"as_of":"t","numbers":[0,1,2]}`)},
			[]int{0, 2},
			0,
			`{"as_of":"t","errors":[{"index":0,"message":"0 is wrong"},{"index":1,"message":"2 is wrong"}],"numbers":[0,2]}`,
			"0 is wrong (and 1 more rejected)",
		},
		{
			"rejected again",
			[]entriesOf{of(2, `{"numbers":[0,1],"errors":[{"index":0,"message":"old"}]}`)},
			[]int{1},
			0,
			`{"errors":[{"index":0,"message":"1 is wrong"}],"numbers":[1]}`, "1 is wrong",
		},
		{
			"entries of several rows",
			[]entriesOf{of(3, `{"numbers":[0,1,2]}`)},
			[]int{0, 1, 2},
			2,
			`{"errors":[{"index":0,"message":"0 is wrong"},{"index":2,"message":"1 is wrong"},{"index":4,"message":"2 is wrong"}],"numbers":[0,1,2]}`,
			"0 is wrong (and 2 more rejected)",
		},
		{
			"one event of several",
			[]entriesOf{of(2, `{"numbers":[0,1]}`), of(0, `{"numbers":[]}`), of(2, `{"as_of":"u","numbers":[2,3]}`)},
			[]int{3},
			0,
			`{"as_of":"u","errors":[{"index":0,"message":"3 is wrong"}],"numbers":[3]}`, "3 is wrong",
		},
		{
			"several events",
			[]entriesOf{of(2, `{"numbers":[0,1]}`), of(2, `{"as_of":"u","numbers":[2,3]}`)},
			[]int{1, 2, 3},
			0,
			`[{"errors":[{"index":0,"message":"1 is wrong"}],"numbers":[1]},` +
				`{"as_of":"u","errors":[{"index":0,"message":"2 is wrong"},{"index":1,"message":"3 is wrong"}],"numbers":[2,3]}]`,
			"1 is wrong (and 2 more rejected)",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var rejected []Rejection
			for _, i := range tt.rejected {
				rejected = append(rejected, Rejection{i, Entry{Value: i, Rows: tt.rows}, event.Errorf(event.Rejected, "%d is wrong", i)})
			}
			body, first, err := partialLetter(lister{}, tt.events, rejected)
			if err != nil {
				t.Fatal(err)
			}
			if string(body) != tt.body {
				t.Errorf("letter\n%s, want\n%s", body, tt.body)
			}
			if first.Error() != tt.error || event.ClassOf(first) != event.Rejected {
				t.Errorf("error %q (%s), want %q", first, event.ClassOf(first), tt.error)
			}
		})
	}
}

// brokenLetter is a handler whose letter can't be made.
type brokenLetter struct {
	lister
	letter json.RawMessage
	err    error
}

func (b brokenLetter) Letter(event.Event, []Rejection) (json.RawMessage, error) {
	if b.letter == nil && b.err == nil {
		panic("no letter")
	}
	return b.letter, b.err
}

func TestPartialLetter_ThatCanNotBeMade(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]brokenLetter{
		"error": {err: errors.New("x")}, "panic": {}, "no object": {letter: json.RawMessage("[]")},
		"too large": {letter: json.RawMessage(fmt.Sprintf(`{"x":%q}`, strings.Repeat("x", event.MaxBody)))},
	} {
		if _, _, err := partialLetter(h, []entriesOf{{count: 1}}, []Rejection{{Err: errRejected}}); err == nil {
			t.Errorf("%s: a letter was made", name)
		}
	}
}
