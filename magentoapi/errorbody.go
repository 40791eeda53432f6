package magentoapi

import (
	"bytes"
	"encoding/json"
	"html"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of what is kept of an error's body; the lengths are in bytes.
const (
	maxMessage    = 1 << 10
	maxTitle      = 200
	maxParameters = 32
	maxParameter  = 256
)

// decodeErrorBody reads any body that an error may have: Magento's two shapes, HTML, text, nothing. In both shapes the
// message is a template, and its values are by its side.
// Source: lib/internal/Magento/Framework/Webapi/ErrorProcessor.php and Rest/Response.php.
func decodeErrorBody(body []byte) (BodyKind, string, []Parameter) {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\ufeff")))
	switch {
	case len(body) == 0:
		return BodyEmpty, "", nil
	case body[0] == '<':
		return BodyHTML, title(body), nil
	case !json.Valid(body):
		if body[0] == '{' || body[0] == '[' { // the beginning of one, or one with a warning of PHP's behind it
			return BodyJSON, "", nil
		}
		return BodyText, "", nil
	case body[0] == '"':
		return BodyJSON, bound(text(body), maxMessage), nil
	case body[0] != '{':
		return BodyJSON, "", nil
	}
	var b struct {
		Message    json.RawMessage `json:"message"`
		Parameters json.RawMessage `json:"parameters"`
		Errors     json.RawMessage `json:"errors"`   // of an exception that gathers several
		Messages   json.RawMessage `json:"messages"` // the other shape, of fatal errors
	}
	if json.Unmarshal(body, &b) != nil {
		return BodyJSON, "", nil
	}
	params := parameters(b.Parameters)
	said := []string{fill(text(b.Message), params)}
	said = append(said, messages(b.Errors)...)
	var fatal struct {
		Error json.RawMessage `json:"error"`
	}
	if len(b.Messages) > 0 && json.Unmarshal(b.Messages, &fatal) == nil {
		said = append(said, messages(fatal.Error)...)
	}
	said = compact(said)
	return BodyJSON, bound(strings.Join(said, "; "), maxMessage), params
}

// messages reads a list of {message, parameters}; what is no such list has none.
func messages(raw json.RawMessage) []string {
	var list []struct {
		Message    json.RawMessage `json:"message"`
		Parameters json.RawMessage `json:"parameters"`
	}
	if len(raw) == 0 || json.Unmarshal(raw, &list) != nil {
		return nil
	}
	var said []string
	for _, m := range list[:min(len(list), maxParameters)] {
		said = append(said, fill(text(m.Message), parameters(m.Parameters)))
	}
	return said
}

func compact(all []string) []string {
	var kept []string
	for _, s := range all {
		if s = strings.TrimSpace(s); s != "" {
			kept = append(kept, s)
		}
	}
	return kept
}

// parameters reads a list of values, or an object of named ones in its order. A key that is a number is one place less
// than its placeholder: PHP's array [0 => a, 2 => b] is an object in JSON, for %1 and %3
// (lib/internal/Magento/Framework/Phrase/Renderer/Placeholder.php).
func parameters(raw json.RawMessage) []Parameter {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || raw[0] != '{' && raw[0] != '[' {
		return nil
	}
	named := raw[0] == '{'
	d := json.NewDecoder(bytes.NewReader(raw))
	if _, err := d.Token(); err != nil {
		return nil
	}
	var params []Parameter
	for d.More() && len(params) < maxParameters {
		var p Parameter
		if named {
			key, err := d.Token()
			if err != nil {
				return params
			}
			p.Name, _ = key.(string)
			p.Name = bound(p.Name, maxParameter)
			if n, err := strconv.ParseUint(p.Name, 10, 16); err == nil {
				p.Name = strconv.FormatUint(n+1, 10)
			}
		}
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return params
		}
		p.Value = bound(text(value), maxParameter)
		params = append(params, p)
	}
	return params
}

// text gives a JSON value as PHP writes it in a text: a string's content, a number's literal, nothing for null and
// false, 1 for true; lists and objects as they are.
func text(raw json.RawMessage) string {
	raw = bytes.TrimSpace(raw)
	switch string(raw) {
	case "", "null", "false":
		return ""
	case "true":
		return "1"
	}
	if raw[0] != '"' {
		return string(raw)
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// placeholder is a named one, as in "%fieldName".
var placeholder = regexp.MustCompile(`%([A-Za-z_]\w*)`)

// fill puts the values in the places of a template, as PHP's strtr does: the longest placeholder that fits wins, and
// what has been filled in is not looked at again. A list of values goes, in order, to named placeholders if there are
// as many: Magento's output drops the names of some lists.
func fill(template string, params []Parameter) string {
	template = bound(template, 4*maxMessage)
	if len(params) == 0 || !strings.Contains(template, "%") {
		return template
	}
	values := make(map[string]string, len(params))
	var unnamed []string
	for _, p := range params {
		if p.Name != "" {
			values[p.Name] = p.Value
			continue
		}
		unnamed = append(unnamed, p.Value)
		values[strconv.Itoa(len(unnamed))] = p.Value
	}
	if names := namesIn(template); len(names) == len(unnamed) && len(unnamed) == len(params) {
		for i, name := range names {
			values[name] = unnamed[i]
		}
	}
	var b strings.Builder
	for rest := template; rest != "" && b.Len() < 4*maxMessage; {
		at := strings.IndexByte(rest, '%')
		if at < 0 {
			b.WriteString(rest)
			break
		}
		b.WriteString(rest[:at])
		rest = rest[at+1:]
		longest := ""
		for name := range values {
			if len(name) > len(longest) && strings.HasPrefix(rest, name) {
				longest = name
			}
		}
		if longest == "" {
			b.WriteByte('%')
			continue
		}
		b.WriteString(values[longest])
		rest = rest[len(longest):]
	}
	return b.String()
}

// namesIn gives the named placeholders of a template, each once, in the order in which they come.
func namesIn(template string) []string {
	var names []string
	seen := map[string]bool{}
	for _, m := range placeholder.FindAllStringSubmatch(template, maxParameters+1) {
		if !seen[m[1]] {
			seen[m[1]] = true
			names = append(names, m[1])
		}
	}
	return names
}

var titleElement = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title>`)

// title gives the title of an HTML page: all of it that is safe to repeat, and mostly what went wrong.
func title(page []byte) string {
	m := titleElement.FindSubmatch(page)
	if m == nil {
		return ""
	}
	return bound(strings.Join(strings.Fields(html.UnescapeString(string(m[1]))), " "), maxTitle)
}

// bound makes s valid UTF-8 of at most n bytes, with "…" where something was cut off.
func bound(s string, n int) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	if len(s) <= n {
		return s
	}
	const more = "…"
	cut := n - len(more)
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + more
}

var emailAddress = regexp.MustCompile(`[^\s"'<>()@,;:]+@[^\s"'<>()@,;:]+`)

// maskAddresses takes out what looks like an e-mail address.
func maskAddresses(s string) string { return emailAddress.ReplaceAllString(s, "***") }

var quoted = regexp.MustCompile(`(?s)"(?:\\.|[^"\\])*"`)

// maskQuoted takes out what stands in quotation marks.
func maskQuoted(s string) string { return quoted.ReplaceAllString(s, `"…"`) }
