package products

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/internal/documents"
	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/mapping"
	"github.com/mageline/mageline/search"
)

// ensured are the indexes that were looked at a moment ago, each with what its fields were made of. They are looked at again and
// again: one that somebody has deleted is made anew, and what was known of its documents does not hold for it.
type ensured struct {
	mu    sync.Mutex
	index map[string]looked
}

type looked struct {
	own string
	at  time.Time
}

// ahead is how far a version may be ahead of the database's clock.
const ahead = 5 * time.Minute

// lookEvery is how often an index is looked at.
const lookEvery = 30 * time.Second

// job is one product of a call: the items that ask for it.
type job struct {
	sku      string
	version  int64
	product  *magentoapi.Product // nil: it is read
	deletion bool                // it is deleted unread
	items    []*item
	parent   bool // it is there because a part of it changed
}

// batch is one call.
type batch struct {
	*Handler
	began  documents.Moment
	jobs   map[string]*job // by SKU in lower case
	order  []string        // of the SKUs
	ended  map[*item]consumer.Result
	counts map[string]map[string]int // by index, then by outcome
	final  bool                      // it is not begun again for what is not known of the shop
}

// errUnknown is that a product has something that was not there when the shop was read.
var errUnknown = errors.New("the product has an attribute or a category that is not known yet")

// Write writes the documents of the entries' products.
func (h *Handler) Write(ctx context.Context, c consumer.Call) ([]consumer.Result, error) {
	items := make([]*item, len(c.Entries))
	for n, e := range c.Entries {
		items[n] = e.Value.(*item) //nolint:errcheck // of Entries
	}
	var b *batch
	for fresh := factsFresh; ; fresh = factsUnknown {
		b = &batch{
			Handler: h, jobs: map[string]*job{}, ended: map[*item]consumer.Result{}, counts: map[string]map[string]int{},
			final: fresh == factsUnknown,
		}
		err := b.write(ctx, items, fresh)
		if again := errors.Is(err, errUnknown) || errors.Is(err, search.ErrNoTarget); again && !b.final {
			continue
		}
		if err != nil {
			return nil, err
		}
		break
	}
	for index, outcomes := range b.counts {
		for outcome, n := range outcomes {
			h.Meter.Documents(index, outcome, n)
		}
	}
	results := make([]consumer.Result, len(items))
	for n, i := range items {
		results[n] = b.ended[i]
		if results[n].Outcome == "" && results[n].Err == nil {
			results[n].Outcome = event.Done
		}
	}
	return results, nil
}

func (b *batch) write(ctx context.Context, items []*item, fresh time.Duration) error {
	views, err := b.Shop.read(ctx, fresh)
	if err != nil {
		return err
	}
	// Before the version is taken: whoever fills a new index has recorded it before it publishes the first product, and what is read
	// from now on is not older than that.
	targets, err := b.targets(ctx, views)
	if err != nil {
		return err
	}
	if b.began, err = b.Documents.Now(ctx); err != nil {
		return err
	}
	b.gather(items)
	if err := b.settle(ctx, items); err != nil {
		return err
	}
	if err := b.addParents(ctx); err != nil {
		return err
	}
	r := &batchReading{Handler: b.Handler}
	for n := range views {
		if err := b.writeView(ctx, r, &views[n], targets[views[n].index]); err != nil {
			return err
		}
	}
	return nil
}

// targets returns what each index is written to. An index that was not looked at yet is made, or given the fields that it lacks.
func (b *batch) targets(ctx context.Context, views []view) (map[string][]search.Target, error) {
	names := make([]string, len(views))
	for n, v := range views {
		names[n] = v.index
	}
	for range 2 {
		all, err := b.Indexes.Targets(ctx, names...)
		if err != nil {
			return nil, err
		}
		missing := false
		for _, v := range views {
			if len(all[v.index]) > 0 && b.ensured.has(v.index, v.own) {
				continue
			}
			missing = true
			_, err := b.Indexes.Ensure(ctx, b.Engine, v.index, v.fields)
			var needs *search.NeedsSwapError
			if errors.As(err, &needs) {
				zerolog.Ctx(ctx).Warn().Str("event", "index_needs_swap").Str("index", v.index).Strs("fields", needs.Fields).
					Msg("the index has fields of another type than the shop's attributes: documents with these may be rejected until mageline reindex --swap has made a new one")
			} else if err != nil {
				return nil, err
			}
			b.ensured.set(v.index, v.own)
			if err := event.Progress(ctx); err != nil {
				return nil, err
			}
		}
		if !missing {
			return all, nil
		}
	}
	return b.Indexes.Targets(ctx, names...)
}

