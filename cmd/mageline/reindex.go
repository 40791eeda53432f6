package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mageline/mageline/internal/app"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/operate"
	"github.com/mageline/mageline/internal/reindex"
	"github.com/mageline/mageline/search"
)

// reindexFlags are those of the command.
type reindexFlags struct {
	skus, stores  []string
	swap, dryRun  bool
	resume, json  bool
	minRatio      float64
	waitTimeout   time.Duration
	minRatioGiven bool
}

func newReindex(t terminal) *cobra.Command {
	f := &reindexFlags{}
	cmd := &cobra.Command{
		Use:   "reindex",
		Short: "Write every product of Magento to the search indexes once more",
		Long: `Publishes every SKU that Magento has, 300 in a message, waits until the running mageline has handled them, and has the documents
of products deleted that Magento no longer has. With SKIP_UNCHANGED only what differs is written to the engine. Live changes are handled
meanwhile: only so many messages are on their way at once.

Ended in whatever way before its end, it begins again; with --resume it goes on where it was. One reindex runs at a time.

--swap fills a new index with the present fields, while live changes go to both. When everything is handled and the new index has
enough documents (--min-ratio), it takes the place of the old one in one step; else both stay, and it ends with 3. The old index is
kept for a day. An index whose fields can't be changed as they are needed says "needs --swap".

It ends with 3 too if some products were not handled: they are dead letters, or still wait for a retry. Their documents stay.`,
		Example: `  mageline reindex
  mageline reindex --skus 24-MB01,24-MB02
  mageline reindex --swap --store de
  mageline reindex --resume`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.minRatioGiven = cmd.Flags().Changed("min-ratio")
			return f.run(cmd.Context(), t)
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&f.skus, "skus", nil, "these products alone; it does not wait until they are handled")
	flags.StringSliceVar(&f.stores, "store", nil, "the index of this store view alone (several: separated by commas)")
	flags.BoolVar(&f.swap, "swap", false, "fill a new index, which then takes the place of the present one")
	flags.Float64Var(&f.minRatio, "min-ratio", 0.9, "of the present index's documents the new one must have so many, from 0 to 1")
	flags.BoolVar(&f.resume, "resume", false, "go on with the reindex that was interrupted; without one, begin")
	flags.BoolVar(&f.dryRun, "dry-run", false, "change nothing: print what would be done")
	flags.DurationVar(&f.waitTimeout, "wait-timeout", 15*time.Minute, "give up when nothing was handled for so long")
	flags.BoolVar(&f.json, "json", false, "print one JSON object")
	return cmd
}

// wrong says what does not fit together.
func (f *reindexFlags) wrong() error {
	switch {
	case len(f.skus) > 0 && (f.swap || f.resume):
		return errors.New("--skus is about single products: without --swap and --resume")
	case f.minRatio < 0 || f.minRatio > 1:
		return fmt.Errorf("--min-ratio %g: want 0 to 1", f.minRatio)
	case f.minRatioGiven && !f.swap && !f.resume:
		return errors.New("--min-ratio goes with --swap")
	case f.waitTimeout <= 0:
		return errors.New("--wait-timeout must be above 0")
	}
	for _, sku := range f.skus {
		if strings.TrimSpace(sku) == "" {
			return errors.New("--skus has an empty SKU")
		}
	}
	return nil
}

func (f *reindexFlags) run(ctx context.Context, t terminal) error {
	if err := f.wrong(); err != nil {
		return &exitError{exitUsage, err}
	}
	cfg, err := loadConfig(config.Nothing)
	if err != nil {
		return err
	}
	progress := newProgress(t)
	r, err := app.OpenReindex(ctx, cfg, version, f.waitTimeout, func(p reindex.Progress) { progress.show(progressLine(p)) })
	var missing *app.NotConfiguredError
	if errors.As(err, &missing) {
		return &exitError{exitUsage, err}
	}
	if err != nil {
		return failed(err)
	}
	defer r.Close()
	for _, store := range f.stores {
		if !r.Has(store) {
			return &exitError{exitUsage, fmt.Errorf("--store %s: MAGELINE_SEARCH_STORES has no such store view", store)}
		}
	}
	switch {
	case f.dryRun:
		return f.look(ctx, t, r)
	case len(f.skus) > 0:
		return f.send(ctx, t, r)
	}
	result, err := r.Run(ctx, reindex.Options{Stores: f.stores, Swap: f.swap, MinRatio: f.minRatio, Resume: f.resume})
	progress.clear()
	if result != nil && (err == nil || result.Handled > 0) {
		if printed := f.print(t, result); err == nil {
			err = printed
		}
	}
	return reindexEnd(r, result, err)
}

