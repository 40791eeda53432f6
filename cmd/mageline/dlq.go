package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/internal/app"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/deadletter"
	"github.com/mageline/mageline/internal/operate"
)

func newDLQ(t terminal) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "dlq",
		Short:   "Look at dead letters, replay or drop them",
		Example: "  mageline dlq list\n  mageline dlq list mageline.order_placed.dlq",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return missingCommand(cmd, "list, show, replay or discard")
		},
	}
	cmd.AddCommand(newDLQList(t), newDLQShow(t), newDLQReplay(t), newDLQDiscard(t))
	return cmd
}

// openDeadLetters makes what works on dead letters.
func openDeadLetters() (*operate.DeadLetters, error) {
	cfg, err := loadConfig(config.Nothing)
	if err != nil {
		return nil, err
	}
	letters, err := app.DeadLetters(cfg)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	return letters, nil
}

// filterFlags are the flags that choose letters.
type filterFlags struct{ since, until, id, key, class, match string }

func (f *filterFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.since, "since", "", "only letters that failed since then: RFC 3339, or a duration back from now")
	flags.StringVar(&f.until, "until", "", "only letters that failed until then")
	flags.StringVar(&f.id, "id", "", "only the letter with this id")
	flags.StringVar(&f.key, "key", "", "only letters of this business key")
	flags.StringVar(&f.class, "error-class", "", "only letters of this error class: malformed, invalid, rejected, unavailable, …")
	flags.StringVar(&f.match, "match", "", "only letters with this text in the error")
}

// errorClasses are those that a letter can have.
var errorClasses = []event.Class{
	event.Malformed, event.Invalid, event.NotFound, event.Rejected, event.Unauthorized, event.Throttled, event.Unavailable,
	event.Timeout, event.Internal, deadletter.Unknown,
}

func (f *filterFlags) filter(now time.Time) (deadletter.Filter, error) {
	if f.class != "" && !slices.Contains(errorClasses, event.Class(f.class)) {
		// Else a slip of the pen would look like "nothing matches".
		return deadletter.Filter{}, &exitError{exitUsage, fmt.Errorf("--error-class %q: want one of %v", f.class, errorClasses)}
	}
	since, err := instant("since", f.since, now)
	if err != nil {
		return deadletter.Filter{}, err
	}
	until, err := instant("until", f.until, now)
	return deadletter.Filter{Since: since, Until: until, ID: f.id, Key: f.key, Class: f.class, Match: f.match}, err
}

// instant reads a time given as RFC 3339, or as a duration back from now.
func instant(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if back, err := time.ParseDuration(text); err == nil && back >= 0 {
		return now.Add(-back), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, &exitError{exitUsage, fmt.Errorf("--%s %q: want a time as 2026-11-23T09:00:00Z, or a duration back from now as 90m", flag, text)}
	}
	return at, nil
}

func newDLQList(t terminal) *cobra.Command {
	var filters filterFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list [QUEUE]",
		Short: "List the dead-letter queues, or the letters of one",
		Long: `Without a queue: each dead-letter queue, and under it a line for each cause, which is the class and the error without its numbers,
ids and quoted values: how many letters of how many orders, when the first and the last failed, whether it still happens (the last
is younger than 5 minutes), and what usually helps. With a queue: a line for each message.

Listing changes nothing: the letters, their order and their content stay, however often it is done.`,
		Example: `  mageline dlq list
  mageline dlq list mageline.order_placed.dlq --since 2h --error-class rejected`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			filter, err := filters.filter(time.Now())
			if err != nil {
				return err
			}
			if len(args) == 0 && filters != (filterFlags{}) {
				return &exitError{exitUsage, errors.New("the filters choose among the letters of a queue: say which, as in `mageline dlq list QUEUE --since 2h`")}
			}
			letters, err := openDeadLetters()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return listQueues(cmd.Context(), t, letters, asJSON)
			}
			lines, err := letters.List(cmd.Context(), args[0], filter)
			if err != nil {
				return failed(err)
			}
			return printLetters(t, lines, asJSON)
		},
	}
	filters.register(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	return cmd
}

