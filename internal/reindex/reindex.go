// Package reindex publishes every product of Magento, a page at a time, so that the consumer of products writes all of them to the
// search indexes; it waits until they are written, and then removes the documents of products that Magento no longer has, or swaps a
// new index in. What a run has done stands in Postgres: a run that was killed goes on where it was, or begins again.
package reindex

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mageline/mageline/internal/indexes"
	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/search"
)

// The topics that a run publishes to.
const (
	TopicExported = "catalog.products.exported"
	TopicDeleted  = "catalog.products.deleted"
)

// pageSize is how many products are read and published at once. Magento's limits, where a shop has switched them on, allow 300.
const pageSize = 300

// Documents is what the consumer of products records of each document that it was asked for, in Postgres.
type Documents interface {
	// Unseen returns those of the products that the consumer has not handled since an instant, by the database's clock, for a
	// generation. It has handled a product when it has written or deleted its document, left it out because nothing has changed, found
	// a newer one, or given it up because the engine rejects it.
	Unseen(ctx context.Context, target search.Target, skus []string, since time.Time) ([]string, error)
}

// Message is the body of a message for catalog.products.exported or catalog.products.deleted.
type Message struct {
	SKUs []string `json:"skus"`
	// Stores are the codes of the store views that the message is about; none: all that are configured.
	Stores []string `json:"stores,omitempty"`
}

// Products are those of Magento. *magentoapi.ProductsService has them.
type Products interface {
	Search(ctx context.Context, criteria magentoapi.SearchCriteria) (*magentoapi.Page[*magentoapi.Product], error)
}

// View is a store view and the index of its products.
type View struct {
	Store string // its code; empty is the default store view
	Index string
}

// Queue is the queue of the consumer of products.
type Queue struct {
	Name     string
	Messages int // that are ready
	Retrying int // messages in retry queues, which may be those of other consumers too
	Readers  int // subscriptions
}

// Reindex has what a run works with.
type Reindex struct {
	State     *Store
	Indexes   *indexes.Store
	Engine    search.Engine
	Documents Documents
	Products  Products
	Views     []View // all that are configured
	// Fields returns the fields of the documents of a store view.
	Fields func(ctx context.Context, v View) ([]search.Field, error)
	// Publish returns when the broker has confirmed a message.
	Publish func(ctx context.Context, topic string, body []byte) error
	// Queue looks at the queue.
	Queue func(ctx context.Context) (Queue, error)
	// Report is told how far the run is, again and again. It may be nil.
	Report func(Progress)
	// Window is how many messages may be on their way and not handled; live changes wait behind them. 0 is 16.
	Window int
	// Poll is how often the rows are looked at; 0 is 500 ms.
	Poll time.Duration
	// Idle is how long nothing may happen, with no message in the queue, until a message counts as lost or dead-lettered. It must be
	// longer than a handling without progress.
	Idle time.Duration
	// Patience is how long nothing may happen with messages in the queue, or in a retry queue.
	Patience time.Duration
}

// Options are what a run is asked for.
type Options struct {
	// Stores are the codes of store views; none are all.
	Stores []string
	Swap   bool
	// MinRatio is the share of the documents of the old index that the new one must have.
	MinRatio float64
	Resume   bool
}

// Progress is how far a run is.
type Progress struct {
	Phase   Phase
	Handled int64 // products, in this phase
	Total   int64 // 0: not known
	Failed  int64
	Left    time.Duration // 0: not known
	// Waiting says why nothing happens.
	Waiting string
}

// Result is how a run has ended.
type Result struct {
	Run     string        `json:"run"`
	Resumed bool          `json:"resumed,omitempty"`
	Handled int64         `json:"handled"`
	Failed  int64         `json:"failed"`
	Deleted int64         `json:"deleted"`
	Took    time.Duration `json:"-"`
	Indexes []IndexResult `json:"indexes"`
}

// IndexResult is what has become of one index.
type IndexResult struct {
	Store     string `json:"store,omitempty"`
	Index     string `json:"index"`
	Documents int64  `json:"documents"`
	// Of a swap: the documents of the index before, and whether the new one is searched.
	Before  int64 `json:"before,omitempty"`
	Swapped bool  `json:"swapped,omitempty"`
	// Withheld says why a new index was left beside the old one.
	Withheld string `json:"withheld,omitempty"`
}

// StalledError says that nobody handles what was published.
type StalledError struct {
	Queue Queue
	After time.Duration
}

func (e *StalledError) Error() string {
	reader := ""
	if e.Queue.Readers == 0 {
		reader = " and nobody is subscribed to it"
	}
	return fmt.Sprintf("no product was handled for %s: queue %s has %d messages ready%s", e.After.Round(time.Second), e.Queue.Name, e.Queue.Messages, reader)
}

// MismatchError says that a run was asked to go on as another one than it is.
type MismatchError struct{ What string }

func (e *MismatchError) Error() string {
	return "the reindex that was interrupted is another one: " + e.What
}

// Run runs a reindex to its end. Whatever ends it before, another run with Resume goes on where it was.
func (r *Reindex) Run(ctx context.Context, o Options) (*Result, error) {
	views, err := r.views(o.Stores)
	if err != nil {
		return nil, err
	}
	st, resumed, err := r.begin(ctx, o)
	if err != nil {
		return nil, err
	}
	if resumed {
		if views, err = r.views(st.Stores); err != nil {
			return nil, err
		}
	}
	ctx, held := hold(ctx, r.State, st.Owner)
	run := &run{Reindex: r, o: o, st: st, views: views, resumed: resumed, began: time.Now(), failed: map[string]bool{}}
	err = run.all(ctx)
	if lost := held.end(); lost != nil {
		err = lost
	}
	return run.result(), err
}

func (r *Reindex) views(stores []string) ([]View, error) {
	if len(stores) == 0 {
		return r.Views, nil
	}
	var views []View
	for _, store := range stores {
		i := slices.IndexFunc(r.Views, func(v View) bool { return v.Store == store })
		if i < 0 {
			return nil, fmt.Errorf("no index is configured for store view %q", store)
		}
		views = append(views, r.Views[i])
	}
	return views, nil
}

func (r *Reindex) begin(ctx context.Context, o Options) (st State, resumed bool, err error) {
	stores := o.Stores
	if stores == nil {
		stores = []string{}
	}
	if o.Resume {
		st, err = r.State.Resume(ctx)
		if !errors.Is(err, ErrNothing) {
			if err == nil {
				err = o.differs(st)
			}
			if err != nil && st.Owner != "" {
				err = errors.Join(err, r.State.Release(ctx, st.Owner))
			}
			return st, true, err
		}
	}
	st, err = r.State.Begin(ctx, o.Swap, stores)
	return st, false, err
}

// differs compares what a run is asked for with what it was begun with. What is not said is as it was.
func (o Options) differs(st State) error {
	switch {
	case o.Swap && !st.Swap:
		return &MismatchError{"it swaps no index"}
	case len(o.Stores) > 0 && !slices.Equal(o.Stores, st.Stores):
		was := "all store views"
		if len(st.Stores) > 0 {
			was = strings.Join(st.Stores, ", ")
		}
		return &MismatchError{"it is about " + was}
	}
	return nil
}

// Send publishes products, and waits for nothing.
func (r *Reindex) Send(ctx context.Context, topic string, m Message) error {
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode the message: %w", err)
	}
	return r.Publish(ctx, topic, body)
}
