package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/internal/app"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/lists"
	"github.com/mageline/mageline/internal/table"
	"github.com/mageline/mageline/rabbitmq"
)

func newImport(t terminal) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import",
		Short: "Send a list of prices or of stock as messages",
		Example: `  mageline import prices prices.csv
  mageline import stock stock.csv --source-code berlin`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return missingCommand(cmd, "prices FILE or stock FILE") },
	}
	cmd.AddCommand(newImportOf(t, false), newImportOf(t, true))
	return cmd
}

// importFlags are those of a command line.
type importFlags struct {
	asOf, kind, source, decimal string
	columns                     map[string]string
	dryRun, asJSON              bool
}

func newImportOf(t terminal, stock bool) *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:   "prices FILE",
		Short: "Send a price list as messages, 500 prices each",
		Long: `Reads a list (CSV with a header line, in any of the usual encodings and delimiters), and publishes it as messages of 500 prices,
each confirmed. What becomes of them the consumer price_sync says: only what differs is written to Magento, and an older price
never overwrites a newer one.

The version of all prices is --as-of, without it the moment at which the command begins. A list that was cut off is sent again
with the same --as-of, and ends the same. Bad rows do not go out: they are written beside the file, in FILE.rejected.csv, with line and
reason, so that a corrected copy can be imported. Of rows with one key the last one counts.

Columns are found by their names in English, German, French, Spanish, Italian and Dutch; --columns names others. Whether a comma or a
point is the decimal separator each column shows by its other rows; where none does, a number such as 1.234 is a bad row, and --decimal
says how to read it.

Exit code 0 if every row is good, 3 with bad rows, 1 if nothing can be made of the file or not all of it was sent.`,
		Example: `  mageline import prices prices.csv
  mageline import prices promo.csv --type special --as-of 2026-11-23T10:00:00Z
  mageline import prices liste.csv --columns 'sku=Art.-Nr.,price=VK 1' --decimal comma --dry-run`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), t, args[0], stock) },
	}
	flags := cmd.Flags()
	if stock {
		cmd.Use, cmd.Short = "stock FILE", "Send a list of stock levels as messages, 500 each"
		cmd.Long = strings.NewReplacer("500 prices", "500 stock levels", "price_sync", "stock_sync", "an older price", "an older level",
			"all prices", "all levels").Replace(cmd.Long)
		cmd.Example = `  mageline import stock stock.csv
  mageline import stock lager.csv --source-code berlin --as-of 2026-11-23T10:00:00Z
  mageline import stock lager.txt --columns sku=1,quantity=4 --dry-run`
		flags.StringVar(&f.source, "source-code", "", "source of rows that name none (default \"default\")")
	} else {
		flags.StringVar(&f.kind, "type", "", "base, special or tier (default: as the header says, else base)")
	}
	flags.StringVar(&f.asOf, "as-of", "", "version of all entries, as 2026-11-23T10:00:00Z (default now)")
	flags.StringToStringVar(&f.columns, "columns", nil, "the file's own names of columns, or their numbers from 1 where it has no header: "+
		strings.Join(lists.Format{Stock: stock}.ColumnNames()[:2], "=…,")+"=…")
	flags.StringVar(&f.decimal, "decimal", "", "decimal separator of all numbers: comma or point (default: as each column shows)")
	flags.BoolVar(&f.dryRun, "dry-run", false, "send and write nothing: print each bad row, and what would be sent")
	flags.BoolVar(&f.asJSON, "json", false, "print one JSON object")
	return cmd
}

// format returns how the list is to be read.
func (f *importFlags) format(stock bool, now time.Time) (lists.Format, error) {
	format := lists.Format{Stock: stock, Type: event.PriceType(f.kind), AsOf: now.UTC().Truncate(time.Microsecond), Source: f.source, Columns: f.columns}
	switch f.kind {
	case "", string(event.BasePrices), string(event.SpecialPrices), string(event.TierPrices):
	default:
		return format, fmt.Errorf("--type %s: want base, special or tier", f.kind)
	}
	switch f.decimal {
	case "":
	case "comma", ",":
		format.Decimal = ','
	case "point", ".":
		format.Decimal = '.'
	default:
		return format, fmt.Errorf("--decimal %s: want comma or point", f.decimal)
	}
	if f.asOf != "" {
		at, err := time.Parse(time.RFC3339, f.asOf)
		switch {
		case err != nil:
			return format, fmt.Errorf("--as-of %s: want a time such as 2026-11-23T10:00:00Z", f.asOf)
		case at.Sub(now) > 5*time.Minute:
			return format, fmt.Errorf("--as-of %s lies ahead: the messages would be refused", f.asOf)
		}
		format.AsOf = at.UTC().Truncate(time.Microsecond)
	}
	return format, nil
}

