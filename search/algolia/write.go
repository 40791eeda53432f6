package algolia

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/search"
)

// The attributes of a record besides those of its document.
const (
	objectID   = "objectID"
	versionIn  = "_version"
	deletedIn  = "_deleted"
	operation  = "_operation"
	setGreater = "IncrementSet"
)

// A record's _version is its document's version times writesPerVersion, plus the number of writes that it had at this version: Algolia
// takes a write only if the value grows, and equal versions are to be written again. JSON numbers are exact up to maxVersion times it.
const (
	writesPerVersion = 1000
	maxVersion       = (1<<53 - 1) / writesPerVersion
)

// stored is what a record says of its document.
type stored struct {
	there   bool
	ours    bool // it has a version
	version int64
	writes  int64
	deleted bool
}

// item is a write on its way.
type item struct {
	id    string
	body  json.RawMessage // an operation of a batch
	index int             // of its result
}

// Write writes and deletes documents. What is accepted is waited for, for up to 20 s: after that Algolia has queued it, and does
// it later.
func (e *Engine) Write(ctx context.Context, target search.Target, writes []search.Write) ([]search.Result, error) {
	results := make([]search.Result, len(writes))
	fields, ok := e.fieldsOf(target.Index)
	if !ok {
		return nil, event.Errorf(event.Internal, "documents are written to index %s before its fields are known: call Ensure", target.Index)
	}
	w := writing{e: e, writes: writes, results: results, fields: fields}
	newest := w.fold()
	err := w.to(ctx, target, newest)
	if err != nil {
		return nil, err
	}
	w.share(newest)
	if w.name == target.Index {
		e.purge(ctx, w.name)
	}
	return results, nil
}

// to writes to a generation, wherever Algolia has it. A new one may be moved to the place of the index at any moment.
func (w *writing) to(ctx context.Context, target search.Target, newest []int) (err error) {
	if w.name, err = w.e.place(ctx, target); err != nil {
		return err
	}
	err = w.run(ctx, newest)
	if w.name == target.Index || err != nil && !is(err, http.StatusNotFound) {
		return missing(err)
	}
	moved, err := w.e.wasMoved(ctx, target)
	if err != nil || !moved {
		return err
	}
	w.name = target.Index
	return missing(w.run(ctx, newest))
}

// missing says of an answer 404 that the generation is not there.
func missing(err error) error {
	if !is(err, http.StatusNotFound) {
		return err
	}
	return &event.Error{Class: event.NotFound, Downstream: downstream, Status: http.StatusNotFound, Err: fmt.Errorf("%w: %w", search.ErrNoTarget, err)}
}

type writing struct {
	e       *Engine
	name    string // Algolia's own of the index
	writes  []search.Write
	results []search.Result
	fields  []search.Field
	tasks   []int64
}

// fold returns, for each document in the order of its newest write, the index of that write.
func (w *writing) fold() []int {
	newest := map[string]int{}
	for i, one := range w.writes {
		if j, ok := newest[one.ID]; !ok || one.Version >= w.writes[j].Version {
			newest[one.ID] = i
		}
	}
	var order []int
	for i, one := range w.writes {
		if newest[one.ID] == i {
			order = append(order, i)
		}
	}
	return order
}

// share gives the writes that another of the same document replaces their result: that of the other, and stale if they are older.
func (w *writing) share(newest []int) {
	by := map[string]int{}
	for _, i := range newest {
		by[w.writes[i].ID] = i
	}
	for i, one := range w.writes {
		j := by[one.ID]
		if i == j {
			continue
		}
		w.results[i] = search.Result{Err: w.results[j].Err}
		if w.results[j].Err == nil {
			w.results[i].Stale = w.results[j].Stale || one.Version < w.writes[j].Version
		}
	}
}

