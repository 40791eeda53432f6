package deadletter

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestCommonError_IsTheSameForOneCause(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, want string }{
		{"Customer group 3 has no account", "Customer group <n> has no account"},
		{`Invalid attribute SKU = "AB \"12\" x"`, "Invalid attribute SKU = <text>"},
		{"Invalid attribute SKU = 'AB 12'", "Invalid attribute SKU = <text>"},
		{"can't be read, and doesn't tell", "can't be read, and doesn't tell"},
		{"the 'a' 'b', 'c d' of it", "the <text> … of it"},
		{"POST http://10.1.2.3:8099/orders answered 503: order 000000123", "POST http://<n>/orders answered <n>: order <n>"},
		{"GET https://shop.example/rest/all/V1/orders/57 answered 404", "GET https://shop.example/rest/all/V<n>/orders/<n> answered <n>"},
		{"document SO-1001 of 3f9a12bc, job 1b4e28ba-2fa1-11d2-883f-0016d3cca427", "document SO-<n> of <id>, job <id>"},
		{"since 2026-11-23T09:00:00.5Z (1m30s), on 2026-11-23", "since <time> (<n>), on <time>"},
		{"was not confirmed: it is only asked for 14m59s more", "was not confirmed: it is only asked for <n> more"},
		{"grand_total 1,234.50 EUR", "grand_total <n> EUR"},
		{"order 1\nhas  a\ttab", "order <n> has a tab"},
		{`several orders have the number 000000123 (entity ids [57 58 59])`, "several orders have the number <n> (entity ids [<n> …])"},
		{"", ""},
	} {
		if got := commonError(tt.text); got != tt.want {
			t.Errorf("%q is\n%q, want\n%q", tt.text, got, tt.want)
		}
	}
}

func FuzzCommonError(f *testing.F) {
	for _, seed := range []string{`a "1" '2' 3`, "'", `"`, "<n>", strings.Repeat("1 ", 2000), "\xff1", "a1b2", "1ss"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := commonError(text)
		if len(got) > maxCause || strings.ContainsAny(got, "0123456789\n") || utf8.ValidString(text) && !utf8.ValidString(got) {
			t.Errorf("%q is %q", text, got)
		}
	})
}

// Causes are told apart by class and error; each counts its letters and orders, and knows when they failed.
func TestCauses_GroupLetters(t *testing.T) {
	t.Parallel()
	help := func(l Letter, queue, id string) string { return l.Class + queue + id }
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	c := newCauses("m.dlq", help)
	for i := range 17 {
		c.add(Letter{Class: "rejected", Error: fmt.Sprintf("order %d is refused", i), Key: fmt.Sprint(i % 12), FailedAt: now.Add(-time.Duration(i) * time.Hour)})
	}
	c.add(Letter{Class: "timeout", Error: "order 1 is refused", Key: "1", FailedAt: now.Add(-happening + time.Second)})
	c.add(Letter{Class: "invalid", Error: "no order", FailedAt: now.Add(-happening)})
	c.add(Letter{Class: "invalid", Error: "no order", Key: "5"})
	want := []Cause{
		{Class: "rejected", Error: "order <n> is refused", Letters: 17, Keys: 12, First: now.Add(-16 * time.Hour), Last: now, StillHappening: true, Replayable: true},
		{Class: "timeout", Error: "order <n> is refused", Letters: 1, Keys: 1, First: now.Add(-happening + time.Second), Last: now.Add(-happening + time.Second), StillHappening: true, Replayable: true},
		{Class: "invalid", Error: "no order", Letters: 1, First: now.Add(-happening), Last: now.Add(-happening)},
		{Class: "invalid", Error: "no order", Letters: 1, Keys: 1, Replayable: true},
	}
	got := c.list(now)
	if len(got) != len(want) {
		t.Fatalf("%d causes: %+v", len(got), got)
	}
	for i := range got {
		if got[i].Help != got[i].Class+"m.dlq"+"ID" {
			t.Errorf("the help for %+v is %q", got[i], got[i].Help)
		}
		got[i].Help = ""
		if got[i] != want[i] {
			t.Errorf("got  %+v\nwant %+v", got[i], want[i])
		}
	}
}

// However many letters, causes and keys there are, what is kept of them is bounded, and nothing is left out of the counts.
func TestCauses_AreBounded(t *testing.T) {
	t.Parallel()
	c := newCauses("m.dlq", func(Letter, string, string) string { return "" })
	word := func(i int) string { return strings.Repeat(string(rune('a'+i%26)), 1+i/26) }
	for i := range 1000 {
		c.add(Letter{Class: "rejected", Error: word(i), Key: word(i)})
	}
	letters, keys := 0, 0
	all := c.list(time.Now())
	for _, one := range all {
		letters += one.Letters
		keys += one.Keys
	}
	if len(all) != maxCauses+1 || letters != 1000 || keys != 1000 {
		t.Errorf("%d causes with %d letters and %d keys", len(all), letters, keys)
	}
	for i := uint64(0); len(c.keys) < maxKeys; i++ {
		c.keys[i] = struct{}{}
	}
	c.add(Letter{Class: "timeout", Error: "late", Key: "new"})
	known := len(c.keys)
	if i := slices.IndexFunc(c.list(time.Now()), func(one Cause) bool { return one.KeysAtLeast }); i < 0 || known != maxKeys {
		t.Errorf("%d keys are kept, and it is said of cause %d that there are more", known, i)
	}
}
