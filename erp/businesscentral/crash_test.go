package businesscentral_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/businesscentral"
	"github.com/mageline/mageline/erp/erptest"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/test/kit/fakebusinesscentral"
	"github.com/mageline/mageline/test/kit/fault"
)

// place does what the handler does with an order: it looks where an earlier attempt is not certain, and else creates.
func place(t *testing.T, c *businesscentral.Client, o erp.SalesOrder, call erp.Call) (erp.Document, error) {
	if call.Uncertain {
		found, err := c.Find(t.Context(), o.ExternalReference)
		switch {
		case err != nil:
			return erp.Document{}, err
		case len(found) > 0:
			return found[0], nil
		}
		if err := call.MayRepeat("the order"); err != nil {
			return erp.Document{}, err
		}
	}
	p, err := c.Build(o)
	if err != nil {
		return erp.Document{}, err
	}
	return c.Create(t.Context(), call, p)
}

// effect is one effect on the ERP, and how the ERP stands when it was done once.
type effect struct {
	posting bool // at a company whose credit memos are posted
	prepare bool // there is an order
	run     func(t *testing.T, c *businesscentral.Client, reference string, d erp.Document, call erp.Call) error
	stands  func(r *rig, reference string) string
	want    string
}

var effects = map[string]effect{
	"create": {
		run: func(t *testing.T, c *businesscentral.Client, reference string, _ erp.Document, call erp.Call) error {
			o := erptest.Order(reference)
			number, _ := strconv.ParseInt(strings.TrimLeft(reference, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-"), 10, 64)
			o.Customer.ID = told(1000 + number) // a customer who is not there yet
			_, err := place(t, c, o, call)
			return err
		},
		stands: func(r *rig, reference string) string {
			d := r.booked(reference)
			return fmt.Sprint(len(d.Lines), " lines, ", d.Total)
		},
		want: "5 lines, 127.33",
	},
	"cancel whole": {
		prepare: true,
		run: func(t *testing.T, c *businesscentral.Client, _ string, d erp.Document, call erp.Call) error {
			return c.Cancel(t.Context(), call, erp.Document{Number: d.Number}, erp.Cancellation{Complete: true})
		},
		stands: func(r *rig, reference string) string { return fmt.Sprint("deleted: ", r.booked(reference).Deleted) },
		want:   "deleted: true",
	},
	"cancel two lines": {
		prepare: true,
		run: func(t *testing.T, c *businesscentral.Client, _ string, d erp.Document, call erp.Call) error {
			x := left("0", "1")
			x.Lines = append(x.Lines, erp.CancellationLine{
				Reference: "1002", SKU: told("24-MB02"), Quantity: quantity("1"), Row: erp.Row{Ordered: quantity("1"), Shipped: quantity("0"), Open: quantity("0")},
			})
			return c.Cancel(t.Context(), call, erp.Document{Number: d.Number}, x)
		},
		stands: func(r *rig, reference string) string {
			l := r.booked(reference).Lines
			return fmt.Sprint(l[0].Quantity, " and ", l[1].Quantity)
		},
		want: "1 and 0",
	},
	"credit memo": {
		posting: true, prepare: true,
		run: func(t *testing.T, c *businesscentral.Client, reference string, d erp.Document, call erp.Call) error {
			_, err := c.ReportCreditMemo(t.Context(), call, memo("CM"+reference, d.Number))
			return err
		},
		stands: func(r *rig, reference string) string {
			memos := r.fake.CreditMemos("CM" + reference)
			if len(memos) != 1 {
				return fmt.Sprint(len(memos), " memos")
			}
			return fmt.Sprint(memos[0].Values["status"], " with ", len(memos[0].Lines), " lines, ", memos[0].Total, "; left ", r.booked(reference).Lines[0].Quantity)
		},
		want: "Open with 3 lines, 42.44; left 1",
	},
	"shipment of a part": {
		posting: true, prepare: true,
		run: func(t *testing.T, c *businesscentral.Client, reference string, d erp.Document, call erp.Call) error {
			_, err := c.ReportShipment(t.Context(), call, shipment("S"+reference, d.Number, "1", "0"))
			return err
		},
		stands: stoodShipped, want: "1 and 0 shipped, 1 and 0 invoiced, 1 shipment, gone: false",
	},
	"shipment of the whole": {
		posting: true, prepare: true,
		run: func(t *testing.T, c *businesscentral.Client, reference string, d erp.Document, call erp.Call) error {
			_, err := c.ReportShipment(t.Context(), call, shipment("S"+reference, d.Number, "2", "1"))
			return err
		},
		stands: stoodShipped, want: "2 and 1 shipped, 2 and 1 invoiced, 1 shipment, gone: true",
	},
	"credit memo of the whole": {
		posting: true, prepare: true,
		run: func(t *testing.T, c *businesscentral.Client, reference string, d erp.Document, call erp.Call) error {
			m := memo("CM"+reference, d.Number)
			m.All = []erp.OrderRow{{Reference: "1001", Row: erp.Row{Ordered: quantity("2"), Refunded: quantity("2")}}}
			_, err := c.ReportCreditMemo(t.Context(), call, m)
			return err
		},
		stands: func(r *rig, reference string) string {
			return fmt.Sprint(len(r.fake.CreditMemos("CM"+reference)), " memo, deleted: ", r.booked(reference).Deleted)
		},
		want: "1 memo, deleted: true",
	},
}

// shipment is one of an order that the suite has created, with so much of its two lines.
func shipment(reference, document, first, second string) erp.Shipment {
	s := erp.Shipment{ExternalReference: reference, DocumentNumber: document}
	for i, q := range []string{first, second} {
		if q != "0" {
			s.Lines = append(s.Lines, erp.ShipmentLine{Reference: []string{"1001", "1002"}[i], SKU: told([]string{"24-MB01", "24-MB02"}[i]), Quantity: quantity(q)})
		}
	}
	return s
}

func stoodShipped(r *rig, reference string) string {
	d := r.booked(reference)
	l := d.Lines
	return fmt.Sprint(l[0].Shipped, " and ", l[1].Shipped, " shipped, ", l[0].Invoiced, " and ", l[1].Invoiced, " invoiced, ",
		r.fake.Shipments(d.Number), " shipment, gone: ", d.Deleted)
}

// companies are those of the effects.
func companies(t *testing.T) func(e effect) *rig {
	t.Helper()
	r := newRig(t, fakebusinesscentral.Options{}, numbered, nil)
	posting := newRig(t, fakebusinesscentral.Options{NetCustomers: true}, plain+"options: {credit_memo: post, shipment: post}\n", nil)
	return func(e effect) *rig {
		if e.posting {
			return posting
		}
		return r
	}
}

// prepared has the order of an effect created, where it needs one.
func (r *rig) prepared(e effect, reference string) (d erp.Document) {
	r.t.Helper()
	if e.prepare {
		d = r.create(erptest.Order(reference))
	}
	return d
}

// A process that dies between any two requests of any effect: another one goes on, and nothing is there twice.
func TestEffects_StruckBetweenAnyTwoRequests(t *testing.T) {
	company := companies(t)
	n := 0
	for name, effect := range effects {
		r := company(effect)
		for at := 1; ; at++ {
			n++
			reference := fmt.Sprintf("CRASH-%d", n)
			d := r.prepared(effect, reference)
			steps := &erptest.Steps{}
			dying := *r
			dying.client = &http.Client{Transport: &erptest.Strike{Next: r.client.Transport, At: at}}
			struck, err := erptest.Dies(func() error {
				return effect.run(t, dying.connect(), reference, d, erp.Call{Key: reference, Steps: steps})
			})
			if struck {
				again := erp.Call{Key: reference, Steps: steps, Attempt: erp.Attempt{Uncertain: true}}
				err = effect.run(t, r.connect(), reference, d, again)
			}
			if err != nil {
				t.Errorf("%s, struck at moment %d: %v", name, at, err)
			} else if got := effect.stands(r, reference); got != effect.want {
				t.Errorf("%s, struck at moment %d: %s, want %s", name, at, got, effect.want)
			}
			if !struck {
				if at < 5 {
					t.Errorf("%s has %d moments: this test does not meet its requests", name, at-1)
				}
				break
			}
		}
	}
}

// Each request of each effect is carried out after its client has given up, and after another attempt.
func TestEffects_EachRequestCarriedOutLate(t *testing.T) {
	company := companies(t)
	n := 0
	for name, effect := range effects {
		r := company(effect)
		t.Run(name, func(t *testing.T) {
			erptest.RunDelayed(t, r.client.Transport, businessCentralWrites, func() erptest.Delayed {
				n++
				reference := fmt.Sprintf("LATE-%d", n)
				d := r.prepared(effect, reference)
				return erptest.Delayed{
					Run: func(through http.RoundTripper, call erp.Call) error {
						own := *r
						own.client = &http.Client{Transport: through}
						return effect.run(t, own.connect(), reference, d, call)
					},
					Stands: func() string { return effect.stands(r, reference) }, Want: effect.want,
				}
			})
		})
	}
}

func businessCentralWrites(r *http.Request) bool {
	return r.Method != http.MethodGet && r.URL.Path != fakebusinesscentral.TokenPath
}

// Orders under every fault that the ERP and the way to it have, several at once, with creates that are carried out late: each is
// there once and comes to the cent. MAGELINE_CHAOS=1 runs ten thousand.
func TestCreate_ManyOrdersUnderFaults(t *testing.T) {
	orders := 200
	if os.Getenv("MAGELINE_CHAOS") != "" {
		orders = 10_000
	}
	r := newRig(t, fakebusinesscentral.Options{Seed: 1}, plain, nil)
	// The uncertain wait is for what is carried out late. It is over when nothing is left to be carried out, and not by the
	// clock: a busy machine may be late by any time.
	const wait = time.Second
	r.fake.Faults.Set(fault.Plan{Chances: []fault.Chance{
		{OneIn: 25, Fault: fault.Fault{Kind: fault.Drop}},
		{OneIn: 30, Fault: fault.Fault{Kind: fault.Garble}},
		{OneIn: 30, Fault: fault.Fault{Kind: fault.Fail, Status: 500}},
		{OneIn: 40, Fault: fault.Fault{Kind: fault.Refuse}},
		{OneIn: 40, Fault: fault.Fault{Kind: fault.Page}},
		{OneIn: 40, Fault: fault.Fault{Kind: fault.Throttle, RetryAfter: "1"}},
		{OneIn: 40, Fault: fault.Fault{Kind: fault.Later, After: 300 * time.Millisecond}},
	}})
	client := r.connect()
	work := make(chan int)
	var workers sync.WaitGroup
	attempts, mu := 0, sync.Mutex{}
	for worker := range 24 {
		workers.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), 2))
			for i := range work {
				reference := fmt.Sprintf("CHAOS-%d", i)
				switch random.IntN(30) { // what the ERP and its people do meanwhile
				case 0:
					r.fake.Lock(2, 400)
				case 1:
					r.fake.Conflict(1)
				case 2:
					r.fake.Tokens.Expire()
				case 3:
					r.fake.Unavailable(1)
				}
				uncertain := false
				for {
					call := erp.Call{Key: reference}
					if uncertain {
						call.Attempt = erp.Attempt{Uncertain: true, Wait: wait, Looked: func() { uncertain = false }}
					}
					if !r.fake.Faults.Owes() {
						call.For = wait
					}
					_, err := place(t, client, erptest.Order(reference), call)
					mu.Lock()
					attempts++
					mu.Unlock()
					if err == nil {
						break
					}
					if class := event.ClassOf(err); class == event.Rejected || class == event.Invalid {
						t.Errorf("%s: %v", reference, err)
						break
					}
					uncertain = uncertain || !event.IsNotDone(err)
					time.Sleep(time.Duration(random.IntN(5)) * time.Millisecond)
				}
			}
		})
	}
	for i := range orders {
		work <- i
	}
	close(work)
	workers.Wait()
	counts := r.fake.Counts()
	want := decimal.RequireFromString("127.33")
	for i := range orders {
		reference := fmt.Sprintf("CHAOS-%d", i)
		if counts[reference] != 1 {
			t.Errorf("%s is there %d times", reference, counts[reference])
			for _, d := range r.fake.Orders(reference) {
				t.Logf("%s: %s at %s", reference, d.Number, d.BookedAt.Format(time.StampMilli))
			}
			continue
		}
		if total := r.booked(reference).Total; !total.Equal(want) {
			t.Errorf("%s comes to %s", reference, total)
		}
	}
	if attempts < orders*11/10 {
		t.Errorf("%d orders took %d attempts: there were no faults", orders, attempts)
	}
	t.Logf("%d orders, %d attempts, %d requests, %d tokens, refused %v", orders, attempts, r.fake.Requests(), r.fake.Tokens.Issued(), r.fake.Refusals())
}
