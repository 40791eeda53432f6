package tracking_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"golang.org/x/text/encoding/charmap"

	"github.com/mageline/mageline/internal/table"
	"github.com/mageline/mageline/internal/tracking"
)

// read reads a whole file, and gives the parcels as messages, the bad rows as "line: reason", and the rejected file.
func read(content string, f *tracking.Profile) (parcels, bad []string, rejected string, err error) {
	about, err := table.Look(strings.NewReader(content))
	if err != nil {
		return nil, nil, "", err
	}
	if err := f.Check(strings.NewReader(content), about); err != nil {
		return nil, nil, "", err
	}
	r, err := f.Open(strings.NewReader(content), about)
	if err != nil {
		return nil, nil, "", err
	}
	var out strings.Builder
	w, err := r.NewRejected(&out)
	if err != nil {
		return nil, nil, "", err
	}
	for {
		p, b, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			return parcels, bad, out.String(), nil
		case err != nil:
			return nil, nil, "", err
		case b != nil:
			bad = append(bad, fmt.Sprintf("%d: %s", b.Line, b.Reason))
			if err := w.Write(b); err != nil {
				return nil, nil, "", err
			}
		default:
			message, err := json.Marshal(p)
			if err != nil {
				return nil, nil, "", err
			}
			parcels = append(parcels, string(message))
		}
	}
}

// profile returns a profile that is written in YAML.
func profile(text string) *tracking.Profile {
	all, err := tracking.Parse("test", []byte(text))
	if err != nil || len(all) != 1 {
		panic(fmt.Sprint(all, err))
	}
	return all[0]
}

func message(order, number, more string) string {
	return fmt.Sprintf(`{"order_number":%q,"tracking_number":%q,"carrier_code":"custom"%s}`, order, number, more)
}

