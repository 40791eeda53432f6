package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/mageline/mageline/internal/app"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/operate"
	"github.com/mageline/mageline/internal/watermark"
)

func newWatermarks(t terminal) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "watermarks",
		Short: "Look at the newest versions of prices and stock that were written for a SKU, or forget them",
		Long: `A price or quantity that is older than what was written for its key is dropped. Where a version is wrong, such as one of a machine
whose clock was ahead, what is right counts as older: then somebody has to reset it.`,
		Example: "  mageline watermarks show 24-MB01\n  mageline watermarks reset 24-MB01",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return missingCommand(cmd, "show or reset") },
	}
	show := &cobra.Command{
		Use:     "show SKU",
		Short:   "Print what was written of a SKU, and what is being written",
		Example: "  mageline watermarks show 24-MB01",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withWatermarks(cmd.Context(), func(w operate.Watermarks) error { return showWatermarks(cmd.Context(), t, w, args[0], asJSON) })
		},
	}
	reset := &cobra.Command{
		Use:     "reset SKU",
		Short:   "Forget the versions of a SKU: whatever comes next is written",
		Example: "  mageline watermarks reset 24-MB01",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withWatermarks(cmd.Context(), func(w operate.Watermarks) error {
				n, err := w.Reset(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return printDone(t, asJSON, "reset", n)
			})
		},
	}
	for _, c := range []*cobra.Command{show, reset} {
		c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	}
	cmd.AddCommand(show, reset)
	return cmd
}

func showWatermarks(ctx context.Context, t terminal, w operate.Watermarks, sku string, asJSON bool) error {
	all, err := w.Show(ctx, sku)
	if err != nil {
		return err
	}
	header := []string{"KIND", "SCOPE", "WRITTEN", "BEING WRITTEN", "UNCERTAIN", "NOT BEFORE", "BY", "MESSAGE"}
	return printAll(t, asJSON, all, header, func(r watermark.Standing) []string {
		return []string{r.Kind, r.Scope, stampOf(r.Written), stampOf(r.Writing), stampOf(r.Lost), stampOf(r.Earliest), r.Owner, r.Message}
	})
}

// withWatermarks opens the versions for a command.
func withWatermarks(ctx context.Context, do func(operate.Watermarks) error) error {
	cfg, err := loadConfig(config.Nothing)
	if err != nil {
		return err
	}
	store, closeStore, err := app.OpenWatermarks(ctx, cfg)
	if err != nil {
		return failed(err)
	}
	defer closeStore()
	return failed(do(operate.Watermarks{Store: store}))
}
