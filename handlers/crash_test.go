package handlers_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/handlers"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

// steps stands between a handler and the real clients, and strikes before or after one of their calls: the n-th moment
// of the handling, counted from 1, two for each call.
type steps struct {
	handlers.Orders
	handlers.Shipments
	erp.OrderConnector
	strike func()
	at     int

	mu    sync.Mutex
	n     int
	names []string
}

func (s *steps) moment(name string) {
	s.mu.Lock()
	s.n++
	s.names = append(s.names, name)
	hit := s.n == s.at
	s.mu.Unlock()
	if hit {
		s.strike()
	}
}

// around calls f between two moments.
func around[T any](s *steps, name string, f func() (T, error)) (T, error) {
	s.moment("before " + name)
	v, err := f()
	s.moment("after " + name)
	return v, err
}

func (s *steps) Get(ctx context.Context, id int64, fields ...string) (*magentoapi.Order, error) {
	return around(s, "reading the order", func() (*magentoapi.Order, error) { return s.Orders.Get(ctx, id, fields...) })
}

func (s *steps) ByIncrementID(ctx context.Context, n string) ([]*magentoapi.Order, error) {
	return around(s, "finding the order", func() ([]*magentoapi.Order, error) { return s.Orders.ByIncrementID(ctx, n) })
}

func (s *steps) AddComment(ctx context.Context, id int64, c magentoapi.Comment) error {
	_, err := around(s, "the comment", func() (any, error) { return nil, s.Orders.AddComment(ctx, id, c) })
	return err
}

func (s *steps) Comments(ctx context.Context, id int64) ([]magentoapi.OrderStatusHistory, error) {
	return around(s, "reading the comments", func() ([]magentoapi.OrderStatusHistory, error) { return s.Orders.Comments(ctx, id) })
}

func (s *steps) Create(ctx context.Context, c erp.Call, p erp.Payload) (erp.Document, error) {
	return around(s, "the create", func() (erp.Document, error) { return s.OrderConnector.Create(ctx, c, p) })
}

func (s *steps) Find(ctx context.Context, reference string) ([]erp.Document, error) {
	return around(s, "asking the ERP", func() ([]erp.Document, error) { return s.OrderConnector.Find(ctx, reference) })
}

func (s *steps) Cancel(ctx context.Context, c erp.Call, d erp.Document, x erp.Cancellation) error {
	_, err := around(s, "the cancellation", func() (any, error) { return nil, s.OrderConnector.Cancel(ctx, c, d, x) })
	return err
}

func (s *steps) OfOrder(ctx context.Context, id int64) ([]*magentoapi.Shipment, error) {
	return around(s, "reading the shipments", func() ([]*magentoapi.Shipment, error) { return s.Shipments.OfOrder(ctx, id) })
}

func (s *steps) Ship(ctx context.Context, id int64, n magentoapi.NewShipment) (int64, error) {
	return around(s, "the shipment", func() (int64, error) { return s.Shipments.Ship(ctx, id, n) })
}

func (s *steps) AddTrack(ctx context.Context, t *magentoapi.ShipmentTrack) (*magentoapi.ShipmentTrack, error) {
	return around(s, "the track", func() (*magentoapi.ShipmentTrack, error) { return s.Shipments.AddTrack(ctx, t) })
}

func (s *steps) SendEmail(ctx context.Context, id int64) (bool, error) {
	return around(s, "the mail", func() (bool, error) { return s.Shipments.SendEmail(ctx, id) })
}

// stepped gives both handlers with steps in between.
func (r *rig) stepped(l *idempotency.Ledger, s *steps) (*handlers.Placed, *handlers.Canceled) {
	s.Orders, s.OrderConnector = r.client.Orders, r.connector
	placed, canceled := r.placedOn(l), r.canceledOn(l)
	placed.Orders, placed.ERP = s, s
	canceled.Orders, canceled.ERP = s, s
	return placed, canceled
}

