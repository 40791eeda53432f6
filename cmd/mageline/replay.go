package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/mageline/mageline/internal/deadletter"
	"github.com/mageline/mageline/internal/operate"
)

// replayFlags are the flags of a replay.
type replayFlags struct {
	filters             filterFlags
	limit               int
	rate                float64
	to                  string
	canary              bool
	canaryTimeout       time.Duration
	wait                bool
	waitTimeout         time.Duration
	dryRun, yes, asJSON bool
	own                 *pflag.FlagSet
}

func (f *replayFlags) register(cmd *cobra.Command) {
	f.own = pflag.NewFlagSet("replay", pflag.ContinueOnError)
	f.filters.register(f.own)
	f.own.BoolVar(&f.dryRun, "dry-run", false, "change nothing, say what would happen")
	f.own.IntVar(&f.limit, "limit", 0, "replay at most so many; 0 is all")
	f.own.Float64Var(&f.rate, "rate", 0, "replay at most so many a second; 0 is as fast as it goes")
	f.own.BoolVar(&f.canary, "canary", false, "replay the rest only when the ledger shows the first one done or skipped")
	f.own.DurationVar(&f.canaryTimeout, "canary-timeout", 2*time.Minute, "how long the first one has with --canary")
	f.own.BoolVar(&f.wait, "wait", false, "follow the letters until each is done, dead again or waiting")
	f.own.DurationVar(&f.waitTimeout, "wait-timeout", 10*time.Minute, "how long they have with --wait")
	f.own.StringVar(&f.to, "to", "", "replay to this queue, whatever the letters say")
	f.own.BoolVar(&f.yes, "yes", false, "ask no question, and replay more than 1,000 letters without a filter")
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
meanwhile. Exit code 3 when some could not be replayed.

With --wait it looks what becomes of them: done, dead again, or waiting, which has those whose order may not go out yet and those
that were not seen to end. Exit code 3 unless all are done.

A call without any filter (--since, --until, --id, --key, --error-class, --match) that would replay more than 1,000 letters
needs --yes, or somebody at a terminal who says so.`,
		Example: `  mageline dlq replay mageline.order_placed.dlq --dry-run --error-class unavailable
  mageline dlq replay mageline.order_placed.dlq --since 2h --rate 10
  mageline dlq replay mageline.order_placed.dlq --canary --rate 20 --wait`,
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
	switch {
	case queue == "":
		return &exitError{exitUsage, errors.New("which queue? `mageline dlq list` has their names")}
	case f.limit < 0:
		return &exitError{exitUsage, fmt.Errorf("--limit %d: want 0 (all) or more", f.limit)}
	case !(f.rate >= 0): // nor is it no number
		return &exitError{exitUsage, fmt.Errorf("--rate %g: want 0 (as fast as it goes) or more", f.rate)}
	case f.canaryTimeout <= 0:
		return &exitError{exitUsage, fmt.Errorf("--canary-timeout %s: want more than 0", f.canaryTimeout)}
	case !f.canary && f.own.Changed("canary-timeout"):
		return &exitError{exitUsage, errors.New("--canary-timeout goes with --canary, which is missing")}
	case f.waitTimeout <= 0:
		return &exitError{exitUsage, fmt.Errorf("--wait-timeout %s: want more than 0", f.waitTimeout)}
	case !f.wait && f.own.Changed("wait-timeout"):
		return &exitError{exitUsage, errors.New("--wait-timeout goes with --wait, which is missing")}
	case f.to == queue:
		return &exitError{exitUsage, fmt.Errorf("--to %s: letters can't go to the queue that they are taken from", f.to)}
	}
	letters, err := openDeadLetters()
	if err != nil {
		return err
	}
	progress := newProgress(t)
	r := f.request(t, progress, queue, filter)
	if err := letters.CheckReplay(r); err != nil {
		return noCanary(err)
	}
	if !f.dryRun {
		if err := sure(ctx, t, letters, question{"replay", "replayed", queue, f.filters, f.limit, f.yes}); err != nil {
			return err
		}
	}
	summary, err := letters.Replay(ctx, r)
	progress.clear()
	var missing *deadletter.NoQueueError
	var locked *deadletter.LockedError
	if errors.As(err, &missing) && summary.Followed == nil || errors.As(err, &locked) && summary.Followed == nil {
		return failed(err)
	}
	switch {
	case f.asJSON:
		err = errors.Join(err, printJSON(t.out, summary))
	case summary.Followed != nil:
		fmt.Fprintln(t.out, summary.Followed)
		fallthrough
	default:
		fmt.Fprintln(t.out, summary)
	}
	if n := summary.Followed; n != nil && n.Open > 0 {
		fmt.Fprintf(t.err, "%d of those that are waiting were not seen to end: they are in the queue, in a handler, or wait for their next attempt\n", n.Open)
	}
	return runEnd(ctx, err, queue, "replayed", summary.Failed+notDone(summary.Followed), func(stopped *deadletter.StoppedError) string {
		return goOn("replay", queue, f.own, f.limit, filter, stopped)
	})
}

// request is what the flags ask for. What happens meanwhile is printed.
func (f *replayFlags) request(t terminal, progress *progress, queue string, filter deadletter.Filter) operate.Replay {
	r := operate.Replay{ReplayOptions: deadletter.ReplayOptions{
		Queue: queue, Filter: filter, Limit: f.limit, Rate: f.rate, To: f.to, DryRun: f.dryRun,
		Progress: func(s deadletter.ReplayStep) {
			progress.clear()
			if s.Err != nil {
				fmt.Fprintf(t.err, "letter %s stays: %s\n", s.ID, oneLine(whyItStays(s.Err)))
			}
			progress.show(fmt.Sprintf("%d of %d: %s", s.Summary.Replayed+s.Summary.Skipped+s.Summary.Failed, s.Set, s.Summary))
		},
	}}
	if f.canary {
		first := t.out
		if f.asJSON { // its object has it too
			first = t.err
		}
		r.CanaryTimeout = f.canaryTimeout
		r.CanaryEnded = func(end deadletter.CanaryResult) {
			progress.clear()
			fmt.Fprintln(first, oneLine(end.String()))
		}
	}
	if f.wait {
		r.FollowTimeout = f.waitTimeout
		r.FollowedProgress = func(s deadletter.Followed) { progress.show(fmt.Sprintf("published; %s", s)) }
	}
	return r
}

// noCanary words what a canary can't look at.
func noCanary(err error) error {
	var no *operate.NoCanaryError
	if !errors.As(err, &no) {
		return &exitError{exitUsage, err}
	}
	what := no.Consumer + ": it works on entries, and the ledger has no row for a message"
	if no.Consumer == "" {
		what = "what goes to " + no.To + ": it is no queue of a consumer that the ledger has rows of"
	}
	return &exitError{exitUsage, fmt.Errorf("--canary can't look at %s; replay one with --limit 1 first, and look", what)}
}

// whyItStays is why a letter was not sent.
func whyItStays(err error) string {
	var noTarget *deadletter.NoTargetError
	if errors.As(err, &noTarget) {
		return err.Error() + "; say --to QUEUE"
	}
	return err.Error()
}

// notDone counts the letters that were followed and are not done.
func notDone(f *deadletter.Followed) int {
	if f == nil {
		return 0
	}
	return f.DeadAgain + f.Waiting
}

// runEnd is how a replay or a discard ends the program. next returns the call that goes on where it had to stop.
func runEnd(ctx context.Context, err error, queue, done string, failures int, next func(*deadletter.StoppedError) string) error {
	var stopped *deadletter.StoppedError
	var canary *deadletter.CanaryError
	var noCanary *deadletter.NoCanaryError
	var follow *deadletter.FollowError
	switch {
	case errors.As(err, &noCanary):
		return &exitError{exitUsage, fmt.Errorf("the first letter, %s, goes to %s, whose messages have no row in the ledger that --canary could look at: "+
			"replay one with --limit 1 and look", noCanary.ID, noCanary.To)}
	case errors.As(err, &canary):
		return &exitError{exitPartial, err}
	case errors.As(err, &stopped):
		if call := next(stopped); call != "" {
			err = fmt.Errorf("%w. Go on with: %s", err, call)
		}
		return &exitError{exitPartial, err}
	case errors.As(err, &follow):
		return &exitError{exitPartial, err}
	case err != nil && ctx.Err() != nil:
		return &exitError{exitPartial, fmt.Errorf("interrupted; what was not %s is still in %s, and the same call goes on", done, queue)}
	case err != nil:
		return failed(err)
	case failures > 0:
		return &exitError{exitPartial, nil}
	}
	return nil
}

// goOn is the call that goes on where a replay or a discard had to stop; "" when it had taken as many as it was to.
func goOn(command, queue string, flags *pflag.FlagSet, limit int, filter deadletter.Filter, s *deadletter.StoppedError) string {
	if limit > 0 && s.Limit == 0 {
		return ""
	}
	call := []string{"mageline", "dlq", command, quoted(queue), "--until", stamp(s.Until)}
	if !filter.Since.IsZero() {
		call = append(call, "--since", filter.Since.UTC().Format(time.RFC3339Nano)) // a duration would move with the clock
	}
	if s.Limit > 0 {
		call = append(call, "--limit", strconv.Itoa(s.Limit))
	}
	flags.VisitAll(func(flag *pflag.Flag) {
		if flag.Value.String() != flag.DefValue && flag.Name != "until" && flag.Name != "since" && flag.Name != "limit" {
			call = append(call, "--"+flag.Name+"="+quoted(flag.Value.String()))
		}
	})
	return strings.Join(call, " ")
}

// quoted makes a text one word of a shell.
func quoted(text string) string {
	if text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-:+/", r)
	}) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// question is what a person is asked before letters leave their queue.
type question struct {
	verb, done string
	queue      string
	filters    filterFlags
	limit      int
	yes        bool
}

// mostUnasked is how many letters leave a queue without a filter, and without somebody who was asked or --yes.
const mostUnasked = 1000

// sure returns an error unless the letters may leave their queue: a person at a terminal is asked, and a call that chooses none
// of many needs --yes.
func sure(ctx context.Context, t terminal, letters *operate.DeadLetters, q question) error {
	if q.yes {
		return nil
	}
	asked := onTerminal(t)
	if !asked && (q.filters != filterFlags{} || q.limit > 0 && q.limit <= mostUnasked) {
		return nil
	}
	n, err := letters.Depth(ctx, q.queue)
	if err != nil {
		return failed(err)
	}
	if q.limit > 0 {
		n = min(n, q.limit)
	}
	switch {
	case asked:
		most := fmt.Sprintf("%d letters", n)
		if (q.filters != filterFlags{}) {
			most = fmt.Sprintf("those of %d letters that match", n)
		}
		if !confirmed(t, fmt.Sprintf("%s%s %s of %s?", strings.ToUpper(q.verb[:1]), q.verb[1:], most, q.queue)) {
			return &exitError{exitFailed, errors.New("nothing was " + q.done)}
		}
	case n > mostUnasked:
		return &exitError{exitUsage, fmt.Errorf("this would %s %d letters of %s, and chooses none of them: say --yes if that is meant, "+
			"or choose with a filter, with --limit, or look first with --dry-run", q.verb, n, q.queue)}
	}
	return nil
}

// onTerminal reports whether a person is there to be asked.
func onTerminal(t terminal) bool {
	in, ok := t.in.(*os.File)
	return ok && term.IsTerminal(int(in.Fd())) && isTerminal(t)
}

func isTerminal(t terminal) bool {
	f, ok := t.err.(interface{ Fd() uintptr })
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
