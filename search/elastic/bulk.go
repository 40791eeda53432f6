package elastic

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"unicode/utf8"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/search"
)

// maxID is the engines' bound.
const maxID = 512

// Write writes with _bulk. Each document has its version, with the type external_gte: equal versions are written. Whatever has an
// uncertain end can be sent again, and is.
func (c *Client) Write(ctx context.Context, target search.Target, writes []search.Write) ([]search.Result, error) {
	b := &batch{client: c, target: target, writes: writes, results: make([]search.Result, len(writes))}
	todo := make([]int, 0, len(writes))
	for i, w := range writes {
		if err := c.unfit(w); err != nil {
			b.results[i].Err = err
			continue
		}
		todo = append(todo, i)
	}
	for len(todo) > 0 {
		first, behind := b.newest(todo)
		if err := b.send(ctx, first); err != nil {
			return nil, err
		}
		todo = todo[:0]
		for i, newer := range behind {
			switch err := b.results[newer].Err; {
			case err == nil:
				b.results[i].Stale = true
			case event.ClassOf(err) == event.Rejected:
				todo = append(todo, i)
			default:
				b.results[i].Err = err
			}
		}
	}
	return b.results, nil
}

// unfit returns the error of a write that no engine takes.
func (c *Client) unfit(w search.Write) error {
	doc := bytes.TrimSpace(w.Document)
	switch {
	case w.ID == "" || len(w.ID) > maxID || !utf8.ValidString(w.ID):
		return rejected("document %q: an id has 1 to %d bytes of UTF-8", w.ID, maxID)
	case w.Version < 1:
		return rejected("document %s: version %d is below 1", w.ID, w.Version)
	case w.Document != nil && (len(doc) < 2 || doc[0] != '{' || doc[len(doc)-1] != '}'):
		return rejected("document %s is no JSON object", w.ID)
	case len(w.Document) > c.o.MaxDocument:
		return rejected("document %s has %d bytes: the limit is %d", w.ID, len(w.Document), c.o.MaxDocument)
	}
	return nil
}

func rejected(format string, args ...any) error {
	return &event.Error{Class: event.Rejected, Downstream: Downstream, Err: fmt.Errorf(format, args...)}
}

// batch is one call of Write.
type batch struct {
	client  *Client
	target  search.Target
	writes  []search.Write
	results []search.Result
}

// newest returns those of todo that are the newest of their document, and under each other one the newest of its document. Two writes
// of one document in one request could be repeated in another order.
func (b *batch) newest(todo []int) (first []int, behind map[int]int) {
	at := make(map[string]int, len(todo)) // index in first
	for _, i := range todo {
		w := b.writes[i]
		n, ok := at[w.ID]
		if !ok {
			at[w.ID] = len(first)
			first = append(first, i)
			continue
		}
		if behind == nil {
			behind = map[int]int{}
		}
		old := first[n]
		if w.Version < b.writes[old].Version {
			behind[i] = old
			continue
		}
		first[n], behind[old] = i, i
	}
	for i, newer := range behind { // what was behind one that is behind another itself
		behind[i] = first[at[b.writes[newer].ID]]
	}
	return first, behind
}

// send writes items, and repeats alone those that the engine may take a moment later. Their results have an error until then.
func (b *batch) send(ctx context.Context, items []int) error {
	for n := 1; len(items) > 0; n++ {
		var again []int
		for len(items) > 0 {
			size := b.fitting(items)
			failed, err := b.bulk(ctx, items[:size])
			if err != nil {
				return err
			}
			again, items = append(again, failed...), items[size:]
		}
		if len(again) == 0 || b.client.wait(ctx, n, b.results[again[0]].Err) != nil {
			return nil
		}
		items = again
	}
	return nil
}

// fitting returns how many of items go into one request.
func (b *batch) fitting(items []int) int {
	const action = 80 // bytes of an action without its id
	limit, size := int(b.client.bytes.Load()), 0
	for n, i := range items {
		size += len(b.writes[i].Document) + len(b.writes[i].ID) + action
		if n > 0 && size > limit || n == b.client.o.MaxItems {
			return n
		}
	}
	return len(items)
}

// minBytes is the least that the bound of a request is lowered to.
const minBytes = 64 << 10

