package fakesearch

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// index is one, without its aliases.
type index struct {
	name, uuid string
	settings   map[string]any // by the names without "index."
	mapping    mapping
	closed     bool

	docs      map[string]document
	gone      map[string]tombstone
	dirty     map[string]bool     // changed since the last refresh
	shown     map[string]document // what searches find
	refreshed time.Time
}

type document struct {
	version int64
	seq     int
	source  json.RawMessage
}

type tombstone struct {
	version int64
	at      time.Time
}

// duration reads a setting such as 24h or 1d.
func (i *index) duration(name string, otherwise time.Duration) time.Duration {
	text, ok := i.settings[name].(string)
	if !ok {
		return otherwise
	}
	d, _ := interval(text) // it was looked at when it was set
	return d
}

func interval(text string) (time.Duration, bool) {
	if text == "-1" {
		return -1, true
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.Atoi(days)
		return time.Duration(n) * 24 * time.Hour, err == nil
	}
	d, err := time.ParseDuration(text)
	return d, err == nil
}

const defaultGC = 60 * time.Second

// version returns the newest that the index knows of a document, also of a deletion that it has not forgotten.
func (i *index) version(id string, now time.Time) (int64, bool) {
	if d, ok := i.docs[id]; ok {
		return d.version, true
	}
	if t, ok := i.gone[id]; ok {
		if now.Sub(t.at) < i.duration("gc_deletes", defaultGC) {
			return t.version, true
		}
		delete(i.gone, id)
	}
	return 0, false
}

// show makes visible what has changed.
func (i *index) show(now time.Time) {
	for id := range i.dirty {
		if d, ok := i.docs[id]; ok {
			i.shown[id] = d
		} else {
			delete(i.shown, id)
		}
	}
	clear(i.dirty)
	i.refreshed = now
}

// due refreshes the index if its interval has passed.
func (i *index) due(now time.Time) {
	if every := i.duration("refresh_interval", time.Second); every >= 0 && now.Sub(i.refreshed) >= every {
		i.show(now)
	}
}

// resolve returns the indexes under a name, an alias, or a pattern; several are separated by commas.
func (s *Server) resolve(names string) ([]*index, *problem) {
	var found []*index
	for _, name := range strings.Split(names, ",") {
		var some []*index
		if strings.Contains(name, "*") || name == "_all" {
			if name == "_all" {
				name = "*"
			}
			for _, n := range slices.Sorted(maps.Keys(s.indexes)) {
				hit, _ := path.Match(name, n)
				for a, of := range s.aliases {
					if _, ok := of[n]; ok && !hit {
						hit, _ = path.Match(name, a)
					}
				}
				if hit {
					some = append(some, s.indexes[n])
				}
			}
		} else if i := s.indexes[name]; i != nil {
			some = []*index{i}
		} else if of := s.aliases[name]; of != nil {
			for _, n := range slices.Sorted(maps.Keys(of)) {
				some = append(some, s.indexes[n])
			}
		} else {
			return nil, noIndex(name)
		}
		for _, i := range some {
			if !slices.Contains(found, i) {
				found = append(found, i)
			}
		}
	}
	return found, nil
}

func (s *Server) aliasesOf(name string) map[string]any {
	of := map[string]any{}
	for a, indexes := range s.aliases {
		if one, ok := indexes[name]; ok {
			of[a] = map[string]any{}
			if one.write != nil {
				of[a] = map[string]any{"is_write_index": *one.write}
			}
		}
	}
	return of
}

func (s *Server) showIndex(c *call, names string) (status int, answer any, p *problem) {
	if p := c.unknown(); p != nil {
		return 0, nil, p
	}
	found, p := s.resolve(names)
	if p != nil {
		p.status = http.StatusNotFound
		return 0, nil, p
	}
	all := map[string]any{}
	for _, i := range found {
		all[i.name] = map[string]any{"aliases": s.aliasesOf(i.name), "mappings": i.mapping.wire(), "settings": i.wireSettings()}
	}
	return http.StatusOK, all, nil
}

