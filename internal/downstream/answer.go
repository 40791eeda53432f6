package downstream

import (
	"bufio"
	"bytes"
	"fmt"
	"html"
	"io"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mageline/mageline/event"
)

// The beginning of an answer shows who answers: an API in JSON, or a web server, a login or a maintenance page in front
// of it. The remote APIs are all JSON.

const (
	// firstLook is how much of a body is looked at where its first byte is not that of JSON; maxLook how much at most, for
	// notices of PHP's one after the other and for the title of a page.
	firstLook, maxLook = 1 << 10, 64 << 10
	// maxNotice bounds one notice.
	maxNotice = 8 << 10
	maxTitle  = 120
	maxPlace  = 200
	// warnEvery is how often it is said that something in front of JSON is skipped.
	warnEvery = time.Hour
)

// beginning is what was found at the beginning of a body.
type beginning struct {
	skip  int      // bytes in front of JSON
	what  []string // they are, without what they say
	page  bool     // of HTML
	title string
}

var byteOrderMark = []byte("\ufeff")

// look finds out how a body begins. data is the first part of the body, or all of it; more is true where that is too little.
func look(data []byte, all bool, contentType string) (b beginning, more bool) {
	rest := data
	for {
		rest = bytes.TrimLeft(rest, " \t\r\n")
		var n int
		var what string
		switch {
		case bytes.HasPrefix(rest, byteOrderMark):
			n, what = len(byteOrderMark), "a byte order mark"
		case len(rest) < len(byteOrderMark) && bytes.HasPrefix(byteOrderMark, rest):
			n = tooShort
		default:
			n, what = notice(rest)
		}
		if n == tooShort && !all {
			return beginning{}, true
		}
		if n <= 0 {
			break
		}
		rest = rest[n:]
		if !slices.Contains(b.what, what) && len(b.what) < 5 {
			b.what = append(b.what, what)
		}
	}
	if len(b.what) > 0 && startsJSON(rest) {
		b.skip = len(data) - len(rest)
		return b, false
	}
	b.what = nil
	text := bytes.TrimLeft(bytes.TrimPrefix(bytes.TrimLeft(data, " \t\r\n"), byteOrderMark), " \t\r\n")
	if b.page = isPage(text, contentType); b.page {
		var whole bool
		b.title, whole = title(text)
		return b, !whole && !all && len(data) < 4*firstLook
	}
	return b, false
}

const tooShort = -1

// PHP's messages that do not end the script, with html_errors and without, as php_error_cb of its main/main.c writes them:
// "%s<br />\n<b>%s</b>:  %s in <b>%s</b> on line <b>%d</b><br />\n%s" and "%s\n%s: %s in %s on line %d\n%s", between
// error_prepend_string and error_append_string, which are empty.
var (
	noticeInHTML = regexp.MustCompile(`^<br ?/?>\s*<b>(Notice|Warning|Deprecated|Strict Standards)</b>:`)
	noticeInText = regexp.MustCompile(`^(?:PHP )?(Notice|Warning|Deprecated|Strict Standards):`)
	endInHTML    = regexp.MustCompile(` in <b>([^<]*)</b> on line <b>(\d+)</b>$`)
	endInText    = regexp.MustCompile(` in (\S+) on line (\d+)\r?$`)
	lineBreak    = regexp.MustCompile(`^<br ?/?>`)
	// A path that is repeated in the log: of a file, with nothing in it that may be of a person.
	place = regexp.MustCompile(`^[A-Za-z0-9_./\\:-]+$`)
)

// longestLabel is that of noticeInHTML and noticeInText, with some white space.
const longestLabel = 48

// notice returns the length of the PHP notice that data begins with and what it is, 0 where it begins with none, and
// tooShort where more of it must be seen. The message itself may say anything, of persons too, and is left out.
func notice(data []byte) (n int, what string) {
	head := data[:min(len(data), longestLabel)]
	label, end, close := noticeInHTML.FindSubmatchIndex(head), endInHTML, []byte("<br")
	if label == nil {
		label, end, close = noticeInText.FindSubmatchIndex(head), endInText, []byte("\n")
	}
	if label == nil {
		if len(data) < longestLabel && len(data) > 0 && bytes.IndexByte([]byte("<PNWDS"), data[0]) >= 0 {
			return tooShort, ""
		}
		return 0, ""
	}
	body := data[label[1]:]
	at := bytes.Index(body[:min(len(body), maxNotice)], close)
	if at < 0 {
		if len(body) < maxNotice {
			return tooShort, ""
		}
		return 0, ""
	}
	found := end.FindSubmatch(body[:at])
	if found == nil {
		return 0, ""
	}
	what = "a PHP " + string(data[label[2]:label[3]])
	if file := found[1]; len(file) <= maxPlace && place.Match(file) {
		what += " of " + string(file) + ":" + string(found[2])
	}
	if n = 1; close[0] == '<' {
		if n = len(lineBreak.Find(body[at:])); n == 0 {
			return tooShort, ""
		}
	}
	return label[1] + at + n, what
}

// longestWord is the length of the longest of the words of JSON: false.
const longestWord = 5

