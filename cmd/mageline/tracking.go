package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/table"
	"github.com/mageline/mageline/internal/tracking"
)

func newTracking(t terminal) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "tracking",
		Short:   "Look at a 3PL's tracking file, and at the profiles that files are read by; send a file again",
		Example: "  mageline tracking check parcels.csv\n  mageline tracking profiles shipstation",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return missingCommand(cmd, "check FILE, profiles or resend FILE")
		},
	}
	cmd.AddCommand(newTrackingCheck(t), newTrackingProfiles(t), newTrackingResend(t))
	return cmd
}

func newTrackingProfiles(t terminal) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "profiles [NAME]",
		Short: "List the profiles of 3PLs, or print one as YAML to start from",
		Long: `Lists the shop's own profiles (MAGELINE_TRACKING_PROFILES) and the ready-made ones, with what each is recognised by. With a
name it prints a ready-made one as YAML: the beginning of a file of profiles.`,
		Example: `  mageline tracking profiles
  mageline tracking profiles shipstation > profiles.yaml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			cfg, err := loadConfig(config.Nothing)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				return printProfile(t.out, cfg.Profiles(), args[0])
			}
			return listProfiles(t.out, cfg.Profiles(), asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object for each profile")
	return cmd
}

func printProfile(out io.Writer, profiles *tracking.Profiles, name string) error {
	text, ready := tracking.ReadyMadeText(name)
	if !ready {
		if profiles.Named(name) != nil {
			return failed(fmt.Errorf("%s is the shop's own profile: it stands in the file that MAGELINE_TRACKING_PROFILES names", name))
		}
		return failed(profiles.Unknown(name))
	}
	_, err := io.WriteString(out, text)
	return err
}

func listProfiles(out io.Writer, profiles *tracking.Profiles, asJSON bool) error {
	rows := [][]string{{"PROFILE", "OF", "PATTERN", "HEADER"}}
	list := func(p *tracking.Profile, of string) error {
		if asJSON {
			return printJSON(out, map[string]any{"name": p.Name, "of": of, "pattern": orEmpty(p.Pattern), "header": orEmpty(p.Header)})
		}
		rows = append(rows, []string{p.Name, of, strings.Join(p.Pattern, ","), strings.Join(p.Header, ", ")})
		return nil
	}
	for _, p := range profiles.Shop() {
		if err := list(p, "the shop"); err != nil {
			return err
		}
	}
	for _, name := range tracking.ReadyMade() {
		if err := list(tracking.NewProfiles(nil, nil).Named(name), "mageline"); err != nil {
			return err
		}
	}
	if asJSON {
		return nil
	}
	return printTable(out, rows)
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func newTrackingCheck(t terminal) *cobra.Command {
	var (
		asJSON  bool
		profile string
		columns string
	)
	cmd := &cobra.Command{
		Use:   "check FILE…",
		Short: "Read tracking files as the consumer would, and say what would become of them",
		Long: `Prints for each file the profile that it is read by, what was recognised in it, the carriers, how many events would go out and
the first of them, and each row that is bad or skipped, with its line and the reason. Of a file with unknown columns it prints
columns that would fit. It connects to nothing, sends nothing, and leaves the file where it is. - is standard input.

With --json it prints one object for each file.

