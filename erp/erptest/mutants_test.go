package erptest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/erptest"
	"github.com/mageline/mageline/erp/webhook"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/test/kit/fakeerp"
)

// broken is a connector of which some methods are replaced.
type broken struct {
	erp.OrderConnector
	build  func(erp.SalesOrder) (erp.Payload, error)
	create func(context.Context, string, erp.Payload) (erp.Document, error)
	find   func(context.Context, string) ([]erp.Document, error)
	cancel func(context.Context, string, erp.Document, erp.Cancellation) error
}

func (b *broken) Build(o erp.SalesOrder) (erp.Payload, error) {
	if b.build != nil {
		return b.build(o)
	}
	return b.OrderConnector.Build(o)
}

func (b *broken) Create(ctx context.Context, c erp.Call, p erp.Payload) (erp.Document, error) {
	if b.create != nil {
		return b.create(ctx, c.Key, p)
	}
	return b.OrderConnector.Create(ctx, c, p)
}

func (b *broken) Find(ctx context.Context, reference string) ([]erp.Document, error) {
	if b.find != nil {
		return b.find(ctx, reference)
	}
	return b.OrderConnector.Find(ctx, reference)
}

func (b *broken) Cancel(ctx context.Context, c erp.Call, d erp.Document, x erp.Cancellation) error {
	if b.cancel != nil {
		return b.cancel(ctx, c.Key, d, x)
	}
	return b.OrderConnector.Cancel(ctx, c, d, x)
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// wire is what a broken connector sends through, with the answer that came last.
type wire struct {
	next http.RoundTripper
	mu   sync.Mutex
	last string
}

// again sends the request as it was.
func (w *wire) again(r *http.Request, body []byte) (*http.Response, error) {
	own := r.Clone(r.Context())
	if body != nil {
		own.Body = io.NopCloser(bytes.NewReader(body))
	}
	return w.next.RoundTrip(own)
}

func bodyOf(r *http.Request) []byte {
	if r.Body == nil {
		return nil
	}
	body, _ := io.ReadAll(r.Body)
	return body
}

// reclassed returns err with another class, and with its mark as it was unless mark changes it.
func reclassed(err error, class event.Class) error {
	var e *event.Error
	if !errors.As(err, &e) {
		return err
	}
	own := *e
	own.Class, own.Err = class, errors.New(err.Error())
	if event.IsNotDone(err) {
		return event.NotDone(&own)
	}
	return &own
}

// unmarked returns err without the mark of event.NotDone.
func unmarked(err error) error {
	var e *event.Error
	if !errors.As(err, &e) {
		return err
	}
	own := *e
	own.Err = errors.New(err.Error())
	return &own
}

// mutant is a way in which a connector is wrong, and the behaviour that shows it.
type mutant struct {
	name   string
	caught string
	method func(good erp.OrderConnector) *broken
	wire   func(w *wire, r *http.Request) (*http.Response, error)
}

var mutants = []mutant{
	{name: "builds with a counter", caught: "Build is pure", method: func(good erp.OrderConnector) *broken {
		n := 0
		return &broken{build: func(o erp.SalesOrder) (erp.Payload, error) {
			n++
			p, err := good.Build(o)
			p.Requests[0].Body = append(p.Requests[0].Body, strings.Repeat(" ", n)...)
			return p, err
		}}
	}},
	{name: "asks the ERP while it builds", caught: "Build is pure", method: func(good erp.OrderConnector) *broken {
		return &broken{build: func(o erp.SalesOrder) (erp.Payload, error) {
			_, _ = good.Find(context.Background(), o.ExternalReference)
			return good.Build(o)
		}}
	}},
	{name: "forgets what it built from", caught: "Build is pure", method: func(good erp.OrderConnector) *broken {
		return &broken{build: func(o erp.SalesOrder) (erp.Payload, error) {
			p, err := good.Build(o)
			p.Order = erp.SalesOrder{}
			return p, err
		}}
	}},
	{name: "sends another body than it built", caught: "create sends what Build returned, once", method: func(good erp.OrderConnector) *broken {
		return &broken{create: func(ctx context.Context, key string, p erp.Payload) (erp.Document, error) {
			p.Requests = append([]erp.Request(nil), p.Requests...)
			p.Requests[0].Body = append(bytes.Clone(p.Requests[0].Body), ' ')
			return good.Create(ctx, erp.Call{Key: key}, p)
		}}
	}},
	{name: "creates twice", caught: "create sends what Build returned, once", method: func(good erp.OrderConnector) *broken {
		return &broken{create: func(ctx context.Context, key string, p erp.Payload) (erp.Document, error) {
			_, _ = good.Create(ctx, erp.Call{Key: key + "2"}, p)
			return good.Create(ctx, erp.Call{Key: key}, p)
		}}
	}},
	{name: "returns another number", caught: "create sends what Build returned, once", method: func(good erp.OrderConnector) *broken {
		return &broken{create: func(ctx context.Context, key string, p erp.Payload) (erp.Document, error) {
			d, err := good.Create(ctx, erp.Call{Key: key}, p)
			d.Number += "0"
			return d, err
		}}
	}},
	{name: "finds nothing", caught: "find returns what was created", method: func(erp.OrderConnector) *broken {
		return &broken{find: func(context.Context, string) ([]erp.Document, error) { return nil, nil }}
	}},
	{name: "finds without a document", caught: "find returns what was created", method: func(erp.OrderConnector) *broken {
		return &broken{find: func(context.Context, string) ([]erp.Document, error) { return []erp.Document{{Number: "SO-1001"}}, nil }}
	}},
	{name: "finds only one", caught: "find returns each of several documents", method: func(good erp.OrderConnector) *broken {
		return &broken{find: func(ctx context.Context, reference string) ([]erp.Document, error) {
			found, err := good.Find(ctx, reference)
			return found[:min(1, len(found))], err
		}}
	}},
	{name: "takes a failed look-up for none", caught: "find without a readable answer is an error", method: func(good erp.OrderConnector) *broken {
		return &broken{find: func(ctx context.Context, reference string) ([]erp.Document, error) {
			found, err := good.Find(ctx, reference)
			if event.ClassOf(err) == event.Unavailable {
				err = nil
			}
			return found, err
		}}
	}},
	{name: "calls a failed look-up not done", caught: "find without a readable answer is an error", method: func(good erp.OrderConnector) *broken {
		return &broken{find: func(ctx context.Context, reference string) ([]erp.Document, error) {
			found, err := good.Find(ctx, reference)
			return found, event.NotDone(err)
		}}
	}},
	{name: "calls a lost create not done", caught: "a create whose answer is lost may be done", method: func(good erp.OrderConnector) *broken {
		return &broken{create: func(ctx context.Context, key string, p erp.Payload) (erp.Document, error) {
			d, err := good.Create(ctx, erp.Call{Key: key}, p)
			return d, event.NotDone(err)
		}}
	}},
	{name: "takes a lost create for accepted", caught: "a create whose answer is lost may be done", method: func(good erp.OrderConnector) *broken {
		return &broken{create: func(ctx context.Context, key string, p erp.Payload) (erp.Document, error) {
			d, err := good.Create(ctx, erp.Call{Key: key}, p)
			if event.ClassOf(err) == event.Unavailable {
				return erp.Document{Accepted: true}, nil
			}
			return d, err
		}}
	}},
	{name: "remembers what it did not find", caught: "a create that is committed after the time-out is found", method: func(good erp.OrderConnector) *broken {
		var none sync.Map
		return &broken{find: func(ctx context.Context, reference string) ([]erp.Document, error) {
			if _, ok := none.Load(reference); ok {
				return nil, nil
			}
			found, err := good.Find(ctx, reference)
			if err == nil && len(found) == 0 {
				none.Store(reference, true)
			}
			return found, err
		}}
	}},
	{name: "sends again after a failure", caught: "a create is never repeated by itself", wire: func(w *wire, r *http.Request) (*http.Response, error) {
		body := bodyOf(r)
		resp, err := w.again(r, body)
		if err == nil && resp.StatusCode < 500 || r.Context().Err() != nil {
			return resp, err
		}
		if err == nil {
			_ = resp.Body.Close()
		}
		return w.again(r, body)
	}},
	{name: "makes up a key", caught: "a second create with the same key makes no second document", method: func(good erp.OrderConnector) *broken {
		n := 0
		return &broken{create: func(ctx context.Context, key string, p erp.Payload) (erp.Document, error) {
			n++
			return good.Create(ctx, erp.Call{Key: fmt.Sprint(key, n)}, p)
		}}
	}},
	{name: "calls every refusal rejected", caught: "refusals have their class", method: func(good erp.OrderConnector) *broken {
		return &broken{create: func(ctx context.Context, key string, p erp.Payload) (erp.Document, error) {
			d, err := good.Create(ctx, erp.Call{Key: key}, p)
			if event.IsNotDone(err) {
				err = reclassed(err, event.Rejected)
			}
			return d, err
		}}
	}},
	{name: "leaves every refusal open", caught: "refusals have their class", method: func(good erp.OrderConnector) *broken {
		return &broken{create: func(ctx context.Context, key string, p erp.Payload) (erp.Document, error) {
			d, err := good.Create(ctx, erp.Call{Key: key}, p)
			return d, unmarked(err)
		}}
	}},
	{name: "returns plain errors", caught: "refusals have their class", method: func(good erp.OrderConnector) *broken {
		return &broken{cancel: func(ctx context.Context, key string, d erp.Document, c erp.Cancellation) error {
			if err := good.Cancel(ctx, erp.Call{Key: key}, d, c); err != nil {
				return errors.New(err.Error())
			}
			return nil
		}}
	}},
	{name: "does not read Retry-After", caught: "a throttle says for how long", wire: func(w *wire, r *http.Request) (*http.Response, error) {
		resp, err := w.next.RoundTrip(r)
		if err == nil {
			resp.Header.Del("Retry-After")
		}
		return resp, err
	}},
	{name: "repeats a refused credential three times", caught: "a refused credential is tried once more", wire: func(w *wire, r *http.Request) (*http.Response, error) {
		body := bodyOf(r)
		resp, err := w.again(r, body)
		if err != nil || resp.StatusCode != http.StatusUnauthorized {
			return resp, err
		}
		_ = resp.Body.Close()
		return w.again(r, body)
	}},
	{name: "gives a refused credential up", caught: "a refused credential is tried once more", wire: func(w *wire, r *http.Request) (*http.Response, error) {
		w.mu.Lock()
		last := w.last
		w.mu.Unlock()
		if last != "" {
			return &http.Response{StatusCode: http.StatusUnauthorized, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(last)), Request: r}, nil
		}
		resp, err := w.next.RoundTrip(r)
		if err == nil && resp.StatusCode == http.StatusUnauthorized {
			w.mu.Lock()
			w.last = "{}"
			w.mu.Unlock()
		}
		return resp, err
	}},
	{name: "follows redirects", caught: "redirects are not followed", wire: func(w *wire, r *http.Request) (*http.Response, error) {
		resp, err := w.next.RoundTrip(r)
		if err != nil || resp.Header.Get("Location") == "" {
			return resp, err
		}
		to, err := resp.Location()
		if err != nil {
			return resp, nil
		}
		_ = resp.Body.Close()
		own, err := http.NewRequestWithContext(r.Context(), http.MethodGet, to.String(), nil)
		if err != nil {
			return nil, err
		}
		return w.next.RoundTrip(own)
	}},
	{name: "takes any success for done", caught: "a success that can't be read may be done", method: func(good erp.OrderConnector) *broken {
		return &broken{create: func(ctx context.Context, key string, p erp.Payload) (erp.Document, error) {
			d, err := good.Create(ctx, erp.Call{Key: key}, p)
			var e *event.Error
			if errors.As(err, &e) && e.Unreadable {
				return erp.Document{Accepted: true}, nil
			}
			return d, err
		}}
	}},
	{name: "reads answers to their end", caught: "answers are bounded", wire: func(w *wire, r *http.Request) (*http.Response, error) {
		resp, err := w.next.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		all, err := io.ReadAll(resp.Body)
		resp.Body = io.NopCloser(bytes.NewReader(all))
		return resp, err
	}},
	{name: "cancels nothing", caught: "cancel takes the whole document", method: func(erp.OrderConnector) *broken {
		return &broken{cancel: func(context.Context, string, erp.Document, erp.Cancellation) error { return nil }}
	}},
	{name: "never cancels a whole document", caught: "cancel takes the whole document", method: func(good erp.OrderConnector) *broken {
		return &broken{cancel: func(ctx context.Context, key string, d erp.Document, c erp.Cancellation) error {
			c.Complete = false
			return good.Cancel(ctx, erp.Call{Key: key}, d, c)
		}}
	}},
	{name: "cancels the whole document for a line", caught: "cancel takes lines", method: func(good erp.OrderConnector) *broken {
		return &broken{cancel: func(ctx context.Context, key string, d erp.Document, c erp.Cancellation) error {
			c.Complete = true
			return good.Cancel(ctx, erp.Call{Key: key}, d, c)
		}}
	}},
	{name: "cancels with one key for all", caught: "cancel takes lines", method: func(good erp.OrderConnector) *broken {
		return &broken{cancel: func(ctx context.Context, _ string, d erp.Document, c erp.Cancellation) error {
			return good.Cancel(ctx, erp.Call{Key: "order_canceled:" + d.Number}, d, c)
		}}
	}},
	{name: "cancels with a key for each call", caught: "cancel twice takes once", method: func(good erp.OrderConnector) *broken {
		n := 0
		return &broken{cancel: func(ctx context.Context, key string, d erp.Document, c erp.Cancellation) error {
			n++
			return good.Cancel(ctx, erp.Call{Key: fmt.Sprint(key, n)}, d, c)
		}}
	}},
	{name: "needs more of a document than its number", caught: "cancel takes the whole document", method: func(good erp.OrderConnector) *broken {
		return &broken{cancel: func(ctx context.Context, key string, d erp.Document, c erp.Cancellation) error {
			if d.ID == "" {
				return errors.New("no id")
			}
			return good.Cancel(ctx, erp.Call{Key: key}, d, c)
		}}
	}},
	{name: "takes an unknown document for cancelled", caught: "cancel of an unknown document is not found", method: func(good erp.OrderConnector) *broken {
		return &broken{cancel: func(ctx context.Context, key string, d erp.Document, c erp.Cancellation) error {
			err := good.Cancel(ctx, erp.Call{Key: key}, d, c)
			if event.ClassOf(err) == event.NotFound {
				return nil
			}
			return err
		}}
	}},
	{name: "calls a lost cancellation not done", caught: "a cancellation whose answer is lost may be done", method: func(good erp.OrderConnector) *broken {
		return &broken{cancel: func(ctx context.Context, key string, d erp.Document, c erp.Cancellation) error {
			return event.NotDone(good.Cancel(ctx, erp.Call{Key: key}, d, c))
		}}
	}},
	{name: "repeats what the ERP says as it is", caught: "errors repeat the ERP's words, and nothing secret", wire: func(w *wire, r *http.Request) (*http.Response, error) {
		resp, err := w.next.RoundTrip(r)
		if err != nil || resp.StatusCode < 400 {
			return resp, err
		}
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		_ = resp.Body.Close()
		return nil, &event.Error{Class: event.ClassOfStatus(resp.StatusCode), Downstream: "erp", Err: errors.New(string(said))}
	}},
	{name: "keeps the ERP's words to itself", caught: "errors repeat the ERP's words, and nothing secret", wire: func(w *wire, r *http.Request) (*http.Response, error) {
		resp, err := w.next.RoundTrip(r)
		if err == nil && resp.StatusCode >= 400 {
			_ = resp.Body.Close()
			resp.Body = http.NoBody
		}
		return resp, err
	}},
	{name: "sends whatever its context says", caught: "nothing is sent after the end of the context", method: func(good erp.OrderConnector) *broken {
		return &broken{create: func(ctx context.Context, key string, p erp.Payload) (erp.Document, error) {
			d, err := good.Create(context.WithoutCancel(ctx), erp.Call{Key: key}, p)
			if err == nil {
				err = ctx.Err()
			}
			return d, err
		}}
	}},
	{name: "waits for ever", caught: "a request ends with its context", method: func(good erp.OrderConnector) *broken {
		return &broken{create: func(ctx context.Context, key string, p erp.Payload) (erp.Document, error) {
			return good.Create(context.WithoutCancel(ctx), erp.Call{Key: key}, p)
		}}
	}},
	{name: "mixes up what is sent at once", caught: "calls run side by side", method: func(good erp.OrderConnector) *broken {
		var mu sync.Mutex
		var last erp.Payload
		return &broken{create: func(ctx context.Context, key string, p erp.Payload) (erp.Document, error) {
			mu.Lock()
			last = p
			mu.Unlock()
			time.Sleep(20 * time.Millisecond) // so that the others come in between
			mu.Lock()
			p = last
			mu.Unlock()
			return good.Create(ctx, erp.Call{Key: key}, p)
		}}
	}},
}

