package fakealgolia

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
)

type batched struct {
	Action string `json:"action"`
	Body   Record `json:"body"`
}

func (s *Server) batch(c call) (any, *problem) {
	var b struct {
		Requests []batched `json:"requests"`
	}
	if p := c.read(&b); p != nil {
		return nil, p
	}
	ids := []string{}
	for at, one := range b.Requests {
		id, p := s.look(c, at, one)
		if p != nil {
			return nil, p
		}
		ids = append(ids, id)
	}
	do := func() {
		i := s.make(c.index)
		for at, one := range b.Requests {
			i.apply(ids[at], one)
		}
	}
	return s.queue(c.index, "", do, map[string]any{"objectIDs": ids}), nil
}

// look refuses what can't be queued: then nothing of the batch is.
func (s *Server) look(c call, at int, one batched) (id string, p *problem) {
	right := map[string]string{
		"addObject": "addObject", "updateObject": "addObject", "partialUpdateObject": "addObject", "partialUpdateObjectNoCreate": "addObject",
		"deleteObject": "deleteObject",
	}[one.Action]
	switch {
	case right == "":
		return "", refuse(http.StatusBadRequest, "invalid action: %q", one.Action)
	case !c.may(right):
		return "", refuse(http.StatusForbidden, "Method not allowed with this API key")
	case one.Body == nil:
		return "", refuse(http.StatusBadRequest, "Missing body in request %d", at)
	case json.Unmarshal(one.Body["objectID"], &id) != nil || id == "":
		return "", &problem{http.StatusBadRequest, map[string]any{"message": "Missing mandatory attribute \"objectID\"", "position": at, "status": http.StatusBadRequest}}
	}
	for name, v := range one.Body {
		_, _, op, err := operationIn(v)
		if err != nil || op && one.Action != "partialUpdateObject" && one.Action != "partialUpdateObjectNoCreate" {
			return "", &problem{http.StatusBadRequest, map[string]any{
				"message": fmt.Sprintf("Invalid operation on attribute %s", name), "position": at, "objectID": id, "status": http.StatusBadRequest,
			}}
		}
	}
	// The engine's own size is a little more than that of the JSON.
	if size := len(encode(one.Body)) * 1007 / 1000; size > s.knobs.recordLimit {
		return "", s.tooBig(at, id, size)
	}
	return id, nil
}

func (s *Server) tooBig(at int, id string, size int) *problem {
	answer := map[string]any{
		"message": fmt.Sprintf("Record at the position %d objectID=%s is too big size=%d bytes. Contact us if you need an extended quota", at, id, size),
		"status":  http.StatusBadRequest,
	}
	switch s.knobs.form {
	case Named:
		answer["position"], answer["objectID"] = at, id
	case Position:
		answer["position"] = at
		answer["message"] = fmt.Sprintf("Record is too big size=%d bytes. Contact us if you need an extended quota", size)
	case Text:
		answer["message"] = fmt.Sprintf("Record objectID=%s is too big size=%d bytes. Please have a look at our size limits", id, size)
	case Silent:
		answer["message"] = "Record is too big"
	}
	return &problem{http.StatusBadRequest, answer}
}

// operationIn reads a built-in operation, the value of an attribute in a partial update.
func operationIn(v json.RawMessage) (name string, value int64, ok bool, err error) {
	var op map[string]json.RawMessage
	if json.Unmarshal(v, &op) != nil || op["_operation"] == nil {
		return "", 0, false, nil
	}
	if err := json.Unmarshal(op["_operation"], &name); err != nil {
		return "", 0, true, err
	}
	if name != "IncrementSet" && name != "IncrementFrom" || len(op) != 2 {
		return "", 0, true, fmt.Errorf("operation %s", name)
	}
	value, err = strconv.ParseInt(string(op["value"]), 10, 64)
	return name, value, true, err
}

func (i *index) apply(id string, one batched) {
	have, there := i.records[id]
	switch one.Action {
	case "deleteObject":
		delete(i.records, id)
		return
	case "addObject", "updateObject":
		i.records[id] = maps.Clone(one.Body)
		return
	case "partialUpdateObjectNoCreate":
		if !there {
			return
		}
	}
	next := maps.Clone(have)
	if next == nil {
		next = Record{}
	}
	for name, v := range one.Body {
		op, value, is, _ := operationIn(v) // looked at before it was queued
		if !is {
			next[name] = v
			continue
		}
		now, _ := strconv.ParseInt(string(have[name]), 10, 64) // 0 where it is missing
		switch {
		case op == "IncrementSet" && value > now:
			next[name] = json.RawMessage(strconv.FormatInt(value, 10))
		case op == "IncrementFrom" && value == now:
			next[name] = json.RawMessage(strconv.FormatInt(value+1, 10))
		default:
			return // the update as a whole is ignored, and nobody is told
		}
	}
	i.records[id] = next
}