// wireSettings shows the settings as the engine does: below each other, and all of them texts.
func (i *index) wireSettings() map[string]any {
	root := map[string]any{}
	for name, value := range i.settings {
		at := root
		parts := strings.Split(name, ".")
		for _, part := range parts[:len(parts)-1] {
			below, ok := at[part].(map[string]any)
			if !ok {
				below = map[string]any{}
				at[part] = below
			}
			at = below
		}
		at[parts[len(parts)-1]] = value
	}
	root["uuid"], root["provided_name"], root["creation_date"] = i.uuid, i.name, "1795943594910"
	root["version"] = map[string]any{"created": "136408427"}
	return map[string]any{"index": root}
}

// Settings that there are; true for those that can be changed later.
var knownSettings = map[string]bool{
	"number_of_shards": false, "codec": false, "number_of_replicas": true, "auto_expand_replicas": true, "gc_deletes": true, "refresh_interval": true,
	"max_result_window": true, "mapping.total_fields.limit": true, "mapping.nested_objects.limit": true, "mapping.nested_fields.limit": true,
	"mapping.depth.limit": true, "blocks.write": true, "blocks.read_only": true, "blocks.read_only_allow_delete": true, "priority": true,
	"routing.allocation.include._tier_preference": true,
}

// flatten turns settings into names with dots, without "index." in front.
func flatten(under string, v any, to map[string]any) {
	if m, ok := v.(map[string]any); ok && under != "analysis" {
		for name, inner := range m {
			full := name
			if under != "" {
				full = under + "." + name
			}
			full = strings.TrimPrefix(full, "index.")
			if full == "index" {
				full = ""
			}
			flatten(full, inner, to)
		}
		return
	}
	if f, ok := v.(float64); ok {
		v = strconv.FormatFloat(f, 'f', -1, 64)
	}
	if b, ok := v.(bool); ok {
		v = strconv.FormatBool(b)
	}
	to[under] = v
}

func checkSettings(settings map[string]any) *problem {
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		value := settings[name]
		if name == "analysis" {
			continue
		}
		if _, ok := knownSettings[name]; !ok {
			return illegal("unknown setting [index.%s] please check that any required plugins are installed, or check the breaking changes documentation for removed settings", name)
		}
		text, _ := value.(string)
		switch name {
		case "gc_deletes", "refresh_interval":
			if _, ok := interval(text); value != nil && !ok {
				return illegal("failed to parse setting [index.%s] with value [%v] as a time value: unit is missing or unrecognized", name, value)
			}
		case "mapping.total_fields.limit", "number_of_replicas", "number_of_shards":
			if _, err := strconv.Atoi(text); value != nil && err != nil {
				return illegal("Failed to parse value [%v] for setting [index.%s]", value, name)
			}
		}
	}
	return nil
}

func checkIndexName(name string) *problem {
	bad := func(why string) *problem {
		return &problem{status: http.StatusBadRequest, kind: "invalid_index_name_exception", reason: "Invalid index name [" + name + "], " + why, index: name, uuid: "_na_"}
	}
	switch {
	case strings.ToLower(name) != name:
		return bad("must be lowercase")
	case strings.ContainsAny(name, "\\/*?\"<>| ,#:"):
		return bad("must not contain the following characters [ , \", *, \\, <, |, ,, >, /, ?]")
	case strings.ContainsRune("_-+", rune(name[0])):
		return bad("must not start with '_', '-', or '+'")
	case len(name) > 255:
		return bad("index name is too long, (" + strconv.Itoa(len(name)) + " > 255)")
	}
	return nil
}

