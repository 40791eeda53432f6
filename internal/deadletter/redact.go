package deadletter

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// hidden replaces what is hidden.
const hidden = "***"

// personal are parts of the names, in small letters, of members of Magento's objects that hold personal data or secrets: of the
// customer, the addresses, the payment, notes. Rather too much is hidden than too little, such as a product's name.
var personal = []string{
	"name", "mail", "street", "phone", "fax", "city", "region", "postcode", "postal", "zip", "company", "vat", "address",
	"dob", "birth", "gender", "remote_ip", "forwarded_for", "ip_addr", "prefix", "suffix", "note", "comment", "message",
	"signature", "card", "cc_", "iban", "bic", "account", "password", "token", "secret", "authorization", "additional_information",
	"reply_to", "user_id",
}

// notPersonal are names that match personal, hold no personal data, and are needed to follow a message.
var notPersonal = map[string]bool{"message_id": true, "topic_name": true}

// Redacted returns the letter without personal data, as far as it can be recognized. In the headers, in a JSON body and in JSON
// inside of its strings it hides every value under a name such as firstname, email, street or telephone, values of custom
// attributes, and any text with an @. A body that is not JSON is hidden as a whole. The ids, topics and errors that mageline
// writes hold no personal data.
func (s Shown) Redacted() Shown {
	s.Properties = redactMap(s.Properties, false, 0)
	headers := redactMap(s.Headers, false, 0)
	for name, v := range s.Headers {
		if strings.HasPrefix(name, "x-mageline-") && name != "x-mageline-original-user-id" {
			headers[name] = v
		}
	}
	s.Headers = headers
	switch {
	case s.BodyBase64 != "":
		s.BodyBase64, s.Body = "", hidden
	case s.Body != "":
		body, ok := redactJSON(s.Body, 0)
		if !ok {
			body = hidden
		}
		s.Body = body
	}
	return s
}

// maxRedactDepth bounds how deep values may be nested. What is deeper is hidden.
const maxRedactDepth = 100

// redactJSON redacts a text that is one JSON value.
func redactJSON(text string, depth int) (string, bool) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber() // money keeps its digits
	var v any
	if err := d.Decode(&v); err != nil {
		return "", false
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return "", false
	}
	if text, ok := v.(string); ok && !looksJSON(text) { // a text without a name may be personal data
		v = hidden
	} else {
		v = redact(v, false, depth+1)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", false
	}
	return strings.TrimSuffix(b.String(), "\n"), true
}

// redact returns v with personal data hidden, or all of it if hide is true.
func redact(v any, hide bool, depth int) any {
	if depth > maxRedactDepth {
		return hidden
	}
	switch v := v.(type) {
	case map[string]any:
		return redactMap(v, hide, depth)
	case []any:
		all := make([]any, len(v))
		for i, e := range v {
			all[i] = redact(e, hide, depth+1)
		}
		return all
	case string:
		if v == "" {
			return v
		}
		if hide {
			return hidden
		}
		if looksJSON(v) {
			if text, ok := redactJSON(v, depth); ok {
				return text
			}
			return hidden
		}
		if strings.Contains(v, "@") {
			return hidden
		}
		return v
	case nil, bool:
		return v
	default:
		if hide {
			return hidden
		}
		return v
	}
}

// looksJSON reports whether a text may be an object, an array or a string of JSON.
func looksJSON(text string) bool {
	text = strings.TrimSpace(text)
	return text != "" && strings.ContainsRune(`{["`, rune(text[0]))
}

func redactMap(m map[string]any, hide bool, depth int) map[string]any {
	out := make(map[string]any, len(m))
	_, attribute := m["attribute_code"]
	for name, v := range m {
		out[name] = redact(v, hide || isPersonal(name) || attribute && name == "value", depth+1)
	}
	return out
}

func isPersonal(name string) bool {
	name = strings.ReplaceAll(strings.ToLower(name), "-", "_")
	if notPersonal[name] {
		return false
	}
	for _, part := range personal {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}
