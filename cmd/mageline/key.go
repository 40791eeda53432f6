package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/internal/app"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/operate"
)

func newKey(t terminal) *cobra.Command {
	var effect string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "key",
		Short:   "Look at rows of the ledger, or release one",
		Example: "  mageline key list --state uncertain\n  mageline key show order_placed:000000123\n  mageline key release order_placed:000000123",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return missingCommand(cmd, "list, show or release") },
	}
	show := &cobra.Command{
		Use:     "show CONSUMER:KEY",
		Short:   "Print what the ledger knows of a business key",
		Example: "  mageline key show order_placed:000000123",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withKey(cmd.Context(), args[0], func(keys operate.Keys, consumer, key string) error {
				rows, err := keys.Show(cmd.Context(), consumer, key, effect)
				if err != nil {
					return err
				}
				for _, row := range rows {
					if err := printKey(t, row, asJSON); err != nil {
						return err
					}
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
			return withKey(cmd.Context(), args[0], func(keys operate.Keys, consumer, key string) error {
				n, err := keys.Release(cmd.Context(), consumer, key, effect)
				if err != nil {
					return err
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
	cmd.AddCommand(newKeyList(t), show, release)
	return cmd
}

// withKey opens the ledger for a CONSUMER:KEY.
func withKey(ctx context.Context, arg string, do func(keys operate.Keys, consumer, key string) error) error {
	consumer, key, ok := strings.Cut(arg, ":")
	if !ok || consumer == "" || key == "" {
		return &exitError{exitUsage, fmt.Errorf("%q: want CONSUMER:KEY, as order_placed:000000123", arg)}
	}
	return withKeys(ctx, func(keys operate.Keys) error { return do(keys, consumer, key) })
}

// withKeys opens the ledger for a command.
func withKeys(ctx context.Context, do func(operate.Keys) error) error {
	cfg, err := loadConfig(config.Nothing)
	if err != nil {
		return err
	}
	ledger, closeLedger, err := app.OpenLedger(ctx, cfg)
	if err != nil {
		return failed(err)
	}
	defer closeLedger()
	return failed(do(operate.Keys{Ledger: ledger, Consumers: app.Consumers()}))
}

func newKeyList(t terminal) *cobra.Command {
	var consumer, state, since string
	var limit int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List rows of the ledger, the newest first",
		Long: `A row is one effect of a business key: order_placed has create and comment. The newest is the one that was made last; --since goes
by that time too. States: in_progress, uncertain, failed, waiting, skipped, done.`,
		Example: `  mageline key list --state failed --since 2h
  mageline key list --consumer order_placed --limit 20
  mageline key list --state waiting --limit 0 --json | jq -r .key`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			which := idempotency.Filter{Consumer: consumer, State: idempotency.State(state), Limit: limit}
			switch {
			case state != "" && !slices.Contains(operate.KeyStates, which.State):
				return &exitError{exitUsage, fmt.Errorf("--state %q: want one of %v", state, operate.KeyStates)}
			case limit < 0:
				return &exitError{exitUsage, fmt.Errorf("--limit %d: want 0 (all) or more", limit)}
			}
			var err error
			if which.Since, err = instant("since", since, time.Now()); err != nil {
				return err
			}
			return withKeys(cmd.Context(), func(keys operate.Keys) error { return listKeys(cmd.Context(), t, keys, which, asJSON) })
		},
	}
	cmd.Flags().StringVar(&consumer, "consumer", "", "only rows of this consumer")
	cmd.Flags().StringVar(&state, "state", "", "only rows in this state")
	cmd.Flags().StringVar(&since, "since", "", "only rows that were made since then: RFC 3339, or a duration back from now")
	cmd.Flags().IntVar(&limit, "limit", 100, "at most so many; 0 is all")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	return cmd
}

// rowsAtOnce is how many rows have columns in common: however many there are, they are printed as they come.
const rowsAtOnce = 1000

func listKeys(ctx context.Context, t terminal, keys operate.Keys, which idempotency.Filter, asJSON bool) error {
	if asJSON {
		return keys.List(ctx, which, func(row idempotency.Row) error { return printKey(t, row, true) })
	}
	rows := [][]string{{"CONSUMER", "KEY", "EFFECT", "STATE", "RESULT", "CLASS", "CREATED", "UPDATED", "REASON"}}
	err := keys.List(ctx, which, func(row idempotency.Row) error {
		rows = append(rows, []string{
			row.Key.Consumer, row.Key.Key, row.Key.Effect, string(row.State), row.Result.Value, string(row.Class),
			stamp(row.Created), stamp(row.Updated), row.Result.Reason,
		})
		if len(rows) < rowsAtOnce {
			return nil
		}
		err := printTable(t.out, rows)
		rows = rows[:0]
		return err
	})
	if err != nil {
		return err
	}
	return printTable(t.out, rows)
}

func printKey(t terminal, row idempotency.Row, asJSON bool) error {
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