// guarded handles as the delivery path does: a panic is an error.
func guarded(ctx context.Context, h handler, e event.Event) (outcome event.Outcome, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = event.Errorf(event.Internal, "panic: %v", p)
		}
	}()
	return h.Handle(ctx, e)
}

// A handler that panics, or is cancelled by a drain, at any moment: handled again, also more than once, the order is in
// the ERP once and has one comment. The same for a cancellation.
func TestPlaced_StruckAtEachMoment(t *testing.T) { onEachVersion(t, testStruckAtEachMoment) }

func testStruckAtEachMoment(t *testing.T, shop fakemagento.Options) {
	r := newRig(t, settings{shop: shop})
	second := r.replica("second")
	strikes := map[string]func(cancel context.CancelFunc) func(){
		"panic":  func(context.CancelFunc) func() { return func() { panic("struck") } },
		"cancel": func(cancel context.CancelFunc) func() { return cancel },
	}
	for name, strike := range strikes {
		for _, cancelled := range []bool{false, true} {
			for at := 1; ; at++ {
				p := r.shop.PlaceOrder(fakemagento.Placing{})
				if cancelled {
					r.exported(p)
					r.shop.Cancel(p.EntityID)
				}
				ctx, cancel := context.WithCancel(r.context())
				s := &steps{strike: strike(cancel), at: at}
				placed, canceled := r.stepped(r.ledger, s)
				h, again := handler(placed), handler(r.placedOn(second))
				if cancelled {
					h, again = canceled, r.canceledOn(second)
				}
				e := event.Event{Body: []byte(number(p.IncrementID)), Attempt: 1}
				_, err := guarded(ctx, h, e)
				cancel()
				if s.n < at { // past the last moment
					if err != nil {
						t.Errorf("undisturbed: %v", err)
					}
					if at < 9 {
						t.Errorf("only %d moments: %q", s.n, s.names)
					}
					break
				}
				where := fmt.Sprintf("%s %s, order %s", name, s.names[at-1], p.IncrementID)
				for _, redelivered := range []bool{true, false} {
					e.Repeat = redelivered
					outcome, err := guarded(r.context(), again, e)
					if err != nil || outcome != event.Done && outcome != event.Duplicate {
						t.Fatalf("%s: handled again: %s, %v", where, outcome, err)
					}
				}
				documents, comments := r.erp.DocumentsOf(p.IncrementID), r.shop.Comments(p.EntityID)
				want := 1
				if cancelled {
					want = 2
				}
				if len(documents) != 1 || len(comments) != want {
					t.Errorf("%s: %d documents and comments %v, want 1 and %d", where, len(documents), comments, want)
				}
				if cancelled {
					keys := map[string]bool{}
					for _, c := range documents[0].Cancellations {
						keys[c.Key] = true
					}
					if !documents[0].Canceled || len(keys) != 1 {
						t.Errorf("%s: cancelled %v, under the keys %v; want one", where, documents[0].Canceled, keys)
					}
				}
			}
		}
	}
}

// A process that is killed leaves its claims as they are. Whoever takes them over looks first.
func TestPlaced_KilledAtEachStep(t *testing.T) { onEachVersion(t, testKilledAtEachStep) }