func (s *Server) createIndex(c *call, name string) (status int, answer any, p *problem) {
	c.param("timeout")
	c.param("wait_for_active_shards")
	if p := c.unknown(); p != nil {
		return 0, nil, p
	}
	var body map[string]json.RawMessage
	if len(c.body) > 0 {
		if p := c.object(&body); p != nil {
			return 0, nil, p
		}
	}
	settings, aliases := map[string]any{}, map[string]json.RawMessage{}
	var m mapping
	for key, raw := range body {
		switch key {
		case "settings":
			var nested any
			_ = json.Unmarshal(raw, &nested) // the body was JSON
			flatten("", nested, settings)
		case "mappings":
			if m, p = parseMapping(raw); p != nil {
				p.cause = &problem{kind: p.kind, reason: p.reason}
				p.reason = "Failed to parse mapping [_doc]: " + p.reason
				return 0, nil, p
			}
		case "aliases":
			if json.Unmarshal(raw, &aliases) != nil {
				return 0, nil, &problem{status: http.StatusBadRequest, kind: "parse_exception", reason: "aliases is no object"}
			}
		default:
			return 0, nil, &problem{status: http.StatusBadRequest, kind: "parse_exception", reason: "unknown key [" + key + "] for create index"}
		}
	}
	if p := checkIndexName(name); p != nil {
		return 0, nil, p
	}
	if i := s.indexes[name]; i != nil {
		return 0, nil, &problem{
			status: http.StatusBadRequest, kind: "resource_already_exists_exception", reason: fmt.Sprintf("index [%s/%s] already exists", name, i.uuid), index: name, uuid: i.uuid,
		}
	}
	if s.aliases[name] != nil {
		return 0, nil, &problem{
			status: http.StatusBadRequest, kind: "invalid_index_name_exception", reason: "Invalid index name [" + name + "], already exists as alias", index: name, uuid: "_na_",
		}
	}
	for a := range aliases {
		if p := s.checkAlias(a, name); p != nil {
			return 0, nil, p
		}
	}
	if p := checkSettings(settings); p != nil {
		return 0, nil, p
	}
	i, p := s.add(name, settings, m)
	if p != nil {
		return 0, nil, p
	}
	for a, raw := range aliases {
		var one struct {
			Write *bool `json:"is_write_index"`
		}
		_ = json.Unmarshal(raw, &one) // the body was JSON
		s.setAlias(a, i.name, alias{write: one.Write})
	}
	return http.StatusOK, map[string]any{"acknowledged": true, "shards_acknowledged": true, "index": name}, nil
}

func (s *Server) add(name string, settings map[string]any, m mapping) (*index, *problem) {
	for setting, value := range map[string]string{"number_of_shards": "1", "number_of_replicas": "1"} {
		if settings[setting] == nil {
			settings[setting] = value
		}
	}
	s.seq++
	i := &index{
		name: name, uuid: fmt.Sprintf("fake-uuid-%06d", s.seq), settings: settings, mapping: m, refreshed: s.now(),
		docs: map[string]document{}, gone: map[string]tombstone{}, dirty: map[string]bool{}, shown: map[string]document{},
	}
	if p := i.checkLimit(m); p != nil {
		return nil, p
	}
	s.indexes[name] = i
	return i, nil
}

func (s *Server) deleteIndex(c *call, names string) (status int, answer any, p *problem) {
	c.param("ignore_unavailable")
	if p := c.unknown(); p != nil {
		return 0, nil, p
	}
	for _, name := range strings.Split(names, ",") {
		if s.aliases[name] != nil {
			return 0, nil, illegal("The provided expression [%s] matches an alias, specify the corresponding concrete indices instead.", name)
		}
	}
	found, p := s.resolve(names)
	if p != nil {
		return 0, nil, p
	}
	for _, i := range found {
		delete(s.indexes, i.name)
		for a, of := range s.aliases {
			if delete(of, i.name); len(of) == 0 {
				delete(s.aliases, a)
			}
		}
	}
	return http.StatusOK, map[string]any{"acknowledged": true}, nil
}

func (s *Server) showMapping(c *call, names string) (status int, answer any, p *problem) {
	if p := c.unknown(); p != nil {
		return 0, nil, p
	}
	found, p := s.resolve(names)
	if p != nil {
		return 0, nil, p
	}
	all := map[string]any{}
	for _, i := range found {
		all[i.name] = map[string]any{"mappings": i.mapping.wire()}
	}
	return http.StatusOK, all, nil
}

