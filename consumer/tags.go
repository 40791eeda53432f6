package consumer

// tags knows which delivery tags of a channel are settled, so that acknowledgements of contiguous tags can be written as one.
// The broker takes a multiple acknowledgement for every open delivery up to its tag, also for one that has not arrived here
// yet: the tags of a channel have no gaps, but arrive by several subscriptions.
type tags struct {
	first  uint64 // every tag below is settled
	window []bool // whether first and those above are settled, up to the highest that is
}

func newTags() tags { return tags{first: 1} }

// settled notes that a delivery is settled, or will be without anything else that has to be done first. It may be told of a
// tag again.
func (t *tags) settled(tag uint64) {
	if tag < t.first {
		return
	}
	for uint64(len(t.window)) <= tag-t.first {
		t.window = append(t.window, false)
	}
	t.window[tag-t.first] = true
	n := 0
	for n < len(t.window) && t.window[n] {
		n++
	}
	t.window = t.window[n:]
	t.first += uint64(n)
}