// reindexEnd returns how the command ends.
func reindexEnd(r *app.Reindex, result *reindex.Result, err error) error {
	var (
		stalled  *reindex.StalledError
		mismatch *reindex.MismatchError
		busy     *reindex.BusyError
		needs    *search.NeedsSwapError
	)
	switch {
	case errors.As(err, &stalled):
		return &exitError{exitPartial, fmt.Errorf("%w: see that mageline runs and what /readyz says, then `mageline reindex --resume` goes on", err)}
	case errors.As(err, &mismatch):
		return &exitError{exitUsage, fmt.Errorf("%w: repeat its flags, or begin anew without --resume", err)}
	case errors.As(err, &busy):
		return failed(fmt.Errorf("%w: one runs at a time", err))
	case errors.As(err, &needs):
		return failed(fmt.Errorf("needs --swap: %w", err))
	case errors.Is(err, search.ErrNoTarget):
		return failed(fmt.Errorf("%w: begin again, without --resume", err))
	case err != nil && result != nil:
		return failed(fmt.Errorf("%w; `mageline reindex --resume` goes on where it was", operate.Explain(err)))
	case err != nil:
		return failed(operate.Explain(err))
	}
	var short []error
	for _, i := range result.Indexes {
		if i.Withheld != "" {
			short = append(short, fmt.Errorf("index %s was not swapped: %s; both stay, and live changes go to both: look for what is missing, "+
				"then `mageline reindex --swap`, or `mageline reindex --resume --min-ratio R` takes it as it is", i.Index, i.Withheld))
		}
	}
	if result.Failed > 0 {
		short = append(short, fmt.Errorf("%d products were not handled: they are dead letters (`mageline dlq list %s.dlq`), or wait for a retry; their documents stay as they were",
			result.Failed, r.QueueName()))
	}
	if len(short) > 0 {
		return &exitError{exitPartial, errors.Join(short...)}
	}
	return nil
}

func progressLine(p reindex.Progress) string {
	var line string
	switch {
	case p.Phase == reindex.Deleting:
		line = fmt.Sprintf("%d documents of deleted products", p.Handled)
	case p.Total > 0:
		line = fmt.Sprintf("%d of %d products", p.Handled, p.Total)
	default:
		line = fmt.Sprintf("%d products", p.Handled)
	}
	if p.Failed > 0 {
		line += fmt.Sprintf(", %d not handled", p.Failed)
	}
	if p.Left > 0 {
		line += ", about " + p.Left.Round(time.Second).String() + " left"
	}
	if p.Waiting != "" {
		line += "; " + p.Waiting
	}
	return line
}

// resultJSON adds the seconds.
type resultJSON struct {
	*reindex.Result
	Seconds float64 `json:"seconds"`
}

func (f *reindexFlags) print(t terminal, result *reindex.Result) error {
	if f.json {
		return printJSON(t.out, resultJSON{result, result.Took.Seconds()})
	}
	rows := [][]string{{"handled", strconv.FormatInt(result.Handled, 10)}}
	if result.Failed > 0 {
		rows = append(rows, []string{"not handled", strconv.FormatInt(result.Failed, 10)})
	}
	rows = append(rows, []string{"deleted", strconv.FormatInt(result.Deleted, 10)})
	for _, i := range result.Indexes {
		text := fmt.Sprintf("%d documents", i.Documents)
		switch {
		case i.Swapped:
			text += fmt.Sprintf(" in the new index, which is searched now; the old one had %d and is kept for a day", i.Before)
		case i.Withheld != "":
			text += fmt.Sprintf(" in the new index, %d in the old one, which is still searched", i.Before)
		}
		rows = append(rows, []string{"index " + i.Index, text})
	}
	return printTable(t.out, append(rows, []string{"took", result.Took.Round(time.Millisecond).String()}))
}

// send publishes single products.
func (f *reindexFlags) send(ctx context.Context, t terminal, r *app.Reindex) error {
	n, err := r.SendSKUs(ctx, f.skus, f.stores)
	if err != nil {
		return failed(err)
	}
	if f.json {
		return printJSON(t.out, map[string]int{"published": n})
	}
	_, err = fmt.Fprintf(t.out, "published %d\n", n)
	return err
}

// look prints what would be done.
func (f *reindexFlags) look(ctx context.Context, t terminal, r *app.Reindex) error {
	plan, err := r.Plan(ctx, reindex.Options{Stores: f.stores, Swap: f.swap, Resume: f.resume}, f.skus)
	if err != nil {
		return failed(operate.Explain(err))
	}
	needs := false
	for _, i := range plan.Indexes {
		needs = needs || len(i.Changed) > 0 && !plan.Swap
	}
	if f.json {
		err = printJSON(t.out, plan)
	} else {
		err = printTable(t.out, planRows(plan))
	}
	if err == nil && needs {
		err = failed(errors.New("needs --swap: an index has fields in a form that can't be changed"))
	}
	return err
}

func planRows(plan *reindex.Plan) [][]string {
	rows := [][]string{{"would publish", fmt.Sprintf("%d products in %d messages", plan.Products, plan.Messages)}}
	if plan.Resumed {
		rows = append(rows, []string{"resumes", fmt.Sprintf("a reindex of %s, which has handled %d of %d", plan.Since.UTC().Format(time.RFC3339), plan.Handled, plan.Total)})
	}
	if plan.Holder != "" {
		rows = append(rows, []string{"refused", plan.Holder + " runs a reindex now"})
	}
	for _, i := range plan.Indexes {
		var parts []string
		switch {
		case i.Missing:
			parts = append(parts, "is made")
		default:
			parts = append(parts, fmt.Sprintf("%d documents now", i.Documents))
		}
		if len(i.Lacks) > 0 && !plan.Swap {
			parts = append(parts, "gets the fields "+strings.Join(i.Lacks, ", "))
		}
		if len(i.Changed) > 0 {
			parts = append(parts, "needs --swap for "+strings.Join(i.Changed, ", "))
		}
		switch {
		case plan.Swap:
			parts = append(parts, "a new index is filled and takes its place")
		case len(plan.SKUs) == 0:
			parts = append(parts, "documents of products that Magento no longer has are deleted")
		}
		rows = append(rows, []string{"index " + i.Index, strings.Join(parts, "; ")})
	}
	return rows
}
