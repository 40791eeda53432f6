package tracking

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"golang.org/x/text/encoding/unicode"
)

// Encoding is the character encoding of a file.
type Encoding string

// The encodings.
const (
	UTF8        Encoding = "UTF-8"
	UTF8BOM     Encoding = "UTF-8 with BOM"
	UTF16LE     Encoding = "UTF-16 (little endian)"
	UTF16BE     Encoding = "UTF-16 (big endian)"
	Windows1252 Encoding = "Windows-1252"
)

var byteOrderMarks = map[Encoding]string{UTF8BOM: "\xef\xbb\xbf", UTF16LE: "\xff\xfe", UTF16BE: "\xfe\xff"}

// text returns what follows the byte order mark, as UTF-8.
func (e Encoding) text(r io.Reader) (io.Reader, error) {
	if _, err := io.CopyN(io.Discard, r, int64(len(byteOrderMarks[e]))); err != nil {
		return nil, fmt.Errorf("read the byte order mark: %w", err)
	}
	switch e {
	case Windows1252:
		return &windows1252{r: r}, nil
	case UTF16LE:
		return unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM).NewDecoder().Reader(r), nil
	case UTF16BE:
		return unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM).NewDecoder().Reader(r), nil
	case UTF8, UTF8BOM:
	}
	return r, nil
}

// About is what Look has found.
type About struct {
	SHA256   string // hex
	Size     int64  // bytes
	Encoding Encoding

	lines int  // line breaks, or more
	zero  bool // a byte is 0, where none can be in a text
}

// Look reads a file to its end. It returns errors of r only: [NewReader] checks whether the file is usable.
func Look(r io.Reader) (About, error) {
	var (
		a       = About{Encoding: UTF8}
		hash    = sha256.New()
		buf     = make([]byte, 256<<10)
		kept    int // bytes at the beginning of buf: a character of which the rest is still to come
		valid   = true
		zero    bool
		reading = true
	)
	for reading {
		n, err := io.ReadFull(r, buf[kept:])
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			reading = false
		case err != nil:
			return a, err
		}
		read := buf[kept : kept+n]
		hash.Write(read)
		if a.Size == 0 {
			for e, mark := range byteOrderMarks {
				if bytes.HasPrefix(read, []byte(mark)) {
					a.Encoding = e
				}
			}
		}
		a.Size += int64(n)
		a.lines += bytes.Count(read, []byte{'\n'})
		zero = zero || bytes.IndexByte(read, 0) >= 0
		if valid {
			text := buf[:kept+n]
			rest := 0
			if reading {
				rest = incomplete(text)
			}
			valid = utf8.Valid(text[:len(text)-rest])
			kept = copy(buf, text[len(text)-rest:])
		} else {
			kept = 0
		}
	}
	a.SHA256 = hex.EncodeToString(hash.Sum(nil))
	switch wide := a.Encoding == UTF16LE || a.Encoding == UTF16BE; {
	case wide:
		// The reader checks each character. Half of a character may be 0.
	case !valid && a.Encoding == UTF8:
		a.Encoding = Windows1252
		a.zero = zero
	default: // a file with a byte order mark is what it says, and what can't be read in it is bad
		a.zero = zero
	}
	return a, nil
}

// incomplete returns how many bytes at the end of text are the beginning of a character.
func incomplete(text []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		if c := text[len(text)-n]; utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRune(text[len(text)-n:]) {
				return n
			}
			break
		}
	}
	return 0
}
