package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/mageline/mageline/config"
	"github.com/mageline/mageline/deadletter"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/rabbitmq"
)

func newDLQ(t terminal) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "dlq",
		Short:   "Look at dead letters, and replay them",
		Example: "  mageline dlq list\n  mageline dlq list mageline.order_placed.dlq",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Usage() },
	}
	cmd.AddCommand(newDLQList(t), newDLQShow(t), newDLQReplay(t))
	return cmd
}

// openDeadLetters makes a reader of dead letters.
func openDeadLetters() (*deadletter.Reader, *config.Config, error) {
	cfg, err := loadConfig(config.Nothing)
	if err != nil {
		return nil, nil, err
	}
	broker, err := brokerOptions(cfg)
	if err != nil {
		return nil, nil, &exitError{exitUsage, err}
	}
	topics := map[string]string{}
	topology := topologyOf(cfg)
	for _, s := range topology.Sources {
		topics[topology.Queue(s.Consumer)] = s.Topics[0]
	}
	return deadletter.New(deadletter.Options{
		Broker: broker, DatabaseURL: directURL(cfg), Prefix: cfg.QueuePrefix, Topics: topics, Host: hostname(),
		Log: zerolog.Nop(), // the command itself tells what happens
	}), cfg, nil
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
		Long:  "Listing changes nothing: the letters, their order and their content stay, however often it is done.",
		Example: `  mageline dlq list
  mageline dlq list mageline.order_placed.dlq --since 2h --error-class rejected`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			filter, err := filters.filter(time.Now())
			if err != nil {
				return err
			}
			reader, cfg, err := openDeadLetters()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return listQueues(cmd.Context(), t, reader, cfg.QueuePrefix, asJSON)
			}
			lines, err := reader.List(cmd.Context(), args[0], filter)
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

func listQueues(ctx context.Context, t terminal, reader *deadletter.Reader, prefix string, asJSON bool) error {
	topology := rabbitmq.Topology{Prefix: prefix}
	var queues []string
	for _, name := range config.ConsumerNames() {
		queues = append(queues, topology.DeadLetterQueue(name))
	}
	all, err := reader.Overviews(ctx, queues)
	if err != nil {
		return failed(err)
	}
	rows := [][]string{{"QUEUE", "LETTERS", "OLDEST FAILED AT", "BY CLASS"}}
	for _, o := range all {
		if asJSON {
			if err := printJSON(t.out, o); err != nil {
				return err
			}
			continue
		}
		classes := make([]string, 0, len(o.Classes))
		for class, n := range o.Classes {
			classes = append(classes, fmt.Sprintf("%s %d", class, n))
		}
		slices.Sort(classes)
		by := strings.Join(classes, ", ")
		if o.Locked != nil {
			by = o.Locked.Error()
		}
		rows = append(rows, []string{o.Queue, strconv.Itoa(o.Depth), stamp(o.Oldest), by})
	}
	if asJSON {
		return nil
	}
	return printTable(t.out, rows)
}

func printLetters(t terminal, lines []deadletter.Line, asJSON bool) error {
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
		// One line is one letter.
		text := strings.Join(strings.Fields(l.Error), " ")
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
			reader, _, err := openDeadLetters()
			if err != nil {
				return err
			}
			letters, err := reader.Show(cmd.Context(), args[0], args[1])
			if err != nil {
				return failed(err)
			}
			for _, l := range letters {
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
		{"error", strings.Join(strings.Fields(l.Error), " ")},
		{"attempts", strconv.FormatInt(l.Attempts, 10)},
		{"failed at", stamp(l.FailedAt)},
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

// replayFlags are the flags of a replay.
type replayFlags struct {
	filters             filterFlags
	limit               int
	rate                float64
	to                  string
	dryRun, yes, asJSON bool
	own                 *pflag.FlagSet
}

func (f *replayFlags) register(cmd *cobra.Command) {
	f.own = pflag.NewFlagSet("replay", pflag.ContinueOnError)
	f.filters.register(f.own)
	f.own.BoolVar(&f.dryRun, "dry-run", false, "change nothing, say what would happen")
	f.own.IntVar(&f.limit, "limit", 0, "replay at most so many; 0 is all")
	f.own.Float64Var(&f.rate, "rate", 0, "replay at most so many a second; 0 is as fast as it goes")
	f.own.StringVar(&f.to, "to", "", "replay to this queue, whatever the letters say")
	f.own.BoolVar(&f.yes, "yes", false, "ask no question on a terminal")
	f.own.BoolVar(&f.asJSON, "json", false, "print the result as one JSON object")
	cmd.Flags().AddFlagSet(f.own)
}

// changed names a flag of the replay that was set, "" if none was.
func (f *replayFlags) changed(cmd *cobra.Command) (name string) {
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		if f.own.Lookup(flag.Name) != nil {
			name = flag.Name
		}
	})
	return name
}

