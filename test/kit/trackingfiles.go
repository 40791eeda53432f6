package kit

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"unicode/utf16"

	"golang.org/x/text/encoding/charmap"
)

// TrackingFile is a file of a 3PL, good or not.
type TrackingFile struct {
	Name    string
	Content []byte
	// Good are the parcels that it tells of, as "order number, space, tracking number"; Bad are words, each in one row that
	// can't be used and nowhere else.
	Good, Bad []string
	// Unusable is one of which nothing can be made.
	Unusable bool
	// Pieces is how many writes it takes to write it, with pauses in between.
	Pieces int
	// Pause, if it is above 0, is after how many bytes, at the end of a row, its writer pauses for so long that the file counts as
	// complete.
	Pause int
}

// TrackingFiles makes n files as 3PLs make them: of every encoding, delimiter and kind of quoting, with mistakes of all
// kinds, some empty, some not CSV, some twice. The same seed makes the same files. Each parcel is of one of the orders and
// has a number of its own; some are told of twice.
func TrackingFiles(seed uint64, n int, orders []string) []TrackingFile {
	g := &threePL{rand: rand.New(rand.NewPCG(seed, seed)), orders: orders}
	files := make([]TrackingFile, 0, n)
	for i := range n {
		if i > 0 && g.rand.IntN(20) == 0 { // a copy
			f := files[g.rand.IntN(i)]
			f.Name, f.Bad, f.Pause = fmt.Sprintf("copy %d of %s", i, f.Name), nil, 0
			files = append(files, f)
			continue
		}
		f := g.file()
		f.Name = fmt.Sprintf([]string{"%d.csv", "Sendungen %d.csv", "Übergabe – %d.csv", "a;b,%d'.csv"}[g.rand.IntN(4)], i)
		f.Pieces = 1 + g.rand.IntN(20)/18
		files = append(files, f)
	}
	return files
}

type threePL struct {
	rand    *rand.Rand
	orders  []string
	parcels []string // so far, as orders and numbers
	words   int
}

// file makes one, without a name.
func (g *threePL) file() (f TrackingFile) {
	switch g.rand.IntN(25) {
	case 0:
		return TrackingFile{Unusable: true, Content: []byte(strings.Repeat("\r\n", 1+g.rand.IntN(2)))} // an empty file takes a minute
	case 1:
		return TrackingFile{Unusable: true, Content: append([]byte("PK\x03\x04\x00\x00"), fmt.Appendf(nil, "%x", g.rand.Uint64())...)}
	case 2:
		return TrackingFile{Unusable: true, Content: fmt.Appendf(nil, "Bestellung;Paket\n%d;1Z\n", g.rand.Uint64())}
	}
	delimiter := []string{",", ";", "\t", "|"}[g.rand.IntN(4)]
	lineBreak := []string{"\n", "\r\n"}[g.rand.IntN(2)]
	quote := func(cell string) string { return cell }
	if g.rand.IntN(2) == 0 {
		quote = func(cell string) string { return `"` + strings.ReplaceAll(cell, `"`, `""`) + `"` }
	}
	var b strings.Builder
	row := func(cells ...string) { b.WriteString(strings.Join(cells, delimiter) + lineBreak) }
	pauses := g.rand.IntN(20) == 0
	pause := 0
	row(quote("Order_Number"), quote("note"), quote("TRACKING number"), quote("quantity"))
	for i := range g.rand.IntN(10) {
		if pauses && i == 2 {
			pause = b.Len()
		}
		if g.rand.IntN(5) > 0 {
			order, number := g.parcel()
			f.Good = append(f.Good, order+" "+number)
			row(quote(order), quote([]string{"", "Müller", "5 Ü", "a 'b' c"}[g.rand.IntN(4)]), quote([]string{"", "'", "#"}[g.rand.IntN(3)]+number), "")
			continue
		}
		g.words++
		word := fmt.Sprintf("bad-row-%d-of-all", g.words)
		f.Bad = append(f.Bad, word)
		switch g.rand.IntN(7) {
		case 0:
			row("", "", quote(word), "1")
		case 1:
			row(quote("1.23E+11"), "", quote(word), "")
		case 2:
			row(g.orders[0], "", word, "none")
		case 3:
			row(g.orders[0], `"`+word, "1Z", "") // never closed
		case 4:
			row(g.orders[0], word+strings.Repeat("x", 1<<20), "1Z", "")
		case 5:
			row(word)
		case 6:
			row(g.orders[0], word, strings.Repeat("9", 2000), "")
		}
		if g.rand.IntN(3) == 0 {
			b.WriteString(lineBreak)
		}
	}
	encode := g.encoding(b.String())
	f.Content = encode(b.String())
	if pause > 0 {
		f.Pause = len(encode(b.String()[:pause]))
	}
	return f
}

// parcel is a new one, or now and then one of before.
func (g *threePL) parcel() (order, number string) {
	if len(g.parcels) > 0 && g.rand.IntN(20) == 0 {
		order, number, _ = strings.Cut(g.parcels[g.rand.IntN(len(g.parcels))], " ")
		return order, number
	}
	order, number = g.orders[g.rand.IntN(len(g.orders))], fmt.Sprintf("00340%015d", 1+len(g.parcels))
	g.parcels = append(g.parcels, order+" "+number)
	return order, number
}

// encoding returns one in which the text can be written.
func (g *threePL) encoding(text string) func(string) []byte {
	switch g.rand.IntN(5) {
	case 0:
		return func(text string) []byte { return []byte("\ufeff" + text) }
	case 1:
		latin := func(text string) []byte {
			encoded, _ := charmap.Windows1252.NewEncoder().String(text)
			return []byte(encoded)
		}
		if _, err := charmap.Windows1252.NewEncoder().String(text); err == nil {
			return latin // what it has in it is in the code page
		}
	case 2:
		return func(text string) []byte { return utf16Of(text, binary.LittleEndian) }
	case 3:
		return func(text string) []byte { return utf16Of(text, binary.BigEndian) }
	}
	return func(text string) []byte { return []byte(text) }
}

// utf16Of returns a text with a byte order mark.
func utf16Of(text string, order binary.AppendByteOrder) []byte {
	var wide []byte
	for _, u := range utf16.Encode([]rune("\ufeff" + text)) {
		wide = order.AppendUint16(wide, u)
	}
	return wide
}