func TestReader_ReturnsParcels(t *testing.T) {
	own := profile(`{name: own, columns: {order_number: Auftragsnr., tracking_number: Sendungsnr.}, carriers: {DHL Paket: dhl, DPD DE: dpd}}`)
	numbers := profile(`{name: numbers, columns: {order_number: 2, tracking_number: 1, sku: 4}}`)
	tests := []struct {
		name, content string
		format        *tracking.Profile
		want          []string
	}{
		{"plain", "order_number,tracking_number\n100,1Z\n", &tracking.Profile{}, []string{message("100", "1Z", "")}},
		{"no line break at the end, CRLF, empty lines", "\r\norder_number,tracking_number\r\n\r\n100,1Z\r\n\n101,2Z", &tracking.Profile{}, []string{message("100", "1Z", ""), message("101", "2Z", "")}},
		{"semicolon", "tracking_number;order_number\n1Z;100\n", &tracking.Profile{}, []string{message("100", "1Z", "")}},
		{"tab", "tracking_number\torder_number\n1Z\t100\n", &tracking.Profile{}, []string{message("100", "1Z", "")}},
		{"pipe, with commas in the header", "a,b|tracking_number|order_number\nx|1Z|100\n", &tracking.Profile{}, []string{message("100", "1Z", "")}},
		{"names in any case, with spaces and underscores", " Order Number ,TRACKINGNUMBER,Ship_ment Number\n100,1Z,S1\n", &tracking.Profile{}, []string{message("100", "1Z", `,"shipment_number":"S1"`)}},
		{"the file's own names", "Sendungsnr.;auftrags nr.;Carrier Code\n1Z;100;dhl paket\n2Z;101;DPD DE\n3Z;102;Post\n4Z;103;dpd\n", own, []string{
			`{"order_number":"100","tracking_number":"1Z","carrier_code":"dhl","title":"dhl paket"}`,
			`{"order_number":"101","tracking_number":"2Z","carrier_code":"dpd","title":"DPD DE"}`,
			`{"order_number":"102","tracking_number":"3Z","carrier_code":"custom","title":"Post"}`,
			`{"order_number":"103","tracking_number":"4Z","carrier_code":"dpd","title":"dpd"}`,
		}},
		{"numbers instead of a header", "1Z;100;x;A\n2Z;101\n", numbers, []string{message("100", "1Z", `,"items":[{"sku":"A"}]`), message("101", "2Z", "")}},
		{"carriers without a table", "order_number,tracking_number,carrier_code,title\n100,1Z,ups,\n101,2Z,Fancy Express,\n102,3Z,,By hand\n103,4Z,ups,UPS Saver\n", &tracking.Profile{}, []string{
			`{"order_number":"100","tracking_number":"1Z","carrier_code":"ups","title":"ups"}`,
			`{"order_number":"101","tracking_number":"2Z","carrier_code":"custom","title":"Fancy Express"}`,
			message("102", "3Z", `,"title":"By hand"`),
			`{"order_number":"103","tracking_number":"4Z","carrier_code":"ups","title":"UPS Saver"}`,
		}},
		{"a quote inside an unquoted cell", "order_number,tracking_number,title\n100,1Z,5\" tube\n101,2Z,a \"b\" c\n", &tracking.Profile{}, []string{message("100", "1Z", `,"title":"5\" tube"`), message("101", "2Z", `,"title":"a \"b\" c"`)}},
		{"quoted cells", "\"order_number\",\"tracking_number\",\"title\"\r\n\"100\",\"1Z\",\"a, \"\"b\"\"\"\r\n\"101\", \"2Z\" ,\"two\nlines\"\r\n102,3Z,\"\"\r\n", &tracking.Profile{}, []string{
			message("100", "1Z", `,"title":"a, \"b\""`), message("101", "2Z", `,"title":"two lines"`), message("102", "3Z", ""),
		}},
		{"a quote that is not doubled", "order_number,tracking_number,title\n100,1Z,\"Müller \"Hans\" GmbH\"\n", &tracking.Profile{}, []string{message("100", "1Z", `,"title":"Müller \"Hans\" GmbH"`)}},
		{"what spreadsheets put around", "order_number,tracking_number\n'000100,\"=\"\"00340\"\"\"\n#101,=\"00341\"\n", &tracking.Profile{}, []string{message("000100", "00340", ""), message("101", "00341", "")}},
		{"rows of one parcel", "order_number,tracking_number,sku,quantity,source_code\n100,1Z,A,1,\n100,1Z,B,2.50,west\n\n100,1Z,C,,\n101,1Z,A,\"1,5\",\n100,1Z,D,007.0,\n101,1Z,A,0.2500,\n", &tracking.Profile{}, []string{
			message("100", "1Z", `,"source_code":"west","items":[{"sku":"A","quantity":1},{"sku":"B","quantity":2.5},{"sku":"C"}]`),
			message("101", "1Z", `,"items":[{"sku":"A","quantity":1.5}]`),
			message("100", "1Z", `,"items":[{"sku":"D","quantity":7}]`),
			message("101", "1Z", `,"items":[{"sku":"A","quantity":0.25}]`),
		}},
		{"another shipment is another parcel", "order_number,tracking_number,shipment_number\n100,1Z,1\n100,1Z,2\n", &tracking.Profile{}, []string{message("100", "1Z", `,"shipment_number":"1"`), message("100", "1Z", `,"shipment_number":"2"`)}},
		{"empty cells behind the header's", "order_number,tracking_number\n100,1Z,, ,\n", &tracking.Profile{}, []string{message("100", "1Z", "")}},
		{"lines above the header", "Report\nfrom, to\n\norder_number,tracking_number\n100,1Z\n", &tracking.Profile{}, []string{message("100", "1Z", "")}},
		{"a line that names the delimiter", "sep=;\norder_number;tracking_number;a,b,c,d\n100;1Z;\n", &tracking.Profile{}, []string{message("100", "1Z", "")}},
		{"blank rows", "order_number;tracking_number\n;;\n\"\";\" \"\n100;1Z\n ; \u00a0\n", &tracking.Profile{}, []string{message("100", "1Z", "")}},
		{"a header alone", "order_number,tracking_number\n", &tracking.Profile{}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for encoding, content := range encodings(t, tt.content) {
				got, bad, _, err := read(content, tt.format)
				if err != nil || len(bad) > 0 || !slices.Equal(got, tt.want) {
					t.Errorf("%s: got\n%s\nbad %q, error %v, want\n%s", encoding, strings.Join(got, "\n"), bad, err, strings.Join(tt.want, "\n"))
				}
			}
		})
	}
}