// imported is what became of a list.
type imported struct {
	Type     string            `json:"type"`
	AsOf     string            `json:"as_of"`
	DryRun   bool              `json:"dry_run,omitempty"`
	Encoding table.Encoding    `json:"encoding"`
	Columns  map[string]string `json:"columns"`
	Ignored  []string          `json:"ignored,omitempty"`
	Decimals map[string]string `json:"decimals,omitempty"`
	Rows     int               `json:"rows"`
	Entries  int               `json:"entries"`
	Messages int               `json:"messages"`
	Repeated int               `json:"repeated"`
	BadRows  int               `json:"bad_rows"`
	Rejected string            `json:"rejected,omitempty"`
}

func (f *importFlags) run(ctx context.Context, t terminal, path string, stock bool) (err error) {
	format, err := f.format(stock, time.Now())
	if err != nil {
		return &exitError{exitUsage, err}
	}
	file, err := os.Open(path)
	if err != nil {
		return failed(err)
	}
	defer file.Close() //nolint:errcheck // read only
	list, err := lists.Open(file, format)
	if err != nil {
		return failed(withHeader(err))
	}
	what := &imported{
		Type: string(list.Type), AsOf: format.AsOf.Format(time.RFC3339Nano), DryRun: f.dryRun, Encoding: list.About.Encoding,
		Columns: list.Columns, Ignored: list.Ignored, Decimals: list.Decimals, Rows: list.Rows, Repeated: list.Repeated,
	}
	if stock {
		what.Type = "stock"
	}
	progress := newProgress(t)
	if f.dryRun {
		err = what.look(t, list, f.asJSON)
	} else {
		err = what.send(ctx, list, path, progress)
	}
	progress.clear()
	if err == nil {
		if f.asJSON {
			err = printJSON(t.out, what)
		} else {
			err = what.print(t.out)
		}
	}
	switch {
	case err != nil:
		return failed(err)
	case what.BadRows > 0:
		return &exitError{exitPartial, nil}
	}
	return nil
}

// withHeader returns an error with the row that comes nearest to a header.
func withHeader(err error) error {
	if u := (*table.UnusableError)(nil); errors.As(err, &u) && len(u.Header) > 0 {
		return fmt.Errorf("%w\nthe first row: %.1000q", err, u.Header)
	}
	return err
}

// look prints the bad rows.
func (i *imported) look(t terminal, list *lists.List, asJSON bool) error {
	return list.Each(func(m lists.Message) error {
		i.Messages++
		i.Entries += m.Entries
		return nil
	}, func(bad *table.BadRow) (err error) {
		i.BadRows++
		if asJSON {
			return printJSON(t.out, rowSeen{bad.Line, bad.Reason})
		}
		_, err = fmt.Fprintf(t.out, "line %d: %s\n", bad.Line, bad.Reason)
		return err
	})
}

// unconfirmed is how many messages are on their way at once.
const unconfirmed = 8

