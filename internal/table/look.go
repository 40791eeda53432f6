package table

import (
	"bufio"
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

// The encodings that are found out.
const (
	UTF8        Encoding = "UTF-8"
	UTF8BOM     Encoding = "UTF-8 with BOM"
	UTF16LE     Encoding = "UTF-16 (little endian)"
	UTF16BE     Encoding = "UTF-16 (big endian)"
	Windows1252 Encoding = "Windows-1252"
)

var byteOrderMarks = map[Encoding]string{UTF8BOM: "\xef\xbb\xbf", UTF16LE: "\xff\xfe", UTF16BE: "\xfe\xff"}

func (e Encoding) isWide() bool { return e == UTF16LE || e == UTF16BE }

// encodingOf returns the encoding with an IANA name, and "" for no name.
func encodingOf(name string) (Encoding, bool) {
	switch plainName(name) {
	case "":
		return "", true
	case "utf8":
		return UTF8, true
	case "utf16", "utf16le":
		return UTF16LE, true
	case "utf16be":
		return UTF16BE, true
	}
	return Encoding(name), charset(name) != nil
}

// text returns a file as UTF-8, without its byte order mark, and each line with a line feed alone at its end.
func (e Encoding) text(r *bufio.Reader) (io.Reader, error) {
	mark := byteOrderMarks[e]
	if begin, _ := r.Peek(len(mark)); mark != "" && string(begin) == mark {
		if _, err := r.Discard(len(mark)); err != nil {
			return nil, fmt.Errorf("read the byte order mark: %w", err)
		}
	}
	var text io.Reader = r
	switch e {
	case UTF16LE:
		text = unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM).NewDecoder().Reader(r)
	case UTF16BE:
		text = unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM).NewDecoder().Reader(r)
	case UTF8, UTF8BOM:
	case Windows1252:
		text = &single{r: r, high: charset(windows1252)}
	default:
		text = &single{r: r, high: charset(string(e))}
	}
	return &lineFeeds{r: text}, nil
}

// lineFeeds makes one line feed of each CRLF and each CR.
type lineFeeds struct {
	r     io.Reader
	after bool // the last byte was a CR: a line feed that follows belongs to it
}

func (l *lineFeeds) Read(p []byte) (int, error) {
	for {
		n, err := l.r.Read(p)
		text := p[:n]
		if n > 0 && l.after {
			l.after = false
			if text[0] == '\n' {
				text = text[:copy(text, text[1:])]
			}
		}
		if i := bytes.IndexByte(text, '\r'); i >= 0 {
			text = l.replace(text, i)
		}
		if len(text) > 0 || err != nil || len(p) == 0 {
			return len(text), err
		}
	}
}

// replace replaces the carriage returns of a text whose first one is at i.
func (l *lineFeeds) replace(text []byte, i int) []byte {
	to := i
	for {
		text[to] = '\n'
		to++
		if i++; i == len(text) {
			l.after = true
			return text[:to]
		}
		if text[i] == '\n' {
			i++
		}
		next := bytes.IndexByte(text[i:], '\r')
		if next < 0 {
			return text[:to+copy(text[to:], text[i:])]
		}
		to += copy(text[to:], text[i:i+next])
		i += next
	}
}

// About is what Look has found.
type About struct {
	SHA256   string // hex
	Size     int64  // bytes
	Encoding Encoding
	// Container is what the file is packed in. Encoding is that of what is in it then.
	Container Container

	unpacked int64          // bytes of what is in it
	lines    int            // line breaks, or more
	zero     bool           // a byte is 0, where none can be in a text
	fault    *UnusableError // why it can't be unpacked
}

// packed returns the container by which the file is unpacked: a workbook is a zip.
func (a About) packed() Container {
	if a.Container == Workbook {
		return Zip
	}
	return a.Container
}

// Sum returns the SHA-256 of a file.
func Sum(f io.ReadSeeker) (string, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// sampleBytes is how much of a file decides whether it is UTF-16 without a byte order mark.
const sampleBytes = 1024

// wideWithoutMark returns the UTF-16 that the beginning of a file without a byte order mark is in, if any: of a text with a header in
// it many characters are of ASCII, and one of the two bytes of those is 0.
func wideWithoutMark(begin []byte) (Encoding, bool) {
	begin = begin[:min(len(begin), sampleBytes)&^1]
	var zeros [2]int
	for i, b := range begin {
		if b == 0 {
			zeros[i&1]++
		}
	}
	pairs := len(begin) / 2
	switch {
	case zeros[1] > pairs/4 && zeros[0] <= pairs/20:
		return UTF16LE, true
	case zeros[0] > pairs/4 && zeros[1] <= pairs/20:
		return UTF16BE, true
	}
	return "", false
}

// Look reads a file to its end. It returns errors of f only: [NewReader] checks whether the file is usable.
func Look(f io.ReadSeeker) (About, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return About{}, err
	}
	a, err := look(f)
	if err != nil || a.Container == Plain || a.Size > MaxBytes {
		return a, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return a, err
	}
	inner, container, err := unpack(f, a.Size, a.Container)
	a.Container = container
	var in About
	if err == nil {
		in, err = look(inner)
	}
	if errors.As(err, &a.fault) {
		return a, nil
	}
	a.Encoding, a.lines, a.zero, a.unpacked = in.Encoding, in.lines, in.zero, in.Size
	return a, err
}

func look(r io.Reader) (About, error) {
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
			a.Container = containerOf(read)
			if e, ok := wideWithoutMark(read); ok && a.Encoding == UTF8 {
				a.Encoding = e
			}
		}
		a.Size += int64(n)
		a.lines += bytes.Count(read, []byte{'\n'}) + bytes.Count(read, []byte{'\r'})
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
	a.SHA256, a.unpacked = hex.EncodeToString(hash.Sum(nil)), a.Size
	switch {
	case a.Encoding.isWide():
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
