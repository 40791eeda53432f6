package bulk

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/internal/watermark"
)

// How long a batch waits for rows that another replica has, before their messages are deferred, and how often it looks.
const (
	patience = 5 * time.Second
	lookWait = 100 * time.Millisecond
)

// batch is the items of one call, and what becomes of them.
type batch struct {
	*Line
	target  target
	guard   *Guard // nil: no price is held
	items   []*item
	results map[*item]settled
}

// settled is what became of an item.
type settled struct {
	consumer.Result
	outcome string // of the metrics; "" if it is to be tried again
}

// write takes a batch through all its steps. The result of an entry is that of its item.
func (l *Line) write(ctx context.Context, t target, guard *Guard, entries []consumer.Entry) ([]consumer.Result, error) {
	b := &batch{Line: l, target: t, guard: guard, results: make(map[*item]settled, len(entries))}
	for _, e := range entries {
		b.items = append(b.items, e.Value.(*item))
	}
	left := b.newest()
	began := time.Now()
	for first := true; len(left) > 0; first = false {
		waiting, err := b.round(ctx, left)
		if err != nil {
			if first {
				return nil, err
			}
			for _, i := range left { // some were written already: the others have failed by themselves
				if _, done := b.results[i]; !done {
					b.settle(i, "", "", err)
				}
			}
			break
		}
		if len(waiting) == 0 {
			break
		}
		wait := slices.Min(slices.Collect(maps.Values(waiting)))
		if time.Since(began)+wait > patience || pause(ctx, max(wait, lookWait)) != nil {
			for i, wait := range waiting {
				b.settle(i, "", "", busy(i, wait))
			}
			break
		}
		left = slices.Collect(maps.Keys(waiting))
	}
	results := make([]consumer.Result, len(b.items))
	counts := map[string]int{}
	for n, i := range b.items {
		s := b.results[i]
		results[n] = s.Result
		counts[s.outcome]++
	}
	delete(counts, "")
	for outcome, n := range counts {
		l.Meter.Entries(t.kind(), outcome, n)
	}
	return results, nil
}

// pause waits, which does not count for the clocks of ctx.
func pause(ctx context.Context, d time.Duration) error {
	resume := event.Wait(ctx)
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return resume(ctx)
	case <-ctx.Done():
		return errors.Join(context.Cause(ctx), resume(ctx))
	}
}

// settle notes what became of an item.
func (b *batch) settle(i *item, outcome string, result event.Outcome, err error) {
	b.results[i] = settled{consumer.Result{Outcome: result, Err: err}, outcome}
}

// newest returns, of several items for one key, the newest; of equal ones the last. The others are stale.
func (b *batch) newest() []*item {
	newest := make(map[watermark.Key]*item, len(b.items))
	for _, i := range b.items {
		if err := b.target.unfit(i); err != nil {
			b.settle(i, rejected, "", err)
			continue
		}
		other := newest[i.key]
		if other != nil && i.version.Before(other.version) {
			b.settle(i, stale, event.Stale, nil)
			continue
		}
		if other != nil {
			b.settle(other, stale, event.Stale, nil)
		}
		newest[i.key] = i
	}
	all := make([]*item, 0, len(newest))
	for _, i := range b.items {
		if newest[i.key] == i {
			all = append(all, i)
		}
	}
	return all
}

// claimed is a claim on the rows of items.
type claimed struct {
	claim *watermark.Claim
	own   map[*item]*watermark.Row
	guard map[*item]*watermark.Row // what is held beside it, of some
}

// end notes how the claim on an item's rows ends.
func (c claimed) end(i *item, end watermark.End) {
	c.own[i].End = end
	if guard := c.guard[i]; guard != nil && end == watermark.Lost {
		guard.End = end
	}
}

