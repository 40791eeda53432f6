package table_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/mageline/mageline/internal/table"
)

func gzipped(t testing.TB, content string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// zipped returns a zip with files, given as name, content, name, content.
func zipped(t testing.TB, files ...string) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		w, err := z.Create(files[i])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, files[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// book returns a workbook whose first sheet has the rows.
func book(t testing.TB, rows string) string {
	t.Helper()
	return zipped(t,
		"[Content_Types].xml", "<Types/>",
		"xl/workbook.xml", `<x:workbook xmlns:x="s" xmlns:r="r"><x:sheets><x:sheet name="Main" sheetId="7" r:id="rId2"/><x:sheet name="Other" sheetId="1" r:id="rId1"/></x:sheets></x:workbook>`,
		"xl/_rels/workbook.xml.rels", `<Relationships><Relationship Id="rId1" Target="worksheets/sheet1.xml"/><Relationship Id="rId2" Target="/xl/worksheets/sheet2.xml"/></Relationships>`,
		"xl/worksheets/sheet1.xml", `<worksheet><sheetData><row r="1"><c t="str"><v>wrong</v></c></row></sheetData></worksheet>`,
		"xl/sharedStrings.xml", `<sst><si><t>SKU</t></si><si><r><t>Pri</t></r><r><t>ce</t></r><rPh><t>xx</t></rPh></si><si><t xml:space="preserve">a "b", c_x000D_
d</t></si></sst>`,
		"xl/worksheets/sheet2.xml", `<worksheet><sheetData>`+rows+`</sheetData></worksheet>`,
	)
}

const bookHeader = `<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c></row>`

func TestReader_UnpacksArchives(t *testing.T) {
	const content = "SKU;Price\nA;1\n"
	want := []string{"2: A|1"}
	for name, packed := range map[string]string{
		"gzip":                         gzipped(t, content),
		"gzip in two members":          gzipped(t, content[:5]) + gzipped(t, content[5:]),
		"gzip of UTF-16":               gzipped(t, wide(content)),
		"zip":                          zipped(t, "a.csv", content),
		"zip with what Macs add":       zipped(t, "dir/", "", "dir/a.csv", content, "__MACOSX/dir/._a.csv", "x", "dir/.DS_Store", "x"),
		"workbook":                     book(t, bookHeader+`<row r="2"><c r="A2" t="inlineStr"><is><t>A</t></is></c><c r="B2"><v>1</v></c></row>`),
		"workbook without coordinates": book(t, `<row><c t="s"><v>0</v></c><c t="s"><v>1</v></c></row><row><c t="str"><f>x</f><v>A</v></c><c><v>1</v></c></row>`),
	} {
		if got, err := read(packed, has); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestReader_ReadsWorkbooks(t *testing.T) {
	got, err := read(book(t, bookHeader+
		`<row r="3"><c r="A3" t="s"><v>2</v></c><c r="B3"><v>7.94600000041E11</v></c></row>`+
		`<row r="4"></row><row r="5"><c r="B5"><v>0.10000000000000001</v></c></row>`+
		`<row r="6"><c r="A6" t="b"><v>1</v></c><c r="B6" t="e"><v>#N/A</v></c></row>`+
		`<row r="7"><c r="A7"><v>3.40434161094042E+17</v></c><c r="B7"><v>00340434161094042</v></c></row>`+
		`<row r="8"><c r="A8"><v>5</v></c><c r="D8"><v>9</v></c></row>`), has)
	want := []string{
		"3: a \"b\", c\u2028d|794600000041", "5: |0.1", "6: TRUE|#N/A", "7: 340434161094042000|340434161094042", "bad 8: 5|||9",
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got  %q, %v\nwant %q", got, err, want)
	}
}

func TestNewReader_RefusesArchives(t *testing.T) {
	whole := gzipped(t, "SKU;Price\n"+strings.Repeat("A;1\n", 1000))
	defer table.SetMaxUnpacked(1 << 20)()
	damaged := []byte(zipped(t, "a.csv", "SKU;Price\n"+strings.Repeat("A;1\n", 1000)))
	damaged[45] ^= 0xff
	for name, tt := range map[string]struct{ content, reason string }{
		"a zip with two files":   {zipped(t, "a.csv", "SKU;Price\n", "b.csv", "SKU;Price\n"), "the zip has 2 files"},
		"a zip with none":        {zipped(t, "dir/", ""), "the zip has no file"},
		"a zip that is cut":      {zipped(t, "a.csv", "SKU;Price\nA;1\n")[:60], "zip"},
		"a zip that is damaged":  {string(damaged), "zip"},
		"a gzip that is cut":     {whole[:len(whole)-20], "gzip"},
		"a gzip's head":          {whole[:5], "gzip"},
		"a gzip of nothing":      {gzipped(t, ""), "empty"},
		"a gzip of a picture":    {gzipped(t, "\x89PNG\x00\x00\x00\r"), "not text"},
		"a gzip that is too big": {gzipped(t, "SKU;Price\n"+strings.Repeat("A;1\n", 1<<18)), "more than 1 MiB when it is unpacked"},
		"rows in disorder":       {book(t, bookHeader+`<row r="3"/><row r="2"/>`), "not in their order"},
		"cells in disorder":      {book(t, bookHeader+`<row r="2"><c r="B2"><v>1</v></c><c r="A2"><v>1</v></c></row>`), "not in their order"},
		"a text that is not":     {book(t, bookHeader+`<row r="2"><c r="A2" t="s"><v>99</v></c></row>`), "damaged"},
		"XML that is cut":        {book(t, bookHeader+`<row r="2"><c r="A2"`), "damaged"},
		"no sheet":               {zipped(t, "xl/workbook.xml", "<workbook/>"), "damaged"},
	} {
		if got, err := read(tt.content, has); err == nil || !strings.Contains(err.Error(), tt.reason) {
			t.Errorf("%s: %q, %v, want %q", name, got, err, tt.reason)
		}
	}
}

// An archive's bytes may be anything: it is read, or not usable, and takes no more than its bounds.
func FuzzArchive(f *testing.F) {
	for _, seed := range []string{gzipped(f, "SKU;Price\nA;1\n"), zipped(f, "a.csv", "SKU;Price\nA;1\n"), book(f, bookHeader), "PK\x03\x04", "\x1f\x8b\x08"} {
		f.Add([]byte(seed), false)
	}
	f.Add([]byte(bookHeader+`<row r="2"><c t="s"><v>2</v></c></row>`), true)
	f.Add([]byte(`<row><c r="XFD1"><is><t>a&#10;b_x000A_</t><rPh><t>x</t></rPh></is></c></row>`), true)
	f.Fuzz(func(t *testing.T, content []byte, sheet bool) {
		text := string(content)
		if sheet {
			text = book(t, text)
		}
		for _, o := range []table.Options{has, {}} {
			_, err := read(text, o)
			if u := (*table.UnusableError)(nil); err != nil && !errors.As(err, &u) {
				t.Fatal(err)
			}
		}
	})
}
