package table

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/text/encoding/charmap"
)

// The decoder reads each byte as golang.org/x/text does, however the bytes come.
func TestSingle_ReadsAsXText(t *testing.T) {
	all := make([]byte, 0, 20*256)
	for i := range 20 * 256 {
		if b := byte(i); b < 0x80 || b >= 0xa0 || i < 256 {
			all = append(all, b)
		}
	}
	for name, x := range map[string]*charmap.Charmap{
		"Windows-1252": charmap.Windows1252, "windows-1250": charmap.Windows1250, "CP1251": charmap.Windows1251, "ISO_8859-2": charmap.ISO8859_2, "iso-8859-15": charmap.ISO8859_15,
		"latin9": charmap.ISO8859_15, "ibm852": charmap.CodePage852, "KOI8-R": charmap.KOI8R, "windows-1254": charmap.Windows1254, "macintosh": charmap.Macintosh,
	} {
		all := all
		if strings.Contains(plainName(name), "8859") || name == "latin9" {
			all = all[256:] // x/text has no characters from 0x80 to 0x9F in these, and Unicode's own are control characters
		}
		want, err := x.NewDecoder().Bytes(all)
		if err != nil {
			t.Fatal(err)
		}
		for way, wrap := range map[string]func(io.Reader) io.Reader{
			"whole":             func(r io.Reader) io.Reader { return r },
			"byte by byte":      iotest.OneByteReader,
			"halves":            iotest.HalfReader,
			"the end with data": iotest.DataErrReader,
		} {
			got, err := io.ReadAll(iotest.OneByteReader(&single{r: wrap(bytes.NewReader(all)), high: charset(name)}))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s, %s: %d bytes, %v; want %d", name, way, len(got), err, len(want))
			}
		}
	}
	if charset("utf-7") != nil {
		t.Error("utf-7 is known")
	}
	if _, err := io.ReadAll(&single{r: iotest.ErrReader(io.ErrUnexpectedEOF), high: charset(windows1252)}); err != io.ErrUnexpectedEOF { //nolint:errorlint // as it came
		t.Errorf("got %v", err)
	}
}
