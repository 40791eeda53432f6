package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/mageline/mageline/internal/app"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/migrations"
)

func newMigrate(t terminal) *cobra.Command {
	var asJSON bool
	up := func(cmd *cobra.Command, _ []string) error {
		cfg, err := loadConfig(config.Nothing)
		if err != nil {
			return err
		}
		applied, err := migrations.Up(cmd.Context(), app.DirectURL(cfg))
		err = app.ExplainPostgres(err, app.DirectVariable(cfg))
		if asJSON {
			return errors.Join(failed(err), printJSON(t.out, append([]migrations.Migration{}, applied...)))
		}
		for _, m := range applied {
			fmt.Fprintf(t.out, "applied %s\n", m.File)
		}
		if err == nil && len(applied) == 0 {
			fmt.Fprintln(t.out, "the schema is up to date")
		}
		return failed(err)
	}
	cmd := &cobra.Command{
		Use:     "migrate [up|status]",
		Short:   "Bring the database schema up to date, or say where it is",
		Long:    "Migrations only add, so that the previous version runs on. Replicas that start together do it once.",
		Example: "  mageline migrate\n  mageline migrate status",
		Args:    cobra.NoArgs,
		RunE:    up,
	}
	status := &cobra.Command{
		Use:     "status",
		Short:   "List the migrations and when each was applied",
		Example: "  mageline migrate status --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(config.Nothing)
			if err != nil {
				return err
			}
			all, err := migrations.Status(cmd.Context(), app.DirectURL(cfg))
			if err != nil {
				return failed(app.ExplainPostgres(err, app.DirectVariable(cfg)))
			}
			if asJSON {
				return printJSON(t.out, all)
			}
			rows := [][]string{{"MIGRATION", "APPLIED"}}
			for _, m := range all {
				at := "not yet"
				if !m.At.IsZero() {
					at = m.At.UTC().Format(time.RFC3339)
				}
				rows = append(rows, []string{m.File, at})
			}
			return printTable(t.out, rows)
		},
	}
	apply := &cobra.Command{
		Use: "up", Short: "Apply what is missing", Example: "  mageline migrate up", Args: cobra.NoArgs, RunE: up,
	}
	for _, c := range []*cobra.Command{cmd, apply, status} {
		c.Flags().BoolVar(&asJSON, "json", false, "print one JSON array")
	}
	cmd.AddCommand(apply, status)
	return cmd
}