// round claims the rows of items and writes those whose rows it got. It returns the items whose rows others have, with how long they
// are to wait at least. With an error no item was settled but those that Magento was not needed for.
func (b *batch) round(ctx context.Context, items []*item) (waiting map[*item]time.Duration, err error) {
	c, mine, waiting, err := b.claim(ctx, items)
	if err != nil {
		return nil, err
	}
	err = b.process(c.claim.Context(), c, mine)
	// The claim ends in any case: with what is noted in its rows. Where that can't be written nobody knows what became of them.
	if ended := c.claim.End(ctx); err == nil {
		err = ended
	}
	if err != nil {
		for _, i := range mine {
			delete(b.results, i)
		}
		return nil, err
	}
	return waiting, event.Progress(ctx)
}

// claim claims the rows of items, and settles those for which there is nothing to write.
func (b *batch) claim(ctx context.Context, items []*item) (c claimed, mine []*item, waiting map[*item]time.Duration, err error) {
	c.own = make(map[*item]*watermark.Row, len(items))
	all := make(map[watermark.Key]*watermark.Row, len(items))
	c.guard = map[*item]*watermark.Row{}
	rows := make([]*watermark.Row, 0, len(items))
	for _, i := range items {
		for n, r := range b.target.rows(i) {
			if other := all[r.Key]; other != nil {
				r = other
			} else {
				all[r.Key] = r
				rows = append(rows, r)
			}
			if n == 0 {
				c.own[i] = r
			} else {
				c.guard[i] = r
			}
		}
	}
	if c.claim, err = b.Watermarks.Claim(ctx, rows); err != nil {
		return c, nil, nil, err
	}
	waiting = map[*item]time.Duration{}
	for _, i := range items {
		own, guard := c.own[i], c.guard[i]
		switch {
		case own.State == watermark.TooNew:
			b.settle(i, rejected, "", tooNew(i))
		case own.State == watermark.Stale, guard != nil && guard.State == watermark.Claimed && isNewer(guard, i):
			b.settle(i, stale, event.Stale, nil)
		case own.State == watermark.Held:
			waiting[i] = own.Wait
		case guard != nil && guard.State != watermark.Claimed:
			waiting[i] = guard.Wait
		case i.repeat && own.Written.Equal(i.version) && own.WrittenBy == i.message && own.Lost.IsZero():
			// The very same message had it written. Since then somebody else may have changed it, who is newer.
			b.settle(i, repeated, event.Duplicate, nil)
		default:
			mine = append(mine, i)
		}
	}
	return c, mine, waiting, nil
}

// isNewer reports whether what a row guards was, or may have been, replaced by something newer than the item.
func isNewer(r *watermark.Row, i *item) bool {
	return r.Written.After(i.version) || r.Lost.After(i.version)
}

// process reads, judges and sends the items whose rows are claimed, and notes in the rows what became of them.
func (b *batch) process(ctx context.Context, c claimed, items []*item) error {
	if len(items) == 0 {
		return nil
	}
	var p present
	if !b.All || b.guard != nil || b.target.reads() {
		var err error
		if p, err = b.target.read(ctx, items); err != nil {
			return err
		}
		if err := event.Progress(ctx); err != nil {
			return err
		}
	}
	rest, err := b.judge(ctx, c, p, items)
	if err != nil || len(rest) == 0 {
		return err
	}
	skus := skusOf(rest)
	if err := b.Changes.Coming(ctx, skus); err != nil {
		return err
	}
	var part []*item
	for rest = byKey(rest); len(rest) > 0; {
		part, rest = first(rest, b.Sizes.call(b.target.kind())) // the size changes with each call
		if err := b.send(ctx, c, p, part); err != nil {
			return err
		}
	}
	if err := b.Changes.Done(ctx, skus); err != nil {
		// Without it the products are read when the change has settled, and not before.
		zerolog.Ctx(ctx).Warn().Str("event", "change_not_recorded").Err(err).
			Msg("products whose price or stock was written can't be read at once for the search indexes: they are read after SEARCH_SETTLE")
	}
	return nil
}

// judge settles the items that need not or must not be written, by what Magento has.
func (b *batch) judge(ctx context.Context, c claimed, p present, items []*item) (rest []*item, err error) {
	if p == nil {
		return items, nil
	}
	var differing []*item
	for _, i := range items {
		if (!b.All || b.target.trusts()) && p.has(i) {
			c.end(i, watermark.Accepted)
			b.settle(i, unchanged, event.Done, nil)
			continue
		}
		if err := p.refuses(i); err != nil {
			b.settle(i, rejected, "", err)
			continue
		}
		differing = append(differing, i)
	}
	if b.guard == nil {
		return differing, nil
	}
	return b.hold(ctx, p, differing)
}

