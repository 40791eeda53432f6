package fakesearch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// action is the first line of an item.
type action struct {
	verb         string
	index, id    string
	version      *int64
	versionType  string
	requireAlias bool
	source       []byte
}

// actionKeys are what an action line may say.
var actionKeys = []string{"_index", "_id", "routing", "version", "version_type", "if_seq_no", "if_primary_term", "require_alias", "pipeline"}

const (
	conflictType = "version_conflict_engine_exception"
	rejectedType = "rejected_execution_exception"
)

// rejected is the type of an item that is throttled.
func (m Mode) rejected() string {
	if m.elastic() {
		return "es_rejected_execution_exception"
	}
	return rejectedType
}

func (s *Server) bulk(c *call, index string) (status int, answer any, p *problem) {
	requireAlias := c.param("require_alias") == "true"
	refresh := c.param("refresh")
	c.param("timeout")
	if s.o.Mode.elastic() && strings.HasPrefix(s.o.Mode.number(), "7.9") {
		delete(c.used, "require_alias")
	}
	if p := c.unknown(); p != nil {
		return 0, nil, p
	}
	actions, p := s.parseBulk(c.body, index, requireAlias)
	if p != nil {
		return 0, nil, p
	}
	s.bulks++
	s.makeMissing(actions)
	items, errors := make([]any, 0, len(actions)), false
	for _, a := range actions {
		item, bad := s.do(a)
		if bad != nil {
			errors = true
			item = map[string]any{"_index": a.index, "_id": a.id, "status": bad.status, "error": bad.detail()}
			s.refused[fmt.Sprintf("item %d %s", bad.status, bad.kind)]++
		}
		items = append(items, map[string]any{a.verb: item})
	}
	if refresh == "true" || refresh == "wait_for" {
		for _, i := range s.indexes {
			i.show(s.now())
		}
	}
	return http.StatusOK, map[string]any{"took": 1, "errors": errors, "items": items}, nil
}

func (s *Server) parseBulk(body []byte, index string, requireAlias bool) ([]action, *problem) {
	if len(body) == 0 {
		return nil, &problem{status: http.StatusBadRequest, kind: "parse_exception", reason: "request body is required"}
	}
	if body[len(body)-1] != '\n' {
		return nil, illegal("The bulk request must be terminated by a newline [\\n]")
	}
	var all []action
	for line := 1; len(body) > 0; line++ {
		var text []byte
		text, body, _ = bytes.Cut(body, []byte("\n"))
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		a, p := s.parseAction(text, line)
		if p != nil {
			return nil, p
		}
		if a.index == "" {
			a.index = index
		}
		a.requireAlias = a.requireAlias || requireAlias
		var why string
		switch {
		case a.index == "":
			why = "index is missing"
		case a.id == "" && a.verb == "delete":
			why = "id is missing"
		case len(a.id) > 512 && a.verb != "delete":
			why = fmt.Sprintf("id [%s] is too long, must be no longer than 512 bytes but was: %d", a.id, len(a.id))
		case a.version != nil && *a.version < 0:
			why = fmt.Sprintf("illegal version value [%d] for version type [%s]", *a.version, strings.ToUpper(a.versionType))
		}
		if why != "" {
			return nil, &problem{status: http.StatusBadRequest, kind: "action_request_validation_exception", reason: "Validation Failed: 1: " + why + ";"}
		}
		if a.verb != "delete" {
			if len(body) == 0 {
				return nil, illegal("The bulk request must be terminated by a newline [\\n]")
			}
			a.source, body, _ = bytes.Cut(body, []byte("\n"))
			line++
		}
		all = append(all, a)
	}
	return all, nil
}

func (s *Server) parseAction(text []byte, line int) (a action, p *problem) {
	var verbs map[string]map[string]json.RawMessage
	if err := json.Unmarshal(text, &verbs); err != nil || len(verbs) != 1 {
		var other map[string]json.RawMessage
		if json.Unmarshal(text, &other) == nil {
			for name := range other {
				return a, illegal("Malformed action/metadata line [%d], expected one of [create, delete, index, update] but found [%s]", line, name)
			}
		}
		return a, illegal("Malformed action/metadata line [%d], expected START_OBJECT", line)
	}
	for verb, meta := range verbs {
		if !slices.Contains([]string{"create", "delete", "index"}, verb) { // mageline sends no update
			return a, illegal("Malformed action/metadata line [%d], expected one of [create, delete, index, update] but found [%s]", line, verb)
		}
		a.verb = verb
		for key, raw := range meta {
			var bad error
			switch {
			case key == "_index":
				bad = json.Unmarshal(raw, &a.index)
			case key == "_id":
				bad = json.Unmarshal(raw, &a.id)
			case key == "version":
				bad = json.Unmarshal(raw, &a.version)
			case key == "version_type":
				bad = json.Unmarshal(raw, &a.versionType)
			case key == "require_alias":
				bad = json.Unmarshal(raw, &a.requireAlias)
			case key == "_type" && s.o.Mode.types():
			case !slices.Contains(actionKeys, key):
				return a, illegal("Action/metadata line [%d] contains an unknown parameter [%s]", line, key)
			}
			if bad != nil {
				return a, illegal("Action/metadata line [%d]: %v", line, bad)
			}
		}
		if a.versionType != "" && !slices.Contains([]string{"internal", "external", "external_gte"}, a.versionType) {
			return a, illegal("No version type match [%s]", a.versionType)
		}
	}
	return a, nil
}