// encodings gives a text in each of them.
func encodings(t *testing.T, text string) map[string]string {
	t.Helper()
	latin, err := charmap.Windows1252.NewEncoder().String(text)
	if err != nil {
		t.Fatal(err)
	}
	little, big := []byte("\xff\xfe"), []byte("\xfe\xff")
	for _, u := range utf16.Encode([]rune(text)) {
		little, big = append(little, byte(u), byte(u>>8)), append(big, byte(u>>8), byte(u))
	}
	return map[string]string{
		"UTF-8": text, "UTF-8 with BOM": "\ufeff" + text, "Windows-1252": latin, "UTF-16LE": string(little), "UTF-16BE": string(big),
	}
}

func TestReader_ReturnsBadRowsWithReasons(t *testing.T) {
	const header = "order_number,tracking_number,sku,quantity\n"
	tests := []struct {
		name, rows string
		bad        []string // "line: part of the reason"
		good       int
		rejected   string // after the header
	}{
		{
			"missing", ",1Z,A,1\n101, ,A,1\n,,,\n102,2Z\n",
			[]string{"2: order_number is missing", "3: tracking_number is missing"},
			1,
			",1Z,A,1,2,order_number is missing\n101, ,A,1,3,tracking_number is missing\n",
		},
		{"spoilt by a spreadsheet", "1.23E+11,1Z,A,1\n100,\"3,4E+20\",A,1\n100,1E5,A,1\n5e-7,1Z,A,1\n100,12E+5,A,1\n100,E+5,A-1,1\n", []string{"2: order_number was spoilt", "3: tracking_number was spoilt", "5: order_number was spoilt", "6: tracking_number was spoilt"}, 2, ""},
		{"numbers in other words", "100/101,1Z,A,1\n100000001/100000002,2Z,A,1\n1.234,3Z,A,1\n100000001.0,4Z,A,1\n1,794600000041.0,A,1\n1,\"794,612,345\",A,1\n", []string{
			"3: order_number has several", "4: order_number has thousands", "5: order_number has a decimal", "6: tracking_number has a decimal", "7: tracking_number has a decimal",
		}, 1, ""},
		{"quantities", "100,1,A,0\n100,2,A,-1\n100,3,A,two\n100,4,A,1e9\n100,5,A,NaN\n100,6,A,\"1,000\"\n100,7,A,1.000000\n100,8,A,0.00001\n100,9,A,123456789\n", []string{"2: quantity", "3: quantity", "4: quantity", "5: quantity", "6: quantity", "7: quantity", "9: quantity", "10: quantity"}, 1, ""},
		{"a short row", "100\n", []string{"2: tracking_number is missing"}, 0, "100,,,,2,tracking_number is missing\n"},
		{"a long row", ",1Z,A,1,x,\"y,z\"\n", []string{"2: the row has more cells"}, 0, ",1Z,A,1,2,the row has more cells than the header: put a cell in quotes that has the delimiter in it,x,\"y,z\"\n"},
		{"a quote that is never closed", "100,\"1Z,A,1\n101,2Z,A,1\n102,\"3Z\",A,1\n", []string{"2: a quote is opened"}, 2, "100,\"\"\"1Z\",A,1,2,\"a quote is opened and never closed: close it, or take it away\"\n"},
		{"and at the end", "101,2Z,A,1\n100,1Z,\"A\n", []string{"3: a quote is opened"}, 1, ""},
		{"two that are never closed", "100,\"1Z,A,1\n101,\"2Z,A,1\n102,3Z,A,1\n", []string{"2: a quote is opened", "3: a quote is opened"}, 1, ""},
		{"a stray one and then none", "100,\"\"1Z,A,1\n101,2Z,\"x\"\n", []string{"2: a quote is opened"}, 1, ""},
		{"a quote that begins a number", "100,\"\"\"1Z\",A,1\n", []string{"2: tracking_number begins with a quote"}, 0, ""},
		{"a line break in an order number", "\"100\n101\",1Z,A,1\n101,\"3Z\",A,1\n", []string{"2: order_number has a blank"}, 1, ""},
		{"a zero byte in a number", "100,\"1Z\a\",A,1\n101,\"3Z\",A,1\n", []string{"2: tracking_number has a line break or another character"}, 1, ""},
		{"a huge cell", "100," + strings.Repeat("9", 256) + ",A,1\n101,1Z,A,1\n", []string{"2: tracking_number is too long"}, 1, ""},
		{"a huge row", "100,1Z,A,1," + strings.Repeat("9", 3<<20) + "\n101,1Z,A,1\n", []string{"2: the row is longer"}, 1, ""},
		{"lines are counted as the file has them", "\n100,\"1Z\",\"A\nB\",1\n\n,2Z,A,1\n", []string{"3: sku has a line break", "6: order_number is missing"}, 0, ""},
		{"a bad row parts neighbours", "100,1Z,A,1\n100,1Z,B,0\n100,1Z,C,1\n", []string{"3: quantity"}, 2, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			good, bad, rejected, err := read(header+tt.rows, &tracking.Profile{})
			if err != nil || len(good) != tt.good || len(bad) != len(tt.bad) {
				t.Fatalf("good %q, bad %q, error %v", good, bad, err)
			}
			for i := range bad {
				if !strings.HasPrefix(bad[i], tt.bad[i]) {
					t.Errorf("bad row %q, want %q", bad[i], tt.bad[i])
				}
			}
			if tt.rejected == "" {
				return
			}
			const added = "order_number,tracking_number,sku,quantity,line,reason\n"
			if want := added + tt.rejected; rejected != want {
				t.Errorf("rejected:\n%s\nwant\n%s", rejected, want)
			}
			// What is dropped in again as it is is bad again, and its columns are not added twice.
			good, again, twice, err := read(rejected, &tracking.Profile{})
			if err != nil || len(good) > 0 || len(again) != len(bad) || !strings.HasPrefix(twice, added) {
				t.Errorf("read again: good %q, bad %q, error %v, rejected\n%s", good, again, err, twice)
			}
		})
	}
}

