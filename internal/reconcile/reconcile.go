// Package reconcile finds orders whose event never came: it compares the orders that Magento has with the rows of the ledger,
// and sends an event for each that has none. Magento publishes without confirms, so an event can vanish unseen.
package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/mapping"
)

// Standing is how an order stands.
type Standing string

// The standings.
const (
	Done    Standing = "done"    // the ERP has it
	Waiting Standing = "waiting" // it may not go out yet
	Skipped Standing = "skipped" // it does not go out
	Open    Standing = "open"    // it is being handled, or its handling has failed: see Row.Why
	Missing Standing = "missing" // no event for it was ever handled
)

// Standings lists them in the order in which they are counted.
var Standings = []Standing{Done, Waiting, Skipped, Open, Missing}

// Row is an order and how it stands.
type Row struct {
	Key         string    `json:"key"` // the business key
	EntityID    int64     `json:"entity_id"`
	IncrementID string    `json:"increment_id"`
	StoreID     int64     `json:"store_id"`
	State       string    `json:"state"` // Magento's
	Created     time.Time `json:"created_at"`
	Standing    Standing  `json:"standing"`
	Why         string    `json:"why,omitempty"`      // of one that is not done and not missing
	Document    string    `json:"document,omitempty"` // the ERP's number, as the ledger has it
	// Documents are the numbers under the order's reference in the ERP, once it was asked.
	Documents []string `json:"documents,omitempty"`
	// Differs says how the ERP and the ledger differ; "" if they do not, or the ERP was not asked.
	Differs string `json:"differs,omitempty"`
}

// Orders searches the orders of Magento. *magentoapi.OrdersService implements it.
type Orders interface {
	Search(ctx context.Context, criteria magentoapi.SearchCriteria) (*magentoapi.Page[*magentoapi.Order], error)
}

// Ledger has a row for each order that was handled. *idempotency.Ledger implements it.
type Ledger interface {
	LookupAll(ctx context.Context, consumer, effect string, keys []string) (map[string]idempotency.Row, error)
}

// Comparison compares Magento with the ledger.
type Comparison struct {
	Orders Orders
	Ledger Ledger
	Key    mapping.KeyRule
	// Consumer and Effect name the ledger's rows of orders.
	Consumer, Effect string
	// AllowsStore reports whether orders of a store go out. Those of others are left out.
	AllowsStore func(id int64) bool
}

// pageSize is how many orders one search answers.
const pageSize = 100

// pageFields are what is needed of an order.
const pageFields = "items[entity_id,increment_id,store_id,state,created_at],total_count"

// Compare calls do with the orders that were created from one time up to another, a page at a time, by entity id.
func (c *Comparison) Compare(ctx context.Context, from, to time.Time, do func(ctx context.Context, page []Row) error) error {
	last := int64(0)
	for {
		criteria := magentoapi.SearchCriteria{PageSize: pageSize, Fields: pageFields}.
			Where(magentoapi.Gteq("created_at", magentoapi.DateTime(from))).
			Where(magentoapi.Lt("created_at", magentoapi.DateTime(to))).
			// By id and not by page number: orders that come meanwhile move nothing.
			Where(magentoapi.Gt("entity_id", strconv.FormatInt(last, 10))).
			SortBy("entity_id", magentoapi.Ascending)
		found, err := c.Orders.Search(ctx, criteria)
		if err != nil {
			return fmt.Errorf("search Magento's orders from %s to %s: %w", magentoapi.DateTime(from), magentoapi.DateTime(to), err)
		}
		if len(found.Items) == 0 {
			return nil
		}
		before := last
		page := make([]Row, 0, len(found.Items))
		for _, o := range found.Items {
			last = max(last, int64(o.EntityID))
			row, ok, err := c.row(o)
			if err != nil {
				return err
			}
			if ok {
				page = append(page, row)
			}
		}
		if last == before {
			return fmt.Errorf("search Magento's orders: it answers with orders up to entity id %d, and was asked for those above", before)
		}
		if err := c.stand(ctx, page); err != nil {
			return err
		}
		if err := do(ctx, page); err != nil {
			return err
		}
		if len(found.Items) < pageSize {
			return nil
		}
	}
}

