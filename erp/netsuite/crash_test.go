package netsuite_test

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

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/erptest"
	"github.com/mageline/mageline/erp/netsuite"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/test/kit/fakenetsuite"
	"github.com/mageline/mageline/test/kit/fault"
)

// put does what the handler does with an order: it looks where an earlier attempt is not certain, and else creates.
func put(t *testing.T, c *netsuite.Client, o erp.SalesOrder, call erp.Call) (erp.Document, error) {
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

// effect is one effect on NetSuite, and how NetSuite stands when it was done once.
type effect struct {
	least   int  // moments at which it is struck
	prepare bool // there is an order
	run     func(t *testing.T, c *netsuite.Client, reference string, d erp.Document, call erp.Call) error
	stands  func(r *rig, reference string) string
	want    string
}

// customersWith counts the customers with an external id.
func (r *rig) customersWith(reference string) (n int) {
	for _, c := range r.fake.Customers() {
		if c.Reference == reference {
			n++
		}
	}
	return n
}

// numberOf is the number in a reference, for a customer whom no other effect has.
func numberOf(reference string) int64 {
	n, _ := strconv.ParseInt(strings.TrimLeft(reference, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-"), 10, 64)
	return n
}

var effects = map[string]effect{
	"create": {
		least: 14, // token, customer by reference and by e-mail, its POST, items, the order, its number
		run: func(t *testing.T, c *netsuite.Client, reference string, _ erp.Document, call erp.Call) error {
			o := erptest.Order(reference)
			o.Customer.ID, o.Customer.Email = told(numberOf(reference)), told(reference+"@fixture.example") // a customer who is not there yet
			_, err := put(t, c, o, call)
			return err
		},
		stands: func(r *rig, reference string) string {
			d := r.booked(reference)
			return fmt.Sprint(len(d.Lines), " lines, ", d.Total, ", customers: ", r.customersWith(fmt.Sprint("C", numberOf(reference))))
		},
		want: "2 lines, 127.33, customers: 1",
	},
	"cancel whole": {
		least: 8, prepare: true,
		run: func(t *testing.T, c *netsuite.Client, _ string, d erp.Document, call erp.Call) error {
			return c.Cancel(t.Context(), call, erp.Document{Number: d.Number}, erp.Cancellation{Complete: true})
		},
		stands: func(r *rig, reference string) string { return r.booked(reference).Status }, want: "H",
	},
	"cancel two lines": {
		least: 8, prepare: true,
		run: func(t *testing.T, c *netsuite.Client, _ string, d erp.Document, call erp.Call) error {
			x := left("0", "1")
			x.Lines = append(x.Lines, erp.CancellationLine{Reference: "1002", SKU: told("24-MB02"), Quantity: quantity("1"), Row: row("1", "0", "1")})
			return c.Cancel(t.Context(), call, erp.Document{Number: d.Number}, x)
		},
		stands: func(r *rig, reference string) string {
			d := r.booked(reference)
			return fmt.Sprint(d.Lines[0].Quantity, " for ", d.Lines[0].Amount, " + ", d.Lines[0].Tax, ", closed: ", d.Lines[0].Closed, " and ", d.Lines[1].Closed)
		},
		want: "1 for 34 + 6.46, closed: false and true",
	},
	"shipment": {
		least: 10, prepare: true,
		run: func(t *testing.T, c *netsuite.Client, reference string, d erp.Document, call erp.Call) error {
			_, err := c.ReportShipment(t.Context(), call, shipment("S"+reference, d.Number))
			return err
		},
		stands: func(r *rig, reference string) string {
			return fmt.Sprint(len(r.fake.Fulfilments("S"+reference)), " of ", r.booked(reference).Lines[0].Fulfilled)
		},
		want: "1 of 1",
	},
	"credit memo": {
		least: 14, prepare: true,
		run: func(t *testing.T, c *netsuite.Client, reference string, d erp.Document, call erp.Call) error {
			_, err := c.ReportCreditMemo(t.Context(), call, memo("CM"+reference, d.Number))
			return err
		},
		stands: func(r *rig, reference string) string {
			memos := r.fake.CreditMemos("CM" + reference)
			if len(memos) != 1 {
				return fmt.Sprint(len(memos), " memos")
			}
			return fmt.Sprint(memos[0].Total, "; left ", r.booked(reference).Lines[0].Quantity)
		},
		want: "47.91; left 1",
	},
	"customer": {
		least: 8,
		run: func(t *testing.T, c *netsuite.Client, reference string, _ erp.Document, call erp.Call) error {
			w := customer()
			w.ExternalReference, w.Email = "C"+reference, told(reference+"@fixture.example")
			_, err := c.WriteCustomer(t.Context(), call, w)
			return err
		},
		stands: func(r *rig, reference string) string { return fmt.Sprint(r.customersWith("C" + reference)) }, want: "1",
	},
	"customer who is adopted": {
		least: 12,
		run: func(t *testing.T, c *netsuite.Client, reference string, _ erp.Document, call erp.Call) error {
			w := customer()
			w.ExternalReference, w.Email, w.LastName = "C"+reference, told("known-"+reference+"@fixture.example"), told("Adopted")
			_, err := c.WriteCustomer(t.Context(), call, w)
			return err
		},
		stands: func(r *rig, reference string) string {
			for _, c := range r.fake.Customers() {
				if c.Values["email"] == "known-"+reference+"@fixture.example" && c.Reference == "C"+reference {
					return fmt.Sprint(c.Values["lastName"], " ", r.customersWith(c.Reference))
				}
			}
			return "not adopted"
		},
		want: "Adopted 1",
	},
}

// prepared has what an effect needs put into NetSuite.
func (r *rig) prepared(e effect, reference string) (d erp.Document) {
	r.t.Helper()
	r.fake.AddCustomer("Known "+reference, "known-"+reference+"@fixture.example", "")
	if e.prepare {
		o := erptest.Order(reference)
		o.Customer.ID = nil
		d = r.create(o)
	}
	return d
}

// A process that dies between any two requests of any effect: another one goes on, and nothing is there twice.
func TestEffects_StruckBetweenAnyTwoRequests(t *testing.T) {
	r := newRig(t, fakenetsuite.Options{}, plain, nil)
	n := 0
	for name, effect := range effects {
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
				if at <= effect.least {
					t.Errorf("%s has %d moments, want %d: this test does not meet its requests", name, at-1, effect.least)
				}
				break
			}
		}
	}
}

// Each request of each effect is carried out after its client has given up, and after another attempt.
func TestEffects_EachRequestCarriedOutLate(t *testing.T) {
	r := newRig(t, fakenetsuite.Options{}, plain, nil)
	writes := func(r *http.Request) bool {
		return r.Method != http.MethodGet && strings.HasPrefix(r.URL.Path, fakenetsuite.RecordPath)
	}
	n := 0
	for name, effect := range effects {
		t.Run(name, func(t *testing.T) {
			erptest.RunDelayed(t, r.client.Transport, writes, func() erptest.Delayed {
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

// Orders under every fault that NetSuite and the way to it have, several at once, with creates that become visible late: each is
// there once and comes to the cent. MAGELINE_CHAOS=1 runs ten thousand.
func TestCreate_ManyOrdersUnderFaults(t *testing.T) {
	orders := 200
	if os.Getenv("MAGELINE_CHAOS") != "" {
		orders = 10_000
	}
	r := newRig(t, fakenetsuite.Options{Seed: 1, Concurrency: 20}, plain, nil) // fewer than there are workers
	// The uncertain wait is for what is committed late: it is longer than any commit takes here.
	const timeout, late, wait = 200 * time.Millisecond, 250 * time.Millisecond, 1500 * time.Millisecond
	r.fake.Faults.Set(fault.Plan{Chances: []fault.Chance{
		{OneIn: 25, Fault: fault.Fault{Kind: fault.Drop}},
		{OneIn: 30, Fault: fault.Fault{Kind: fault.Garble}},
		{OneIn: 30, Fault: fault.Fault{Kind: fault.Fail, Status: 500}},
		{OneIn: 40, Fault: fault.Fault{Kind: fault.Refuse}},
		{OneIn: 40, Fault: fault.Fault{Kind: fault.Page}},
		{OneIn: 40, Fault: fault.Fault{Kind: fault.Throttle, RetryAfter: "1"}},
		{OneIn: 60, Fault: fault.Fault{Kind: fault.Late, After: 5 * time.Second}},
	}})
	r.client.Timeout = timeout
	client := r.connect()
	work := make(chan int)
	var workers sync.WaitGroup
	attempts, mu := 0, sync.Mutex{}
	for worker := range 24 {
		workers.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), 2))
			for i := range work {
				reference := fmt.Sprintf("CHAOS-%d", i)
				switch random.IntN(30) { // what NetSuite and its people do meanwhile
				case 0:
					r.fake.Changed(2, 409)
				case 1:
					r.fake.Throttle(1, "")
				case 2:
					r.fake.Tokens.Expire()
				case 3:
					r.fake.Unavailable(1)
				case 4:
					r.fake.SetCommitAfter(late) // of POSTs
				case 5, 6, 7, 8, 9, 10, 11, 12, 13:
					r.fake.SetCommitAfter(0)
				}
				var since time.Time
				for {
					call := erp.Call{Key: reference}
					if !since.IsZero() {
						call.Attempt = erp.Attempt{Uncertain: true, For: time.Since(since), Wait: wait, Looked: func() { since = time.Time{} }}
					}
					o := erptest.Order(reference)
					o.Customer.ID = told(int64(i % 10)) // who comes again
					_, err := put(t, client, o, call)
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
					if !event.IsNotDone(err) && since.IsZero() {
						since = time.Now()
					}
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
	for i := range orders {
		reference := fmt.Sprintf("CHAOS-%d", i)
		if counts[reference] != 1 {
			t.Errorf("%s is there %d times", reference, counts[reference])
			continue
		}
		if total := r.booked(reference).Total; total.String() != "127.33" {
			t.Errorf("%s comes to %s", reference, total)
		}
	}
	if attempts < orders*11/10 {
		t.Errorf("%d orders took %d attempts: there were no faults", orders, attempts)
	}
	if n := len(r.fake.Customers()); n != 10 {
		t.Errorf("there are %d customers, want 10", n)
	}
	t.Logf("%d orders, %d attempts, %d requests, %d tokens, refused %v", orders, attempts, r.fake.Requests(), r.fake.Tokens.Issued(), r.fake.Refusals())
}