// A corrected copy of what was rejected is a file as any other.
func TestRejected_CanBeCorrectedAndReadAgain(t *testing.T) {
	for _, f := range []struct {
		content string
		format  *tracking.Profile
	}{
		{"Order Number;note;Tracking Number\nWRONG;\"a;b\";\nWRONG\nWRONG;;;;\n", &tracking.Profile{}},
		{"WRONG;note;\nWRONG;\n", profile(`{name: numbers, columns: {order_number: 1, tracking_number: 3}}`)},
	} {
		_, bad, rejected, err := read("\ufeff"+f.content, f.format)
		if err != nil || len(bad) == 0 {
			t.Fatalf("bad %q, %v", bad, err)
		}
		if !strings.HasPrefix(rejected, "\ufeff") {
			t.Error("the byte order mark is gone")
		}
		lines := strings.Split(strings.TrimSuffix(rejected, "\n"), "\n")
		for i, line := range lines {
			if strings.Contains(line, "WRONG") {
				cells := strings.SplitN(strings.ReplaceAll(line, `"a;b"`, "ab"), ";", 4)
				lines[i] = "100;" + cells[1] + ";1Z;" + cells[3]
			}
		}
		good, still, _, err := read(strings.Join(lines, "\n"), f.format)
		if err != nil || len(still) > 0 || len(good) != 1 || good[0] != message("100", "1Z", "") {
			t.Errorf("good %q, bad %q, error %v", good, still, err)
		}
	}
}