func testKilledAtEachStep(t *testing.T, shop fakemagento.Options) {
	r := newRig(t, settings{shop: shop})
	for _, tt := range []struct {
		name string
		// left is what the killed process did, and what of it the ledger knows.
		left  func(p fakemagento.Placed)
		calls []string // to the ERP that follow
	}{
		{"before the claim", func(fakemagento.Placed) {}, []string{find, create}},
		{"after the claim", func(p fakemagento.Placed) { r.leave(p, "create") }, []string{find, create}},
		{"after the ERP has booked", func(p fakemagento.Placed) {
			r.erp.Book(p.IncrementID)
			r.leave(p, "create")
		}, []string{find}},
		{"after the create", func(p fakemagento.Placed) {
			r.exportedWithoutComment(p)
		}, nil},
		{"after the claim of the comment", func(p fakemagento.Placed) {
			r.exportedWithoutComment(p)
			r.leave(p, "comment")
		}, nil},
		{"after the comment", func(p fakemagento.Placed) {
			r.exported(p)
			r.leave(p, "comment")
		}, nil},
		{"after everything", func(p fakemagento.Placed) { r.exported(p) }, nil},
	} {
		for _, redelivered := range []bool{true, false} {
			if tt.name == "before the claim" && !redelivered {
				continue // it is a first delivery
			}
			t.Run(fmt.Sprintf("%s, redelivered %v", tt.name, redelivered), func(t *testing.T) {
				p := r.shop.PlaceOrder(fakemagento.Placing{})
				tt.left(p)
				r.toERP.took()
				outcome, err := r.placed(number(p.IncrementID), func(e *event.Event) { e.Repeat = redelivered })
				if err != nil || outcome != event.Done && outcome != event.Duplicate {
					t.Fatalf("%s, %v", outcome, err)
				}
				isCalls(t, r.toERP, tt.calls...)
				r.isOnce(p)
			})
		}
	}
}

// leave makes an effect one whose owner was killed before it could record the end, and whose lease has passed.
func (r *rig) leave(p fakemagento.Placed, effect string) {
	r.t.Helper()
	r.sql(`INSERT INTO effect (consumer, key, effect, state, owner, claim, lease_until, accepted, result, reason, class, created_at, updated_at)
		VALUES ('order_placed', $1, $2, 'in_progress', 'killed/1', 1, now() - interval '1 second', false, '', '', '', now(), now())
		ON CONFLICT (consumer, key, effect) DO UPDATE SET state = 'in_progress', owner = 'killed/1', result = '',
			lease_until = now() - interval '1 second'`, p.IncrementID, effect)
}

// exportedWithoutComment has the order created by a process that is killed before it claims the comment.
func (r *rig) exportedWithoutComment(p fakemagento.Placed) {
	r.t.Helper()
	h := r.placedOn(r.ledger)
	h.Rules.Comment = false
	outcome, err := r.handle(h, number(p.IncrementID))
	isOutcome(r.t, outcome, err, event.Done)
}

// While the lease of a killed process has not passed, nobody goes on; and a process that was only frozen, and wakes after
// another has taken over, sends nothing any more.
func TestPlaced_FrozenAtEachMoment(t *testing.T) {
	t.Parallel()
	for at := 1; at <= 8; at++ {
		t.Run(fmt.Sprint("moment ", at), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, settings{lease: 3 * time.Second})
			p := r.shop.PlaceOrder(fakemagento.Placing{})
			frozen, wake := make(chan struct{}), make(chan struct{})
			s := &steps{at: at, strike: func() {
				close(frozen)
				<-wake
			}}
			placed, _ := r.stepped(r.ledger, s)
			woken := make(chan error, 1)
			e := event.Event{Body: []byte(number(p.IncrementID)), Attempt: 1}
			go func() {
				_, err := placed.Handle(r.context(), e)
				woken <- err
			}()
			await(t, frozen, woken)
			other := r.placedOn(r.replica("second"))
			deferred := 0
			kit.Eventually(t, 30*time.Second, func() bool {
				_, err := other.Handle(r.context(), e)
				var d *event.Deferral
				if asDeferral(err, &d) {
					deferred++
					return false
				}
				if err != nil {
					t.Errorf("the other replica: %v", err)
				}
				return true
			}, "the lease to pass")
			if deferred == 0 {
				t.Error("the other replica did not wait for the lease")
			}
			r.isOnce(p)
			close(wake)
			if err := <-woken; err == nil {
				t.Error("the frozen handling ended as if it had done the work")
			}
			r.isOnce(p)
		})
	}
}
