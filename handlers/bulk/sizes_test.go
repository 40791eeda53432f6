package bulk

import (
	"testing"
	"time"
)

func TestSizes_FollowTheTimeOfCalls(t *testing.T) {
	t.Parallel()
	const target = 9 * time.Second
	told := 0
	s := NewSizes(500, target, func(_ string, n int) { told = n })
	for _, step := range []struct {
		rows        int // of a call
		took        time.Duration
		call, batch int // what a call and a batch may have after it
	}{
		{1, time.Second, 100, 500}, // says nothing of a full one
		{100, time.Second, 200, 500},
		{200, time.Second, 400, 500},
		{400, 4 * time.Second, 400, 400}, // a batch is one call now
		{400, 10 * time.Second, 200, 200},
		{60, time.Second, 200, 500},
		{200, time.Second, 400, 500},
		{400, time.Second, 500, 500},
	} {
		s.took("base", step.rows, step.took)
		if call, batch := s.call("base"), s.batch("base"); call != step.call || batch != step.batch || told != step.call {
			t.Errorf("after %d rows in %s: a call of %d and a batch of %d, want %d and %d; told %d", step.rows, step.took, call, batch, step.call, step.batch, told)
		}
	}
	if call, batch := s.call("stock"), s.batch("stock"); call != 100 || batch != 500 {
		t.Errorf("another kind has calls of %d and batches of %d", call, batch)
	}
	s.atMost("base", 20)
	if call, batch := s.call("base"), s.batch("base"); call != 20 || batch != 20 {
		t.Errorf("of at most 20: a call of %d and a batch of %d", call, batch)
	}
}
