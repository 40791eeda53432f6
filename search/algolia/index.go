package algolia

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/search"
)

// settings are those of an index, as far as they are read.
type settings struct {
	Searchable []string        `json:"searchableAttributes"`
	Faceting   []string        `json:"attributesForFaceting"`
	Numeric    []string        `json:"numericAttributesForFiltering"`
	UserData   json.RawMessage `json:"userData"`
}

// mark is what mageline keeps in userData, a setting that Algolia leaves to its users.
type mark struct {
	Generation string `json:"generation"`
	// Name is the one under which the generation was made, "" for that of the index. It stays its name when it is moved there.
	Name string `json:"name,omitempty"`
}

// markIn is the member of userData that has the mark.
const markIn = "mageline"

func (s settings) mark() mark {
	var data struct {
		Mageline mark `json:"mageline"`
	}
	if json.Unmarshal(s.UserData, &data) != nil {
		return mark{}
	}
	return data.Mageline
}

func (s settings) generation() string { return s.mark().Generation }

// marked returns userData with the mark, and all else that somebody has put there.
func (s settings) marked(m mark) (map[string]any, error) {
	data := map[string]any{}
	if len(s.UserData) > 0 && string(s.UserData) != "null" && json.Unmarshal(s.UserData, &data) != nil {
		return nil, errors.New("its setting userData is no object: make it one, so that a member " + markIn + " can be added")
	}
	data[markIn] = m
	return data, nil
}

// settings reads the settings of an index; there is false where there is no such index.
func (e *Engine) settings(ctx context.Context, name string) (s settings, there bool, err error) {
	err = e.call(ctx, request{what: "read the settings of index " + name, method: http.MethodGet, path: path(name, "settings")}, &s)
	if is(err, http.StatusNotFound) {
		return settings{}, false, nil
	}
	return s, err == nil, err
}

// do sends a request that is answered with a task, and waits for it.
func (e *Engine) do(ctx context.Context, name string, r request) error {
	var answer struct {
		Task int64 `json:"taskID"`
	}
	if err := e.call(ctx, r, &answer); err != nil {
		return err
	}
	return e.await(ctx, name, answer.Task)
}

func (e *Engine) set(ctx context.Context, name string, values map[string]any) error {
	return e.do(ctx, name, request{what: "change the settings of index " + name, method: http.MethodPut, path: path(name, "settings"), body: values})
}

// Ensure makes an index with the settings that its fields call for. Of one that is there it changes nothing but its mark in userData:
// the settings are the shop's own. What they lack of the fields Warn is told. Algolia takes a field in any form, so that there never
// is a NeedsSwapError.
func (e *Engine) Ensure(ctx context.Context, index string, fields []search.Field) (search.Target, error) {
	s, there, err := e.settings(ctx, index)
	if err != nil {
		return search.Target{}, err
	}
	if there {
		if err := e.suits(index, s, fields); err != nil {
			return search.Target{}, err
		}
	}
	if s.generation() == "" {
		values := map[string]any{}
		if !there {
			values = settingsFor(fields)
		}
		if values["userData"], err = s.marked(mark{Generation: newGeneration()}); err != nil {
			return search.Target{}, rejected(fmt.Errorf("index %s can't be used: %w", index, err))
		}
		if err := e.set(ctx, index, values); err != nil {
			return search.Target{}, err
		}
		// Another process may have done the same.
		if s, _, err = e.settings(ctx, index); err != nil {
			return search.Target{}, err
		}
	}
	e.remember(index, fields)
	return s.target(index), nil
}

// target returns what is searched under the name of an index, whose settings these are.
func (s settings) target(index string) search.Target {
	m := s.mark()
	return search.Target{Index: index, Name: cmp.Or(m.Name, index), Generation: m.Generation}
}