func startsJSON(data []byte) bool {
	if len(data) > 0 && bytes.IndexByte([]byte(`{["-0123456789`), data[0]) >= 0 {
		return true
	}
	for _, word := range []string{"true", "false", "null"} {
		if bytes.HasPrefix(data, []byte(word)) {
			return true
		}
	}
	return false
}

// isPage recognizes a page of HTML by its first tag, as browsers do, or by any tag where the answer says that it is HTML: many an
// API in PHP sends JSON as text/html, PHP's default.
func isPage(text []byte, contentType string) bool {
	if len(text) == 0 || text[0] != '<' {
		return false
	}
	head := text[:min(len(text), firstLook)]
	media, _, _ := mime.ParseMediaType(contentType)
	return media == "text/html" || media == "application/xhtml+xml" || strings.HasPrefix(http.DetectContentType(head), "text/html") ||
		bytes.HasPrefix(head, []byte("<?xml")) && bytes.Contains(bytes.ToLower(head), []byte("<html"))
}

var (
	titleElement = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)
	emailLike    = regexp.MustCompile(`[^\s<>"'(),;:]+@[^\s<>"'(),;:]+`)
)

// title returns the title of a page, and whether it has been seen.
func title(page []byte) (text string, whole bool) {
	m := titleElement.FindSubmatch(page)
	if m == nil {
		return "", false
	}
	text = strings.Join(strings.Fields(html.UnescapeString(strings.ToValidUTF8(string(m[1]), ""))), " ")
	text = emailLike.ReplaceAllString(text, "***")
	if r := []rune(text); len(r) > maxTitle {
		text = string(r[:maxTitle]) + "…"
	}
	return text, true
}

// reader is a body of which something was looked at already.
type reader struct {
	io.Reader
	io.Closer
}

// begin looks at how the body of resp begins, and takes off it what stands in front of JSON. Where the connection breaks
// meanwhile, whoever reads the body meets it.
func (c *call) begin(resp *http.Response) beginning {
	if resp.Body == http.NoBody || resp.ContentLength == 0 {
		return beginning{}
	}
	buffered := bufio.NewReaderSize(resp.Body, 64)
	resp.Body = reader{buffered, resp.Body}
	for _, n := range []int{1, longestWord} { // most answers show it by their first byte
		if first, err := buffered.Peek(n); len(first) == 0 && err != nil || startsJSON(first) {
			return beginning{}
		}
	}
	buffered = bufio.NewReaderSize(buffered, maxLook)
	resp.Body = reader{buffered, resp.Body}
	for n := firstLook; ; n *= 2 {
		data, err := buffered.Peek(n)
		found, more := look(data, err != nil || n >= maxLook, resp.Header.Get("Content-Type"))
		if more {
			continue
		}
		if found.skip > 0 {
			_, _ = buffered.Discard(found.skip) // it is in the buffer
			if resp.ContentLength > 0 {
				resp.ContentLength -= int64(found.skip)
				resp.Header.Set("Content-Length", strconv.FormatInt(resp.ContentLength, 10))
			}
			c.d.skipped(c.address, found)
		}
		return found
	}
}

// skipped says now and then that answers have something in front of their JSON.
func (d *Downstream) skipped(address string, found beginning) {
	d.warn.Lock()
	defer d.warn.Unlock()
	if !d.warned.IsZero() && time.Since(d.warned) < warnEvery {
		return
	}
	d.warned = time.Now()
	d.log.Warn().Str("event", "answer_prefix_skipped").Str("downstream", d.name).Str("request", address).Int("bytes", found.skip).Strs("found", found.what).
		Msg("answers have something in front of their JSON, which is skipped: set PHP's display_errors to Off there, and save its files without a byte order mark; said once an hour")
}

// elsewhere makes the error of a redirect, which is never followed: a POST would come out of one as a GET, and the
// credential would go to whoever is there. It names where the redirect leads without what may be secret.
func (c *call) elsewhere(resp *http.Response) error {
	where := "without saying where"
	if to, err := resp.Location(); err == nil && to.Host != "" {
		where = to.Scheme + "://" + to.Host + to.EscapedPath()
		if len(where) > maxPlace {
			where = where[:maxPlace] + "…"
		}
		where = "to " + where
	}
	return c.misled(fmt.Errorf("%s: answered %d, which redirects %s: redirects are not followed, set %s to the address that answers by itself",
		c.address, resp.StatusCode, where, c.d.variable))
}

// notAPI makes the error of a page of HTML.
func (c *call) notAPI(resp *http.Response, found beginning) error {
	name := ""
	if found.title != "" {
		name = fmt.Sprintf(" (%q)", found.title)
	}
	return c.misled(fmt.Errorf("%s: answered %d with a page of HTML%s instead of JSON: see that %s leads to the API, "+
		"and whether a login, a firewall or a maintenance page stands in front of it", c.address, resp.StatusCode, name, c.d.variable))
}

// misled counts an answer that is about the address and not about the message.
func (c *call) misled(err error) error {
	c.d.circuit.failedWith(c.ticket, c.kind, event.Message(c.parent), err.Error())
	return &event.Error{Class: event.Unavailable, Downstream: c.d.name, Err: err}
}