func (e *ensured) has(index, own string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	known, ok := e.index[index]
	return ok && known.own == own && time.Since(known.at) < lookEvery
}

func (e *ensured) set(index, own string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.index == nil {
		e.index = map[string]looked{}
	}
	e.index[index] = looked{own, time.Now()}
}

func (e *ensured) forget(index string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.index, index)
}

// gather makes the jobs. Of several items for one product the newest is done, which makes the others stale; of equal ones the last.
func (b *batch) gather(items []*item) {
	for _, i := range items {
		version := i.version
		if version == 0 {
			version = b.began.Version
		}
		if version > b.began.At.Add(ahead).UnixMilli() && version > b.began.Version {
			b.ended[i] = consumer.Result{Err: event.Errorf(event.Invalid, "%s: as_of is %s, more than %s ahead of the database's clock: correct the clock of whoever sends it",
				i.describe(), time.UnixMilli(version).UTC().Format(time.RFC3339), ahead)}
			continue
		}
		key := documents.Key(i.sku)
		j := b.jobs[key]
		if j == nil {
			j = &job{sku: i.sku}
			b.jobs[key] = j
			b.order = append(b.order, key)
		}
		j.items = append(j.items, i)
		if version < j.version {
			continue
		}
		j.version, j.product = version, i.product
		// A deletion without a version is read: what Magento still has is written.
		j.deletion = i.deletion && i.version != 0
	}
}

// settle has the products read again whose messages say that Magento's indexes lag.
func (b *batch) settle(ctx context.Context, items []*item) error {
	var skus []string
	for _, i := range items {
		if i.settle {
			skus = append(skus, i.sku)
		}
	}
	if len(skus) == 0 {
		return nil
	}
	return b.Changes.Coming(ctx, skus)
}

// addParents adds the products that those of the call are parts of.
func (b *batch) addParents(ctx context.Context) error {
	parents, err := b.Documents.Parents(ctx, b.order)
	if err != nil {
		return err
	}
	for _, key := range parents {
		if b.jobs[key] == nil {
			b.jobs[key] = &job{sku: key, version: b.began.Version, parent: true}
			b.order = append(b.order, key)
		}
	}
	return nil
}

// of returns the jobs that are about a view.
func (b *batch) of(v *view) []*job {
	var jobs []*job
	for _, key := range b.order {
		j := b.jobs[key]
		about := j.parent || slices.ContainsFunc(j.items, func(i *item) bool { return len(i.stores) == 0 || slices.Contains(i.stores, v.named) })
		if about {
			jobs = append(jobs, j)
		}
	}
	return jobs
}

func (b *batch) writeView(ctx context.Context, r *batchReading, v *view, targets []search.Target) error {
	jobs := b.of(v)
	var skus []string
	for _, j := range jobs {
		if j.product == nil && !j.deletion {
			skus = append(skus, j.sku)
		}
	}
	products, err := r.products(ctx, v, skus)
	if err != nil {
		return err
	}
	for _, j := range jobs {
		if j.product != nil {
			products[documents.Key(j.sku)] = j.product
		}
	}
	if !b.final && b.Shop.olderThan(factsUnknown) && v.lacks(products) {
		return errUnknown
	}
	parts, err := r.parts(ctx, v, products)
	if err != nil {
		return err
	}
	b.giveParents(jobs, products, parts)
	if err := b.keepParts(ctx, products, parts); err != nil {
		return err
	}
	if err := b.awaitMissing(ctx, jobs, products); err != nil {
		return err
	}
	writes := make([]*write, 0, len(jobs))
	for _, j := range jobs {
		w := &write{job: j}
		if p := products[documents.Key(j.sku)]; p != nil && !j.deletion {
			if d := v.Product(p, parts, b.began.At); d != nil {
				if w.document, err = d.JSON(); err != nil {
					return event.Errorf(event.Internal, "SKU %s: its document can't be written as JSON: %w", j.sku, err)
				}
				sum := sha256.Sum256(w.document)
				w.hash = hex.EncodeToString(sum[:16])
				j.sku = string(p.SKU)
			}
		}
		writes = append(writes, w)
	}
	for _, t := range targets {
		if err := b.writeTarget(ctx, v, t, writes); err != nil {
			return err
		}
	}
	return nil
}

// keepParts records what the products are made of, so that they are read when one of their parts changes.
func (b *batch) keepParts(ctx context.Context, products map[string]*magentoapi.Product, parts mapping.Parts) error {
	all := map[string][]string{}
	for key, p := range products {
		ids, skus := mapping.PartsOf(p)
		for _, id := range ids {
			if child := parts.ByID[id]; child != nil {
				skus = append(skus, string(child.SKU))
			}
		}
		if len(skus) > 0 || p.TypeID == "configurable" || p.TypeID == "grouped" || p.TypeID == "bundle" {
			all[key] = skus
		}
	}
	return b.Documents.SetParts(ctx, all)
}