// bulk sends one request and returns the items that are to be sent again.
func (b *batch) bulk(ctx context.Context, items []int) (again []int, err error) {
	// A deletion with an external version makes a missing index, whatever require_alias says, unless a write of a document beside it
	// goes to the same alias.
	if !slices.ContainsFunc(items, func(i int) bool { return b.writes[i].Document != nil }) {
		if _, err := b.client.generation(ctx, b.target); err != nil {
			return nil, err
		}
	}
	body := bodies.Get().(*[]byte)
	plain := b.body((*body)[:0], items)
	size := len(plain)
	answer, sent, err := b.post(ctx, items, plain)
	if err == nil {
		// The transport may go on to read the body of a request that has failed.
		if *body = plain; sent == 1 && cap(plain) <= 2*b.client.o.MaxBytes {
			bodies.Put(body)
		}
		return b.settle(items, answer)
	}
	switch refusalOf(err).status {
	case http.StatusRequestEntityTooLarge:
		if limit := b.client.bytes.Load(); int64(size) <= limit {
			b.client.bytes.CompareAndSwap(limit, max(int64(size)/2, minBytes))
		}
	case http.StatusBadRequest: // one of the items is the cause; which, the engine does not say
	default:
		return nil, err
	}
	if event.ClassOf(err) != event.Rejected {
		return nil, err
	}
	if len(items) == 1 {
		b.results[items[0]].Err = fmt.Errorf("document %s: %w", b.writes[items[0]].ID, err)
		return nil, nil
	}
	for _, half := range [][]int{items[:len(items)/2], items[len(items)/2:]} {
		failed, err := b.bulk(ctx, half)
		if err != nil {
			return nil, err
		}
		again = append(again, failed...)
	}
	return again, nil
}

// post sends the body, again where the engine asks for all of it to come later, and returns how often it did.
func (b *batch) post(ctx context.Context, items []int, body []byte) (answer bulkAnswer, sent int, err error) {
	r := request{
		what: fmt.Sprintf("write %d documents to %s", len(items), b.target.Index), method: http.MethodPost, path: segments(b.target.Name, "_bulk"), query: bulkQuery,
		body: body, kind: "application/x-ndjson",
	}
	if b.client.o.Gzip {
		if r.body, err = compress(body); err != nil {
			return answer, 0, err
		}
		r.gzip = true
	}
	if sent, err = b.client.call(ctx, r, &answer); err != nil {
		return answer, sent, err
	}
	if err := answer.fits(items, b.writes); err != nil {
		return answer, sent, b.client.unreadable(r, err)
	}
	// Each request that is answered is a step: a large call is no hung one.
	return answer, sent, event.Progress(ctx)
}

var bulkQuery = url.Values{
	"require_alias": {"true"},
	"filter_path":   {"errors,items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by"},
}

var bodies = sync.Pool{New: func() any { return new([]byte) }}

var compressors = sync.Pool{New: func() any {
	w, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		panic(err) // the level is a constant
	}
	return w
}}