// row returns an order as a row that does not stand yet; ok is false for one of a store that is left out.
func (c *Comparison) row(o *magentoapi.Order) (row Row, ok bool, err error) {
	row = Row{
		EntityID: int64(o.EntityID), IncrementID: string(o.IncrementID), State: string(o.State), Created: o.CreatedAt.Time,
	}
	if o.StoreID != nil {
		row.StoreID = int64(*o.StoreID)
	}
	if c.AllowsStore != nil && !c.AllowsStore(row.StoreID) {
		return row, false, nil
	}
	row.Key, err = mapping.BusinessKey(c.Key, o)
	return row, err == nil, err
}

func (c *Comparison) stand(ctx context.Context, page []Row) error {
	keys := make([]string, len(page))
	for i := range page {
		keys[i] = page[i].Key
	}
	known, err := c.Ledger.LookupAll(ctx, c.Consumer, c.Effect, keys)
	if err != nil {
		return fmt.Errorf("look up %d orders in the ledger: %w", len(keys), err)
	}
	for i := range page {
		row, there := known[page[i].Key]
		page[i].Standing, page[i].Why = standing(row, there)
		page[i].Document = row.Result.Value
	}
	return nil
}

func standing(row idempotency.Row, there bool) (Standing, string) {
	switch {
	case !there:
		return Missing, ""
	case row.State == idempotency.Done:
		return Done, ""
	case row.State == idempotency.Waiting:
		return Waiting, row.Result.Reason
	case row.State == idempotency.Skipped:
		return Skipped, row.Result.Reason
	case row.State == idempotency.InProgress && row.Expired:
		return Open, "in progress until its owner died"
	case row.State == idempotency.InProgress:
		return Open, "in progress"
	default:
		why := string(row.State)
		if row.Class != "" {
			why += ": " + string(row.Class)
		}
		return Open, why
	}
}

// Lookup finds an order's documents in the ERP by its external reference, and returns their numbers.
type Lookup func(ctx context.Context, reference string) (numbers []string, err error)

// Ask looks each order of a page up in the ERP, and notes where it and the ledger differ. An order that is being handled is not
// compared.
func Ask(ctx context.Context, page []Row, prefix string, find Lookup) error {
	for i := range page {
		row := &page[i]
		numbers, err := find(ctx, mapping.ExternalReference(prefix, row.Key))
		if err != nil {
			return fmt.Errorf("look order %s up in the ERP: %w", row.Key, err)
		}
		row.Documents = numbers
		row.Differs = differs(row)
	}
	return nil
}

func differs(row *Row) string {
	switch n := len(row.Documents); {
	case n > 1:
		return fmt.Sprintf("the ERP has %d documents", n)
	case row.Standing == Done && n == 0:
		return "the ERP has no document"
	case row.Standing == Done && row.Document != "" && row.Documents[0] != row.Document:
		return "the ERP has another document than the ledger"
	case n == 1 && row.Standing != Done && row.Standing != Open:
		return "the ERP has a document"
	}
	return ""
}

// Body returns the body of an order's event.
func (r *Row) Body() []byte {
	body, _ := json.Marshal(map[string]any{"entity_id": r.EntityID, "increment_id": r.IncrementID, "store_id": r.StoreID}) //nolint:errchkjson // numbers and a text
	return body
}

// Send publishes an event for an order to the queue of its consumer, as reconcile's, and waits for the confirm.
type Send func(ctx context.Context, body []byte) error

// Sent remembers which orders were sent, so that none is sent again while its event is on its way.
type Sent interface {
	// Lately returns those of the keys that were sent in the last 24 hours.
	Lately(ctx context.Context, keys []string) (map[string]bool, error)
	// Record remembers that keys were sent.
	Record(ctx context.Context, keys []string) error
}

