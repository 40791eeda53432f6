package elastic

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/search"
)

// DefaultFieldLimit is the engines' own mapping.total_fields.limit.
const DefaultFieldLimit = 1000

// generation is an index of the engine as GET shows it.
type generation struct {
	name     string // of the index itself
	Aliases  map[string]json.RawMessage
	Mappings mapping
	Settings struct {
		Index struct {
			UUID      string          `json:"uuid"`
			GCDeletes string          `json:"gc_deletes"`
			Mapping   json.RawMessage `json:"mapping"`
		}
	}
}

// limit is how many fields the index may have.
func (g generation) limit() int {
	var m struct {
		TotalFields struct {
			Limit string `json:"limit"`
		} `json:"total_fields"`
	}
	_ = json.Unmarshal(g.Settings.Index.Mapping, &m) // without it the engine's own holds
	if n, err := strconv.Atoi(m.TotalFields.Limit); err == nil {
		return n
	}
	return DefaultFieldLimit
}

// own returns the alias that this generation alone has, or "".
func (g generation) own(index string) string {
	for _, alias := range slices.Sorted(maps.Keys(g.Aliases)) {
		if strings.HasPrefix(alias, index+"-") && strings.HasSuffix(alias, ownSuffix) {
			return alias
		}
	}
	return ""
}

// ownSuffix ends the name of the alias that one generation alone has.
const ownSuffix = "-write"

func (c *Client) unique(index string) string {
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails
	return index + "-" + c.o.Now().UTC().Format("20060102t150405") + "-" + hex.EncodeToString(random[:])
}

// get returns the indexes under a name, which may be an alias; none if there is no such name.
func (c *Client) get(ctx context.Context, name string) ([]generation, error) {
	var found map[string]generation
	_, err := c.call(ctx, request{what: "look at index " + name, method: http.MethodGet, path: segments(name)}, &found)
	if refusalOf(err).kind == indexNotFound {
		return nil, nil
	}
	var all []generation
	for _, index := range slices.Sorted(maps.Keys(found)) {
		g := found[index]
		g.name = index
		all = append(all, g)
	}
	return all, err
}

// searched returns the generation that is searched; ok is false if there is none.
func (c *Client) searched(ctx context.Context, index string) (g generation, ok bool, err error) {
	all, err := c.get(ctx, index)
	if err != nil || len(all) == 0 {
		return g, false, err
	}
	if len(all) > 1 {
		var several []string
		for _, one := range all {
			several = append(several, one.name)
		}
		return g, false, invalid("alias %s leads to the indexes %s: leave it on one of them (POST /_aliases), and delete what is not needed", index, strings.Join(several, ", "))
	}
	if all[0].name == index {
		return g, false, invalid("%s is an index, made by somebody else, and should be an alias: choose another name, or copy it (POST /_reindex), "+
			"delete it and make an alias of this name for the copy", index)
	}
	return all[0], true, nil
}

// put sends a request with a JSON body that is acknowledged by all nodes, or else may be sent again.
func (c *Client) put(ctx context.Context, method, what, path string, body any) error {
	var a struct {
		Acknowledged bool `json:"acknowledged"`
	}
	r := request{what: what, method: method, path: path, kind: "application/json"}
	if body != nil {
		r.body = encode(body)
	}
	if _, err := c.call(ctx, r, &a); err != nil {
		return err
	}
	if !a.Acknowledged {
		return &event.Error{Class: event.Unavailable, Downstream: Downstream, Err: fmt.Errorf(
			"%s: not all nodes of the search engine have acknowledged it in time; see that its cluster is healthy", what)}
	}
	return nil
}

type object = map[string]any

// create makes an index with aliases. One that is there already was made by an earlier request whose answer was lost, if the name is
// unique.
func (c *Client) create(ctx context.Context, name string, fields []search.Field, aliases ...string) error {
	m, err := mappingOf(fields)
	if err != nil {
		return err
	}
	settings := object{"gc_deletes": GCDeletes}
	limit := DefaultFieldLimit
	for key, value := range c.o.Settings {
		key = strings.TrimPrefix(key, "index.")
		settings[key] = value
		if key == "mapping.total_fields.limit" {
			if n, err := strconv.Atoi(fmt.Sprint(value)); err == nil {
				limit = n
			}
		}
	}
	if n := count(m.Properties); n > limit {
		return tooMany(name, n, limit)
	}
	as := object{}
	for _, alias := range aliases {
		as[alias] = object{}
	}
	return c.put(ctx, http.MethodPut, "create index "+name, segments(name), object{"settings": object{"index": settings}, "mappings": m, "aliases": as})
}

func tooMany(index string, fields, limit int) error {
	return invalid("index %s would have %d fields, and its limit is %d: name fewer attributes that become fields of their own, or raise "+
		"index.mapping.total_fields.limit", index, fields, limit)
}

