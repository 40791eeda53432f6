package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mageline/mageline/internal/app"
	"github.com/mageline/mageline/internal/config"
)

func newConfig(t terminal) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "config",
		Short:   "Print every variable with its type, default, present value and meaning",
		Long:    "Each secret can be given as NAME_FILE instead, a path whose content is the value. Exit code 2 if a value is wrong; what `mageline run` lacks besides is said too.",
		Example: "  mageline config\n  mageline config --json | jq -r '.[].name'",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			table := config.Table()
			if asJSON {
				if err := printJSON(t.out, table); err != nil {
					return err
				}
			} else {
				rows := [][]string{{"VARIABLE", "VALUE", "DEFAULT", "TYPE", "MEANING"}}
				for _, v := range table {
					rows = append(rows, []string{v.Name, v.Value, v.Default, v.Type, v.Meaning})
				}
				if err := printTable(t.out, rows); err != nil {
					return err
				}
			}
			cfg, err := app.Load(config.EnabledConsumers)
			if err != nil {
				missing := err
				if cfg, err = app.Load(config.Nothing); err != nil {
					return &exitError{exitUsage, missing} // which has what is wrong, too
				}
				// All that is set is right, and whoever looks which variables there are need not have set any.
				fmt.Fprintln(t.err, "mageline: `mageline run` would end with exit code 2:", missing)
			}
			for _, warning := range cfg.Warnings {
				fmt.Fprintln(t.err, "mageline:", warning)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON array")
	return cmd
}

// loadConfig reads the environment. What is wrong with it ends the program with exit code 2, every line of it said.
func loadConfig(need config.Need) (*config.Config, error) {
	cfg, err := app.Load(need)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	return cfg, nil
}