// suits looks at the settings of an index that somebody else has made.
func (e *Engine) suits(index string, s settings, fields []search.Field) error {
	if len(s.Numeric) > 0 && !slices.ContainsFunc(s.Numeric, func(a string) bool { return bare(a) == deletedIn && !strings.HasPrefix(a, "equalOnly(") }) {
		return rejected(fmt.Errorf("index %s can't be used: its setting numericAttributesForFiltering has some attributes and not %s: add it", index, deletedIn))
	}
	want := settingsFor(fields)
	for name, have := range map[string][]string{"searchableAttributes": s.Searchable, "attributesForFaceting": s.Faceting} {
		if name == "searchableAttributes" && len(have) == 0 {
			continue // all are
		}
		var lacks []string
		for _, a := range want[name].([]string) {
			if !slices.ContainsFunc(have, func(h string) bool { return slices.Contains(strings.Split(bare(h), ","), bare(a)) }) {
				lacks = append(lacks, bare(a))
			}
		}
		if len(lacks) > 0 {
			e.o.Warn(fmt.Errorf("the setting %s of index %s lacks %s: it is left as it is, add them if customers are to search or filter by them", name, index, strings.Join(lacks, ", ")))
		}
	}
	return nil
}

// bare returns the attribute in a setting such as unordered(name), without the blanks of a list.
func bare(setting string) string {
	setting = strings.ReplaceAll(setting, " ", "")
	if open := strings.IndexByte(setting, '('); open >= 0 {
		return strings.TrimSuffix(setting[open+1:], ")")
	}
	return setting
}

// settingsFor returns the settings of a new index.
func settingsFor(fields []search.Field) map[string]any {
	var texts, skus, facets []string
	var walk func(prefix string, fields []search.Field)
	walk = func(prefix string, fields []search.Field) {
		for _, f := range fields {
			name := prefix + f.Name
			switch f.Type {
			case search.Text:
				texts = append(texts, name)
				if f.Sort {
					facets = append(facets, name)
				}
			case search.Keyword:
				facets = append(facets, name)
				if f.Name == "sku" { // customers search by it
					skus = append(skus, name)
				}
			case search.Boolean:
				facets = append(facets, name)
			case search.Object, search.Nested:
				walk(name+".", f.Fields)
			}
		}
	}
	walk("", fields)
	return map[string]any{
		"searchableAttributes":  append(append([]string{}, texts...), skus...),
		"attributesForFaceting": append([]string{}, facets...),
		"attributesToRetrieve":  []string{"*", "-" + versionIn, "-" + deletedIn},
	}
}

func newGeneration() string { return strings.ToLower(rand.Text()[:16]) }

// scope is what an index keeps when its records are replaced.
var scope = []string{"settings", "synonyms", "rules"}

// Create makes an empty index beside the one that is searched, with its settings, synonyms and rules. Its name begins with that
// of the index and _tmp_: the key must be allowed for such names.
func (e *Engine) Create(ctx context.Context, index string, fields []search.Field) (search.Target, error) {
	generation := newGeneration()
	next := search.Target{Index: index, Name: index + "_tmp_" + generation, Generation: generation}
	s, there, err := e.settings(ctx, index)
	if err != nil {
		return search.Target{}, err
	}
	values := map[string]any{}
	if there {
		if err := e.suits(index, s, fields); err != nil {
			return search.Target{}, err
		}
		if err := e.copyScope(ctx, index, next.Name); err != nil {
			return search.Target{}, err
		}
	} else {
		values = settingsFor(fields)
	}
	if values["userData"], err = s.marked(mark{generation, next.Name}); err != nil {
		return search.Target{}, rejected(fmt.Errorf("index %s can't be replaced: %w", index, err))
	}
	if err := e.set(ctx, next.Name, values); err != nil {
		return search.Target{}, err
	}
	e.remember(index, fields)
	return next, nil
}

// copyScope copies settings, synonyms and rules, and waits for it on the destination, as Algolia's own client does.
func (e *Engine) copyScope(ctx context.Context, from, to string) error {
	return e.do(ctx, to, request{
		what: fmt.Sprintf("copy the settings of index %s to %s", from, to), method: http.MethodPost, path: path(from, "operation"),
		body: map[string]any{"operation": "copy", "destination": to, "scope": scope},
	})
}

