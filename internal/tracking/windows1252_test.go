package tracking

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"

	"golang.org/x/text/encoding/charmap"
)

// The decoder reads each byte as golang.org/x/text does, however the bytes come.
func TestWindows1252_ReadsAsXText(t *testing.T) {
	all := make([]byte, 0, 20*256)
	for i := range 20 * 256 {
		all = append(all, byte(i))
	}
	want, err := charmap.Windows1252.NewDecoder().Bytes(all)
	if err != nil {
		t.Fatal(err)
	}
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"whole":             func(r io.Reader) io.Reader { return r },
		"byte by byte":      iotest.OneByteReader,
		"halves":            iotest.HalfReader,
		"the end with data": iotest.DataErrReader,
	} {
		got, err := io.ReadAll(iotest.OneByteReader(&windows1252{r: wrap(bytes.NewReader(all))}))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v; want %d", name, len(got), err, len(want))
		}
	}
	if err := iotest.TestReader(&windows1252{r: bytes.NewReader(all)}, want); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadAll(&windows1252{r: iotest.ErrReader(io.ErrUnexpectedEOF)}); err != io.ErrUnexpectedEOF { //nolint:errorlint // as it came
		t.Errorf("got %v", err)
	}
}