func TestNewReader_RefusesUnusableFiles(t *testing.T) {
	many := strings.Repeat("1,2\n", table.MaxRows)
	tests := []struct {
		name, content string
		format        *tracking.Profile
		reason        string
	}{
		{"nothing", "", &tracking.Profile{}, "empty"},
		{"a mark alone", "\ufeff", &tracking.Profile{}, "empty"},
		{"empty lines", "\r\n\n", &tracking.Profile{}, "empty"},
		{"no known column", "a,b\n1,2\n", &tracking.Profile{}, "neither order_number nor tracking_number"},
		{"only one of them", "order_number,b\n1,2\n", &tracking.Profile{}, "no tracking_number"},
		{"only the other", "tracking_number;b\n1,2\n", &tracking.Profile{}, "no order_number"},
		{"a picture", "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", &tracking.Profile{}, "not text"},
		{"a zero far behind", "order_number,tracking_number\n" + strings.Repeat("1,2\n", 100_000) + "\x00", &tracking.Profile{}, "not text"},
		{"a zero in UTF-16", "\xff\xfe" + wide("order_number,tracking_number\n1,2\n\x00"), &tracking.Profile{}, "not text"},
		{"one endless line", strings.Repeat("x", 3<<20), &tracking.Profile{}, "longer than a mebibyte"},
		{"too many rows", "order_number,tracking_number\n1,1\n" + many, &tracking.Profile{}, "more than 1000000 rows"},
		{"fewer cells than asked for", "1,2\n", profile(`{name: numbers, columns: {order_number: 1, tracking_number: 3}}`), "asks for number 3"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, _, err := read(tt.content, tt.format)
			var unusable *table.UnusableError
			if !errors.As(err, &unusable) || !strings.Contains(err.Error(), tt.reason) {
				t.Errorf("error %v, want %q", err, tt.reason)
			}
		})
	}
	if got, _, _, err := read("order_number,tracking_number\n\n\n"+many, &tracking.Profile{}); err != nil || len(got) != 1 {
		t.Errorf("as many rows as may be: %d parcels, %v", len(got), err)
	}
	if _, err := new(tracking.Profile).Open(strings.NewReader(""), table.About{Size: table.MaxBytes + 1}); err == nil || !strings.Contains(err.Error(), "split it") {
		t.Errorf("too large: %v", err)
	}
}

func wide(text string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(text)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return string(b)
}

func TestReader_ReturnsReadErrors(t *testing.T) {
	broken := errors.New("stale handle")
	content := "order_number,tracking_number\n100,1Z\n101,2"
	about, _ := table.Look(strings.NewReader(content))
	r, err := new(tracking.Profile).Open(&breaking{Reader: strings.NewReader(content), err: broken}, about)
	if err != nil {
		t.Fatal(err)
	}
	if p, bad, err := r.Next(); !errors.Is(err, broken) {
		t.Errorf("got %+v, %+v, %v", p, bad, err)
	}
}

// breaking fails at its end.
type breaking struct {
	*strings.Reader
	err error
}

func (b *breaking) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = b.err
	}
	return n, err
}

// generated is a file of any length that is never held.
type generated struct {
	row, rows int
	rest      []byte
}

func (g *generated) Seek(int64, int) (int64, error) {
	g.row, g.rest = 0, nil
	return 0, nil
}

func (g *generated) Read(p []byte) (int, error) {
	for len(g.rest) == 0 {
		if g.row > g.rows {
			return 0, io.EOF
		}
		if g.row == 0 {
			g.rest = []byte("order_number;tracking_number;carrier_code;note\n")
		} else {
			g.rest = fmt.Appendf(nil, "%09d;\"00340%012d\";dhl;\"Müller \"\"Hans\"\"\"\n", g.row, g.row)
		}
		g.row++
	}
	n := copy(p, g.rest)
	g.rest = g.rest[n:]
	return n, nil
}