// run writes, in parts of as many documents as one question and one batch may have.
func (w *writing) run(ctx context.Context, newest []int) error {
	w.tasks = nil
	for part := range slices.Chunk(newest, w.e.o.BatchItems) {
		items, err := w.items(ctx, part)
		if err != nil {
			return err
		}
		for len(items) > 0 {
			n, size := 0, 0
			for n < len(items) && (n == 0 || size+len(items[n].body) <= w.e.o.BatchBytes) {
				size += len(items[n].body) + 1
				n++
			}
			if err := w.send(ctx, items[:n], &budget{left: maxSingles}); err != nil {
				return err
			}
			items = items[n:]
		}
	}
	return w.e.published(ctx, w.name, w.tasks)
}

// items makes the operations for documents, without those of which the index has a newer version.
func (w *writing) items(ctx context.Context, part []int) ([]item, error) {
	var ids []string
	var usable []int
	for _, i := range part {
		one := w.writes[i]
		if one.ID == "" || one.Version < 1 || one.Version > maxVersion {
			w.results[i] = search.Result{Err: rejected(fmt.Errorf("document %q of version %d: it needs a name and a version from 1 to %d", one.ID, one.Version, int64(maxVersion)))}
			continue
		}
		ids, usable = append(ids, one.ID), append(usable, i)
	}
	if len(ids) == 0 {
		return nil, nil
	}
	have, err := w.e.stored(ctx, w.name, ids)
	if err != nil {
		return nil, err
	}
	var items []item
	for k, i := range usable {
		w.results[i] = search.Result{}
		if have[k].ours && have[k].version > w.writes[i].Version {
			w.results[i].Stale = true
			continue
		}
		body, cut, err := w.operation(w.writes[i], have[k])
		if err != nil {
			w.results[i].Err = rejected(fmt.Errorf("document %s: %w", w.writes[i].ID, err))
			continue
		}
		w.results[i].Cut = cut
		items = append(items, item{id: w.writes[i].ID, body: body, index: i})
	}
	return items, nil
}

func rejected(err error) error {
	return &event.Error{Class: event.Rejected, Downstream: downstream, Err: err}
}

// operation makes the operation of a batch that writes or deletes a document.
func (w *writing) operation(one search.Write, have stored) (json.RawMessage, []string, error) {
	var members map[string]json.RawMessage
	var cut []string
	// What a record has besides its document, with the names of all fields: those that it lacks are sent as null.
	room := w.e.record - len(one.ID)*2 - 200
	for _, f := range w.fields {
		room -= len(f.Name) + len(`"":null,`)
	}
	deleted := int64(0)
	if one.Document == nil {
		members, deleted = map[string]json.RawMessage{}, w.e.o.Now().UnixMilli()
	} else {
		document, names, err := search.Cut(one.Document, room, w.fields)
		if err != nil {
			return nil, nil, err
		}
		cut = names
		if err := json.Unmarshal(document, &members); err != nil || members == nil {
			return nil, nil, errors.New("it is no JSON object")
		}
		for _, name := range []string{objectID, versionIn, deletedIn} {
			if _, ok := members[name]; ok {
				return nil, nil, fmt.Errorf("it has a field %s, which is a record's own", name)
			}
		}
	}
	action := "partialUpdateObject"
	value := one.Version * writesPerVersion
	if have.ours && have.version == one.Version {
		value += have.writes + 1
	}
	version := any(map[string]any{operation: setGreater, "value": value})
	if have.there && !have.ours || value/writesPerVersion > one.Version {
		// A record that somebody else has made is replaced with all its attributes, and so is one whose counter is full.
		action, version = "updateObject", one.Version*writesPerVersion
	}
	for _, f := range w.fields {
		// A partial update leaves what it does not name.
		if _, ok := members[f.Name]; !ok && action == "partialUpdateObject" {
			members[f.Name] = json.RawMessage("null")
		}
	}
	for name, v := range map[string]any{objectID: one.ID, versionIn: version, deletedIn: deleted} {
		raw, err := encode(v)
		if err != nil {
			return nil, nil, err
		}
		members[name] = raw
	}
	body, err := encode(map[string]any{"action": action, "body": members})
	return body, cut, err
}

