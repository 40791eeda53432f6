package reindex_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mageline/mageline/internal/indexes"
	"github.com/mageline/mageline/internal/pg"
	"github.com/mageline/mageline/internal/reindex"
	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/migrations"
	"github.com/mageline/mageline/search"
	"github.com/mageline/mageline/test/kit"
)

var databases = kit.Databases{Migrate: func(ctx context.Context, url string) error {
	_, err := migrations.Up(ctx, url)
	return err
}}

func TestMain(m *testing.M) {
	code := m.Run()
	if err := databases.Close(); err != nil && code == 0 {
		code = 1
	}
	os.Exit(code)
}

// world is a shop, an engine, and a consumer of products between them, in memory. Only the state of the run is in Postgres.
type world struct {
	t  *testing.T
	db *pg.DB

	mu       sync.Mutex
	products []*magentoapi.Product // by entity id
	values   map[string]int        // what is in the shop, by SKU
	docs     map[string]map[string]doc
	searched map[string]string // index to name
	made     int
	seen     map[string]time.Time
	lost     map[string]bool // products that are never handled
	calls    int
	killAt   int // the call at which the process is killed; 0: never
	messages chan message
	handled  int
	deleted  []string // SKUs in messages of deletions
	queued   int
	reading  sync.WaitGroup
}

type doc struct {
	value   int
	version int64
}

type message struct {
	topic string
	body  reindex.Message
}

var errKilled = errors.New("killed")

func newWorld(t *testing.T, products int) *world {
	t.Helper()
	parsed, err := pg.Parse(databases.Take(t), "")
	if err != nil {
		t.Fatal(err)
	}
	db, err := parsed.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	w := &world{
		t: t, db: db, values: map[string]int{}, docs: map[string]map[string]doc{}, searched: map[string]string{},
		seen: map[string]time.Time{}, lost: map[string]bool{}, messages: make(chan message, 1000),
	}
	for range products {
		w.create()
	}
	w.reading.Go(w.consume)
	t.Cleanup(func() { close(w.messages); w.reading.Wait() })
	return w
}

func (w *world) create() {
	w.mu.Lock()
	defer w.mu.Unlock()
	id := 1
	if n := len(w.products); n > 0 {
		id = int(w.products[n-1].ID) + 2
	}
	sku := fmt.Sprintf("P-%d", id)
	w.products = append(w.products, &magentoapi.Product{ID: magentoapi.ID(id), SKU: magentoapi.Text(sku)})
	w.values[sku] = id
}

// remove deletes a product of the shop, of which no event tells.
func (w *world) remove(n int) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	sku := string(w.products[n].SKU)
	w.products = slices.Delete(w.products, n, n+1)
	delete(w.values, sku)
	return sku
}

// change changes a product, and tells.
func (w *world) change(sku string, value int) {
	w.mu.Lock()
	w.values[sku] = value
	w.queued++
	w.mu.Unlock()
	w.messages <- message{reindex.TopicExported, reindex.Message{SKUs: []string{sku}}}
}

func key(t search.Target, sku string) string { return t.Name + "@" + t.Generation + "/" + sku }

func (w *world) consume() {
	store := &indexes.Store{DB: w.db}
	for m := range w.messages {
		targets, err := store.Targets(context.Background(), "products")
		if err != nil {
			w.t.Error(err)
			return
		}
		w.mu.Lock()
		w.queued--
		if m.topic == reindex.TopicDeleted {
			w.deleted = append(w.deleted, m.body.SKUs...)
		}
		for _, sku := range m.body.SKUs {
			if w.lost[sku] {
				continue
			}
			w.handled++
			for _, t := range targets["products"] {
				if value, ok := w.values[sku]; ok {
					if d := w.docs[t.Name][sku]; d.value != value {
						w.docs[t.Name][sku] = doc{value, time.Now().UnixMilli()}
					}
				} else {
					delete(w.docs[t.Name], sku)
				}
				w.seen[key(t, sku)] = time.Now()
			}
		}
		w.mu.Unlock()
	}
}

// call counts a call of the process, which may be its last.
func (w *world) call() error {
	w.calls++
	if w.killAt > 0 && w.calls >= w.killAt {
		return errKilled
	}
	return nil
}

func (w *world) enter() (func(), error) {
	w.mu.Lock()
	if err := w.call(); err != nil {
		w.mu.Unlock()
		return nil, err
	}
	return w.mu.Unlock, nil
}

func (w *world) Search(_ context.Context, c magentoapi.SearchCriteria) (*magentoapi.Page[*magentoapi.Product], error) {
	leave, err := w.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	after := 0
	if len(c.Groups) > 0 {
		after, _ = strconv.Atoi(c.Groups[0][0].Value)
	}
	page := &magentoapi.Page[*magentoapi.Product]{TotalCount: len(w.products)}
	for _, p := range w.products {
		if int(p.ID) > after && len(page.Items) < c.PageSize {
			page.Items = append(page.Items, p)
		}
	}
	return page, nil
}

