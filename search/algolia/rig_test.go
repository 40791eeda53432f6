package algolia

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mageline/mageline/search"
	"github.com/mageline/mageline/test/kit/fakealgolia"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const index = "products_de"

var fields = []search.Field{
	{Name: "sku", Type: search.Keyword},
	{Name: "name", Type: search.Text, Sort: true},
	{Name: "description", Type: search.Text},
	{Name: "price", Type: search.Decimal},
	{Name: "in_stock", Type: search.Boolean},
	{Name: "image", Type: search.Stored},
	{Name: "variants", Type: search.Nested, Fields: []search.Field{{Name: "sku", Type: search.Keyword}, {Name: "price", Type: search.Decimal}}},
}

// rig is an engine, and the Algolia that it writes to.
type rig struct {
	t     *testing.T
	fake  *fakealgolia.Server
	hosts []string
	clock *clock

	mu    sync.Mutex
	warns []string
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newRig(t *testing.T) *rig {
	t.Helper()
	fake := fakealgolia.New(1)
	hosts, stop := fake.Start()
	t.Cleanup(stop)
	return &rig{t: t, fake: fake, hosts: hosts, clock: &clock{now: time.Now()}}
}

// engine makes an engine, as another process has one.
func (r *rig) engine(change func(o *Options)) *Engine {
	r.t.Helper()
	transport := &http.Transport{}
	r.t.Cleanup(transport.CloseIdleConnections)
	o := Options{
		HTTP: &http.Client{Transport: transport}, ApplicationID: fakealgolia.ApplicationID, Key: theKey(fakealgolia.Key), Hosts: r.hosts, Now: r.clock.Now,
		Warn: func(err error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.warns = append(r.warns, err.Error())
		},
	}
	if change != nil {
		change(&o)
	}
	e, err := New(o)
	if err != nil {
		r.t.Fatal(err)
	}
	e.poll = time.Millisecond
	return e
}

// ready makes an engine and an index.
func (r *rig) ready(change func(o *Options)) (*Engine, search.Target) {
	r.t.Helper()
	e := r.engine(change)
	target, err := e.Ensure(r.t.Context(), index, fields)
	if err != nil {
		r.t.Fatal(err)
	}
	return e, target
}

// write writes and expects every document to be written.
func (r *rig) write(e *Engine, target search.Target, writes ...search.Write) []search.Result {
	r.t.Helper()
	results, err := e.Write(r.t.Context(), target, writes)
	if err != nil {
		r.t.Fatal(err)
	}
	for i, res := range results {
		if res.Err != nil {
			r.t.Fatalf("%s: %v", writes[i].ID, res.Err)
		}
	}
	return results
}

// names returns the name of each document that the index has, by id.
func (r *rig) names(name string) map[string]string {
	r.t.Helper()
	found := map[string]string{}
	for id, rec := range r.fake.Records(name) {
		if string(rec[deletedIn]) != "0" {
			continue
		}
		var s string
		if err := json.Unmarshal(rec["name"], &s); err != nil {
			r.t.Fatal(err)
		}
		found[id] = s
	}
	return found
}

func doc(version int64, sku, name string) search.Write {
	d, _ := json.Marshal(map[string]any{"sku": sku, "name": name, "price": 12.5})
	return search.Write{ID: sku, Version: version, Document: d}
}

func deletion(version int64, sku string) search.Write { return search.Write{ID: sku, Version: version} }

// many makes documents of about size bytes.
func many(n, size int, version int64) []search.Write {
	var all []search.Write
	for i := range n {
		all = append(all, doc(version, fmt.Sprintf("SKU %04d", i), string(slices.Repeat([]byte("x"), size))))
	}
	return all
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// nothingRefused fails if anything was refused but the question for an index that is not there yet.
func (r *rig) nothingRefused() {
	r.t.Helper()
	all := r.fake.Refusals()
	delete(all, "Index "+index+" does not exist")
	if len(all) != 0 {
		r.t.Errorf("refused: %v", all)
	}
}

func theKey(key string) func() string { return func() string { return key } }