func (s *Server) deleteBy(c call) (any, *problem) {
	var b struct {
		Filters string `json:"filters"`
	}
	if p := c.read(&b); p != nil {
		return nil, p
	}
	keep, err := parseFilters(b.Filters)
	if err != nil || b.Filters == "" {
		return nil, refuse(http.StatusBadRequest, "filters: %v", err)
	}
	do := func() {
		if i := s.indexes[c.index]; i != nil {
			maps.DeleteFunc(i.records, func(_ string, r Record) bool { return i.matches(r, keep) })
		}
	}
	return s.queue(c.index, "", do, map[string]any{"updatedAt": now()}), nil
}

func now() string { return time.Now().UTC().Format(time.RFC3339) }

var scopes = []string{"settings", "synonyms", "rules"}

func (s *Server) operation(c call) (any, *problem) {
	var b struct {
		Operation   string   `json:"operation"`
		Destination string   `json:"destination"`
		Scope       []string `json:"scope"`
	}
	if p := c.read(&b); p != nil {
		return nil, p
	}
	k := s.keys[c.r.Header.Get("X-Algolia-Api-Key")]
	switch {
	case b.Destination == "" || b.Destination == c.index:
		return nil, refuse(http.StatusBadRequest, "invalid destination")
	case !k.allows(b.Destination):
		return nil, refuse(http.StatusForbidden, "Index not allowed with this API key")
	case slices.ContainsFunc(b.Scope, func(one string) bool { return !slices.Contains(scopes, one) }), b.Operation == "move" && len(b.Scope) > 0:
		return nil, refuse(http.StatusBadRequest, "invalid scope")
	}
	more := map[string]any{"updatedAt": now()}
	switch b.Operation {
	case "copy":
		return s.queue(b.Destination, c.index, func() { s.copyIndex(c.index, b.Destination, b.Scope) }, more), nil
	case "move":
		do := func() {
			if from := s.indexes[c.index]; from != nil { // a missing source is no error
				s.indexes[b.Destination] = from
				delete(s.indexes, c.index)
			}
		}
		return s.queue(c.index, b.Destination, do, more), nil
	}
	return nil, refuse(http.StatusBadRequest, "invalid operation: %q", b.Operation)
}

// copyIndex makes an empty index of a missing source.
func (s *Server) copyIndex(source, destination string, scope []string) {
	from := s.indexes[source]
	if from == nil {
		from = &index{records: map[string]Record{}, settings: map[string]json.RawMessage{}}
	}
	to := s.make(destination)
	if len(scope) == 0 {
		to.records = map[string]Record{}
		for id, r := range from.records {
			to.records[id] = maps.Clone(r)
		}
		scope = scopes
	}
	for _, one := range scope {
		switch one {
		case "settings":
			to.settings = maps.Clone(from.settings)
			for _, own := range []string{"enableReRanking", "mode", "replicas"} {
				delete(to.settings, own)
			}
		case "synonyms":
			to.synonyms = slices.Clone(from.synonyms)
		case "rules":
			to.rules = slices.Clone(from.rules)
		}
	}
}

func (s *Server) deleteIndex(c call) (any, *problem) {
	if len(c.body) > 0 {
		return nil, refuse(http.StatusBadRequest, "unexpected body")
	}
	return s.queue(c.index, "", func() { delete(s.indexes, c.index) }, map[string]any{"deletedAt": now()}), nil
}

// settingNames are those that can be changed here.
var settingNames = []string{
	"searchableAttributes", "attributesForFaceting", "numericAttributesForFiltering", "attributesToRetrieve", "customRanking", "userData", "unretrievableAttributes",
}

func (s *Server) setSettings(c call) (any, *problem) {
	values := map[string]json.RawMessage{}
	if p := c.read(&values); p != nil {
		return nil, p
	}
	for name, v := range values {
		if !slices.Contains(settingNames, name) {
			return nil, refuse(http.StatusBadRequest, "Invalid setting: %s", name)
		}
		var list []string
		if name != "userData" && !bytes.Equal(v, []byte("null")) && json.Unmarshal(v, &list) != nil {
			return nil, refuse(http.StatusBadRequest, "Invalid value of setting %s", name)
		}
	}
	return s.queue(c.index, "", func() { maps.Copy(s.make(c.index).settings, values) }, map[string]any{"updatedAt": now()}), nil
}