Exit code 0 if every row is good, 3 with bad rows, 1 if nothing can be made of a file.`,
		Example: `  mageline tracking check parcels.csv
  mageline tracking check --profile shipstation parcels.csv
  mageline tracking check --columns 'order_number=Auftragsnr.,tracking_number=Sendungsnr.' parcels.csv
  mageline tracking check --json parcels.csv | jq -r '.bad[] | "\(.line): \(.reason)"'`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			cfg, err := loadConfig(config.Nothing)
			if err != nil {
				return err
			}
			c := &trackingCheck{out: t.out, inbox: cfg.TrackingDir, profiles: cfg.Profiles(), asJSON: asJSON}
			if err := c.choose(profile, columns); err != nil {
				return &exitError{exitUsage, err}
			}
			return c.files(args)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object for each file")
	cmd.Flags().StringVar(&profile, "profile", "", "read the files by this profile, whatever they look like")
	cmd.Flags().StringVar(&columns, "columns", "", "the file's columns, as MAGELINE_TRACKING_COLUMNS has them")
	return cmd
}

// trackingCheck looks at files.
type trackingCheck struct {
	out      io.Writer
	inbox    string
	profiles *tracking.Profiles
	profile  *tracking.Profile // by which the files are read; nil if that is found out
	asJSON   bool
}

// choose takes the profile and the columns of the command line.
func (c *trackingCheck) choose(name, columns string) error {
	if name != "" {
		if c.profile = c.profiles.Named(name); c.profile == nil {
			return c.profiles.Unknown(name)
		}
	}
	if columns == "" {
		return nil
	}
	var decoded config.TrackingColumns
	if err := decoded.Decode(columns); err != nil {
		return fmt.Errorf("--columns: %w", err)
	}
	if c.profile == nil {
		c.profile = c.profiles.Fallback()
	}
	c.profile = c.profile.WithColumns(decoded)
	return nil
}

func (c *trackingCheck) files(paths []string) error {
	var (
		bad, unusable bool
		reasons       []error // of files of which nothing can be made, for a person
	)
	for _, path := range paths {
		what, err := c.file(path)
		if err != nil {
			return failed(err)
		}
		if c.asJSON {
			err = printJSON(c.out, what)
		} else {
			err = what.print(c.out, len(paths) > 1)
			if what.Error != nil {
				reasons = append(reasons, what.reason(len(paths) > 1))
			}
		}
		if err != nil {
			return err
		}
		bad = bad || len(what.Bad) > 0
		unusable = unusable || what.Error != nil
	}
	switch {
	case unusable:
		return &exitError{exitFailed, errors.Join(reasons...)}
	case bad:
		return &exitError{exitPartial, nil}
	}
	return nil
}

// checked is what would become of a file.
type checked struct {
	File    string       `json:"file"`
	Profile *string      `json:"profile"`
	Parcels []parcelSeen `json:"parcels"`
	Skipped []rowSeen    `json:"skipped"`
	Bad     []rowSeen    `json:"bad"`
	Error   *string      `json:"error"`
	// Proposal is columns that would fit a file whose columns are not known.
	Proposal map[string]string `json:"proposal,omitempty"`

	encoding  table.Encoding
	delimiter byte
	columns   map[string]string
	ignored   []string
	rows      int
	carriers  map[string]string // codes by the file's text
	header    []string
	container table.Container
	examples  []tracking.Parcel // the first ones
}

type parcelSeen struct {
	OrderNumber    string     `json:"order_number"`
	TrackingNumber string     `json:"tracking_number"`
	CarrierCode    string     `json:"carrier_code"`
	Title          string     `json:"title"`
	Items          []itemSeen `json:"items"`
	ShipmentNumber string     `json:"shipment_number"`
	SourceCode     string     `json:"source_code"`
	Joins          string     `json:"joins,omitempty"`
}

type itemSeen struct {
	SKU      string      `json:"sku"`
	Quantity json.Number `json:"quantity,omitempty"`
}

// rowSeen is a row of which no parcel is made.
type rowSeen struct {
	Line   int    `json:"line"`
	Reason string `json:"reason"`
}

// file looks at one file. The error is that it can't be read at all.
func (c *trackingCheck) file(path string) (*checked, error) {
	f, end, err := openChecked(path)
	if err != nil {
		return nil, err
	}
	defer end()
	what := &checked{File: path, Parcels: []parcelSeen{}, Skipped: []rowSeen{}, Bad: []rowSeen{}, carriers: map[string]string{}}
	about, err := table.Look(f)
	if err != nil {
		return nil, err
	}
	what.encoding, what.container = about.Encoding, about.Container
	profile := c.profile
	if profile == nil {
		profile, err = c.profiles.Choose(f, about, tracking.Source{Path: c.relative(path)})
	}
	if err == nil {
		if profile.Name != "" {
			what.Profile = &profile.Name
		}
		err = profile.Check(f, about)
	}
	if err == nil {
		err = what.read(f, about, profile)
	}
	var unusable *table.UnusableError
	if !errors.As(err, &unusable) {
		return what, err
	}
	what.Error, what.header = &unusable.Reason, unusable.Header
	what.Parcels, what.Skipped, what.Bad = []parcelSeen{}, []rowSeen{}, []rowSeen{}
	if unusable.NoHeader {
		what.Proposal = tracking.ProposeFor(f, about)
	}
	return what, nil
}

// relative returns a path as it is relative to the inbox, if it is in there, and else its last part.
func (c *trackingCheck) relative(path string) string {
	inbox, err := filepath.Abs(c.inbox)
	if absolute, failed := filepath.Abs(path); c.inbox != "" && err == nil && failed == nil {
		if rel, err := filepath.Rel(inbox, absolute); err == nil && filepath.IsLocal(rel) {
			return filepath.ToSlash(rel)
		}
	}
	return filepath.Base(path)
}

// openChecked opens a file, or reads standard input, within the bounds of a file.
func openChecked(path string) (f io.ReadSeeker, end func(), err error) {
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, nil, err
		}
		return f, func() { _ = f.Close() }, nil
	}
	text, err := io.ReadAll(io.LimitReader(os.Stdin, table.MaxBytes+1))
	return bytes.NewReader(text), func() {}, err
}

// read reads the rows of a file.
func (w *checked) read(f io.ReadSeeker, about table.About, profile *tracking.Profile) error {
	r, err := profile.Open(f, about)
	if err != nil {
		return err
	}
	w.encoding, w.delimiter, w.columns, w.ignored = r.Encoding(), r.Delimiter(), r.Columns(), r.Ignored()
	r.Skipped = func(line int, reason string) { w.Skipped = append(w.Skipped, rowSeen{line, reason}) }
	for {
		p, bad, err := r.Next()
		w.rows = r.Rows()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case bad != nil:
			w.Bad = append(w.Bad, rowSeen{bad.Line, bad.Reason})
		default:
			seen := parcelSeen{
				OrderNumber: p.OrderNumber, TrackingNumber: p.TrackingNumber, CarrierCode: p.CarrierCode, Title: p.Title,
				ShipmentNumber: p.ShipmentNumber, SourceCode: p.SourceCode, Joins: p.Joins, Items: []itemSeen{},
			}
			if len(w.examples) < examples {
				w.examples = append(w.examples, p)
			}
			for _, i := range p.Items {
				seen.Items = append(seen.Items, itemSeen(i))
			}
			w.Parcels = append(w.Parcels, seen)
			w.carriers[cmp.Or(p.Title, "(none)")] = p.CarrierCode
		}
	}
}

// examples bounds how many parcels are printed, and manyCarriers how many carriers.
const (
	examples     = 3
	manyCarriers = 20
)

// reason returns why nothing can be made of a file, and what would help.
func (w *checked) reason(several bool) error {
	text := *w.Error
	if several {
		text = w.File + ": " + text
	}
	if len(w.header) > 0 {
		text += fmt.Sprintf("\nthe row that comes nearest to a header: %.1000q", w.header)
	}
	return errors.New(strings.Join(append([]string{text}, w.proposed()...), "\n"))
}

func (w *checked) print(out io.Writer, several bool) error {
	if w.Error != nil {
		return nil
	}
	var lines []string
	if several {
		lines = append(lines, w.File+":")
	}
	for _, r := range w.Bad {
		lines = append(lines, fmt.Sprintf("line %d: %s", r.Line, r.Reason))
	}
	for _, r := range w.Skipped {
		lines = append(lines, fmt.Sprintf("line %d: skipped: %s", r.Line, r.Reason))
	}
	for _, line := range lines {
		if _, err := fmt.Fprintln(out, line); err != nil {
			return err
		}
	}
	profile := "none: the columns have mageline's own names"
	if w.Profile != nil {
		profile = *w.Profile
	}
	rows := [][]string{{"profile", profile}}
	if w.container != table.Plain {
		rows = append(rows, []string{"packed as", string(w.container)})
	}
	rows = append(rows, [][]string{{"encoding", string(w.encoding)}, {"delimiter", strconv.Quote(string(rune(w.delimiter)))}}...)
	for _, ours := range slices.Sorted(maps.Keys(w.columns)) {
		rows = append(rows, []string{"column " + ours, w.columns[ours]})
	}
	if len(w.ignored) > 0 {
		rows = append(rows, []string{"columns ignored", strings.Join(w.ignored, ", ")})
	}
	for i, text := range slices.Sorted(maps.Keys(w.carriers)) {
		if i == manyCarriers {
			rows = append(rows, []string{"carriers", fmt.Sprintf("and %d more", len(w.carriers)-manyCarriers)})
			break
		}
		rows = append(rows, []string{"carrier " + text, w.carriers[text]})
	}
	rows = append(rows, []string{"rows", strconv.Itoa(w.rows)}, []string{"bad rows", strconv.Itoa(len(w.Bad))},
		[]string{"skipped rows", strconv.Itoa(len(w.Skipped))}, []string{"events", strconv.Itoa(len(w.Parcels))})
	if err := printTable(out, rows); err != nil {
		return err
	}
	for _, p := range w.examples {
		if err := printJSON(out, p); err != nil {
			return err
		}
	}
	return nil
}

// proposed returns lines with columns that would fit.
func (w *checked) proposed() []string {
	if len(w.Proposal) == 0 {
		return nil
	}
	lines := []string{"columns that would probably fit, for a profile:", "  columns:"}
	var pairs []string
	for _, ours := range tracking.ColumnNames() {
		if theirs, there := w.Proposal[ours]; there {
			lines = append(lines, fmt.Sprintf("    %s: %q", ours, theirs))
			pairs = append(pairs, ours+"="+theirs)
		}
	}
	if !strings.Contains(strings.Join(pairs, ""), ",") {
		lines = append(lines, "or MAGELINE_TRACKING_COLUMNS="+strconv.Quote(strings.Join(pairs, ",")))
	}
	return lines
}
