package reindex

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mageline/mageline/search"
)

// run is one process's part of a run.
type run struct {
	*Reindex
	o       Options
	st      State
	views   []View
	resumed bool
	began   time.Time
	indexes []IndexResult

	targets []search.Target // of all views: what must have each product
	open    []*awaited
	behind  int             // pages that were passed over, as nobody has handled them
	failed  map[string]bool // products that nobody has handled: the first failedMost of them
	moved   time.Time
	rate    rate
	waiting string
}

const failedMost = 10_000

// awaited is a page that is published.
type awaited struct {
	page
	left []string // SKUs that are not handled for some target
}

func (r *run) result() *Result {
	return &Result{
		Run: r.st.Run, Resumed: r.resumed, Handled: r.st.Handled, Failed: r.st.Failed, Deleted: r.st.Deleted,
		Took: time.Since(r.began), Indexes: r.indexes,
	}
}

func (r *run) all(ctx context.Context) error {
	if err := r.prepare(ctx); err != nil {
		return err
	}
	if r.st.Phase == Publishing {
		if err := r.publish(ctx); err != nil {
			return err
		}
		next := Deleting
		if r.st.Swap {
			next = Swapping
		}
		if err := r.enter(ctx, next); err != nil {
			return err
		}
	}
	if r.st.Phase == Deleting {
		if err := r.delete(ctx); err != nil {
			return err
		}
		if err := r.count(ctx); err != nil {
			return err
		}
	}
	if r.st.Phase == Swapping {
		if whole, err := r.swap(ctx); err != nil || !whole {
			return err
		}
	}
	return r.enter(ctx, Done)
}

func (r *run) enter(ctx context.Context, phase Phase) error {
	if err := r.State.enter(ctx, r.st.Owner, phase); err != nil {
		return err
	}
	r.st.Phase = phase
	return nil
}

// prepare has the indexes as the run needs them: those that are searched, and with a swap the new ones.
func (r *run) prepare(ctx context.Context) error {
	builder, _ := r.Engine.(search.Builder)
	if r.st.Swap && builder == nil {
		return errors.New("this search engine can't fill a new index beside the one that is searched")
	}
	if r.st.Phase == Swapping {
		return nil
	}
	for _, v := range r.views {
		fields, err := r.Fields(ctx, v)
		if err != nil {
			return fmt.Errorf("the fields of index %s: %w", v.Index, err)
		}
		_, err = r.Indexes.Ensure(ctx, r.Engine, v.Index, fields)
		var needsSwap *search.NeedsSwapError
		if err != nil && (!r.st.Swap || !errors.As(err, &needsSwap)) {
			return err
		}
		if !r.st.Swap {
			continue
		}
		if _, filled, err := r.Indexes.Filled(ctx, v.Index); err != nil || filled && r.resumed {
			if err != nil {
				return err
			}
			continue
		}
		next, err := builder.Create(ctx, v.Index, fields)
		if err != nil {
			return fmt.Errorf("make a new index for %s: %w", v.Index, err)
		}
		if err := r.Indexes.Fill(ctx, next); err != nil {
			return errors.Join(err, builder.Remove(context.WithoutCancel(ctx), next))
		}
	}
	return r.aim(ctx)
}

// aim notes what each product must be written to.
func (r *run) aim(ctx context.Context) error {
	var names []string
	for _, v := range r.views {
		names = append(names, v.Index)
	}
	all, err := r.Indexes.Targets(ctx, names...)
	if err != nil {
		return err
	}
	r.targets = nil
	for _, name := range names {
		r.targets = append(r.targets, all[name]...)
	}
	return nil
}

// publish publishes all products of Magento, and returns when they are handled.
func (r *run) publish(ctx context.Context) error {
	stored := r.stored()
	err := r.drive(ctx, false, func(ctx context.Context) (*page, error) {
		if p, err := stored(ctx); p != nil || err != nil { // what a run before this one has left
			return p, err
		}
		return r.read(ctx)
	})
	if err != nil || r.behind == 0 {
		return err
	}
	return r.drive(ctx, true, r.stored())
}

// stored returns a function that returns the stored pages one after the other, then nil.
func (r *run) stored() func(ctx context.Context) (*page, error) {
	var some []page
	var last int64
	ended := !r.resumed && r.behind == 0
	return func(ctx context.Context) (_ *page, err error) {
		if len(some) == 0 && !ended {
			if some, err = r.State.pages(ctx, r.st.Run, last, r.window()); err != nil {
				return nil, err
			}
			ended = len(some) == 0
		}
		if ended {
			return nil, nil
		}
		p := some[0]
		some, last = some[1:], p.id
		return &p, nil
	}
}

