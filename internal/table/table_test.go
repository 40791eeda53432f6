package table_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/mageline/mageline/internal/table"
)

// has is a header with both columns.
var has = table.Options{Header: func(names []string) int {
	found := 0
	for _, n := range names {
		if f := table.Folded(n); f == "sku" || f == "price" {
			found++
		}
	}
	return found - 1
}}

// read reads a table, and returns its rows as "line: cell|cell", with the fault in front.
func read(content string, o table.Options) (rows []string, err error) {
	f := strings.NewReader(content)
	about, err := table.Look(f)
	if err != nil {
		return nil, err
	}
	if err := table.Check(f, about, o); err != nil {
		return nil, err
	}
	r, err := table.NewReader(f, about, o)
	if err != nil {
		return nil, err
	}
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, err
		}
		var cells []string
		for _, c := range row.Cells {
			cells = append(cells, string(c.Text))
		}
		text := fmt.Sprintf("%d: %s", row.Line, strings.Join(cells, "|"))
		if row.Fault != "" {
			text = "bad " + text
		}
		rows = append(rows, text)
	}
}

func TestReader_ReturnsRows(t *testing.T) {
	tests := []struct {
		name, content string
		options       table.Options
		want          []string
	}{
		{"plain", "SKU,Price\nA,1\n", has, []string{"2: A|1"}},
		{"CR alone", "SKU,Price\rA,1\r\rB,2\r", has, []string{"2: A|1", "4: B|2"}},
		{"line ends of all kinds", "SKU,Price\r\nA,1\rB,2\n\nC,3\r\n\r\nD,4", has, []string{"2: A|1", "3: B|2", "5: C|3", "7: D|4"}},
		{"CRLF in quotes is one line", "SKU,Price\r\n\"A\r\nB\",1\r\nC,2\r\n", has, []string{"2: A\nB|1", "4: C|2"}},
		{"lines above", "Price list\nof, today\n\nSKU;Price\nA;1\n", has, []string{"5: A|1"}},
		{"a separator line", "sep=^\nSKU^Price\nA^1\n", has, []string{"3: A|1"}},
		{"a separator line in quotes and cells", "\"sep=;\";;\nSKU;Price;x\nA;1;\n", has, []string{"3: A|1|"}},
		{"blank rows", "SKU;Price\n;;\nA;1\n\"\"; \n\n\u00a0;\n", has, []string{"3: A|1"}},
		{"too wide", "SKU;Price\nA;1;x\nB;2;; \nC;3;\"\"\n", has, []string{"bad 2: A|1|x", "3: B|2|| ", "4: C|3|"}},
		{"empty names at the end are no header", "SKU;Price;;\nA;1;;\nB;2;;x\n", has, []string{"2: A|1||", "bad 3: B|2||x"}},
		{"no header", "A;1;x\nB;2\n", table.Options{}, []string{"1: A|1|x", "2: B|2"}},
		{"perhaps a header", "A;1\nSKU;Price\n", table.Options{Header: has.Header, NoHeader: true}, []string{"1: A|1", "2: SKU|Price"}},
		{"perhaps a header, and there", "SKU;Price\nA;1\n", table.Options{Header: has.Header, NoHeader: true}, []string{"2: A|1"}},
		{"a delimiter that is named", "SKU^Price^a,b,c\nA^1^\n", table.Options{Header: has.Header, Delimiter: '^'}, []string{"2: A|1|"}},
		{"an encoding that is named", "SKU;Price\n\x8a;1\n", table.Options{Header: has.Header, Encoding: "ISO-8859-2"}, []string{"2: \u008a|1"}},
		{"another", "SKU;Price\n\xe8;1\n", table.Options{Header: has.Header, Encoding: "windows-1250"}, []string{"2: č|1"}},
		{"quotes are characters between tabs", "SKU\tPrice\tx\n\"5 in\" bag\t1\t\"a\"\nB \"x\t2\t\"C\" d\n\"D\t3\t4\nE\t\"5\t6\"\tx\n", has, []string{
			`2: "5 in" bag|1|a`, `3: B "x|2|"C" d`, `bad 4: "D|3|4`, "5: E|5\t6|x",
		}},
		{"blank rows before a file without a header", ";;\n\n1;2,3,4,5\n", table.Options{}, []string{"3: 1;2|3|4|5"}},
		{"a blank as the delimiter", "SKU Price\n \nA 1\n\"B C\" 2\n", table.Options{Header: has.Header, Delimiter: ' '}, []string{"3: A|1", "4: B C|2"}},
		{"none is named", "SKU;Price\n\xe8;1\n", has, []string{"2: è|1"}},
		{"UTF-16 is found out whatever is named", wide("\ufeffSKU;Price\nč;1\n"), table.Options{Header: has.Header, Encoding: "windows-1250"}, []string{"2: č|1"}},
		{"UTF-16 without a mark", wide("SKU;Price\r\nč;1\r\n"), has, []string{"2: č|1"}},
		{"and the other way round", swapped(wide("SKU;Price\r\nč;1\r\n")), has, []string{"2: č|1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := read(tt.content, tt.options); err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}

func TestNewReader_RefusesWhatIsNoTable(t *testing.T) {
	for name, tt := range map[string]struct {
		content, reason string
		options         table.Options
	}{
		"empty":                        {"", "empty", has},
		"blank lines":                  {"\r\n\n", "empty", has},
		"blank rows":                   {" \r\n;;\n\"\",\"\"\n", "empty", has},
		"no header":                    {"a,b\n1,2\n", "none of the first lines", has},
		"a header too far down":        {strings.Repeat("x\n", table.HeaderLines) + "SKU,Price\n", "none of the first lines", has},
		"a picture":                    {"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "not text", has},
		"one endless line":             {strings.Repeat("x", 3<<20), "longer than a mebibyte", has},
		"a delimiter that can't be":    {"SKU,Price\n", "delimiter", table.Options{Header: has.Header, Delimiter: '"'}},
		"an encoding that nobody uses": {"SKU,Price\n", "encoding", table.Options{Header: has.Header, Encoding: "utf-7"}},
	} {
		if got, err := read(tt.content, tt.options); err == nil || !strings.Contains(err.Error(), tt.reason) {
			t.Errorf("%s: %q, %v, want %q", name, got, err, tt.reason)
		}
	}
	if got, err := read(strings.Repeat("x\n", table.HeaderLines-1)+"SKU,Price\nA,1\n", has); err != nil || len(got) != 1 {
		t.Errorf("the header in the last line where it may be: %q, %v", got, err)
	}
}

// wide returns a text in UTF-16, little endian.
func wide(text string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(text)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return string(b)
}

func swapped(text string) string {
	b := []byte(text)
	for i := 0; i < len(b); i += 2 {
		b[i], b[i+1] = b[i+1], b[i]
	}
	return string(b)
}

// A character that lies over the edge of what is read at once is one all the same.
func TestLook_FindsTheEncoding(t *testing.T) {
	for _, shift := range []int{0, 1, 2, 3} {
		text := strings.Repeat("x", shift) + strings.Repeat("€𝄞", 200_000)
		about, err := table.Look(half{strings.NewReader(text)})
		if err != nil || about.Encoding != table.UTF8 || about.Size != int64(len(text)) {
			t.Errorf("shifted by %d: %+v, %v", shift, about, err)
		}
		about, err = table.Look(strings.NewReader(text + "\xe2\x82"))
		if err != nil || about.Encoding != table.Windows1252 {
			t.Errorf("cut off: %+v, %v", about, err)
		}
	}
}

// half returns less than is asked for.
type half struct{ *strings.Reader }

func (h half) Read(p []byte) (int, error) { return h.Reader.Read(p[:(len(p)+1)/2]) }

// Whatever a file has in it, lines only grow, no row is lost, and what is rejected can be read again.
func FuzzReader(f *testing.F) {
	for _, seed := range []string{
		"SKU,Price\nA,1\n", "x\rSKU;Price\r\r\nA;1;2\r\n\"", "sep=|\nSKU|Price\n\"a\"\"\rb\"|1\n", "\xff\xfeS\x00", "\x00S\x00K\x00U", "\xef\xbb\xbfSKU\tPrice\n\"x\"y\"\t1\t\t \n\xfc",
	} {
		f.Add([]byte(seed), true)
		f.Add([]byte(seed), false)
	}
	f.Fuzz(func(t *testing.T, content []byte, header bool) {
		options := table.Options{}
		if header {
			options = has
		}
		all := func(content []byte) (bad *bytes.Buffer, rows int) {
			about, err := table.Look(bytes.NewReader(content))
			if err != nil {
				t.Fatal(err)
			}
			r, err := table.NewReader(bytes.NewReader(content), about, options)
			unusable := (*table.UnusableError)(nil)
			if errors.As(err, &unusable) {
				return nil, 0
			}
			if err != nil {
				t.Fatal(err)
			}
			bad = &bytes.Buffer{}
			w, err := r.NewRejected(bad, 2)
			if err != nil {
				t.Fatal(err)
			}
			for line := 0; ; {
				row, err := r.Next()
				if errors.Is(err, io.EOF) {
					return bad, rows
				}
				if errors.As(err, &unusable) {
					return nil, 0
				}
				if err != nil || row.Line <= line || len(row.Cells) == 0 && row.Fault == "" {
					t.Fatalf("%+v, %v", row, err)
				}
				for _, c := range row.Cells {
					if c.At >= 0 && string(c.Text) != string(row.Raw[c.At:c.At+len(c.Text)]) {
						t.Fatalf("%q is not at %d of %q", c.Text, c.At, row.Raw)
					}
				}
				line = row.Line
				rows++
				if err := w.Write(row.Bad("a reason")); err != nil {
					t.Fatal(err)
				}
			}
		}
		bad, rows := all(content)
		if bad == nil || rows == 0 {
			return
		}
		again, n := all(bad.Bytes())
		if again == nil || n != rows {
			t.Fatalf("%d rows were rejected, %d read again\n%q", rows, n, bad.Bytes())
		}
	})
}
