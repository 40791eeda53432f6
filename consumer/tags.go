package consumer

import "slices"

// tags knows which deliveries of a channel are open, so that acknowledgements that have gathered can go as one. The broker
// takes a multiple acknowledgement for every open delivery up to its tag, also for those that we have not seen yet: they
// are numbered without gaps, but arrive by several subscriptions.
type tags struct {
	seen  uint64              // every tag up to this one has arrived
	above map[uint64]struct{} // arrived, with a gap below
	open  map[uint64]struct{} // arrived and not settled
}

func newTags() tags {
	return tags{above: map[uint64]struct{}{}, open: map[uint64]struct{}{}}
}

// arrive notes a delivery.
func (t *tags) arrive(tag uint64) {
	t.open[tag] = struct{}{}
	t.above[tag] = struct{}{}
	for {
		if _, ok := t.above[t.seen+1]; !ok {
			return
		}
		t.seen++
		delete(t.above, t.seen)
	}
}

// settled notes that a delivery is settled.
func (t *tags) settled(tag uint64) { delete(t.open, tag) }

// acks says how to acknowledge these open deliveries, which it notes as settled: all up to multiple at once (0: none), and
// the single ones each by itself. It sorts tags in place and keeps it.
func (t *tags) acks(gathered []uint64) (multiple uint64, single []uint64) {
	for _, tag := range gathered {
		delete(t.open, tag)
	}
	if len(gathered) == 1 {
		return 0, gathered
	}
	limit := t.seen
	for tag := range t.open {
		limit = min(limit, tag-1)
	}
	slices.Sort(gathered)
	n := 0
	for n < len(gathered) && gathered[n] <= limit {
		n++
	}
	if n < 2 {
		return 0, gathered
	}
	return gathered[n-1], gathered[n:]
}