// read reads the next products of Magento and stores them as a page; nil after the last.
func (r *run) read(ctx context.Context) (*page, error) {
	found, err := r.Products.Search(ctx, after(r.st.Reached).OnPage(1, pageSize))
	if err != nil {
		return nil, err
	}
	if r.st.Reached == 0 {
		r.st.Total = int64(found.TotalCount)
		if err := r.State.count(ctx, r.st.Owner, r.st.Total); err != nil {
			return nil, err
		}
	}
	if len(found.Items) == 0 {
		return nil, nil
	}
	skus := make([]string, 0, len(found.Items))
	reached := r.st.Reached
	for _, p := range found.Items {
		if int64(p.ID) <= reached {
			return nil, fmt.Errorf("product %d came after %d: Magento does not sort or filter products by entity_id", p.ID, reached)
		}
		reached = int64(p.ID)
		skus = append(skus, string(p.SKU))
	}
	p, err := r.State.add(ctx, r.st.Owner, reached, false, skus)
	if err != nil {
		return nil, err
	}
	r.st.Reached = reached
	return &p, nil
}

// delete publishes the documents that the run has not seen as deleted products, and returns when they are handled. The consumer reads
// each of them first: one that Magento still has is written.
func (r *run) delete(ctx context.Context) error {
	resumed := r.resumed
	r.resumed = true // there are stored pages
	defer func() { r.resumed = resumed }()
	r.rate = rate{}
	if err := r.aim(ctx); err != nil {
		return err
	}
	for _, target := range r.targets {
		var gone []string
		store := func(least int) error {
			for len(gone) >= least && len(gone) > 0 {
				n := min(len(gone), pageSize)
				if _, err := r.State.add(ctx, r.st.Owner, 0, true, gone[:n]); err != nil {
					return err
				}
				gone = slices.Clone(gone[n:])
			}
			return nil
		}
		err := r.Engine.Older(ctx, target, r.st.Started.UnixMilli(), func(ids []string) error {
			unseen, err := r.Documents.Unseen(ctx, target, ids, r.st.Started)
			if err != nil {
				return err
			}
			gone = append(gone, slices.DeleteFunc(unseen, func(sku string) bool { return r.failed[sku] })...)
			return store(pageSize)
		})
		if err == nil {
			err = store(1)
		}
		if err != nil {
			return fmt.Errorf("look for documents of index %s that are older than the reindex: %w", target.Index, err)
		}
	}
	return r.drive(ctx, true, r.stored())
}