func (s *Server) putMapping(c *call, names string) (status int, answer any, p *problem) {
	c.param("timeout")
	if p := c.unknown(); p != nil {
		return 0, nil, p
	}
	found, p := s.resolve(names)
	if p != nil {
		return 0, nil, p
	}
	if len(c.body) == 0 {
		return 0, nil, &problem{status: http.StatusBadRequest, kind: "parse_exception", reason: "request body is required"}
	}
	m, p := parseMapping(c.body)
	if p != nil {
		return 0, nil, p
	}
	for _, i := range found {
		whole, p := i.mapping.with(m)
		if p == nil {
			p = i.checkLimit(whole)
		}
		if p != nil {
			return 0, nil, p
		}
		i.mapping = whole
	}
	return http.StatusOK, map[string]any{"acknowledged": true}, nil
}

func (s *Server) showSettings(c *call, names string) (status int, answer any, p *problem) {
	if p := c.unknown(); p != nil {
		return 0, nil, p
	}
	found, p := s.resolve(names)
	if p != nil {
		return 0, nil, p
	}
	all := map[string]any{}
	for _, i := range found {
		all[i.name] = map[string]any{"settings": i.wireSettings()}
	}
	return http.StatusOK, all, nil
}

func (s *Server) putSettings(c *call, names string) (status int, answer any, p *problem) {
	if p := c.unknown(); p != nil {
		return 0, nil, p
	}
	found, p := s.resolve(names)
	if p != nil {
		return 0, nil, p
	}
	var body any
	if p := c.object(&body); p != nil {
		return 0, nil, p
	}
	changed := map[string]any{}
	flatten("", body, changed)
	if p := checkSettings(changed); p != nil {
		return 0, nil, p
	}
	for name := range changed {
		if !knownSettings[name] && !found[0].closed {
			return 0, nil, illegal("Can't update non dynamic settings [[index.%s]] for open indices [[%s/%s]]", name, found[0].name, found[0].uuid)
		}
	}
	for _, i := range found {
		for name, value := range changed {
			if i.settings[name] = value; value == nil {
				delete(i.settings, name)
			}
		}
	}
	return http.StatusOK, map[string]any{"acknowledged": true}, nil
}

func (s *Server) openClose(c *call, names string, closed bool) (status int, answer any, p *problem) {
	if p := c.unknown(); p != nil {
		return 0, nil, p
	}
	found, p := s.resolve(names)
	if p != nil {
		return 0, nil, p
	}
	for _, i := range found {
		i.closed = closed
	}
	return http.StatusOK, map[string]any{"acknowledged": true, "shards_acknowledged": true}, nil
}

func (i *index) closedProblem() *problem {
	return &problem{status: http.StatusBadRequest, kind: "index_closed_exception", reason: "closed", index: i.name, uuid: i.uuid}
}

func (s *Server) refresh(c *call, names string) (status int, answer any, p *problem) {
	if p := c.unknown(); p != nil {
		return 0, nil, p
	}
	found, p := s.resolve(names)
	if p != nil {
		return 0, nil, p
	}
	for _, i := range found {
		if i.closed {
			return 0, nil, i.closedProblem()
		}
		i.show(s.now())
	}
	return http.StatusOK, map[string]any{"_shards": map[string]any{"total": len(found), "successful": len(found), "failed": 0}}, nil
}

func (s *Server) checkAlias(name, of string) *problem {
	if p := checkIndexName(name); p != nil {
		p.kind, p.reason = "invalid_alias_name_exception", strings.Replace(p.reason, "index name", "alias name", 1)
		return p
	}
	if i := s.indexes[name]; i != nil || name == of {
		p := &problem{status: http.StatusBadRequest, kind: "invalid_alias_name_exception", reason: "Invalid alias name [" + name + "], an index exists with the same name as the alias"}
		if i != nil {
			p.index, p.uuid = i.name, i.uuid
		}
		return p
	}
	return nil
}

func (s *Server) setAlias(name, of string, a alias) {
	if s.aliases[name] == nil {
		s.aliases[name] = map[string]alias{}
	}
	s.aliases[name][of] = a
}

