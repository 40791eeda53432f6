package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mageline/mageline/internal/app"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/feed"
)

func newExport(t terminal) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "export",
		Short:   "Write the products of a store view to a file",
		Example: "  mageline export products --format csv --out products.csv",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return missingCommand(cmd, "products") },
	}
	cmd.AddCommand(newExportProducts(t))
	return cmd
}

// exportFlags are those of a command line.
type exportFlags struct {
	format, store, out string
	codes              feed.Codes
	asJSON             bool
}

func newExportProducts(t terminal) *cobra.Command {
	var f exportFlags
	cmd := &cobra.Command{
		Use:   "products --format csv|jsonl|google-merchant --out FILE",
		Short: "Write the products that a store view shows",
		Long: `Reads all products that a store view shows from Magento, a page at a time, and writes them to FILE. The file has its name when it is
complete: until then, and when it is interrupted, what was there before stays.

csv              a table with a column for each field of a search document, and for each attribute that is a field
jsonl            on each line the document of a product, as a search engine gets it
google-merchant  a feed for Google Merchant Center in RSS 2.0. Each variant of a configurable product is an item of its own. A product that
                 lacks what Google requires is left out, and named with what it lacks in FILE.rejected.csv

Exit code 0 if every product is written, 3 if some were left out, 1 if the file was not written.`,
		Example: `  mageline export products --format google-merchant --store de --out feed.xml
  mageline export products --format google-merchant --gtin ean --brand manufacturer --out feed.xml
  mageline export products --format jsonl --out products.jsonl --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), t) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.format, "format", "", "csv, jsonl or google-merchant")
	flags.StringVar(&f.store, "store", "", "code of the store view (default: the default one)")
	flags.StringVar(&f.out, "out", "", "the file")
	flags.StringSliceVar(&f.codes.GTIN, "gtin", []string{"gtin", "ean", "upc", "barcode"}, "attributes with the GTIN, of which the first that a product has counts")
	flags.StringSliceVar(&f.codes.MPN, "mpn", []string{"mpn", "manufacturer_part_number"}, "attributes with the maker's number")
	flags.StringSliceVar(&f.codes.Brand, "brand", []string{"brand", "manufacturer"}, "attributes with the brand")
	flags.StringSliceVar(&f.codes.Condition, "condition", []string{"condition"}, "attributes with the condition; without one a product is new")
	flags.StringSliceVar(&f.codes.Category, "google-category", []string{"google_product_category"}, "attributes with Google's own category")
	flags.BoolVar(&f.asJSON, "json", false, "print one JSON object")
	return cmd
}

// exported is what was written.
type exported struct {
	Format   string         `json:"format"`
	Store    string         `json:"store"`
	File     string         `json:"file"`
	Products int            `json:"products"`
	Items    int            `json:"items"`
	Rejected int            `json:"rejected"`
	Lacks    map[string]int `json:"lacks,omitempty"` // products that lack an attribute, by its name
	Rejects  string         `json:"rejected_file,omitempty"`
}

func (f *exportFlags) run(ctx context.Context, t terminal) error {
	switch app.ExportFormat(f.format) {
	case app.ExportCSV, app.ExportLines, app.ExportMerchant:
	default:
		return &exitError{exitUsage, fmt.Errorf("--format %s: want csv, jsonl or google-merchant", f.format)}
	}
	if f.out == "" {
		return &exitError{exitUsage, errors.New("--out is missing: want the name of a file")}
	}
	cfg, err := loadConfig(config.Magento)
	if err != nil {
		return err
	}
	what := &exported{Format: f.format, File: f.out, Lacks: map[string]int{}}
	progress := newProgress(t)
	err = f.write(ctx, cfg, what, progress)
	progress.clear()
	if err != nil {
		return failed(err)
	}
	if f.asJSON {
		err = printJSON(t.out, what)
	} else {
		err = what.print(t.out)
	}
	switch {
	case err != nil:
		return failed(err)
	case what.Rejected > 0:
		return &exitError{exitPartial, nil}
	}
	return nil
}

// write writes both files. They get their names when both are complete.
func (f *exportFlags) write(ctx context.Context, cfg *config.Config, what *exported, progress *progress) (err error) {
	out, err := newPart(f.out)
	if err != nil {
		return err
	}
	defer out.discard()
	rejects := &rejectedProducts{path: f.out + ".rejected.csv"}
	defer func() { rejects.discard() }()
	began := time.Now()
	done, err := app.ExportProducts(ctx, cfg, version, app.Export{
		Format: app.ExportFormat(f.format), Store: f.store, Codes: f.codes,
		Reject: func(r feed.Rejection) error {
			what.Rejected++
			for _, one := range r.Lacks {
				what.Lacks[one]++
			}
			return rejects.write(r)
		},
		Progress: func(read, of int64) { progress.show(exportProgress(read, of, time.Since(began))) },
	}, out)
	if err != nil {
		return err
	}
	what.Store, what.Products, what.Items = done.Store, done.Products, done.Items
	if what.Rejects, err = rejects.finish(); err != nil {
		return err
	}
	return out.finish()
}

// exportProgress says how far it is, and after some seconds how long it takes yet.
func exportProgress(read, of int64, took time.Duration) string {
	text := fmt.Sprintf("%d of %d products", read, of)
	if took > 5*time.Second && read > 0 && of > read {
		left := time.Duration(float64(took) / float64(read) * float64(of-read))
		text += fmt.Sprintf(", about %s left", left.Round(time.Second))
	}
	return text
}

func (e *exported) print(out io.Writer) error {
	rows := [][]string{{"store view", e.Store}, {"products", strconv.Itoa(e.Products)}}
	if e.Format == string(app.ExportMerchant) {
		left := strconv.Itoa(e.Rejected)
		if e.Rejects != "" {
			left += " in " + e.Rejects
		}
		rows = append(rows, []string{"items", strconv.Itoa(e.Items)}, []string{"left out", left})
		for _, name := range slices.Sorted(maps.Keys(e.Lacks)) {
			rows = append(rows, []string{"  " + name, strconv.Itoa(e.Lacks[name])})
		}
	}
	return printTable(out, append(rows, []string{"written to", e.File}))
}

// part is a file that gets its name when it is complete.
type part struct {
	*os.File
	name string
}

// staleParts is after which time what a killed process has left beside the file is removed.
const staleParts = 24 * time.Hour

func newPart(name string) (*part, error) {
	dir, pattern := filepath.Dir(name), "."+filepath.Base(name)+".*.part"
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file", name)
	}
	f, err := os.CreateTemp(dir, pattern)
	if err != nil {
		return nil, err
	}
	left, _ := os.ReadDir(dir) // it was written to just now
	for _, entry := range left {
		info, err := entry.Info()
		mine := strings.HasPrefix(entry.Name(), "."+filepath.Base(name)+".") && strings.HasSuffix(entry.Name(), ".part")
		if err == nil && mine && info.Mode().IsRegular() && time.Since(info.ModTime()) > staleParts {
			_ = os.Remove(filepath.Join(dir, entry.Name()))
		}
	}
	return &part{f, name}, nil
}

// finish gives the file its name.
func (p *part) finish() error {
	mode := os.FileMode(0o644)
	if info, err := os.Stat(p.name); err == nil {
		mode = info.Mode().Perm()
	}
	if err := errors.Join(p.Chmod(mode), p.Sync(), p.Close()); err != nil {
		return err
	}
	return os.Rename(p.Name(), p.name)
}

// discard removes the file, if it has no name yet.
func (p *part) discard() {
	_ = p.Close()
	_ = os.Remove(p.Name())
}

// rejectedProducts is the file that names the products that were left out. Without any there is none.
type rejectedProducts struct {
	path string
	part *part
	rows *csv.Writer
}

func (r *rejectedProducts) write(one feed.Rejection) (err error) {
	if r.part == nil {
		if r.part, err = newPart(r.path); err != nil {
			return err
		}
		r.rows = csv.NewWriter(r.part)
		if err := r.rows.Write([]string{"sku", "item_group_id", "missing", "reason"}); err != nil {
			return err
		}
	}
	return r.rows.Write([]string{feed.Safe(one.SKU), feed.Safe(one.Group), strings.Join(one.Lacks, " "), feed.Safe(one.Reason)})
}

// finish gives the file its name and returns it. One of an earlier export is removed if nothing was left out this time.
func (r *rejectedProducts) finish() (string, error) {
	if r.part == nil {
		if err := os.Remove(r.path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
		return "", nil
	}
	r.rows.Flush()
	if err := r.rows.Error(); err != nil {
		return "", err
	}
	return r.path, r.part.finish()
}

func (r *rejectedProducts) discard() {
	if r.part != nil {
		r.part.discard()
	}
}