// drive publishes the pages that next returns, a window of them at a time, and returns when all are handled. A page that nobody
// handles, with an empty queue, is passed over; at the last it has failed.
func (r *run) drive(ctx context.Context, last bool, next func(ctx context.Context) (*page, error)) error {
	r.moved = time.Now()
	for more := true; more || len(r.open) > 0; {
		for more && len(r.open) < r.window() {
			p, err := next(ctx)
			if err != nil {
				return err
			}
			if more = p != nil; !more {
				break
			}
			if err := r.send(ctx, p); err != nil {
				return err
			}
			r.open = append(r.open, &awaited{page: *p, left: p.skus})
		}
		if err := r.look(ctx); err != nil {
			return err
		}
		r.report()
		if len(r.open) == 0 || more && len(r.open) < r.window() {
			continue
		}
		if err := r.wait(ctx, last); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) send(ctx context.Context, p *page) error {
	topic := TopicExported
	if p.deletion {
		topic = TopicDeleted
	}
	return r.Send(ctx, topic, Message{SKUs: p.skus, Stores: r.st.Stores})
}

// look asks which of the awaited products are handled.
func (r *run) look(ctx context.Context) error {
	open := r.open[:0]
	for _, p := range r.open {
		left, err := r.unseen(ctx, p.left)
		if err != nil {
			return err
		}
		if len(left) < len(p.left) {
			r.moved, r.waiting = time.Now(), ""
		}
		p.left = left
		if len(left) > 0 {
			open = append(open, p)
			continue
		}
		if err := r.handled(ctx, p, 0); err != nil {
			return err
		}
	}
	clear(r.open[len(open):])
	r.open = open
	return nil
}

// unseen returns those of the products that some target lacks.
func (r *run) unseen(ctx context.Context, skus []string) ([]string, error) {
	var all []string
	for _, target := range r.targets {
		left, err := r.Documents.Unseen(ctx, target, skus, r.st.Started)
		if err != nil {
			return nil, err
		}
		if len(left) == len(skus) { // most often: nothing of the page is handled yet
			return skus, nil
		}
		all = append(all, left...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

func (r *run) handled(ctx context.Context, p *awaited, failed int) error {
	if err := r.State.finish(ctx, r.st.Owner, p.page, failed); err != nil {
		return err
	}
	done := int64(len(p.skus) - failed)
	r.st.Failed += int64(failed)
	if p.deletion {
		r.st.Deleted += done
	} else {
		r.st.Handled += done
	}
	r.rate.add(len(p.skus))
	return nil
}

// wait waits until the rows are looked at again, and looks at the queue when nothing has happened for long.
func (r *run) wait(ctx context.Context, last bool) error {
	poll := r.Poll
	if poll == 0 {
		poll = 500 * time.Millisecond
	}
	timer := time.NewTimer(poll)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	quiet := time.Since(r.moved)
	if quiet < min(r.Idle, 10*time.Second) {
		return nil
	}
	q, err := r.Queue(ctx)
	if err != nil {
		return err
	}
	switch {
	case q.Readers == 0:
		r.waiting = "nobody is subscribed to queue " + q.Name
	case q.Messages > 0:
		r.waiting = fmt.Sprintf("queue %s has %d messages ready", q.Name, q.Messages)
	default:
		r.waiting = "what is left may wait in a retry queue"
	}
	switch {
	case (q.Messages > 0 || q.Readers == 0) && quiet > r.Patience:
		return &StalledError{Queue: q, After: quiet}
	case q.Messages > 0 || q.Readers == 0 || quiet < r.Idle, q.Retrying > 0 && quiet <= r.Patience:
		return nil
	}
	for _, p := range r.open { // the messages neither wait nor are they being handled
		r.behind++
		if last {
			if err := r.handled(ctx, p, len(p.left)); err != nil {
				return err
			}
			for _, sku := range p.left[:min(len(p.left), failedMost-len(r.failed))] {
				r.failed[sku] = true
			}
		}
	}
	r.open, r.moved = nil, time.Now()
	return nil
}

func (r *run) window() int {
	if r.Window > 0 {
		return r.Window
	}
	return 16
}

func (r *run) report() {
	if r.Report == nil {
		return
	}
	p := Progress{Phase: r.st.Phase, Handled: r.st.Handled, Total: r.st.Total, Failed: r.st.Failed, Waiting: r.waiting}
	for _, o := range r.open {
		if !o.deletion {
			p.Handled += int64(len(o.skus) - len(o.left))
		}
	}
	if r.st.Phase == Deleting {
		p.Handled, p.Total = r.st.Deleted, 0
	}
	p.Left = r.rate.left(p.Total - r.st.Handled - r.st.Failed)
	r.Report(p)
}

// count notes how many documents each index has.
func (r *run) count(ctx context.Context) error {
	for _, v := range r.views {
		all, err := r.Indexes.Targets(ctx, v.Index)
		if err != nil || len(all[v.Index]) == 0 {
			return err
		}
		n, err := r.Engine.Count(ctx, all[v.Index][0])
		if err != nil {
			return err
		}
		r.indexes = append(r.indexes, IndexResult{Store: v.Store, Index: v.Index, Documents: n})
	}
	return nil
}

// swap has each new index that holds enough documents searched. whole is false if one was withheld.
func (r *run) swap(ctx context.Context) (whole bool, err error) {
	builder, whole := r.Engine.(search.Builder)
	for _, v := range r.views {
		next, filled, err := r.Indexes.Filled(ctx, v.Index)
		if err != nil {
			return false, err
		}
		if !filled { // a run before this one has swapped it
			continue
		}
		result := IndexResult{Store: v.Store, Index: v.Index}
		if result.Documents, err = builder.Count(ctx, next.Target); err != nil {
			return false, err
		}
		all, err := r.Indexes.Targets(ctx, v.Index)
		if err != nil {
			return false, err
		}
		if before := all[v.Index][0]; before != next.Target {
			// Of an index that was swapped in before the run was killed, the one before may be gone: then there is nothing to compare.
			if result.Before, err = builder.Count(ctx, before); err != nil && !errors.Is(err, search.ErrNoTarget) {
				return false, err
			}
		}
		if float64(result.Documents) < r.o.MinRatio*float64(result.Before) {
			whole = false
			result.Withheld = fmt.Sprintf("the new index has %d documents, the old one %d: fewer than %g of them", result.Documents, result.Before, r.o.MinRatio)
			r.indexes = append(r.indexes, result)
			continue
		}
		if err := r.State.Renew(ctx, r.st.Owner); err != nil {
			return false, err
		}
		if _, err := builder.Swap(ctx, next.Target); err != nil {
			return false, fmt.Errorf("swap index %s: %w", v.Index, err)
		}
		now, err := r.searched(ctx, v)
		if err != nil {
			return false, err
		}
		if err := r.Indexes.Swapped(ctx, now); err != nil {
			return false, err
		}
		result.Swapped = true
		r.indexes = append(r.indexes, result)
	}
	return whole, nil
}

// searched asks the engine what is searched: some give the new index the name of the old one.
func (r *run) searched(ctx context.Context, v View) (search.Target, error) {
	fields, err := r.Fields(ctx, v)
	if err != nil {
		return search.Target{}, fmt.Errorf("the fields of index %s: %w", v.Index, err)
	}
	return r.Engine.Ensure(ctx, v.Index, fields)
}

// rate estimates when the rest is done, from the pages of this process.
type rate struct {
	since time.Time
	done  int
}

func (r *rate) add(n int) {
	if r.since.IsZero() { // the first page is that from which time is taken: how long it has taken nobody knows
		r.since = time.Now()
		return
	}
	r.done += n
}

func (r *rate) left(n int64) time.Duration {
	took := time.Since(r.since)
	if r.done == 0 || n <= 0 {
		return 0
	}
	return time.Duration(float64(took) / float64(r.done) * float64(n))
}