func newDLQReplay(t terminal) *cobra.Command {
	flags := &replayFlags{}
	cmd := &cobra.Command{
		Use:   "replay QUEUE",
		Short: "Send dead letters back to the queue they were consumed from",
		Long: `Each letter leaves the dead-letter queue when its publish is confirmed: killed at any point, none is lost. The consumers may run
meanwhile. Exit code 3 when some could not be replayed.`,
		Example: `  mageline dlq replay mageline.order_placed.dlq --dry-run --error-class unavailable
  mageline dlq replay mageline.order_placed.dlq --since 2h --rate 10`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return replay(cmd.Context(), t, args[0], flags) },
	}
	flags.register(cmd)
	return cmd
}

func replay(ctx context.Context, t terminal, queue string, f *replayFlags) error {
	filter, err := f.filters.filter(time.Now())
	if err != nil {
		return err
	}
	if f.limit < 0 || f.rate < 0 {
		return &exitError{exitUsage, errors.New("--limit and --rate can't be below 0")}
	}
	reader, _, err := openDeadLetters()
	if err != nil {
		return err
	}
	if !f.yes && !f.dryRun && onTerminal(t) && !confirmed(t, "Replay letters of "+queue+"?") {
		return &exitError{exitFailed, errors.New("nothing was replayed")}
	}
	progress := newProgress(t)
	summary, err := reader.Replay(ctx, deadletter.ReplayOptions{
		Queue: queue, Filter: filter, Limit: f.limit, Rate: f.rate, To: f.to, DryRun: f.dryRun,
		Progress: func(s deadletter.Step) {
			progress.clear()
			if s.Err != nil {
				fmt.Fprintf(t.err, "letter %s stays: %v\n", s.ID, s.Err)
			}
			progress.show(fmt.Sprintf("%d of %d: %s", s.Summary.Replayed+s.Summary.Skipped+s.Summary.Failed, s.Set, s.Summary))
		},
	})
	progress.clear()
	var missing *deadletter.NoQueueError
	var locked *deadletter.LockedError
	if errors.As(err, &missing) || errors.As(err, &locked) {
		return failed(err)
	}
	if f.asJSON {
		err = errors.Join(err, printJSON(t.out, summary))
	} else {
		fmt.Fprintln(t.out, summary)
	}
	var stopped *deadletter.StoppedError
	switch {
	case errors.As(err, &stopped):
		return &exitError{exitPartial, fmt.Errorf("%w. Go on with: %s", err, f.goOn(queue, filter, stopped))}
	case err != nil && ctx.Err() != nil:
		return &exitError{exitPartial, fmt.Errorf("stopped by a signal: what was not replayed is in %s as before; the same call goes on", queue)}
	case err != nil:
		return failed(err)
	case summary.Failed > 0:
		return &exitError{exitPartial, nil}
	}
	return nil
}

// goOn is the call that goes on where a replay had to stop.
func (f *replayFlags) goOn(queue string, filter deadletter.Filter, s *deadletter.StoppedError) string {
	call := []string{"mageline", "dlq", "replay", queue, "--until", stamp(s.Until)}
	if !filter.Since.IsZero() {
		call = append(call, "--since", stamp(filter.Since)) // a duration would move with the clock
	}
	if s.Limit > 0 {
		call = append(call, "--limit", strconv.Itoa(s.Limit))
	}
	f.own.VisitAll(func(flag *pflag.Flag) {
		if flag.Value.String() != flag.DefValue && flag.Name != "until" && flag.Name != "since" && flag.Name != "limit" {
			call = append(call, fmt.Sprintf("--%s=%s", flag.Name, strconv.Quote(flag.Value.String())))
		}
	})
	return strings.Join(call, " ")
}

// onTerminal reports whether a person is there to be asked.
func onTerminal(t terminal) bool {
	in, ok := t.in.(*os.File)
	return ok && term.IsTerminal(int(in.Fd())) && isTerminal(t)
}

func isTerminal(t terminal) bool {
	f, ok := t.err.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func confirmed(t terminal, question string) bool {
	fmt.Fprintf(t.err, "%s [y/N] ", question)
	line, _ := bufio.NewReader(t.in).ReadString('\n') // no answer is a no
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes"
}

// progress is one line on a terminal that is written over.
type progress struct {
	t  terminal
	on bool
}

func newProgress(t terminal) *progress { return &progress{t, isTerminal(t)} }

func (p *progress) show(line string) {
	if p.on {
		fmt.Fprintf(p.t.err, "\r\033[K%s", line)
	}
}

func (p *progress) clear() { p.show("") }