func encode(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// stored reads what the index has of documents, in the order of their ids.
func (e *Engine) stored(ctx context.Context, name string, ids []string) ([]stored, error) {
	type question struct {
		Index      string   `json:"indexName"`
		ID         string   `json:"objectID"`
		Attributes []string `json:"attributesToRetrieve"`
	}
	questions := make([]question, len(ids))
	for i, id := range ids {
		questions[i] = question{name, id, []string{versionIn, deletedIn}}
	}
	var answer struct {
		Results []*record `json:"results"`
	}
	r := request{
		what: fmt.Sprintf("read the versions of %d documents in index %s", len(ids), name), method: http.MethodPost,
		path: path("*", "objects"), body: map[string]any{"requests": questions},
	}
	if err := e.call(ctx, r, &answer); err != nil {
		return nil, err
	}
	have := make([]stored, len(ids))
	if len(answer.Results) != len(ids) {
		return nil, &event.Error{
			Class: event.Unavailable, Downstream: downstream, Unreadable: true,
			Err: fmt.Errorf("%s: Algolia answered with %d records", r.what, len(answer.Results)),
		}
	}
	for i, rec := range answer.Results {
		if rec != nil {
			have[i] = rec.stored()
		}
	}
	return have, nil
}

// record is what is read of a record.
type record struct {
	ID      string          `json:"objectID"`
	Version json.RawMessage `json:"_version"` // whatever somebody else has put there
	Deleted json.RawMessage `json:"_deleted"`
}

func (r record) stored() stored {
	s := stored{there: true}
	if v, err := strconv.ParseInt(string(r.Version), 10, 64); err == nil && v >= writesPerVersion {
		s.ours, s.version, s.writes = true, v/writesPerVersion, v%writesPerVersion
	}
	at, err := strconv.ParseInt(string(r.Deleted), 10, 64)
	s.deleted = err == nil && at > 0
	return s
}

// maxSingles is how many records of one batch are sent by themselves in search of one that is refused without a name.
const maxSingles = 32

type budget struct{ left int }

// send sends a batch. A record that Algolia refuses is taken out, and the others are sent again: a batch is accepted as a whole.
func (w *writing) send(ctx context.Context, items []item, b *budget) error {
	for len(items) > 0 {
		operations := make([]json.RawMessage, len(items))
		ids := make([]string, len(items))
		for i, it := range items {
			operations[i], ids[i] = it.body, it.id
		}
		var answer struct {
			Task int64 `json:"taskID"`
		}
		err := w.e.call(ctx, request{
			what: fmt.Sprintf("write %d documents to index %s", len(items), w.name), method: http.MethodPost,
			path: path(w.name, "batch"), body: map[string]any{"requests": operations},
		}, &answer)
		var no *refusal
		switch {
		case err == nil:
			w.e.accepted()
			w.tasks = append(w.tasks, answer.Task)
			return nil
		case !is(err, http.StatusBadRequest) && !is(err, http.StatusRequestEntityTooLarge) || !errors.As(err, &no):
			return err
		}
		at := -1
		if is(err, http.StatusBadRequest) { // the others are too large together
			at = no.answer.find(ids)
		}
		if len(items) == 1 {
			at = 0
		}
		switch {
		case at >= 0:
			w.results[items[at].index] = search.Result{Err: w.refused(items[at], no)}
			items = slices.Delete(slices.Clone(items), at, at+1)
		case b.left <= 0: // nothing that is said helps to find it
			for _, it := range items {
				w.results[it.index] = search.Result{Err: w.refused(it, no)}
			}
			return nil
		default:
			b.left--
			half := len(items) / 2
			if err := w.send(ctx, items[:half], b); err != nil {
				return err
			}
			items = items[half:]
		}
	}
	return nil
}

// refused returns the error of one record.
func (w *writing) refused(it item, no *refusal) error {
	text := fmt.Sprintf("document %s: %v", it.id, no)
	if no.answer.TooBig || is(no, http.StatusRequestEntityTooLarge) {
		text += fmt.Sprintf("; documents are cut to fit %d bytes: set the limit of a record to that of Algolia's plan", w.e.o.RecordLimit)
	}
	return &event.Error{Class: event.Rejected, Downstream: downstream, Status: no.err.Status, Err: errors.New(text)}
}
