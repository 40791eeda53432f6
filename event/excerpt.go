package event

import (
	"bytes"
	"regexp"
	"strings"
	"unicode/utf8"
)

// excerptRunes is how many characters of an unreadable body are shown.
const excerptRunes = 40

// excerpt returns the 40 characters of b around the byte at, in «», with personal data masked as far as it can be recognized. Of
// texts in quotes only names of members and short numbers stay. Of the rest names, mail addresses and telephone numbers are masked.
// A * replaces each masked letter or digit.
func excerpt(b []byte, at int) string {
	from := at
	for n := 0; from > 0 && n < excerptRunes/2; n++ {
		_, size := utf8.DecodeLastRune(b[:from])
		from -= size
	}
	to := from
	n := 0
	for ; to < len(b) && n < excerptRunes; n++ {
		_, size := utf8.DecodeRune(b[to:])
		to += size
	}
	for ; from > 0 && n < excerptRunes; n++ { // near the end there is more in front
		_, size := utf8.DecodeLastRune(b[:from])
		from -= size
	}
	shown := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return ' '
		}
		return r
	}, string(masked(b, from, to)))
	return "«" + shown + "»"
}

// masked returns b[from:to] with personal data masked. It reads b from the beginning, to know what is in quotes.
func masked(b []byte, from, to int) []byte {
	out := bytes.Clone(b[from:to])
	hide := func(start, end int) {
		for i := max(start, from); i < min(end, to); i++ {
			if c := b[i]; isWord(c) && c < utf8.RuneSelf {
				out[i-from] = '*'
			} else if c >= utf8.RuneSelf {
				out[i-from] = '*' // for each byte, so more * than characters
			}
		}
	}
	personal := false // the next value is that of a member with a personal name
	for i := 0; i < to; {
		c := b[i]
		switch {
		case c == '"' || c == '\'' && opensQuote(b, i):
			end := closing(b, i)
			name := b[min(i+1, end):end]
			switch {
			case end < len(b) && names(b, end+1) && memberName.Match(name):
				personal = isPersonal(string(name))
			case end == len(b) || personal || !harmless.Match(name):
				hide(i+1, end)
			}
			i = min(end+1, len(b))
		case isWord(c) || c == '@':
			end := i
			for end < to && (isWord(b[end]) || strings.IndexByte("@.+-", b[end]) >= 0) {
				end++
			}
			switch word := b[i:end]; {
			case names(b, end) && memberName.Match(word):
				personal = isPersonal(string(word))
			case personal || bytes.IndexByte(word, '@') >= 0:
				hide(i, end)
			default:
				for _, part := range wordParts.FindAllIndex(word, -1) {
					if !plain(string(word[part[0]:part[1]])) {
						hide(i+part[0], i+part[1])
					}
				}
			}
			i = end
		default:
			if strings.IndexByte(",;&{}\n", c) >= 0 {
				personal = false
			}
			i++
		}
	}
	return out
}

var (
	memberName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,63}$`)
	harmless   = regexp.MustCompile(`^(000\d{0,17}|\d{0,5}|\s*)$`) // an order's number, a short id
	wordParts  = regexp.MustCompile(`[^@.+-]+`)
	lowerWord  = regexp.MustCompile(`^[a-z0-9_]{1,20}$`)
	digits     = regexp.MustCompile(`^\d+$`)
)

// known are words with capitals that are common in what is published by mistake instead of JSON, and are no proper names.
var known = map[string]bool{
	"Array": true, "Object": true, "Warning": true, "Notice": true, "Fatal": true, "Error": true, "Deprecated": true,
	"Undefined": true, "Uncaught": true, "Exception": true, "True": true, "False": true, "None": true, "NULL": true, "TRUE": true,
	"FALSE": true, "NaN": true, "Infinity": true, "DOCTYPE": true, "Magento": true, "Order": true, "stdClass": true,
}

// plain reports whether a word outside of quotes is no personal data, or at least no proper name.
func plain(word string) bool {
	switch {
	case known[word]:
		return true
	case digits.MatchString(word):
		return harmless.MatchString(word)
	default:
		return lowerWord.MatchString(word)
	}
}

// personalNames are parts of names, in small letters, of members that hold personal data or secrets.
var personalNames = []string{
	"name", "mail", "street", "phone", "fax", "city", "region", "postcode", "zip", "company", "vat", "address", "dob", "birth",
	"note", "comment", "message", "card", "iban", "account", "password", "token", "secret",
}

func isPersonal(name string) bool {
	name = strings.ToLower(name)
	for _, part := range personalNames {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// isWord reports whether a byte belongs to a letter or digit. All that is not ASCII does.
func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= utf8.RuneSelf
}

// opensQuote reports whether a single quote opens a text, as Python writes it, and is no apostrophe.
func opensQuote(b []byte, at int) bool {
	before := bytes.TrimRight(b[:at], " \t\r\n")
	return len(before) == 0 || strings.IndexByte("{[(,:>=", before[len(before)-1]) >= 0
}

// closing returns the index of the quote that closes the one at b[at], or len(b).
func closing(b []byte, at int) int {
	for i := at + 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case b[at]:
			return i
		}
	}
	return len(b)
}

// names reports whether what ends at b[at] is the name of what follows.
func names(b []byte, at int) bool {
	rest := bytes.TrimLeft(b[min(at, len(b)):], " \t\r\n]")
	return len(rest) > 0 && (rest[0] == ':' || rest[0] == '=')
}
