package ops

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A downstream is a problem if more than a tenth of its calls in the last 5 minutes failed, of at least so many.
const fewestCalls = 20

// problems returns sentences for a person who has not looked here for months. The first is what stops most of the work.
func (r *Readiness) problems(now time.Time) []string {
	all := []string{}
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if r.Stopping {
		say("This process is stopping: it finishes what is in flight and takes nothing new.")
	}
	for _, d := range []struct {
		name string
		Dependency
	}{{"RabbitMQ", r.RabbitMQ}, {"Postgres", r.Postgres}} {
		switch {
		case d.State != "connected":
			say("%s is %s: %s.", d.name, d.State, trimmed(cmp.Or(d.Reason, "no reason is known")))
		case d.Reason != "":
			say("%s: %s.", d.name, trimmed(d.Reason))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Consumers)) {
		c := r.Consumers[name]
		switch {
		case c.State == "paused":
			say("%s is paused%s: %s; %s in its queue.", name, since(c.Since, now), trimmed(c.Reason), wait(c.Messages))
		case c.State != "subscribed":
			say("%s is %s: %s; %s in its queue.", name, c.State, trimmed(c.Reason), wait(c.Messages))
		case c.Reason != "":
			say("%s: %s.", name, trimmed(c.Reason))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Downstreams)) {
		d := r.Downstreams[name]
		if d.State == "closed" && d.Calls >= fewestCalls && 10*d.Failures > d.Calls {
			say("%s fails %d of %d calls of the last 5 minutes (%s) though its circuit is closed, because others succeed in between: %s.",
				name, d.Failures, d.Calls, share(d.Failures, d.Calls), d.shares())
		}
	}
	all = append(all, r.Other...)
	if r.Codes != "" {
		say("The file of codes has changed and can't be used, so that the one from before is: %s.", trimmed(strings.ReplaceAll(r.Codes, "\n", "; ")))
	}
	for _, queue := range slices.Sorted(maps.Keys(r.DeadLetters)) {
		if n := r.DeadLetters[queue]; n > 0 {
			say("%s in %s: `mageline dlq list` says of what they died.", counted(n, "dead letter"), queue)
		}
	}
	if r.LongWaiting > 0 {
		have := "have"
		if r.LongWaiting == 1 {
			have = "has"
		}
		say("%s %s been waiting for longer than a day, the first%s, in a state in which none may go out: `mageline key list --state waiting`.",
			counted(r.LongWaiting, "order"), have, since(&r.OldestWait, now))
	}
	if r.HeldPrices != "" {
		all = append(all, r.HeldPrices)
	}
	return all
}

// trimmed returns a text to which a sentence can be added.
func trimmed(text string) string { return strings.TrimRight(text, ". ") }

func since(at *time.Time, now time.Time) string {
	if at == nil || at.IsZero() {
		return ""
	}
	ago := max(0, now.Sub(*at))
	var short string
	switch {
	case ago < time.Minute:
		short = fmt.Sprintf("%d s", int(ago.Seconds()))
	case ago < 2*time.Hour:
		short = fmt.Sprintf("%d min", int(ago.Minutes()))
	case ago < 48*time.Hour:
		short = fmt.Sprintf("%d h", int(ago.Hours()))
	default:
		short = fmt.Sprintf("%d days", int(ago.Hours()/24))
	}
	return fmt.Sprintf(" since %s (%s)", at.UTC().Format(time.RFC3339), short)
}

func wait(n int) string {
	if n == 1 {
		return "1 message waits"
	}
	return fmt.Sprintf("%d messages wait", n)
}

func counted(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return strconv.Itoa(n) + " " + noun
}

func share(n, of int) string {
	percent := 100 * float64(n) / float64(of)
	if n > 0 && percent < 1 {
		return "under 1 %"
	}
	return fmt.Sprintf("%.0f %%", math.Round(percent))
}

// shares returns the shares of each status, the most frequent first.
func (d *Downstream) shares() string {
	names := map[string]string{"timeout": "time-outs", "unavailable": "no answer of the API", "unreadable": "answers that can't be read"}
	all := slices.SortedFunc(maps.Keys(d.Codes), func(a, b string) int {
		return cmp.Or(cmp.Compare(d.Codes[b], d.Codes[a]), cmp.Compare(a, b))
	})
	for i, code := range all {
		all[i] = cmp.Or(names[code], code) + " " + share(d.Codes[code], d.Calls)
	}
	return strings.Join(all, ", ")
}
