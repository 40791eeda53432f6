package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/mageline/mageline/internal/app"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/table"
	"github.com/mageline/mageline/internal/tracking"
)

func newTracking(t terminal) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "tracking",
		Short:   "Look at a 3PL's tracking file",
		Example: "  mageline tracking check parcels.csv",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return missingCommand(cmd, "check FILE") },
	}
	cmd.AddCommand(newTrackingCheck(t))
	return cmd
}

func newTrackingCheck(t terminal) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Read a tracking file as the consumer would, and say what is wrong with it",
		Long: `Prints a line for each bad row, with its line in the file and the reason, then what was found: encoding, delimiter, columns,
rows, and how many events would go out. It goes by MAGELINE_TRACKING_COLUMNS and MAGELINE_TRACKING_CARRIERS, connects to
nothing, sends nothing, and leaves the file where it is.

Exit code 0 if every row is good, 3 with bad rows, 1 if nothing can be made of the file.`,
		Example: `  mageline tracking check parcels.csv
  MAGELINE_TRACKING_COLUMNS='order_number=Auftragsnr.,tracking_number=Sendungsnr.' mageline tracking check parcels.csv
  mageline tracking check parcels.csv --json | jq -r 'select(.reason) | "\(.line): \(.reason)"'`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			cfg, err := loadConfig(config.Nothing)
			if err != nil {
				return err
			}
			f, err := os.Open(args[0])
			if err != nil {
				return failed(err)
			}
			defer f.Close() //nolint:errcheck // read only
			return checkTracking(t.out, f, app.TrackingFormat(cfg), asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object for each bad row, and one for the file")
	return cmd
}

// found is what a tracking file is.
type found struct {
	Encoding  table.Encoding    `json:"encoding"`
	Delimiter string            `json:"delimiter"`
	Columns   map[string]string `json:"columns"` // the file's own, by ours
	Rows      int               `json:"rows"`
	BadRows   int               `json:"bad_rows"`
	Events    int               `json:"events"`
	// Examples are the first events.
	Examples []tracking.Parcel `json:"examples"`
}

const examples = 3

// rejected is the line of a bad row.
type rejected struct {
	Line   int    `json:"line"`
	Reason string `json:"reason"`
}

func checkTracking(out io.Writer, file io.ReadSeeker, format tracking.Format, asJSON bool) error {
	about, err := table.Look(file)
	if err == nil {
		err = tracking.Check(file, about, format)
	}
	what := found{Encoding: about.Encoding}
	if err == nil {
		err = what.read(out, file, about, format, asJSON)
	}
	var unusable *table.UnusableError
	if errors.As(err, &unusable) && len(unusable.Header) > 0 {
		err = fmt.Errorf("%w\nthe first row: %.1000q", err, unusable.Header)
	}
	if err != nil {
		return failed(err)
	}
	if asJSON {
		err = printJSON(out, what)
	} else {
		err = what.print(out)
	}
	if err == nil && what.BadRows > 0 {
		return &exitError{exitPartial, nil}
	}
	return err
}

// read reads the file, and prints its bad rows.
func (f *found) read(out io.Writer, file io.ReadSeeker, about table.About, format tracking.Format, asJSON bool) error {
	r, err := tracking.NewReader(file, about, format)
	if err != nil {
		return err
	}
	f.Columns, f.Delimiter = r.Columns(), string(r.Delimiter())
	for {
		parcel, bad, err := r.Next()
		f.Rows = r.Rows()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case bad == nil:
			if f.Events++; f.Events <= examples {
				f.Examples = append(f.Examples, parcel)
			}
			continue
		case asJSON:
			err = printJSON(out, rejected{bad.Line, bad.Reason})
		default:
			_, err = fmt.Fprintf(out, "line %d: %s\n", bad.Line, bad.Reason)
		}
		if f.BadRows++; err != nil {
			return err
		}
	}
}

func (f *found) print(out io.Writer) error {
	rows := [][]string{
		{"encoding", string(f.Encoding)},
		{"delimiter", strconv.Quote(f.Delimiter)},
	}
	for _, ours := range slices.Sorted(maps.Keys(f.Columns)) {
		rows = append(rows, []string{"column " + ours, f.Columns[ours]})
	}
	rows = append(rows,
		[]string{"rows", strconv.Itoa(f.Rows)},
		[]string{"bad rows", strconv.Itoa(f.BadRows)},
		[]string{"events", strconv.Itoa(f.Events)},
	)
	if err := printTable(out, rows); err != nil {
		return err
	}
	for _, p := range f.Examples {
		if err := printJSON(out, p); err != nil {
			return err
		}
	}
	return nil
}