// exists reports whether an error says that what was to be made is there.
func exists(err error) bool { return refusalOf(err).kind == indexExists }

// Create makes an empty generation, which nobody searches.
func (c *Client) Create(ctx context.Context, index string, fields []search.Field) (search.Target, error) {
	if err := c.ready(ctx, index); err != nil {
		return search.Target{}, err
	}
	name := c.unique(index)
	if err := c.create(ctx, name, fields, name+ownSuffix); err != nil && !exists(err) {
		return search.Target{}, err
	}
	return c.target(ctx, index, name+ownSuffix)
}

func (c *Client) target(ctx context.Context, index, own string) (search.Target, error) {
	all, err := c.get(ctx, own)
	if err != nil {
		return search.Target{}, err
	}
	if len(all) != 1 {
		return search.Target{}, gone(index, own)
	}
	return search.Target{Index: index, Name: own, Generation: all[0].Settings.Index.UUID}, nil
}

func gone(index, own string) error {
	return &event.Error{Class: event.Unavailable, Downstream: Downstream, Err: fmt.Errorf("index %s has no generation %s: %w", index, own, search.ErrNoTarget)}
}

// Ensure makes the index, or gives it the fields that it lacks. What an operator has set in it stays.
func (c *Client) Ensure(ctx context.Context, index string, fields []search.Field) (search.Target, error) {
	if err := c.ready(ctx, index); err != nil {
		return search.Target{}, err
	}
	g, ok, err := c.searched(ctx, index)
	if err != nil {
		return search.Target{}, err
	}
	if !ok {
		// The first generation has a name that no other can have: of two processes that make it at once, one is refused.
		first := index + "-1"
		err := c.create(ctx, first, fields, index, c.unique(index)+ownSuffix)
		if err != nil && !exists(err) {
			return search.Target{}, err
		}
		if g, ok, err = c.searched(ctx, index); err != nil {
			return search.Target{}, err
		}
		if !ok {
			return search.Target{}, invalid("there is an index %s, and no alias %s leads to it: add the alias (POST /_aliases), or delete the index", first, index)
		}
	}
	return c.amend(ctx, index, g, fields)
}

// amend gives a generation what it lacks.
func (c *Client) amend(ctx context.Context, index string, g generation, fields []search.Field) (search.Target, error) {
	want, err := mappingOf(fields)
	if err != nil {
		return search.Target{}, err
	}
	own := g.own(index)
	if own == "" {
		own = c.unique(index) + ownSuffix
		if err := c.aliases(ctx, object{"add": object{"index": g.name, "alias": own}}); err != nil {
			return search.Target{}, err
		}
	}
	target := search.Target{Index: index, Name: own, Generation: g.Settings.Index.UUID}
	lacks, changed := differ(want.Properties, g.Mappings.Properties, "")
	if len(changed) > 0 {
		return target, &event.Error{Class: event.Invalid, Downstream: Downstream, Err: &search.NeedsSwapError{Index: index, Fields: changed}}
	}
	if len(lacks) > 0 || g.Mappings.Dynamic != "strict" {
		if n := count(merged(g.Mappings.Properties, lacks)); n > g.limit() {
			return target, tooMany(index, n, g.limit())
		}
		err := c.put(ctx, http.MethodPut, "add fields to index "+g.name, segments(g.name, "_mapping"), mapping{Dynamic: "strict", Properties: lacks})
		if err != nil {
			return search.Target{}, err
		}
	}
	if g.Settings.Index.GCDeletes == "" {
		gc := cmp.Or(c.o.Settings["gc_deletes"], c.o.Settings["index.gc_deletes"], any(GCDeletes))
		if err := c.put(ctx, http.MethodPut, "set gc_deletes of index "+g.name, segments(g.name, "_settings"), object{"index": object{"gc_deletes": gc}}); err != nil {
			return search.Target{}, err
		}
	}
	return target, nil
}

// merged returns has with what it lacks, for counting.
func merged(has, lacks map[string]property) map[string]property {
	all := maps.Clone(has)
	if all == nil {
		all = map[string]property{}
	}
	for name, l := range lacks {
		h := all[name]
		l.Properties = merged(h.Properties, l.Properties)
		l.Fields = merged(h.Fields, l.Fields)
		all[name] = l
	}
	return all
}

func (c *Client) aliases(ctx context.Context, actions ...object) error {
	return c.put(ctx, http.MethodPost, "change aliases", "/_aliases", object{"actions": actions})
}