// reporting is a connector of which what it reports is replaced: tell has the call changed, or the error.
type reporting struct {
	*webhook.Client
	tell func(kind erptest.Kind, c *erp.Call, err error) error
	id   int64 // of customers
}

func (r *reporting) ReportShipment(ctx context.Context, c erp.Call, s erp.Shipment) (erp.Document, error) {
	_ = r.tell(erptest.Shipments, &c, nil)
	d, err := r.Client.ReportShipment(ctx, c, s)
	return d, r.tell(erptest.Shipments, &c, err)
}

func (r *reporting) ReportCreditMemo(ctx context.Context, c erp.Call, m erp.CreditMemo) (erp.Document, error) {
	_ = r.tell(erptest.CreditMemos, &c, nil)
	d, err := r.Client.ReportCreditMemo(ctx, c, m)
	return d, r.tell(erptest.CreditMemos, &c, err)
}

func (r *reporting) WriteCustomer(ctx context.Context, c erp.Call, record erp.CustomerRecord) (erp.Document, error) {
	record.ID += r.id
	d, err := r.Client.WriteCustomer(ctx, c, record)
	return d, r.tell(erptest.Customers, &c, err)
}

// reporters are mutants of what is reported, by the behaviour that catches them.
var reporters = map[string]reporting{
	"shipments are booked once": {tell: func(kind erptest.Kind, c *erp.Call, err error) error {
		if kind == erptest.Shipments && c.Uncertain {
			c.Key += " again"
		}
		return err
	}},
	"credit memos are booked once, to the cent": {tell: func(kind erptest.Kind, c *erp.Call, err error) error {
		if kind == erptest.CreditMemos && c.Uncertain {
			c.Key += " again"
		}
		return err
	}},
	"customers are written once": {id: 1, tell: func(_ erptest.Kind, _ *erp.Call, err error) error { return err }},
	"refused reports have their class": {tell: func(_ erptest.Kind, _ *erp.Call, err error) error {
		if event.ClassOf(err) == event.Rejected {
			return event.MayBeDone(err)
		}
		return err
	}},
}

