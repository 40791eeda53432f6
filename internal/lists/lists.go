// Package lists reads lists of prices and of stock that people and programs send as files (docs/price-lists.md): a file in,
// messages of pricing.sync.requested and inventory.sync.requested and bad rows out. It knows nothing of directories
// (internal/inbox), brokers or Magento.
//
// What the rows of a file are is found by internal/table. A list is read twice and never kept in memory: [Open] looks at each column
// of numbers for what its decimal separator is, and for keys that stand in the list several times; [List.Each] then makes the
// messages.
package lists

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/internal/table"
)

// Topics of the messages.
const (
	TopicPrices = "pricing.sync.requested"
	TopicStock  = "inventory.sync.requested"
)

// Format is how a list is read.
type Format struct {
	// Stock says that it is a list of stock levels; else it is one of prices.
	Stock bool
	// Type is that of the prices: base, special or tier. "" means that the header says: a column of special prices and none of
	// prices, a customer group and a quantity, else base.
	Type event.PriceType
	// AsOf is the version of all entries.
	AsOf time.Time
	// Source is the source of stock rows that name none; "" is event.DefaultSource.
	Source string
	// Columns maps our name of a column to the file's or, for files without a header, to the number of the column, from 1: then
	// for all columns.
	Columns map[string]string
	// Decimal is the decimal separator of all numbers, ',' or '.'; 0 means that each column shows its own.
	Decimal byte
}

// columns that the format knows.
func (f Format) columns() []column {
	if f.Stock {
		return stockColumns
	}
	switch f.Type {
	case event.SpecialPrices:
		return specialColumns
	case event.TierPrices:
		return tierColumns
	default:
		return baseColumns
	}
}

// check fails for a format that can't be right.
func (f Format) check() error {
	if t := f.Type; !f.Stock && t != "" && t != event.BasePrices && t != event.SpecialPrices && t != event.TierPrices {
		return fmt.Errorf("there is no list of type %q, but base, special and tier", t)
	}
	if f.Decimal != 0 && f.Decimal != ',' && f.Decimal != '.' {
		return fmt.Errorf("the decimal separator must be a comma or a point")
	}
	numbers := 0
	for ours, theirs := range f.Columns {
		if !slices.ContainsFunc(f.columns(), func(c column) bool { return c.name == ours }) {
			return fmt.Errorf("there is no column %q in such a list, but %s", ours, strings.Join(columnNames(f.columns()), ", "))
		}
		if n, err := strconv.Atoi(theirs); err == nil && n > 0 {
			numbers++
		}
	}
	if numbers > 0 && numbers < len(f.Columns) {
		return fmt.Errorf("columns have either names or numbers, not both")
	}
	return nil
}

// List is a file that was looked through.
type List struct {
	// Type of the prices; "" for stock.
	Type event.PriceType
	// Rows counts all rows, Repeated those whose key stands in the list again further down: only the last one counts.
	Rows, Repeated int
	// Columns maps our names of the columns that were found to the file's, or to their numbers. Ignored are the file's others.
	Columns map[string]string
	Ignored []string
	// Decimals maps our names of columns of numbers to their decimal separator, where the column shows it.
	Decimals map[string]string
	// About is what the file is.
	About     table.About
	Delimiter byte

	file    io.ReadSeeker
	first   *table.Reader // which has read the file before
	format  Format
	options table.Options
	at      []int // the cell of each column of the format, -1 where the file has none
	numbers []separators
	again   map[uint64]int // how often keys stand in the list that stand there several times
	seed    maphash.Seed
}

// Open looks through a list. It fails with a *table.UnusableError if nothing can be made of it.
func Open(file io.ReadSeeker, f Format) (*List, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	if f.Source == "" {
		f.Source = event.DefaultSource
	}
	about, err := table.Look(file)
	if err != nil {
		return nil, err
	}
	l := &List{file: file, About: about, format: f, seed: maphash.MakeSeed()}
	return l, l.look()
}

// look finds the columns, the separators and the repeated keys.
func (l *List) look() error {
	if !l.format.byNumber() {
		l.options.Header = l.format.fits
	}
	r, err := table.NewReader(l.file, l.About, l.options)
	if err != nil {
		return l.named(err)
	}
	if err := l.layout(r); err != nil {
		return err
	}
	l.first, l.Delimiter = r, r.Delimiter()
	var keys []uint64
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if row.Fault != "" {
			continue
		}
		for i, c := range l.format.columns() {
			if c.number && l.at[i] >= 0 {
				l.numbers[i].see(cell(row, l.at[i]))
			}
		}
		if key, ok := l.key(row); ok {
			keys = append(keys, key)
		}
	}
	l.Rows = r.Rows()
	l.repeated(keys)
	l.Decimals = map[string]string{}
	for i, c := range l.format.columns() {
		if d := l.decimal(i); d != 0 && c.number && l.at[i] >= 0 {
			l.Decimals[c.name] = string(rune(d))
		}
	}
	return nil
}

// decimal returns the decimal separator of a column, 0 where nothing shows it.
func (l *List) decimal(i int) byte {
	if l.format.Decimal != 0 {
		return l.format.Decimal
	}
	return l.numbers[i].decimal()
}

// key returns what stands for the key of a row.
func (l *List) key(row table.Row) (uint64, bool) {
	var h maphash.Hash
	h.SetSeed(l.seed)
	for i, c := range l.format.columns() {
		if !c.key {
			continue
		}
		value := strings.ToLower(cell(row, l.at[i]))
		switch {
		case c.name == columnSKU && value == "":
			return 0, false
		case value == "":
			value = c.absent
			if c.name == columnSource {
				value = strings.ToLower(l.format.Source)
			}
		}
		_, _ = h.WriteString(value)
		_ = h.WriteByte(0)
	}
	return h.Sum64(), true
}

func (l *List) repeated(keys []uint64) {
	slices.Sort(keys)
	l.again = map[uint64]int{}
	for from := 0; from < len(keys); {
		to := from + 1
		for to < len(keys) && keys[to] == keys[from] {
			to++
		}
		if n := to - from; n > 1 {
			l.again[keys[from]] = n
			l.Repeated += n - 1
		}
		from = to
	}
}

// cell returns the text of a cell without what spreadsheets put around it, and "" where there is none.
func cell(row table.Row, at int) string {
	if at < 0 || at >= len(row.Cells) {
		return ""
	}
	text := strings.TrimFunc(string(row.Cells[at].Text), table.IsSpace)
	if inner, ok := strings.CutPrefix(text, `="`); ok && strings.HasSuffix(inner, `"`) {
		text = strings.TrimSuffix(inner, `"`)
	}
	return strings.TrimFunc(strings.TrimPrefix(text, "'"), table.IsSpace)
}