// Swap moves next to the place of the index that is searched, with the settings, synonyms and rules that this has by now. Algolia
// does not keep what it had.
func (e *Engine) Swap(ctx context.Context, next search.Target) (search.Target, error) {
	before := search.Target{Index: next.Index}
	now, searched, err := e.settings(ctx, next.Index)
	if err != nil {
		return before, err
	}
	s, there, err := e.settings(ctx, next.Name)
	switch {
	case err != nil:
		return before, err
	// Once it is moved it is not there any more, or only what a late write has made of it. To copy or move that would empty the index.
	case searched && now.generation() == next.Generation:
		return before, nil
	case !there || s.generation() != next.Generation && s.generation() != now.generation():
		return before, gone(next)
	}
	before.Generation = now.generation()
	if searched {
		if err := e.copyScope(ctx, next.Index, next.Name); err != nil {
			return before, err
		}
		data, err := now.marked(mark{next.Generation, next.Name})
		if err != nil {
			return before, rejected(fmt.Errorf("index %s can't be replaced: %w", next.Index, err))
		}
		if err := e.set(ctx, next.Name, map[string]any{"userData": data}); err != nil {
			return before, err
		}
	}
	err = e.do(ctx, next.Name, request{
		what: fmt.Sprintf("move index %s to %s", next.Name, next.Index), method: http.MethodPost, path: path(next.Name, "operation"),
		body: map[string]any{"operation": "move", "destination": next.Index},
	})
	if err != nil {
		return before, err
	}
	if now, _, err = e.settings(ctx, next.Index); err == nil && now.generation() != next.Generation {
		err = &event.Error{
			Class: event.Unavailable, Downstream: downstream,
			Err: fmt.Errorf("index %s was moved to %s and is not there: see whether somebody else replaces the index", next.Name, next.Index),
		}
	}
	return before, err
}

func gone(target search.Target) error {
	return &event.Error{
		Class: event.NotFound, Downstream: downstream,
		Err: fmt.Errorf("%w: %s of index %s", search.ErrNoTarget, target.Name, target.Index),
	}
}

// place returns the name under which Algolia has a generation: its own, or since it was moved that of the index.
func (e *Engine) place(ctx context.Context, target search.Target) (string, error) {
	if target.Name == target.Index || e.isMoved(target) {
		return target.Index, nil
	}
	now, _, err := e.settings(ctx, target.Index)
	if err != nil {
		return "", err
	}
	if now.generation() == target.Generation {
		e.setMoved(target)
		return target.Index, nil
	}
	return target.Name, nil
}

func (e *Engine) isMoved(target search.Target) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.moved[target.Index] == target
}

// setMoved notes the generation that an index has been given by a move.
func (e *Engine) setMoved(target search.Target) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.moved[target.Index] = target
}

// wasMoved reports whether a new index, to which something has just been written, has become the one that is searched. What was
// written too late has then made an index of the old name by itself, which is removed.
func (e *Engine) wasMoved(ctx context.Context, target search.Target) (bool, error) {
	s, there, err := e.settings(ctx, target.Name)
	if err != nil {
		return false, err
	}
	now, _, err := e.settings(ctx, target.Index)
	if err != nil {
		return false, err
	}
	if now.generation() == target.Generation {
		if there {
			err = e.delete(ctx, target.Name)
		}
		e.setMoved(target)
		return true, err
	}
	// While it is swapped it has the mark of the other for a moment, with its settings.
	if there && (s.generation() == target.Generation || s.generation() == now.generation() && now.generation() != "") {
		return false, nil
	}
	if there && s.generation() == "" {
		err = e.delete(ctx, target.Name)
	}
	return false, errors.Join(gone(target), err)
}

// Remove deletes a generation that is not searched. Of the one that was searched before a swap nothing is left to delete.
func (e *Engine) Remove(ctx context.Context, target search.Target) error {
	now, there, err := e.settings(ctx, target.Index)
	if err != nil {
		return err
	}
	if there && now.generation() == target.Generation {
		return event.Errorf(event.Internal, "%s is what is searched of index %s, and is not removed", target.Name, target.Index)
	}
	if target.Name == "" || target.Name == target.Index {
		return nil
	}
	return e.delete(ctx, target.Name)
}

func (e *Engine) delete(ctx context.Context, name string) error {
	err := e.do(ctx, name, request{what: "delete index " + name, method: http.MethodDelete, path: path(name)})
	if is(err, http.StatusNotFound) {
		return nil
	}
	return err
}
