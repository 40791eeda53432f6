package consumer

// tags knows which deliveries of a channel are open, so that acknowledgements that have gathered can go as one. The broker
// takes a multiple acknowledgement for every open delivery up to its tag, also for those that we have not seen yet: they
// are numbered without gaps, but arrive by several subscriptions.
type tags struct {
	first  uint64 // every tag below is settled
	window []bool // whether first and those above are settled, as far as the newest that has arrived
}

func newTags() tags { return tags{first: 1} }

// arrive notes a delivery.
func (t *tags) arrive(tag uint64) {
	for uint64(len(t.window)) <= tag-t.first {
		t.window = append(t.window, false)
	}
}

// settled notes that a delivery is settled, or will be without anything else that has to be done first. It may be told so
// again.
func (t *tags) settled(tag uint64) {
	if tag < t.first {
		return
	}
	t.window[tag-t.first] = true
	n := 0
	for n < len(t.window) && t.window[n] {
		n++
	}
	t.window = t.window[n:]
	t.first += uint64(n)
}
