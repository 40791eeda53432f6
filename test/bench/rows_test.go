package bench

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	files "github.com/mageline/mageline/internal/table"
	"github.com/mageline/mageline/internal/tracking"
)

// rows compares how a tracking file is read with encoding/csv alone on the same file: the rows alone, and with the first
// look at the file, which finds its hash and its encoding.
func rows(t *testing.T, out *table) {
	var b strings.Builder
	b.WriteString("Order Number;Tracking Number;Carrier Code;Name;SKU;Quantity\n")
	for i := range size.rows {
		name := []string{"Müller", `"Meier; Söhne"`, "Schmidt", ""}[i%4]
		fmt.Fprintf(&b, "%09d;00340434%011d1;DHL Paket;%s;24-MB%02d;%d\n", i+1, i, name, i%50, 1+i%3)
	}
	path := filepath.Join(t.TempDir(), "parcels.csv")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	measure := func(read func(f *os.File) (int, error)) float64 {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = f.Close() }()
		began := time.Now()
		n, err := read(f)
		took := time.Since(began)
		if err != nil || n != size.rows {
			t.Fatalf("%d rows, want %d: %v", n, size.rows, err)
		}
		return float64(n) / took.Seconds()
	}
	var parsed, all, limit []float64
	for range 5 * size.rounds {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		about, err := files.Look(f)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		limit = append(limit, measure(readCSV))
		parsed = append(parsed, measure(func(f *os.File) (int, error) { return readRows(f, about) }))
		all = append(all, measure(lookAndRead))
	}
	out.rates("rows of a tracking file, parsed", parsed, limit, "0.6", "limit: encoding/csv alone")
	out.rates("rows of a tracking file, with the first look at it", all, limit, "", "limit: encoding/csv alone")
}

func lookAndRead(f *os.File) (int, error) {
	about, err := files.Look(f)
	if err != nil {
		return 0, err
	}
	return readRows(f, about)
}

func readRows(f *os.File, about files.About) (n int, err error) {
	r, err := (&tracking.Profile{}).Open(f, about)
	for err == nil {
		var p tracking.Parcel
		p, _, err = r.Next()
		n += p.Rows
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

func readCSV(f *os.File) (n int, err error) {
	r := csv.NewReader(f)
	r.Comma = ';'
	for n = -1; err == nil; n++ { // the header, and the end
		_, err = r.Read()
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n - 1, err
}
