package erphttp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

var errNoObject = errors.New("the body is neither empty nor a JSON object")

// Object reads the body, which must be a JSON object, into v.
func (a *Answer) Object(v any) error {
	if a.tooLong {
		return fmt.Errorf("%w: %d bytes", ErrTooLong, a.client.o.MaxBody)
	}
	return object(a.Body, v)
}

// Empty reports whether the answer has no body.
func (a *Answer) Empty() bool { return len(a.Body) == 0 && !a.tooLong }

func object(body []byte, v any) error {
	if len(body) == 0 || body[0] != '{' || json.Unmarshal(body, v) != nil {
		return errNoObject
	}
	return nil
}

// maxText bounds what Text reads: what is longer is no number or id, and would not fit in a comment or a header.
const maxText = 255

// Text reads a number or an id of the ERP's: a JSON string, or the literal of a whole number; "" for null or nothing. name is
// the field's, for the error.
func Text(name string, raw json.RawMessage) (string, error) {
	var s string
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return "", nil
	case raw[0] == '"':
		if err := json.Unmarshal(raw, &s); err != nil {
			return "", fmt.Errorf("%s can't be read", name)
		}
	case len(bytes.Trim(raw, "0123456789")) == 0:
		s = string(raw)
	default:
		return "", fmt.Errorf("%s is neither a text nor a whole number", name)
	}
	s = strings.TrimSpace(s)
	if len(s) > maxText {
		return "", fmt.Errorf("%s has %d bytes: want at most %d", name, len(s), maxText)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }) {
		return "", fmt.Errorf("%s has control characters", name)
	}
	return s, nil
}

// ReadError reads the usual forms of an error in JSON: a "message" or an "error" that is a text, or an object with a
// "message", which is a text or, in OData 2, an object with a "value"; and the "code" that stands beside the message.
func ReadError(body []byte) (code, message string) {
	var e struct {
		Code    json.RawMessage `json:"code"`
		Message json.RawMessage `json:"message"`
		Error   json.RawMessage `json:"error"`
	}
	if object(body, &e) != nil {
		return "", ""
	}
	code, _ = Text("code", e.Code)
	for _, raw := range []json.RawMessage{e.Message, e.Error} {
		var s string
		var inner struct {
			Code    json.RawMessage `json:"code"`
			Message json.RawMessage `json:"message"`
		}
		if json.Unmarshal(raw, &s) == nil && s != "" {
			return code, s
		}
		if json.Unmarshal(raw, &inner) != nil {
			continue
		}
		var odata struct {
			Value string `json:"value"`
		}
		if json.Unmarshal(inner.Message, &s) != nil && json.Unmarshal(inner.Message, &odata) == nil {
			s = odata.Value
		}
		if s != "" {
			if own, err := Text("code", inner.Code); err == nil && own != "" {
				code = own
			}
			return code, s
		}
	}
	return code, ""
}