func (s *Server) showAliases(c *call, names, only string) (status int, answer any, p *problem) {
	if p := c.unknown(); p != nil {
		return 0, nil, p
	}
	found, p := s.resolve(names)
	if p != nil {
		return 0, nil, p
	}
	all := map[string]any{}
	for _, i := range found {
		of := s.aliasesOf(i.name)
		for a := range of {
			if hit, _ := path.Match(only, a); only != "" && !hit {
				delete(of, a)
			}
		}
		if only == "" || len(of) > 0 {
			all[i.name] = map[string]any{"aliases": of}
		}
	}
	if only != "" && len(all) == 0 && !strings.Contains(only, "*") {
		return 0, nil, &problem{status: http.StatusNotFound, bare: true, reason: "alias [" + only + "] missing"}
	}
	return http.StatusOK, all, nil
}

type aliasAction struct {
	Index     string `json:"index"`
	Alias     string `json:"alias"`
	Write     *bool  `json:"is_write_index"`
	MustExist *bool  `json:"must_exist"`
}

// changeAliases does all actions or none.
func (s *Server) changeAliases(c *call) (status int, answer any, p *problem) {
	c.param("timeout")
	if p := c.unknown(); p != nil {
		return 0, nil, p
	}
	var body struct {
		Actions []map[string]json.RawMessage `json:"actions"`
	}
	if p := c.object(&body); p != nil {
		return 0, nil, p
	}
	if len(body.Actions) == 0 {
		return 0, nil, &problem{status: http.StatusBadRequest, kind: "action_request_validation_exception", reason: "Validation Failed: 1: Must specify at least one alias action;"}
	}
	before := map[string]map[string]alias{}
	for name, of := range s.aliases {
		before[name] = maps.Clone(of)
	}
	p, missing, changes := s.aliasActions(body.Actions)
	if p == nil && changes == 0 && missing != "" {
		p = &problem{status: http.StatusNotFound, kind: "aliases_not_found_exception", reason: "aliases [" + missing + "] missing"}
	}
	for name, of := range s.aliases {
		writers := 0
		for _, one := range of {
			if one.write != nil && *one.write {
				writers++
			}
		}
		if writers > 1 && p == nil {
			p = &problem{status: http.StatusInternalServerError, kind: "illegal_state_exception", reason: "alias [" + name + "] has more than one write index"}
		}
		if len(of) == 0 {
			delete(s.aliases, name)
		}
	}
	if p != nil {
		s.aliases = before
		return 0, nil, p
	}
	return http.StatusOK, map[string]any{"acknowledged": true}, nil
}

func (s *Server) aliasActions(actions []map[string]json.RawMessage) (p *problem, missing string, changes int) {
	for _, action := range actions {
		for verb, raw := range action {
			var a aliasAction
			if json.Unmarshal(raw, &a) != nil || a.Index == "" || a.Alias == "" || verb != "add" && verb != "remove" {
				return &problem{status: http.StatusBadRequest, kind: "x_content_parse_exception", reason: "[alias_action] failed to parse field [" + verb + "]"}, "", 0
			}
			found, p := s.resolve(a.Index)
			if p != nil {
				return p, "", 0
			}
			if _, isAlias := s.aliases[a.Index]; isAlias {
				return illegal("The provided expression [%s] matches an alias, specify the corresponding concrete indices instead.", a.Index), "", 0
			}
			for _, i := range found {
				if verb == "add" {
					if p := s.checkAlias(a.Alias, i.name); p != nil {
						return p, "", 0
					}
					s.setAlias(a.Alias, i.name, alias{write: a.Write})
					changes++
					continue
				}
				if _, ok := s.aliases[a.Alias][i.name]; ok {
					delete(s.aliases[a.Alias], i.name)
					changes++
				} else if missing = a.Alias; a.MustExist != nil && *a.MustExist {
					return &problem{status: http.StatusNotFound, kind: "aliases_not_found_exception", reason: "required alias [" + a.Alias + "] does not exist"}, "", 0
				}
			}
		}
	}
	return nil, missing, changes
}