// send writes items in one call, or in several where Magento takes no more at once.
func (b *batch) send(ctx context.Context, c claimed, p present, items []*item) error {
	refused, err := b.call(ctx, p, items)
	if most, ok := atMost(err); ok && len(parts(items, most)) > 1 {
		b.Sizes.atMost(b.target.kind(), most)
		zerolog.Ctx(ctx).Warn().Str("event", "bulk_size_lowered").Str("kind", b.target.kind()).Int("most", most).
			Msg("Magento takes no more entries in one call")
		for _, part := range parts(items, most) {
			if err := b.send(ctx, c, p, part); err != nil {
				return err
			}
		}
		return nil
	}
	if err != nil {
		for _, i := range items {
			c.end(i, endOf(err))
		}
		return err
	}
	for _, i := range items {
		switch err := refused[i]; {
		case err == nil:
			c.end(i, watermark.Accepted)
			i.repeat = true // should its call be made again for another entry's sake
			b.settle(i, written, event.Done, nil)
		case !event.ClassOf(err).Poison():
			c.end(i, endOf(err))
			b.settle(i, "", "", err)
		default:
			if len(i.views) > 1 { // the price may be written to some of them
				c.end(i, watermark.Unknown)
			}
			b.settle(i, rejected, "", err)
		}
	}
	return event.Progress(ctx)
}

// call makes one call in a slot, and notes how long it took. Refused entries that may have been refused for another's sake are
// sent once more, alone.
func (b *batch) call(ctx context.Context, p present, items []*item) (map[*item]error, error) {
	refused, err := b.timed(ctx, p, items)
	if err != nil || len(refused) == 0 || len(items) == 1 {
		return refused, err
	}
	for _, i := range doubtful(items, refused) {
		again, err := b.timed(ctx, p, []*item{i})
		if err != nil {
			return nil, afterWrite{err}
		}
		delete(refused, i)
		if err := again[i]; err != nil {
			refused[i] = err
		}
	}
	return refused, nil
}

func (b *batch) timed(ctx context.Context, p present, items []*item) (map[*item]error, error) {
	slot, release, err := b.Slots.Take(ctx)
	if err != nil {
		return nil, notSent{err}
	}
	defer release()
	began := time.Now()
	refused, err := b.target.send(slot, p, items)
	took := time.Since(began)
	if isMaximum(err) || errors.As(err, new(*event.Deferral)) {
		return refused, err
	}
	rows := 0
	for _, i := range items {
		rows += i.weight()
	}
	b.Meter.Called(b.target.kind(), rows, took)
	b.Sizes.took(b.target.kind(), rows, took)
	return refused, err
}

// afterWrite marks an error of a call after another one that has written some of the items.
type afterWrite struct{ error }

func (e afterWrite) Unwrap() error { return e.error }

// notSent marks an error after which nothing was sent.
type notSent struct{ error }

func (e notSent) Unwrap() error { return e.error }

// first divides items into those of the first call, which has at most so many rows and one item at least, and the rest.
func first(items []*item, most int) (part, rest []*item) {
	rows := 0
	for n, i := range items {
		rows += i.weight()
		if n > 0 && rows > most {
			return items[:n], items[n:]
		}
	}
	return items, nil
}

// parts divides items into those of calls of at most so many rows.
func parts(items []*item, most int) (all [][]*item) {
	for len(items) > 0 {
		var part []*item
		part, items = first(items, most)
		all = append(all, part)
	}
	return all
}

// byKey sorts items by their keys: two calls at once take locks in Magento's tables in the same order then.
func byKey(items []*item) []*item {
	sorted := slices.Clone(items)
	slices.SortFunc(sorted, func(a, b *item) int { return cmp.Or(a.key.Compare(b.key), cmp.Compare(a.sku, b.sku)) })
	return sorted
}
