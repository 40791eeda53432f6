package idempotency

import (
	"errors"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mageline/mageline/event"
)

// gathering is a queue with one flush under way and a second writer that waits for the next.
type gathering struct {
	queue
	began   time.Time
	flushed func()
	second  chan []*op
	took    time.Duration // until the second got its flush
}

func newGathering(t *testing.T) *gathering {
	t.Helper()
	g := &gathering{queue: newQueue(), began: time.Now(), second: make(chan []*op, 1)}
	g.put(0, 1)
	ops, flushed := g.next()
	if len(ops) != 1 || time.Since(g.began) != 0 {
		t.Errorf("an idle queue gives %d ops after %s, want the one at once", len(ops), time.Since(g.began))
	}
	g.flushed = flushed
	go func() {
		ops, flushed := g.next()
		g.took = time.Since(g.began)
		if flushed != nil {
			flushed()
		}
		g.second <- ops
	}()
	return g
}

func (g *gathering) put(from, n int) {
	for i := range n {
		g.add(effectOp(Key{Consumer: "c", Key: strconv.Itoa(from + i), Effect: "e"}, "owner", 1))
	}
}

// While a flush is under way the next one waits for company, but not for ever.
func TestGathering(t *testing.T) {
	for name, c := range map[string]struct {
		put  int
		then func(g *gathering)
		want int
		took time.Duration
	}{
		"until the flush ends": {put: 3, want: 3, took: time.Millisecond, then: func(g *gathering) {
			time.Sleep(time.Millisecond)
			g.flushed()
		}},
		"until there is enough": {put: full - 1, want: full, took: time.Millisecond, then: func(g *gathering) {
			time.Sleep(time.Millisecond)
			g.put(full, 1)
		}},
		"until the flush has taken long":   {put: 3, want: 3, took: patience, then: func(*gathering) { time.Sleep(patience) }},
		"until the ledger is closed":       {put: 3, want: 3, then: func(g *gathering) { g.close() }},
		"closed with nothing left to give": {put: 0, want: 0, then: func(g *gathering) { g.close() }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGathering(t)
				g.put(1, c.put)
				synctest.Wait()
				if len(g.second) > 0 {
					t.Fatalf("a second flush began with %d ops beside one that is under way", c.put)
				}
				c.then(g)
				synctest.Wait()
				select {
				case ops := <-g.second:
					if len(ops) != c.want || g.took != c.took {
						t.Errorf("got %d ops after %s, want %d after %s", len(ops), g.took, c.want, c.took)
					}
				default:
					t.Error("the second writer still waits")
				}
				g.flushed()
			})
		})
	}
}

// No row is twice in one flush, be it an effect's, a lease's or an order's.
func TestNoRowTwice(t *testing.T) {
	q := newQueue()
	of := func(consumer string, order *Order) *op {
		o := effectOp(Key{Consumer: consumer, Key: "1", Effect: "e"}, "owner", 1)
		o.order = order
		return o
	}
	known := &Order{}
	q.add(of("a", known))
	q.add(of("a", nil))   // the same effect
	q.add(of("b", known)) // the same order
	q.add(of("b", nil))
	q.add(leaseOp("1", "owner", 1))
	q.add(leaseOp("1", "owner", 1))
	for flush, want := range []int{3, 3, 0} {
		if want == 0 {
			q.close()
		}
		ops, flushed := q.next()
		if len(ops) != want {
			t.Errorf("flush %d has %d ops, want %d", flush, len(ops), want)
		}
		if flushed != nil {
			flushed()
		}
	}
}

// What waited too long for a writer is answered as with Postgres away; the others go on.
func TestTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ops := make([]*op, 3)
		for i := range ops {
			ops[i] = effectOp(Key{Consumer: "c", Key: strconv.Itoa(i), Effect: "e"}, "owner", 1)
		}
		ops[1].until = time.Now().Add(time.Second)
		ops[2].until = ops[1].until.Add(time.Second)
		late := ops[1]
		time.Sleep(1500 * time.Millisecond)
		if left := inTime(slices.Clone(ops)); !slices.Equal(left, []*op{ops[0], ops[2]}) {
			t.Errorf("%d ops are left, want the first and the third", len(left))
		}
		<-late.done
		var d *event.Deferral
		if !errors.As(late.got.err, &d) || d.Downstream != "postgres" {
			t.Errorf("the late one: %v, want Postgres to be away", late.got.err)
		}
		if again := late.again(); len(inTime([]*op{again})) != 1 {
			t.Error("once more it is too late again, want it to have no end")
		}
	})
}