// Swap moves the alias in one step, after a refresh of next.
func (c *Client) Swap(ctx context.Context, next search.Target) (search.Target, error) {
	for tries := 1; ; tries++ {
		g, err := c.generation(ctx, next)
		if err != nil {
			return search.Target{}, err
		}
		old, ok, err := c.searched(ctx, next.Index)
		if err != nil || ok && old.name == g.name {
			return search.Target{}, err
		}
		if err := c.refresh(ctx, next); err != nil {
			return search.Target{}, err
		}
		actions := []object{{"add": object{"index": g.name, "alias": next.Index}}}
		var before search.Target
		if ok {
			actions = append(actions, object{"remove": object{"index": old.name, "alias": next.Index}})
			before = search.Target{Index: next.Index, Name: old.own(next.Index), Generation: old.Settings.Index.UUID}
		}
		err = c.aliases(ctx, actions...)
		if err == nil {
			return before, nil
		}
		// Another process may have moved the alias meanwhile, or this one before an answer that was lost.
		if status := refusalOf(err).status; tries == 3 || status != http.StatusNotFound && status != http.StatusBadRequest {
			return search.Target{}, err
		}
	}
}

// generation returns the index behind a target.
func (c *Client) generation(ctx context.Context, t search.Target) (generation, error) {
	all, err := c.get(ctx, t.Name)
	if err != nil {
		return generation{}, err
	}
	if len(all) != 1 || t.Generation != "" && all[0].Settings.Index.UUID != t.Generation {
		return generation{}, gone(t.Index, t.Name)
	}
	return all[0], nil
}

// Remove deletes a generation that is not searched.
func (c *Client) Remove(ctx context.Context, t search.Target) error {
	all, err := c.get(ctx, t.Name)
	if err != nil || len(all) == 0 {
		return err
	}
	g := all[0]
	_, searched := g.Aliases[t.Index]
	switch {
	case len(all) > 1 || g.name == t.Name || g.name == t.Index:
		return invalid("%s is not the alias of one generation of index %s: nothing is deleted", t.Name, t.Index)
	case t.Generation != "" && g.Settings.Index.UUID != t.Generation:
		return nil
	case searched:
		return invalid("%s is searched as %s: it is not deleted", g.name, t.Index)
	}
	err = c.put(ctx, http.MethodDelete, "delete index "+g.name, segments(g.name), nil)
	if refusalOf(err).kind == indexNotFound {
		return nil
	}
	return err
}

// refresh makes what was written visible to searches.
func (c *Client) refresh(ctx context.Context, t search.Target) error {
	var a shards
	_, err := c.call(ctx, request{what: "refresh " + t.Index, method: http.MethodPost, path: segments(t.Name, "_refresh")}, &a)
	if err == nil {
		err = a.whole("refresh "+t.Index, false)
	}
	return err
}

// shards is what answers say of the parts of an index that have answered.
type shards struct {
	TimedOut bool `json:"timed_out"`
	Shards   struct {
		Total, Successful, Failed int
	} `json:"_shards"`
}

// whole returns an error if a part of the index is missing in an answer.
func (s shards) whole(what string, all bool) error {
	if !s.TimedOut && s.Shards.Failed == 0 && (!all || s.Shards.Successful == s.Shards.Total) {
		return nil
	}
	return &event.Error{Class: event.Unavailable, Downstream: Downstream, Err: fmt.Errorf(
		"%s: only %d of %d shards of the search engine have answered; see that its cluster is healthy", what, s.Shards.Successful, s.Shards.Total)}
}

// Count returns how many documents there are, also those that were written just now.
func (c *Client) Count(ctx context.Context, t search.Target) (int64, error) {
	if err := c.refresh(ctx, t); err != nil {
		return 0, err
	}
	var a struct {
		Count int64 `json:"count"`
		shards
	}
	what := "count the documents of " + t.Index
	if _, err := c.call(ctx, request{what: what, method: http.MethodGet, path: segments(t.Name, "_count")}, &a); err != nil {
		return 0, err
	}
	return a.Count, a.whole(what, true)
}

// scrollFor is how long an engine keeps a search open between two pages.
const scrollFor = "5m"

// Older scrolls over the documents with an older version, and those without one, which somebody else has written.
func (c *Client) Older(ctx context.Context, t search.Target, version int64, each func(ids []string) error) error {
	if err := c.refresh(ctx, t); err != nil {
		return err
	}
	const part = 1000
	what := "look for old documents of " + t.Index
	r := request{
		what: what, method: http.MethodPost, path: segments(t.Name, "_search"), query: url.Values{"scroll": {scrollFor}}, kind: "application/json",
		body: encode(object{
			"size": part, "sort": []string{"_doc"}, "_source": false,
			"query": object{"bool": object{"must_not": object{"range": object{VersionField: object{"gte": version}}}}},
		}),
	}
	scroll := ""
	defer func() { c.endScroll(ctx, scroll) }()
	for {
		var a struct {
			shards
			ScrollID string `json:"_scroll_id"`
			Hits     struct {
				Hits []struct {
					ID string `json:"_id"`
				} `json:"hits"`
			} `json:"hits"`
		}
		if _, err := c.call(ctx, r, &a); err != nil {
			return err
		}
		scroll = cmp.Or(a.ScrollID, scroll)
		if err := a.whole(what, true); err != nil || len(a.Hits.Hits) == 0 {
			return err
		}
		ids := make([]string, len(a.Hits.Hits))
		for i, hit := range a.Hits.Hits {
			ids[i] = hit.ID
		}
		if err := each(ids); err != nil {
			return err
		}
		r = request{
			what: what, method: http.MethodPost, path: "/_search/scroll", kind: "application/json",
			body: encode(object{"scroll": scrollFor, "scroll_id": scroll}),
		}
	}
}