// makeMissing makes the indexes that actions name and that are not there, with whatever fields come. Of deletions only those with an
// external version count, and require_alias counts for those of others alone: where no document is written beside it, a deletion
// makes an index.
func (s *Server) makeMissing(actions []action) {
	guarded := map[string]bool{}
	for _, a := range actions {
		if a.verb != "delete" || strings.HasPrefix(a.versionType, "external") {
			guarded[a.index] = guarded[a.index] || a.requireAlias && a.verb != "delete"
		}
	}
	for name, is := range guarded {
		if !is && s.indexes[name] == nil && s.aliases[name] == nil && checkIndexName(name) == nil {
			_, _ = s.add(name, map[string]any{}, mapping{}) // without fields it has not too many
		}
	}
}

// target returns the index that an action writes to.
func (s *Server) target(a action) (*index, *problem) {
	of, isAlias := s.aliases[a.index]
	if a.requireAlias && !isAlias && a.verb != "delete" {
		p := noIndex(a.index)
		p.reason += " and [require_alias] request flag is [true] and [" + a.index + "] is not an alias"
		return nil, p
	}
	if isAlias {
		var writer *index
		for name, one := range of {
			if one.write != nil && *one.write || len(of) == 1 && one.write == nil {
				writer = s.indexes[name]
			}
		}
		if writer == nil {
			return nil, illegal("no write index is defined for alias [%s]. The write index may be explicitly disabled using is_write_index=false or "+
				"the alias points to multiple indices without one being designated as a write index", a.index)
		}
		return writer, nil
	}
	if i := s.indexes[a.index]; i != nil {
		return i, nil
	}
	if p := checkIndexName(a.index); p != nil {
		return nil, p
	}
	return nil, noIndex(a.index)
}

// blocked returns the problem of an index that takes no writes.
func (i *index) blocked() *problem {
	for setting, b := range map[string]struct {
		status int
		text   string
	}{
		"blocks.write":                  {http.StatusForbidden, "FORBIDDEN/8/index write (api)"},
		"blocks.read_only":              {http.StatusForbidden, "FORBIDDEN/5/index read-only (api)"},
		"blocks.read_only_allow_delete": {http.StatusTooManyRequests, "TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has read-only-allow-delete block"},
	} {
		if i.settings[setting] == "true" {
			return &problem{status: b.status, kind: "cluster_block_exception", reason: "index [" + i.name + "] blocked by: [" + b.text + "];"}
		}
	}
	return nil
}

// do carries one action out.
func (s *Server) do(a action) (map[string]any, *problem) {
	if bad := s.itemFault(a); bad != nil {
		return nil, bad
	}
	i, bad := s.target(a)
	if bad == nil && i.closed {
		bad = i.closedProblem()
	}
	if bad == nil {
		bad = i.blocked()
	}
	if bad != nil {
		return nil, bad
	}
	if a.verb != "delete" {
		if bad := i.take(a.id, a.source); bad != nil {
			if s.o.Mode == Elasticsearch8 || s.o.Mode == Elasticsearch9 {
				if bad.kind == "mapper_parsing_exception" {
					bad.kind, bad.reason = "document_parsing_exception", "[1:1] "+bad.reason
				}
			}
			return nil, bad
		}
	}
	now := s.now()
	has, known := i.version(a.id, now)
	_, live := i.docs[a.id]
	version := has + 1
	external := a.versionType == "external" || a.versionType == "external_gte"
	if external {
		if a.version == nil {
			return nil, illegal("[%s] version is missing", a.id)
		}
		version = *a.version
		words := "is higher than"
		if a.versionType == "external" {
			words = "is higher or equal to"
		}
		if known && (has > version || a.versionType == "external" && has == version) {
			return nil, &problem{
				status: http.StatusConflict, kind: conflictType, index: i.name, uuid: i.uuid, shard: "0",
				reason: fmt.Sprintf("[%s]: version conflict, current version [%d] %s the one provided [%d]", a.id, has, words, version),
			}
		}
	}
	if a.verb == "create" && live {
		return nil, &problem{status: http.StatusConflict, kind: conflictType, index: i.name, uuid: i.uuid, shard: "0", reason: "[" + a.id + "]: version conflict, document already exists"}
	}
	s.seq++
	s.writes++
	i.dirty[a.id] = true
	status, result := http.StatusOK, "updated"
	switch a.verb {
	case "delete":
		result = "deleted"
		if !live {
			status, result = http.StatusNotFound, "not_found"
		}
		delete(i.docs, a.id)
		i.gone[a.id] = tombstone{version: version, at: now}
	default:
		if !live {
			status, result = http.StatusCreated, "created"
		}
		delete(i.gone, a.id)
		d := document{version: version, seq: s.seq, source: bytes.Clone(a.source)}
		if s.o.NoSources {
			d.source = nil
		}
		i.docs[a.id] = d
	}
	return map[string]any{
		"_index": i.name, "_id": a.id, "_version": version, "result": result, "_shards": map[string]any{"total": 1, "successful": 1, "failed": 0},
		"_seq_no": s.seq, "_primary_term": 1, "status": status,
	}, nil
}