func (w *world) Unseen(_ context.Context, t search.Target, skus []string, since time.Time) (unseen []string, _ error) {
	leave, err := w.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	for _, sku := range skus {
		if !w.seen[key(t, sku)].After(since) {
			unseen = append(unseen, sku)
		}
	}
	return unseen, nil
}

func (w *world) publish(_ context.Context, topic string, body []byte) error {
	leave, err := w.enter()
	if err != nil {
		return err
	}
	defer leave()
	var m reindex.Message
	if err := json.Unmarshal(body, &m); err != nil {
		return err
	}
	w.queued++
	w.messages <- message{topic, m}
	return nil
}

func (w *world) queue(context.Context) (reindex.Queue, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return reindex.Queue{Name: "mageline.products_exported", Messages: w.queued, Readers: 1}, nil
}

// The engine.

func (w *world) Write(context.Context, search.Target, []search.Write) ([]search.Result, error) {
	return nil, errors.ErrUnsupported
}

func (w *world) target(name string) search.Target {
	return search.Target{Index: "products", Name: name, Generation: strings.TrimPrefix(name, "products-")}
}

func (w *world) fresh() search.Target {
	w.made++
	name := fmt.Sprintf("products-%d", w.made)
	w.docs[name] = map[string]doc{}
	return w.target(name)
}

func (w *world) Ensure(_ context.Context, index string, _ []search.Field) (search.Target, error) {
	leave, err := w.enter()
	if err != nil {
		return search.Target{}, err
	}
	defer leave()
	if w.searched[index] == "" {
		w.searched[index] = w.fresh().Name
	}
	return w.target(w.searched[index]), nil
}

func (w *world) Count(_ context.Context, t search.Target) (int64, error) {
	leave, err := w.enter()
	if err != nil {
		return 0, err
	}
	defer leave()
	return int64(len(w.docs[t.Name])), nil
}

func (w *world) Older(_ context.Context, t search.Target, version int64, each func([]string) error) error {
	leave, err := w.enter()
	if err != nil {
		return err
	}
	var ids []string
	for sku, d := range w.docs[t.Name] {
		if d.version < version {
			ids = append(ids, sku)
		}
	}
	leave()
	for some := range slices.Chunk(ids, 100) {
		if err := each(some); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) Create(context.Context, string, []search.Field) (search.Target, error) {
	leave, err := w.enter()
	if err != nil {
		return search.Target{}, err
	}
	defer leave()
	return w.fresh(), nil
}

func (w *world) Swap(_ context.Context, next search.Target) (search.Target, error) {
	leave, err := w.enter()
	if err != nil {
		return search.Target{}, err
	}
	defer leave()
	before := w.searched[next.Index]
	if before == next.Name {
		return search.Target{}, nil
	}
	w.searched[next.Index] = next.Name
	return w.target(before), nil
}

func (w *world) Remove(_ context.Context, t search.Target) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.docs, t.Name)
	return nil
}

func (w *world) reindex() *reindex.Reindex {
	return &reindex.Reindex{
		State:   &reindex.Store{DB: w.db, Process: pg.NewProcess("host/1"), Lease: time.Second},
		Indexes: &indexes.Store{DB: w.db}, Engine: w, Documents: w, Products: w,
		Views:   []reindex.View{{Index: "products"}},
		Fields:  func(context.Context, reindex.View) ([]search.Field, error) { return nil, nil },
		Publish: w.publish, Queue: w.queue,
		Window: 2, Poll: 5 * time.Millisecond, Idle: 50 * time.Millisecond, Patience: time.Minute,
	}
}

// want compares what is searched with the shop.
func (w *world) want() {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	have := map[string]int{}
	for sku, d := range w.docs[w.searched["products"]] {
		have[sku] = d.value
	}
	if !maps.Equal(have, w.values) {
		w.t.Errorf("the index has %d documents, the shop %d products; or they differ", len(have), len(w.values))
	}
}

// filled is a shop that has been indexed an hour ago.
func filled(t *testing.T, products int) *world {
	t.Helper()
	w := newWorld(t, products)
	if _, err := w.reindex().Run(t.Context(), reindex.Options{}); err != nil {
		t.Fatal(err)
	}
	w.want()
	w.age()
	return w
}

// age has everything that was written be an hour old.
func (w *world) age() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, docs := range w.docs {
		for sku, d := range docs {
			docs[sku] = doc{d.value, d.version - time.Hour.Milliseconds()}
		}
	}
	w.calls = 0
}
