package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mageline/mageline/internal/app"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/operate"
	"github.com/mageline/mageline/internal/reconcile"
)

// reconcileFlags are those of the command.
type reconcileFlags struct {
	from, to                     string
	publish, askERP, yes, asJSON bool
}

// publishUnasked is how many events are sent without a question.
const publishUnasked = 100

func newReconcile(t terminal) *cobra.Command {
	f := &reconcileFlags{}
	cmd := &cobra.Command{
		Use:   "reconcile --from T [--to T]",
		Short: "Compare Magento's orders with the ledger, and send events of those that are missing",
		Long: `Reads the orders that Magento has created from one time up to another, and says how each stands: done, waiting, skipped, open (and
why), or missing, which means that no event for it was ever handled. Counts come first, then the orders that are not done. It never
reaches behind ORDER_EXPORT_FROM and IDEMPOTENCY_RETENTION.

--publish sends an event for each missing order to the queue of order_placed, unless that is paused or not empty; the ERP is asked
before such an order is created. One that was sent in the last 24 hours is not sent again. --ask-erp looks each order up in the ERP
by its reference, and names those of which it has none or several. It ends with 3 when orders are missing and were not sent, or the
ERP and the ledger differ.`,
		Example: `  mageline reconcile --from 48h
  mageline reconcile --from 2026-11-23T00:00:00Z --to 2026-11-24T00:00:00Z --ask-erp
  mageline reconcile --from 24h --publish`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runReconcile(cmd.Context(), t, f) },
	}
	cmd.Flags().StringVar(&f.from, "from", "", "orders created since then: RFC 3339, or a duration back from now")
	cmd.Flags().StringVar(&f.to, "to", "", "and before then; without it those of the last 10 minutes are left out: their events may be on their way")
	cmd.Flags().BoolVar(&f.publish, "publish", false, "send an event for each order that is missing")
	cmd.Flags().BoolVar(&f.askERP, "ask-erp", false, "look each order up in the ERP too")
	cmd.Flags().BoolVar(&f.yes, "yes", false, "ask no question before more than 100 events are sent")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print one JSON object")
	return cmd
}

// reconciled is the result of the command.
type reconciled struct {
	From      time.Time                  `json:"from"`
	To        time.Time                  `json:"to"`
	Orders    int                        `json:"orders"`
	Counts    map[reconcile.Standing]int `json:"counts"`
	Differ    int                        `json:"differ"`
	Published int                        `json:"published"`
	Rows      []reconcile.Row            `json:"rows"` // those that are not done, or differ
}

func runReconcile(ctx context.Context, t terminal, f *reconcileFlags) error {
	now := time.Now()
	from, err := instant("from", f.from, now)
	if err != nil {
		return err
	}
	to, err := instant("to", f.to, now)
	if err != nil {
		return err
	}
	if to.IsZero() {
		to = now.Add(-reconcile.Lag)
	}
	switch {
	case from.IsZero():
		return &exitError{exitUsage, errors.New("--from is missing: since when? As 48h, or 2026-11-23T00:00:00Z")}
	case !from.Before(to):
		return &exitError{exitUsage, fmt.Errorf("--from %s is not before --to %s", stamp(from), stamp(to))}
	}
	cfg, err := loadConfig(config.Nothing)
	if err != nil {
		return err
	}
	r, err := app.OpenReconciliation(ctx, cfg, version)
	if err != nil {
		return failed(err)
	}
	defer r.Close()
	if f.askERP && r.Find == nil {
		return &exitError{exitUsage, errors.New("--ask-erp: there is no ERP to ask: set MAGELINE_ERP and what it needs")}
	}
	if floor := reconcile.Floor(cfg.OrderExportFrom.Time, time.Time{}, cfg.IdempotencyRetention, now); floor.After(from) {
		fmt.Fprintf(t.err, "from %s: of orders before, the ledger knows nothing, or they are not to go out\n", stamp(floor))
		from = floor
	}
	result, err := compare(ctx, t, r, from, to, f.askERP)
	if err != nil {
		return failed(operate.Explain(err))
	}
	var withheld error
	if f.publish {
		withheld = publishMissing(ctx, t, r, result, f.yes)
	}
	if f.asJSON {
		err = printJSON(t.out, result)
	} else {
		err = printReconciled(t, result, f.askERP)
	}
	if err != nil {
		return err
	}
	return reconcileEnd(result, f.publish, withheld)
}

