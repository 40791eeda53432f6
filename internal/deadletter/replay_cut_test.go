package deadletter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/mageline/mageline/test/kit"
)

// Whatever cuts a replay, no letter is lost: each is in one of the two queues, or in both.
func TestReplay_LosesNothingWhenCut(t *testing.T) {
	cuts := map[string]func(*kit.Proxy, context.CancelFunc){
		"connection cut":       func(p *kit.Proxy, _ context.CancelFunc) { p.Cut() },
		"the confirm was lost": func(p *kit.Proxy, _ context.CancelFunc) { p.LoseAnswer(nil) },
		"interrupted":          func(_ *kit.Proxy, cancel context.CancelFunc) { cancel() },
	}
	for name, cut := range cuts {
		for _, at := range []int{1, 40, 77} {
			t.Run(fmt.Sprintf("%s at %d", name, at), func(t *testing.T) {
				t.Parallel()
				const n = 300
				l := newTestQueue(t)
				l.fill(n, rejected)
				proxy, url := kit.ProxyURL(t, l.URL)
				o := l.o
				o.Broker.URL = url
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				done := 0
				sum, err := New(o).Replay(ctx, ReplayOptions{Queue: l.dlq, Progress: func(ReplayStep) {
					if done++; done == at {
						cut(proxy, cancel)
					}
				}})
				if err == nil {
					t.Fatal("the replay was not cut")
				}
				var stays, gone []string
				kit.Eventually(t, 20*time.Second, func() bool { return l.Depth(l.dlq)+l.Depth(l.work) >= n }, "all letters in the queues")
				gone = ids(l.drain(l.work, 0))
				stays = ids(l.drain(l.dlq, 0))
				if len(gone) < sum.Replayed {
					t.Errorf("%d were counted as replayed, %d were", sum.Replayed, len(gone))
				}
				if len(stays)+len(gone) > n+window {
					t.Errorf("%d letters stay and %d are replayed, of %d", len(stays), len(gone), n)
				}
				if name == "interrupted" && (!errors.Is(err, context.Canceled) || !slices.Equal(append(gone, stays...), wanted(n, every))) {
					t.Errorf("an interrupt ended with %v; replayed %v, stay %v", err, gone, stays)
				}
				all := map[string]bool{}
				for _, id := range append(gone, stays...) {
					all[id] = true
				}
				if len(all) != n {
					t.Errorf("%d of %d letters are left", len(all), n)
				}
			})
		}
	}
}

// With a rate a letter is taken only when its turn has come: the others stay where everybody sees them.
func TestReplay_KeepsTheRate(t *testing.T) {
	t.Parallel()
	const n = 8
	l := newTestQueue(t)
	l.fill(n, oddTimeout)
	began := time.Now()
	var depths []int
	l.mustReplay(ReplayOptions{Rate: 20, Filter: Filter{Class: "timeout"}, Progress: func(ReplayStep) {
		depths = append(depths, l.Depth(l.dlq))
	}}, n/2, n/2, 0)
	if !slices.Equal(depths, []int{6, 4, 2, 0}) {
		t.Errorf("letters not taken at each publish: %v", depths)
	}
	if took := time.Since(began); took < 100*time.Millisecond {
		t.Errorf("four letters at 20 a second took %s", took)
	}
}

// What is held goes back in time, in its order, and the call can be repeated.
func TestReplay_StopsBeforeTheBrokersTimeout(t *testing.T) {
	t.Parallel()
	const n = 60
	l := newTestQueue(t)
	l.fill(n, oddTimeout)
	l.list()
	o := l.o
	o.maxReading = 10 * time.Second
	sum, err := New(o).Replay(t.Context(), ReplayOptions{Queue: l.dlq, Limit: 20, Rate: 0.01, Filter: Filter{Class: "timeout"}})
	var stopped *StoppedError
	if !errors.As(err, &stopped) || stopped.Limit != 20-sum.Replayed || stopped.Until.IsZero() || sum.Replayed != 1 {
		t.Fatalf("%s, %v", sum, err)
	}
	l.awaitDepth(l.dlq, n-sum.Replayed)
	l.mustReplay(ReplayOptions{Limit: stopped.Limit, Filter: Filter{Class: "timeout", Until: stopped.Until}}, stopped.Limit, n/2, 0)
	o.maxReading = time.Nanosecond
	if _, err := New(o).List(t.Context(), l.dlq, Filter{}); !errors.As(err, &stopped) {
		t.Errorf("a list ended with %v", err)
	}
	rest := wanted(n, func(i int) bool { return i%2 == 0 || i >= 40 })
	l.awaitDepth(l.dlq, len(rest))
	if got := ids(l.drain(l.dlq, len(rest))); !slices.Equal(got, rest) {
		t.Errorf("the rest is %v", got)
	}
}
