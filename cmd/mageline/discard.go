package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mageline/mageline/internal/deadletter"
)

// discardFlags are the flags of a discard.
type discardFlags struct {
	filters             filterFlags
	limit               int
	out                 string
	dryRun, yes, asJSON bool
	own                 *pflag.FlagSet
}

func newDLQDiscard(t terminal) *cobra.Command {
	f := &discardFlags{own: pflag.NewFlagSet("discard", pflag.ContinueOnError)}
	cmd := &cobra.Command{
		Use:   "discard QUEUE --out FILE",
		Short: "Drop dead letters, and keep them in a file",
		Long: `Each letter is on the disk before it leaves the queue: killed at any point, none is lost. The file has personal data, and a line
for each message; what it has already stays, so that the same call can be repeated. "mageline publish --letters FILE" sends the
letters back to the queues they were consumed from.`,
		Example: `  mageline dlq discard mageline.order_placed.dlq --out dropped.jsonl --error-class malformed --dry-run
  mageline dlq discard mageline.order_placed.dlq --out dropped.jsonl --id 0123456789ab`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return discard(cmd.Context(), t, args[0], f) },
	}
	f.filters.register(f.own)
	f.own.StringVar(&f.out, "out", "", "the file that the letters are added to")
	f.own.BoolVar(&f.dryRun, "dry-run", false, "change nothing, say what would happen")
	f.own.IntVar(&f.limit, "limit", 0, "drop at most so many; 0 is all")
	f.own.BoolVar(&f.yes, "yes", false, "ask no question, and drop more than 1,000 letters without a filter")
	f.own.BoolVar(&f.asJSON, "json", false, "print the result as one JSON object")
	cmd.Flags().AddFlagSet(f.own)
	return cmd
}

func discard(ctx context.Context, t terminal, queue string, f *discardFlags) (err error) {
	filter, err := f.filters.filter(time.Now())
	if err != nil {
		return err
	}
	switch {
	case queue == "":
		return &exitError{exitUsage, errors.New("which queue? `mageline dlq list` has their names")}
	case f.limit < 0:
		return &exitError{exitUsage, fmt.Errorf("--limit %d: want 0 (all) or more", f.limit)}
	case f.out == "" && !f.dryRun:
		return &exitError{exitUsage, errors.New("--out FILE is missing: what is dropped is kept there")}
	}
	letters, err := openDeadLetters()
	if err != nil {
		return err
	}
	if !f.dryRun {
		if err := sure(ctx, t, letters, question{"discard", "dropped", queue, f.filters, f.limit, f.yes}); err != nil {
			return err
		}
	}
	o := deadletter.DiscardOptions{Queue: queue, Filter: filter, Limit: f.limit, DryRun: f.dryRun}
	if !f.dryRun {
		if o.Out, err = deadletter.OpenDiscardFile(f.out); err != nil {
			return failed(fmt.Errorf("nothing was dropped: %w", err))
		}
		defer func() { err = errors.Join(err, failed(o.Out.Close())) }()
	}
	progress := newProgress(t)
	o.Progress = func(s deadletter.DiscardStep) {
		progress.clear()
		if s.Err != nil {
			fmt.Fprintf(t.err, "letter %s stays: %s\n", s.ID, oneLine(s.Err.Error()))
		}
		progress.show(fmt.Sprintf("%d of %d: %s", s.Summary.Discarded+s.Summary.Skipped+s.Summary.Failed, s.Set, s.Summary))
	}
	summary, err := letters.Discard(ctx, o)
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
	return runEnd(ctx, err, queue, "dropped", summary.Failed, func(stopped *deadletter.StoppedError) string {
		return goOn("discard", queue, f.own, f.limit, filter, stopped)
	})
}

// restore sends the letters of a file that a discard has written back to their queues.
func restore(ctx context.Context, t terminal, path, to string, asJSON bool) error {
	in := t.in
	if path != "-" {
		f, err := os.Open(path) //nolint:gosec // the person who calls names it
		if err != nil {
			return failed(err)
		}
		defer f.Close() //nolint:errcheck // read only
		in = f
	}
	letters, err := openDeadLetters()
	if err != nil {
		return err
	}
	summary, err := letters.Restore(ctx, in, deadletter.RestoreOptions{To: to, Failed: func(line int, err error) {
		fmt.Fprintf(t.err, "line %d was not sent: %s\n", line, oneLine(whyItStays(err)))
	}})
	if asJSON {
		err = errors.Join(err, printJSON(t.out, summary))
	} else {
		fmt.Fprintf(t.out, "published %d, skipped %d, failed %d\n", summary.Published, summary.Skipped, summary.Failed)
	}
	if err == nil && summary.Failed > 0 {
		err = fmt.Errorf("%d of the letters in %s were not sent", summary.Failed, path)
	}
	return failed(err)
}