// Publish sends an event for each order of a page that is missing and was not sent lately, at most so many, and returns those
// that it has sent.
func Publish(ctx context.Context, page []Row, most int, sent Sent, send Send) (published []Row, err error) {
	var missing []Row
	var keys []string
	for _, row := range page {
		if row.Standing == Missing {
			missing = append(missing, row)
			keys = append(keys, row.Key)
		}
	}
	if len(missing) == 0 {
		return nil, nil
	}
	lately, err := sent.Lately(ctx, keys)
	if err != nil {
		return nil, err
	}
	keys = keys[:0]
	for _, row := range missing {
		if lately[row.Key] || len(published) == most {
			continue
		}
		if err = send(ctx, row.Body()); err != nil {
			err = fmt.Errorf("publish an event for order %s: %w", row.Key, err)
			break
		}
		published = append(published, row)
		keys = append(keys, row.Key)
	}
	if len(keys) > 0 {
		// What is sent and not remembered is sent again the next time, and is a duplicate then.
		err = errors.Join(err, sent.Record(context.WithoutCancel(ctx), keys))
	}
	return published, err
}

// Quiet reports why nothing may be published now; "" if it may. emptied is when the consumer's queue was last seen empty: events
// of orders that were created before the window's end may still be in it.
func Quiet(paused string, emptied, windowEnd time.Time) string {
	switch {
	case paused != "":
		return paused
	case emptied.Before(windowEnd):
		return "the queue of orders has not been empty since " + windowEnd.UTC().Format(time.RFC3339) + ": the events may be in it"
	}
	return ""
}

// Lag is how young an order is whose event may still be on its way.
const Lag = 10 * time.Minute

// overlap is how far a run reaches back behind the end of the one before. What was sent then is seen to be done, and sent again
// if it is not after a day.
const overlap = 25 * time.Hour

// maxPublished bounds the events of one run.
const maxPublished = 1000

// Progress is kept in Postgres.
type Progress interface {
	Sent
	// Reached returns the end of the last complete run; zero if there was none. Begun is when mageline began to use the database.
	Reached(ctx context.Context) (reached, begun time.Time, err error)
	// Reach records the end of a complete run.
	Reach(ctx context.Context, end time.Time) error
}

// Task is what the service runs, on one replica at a time.
type Task struct {
	*Comparison
	Progress  Progress
	Send      Send
	From      time.Time     // orders of before are left out; zero: those of before the database was first used
	Retention time.Duration // how long the ledger remembers
	// Quiet reports why nothing may be published that was created before a time; "" if it may.
	Quiet func(windowEnd time.Time) string
	// Published is told of each order that was sent.
	Published func(ctx context.Context, row Row)
}

// Run looks at the orders since the last run. While nothing may be published it does not look either, and fails with an
// *event.Deferral.
func (t *Task) Run(ctx context.Context) (counts map[Standing]int, published int, err error) {
	to := time.Now().Add(-Lag)
	if reason := t.Quiet(to); reason != "" {
		return nil, 0, &event.Deferral{Reason: reason}
	}
	reached, begun, err := t.Progress.Reached(ctx)
	if err != nil {
		return nil, 0, err
	}
	from := Floor(t.From, begun, t.Retention, time.Now())
	if !reached.IsZero() && reached.Add(-overlap).After(from) {
		from = reached.Add(-overlap)
	}
	counts = map[Standing]int{}
	if !from.Before(to) {
		return counts, 0, nil
	}
	err = t.Compare(ctx, from, to, func(ctx context.Context, page []Row) error {
		Count(counts, page)
		if reason := t.Quiet(to); reason != "" {
			return &event.Deferral{Reason: reason}
		}
		sent, err := Publish(ctx, page, maxPublished-published, t.Progress, t.Send)
		published += len(sent)
		for _, row := range sent {
			t.Published(ctx, row)
		}
		if err == nil && published == maxPublished {
			err = &event.Deferral{Reason: fmt.Sprintf("%d orders were sent: the rest follows", published)}
		}
		if err == nil {
			err = event.Progress(ctx)
		}
		return err
	})
	if err != nil {
		return counts, published, err
	}
	return counts, published, t.Progress.Reach(ctx, to)
}

// Count adds a page to the counts.
func Count(counts map[Standing]int, page []Row) {
	for _, row := range page {
		counts[row.Standing]++
	}
}

// Floor returns the time behind which an order without a row may be none that was missed: from, or, where it is zero, begun,
// which is zero where somebody asks for older orders; and never further back than the ledger remembers.
func Floor(from, begun time.Time, retention time.Duration, now time.Time) time.Time {
	floor := from
	if floor.IsZero() {
		floor = begun
	}
	if remembered := now.Add(-retention); remembered.After(floor) {
		floor = remembered
	}
	return floor
}