// compare reads everything. Only the orders that are not done are kept.
func compare(ctx context.Context, t terminal, r *app.Reconciliation, from, to time.Time, askERP bool) (*reconciled, error) {
	result := &reconciled{From: from.UTC(), To: to.UTC(), Counts: map[reconcile.Standing]int{}, Rows: []reconcile.Row{}}
	progress := newProgress(t)
	defer progress.clear()
	err := r.Compare(ctx, from, to, func(ctx context.Context, page []reconcile.Row) error {
		if askERP {
			if err := reconcile.Ask(ctx, page, r.Prefix, r.Find); err != nil {
				return err
			}
		}
		reconcile.Count(result.Counts, page)
		for _, row := range page {
			if row.Differs != "" {
				result.Differ++
			}
			if row.Standing != reconcile.Done || row.Differs != "" {
				result.Rows = append(result.Rows, row)
			}
		}
		result.Orders += len(page)
		progress.show(fmt.Sprintf("%d orders, %d of them missing", result.Orders, result.Counts[reconcile.Missing]))
		return nil
	})
	return result, err
}

// publishMissing sends the events. Its error says why some were not sent.
func publishMissing(ctx context.Context, t terminal, r *app.Reconciliation, result *reconciled, yes bool) error {
	n := result.Counts[reconcile.Missing]
	if n == 0 {
		return nil
	}
	reason, err := r.Quiet(ctx)
	switch {
	case err != nil:
		return err
	case reason != "":
		return errors.New(reason)
	}
	if onTerminal(t) {
		fmt.Fprintf(t.err, "%d orders are missing\n", n)
		if n > publishUnasked && !yes && !confirmed(t, fmt.Sprintf("Send %d events?", n)) {
			return errors.New("you said no")
		}
	}
	published, err := reconcile.Publish(ctx, result.Rows, n, r.Store, r.Send)
	result.Published = len(published)
	if err == nil && len(published) < n {
		err = fmt.Errorf("%d of them were sent in the last 24 hours", n-len(published))
	}
	return err
}

func printReconciled(t terminal, result *reconciled, askedERP bool) error {
	var counts []string
	for _, standing := range reconcile.Standings {
		counts = append(counts, fmt.Sprintf("%s %d", standing, result.Counts[standing]))
	}
	fmt.Fprintf(t.out, "%d orders from %s to %s: %s\n", result.Orders, stamp(result.From), stamp(result.To), strings.Join(counts, ", "))
	if askedERP {
		fmt.Fprintf(t.out, "the ERP and the ledger differ in %d\n", result.Differ)
	}
	if len(result.Rows) > 0 {
		rows := [][]string{{"KEY", "ENTITY ID", "CREATED", "STATE", "STANDING", "WHY"}}
		for _, row := range result.Rows {
			why := row.Why
			if row.Differs != "" {
				why = strings.TrimPrefix(why+"; "+row.Differs, "; ")
				if len(row.Documents) > 0 {
					why += ": " + strings.Join(row.Documents, ", ")
				}
			}
			rows = append(rows, []string{row.Key, fmt.Sprint(row.EntityID), stamp(row.Created), row.State, string(row.Standing), why})
		}
		if err := printTable(t.out, rows); err != nil {
			return err
		}
	}
	if result.Published > 0 {
		fmt.Fprintf(t.out, "published %d\n", result.Published)
	}
	return nil
}

func reconcileEnd(result *reconciled, publish bool, withheld error) error {
	missing := result.Counts[reconcile.Missing] - result.Published
	switch {
	case withheld != nil:
		return &exitError{exitPartial, fmt.Errorf("%d missing orders were not sent: %w", missing, withheld)}
	case missing > 0 && !publish:
		return &exitError{exitPartial, fmt.Errorf("%d orders are missing: --publish sends them", missing)}
	case result.Differ > 0:
		return &exitError{exitPartial, fmt.Errorf("the ERP and the ledger differ in %d orders", result.Differ)}
	}
	return nil
}
