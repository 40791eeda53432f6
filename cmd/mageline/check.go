package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mageline/mageline/internal/app"
	"github.com/mageline/mageline/internal/check"
	"github.com/mageline/mageline/internal/config"
)

func newCheck(t terminal) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Is everything there that the enabled consumers need, and can a setting lose messages?",
		Long: `Prints a line for each dependency, credential and permission that the enabled consumers need, and for each setting that can
lose messages: OK, WARN, FAIL, or UNKNOWN where it can't be seen, then what it is and what to do. It changes nothing.
Exit code 1 if a line is FAIL.`,
		Example: "  mageline check\n  mageline check --json | jq -r 'select(.status != \"OK\") | .todo'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(config.EnabledConsumers)
			if err != nil {
				return err
			}
			lines, err := app.Check(cmd.Context(), cfg, version)
			if err != nil {
				return &exitError{exitUsage, err}
			}
			for _, line := range lines {
				if asJSON {
					err = printJSON(t.out, line)
				} else {
					_, err = fmt.Fprintln(t.out, line)
				}
				if err != nil {
					return failed(err)
				}
			}
			if n := check.Failed(lines); n > 0 {
				return failed(fmt.Errorf("%d of %d are FAIL", n, len(lines)))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	return cmd
}
