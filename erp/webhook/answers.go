package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/mageline/mageline/erp"
)

// maxNumber bounds a document number: what is longer is none, and would not fit in a comment or a header.
const maxNumber = 255

var errNoObject = errors.New("the body is neither empty nor a JSON object")

// documentNumber gives the document_number of a JSON object; "" if it has none, or if the body is empty. Every other
// body is an error.
func documentNumber(a answer) (string, error) {
	body, err := a.trimmed()
	if err != nil || len(body) == 0 {
		return "", err
	}
	var doc struct {
		DocumentNumber json.RawMessage `json:"document_number"`
	}
	if err := object(body, &doc); err != nil {
		return "", err
	}
	return text("document_number", doc.DocumentNumber)
}

// documents reads the list that answers a search for a reference.
func documents(a answer, reference string) ([]erp.Document, error) {
	body, err := a.trimmed()
	if err != nil {
		return nil, err
	}
	var list struct {
		Items json.RawMessage `json:"items"`
	}
	if err := object(body, &list); err != nil {
		return nil, err
	}
	if list.Items == nil {
		return nil, errors.New("the object has no items")
	}
	var items []struct {
		DocumentNumber    json.RawMessage `json:"document_number"`
		ExternalReference json.RawMessage `json:"external_reference"`
	}
	if err := json.Unmarshal(list.Items, &items); err != nil {
		return nil, errors.New("items is not a list of objects")
	}
	var docs []erp.Document
	seen := make(map[string]bool, len(items))
	others := 0
	for _, item := range items {
		ref, err := text("external_reference", item.ExternalReference)
		if err != nil {
			return nil, err
		}
		if ref != "" && ref != reference {
			others++
			continue
		}
		number, err := text("document_number", item.DocumentNumber)
		if err != nil {
			return nil, err
		}
		if ref == "" && number == "" {
			return nil, errors.New("an item has neither document_number nor external_reference")
		}
		if !seen[number] {
			seen[number] = true
			docs = append(docs, erp.Document{Number: number, Accepted: number == ""})
		}
	}
	// An adapter that does not filter, or shows only its first page, would make every order look new.
	if len(docs) == 0 && others > 0 {
		return nil, fmt.Errorf("%d items, and none has this external_reference: the adapter must search for it", others)
	}
	return docs, nil
}

// text reads a JSON string, or the literal of a whole number; "" for null or nothing.
func text(name string, raw json.RawMessage) (string, error) {
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
	if len(s) > maxNumber {
		return "", fmt.Errorf("%s has %d bytes: want at most %d", name, len(s), maxNumber)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }) {
		return "", fmt.Errorf("%s has control characters", name)
	}
	return s, nil
}

func object(body []byte, v any) error {
	if len(body) == 0 || body[0] != '{' || json.Unmarshal(body, v) != nil {
		return errNoObject
	}
	return nil
}

// trimmed gives the body without what is around its JSON; an error where it is longer than was read.
func (a answer) trimmed() ([]byte, error) {
	if a.tooLong {
		return nil, fmt.Errorf("the body is longer than %d bytes", maxBody)
	}
	return trim(a.body), nil
}

// trim takes off white space and the byte order mark that some platforms write before UTF-8.
func trim(body []byte) []byte {
	return bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
}