func compress(body []byte) ([]byte, error) {
	var out bytes.Buffer
	out.Grow(len(body) / 4)
	w := compressors.Get().(*gzip.Writer)
	defer compressors.Put(w)
	w.Reset(&out)
	if _, err := w.Write(body); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// body appends the actions and documents of items.
func (b *batch) body(dst []byte, items []int) []byte {
	for _, i := range items {
		w := &b.writes[i]
		if w.Document == nil {
			dst = append(dst, `{"delete":{"_id":`...)
		} else {
			dst = append(dst, `{"index":{"_id":`...)
		}
		dst = appendQuoted(dst, w.ID)
		dst = append(dst, `,"version":`...)
		dst = strconv.AppendInt(dst, w.Version, 10)
		dst = append(dst, `,"version_type":"external_gte"}}`+"\n"...)
		if w.Document == nil {
			continue
		}
		dst = append(dst, `{"`+VersionField+`":`...)
		dst = strconv.AppendInt(dst, w.Version, 10)
		rest := bytes.TrimSpace(bytes.TrimSpace(w.Document)[1:])
		if rest[0] != '}' {
			dst = append(dst, ',')
		}
		if bytes.ContainsAny(rest, "\r\n") { // one line for each document
			for _, c := range rest {
				if c == '\r' || c == '\n' { // in JSON they stand only between values
					c = ' '
				}
				dst = append(dst, c)
			}
		} else {
			dst = append(dst, rest...)
		}
		dst = append(dst, '\n')
	}
	return dst
}

// appendQuoted appends s as JSON.
func appendQuoted(dst []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(s) // of a string it can't fail
			return append(dst, quoted...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}

// bulkAnswer is what _bulk answers, as much as filter_path leaves of it.
type bulkAnswer struct {
	Items []struct {
		Index  *itemAnswer `json:"index"`
		Delete *itemAnswer `json:"delete"`
	} `json:"items"`
}

type itemAnswer struct {
	Status int             `json:"status"`
	Error  json.RawMessage `json:"error"`
}

// fits returns an error if the answer is not of these items.
func (a bulkAnswer) fits(items []int, writes []search.Write) error {
	if len(a.Items) != len(items) {
		return fmt.Errorf("it has %d items, and %d were sent", len(a.Items), len(items))
	}
	for n, i := range items {
		one := a.Items[n].Index
		if writes[i].Document == nil {
			one = a.Items[n].Delete
		}
		if one == nil || one.Status == 0 {
			return fmt.Errorf("item %d is not of the action that was sent", n)
		}
	}
	return nil
}

// settle takes the results of items from the answer. An error is one of the index, not of an item.
func (b *batch) settle(items []int, a bulkAnswer) (again []int, err error) {
	for n, i := range items {
		one := a.Items[n].Index
		if one == nil {
			one = a.Items[n].Delete
		}
		r := &b.results[i]
		r.Err = nil
		switch v, why := decide(one, b.writes[i].Document == nil); v {
		case done:
		case stale:
			r.Stale = true
		case refuse:
			r.Err = rejected("document %s: the search engine answered %d (%s)", b.writes[i].ID, one.Status, clean(why.String(), nil))
		case repeat:
			class := event.Unavailable
			if one.Status == http.StatusTooManyRequests {
				class = event.Throttled
			}
			r.Err = &event.Error{Class: class, Downstream: Downstream, Status: one.Status, Err: fmt.Errorf(
				"document %s: the search engine answered %d (%s)", b.writes[i].ID, one.Status, clean(why.String(), nil))}
			again = append(again, i)
		case stop:
			return nil, b.stopped(one.Status, why)
		}
	}
	return again, nil
}

// stopped returns the error for the whole call, where an item has failed for a reason that all have.
func (b *batch) stopped(status int, why reason) error {
	text := fmt.Sprintf("write to %s: the search engine answered %d (%s)", b.target.Index, status, clean(why.String(), nil))
	e := &event.Error{Class: event.Unavailable, Downstream: Downstream, Status: status}
	switch why.Type {
	case clusterBlock, indexClosed:
		e.Err = errors.New(text + blocked)
	case indexNotFound:
		e.Err = fmt.Errorf("%s: %w", text, search.ErrNoTarget)
	default:
		e.Class, e.Request = event.Unauthorized, "write to "+b.target.Index
		e.Err = fmt.Errorf("%s; check %s and its rights", text, b.client.o.CredentialName)
	}
	return e
}

type verdict int

const (
	done   verdict = iota
	stale          // something newer is there
	repeat         // the item alone, later
	refuse         // the document, for good
	stop           // the index, or the credential, is at fault
)

// decide is the table of what an item's status and type of error mean.
func decide(a *itemAnswer, deletion bool) (verdict, reason) {
	why := readReason(a.Error)
	switch {
	case a.Status >= 200 && a.Status <= 299, a.Status == http.StatusNotFound && deletion && len(a.Error) == 0:
		return done, why
	case why.Type == clusterBlock, why.Type == indexClosed, why.Type == indexNotFound:
		return stop, why
	case a.Status == http.StatusConflict && (why.Type == conflict || why.Type == ""):
		return stale, why
	case a.Status == http.StatusUnauthorized, a.Status == http.StatusForbidden:
		return stop, why
	case a.Status == http.StatusTooManyRequests, a.Status >= 500, a.Status == http.StatusConflict, a.Status == http.StatusNotFound:
		return repeat, why
	}
	return refuse, why
}