// open returns the webhook with the mutant's fault.
func (m mutant) open() erptest.Rig {
	rig := webhookRig(fakeerp.HonoursKeys)
	connect := rig.Connect
	rig.Connect = func(url string, client *http.Client) (erp.OrderConnector, error) {
		if m.wire != nil {
			w := &wire{next: client.Transport}
			own := *client
			own.Transport = roundTripper(func(r *http.Request) (*http.Response, error) { return m.wire(w, r) })
			client = &own
		}
		good, err := connect(url, client)
		if err != nil || m.method == nil {
			return good, err
		}
		bad := m.method(good)
		bad.OrderConnector = good
		return bad, nil
	}
	return rig
}

// Each behaviour is shown to fail with a connector that does not have it, by the behaviour's own name.
func TestSuite_CatchesBrokenConnectors(t *testing.T) {
	catches := map[string][]string{}
	for _, m := range mutants {
		t.Run(strings.ReplaceAll(m.name, " ", "_"), func(t *testing.T) {
			found := false
			for _, b := range erptest.Behaviours() {
				if b.Name != m.caught {
					continue
				}
				found = true
				problems, applies := erptest.Check(t.Context(), erptest.Connector{Name: m.name, Open: m.open}, b)
				if len(problems) == 0 || !applies {
					t.Errorf("%q passes with a connector that %s", b.Name, m.name)
					continue
				}
				t.Logf("caught: %s", problems[0])
			}
			if !found {
				t.Errorf("there is no behaviour %q", m.caught)
			}
		})
		catches[m.caught] = append(catches[m.caught], m.name)
	}
	for caught, wrong := range reporters {
		mutants := erptest.Connector{Name: caught, Open: func() erptest.Rig {
			rig := webhookRig(fakeerp.HonoursKeys)
			connect := rig.Connect
			rig.Connect = func(url string, client *http.Client) (erp.OrderConnector, error) {
				good, err := connect(url, client)
				bad := wrong
				bad.Client, _ = good.(*webhook.Client)
				return &bad, err
			}
			return rig
		}}
		for _, b := range erptest.Behaviours() {
			if b.Name == caught {
				if problems, applies := erptest.Check(t.Context(), mutants, b); len(problems) == 0 || !applies {
					t.Errorf("%q passes with a connector that breaks it", b.Name)
				}
				catches[caught] = append(catches[caught], caught)
			}
		}
	}
	for _, b := range erptest.Behaviours() {
		if len(catches[b.Name]) == 0 {
			t.Errorf("no broken connector shows that %q can fail", b.Name)
		}
	}
}
