package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"

	"github.com/mageline/mageline/config"
	"github.com/mageline/mageline/idempotency"
)

func newKey(t terminal) *cobra.Command {
	var effect string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "key",
		Short:   "Look at a row of the ledger, or release it",
		Example: "  mageline key show order_placed:000000123\n  mageline key release order_placed:000000123",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return missingCommand(cmd, "show or release") },
	}
	show := &cobra.Command{
		Use:     "show CONSUMER:KEY",
		Short:   "Print what the ledger knows of a business key",
		Example: "  mageline key show order_placed:000000123",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withKey(cmd.Context(), args[0], func(l *idempotency.Ledger, consumer, key string) error {
				rows, err := l.Rows(cmd.Context(), consumer, key)
				if err != nil {
					return err
				}
				shown := 0
				for _, row := range rows {
					if effect != "" && row.Key.Effect != effect {
						continue
					}
					shown++
					if err := printKey(t, row, asJSON); err != nil {
						return err
					}
				}
				if shown == 0 {
					return fmt.Errorf("the ledger has nothing of %s", args[0])
				}
				return nil
			})
		},
	}
	release := &cobra.Command{
		Use:   "release CONSUMER:KEY",
		Short: "Take a key from its owner: the next delivery looks in the downstream before it repeats anything",
		Long: `Leaves the row uncertain, with a new claim number: whoever owned it can't finish it any more. It is also the only call that lets
an order be sent once more that the ERP has accepted without ever giving it a number.`,
		Example: "  mageline key release order_placed:000000123 --effect create",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withKey(cmd.Context(), args[0], func(l *idempotency.Ledger, consumer, key string) error {
				n, err := l.Release(cmd.Context(), consumer, key, effect)
				if err != nil {
					return err
				}
				if n == 0 {
					return fmt.Errorf("the ledger has nothing of %s", args[0])
				}
				if asJSON {
					return printJSON(t.out, map[string]any{"released": n})
				}
				_, err = fmt.Fprintf(t.out, "released %d\n", n)
				return err
			})
		},
	}
	for _, c := range []*cobra.Command{show, release} {
		c.Flags().StringVar(&effect, "effect", "", "only this effect: create, comment, …")
		c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	}
	cmd.AddCommand(show, release)
	return cmd
}

// withKey opens the ledger for a CONSUMER:KEY.
func withKey(ctx context.Context, arg string, do func(l *idempotency.Ledger, consumer, key string) error) error {
	consumer, key, ok := strings.Cut(arg, ":")
	if !ok || consumer == "" || key == "" {
		return &exitError{exitUsage, fmt.Errorf("%q: want CONSUMER:KEY, as order_placed:000000123", arg)}
	}
	cfg, err := loadConfig(config.Nothing)
	if err != nil {
		return err
	}
	ledger, closeLedger, err := openLedger(ctx, cfg)
	if err != nil {
		return err
	}
	defer closeLedger()
	err = do(ledger, consumer, key)
	var answer *pgconn.PgError
	if errors.As(err, &answer) && answer.Code == "42P01" { // undefined_table
		err = fmt.Errorf("the database has no ledger yet, `mageline migrate` makes it: %w", err)
	}
	return failed(err)
}

func printKey(t terminal, row idempotency.Row, asJSON bool) error {
	stamp := func(at time.Time) string {
		if at.IsZero() {
			return ""
		}
		return at.UTC().Format(time.RFC3339)
	}
	lease := ""
	if row.State == idempotency.InProgress {
		lease = stamp(row.Lease)
	}
	fields := [][2]string{
		{"consumer", row.Key.Consumer},
		{"key", row.Key.Key},
		{"effect", row.Key.Effect},
		{"state", string(row.State)},
		{"result", row.Result.Value},
		{"reason", row.Result.Reason},
		{"error_class", string(row.Class)},
		{"owner", row.Owner},
		{"claim_number", fmt.Sprint(row.Number)},
		{"lease_until", lease},
		{"sent_until", stamp(row.Sent)},
		{"accepted", fmt.Sprint(row.Accepted)},
		{"created_at", stamp(row.Created)},
		{"updated_at", stamp(row.Updated)},
	}
	if asJSON {
		object := map[string]any{}
		for _, f := range fields {
			object[f[0]] = f[1]
		}
		object["claim_number"], object["accepted"] = row.Number, row.Accepted
		return printJSON(t.out, object)
	}
	rows := make([][]string, 0, len(fields)+1)
	for _, f := range fields {
		if f[1] != "" {
			rows = append(rows, []string{f[0], f[1]})
		}
	}
	return printTable(t.out, append(rows, nil))
}