// The memory that is in use does not grow with the file.
func TestReader_BoundsMemory(t *testing.T) {
	peak := func(rows int) (most uint64) {
		about, err := table.Look(&generated{rows: rows})
		if err != nil {
			t.Fatal(err)
		}
		r, err := new(tracking.Profile).Open(&generated{rows: rows}, about)
		if err != nil {
			t.Fatal(err)
		}
		var m runtime.MemStats
		for n := 0; ; n++ {
			_, bad, err := r.Next()
			if errors.Is(err, io.EOF) {
				if n != rows {
					t.Fatalf("%d parcels, want %d", n, rows)
				}
				return most
			}
			if err != nil || bad != nil {
				t.Fatal(bad, err)
			}
			if n%(rows/5) == rows/5-1 {
				runtime.GC()
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapAlloc)
			}
		}
	}
	small := peak(2_000)
	if large := peak(200_000); large > small+256<<10 {
		t.Errorf("%d bytes of heap for 200,000 rows, %d for 2,000", large, small)
	}
}

func FuzzReader(f *testing.F) {
	for _, seed := range []string{
		"order_number,tracking_number\n100,1Z\n", "order_number;tracking_number;sku;quantity;line;reason\r\n100;\"1Z\r\n\";A;1,5\r\n\"", "\xff\xfeo\x00",
		"order_number|tracking_number\n\"\"x|\"\n\"|\"\"\"\n", "\xef\xbb\xbforder_number\ttracking_number\n=\"1\"\t'#2\n\xfc", "1,2\n3,4\n", "\x00",
	} {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, content []byte, numbers bool) {
		format := &tracking.Profile{}
		if numbers {
			format = profile(`{name: numbers, columns: {order_number: 1, tracking_number: 2, sku: 3, quantity: 4}}`)
		}
		about, err := table.Look(bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		r, err := format.Open(bytes.NewReader(content), about)
		var unusable *table.UnusableError
		if err != nil {
			if !errors.As(err, &unusable) {
				t.Fatal(err)
			}
			return
		}
		var rejected bytes.Buffer
		w, err := r.NewRejected(&rejected)
		if err != nil {
			t.Fatal(err)
		}
		rows, badRows, line := 0, 0, 0
		for {
			p, bad, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if errors.As(err, &unusable) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if bad != nil {
				badRows++
				if err := w.Write(bad); err != nil || bad.Reason == "" || bad.Line <= line {
					t.Fatalf("bad row %+v after line %d: %v", bad, line, err)
				}
				line = bad.Line
				continue
			}
			message, err := json.Marshal(p)
			if err != nil || !json.Valid(message) || p.OrderNumber == "" || p.TrackingNumber == "" || p.Rows == 0 || p.Line <= line || p.LastLine < p.Line {
				t.Fatalf("parcel %+v after line %d: %v", p, line, err)
			}
			rows, line = rows+p.Rows, p.LastLine
		}
		if rows+badRows != r.Rows() || r.Rows() > len(content) {
			t.Fatalf("%d rows in parcels, %d bad, %d in all, of %d bytes", rows, badRows, r.Rows(), len(content))
		}
		if badRows == 0 {
			return
		}
		// What was rejected is a file with as many rows.
		about, err = table.Look(bytes.NewReader(rejected.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		again, err := format.Open(bytes.NewReader(rejected.Bytes()), about)
		if err != nil {
			t.Fatalf("the rejected rows can't be read: %v\n%q", err, rejected.Bytes())
		}
		for err == nil {
			_, _, err = again.Next()
		}
		if !errors.Is(err, io.EOF) || again.Rows() != badRows && (!numbers || again.Rows() != badRows-1) { // a row without a digit may be a header
			t.Fatalf("%d rows were rejected, %d read again, %v\n%q", badRows, again.Rows(), err, rejected.Bytes())
		}
	})
}
