package main

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"time"

	"github.com/spf13/cobra"

	"github.com/mageline/mageline/internal/app"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/operate"
	"github.com/mageline/mageline/internal/pause"
)

func newPause(t terminal) *cobra.Command {
	var until string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "pause [CONSUMER|DOWNSTREAM]",
		Short: "Pause a consumer, or all that need a downstream, on all replicas; without a name: list what is paused",
		Long: `For maintenance. Every replica obeys within 5 seconds, also one that is started later: the pause is kept in Postgres. What
is in flight finishes; messages wait in their queue. A pause that stands gets the new end.

Downstreams are magento, erp and search.`,
		Example:   "  mageline pause erp --until 2h\n  mageline pause order_placed --until 2026-11-23T22:00:00Z\n  mageline pause",
		Args:      cobra.MaximumNArgs(1),
		ValidArgs: operate.Pausable(app.Consumers()),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				if cmd.Flags().Changed("until") {
					return &exitError{exitUsage, errors.New("--until goes with the name of a consumer or downstream, which is missing")}
				}
				return withPauses(cmd.Context(), func(pauses operate.Pauses) error { return listPauses(cmd.Context(), t, pauses, asJSON) })
			}
			if err := checkPausable(args[0]); err != nil {
				return err
			}
			var end time.Time
			if cmd.Flags().Changed("until") {
				var err error
				if end, err = parseUntil(until, time.Now()); err != nil {
					return &exitError{exitUsage, err}
				}
			}
			return withPauses(cmd.Context(), func(pauses operate.Pauses) error {
				p, err := pauses.Pause(cmd.Context(), args[0], end, operator())
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(t.out, pauseObject(p))
				}
				_, err = fmt.Fprintln(t.out, p.Reason())
				return err
			})
		},
	}
	cmd.Flags().StringVar(&until, "until", "", "when it ends by itself: RFC 3339, or a duration from now")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	return cmd
}

func newResume(t terminal) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "resume CONSUMER|DOWNSTREAM",
		Short: "End a pause, and what a downstream waits for, on all replicas",
		Long: `Every replica obeys within 5 seconds. To resume what is not paused is no error: also without a pause a downstream is called
again at once that has asked for one (429, Retry-After), the probe of an open circuit is made at once, and a credential
that was refused is tried again.`,
		Example:   "  mageline resume erp",
		Args:      cobra.ExactArgs(1),
		ValidArgs: operate.Pausable(app.Consumers()),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkPausable(args[0]); err != nil {
				return err
			}
			return withPauses(cmd.Context(), func(pauses operate.Pauses) error {
				stood, err := pauses.Resume(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(t.out, map[string]any{"name": args[0], "was_paused": stood})
				}
				text := "resumed " + args[0]
				if !stood {
					text = args[0] + " was not paused; if it waits for anything, it goes on now"
				}
				_, err = fmt.Fprintln(t.out, text)
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func checkPausable(name string) error {
	if err := operate.CheckPausable(app.Consumers(), name); err != nil {
		return &exitError{exitUsage, err}
	}
	return nil
}

// parseUntil reads when a pause ends.
func parseUntil(text string, now time.Time) (time.Time, error) {
	end, err := time.Parse(time.RFC3339, text)
	if err != nil {
		d, err := time.ParseDuration(text)
		if err != nil {
			return time.Time{}, fmt.Errorf("--until %q: want a time as 2026-11-23T22:00:00Z or a duration from now as 2h", text)
		}
		end = now.Add(d)
	}
	if !end.After(now) {
		return time.Time{}, fmt.Errorf("--until %q is not in the future", text)
	}
	return end, nil
}

// withPauses opens the database for the pauses.
func withPauses(ctx context.Context, do func(operate.Pauses) error) error {
	cfg, err := loadConfig(config.Nothing)
	if err != nil {
		return err
	}
	db, err := app.OpenDatabase(ctx, cfg)
	if err != nil {
		return failed(err)
	}
	defer db.Close()
	return failed(do(operate.Pauses{DB: db}))
}

// operator is who calls this, as far as the machine knows.
func operator() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username + "@" + app.Host()
	}
	return app.Host()
}

func listPauses(ctx context.Context, t terminal, pauses operate.Pauses, asJSON bool) error {
	list, err := pauses.List(ctx)
	if err != nil {
		return err
	}
	rows := [][]string{{"NAME", "SINCE", "UNTIL", "BY"}}
	for _, p := range list {
		if asJSON {
			if err := printJSON(t.out, pauseObject(p)); err != nil {
				return err
			}
			continue
		}
		until := "resumed"
		if !p.Until.IsZero() {
			until = stamp(p.Until)
		}
		rows = append(rows, []string{p.Name, stamp(p.Since), until, p.By})
	}
	switch {
	case asJSON:
		return nil
	case len(list) == 0:
		_, err := fmt.Fprintln(t.out, "nothing is paused")
		return err
	}
	return printTable(t.out, rows)
}

// pauseObject is a pause for --json; until is empty if it has no end.
func pauseObject(p pause.Pause) map[string]any {
	return map[string]any{"name": p.Name, "since": stamp(p.Since), "until": stamp(p.Until), "by": p.By}
}