// send publishes the messages, and writes the bad rows beside the file.
func (i *imported) send(ctx context.Context, list *lists.List, path string, progress *progress) (err error) {
	cfg, err := loadConfig(config.Nothing)
	if err != nil {
		return err
	}
	conn, err := app.Dial(ctx, cfg, "mageline import")
	if err != nil {
		return err
	}
	publisher, err := rabbitmq.NewPublisher(conn)
	if err != nil {
		rabbitmq.Close(conn)
		return err
	}
	defer publisher.Close()
	rejects := &beside{path: path, list: list}
	defer func() {
		name, failed := rejects.close(err == nil)
		i.Rejected = name
		err = errors.Join(err, failed)
	}()
	var out sync.WaitGroup
	defer out.Wait()
	sending, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	slots := make(chan struct{}, unconfirmed)
	var mu sync.Mutex
	each := list.Each(func(m lists.Message) error {
		select {
		case slots <- struct{}{}:
		case <-sending.Done():
			return context.Cause(sending)
		}
		out.Go(func() {
			defer func() { <-slots }()
			err := publisher.Publish(sending, cfg.AMQPExchange, m.Topic, asMagento(m.Body))
			if errors.Is(err, rabbitmq.ErrReturned) {
				err = fmt.Errorf("no queue is bound to topic %q at exchange %q: run `mageline topology`, or start mageline with this consumer",
					m.Topic, cfg.AMQPExchange)
			}
			if err != nil {
				cancel(rabbitmq.Explain(err))
				return
			}
			mu.Lock()
			defer mu.Unlock()
			i.Messages++
			i.Entries += m.Entries
			progress.show(fmt.Sprintf("%d of %d rows", i.Entries+i.BadRows, i.Rows-i.Repeated))
		})
		return nil
	}, func(bad *table.BadRow) error {
		mu.Lock()
		i.BadRows++
		mu.Unlock()
		return rejects.write(bad)
	})
	out.Wait()
	if cause := context.Cause(sending); cause != nil {
		each = cause
	}
	if each != nil {
		return fmt.Errorf("%w; %d of %d rows are out: repeat it with --as-of %s, which ends the same", each, i.Entries, i.Rows-i.Repeated, i.AsOf)
	}
	return nil
}

func (i *imported) print(out io.Writer) error {
	rows := [][]string{{"type", i.Type}, {"as of", i.AsOf}}
	for _, ours := range slices.Sorted(maps.Keys(i.Columns)) {
		rows = append(rows, []string{"column " + ours, i.Columns[ours]})
	}
	if len(i.Ignored) > 0 {
		rows = append(rows, []string{"ignored", strings.Join(i.Ignored, ", ")})
	}
	rows = append(rows, []string{"rows", strconv.Itoa(i.Rows)})
	if i.Repeated > 0 {
		rows = append(rows, []string{"replaced by a later row", strconv.Itoa(i.Repeated)})
	}
	bad := strconv.Itoa(i.BadRows)
	if i.Rejected != "" {
		bad += " in " + i.Rejected
	}
	sent := "sent"
	if i.DryRun {
		sent = "would be sent"
	}
	rows = append(rows, []string{"bad rows", bad}, []string{sent, fmt.Sprintf("%d in %d messages", i.Entries, i.Messages)})
	return printTable(out, rows)
}

// beside is the file of bad rows beside a list. It has its name when all of it is written, and never takes the place of another.
type beside struct {
	path string
	list *lists.List
	file *os.File
	rows *table.Rejected
}

func (b *beside) write(bad *table.BadRow) (err error) {
	if b.file == nil {
		if b.file, err = os.CreateTemp(filepath.Dir(b.path), "."+filepath.Base(b.path)+".*.part"); err != nil {
			return fmt.Errorf("bad rows can't be written beside the list, only --dry-run shows them: %w", err)
		}
		if b.rows, err = b.list.NewRejected(b.file); err != nil {
			return err
		}
	}
	return b.rows.Write(bad)
}

// close returns the file's name, "" where there were no bad rows or the list is not done.
func (b *beside) close(done bool) (name string, err error) {
	if b.file == nil {
		return "", nil
	}
	part := b.file.Name()
	defer func() { _ = os.Remove(part) }()
	if err := errors.Join(b.file.Chmod(0o644), b.file.Sync(), b.file.Close()); err != nil || !done {
		return "", err
	}
	stem := strings.TrimSuffix(b.path, filepath.Ext(b.path))
	for attempt, stamp := 0, ""; attempt < 100; attempt++ {
		name = stem + stamp + ".rejected.csv"
		if err = os.Link(part, name); !errors.Is(err, fs.ErrExist) {
			break
		}
		stamp = time.Now().UTC().Format("-20060102T150405.000Z")
	}
	if err != nil && !errors.Is(err, fs.ErrExist) { // a file system without links
		err = os.Rename(part, name)
	}
	return name, err
}
