package downstream

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

const (
	bom        = "\ufeff"
	deprecated = "<br />\n<b>Deprecated</b>:  Creation of dynamic property Vendor\\X::$jane@fixture.example is deprecated in <b>/var/www/html/vendor/x/Model/X.php</b> on line <b>42</b><br />\n"
	warning    = "\nWarning: Undefined array key \"Jane Doe\" in /var/www/html/app/code/Y.php on line 7\n"
)

func TestLook_BeginningsOfBodies(t *testing.T) {
	const order = `{"entity_id":57}`
	for _, tt := range []struct {
		name, body, contentType string
		skip                    int // -1: all but the order
		what                    []string
		page                    bool
		title                   string
	}{
		{name: "JSON", body: order},
		{name: "JSON after white space", body: " \r\n\t" + order},
		{name: "JSON as text/html, PHP's default", body: order, contentType: "text/html; charset=UTF-8"},
		{name: "a byte order mark", body: bom + order, skip: -1, what: []string{"a byte order mark"}},
		{name: "several, of several files", body: bom + bom + "\n" + bom + order, skip: -1, what: []string{"a byte order mark"}},
		{name: "a byte order mark and nothing", body: bom},
		{name: "a byte order mark and text", body: bom + "oops"},
		{name: "a notice in HTML", body: deprecated + order, skip: -1, what: []string{"a PHP Deprecated of /var/www/html/vendor/x/Model/X.php:42"}},
		{name: "a notice in text", body: warning + order, skip: -1, what: []string{"a PHP Warning of /var/www/html/app/code/Y.php:7"}},
		{name: "a notice in text with carriage returns", body: strings.ReplaceAll(warning, "\n", "\r\n") + order, skip: -1, what: []string{"a PHP Warning of /var/www/html/app/code/Y.php:7"}},
		{name: "one of the command line", body: "PHP Notice:  Undefined index: a in /srv/a.php on line 1\n[]", skip: -1, what: []string{"a PHP Notice of /srv/a.php:1"}},
		{name: "a path that may be of a person", body: "<br />\n<b>Notice</b>:  x in <b>/home/jane doe/a.php</b> on line <b>3</b><br />\n" + order, skip: -1, what: []string{"a PHP Notice"}},
		{name: "evaluated code", body: "<br>\n<b>Strict Standards</b>:  x in <b>/a.php(12) : eval()'d code</b> on line <b>1</b><br>" + order, skip: -1, what: []string{"a PHP Strict Standards"}},
		{name: "a message of several lines", body: "<br />\n<b>Warning</b>:  <a href='function.x'>x</a>:\n {\"a\":1}\n no in <b>/a.php</b> on line <b>1</b><br />\n" + order, skip: -1, what: []string{"a PHP Warning of /a.php:1"}},
		{name: "many", body: bom + strings.Repeat(deprecated+warning, 100) + order, skip: -1, what: []string{
			"a byte order mark", "a PHP Deprecated of /var/www/html/vendor/x/Model/X.php:42", "a PHP Warning of /var/www/html/app/code/Y.php:7",
		}},
		{name: "before true", body: deprecated + "true", skip: -1, what: []string{"a PHP Deprecated of /var/www/html/vendor/x/Model/X.php:42"}},
		{name: "a notice and nothing", body: deprecated, page: true},
		{name: "a notice in text and nothing", body: warning},
		{name: "a notice that breaks off", body: deprecated[:60], page: true},
		{name: "a notice in text that breaks off", body: warning[:30] + order},
		{name: "a notice without an end", body: "Notice: " + strings.Repeat("x", 2*maxNotice) + " in /a.php on line 1\n" + order},
		{name: "a notice without a place", body: "<br />\n<b>Notice</b>:  x<br />\n" + order, page: true},
		{name: "a text that begins so", body: "Warning: this machine is for staff only\n" + order},
		{name: "a fatal error is no notice", body: strings.Replace(deprecated, "Deprecated", "Fatal error", 1) + order, page: true},
		{name: "a notice before a page", body: deprecated + "<!doctype html><title>Login</title>" + order, page: true, title: "Login"},
		{name: "a page", body: "<!DOCTYPE html>\n<html><head><TITLE lang=en>\n 503 Backend\n fetch &amp; co, jane@fixture.example</TITLE>", page: true, title: "503 Backend fetch & co, ***"},
		{name: "a page after a byte order mark", body: bom + "\n<html><title>x</title>", page: true, title: "x"},
		{name: "a page without a doctype", body: "<center><h1>413</h1></center>", contentType: "text/html", page: true},
		{name: "XHTML", body: `<?xml version="1.0"?><!DOCTYPE html><HTML xmlns="http://www.w3.org/1999/xhtml">`, contentType: "application/xml", page: true},
		{name: "a page with JSON in it", body: "<script>var a =\n" + order + "</script>", page: true},
		{name: "XML", body: `<?xml version="1.0"?><error>no</error>`, contentType: "application/xml"},
		{name: "a text as text/html", body: "404 page not found", contentType: "text/html"},
		{name: "a text", body: "upstream connect error"},
		{name: "a title that is long", body: "<title>" + strings.Repeat("ü", 1000) + "</title>", page: true, title: strings.Repeat("ü", maxTitle) + "…"},
		{name: "nothing", body: ""},
		{name: "UTF-16", body: "\xff\xfe{\x00}\x00"},
	} {
		got, more := look([]byte(tt.body), true, tt.contentType)
		want := beginning{skip: tt.skip, what: tt.what, page: tt.page, title: tt.title}
		if tt.skip < 0 && slices.Contains([]string{order, "true", "[]"}, tt.body[got.skip:]) {
			want.skip = got.skip
		}
		if got.skip != want.skip || !slices.Equal(got.what, want.what) || got.page != want.page || got.title != want.title || more {
			t.Errorf("%s: got %+v, more %t\nwant %+v", tt.name, got, more, want)
		}
		// However the body comes in, the same is seen, or more is asked for.
		for n := range min(len(tt.body), 500) {
			part, more := look([]byte(tt.body[:n]), false, tt.contentType)
			if !more && (part.skip != got.skip || part.page != got.page) && n > 0 && strings.TrimSpace(tt.body[:n]) != "" && (part.page || part.skip > 0) {
				t.Errorf("%s: of the first %d bytes: %+v", tt.name, n, part)
				break
			}
		}
	}
}

func FuzzLook(f *testing.F) {
	for _, seed := range []string{`{"a":1}`, bom + `{}`, deprecated + `{}`, warning + "[]", "<html>", "<br />\n<b>Notice</b>:", "Notice: x in y on line 1\n1", ""} {
		f.Add([]byte(seed), "text/html")
	}
	f.Fuzz(func(t *testing.T, body []byte, contentType string) {
		got, more := look(body, true, contentType)
		if more || got.skip < 0 || got.skip > len(body) {
			t.Fatalf("%+v, more %t", got, more)
		}
		if got.skip > 0 && (got.page || len(got.what) == 0 || !startsJSON(body[got.skip:])) {
			t.Fatalf("%+v", got)
		}
		if json.Valid(body) && (got.skip > 0 || got.page) {
			t.Fatalf("takes %d bytes of JSON: %q", got.skip, body)
		}
		if got.skip > 0 && bytes.ContainsAny(body[:got.skip], "{[") && !bytes.Contains(body[:got.skip], []byte(" on line ")) {
			t.Fatalf("takes what is no notice: %q", body[:got.skip])
		}
		for _, what := range got.what {
			if len(what) > maxPlace+60 || strings.Contains(what, "@") {
				t.Fatalf("says %q", what)
			}
		}
	})
}
