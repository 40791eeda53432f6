package consumer

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// What lies behind an open delivery waits from when it was first found there, and no longer than that.
func TestOverdue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := new(delivery), new(delivery)
		if late, behind := overdue([]*delivery{first}); len(late) != 0 || !slices.Equal(behind, []*delivery{first}) {
			t.Errorf("at once %d go, want none", len(late))
		}
		time.Sleep(behindPatience - time.Millisecond)
		if late, behind := overdue([]*delivery{second, first}); len(late) != 0 || len(behind) != 2 {
			t.Errorf("a moment before, %d go, want none", len(late))
		}
		time.Sleep(time.Millisecond)
		late, behind := overdue([]*delivery{second, first})
		if !slices.Equal(late, []*delivery{first}) || !slices.Equal(behind, []*delivery{second}) {
			t.Errorf("%d go and %d wait, want the first to go and the second to wait", len(late), len(behind))
		}
	})
}

// The prefetch may be used up by what was handled and waits for its acknowledgement.
func TestDry(t *testing.T) {
	for name, c := range map[string]struct {
		waiting, inFlight, granted int
		want                       bool
	}{
		"something waits to be begun":   {waiting: 1, inFlight: 63, granted: 64},
		"the broker may send more":      {inFlight: 63, granted: 64},
		"all are begun and not settled": {inFlight: 64, granted: 64, want: true},
		"paused":                        {inFlight: 1, want: true},
		"paused, and all is settled":    {want: true},
	} {
		l := &line{waiting: make([]*delivery, c.waiting), inFlight: c.inFlight, granted: c.granted}
		if got := l.dry(); got != c.want {
			t.Errorf("%s: dry %v, want %v", name, got, c.want)
		}
	}
}
