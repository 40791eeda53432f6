package tracking

import (
	"io"
	"unicode/utf8"
)

// high are the characters of Windows-1252 from 0x80 to 0x9F, where it differs from Unicode's first 256. Five bytes are no
// character.
var high = [32]rune{
	'€', utf8.RuneError, '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', utf8.RuneError, 'Ž', utf8.RuneError,
	utf8.RuneError, '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', utf8.RuneError, 'ž', 'Ÿ',
}

// windows1252 reads Windows-1252 as UTF-8. golang.org/x/text has it among 40 others, which the linker can't leave out.
type windows1252 struct {
	r    io.Reader
	in   [1024]byte
	out  []byte // what is decoded and not read yet
	text []byte // of out
	err  error  // of r, told when out is read
}

func (w *windows1252) Read(p []byte) (int, error) {
	if len(w.out) == 0 && w.err == nil && len(p) > 0 {
		var n int
		n, w.err = w.r.Read(w.in[:])
		w.text = w.text[:0]
		for _, b := range w.in[:n] {
			c := rune(b)
			if 0x80 <= b && b < 0xa0 {
				c = high[b-0x80]
			}
			w.text = utf8.AppendRune(w.text, c)
		}
		w.out = w.text
	}
	n := copy(p, w.out)
	w.out = w.out[n:]
	if n == 0 && len(w.out) == 0 {
		return 0, w.err
	}
	return n, nil
}
