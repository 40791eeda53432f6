package config

import (
	"errors"
	"math"
	"net"
	"net/url"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

const byteOrderMark = "\ufeff"

// enclosed says what surrounds a value that somebody, or the file that it was written in, has put there: no kind of value
// begins or ends so. "" is nothing.
func enclosed(value string) string {
	switch {
	case strings.HasPrefix(value, byteOrderMark):
		return "must not begin with a byte order mark (EF BB BF): save it as UTF-8 without one"
	case strings.HasPrefix(value, "\xff\xfe"), strings.HasPrefix(value, "\xfe\xff"):
		return "must be UTF-8, and is UTF-16: save it anew, without a byte order mark"
	case len(value) > 1 && strings.ContainsRune("\"'`", rune(value[0])) && value[len(value)-1] == value[0]:
		return "must not have quotes around it: what reads an env-file or a manifest may leave them there"
	}
	return ""
}

// isBlank is true for blanks, line breaks and what can't be seen at the end of a text.
func isBlank(r rune) bool {
	return unicode.IsSpace(r) || r == '\ufeff' || r == '\u200b' || r == '\u2060' || r == 0
}

// surrounded is enclosed for texts, which are taken as they are: blanks and line breaks at an end count too.
func surrounded(value string) string {
	if what := enclosed(value); what != "" {
		return what
	}
	rest := strings.TrimLeftFunc(value, isBlank)
	front := value[:len(value)-len(rest)]
	back := rest[len(strings.TrimRightFunc(rest, isBlank)):]
	where, what := "in front", front
	if front == "" {
		where, what = "at its end", back
	}
	switch {
	case what == "":
		return ""
	case rest == "":
		return "must be more than blanks and line breaks"
	case strings.ContainsAny(what, "\r\n"):
		return "must not have a line break " + where
	default:
		return "must not have a blank " + where
	}
}

func isControl(r rune) bool {
	return r < ' ' || r == 0x7f || r == '\ufeff' || r == unicode.ReplacementChar
}

// malformed says what is wrong with a value whatever it means: field is the one that it is for.
func malformed(field reflect.StructField, value string) string {
	switch field.Type.Kind() {
	case reflect.String:
		if isSecret(field) {
			return surrounded(value)
		}
		if what := surrounded(value); what != "" {
			return what
		}
		if strings.ContainsFunc(value, isControl) {
			return "must be one line of UTF-8 without control characters"
		}
	case reflect.Int:
		if what := enclosed(value); what != "" {
			return what
		}
		if !wholeNumber.MatchString(value) { // envconfig would take 010 for 8
			return "must be a whole number in decimal digits"
		}
	default:
		return enclosed(value)
	}
	return ""
}

var wholeNumber = regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`)

// parseHTTP reads the address of an HTTP API. Its error repeats nothing of the address, which may have a password.
func parseHTTP(value string, user bool) (*url.URL, error) {
	u, err := url.Parse(value)
	switch {
	case strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' }):
		return nil, errors.New("has a blank in it")
	case err != nil:
		return nil, errors.New("can't be read")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("has no http:// or https:// in front")
	case u.Hostname() == "":
		return nil, errors.New("has no host")
	case strings.Contains(u.Hostname(), ":") && !strings.HasPrefix(u.Host, "["):
		return nil, errors.New("has an IPv6 address without brackets, want [::1]")
	case !isHost(u.Hostname()):
		return nil, errors.New("has no name or address of a host between // and the next /")
	case !isPort(u.Port()):
		return nil, errors.New("has a port that is not from 1 to 65535")
	case u.User != nil && !user:
		return nil, errors.New("has a user in it")
	case u.RawQuery != "" || u.ForceQuery:
		return nil, errors.New("has a query")
	case u.Fragment != "" || strings.HasSuffix(value, "#"):
		return nil, errors.New("has a fragment (#)")
	}
	return u, nil
}

// isHost reports whether name could be a host's, without the brackets of an IPv6 address. Names of containers may have an
// underscore.
func isHost(name string) bool {
	if address, _, _ := strings.Cut(name, "%"); strings.Contains(name, ":") {
		return net.ParseIP(address) != nil
	}
	return len(name) <= 253 && !strings.HasPrefix(name, ".") && !strings.Contains(name, "..") &&
		!strings.ContainsFunc(name, func(r rune) bool {
			return r != '-' && r != '.' && r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
		})
}

// isPort is true for a port that can be connected to, and where none is given.
func isPort(port string) bool {
	n, err := strconv.Atoi(port)
	return port == "" || err == nil && n >= 1 && n <= math.MaxUint16
}
