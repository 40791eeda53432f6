package handlers_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/test/kit/fakeerp"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
)

// An order of very many lines must not lose more than was cancelled of it either.
func TestCanceled_PartsOfManyLines(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		lines  int
		before bool // the rows are as they were written before there was data
		told   bool // the rest can be told
	}{{1, false, true}, {400, false, true}, {1, true, true}, {30, true, true}, {120, true, true}, {400, true, false}} {
		t.Run(fmt.Sprintf("%d lines, rows of before %t", tt.lines, tt.before), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, settings{erpMode: fakeerp.HonoursKeys})
			p := r.shop.PlaceOrder(fakemagento.Placing{Lines: lines(tt.lines, 5)})
			r.exported(p)
			var one, more []int64
			for range tt.lines {
				one, more = append(one, 1), append(more, 2)
			}
			r.cancelQuantities(p, one...)
			outcome, err := r.canceled(number(p.IncrementID))
			isOutcome(t, outcome, err, event.Done)
			if tt.before {
				r.withoutData()
			}
			r.cancelQuantities(p, more...)
			outcome, err = r.canceled(number(p.IncrementID))
			want := "2"
			if tt.told {
				isOutcome(t, outcome, err, event.Done)
			} else {
				isClass(t, err, event.Rejected)
				want = "1"
			}
			got := taken(t, r.erp.Documents()[0])
			for sku, q := range got {
				if q != want {
					t.Fatalf("%s is cancelled by %s, want %s", sku, q, want)
				}
			}
			if len(got) != tt.lines {
				t.Errorf("%d lines are cancelled, want %d", len(got), tt.lines)
			}
			r.shop.Cancel(p.EntityID)
			outcome, err = r.canceled(number(p.IncrementID))
			isOutcome(t, outcome, err, event.Done)
			if !r.erp.Documents()[0].Canceled {
				t.Error("the whole is not cancelled")
			}
			for _, key := range r.toERP.idempotencyKeys() {
				if len(key) > 255 {
					t.Errorf("an Idempotency-Key has %d bytes", len(key))
				}
			}
		})
	}
}

// The answer to a cancellation of 1 is lost; then 3 are cancelled, of two lines. What may have arrived is sent again as it
// was, under its own key, and the rest after it.
func TestCanceled_LostAnswerAndThenMore(t *testing.T) {
	t.Parallel()
	for n := range 4 {
		arrived, before := n%2 == 0, n > 1
		t.Run(fmt.Sprintf("arrived %t, row of before %t", arrived, before), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, settings{erpMode: fakeerp.HonoursKeys})
			p := r.shop.PlaceOrder(fakemagento.Placing{Lines: lines(2, 5)})
			r.exported(p)
			r.cancelQuantities(p, 1)
			r.erp.Faults.Set(fault.Plan{Only: onlyPosts})
			r.erp.Faults.Next(fault.Fault{Kind: map[bool]fault.Kind{true: fault.Drop, false: fault.Refuse}[arrived]})
			_, err := r.canceled(number(p.IncrementID))
			isClass(t, err, event.Unavailable)
			if before {
				r.withoutData()
			}

			r.cancelQuantities(p, 2, 1)
			outcome, err := r.canceled(number(p.IncrementID), repeated)
			isOutcome(t, outcome, err, event.Done)
			keys := r.toERP.idempotencyKeys()[1:] // without the create's
			if len(keys) != 3 || keys[0] != keys[1] || keys[1] == keys[2] {
				t.Errorf("Idempotency-Keys %q, want the first twice, then another", keys)
			}
			var bodies []string
			for _, c := range r.erp.Requests() {
				if strings.HasSuffix(c.Path, "/cancel") {
					bodies = append(bodies, string(c.Body))
				}
			}
			if len(bodies) != 3 || bodies[0] != bodies[1] {
				t.Errorf("bodies %q, want the first twice", bodies)
			}
			if got := taken(t, r.erp.Documents()[0]); fmt.Sprint(got) != "map[SKU-0:2 SKU-1:1]" {
				t.Errorf("taken %v, want 2 and 1", got)
			}
		})
	}
}

// An event whose handling read the order before more was cancelled comes last: it takes nothing twice.
func TestCanceled_OvertakenByMore(t *testing.T) {
	t.Parallel()
	r := newRig(t, settings{erpMode: fakeerp.HonoursKeys})
	p := r.shop.PlaceOrder(fakemagento.Placing{Lines: lines(2, 5)})
	r.exported(p)
	r.cancelQuantities(p, 1)
	entered, leave := make(chan struct{}, 1), make(chan struct{})
	s := &steps{at: 2, strike: func() { // it has read the order
		entered <- struct{}{}
		<-leave
	}}
	_, slow := r.stepped(r.replica("second"), s)
	ended := make(chan error, 1)
	go func() {
		_, err := r.handle(slow, number(p.IncrementID))
		ended <- err
	}()
	await(t, entered, ended)
	r.cancelQuantities(p, 3, 2)
	outcome, err := r.canceled(number(p.IncrementID))
	isOutcome(t, outcome, err, event.Done)
	close(leave)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if got := taken(t, r.erp.Documents()[0]); fmt.Sprint(got) != "map[SKU-0:3 SKU-1:2]" {
		t.Errorf("taken %v, want 3 and 2", got)
	}
}

// Each cancellation of a part is told, though the words are the same, and none twice when an answer is lost.
func TestCanceled_CommentOnEachPart(t *testing.T) { onEachVersion(t, testCommentOnEachPart) }

func testCommentOnEachPart(t *testing.T, shop fakemagento.Options) {
	r := newRig(t, settings{shop: shop})
	p := r.shop.PlaceOrder(fakemagento.Placing{Lines: lines(1, 9)})
	r.exported(p)
	d := r.erp.Documents()[0]
	created := "Sales order " + d.Number + " created in " + erpName
	cancelled := "Sales order " + d.Number + " cancelled in " + erpName
	comments := []string{created}
	for i, kind := range []fault.Kind{fault.Drop, fault.Refuse, fault.Drop, fault.None} {
		r.cancelQuantities(p, int64(i+1))
		r.shop.Faults.Set(fault.Plan{Only: onlyPosts})
		r.shop.Faults.Next(fault.Fault{Kind: kind})
		_, err := r.canceled(number(p.IncrementID), repeated)
		if kind != fault.None {
			isClass(t, err, event.Unavailable)
		} else if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := r.canceled(number(p.IncrementID), repeated); err != nil {
				t.Fatal(err)
			}
		}
		comments = append(comments, cancelled)
		r.isComments(p, comments...)
	}
	if got := taken(t, r.erp.Documents()[0]); got["SKU-0"] != "4" {
		t.Errorf("taken %v, want 4", got)
	}
}