func listQueues(ctx context.Context, t terminal, letters *operate.DeadLetters, asJSON bool) error {
	queues, err := letters.Queues(ctx)
	if err != nil {
		return failed(err)
	}
	for _, q := range queues {
		if asJSON {
			err = printJSON(t.out, q)
		} else {
			err = printQueue(t, q)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// printQueue prints a dead-letter queue, and under it a line for each cause.
func printQueue(t terminal, q operate.Queue) error {
	head := fmt.Sprintf("%s  %s", q.Queue, counted(q.Depth, "letter"))
	if q.Locked != "" {
		head += "  " + oneLine(q.Locked)
	}
	if _, err := fmt.Fprintln(t.out, head); err != nil {
		return failed(err)
	}
	rows := make([][]string, 0, len(q.Causes))
	for _, c := range q.Causes {
		keys := counted(c.Keys, q.Keys)
		if c.KeysAtLeast {
			keys = "at least " + keys
		}
		first, last, now := "", "", ""
		if !c.First.IsZero() {
			first, last = "first "+stamp(c.First), "last "+stamp(c.Last)
		}
		if c.StillHappening {
			now = "still happening"
		}
		rows = append(rows, []string{"", c.Class, counted(c.Letters, "letter"), keys, first, last, now, c.Error, "what helps: " + c.Help})
	}
	return printTable(t.out, rows)
}

// counted returns a number with its noun.
func counted(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return strconv.Itoa(n) + " " + noun
}

func printLetters(t terminal, lines []deadletter.ListedLetter, asJSON bool) error {
	rows := [][]string{{"ID", "KEY", "TOPIC", "CLASS", "ATTEMPTS", "FAILED AT", "ERROR"}}
	for _, l := range lines {
		if asJSON {
			if err := printJSON(t.out, l); err != nil {
				return err
			}
			continue
		}
		id := l.ID
		if l.Count > 1 {
			id += fmt.Sprintf(" (%d times)", l.Count)
		}
		text := l.Error
		if !l.Replayable {
			text += " (" + l.Help + ")"
		}
		rows = append(rows, []string{id, l.Key, l.Topic, l.Class, strconv.FormatInt(l.Attempts, 10), stamp(l.FailedAt), text})
	}
	if asJSON {
		return nil
	}
	return printTable(t.out, rows)
}

func newDLQShow(t terminal) *cobra.Command {
	var redact, asJSON bool
	cmd := &cobra.Command{
		Use:     "show QUEUE ID",
		Short:   "Print headers and body of a letter",
		Example: "  mageline dlq show mageline.order_placed.dlq 0123456789ab --redact",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			letters, err := openDeadLetters()
			if err != nil {
				return err
			}
			shown, err := letters.Show(cmd.Context(), args[0], args[1])
			if err != nil {
				return failed(err)
			}
			for _, l := range shown {
				if redact {
					l = l.Redacted()
				}
				if asJSON {
					err = printJSON(t.out, l)
				} else {
					err = printLetter(t, l)
				}
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&redact, "redact", false, "hide personal data")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	return cmd
}

func printLetter(t terminal, l deadletter.Shown) error {
	rows := [][]string{
		{"id", l.ID},
		{"key", l.Key},
		{"topic", l.Topic},
		{"queue", l.Queue},
		{"reason", l.Reason},
		{"class", l.Class},
		{"error", l.Error},
		{"attempts", strconv.FormatInt(l.Attempts, 10)},
		{"failed at", stamp(l.FailedAt)},
		{"what helps", l.Help},
	}
	for _, part := range []struct {
		name   string
		values map[string]any
	}{{"property ", l.Properties}, {"header ", l.Headers}} {
		names := make([]string, 0, len(part.values))
		for name := range part.values {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			rows = append(rows, []string{part.name + name, fmt.Sprint(part.values[name])})
		}
	}
	if err := printTable(t.out, rows); err != nil {
		return err
	}
	body := l.Body
	if l.BodyBase64 != "" {
		body = "(base64) " + l.BodyBase64
	}
	_, err := fmt.Fprintf(t.out, "\n%s\n\n", body)
	return failed(err)
}

// stamp prints a time; nothing where there is none.
func stamp(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}