// endScroll frees what the engine keeps for a search. If that fails, it ends by itself.
func (c *Client) endScroll(ctx context.Context, scroll string) {
	if scroll == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_, _ = c.once(ctx, request{
		what: "end a search", method: http.MethodDelete, path: "/_search/scroll", kind: "application/json", body: encode(object{"scroll_id": []string{scroll}}),
	})
}

// Version is what the engine says that it is.
type Version struct {
	Distribution string // opensearch or elasticsearch
	Number       string
}

// Version asks the engine.
func (c *Client) Version(ctx context.Context) (Version, error) {
	var a struct {
		Version struct {
			Number       string `json:"number"`
			Distribution string `json:"distribution"`
		} `json:"version"`
	}
	if _, err := c.call(ctx, request{what: "ask for the version", method: http.MethodGet, path: "/"}, &a); err != nil {
		return Version{}, err
	}
	return Version{Distribution: cmp.Or(a.Version.Distribution, "elasticsearch"), Number: a.Version.Number}, nil
}

// supported returns an error for Elasticsearch before 7.10, which has no require_alias and refuses every bulk request for it.
func (v Version) supported() error {
	var major, minor int
	if n, _ := fmt.Sscanf(v.Number, "%d.%d", &major, &minor); v.Distribution != "elasticsearch" || n < 2 || major > 7 || major == 7 && minor >= 10 {
		return nil
	}
	return invalid("the search engine is Elasticsearch %s: want 7.10 or newer, or OpenSearch", v.Number)
}

// ready looks at the name, and once at the engine's version. A credential that may not ask for it is no error.
func (c *Client) ready(ctx context.Context, index string) error {
	if err := CheckName(index); err != nil {
		return invalid("index %q: %w", index, err)
	}
	if c.known.Load() {
		return nil
	}
	v, err := c.Version(ctx)
	switch {
	case event.ClassOf(err) == event.Unauthorized && refusalOf(err).status == http.StatusForbidden:
		return nil
	case err != nil:
		return err
	}
	if err := v.supported(); err != nil {
		return err
	}
	c.known.Store(true)
	return nil
}

// Inspect looks at an index.
func (c *Client) Inspect(ctx context.Context, index string, fields []search.Field) (search.Inspection, error) {
	s := search.Inspection{Target: search.Target{Index: index}, Limit: DefaultFieldLimit}
	if err := c.ready(ctx, index); err != nil {
		return s, err
	}
	version, err := c.Version(ctx)
	switch {
	case err == nil:
		s.Server = version.Distribution + " " + version.Number
	case refusalOf(err).status != http.StatusForbidden:
		return s, err
	}
	want, err := mappingOf(fields)
	if err != nil {
		return s, err
	}
	if s.Others, err = c.others(ctx, index); err != nil {
		return s, err
	}
	s.Needs = count(want.Properties)
	g, ok, err := c.searched(ctx, index)
	if err != nil || !ok {
		return s, err
	}
	lacks, changed := differ(want.Properties, g.Mappings.Properties, "")
	s.Target.Name, s.Target.Generation = g.own(index), g.Settings.Index.UUID
	s.Fields, s.Needs, s.Limit = count(g.Mappings.Properties), count(merged(g.Mappings.Properties, lacks)), g.limit()
	s.Lacks, s.Changed, s.Loose = names(lacks, ""), changed, g.Mappings.Dynamic != "strict"
	return s, nil
}

// others returns the generations of an index that are not searched, the oldest first.
func (c *Client) others(ctx context.Context, index string) ([]search.Target, error) {
	all, err := c.get(ctx, index+"-*"+ownSuffix)
	if err != nil {
		return nil, err
	}
	var found []search.Target
	for _, g := range all {
		// An index products-fr has generations that the pattern of products fits too.
		rest := strings.TrimPrefix(g.name, index+"-")
		_, searched := g.Aliases[index]
		if !searched && (rest == "1" || strings.Count(rest, "-") == 1 && len(rest) == len("20060102t150405-00000000")) && g.own(index) != "" {
			found = append(found, search.Target{Index: index, Name: g.own(index), Generation: g.Settings.Index.UUID})
		}
	}
	return found, nil
}