// giveParents has parents end as the items do that they were added for.
func (b *batch) giveParents(jobs []*job, products map[string]*magentoapi.Product, parts mapping.Parts) {
	for _, j := range jobs {
		p := products[documents.Key(j.sku)]
		if !j.parent || p == nil {
			continue
		}
		ids, skus := mapping.PartsOf(p)
		for _, id := range ids {
			if child := parts.ByID[id]; child != nil {
				skus = append(skus, string(child.SKU))
			}
		}
		j.items = nil
		for _, sku := range skus {
			if child := b.jobs[documents.Key(sku)]; child != nil && !child.parent {
				j.items = append(j.items, child.items...)
			}
		}
	}
}

// awaitMissing has products read again that a message has announced and Magento does not have: it may be about to have them, as an
// event can be published before the product is committed.
func (b *batch) awaitMissing(ctx context.Context, jobs []*job, products map[string]*magentoapi.Product) error {
	var missing []string
	for _, j := range jobs {
		if j.product != nil || j.parent || j.deletion || products[documents.Key(j.sku)] != nil {
			continue
		}
		if slices.ContainsFunc(j.items, func(i *item) bool { return !i.deletion && !i.again }) {
			missing = append(missing, j.sku)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return b.Changes.Coming(ctx, missing)
}

// write is the document of a product in one store view.
type write struct {
	*job
	document []byte // nil: it is deleted
	hash     string
}

// writeTarget writes documents to one generation of an index, and notes how the items end.
func (b *batch) writeTarget(ctx context.Context, v *view, t search.Target, writes []*write) error {
	docs := make([]*documents.Document, len(writes))
	for n, w := range writes {
		docs[n] = &documents.Document{SKU: w.sku, Version: w.version, Hash: w.hash}
	}
	if err := b.Documents.Begin(ctx, t, b.began.At, b.SkipUnchanged, docs); err != nil {
		return err
	}
	var (
		asked []search.Write
		of    []int
	)
	for n, d := range docs {
		switch d.State {
		case documents.Stale:
			b.end(v, writes[n], stale, nil)
		case documents.Unchanged:
			b.end(v, writes[n], unchanged, nil)
		case documents.Write:
			asked, of = append(asked, search.Write{ID: d.ID, Version: d.Version, Document: writes[n].document}), append(of, n)
		}
	}
	if len(asked) == 0 {
		return nil
	}
	results, err := b.Engine.Write(ctx, t, asked)
	if errors.Is(err, search.ErrNoTarget) {
		b.ensured.forget(t.Index) // the next handling makes it again
	}
	if err != nil {
		return err
	}
	var recorded []*documents.Document
	for n, r := range results {
		d, w := docs[of[n]], writes[of[n]]
		for _, field := range r.Cut {
			b.Meter.Cut(v.index, field)
		}
		switch {
		case r.Err != nil && event.ClassOf(r.Err).Poison():
			d.Outcome = documents.Rejected
			b.end(v, w, rejected, r.Err)
		case r.Err != nil:
			b.end(v, w, "", r.Err)
		case r.Stale:
			d.Outcome = documents.Overtaken
			b.end(v, w, stale, nil)
		case w.document == nil:
			d.Outcome = documents.Written
			b.end(v, w, deleted, nil)
		default:
			d.Outcome = documents.Written
			b.end(v, w, written, nil)
		}
		if d.Outcome != documents.Unknown {
			recorded = append(recorded, d)
		}
	}
	if err := b.Documents.End(ctx, t, b.began.At, recorded); err != nil {
		return err
	}
	return event.Progress(ctx)
}

// end notes what became of a document, for the items that ask for its product: of several documents a failure counts, and a passing
// one before one for good. An item is stale if all its documents are.
func (b *batch) end(v *view, w *write, outcome string, err error) {
	if outcome != "" {
		if b.counts[v.index] == nil {
			b.counts[v.index] = map[string]int{}
		}
		b.counts[v.index][outcome]++
	}
	if w.parent && err == nil {
		return // nobody has asked for it by itself
	}
	for _, i := range w.items {
		before := b.ended[i]
		switch {
		case err != nil && (before.Err == nil || event.ClassOf(before.Err).Poison()):
			b.ended[i] = consumer.Result{Err: err}
		case err != nil || before.Err != nil:
		case outcome == stale && (before.Outcome == "" || before.Outcome == event.Stale):
			b.ended[i] = consumer.Result{Outcome: event.Stale}
		default:
			b.ended[i] = consumer.Result{Outcome: event.Done}
		}
	}
}
