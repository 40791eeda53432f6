package algolia

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
)

// refused is what an answer of 4xx says.
type refused struct {
	Message string
	// Position is the place in the batch of the record that is refused; -1 if the answer does not say.
	Position int
	// ObjectID names the record; "" if the answer does not say.
	ObjectID string
	// TooBig is true if the record is larger than the plan allows.
	TooBig bool
}

// Of the forms of the message, such as
//
//	Record at the position 1 objectID=56 is too big size=20715 bytes. Contact us if you need an extended quota
//
// a SKU may have blanks, so that an id ends only where the sentence goes on.
var (
	positionIn = regexp.MustCompile(`(?i)\bposition:? ?(\d{1,9})\b`)
	objectIDIn = regexp.MustCompile(`(?is)\bobjectID=(.+?) (?:is too big|is invalid|near line)`)
	tooBigIn   = regexp.MustCompile(`(?is)\brecord\b.*\bis too big\b`)
)

// readRefused reads the body of a 4xx or 5xx, whatever it is.
func readRefused(body []byte) refused {
	r := refused{Position: -1}
	var answer struct {
		Message  json.RawMessage `json:"message"`
		Position json.RawMessage `json:"position"`
		ObjectID json.RawMessage `json:"objectID"`
	}
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\ufeff")))
	if len(body) > 1<<20 || json.Unmarshal(body, &answer) != nil {
		return r
	}
	if json.Unmarshal(answer.Message, &r.Message) != nil {
		r.Message = ""
	}
	if n, err := strconv.Atoi(strings.Trim(string(answer.Position), `"`)); err == nil && n >= 0 {
		r.Position = n
	} else if m := positionIn.FindStringSubmatch(r.Message); m != nil {
		r.Position, _ = strconv.Atoi(m[1]) // digits alone
	}
	if json.Unmarshal(answer.ObjectID, &r.ObjectID) != nil {
		r.ObjectID = ""
	}
	if r.ObjectID == "" {
		if m := objectIDIn.FindStringSubmatch(r.Message); m != nil {
			r.ObjectID = m[1]
		}
	}
	r.TooBig = tooBigIn.MatchString(r.Message)
	return r
}

// find returns the place in ids of the record that is refused, or -1. An id is sure; a position that contradicts it is not.
func (r refused) find(ids []string) int {
	if r.ObjectID != "" {
		for i, id := range ids {
			if id == r.ObjectID {
				return i
			}
		}
	}
	if r.Position >= 0 && r.Position < len(ids) {
		return r.Position
	}
	return -1
}
