package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestPause_ListsPausesAndResumes(t *testing.T) {
	services(t)
	for _, args := range [][]string{{"pause"}, {"pause", "erp"}, {"resume", "erp"}} {
		call(t, "", args...).want(t, exitFailed, "", "`mageline migrate` makes it")
	}
	call(t, "", "migrate").want(t, 0, "00002_pause.sql", "")
	call(t, "", "pause").want(t, 0, "nothing is paused\n", "")
	call(t, "", "pause", "--json").want(t, 0, "", "")
	call(t, "", "resume", "erp").want(t, 0, "erp was not paused; ", "")

	call(t, "", "pause", "order_placed").want(t, 0, "order_placed is paused by an operator since ", "")
	paused := decode[map[string]string](t, call(t, "", "pause", "erp", "--until", "90m", "--json"))
	until, err := time.Parse(time.RFC3339, paused["until"])
	if left := time.Until(until); err != nil || left < time.Hour || left > 91*time.Minute || paused["name"] != "erp" || paused["since"] == "" || paused["by"] == "" {
		t.Errorf("%v, %v", paused, err)
	}
	call(t, "", "pause", "search", "--until", "2199-01-02T03:04:05+01:00").want(t, 0, " until 2199-01-02T02:04:05Z\n", "")
	call(t, "", "pause").want(t, 0, "order_placed", "")
	names := ""
	for line := range strings.Lines(call(t, "", "pause", "--json").out) {
		var object map[string]string
		if err := json.Unmarshal([]byte(line), &object); err != nil || len(object) != 4 {
			t.Errorf("%s: %v", line, err)
		}
		names += object["name"] + " "
	}
	if names != "erp order_placed search " {
		t.Errorf("paused are %s", names)
	}
	call(t, "", "resume", "order_placed").want(t, 0, "resumed order_placed\n", "")
	if got := decode[map[string]any](t, call(t, "", "resume", "erp", "--json")); got["name"] != "erp" || got["was_paused"] != true {
		t.Errorf("%v", got)
	}

	t.Setenv("MAGELINE_DATABASE_URL", "postgres://u:s3cr3t@127.0.0.1:1/d")
	for _, args := range [][]string{{"pause"}, {"pause", "erp"}, {"resume", "erp"}} {
		e := call(t, "", args...)
		e.want(t, exitFailed, "", "127.0.0.1")
		if strings.Contains(e.err, "s3cr3t") {
			t.Error("a secret is printed")
		}
	}
}

func TestPause_RefusesWrongUsage(t *testing.T) {
	environment(t, "DATABASE_URL", "postgres://127.0.0.1:1/none")
	for _, args := range [][]string{
		{"pause", "orders"},
		{"pause", "erp", "magento"},
		{"pause", "--until", "2h"},
		{"pause", "erp", "--until", ""},
		{"pause", "erp", "--until", "tomorrow"},
		{"pause", "erp", "--until", "-2h"},
		{"pause", "erp", "--until", "2020-01-01T00:00:00Z"},
		{"resume"},
		{"resume", "mageline.order_placed"},
	} {
		if e := call(t, "", args...); e.code != exitUsage || e.err == "" || e.out != "" {
			t.Errorf("%v: exit %d, stdout %q, stderr %q, want 2 and why", args, e.code, e.out, e.err)
		}
	}
	call(t, "", "pause", "orders").want(t, exitUsage, "", "order_placed, ")
}

func FuzzParseUntil(f *testing.F) {
	now := time.Date(2026, 11, 23, 20, 0, 0, 0, time.UTC)
	for _, seed := range []string{"2h", "0s", "-1h", "2026-11-23T22:00:00Z", "2026-11-23T20:00:00Z", "292y", "9223372036854775807ns", "x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if end, err := parseUntil(text, now); err == nil && !end.After(now) || err != nil && !end.IsZero() {
			t.Errorf("%q: %s, %v", text, end, err)
		}
	})
}
