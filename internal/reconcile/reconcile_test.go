package reconcile_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/internal/reconcile"
	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/mapping"
	"github.com/mageline/mageline/migrations"
	"github.com/mageline/mageline/test/kit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shop answers searches from a list of entity ids; it looks at the filter on entity_id alone.
type shop struct {
	ids    []int64
	stuck  bool // answers the same page whatever it is asked
	err    error
	asked  []magentoapi.SearchCriteria
	stores map[int64]int64
}

func (s *shop) Search(_ context.Context, criteria magentoapi.SearchCriteria) (*magentoapi.Page[*magentoapi.Order], error) {
	s.asked = append(s.asked, criteria)
	if s.err != nil {
		return nil, s.err
	}
	after := int64(0)
	for _, group := range criteria.Groups {
		if f := group[0]; f.Field == "entity_id" && !s.stuck {
			fmt.Sscan(f.Value, &after) //nolint:errcheck,gosec // a number
		}
	}
	page := &magentoapi.Page[*magentoapi.Order]{}
	for _, id := range s.ids {
		if id > after && len(page.Items) < criteria.PageSize {
			o := &magentoapi.Order{}
			if err := json.Unmarshal(fmt.Appendf(nil, `{"entity_id":%d,"increment_id":"%09d","store_id":%d,"state":"processing"}`, id, id, s.stores[id]), o); err != nil {
				return nil, err
			}
			page.Items = append(page.Items, o)
		}
	}
	return page, nil
}

// rows is a ledger.
type rows map[string]idempotency.Row

func (r rows) LookupAll(_ context.Context, consumer, effect string, keys []string) (map[string]idempotency.Row, error) {
	if consumer != "order_placed" || effect != "create" {
		return nil, fmt.Errorf("asked for %s:%s", consumer, effect)
	}
	found := map[string]idempotency.Row{}
	for _, key := range keys {
		if row, ok := r[key]; ok {
			found[key] = row
		}
	}
	return found, nil
}

func compare(t *testing.T, s *shop, r rows) (all []reconcile.Row, err error) {
	t.Helper()
	c := reconcile.Comparison{
		Orders: s, Ledger: r, Key: mapping.ByIncrementID, Consumer: "order_placed", Effect: "create",
		AllowsStore: func(id int64) bool { return id != 9 },
	}
	err = c.Compare(t.Context(), time.Unix(0, 0), time.Now(), func(_ context.Context, page []reconcile.Row) error {
		all = append(all, page...)
		return nil
	})
	return all, err
}

func TestCompare_ReadsEveryPage(t *testing.T) {
	s := &shop{stores: map[int64]int64{7: 9}}
	for id := int64(1); id <= 250; id++ {
		s.ids = append(s.ids, id)
	}
	all, err := compare(t, s, rows{"000000003": {State: idempotency.Done, Result: idempotency.Result{Value: "SO-3"}}})
	if err != nil || len(all) != 249 || len(s.asked) != 3 {
		t.Fatalf("%d orders in %d searches, %v; one of the 250 is of a store whose orders do not go out", len(all), len(s.asked), err)
	}
	if all[2].Standing != reconcile.Done || all[2].Document != "SO-3" || all[3].Standing != reconcile.Missing {
		t.Errorf("they stand so: %+v, %+v", all[2], all[3])
	}
	s.ids = s.ids[:100]
	if _, err := compare(t, s, rows{}); err != nil {
		t.Errorf("a full page that is the last: %v", err)
	}
}

func TestCompare_EndsWhereMagentoRepeatsItself(t *testing.T) {
	s := &shop{stuck: true}
	for id := int64(1); id <= 100; id++ {
		s.ids = append(s.ids, id)
	}
	if _, err := compare(t, s, rows{}); err == nil || !strings.Contains(err.Error(), "entity id 100") {
		t.Errorf("told %v", err)
	}
	s.err = errors.New("away")
	if _, err := compare(t, s, rows{}); !errors.Is(err, s.err) {
		t.Errorf("told %v", err)
	}
}

func TestCompare_StandsAsTheRow(t *testing.T) {
	for _, tt := range []struct {
		row      idempotency.Row
		standing reconcile.Standing
		why      string
	}{
		{idempotency.Row{State: idempotency.Done}, reconcile.Done, ""},
		{idempotency.Row{State: idempotency.Waiting, Result: idempotency.Result{Reason: "pending_payment"}}, reconcile.Waiting, "pending_payment"},
		{idempotency.Row{State: idempotency.Skipped, Result: idempotency.Result{Reason: "canceled"}}, reconcile.Skipped, "canceled"},
		{idempotency.Row{State: idempotency.InProgress}, reconcile.Open, "in progress"},
		{idempotency.Row{State: idempotency.InProgress, Expired: true}, reconcile.Open, "in progress until its owner died"},
		{idempotency.Row{State: idempotency.Failed, Class: event.Rejected}, reconcile.Open, "failed: rejected"},
		{idempotency.Row{State: idempotency.Uncertain, Class: event.Unavailable}, reconcile.Open, "uncertain: unavailable"},
	} {
		all, err := compare(t, &shop{ids: []int64{1}}, rows{"000000001": tt.row})
		if err != nil || len(all) != 1 || all[0].Standing != tt.standing || all[0].Why != tt.why {
			t.Errorf("%+v: %+v, %v", tt.row, all, err)
		}
	}
}

func TestAsk_TellsWhereTheERPDiffers(t *testing.T) {
	for _, tt := range []struct {
		standing reconcile.Standing
		document string
		has      []string
		differs  string
	}{
		{reconcile.Done, "1", []string{"1"}, ""},
		{reconcile.Done, "1", nil, "the ERP has no document"},
		{reconcile.Done, "1", []string{"2"}, "the ERP has another document than the ledger"},
		{reconcile.Done, "1", []string{"1", "2"}, "the ERP has 2 documents"},
		{reconcile.Missing, "", nil, ""},
		{reconcile.Missing, "", []string{"1"}, "the ERP has a document"},
		{reconcile.Waiting, "", []string{"1"}, "the ERP has a document"},
		{reconcile.Open, "", []string{"1"}, ""},
		{reconcile.Open, "", []string{"1", "2"}, "the ERP has 2 documents"},
	} {
		page := []reconcile.Row{{Key: "7", Standing: tt.standing, Document: tt.document}}
		err := reconcile.Ask(t.Context(), page, "M-", func(_ context.Context, reference string) ([]string, error) {
			if reference != "M-7" {
				t.Errorf("asked for %s", reference)
			}
			return tt.has, nil
		})
		if err != nil || page[0].Differs != tt.differs {
			t.Errorf("%s with %v: %q, %v; want %q", tt.standing, tt.has, page[0].Differs, err, tt.differs)
		}
	}
}

func TestPublish_SendsAnOrderOnceADay(t *testing.T) {
	url := kit.Database(t)
	if _, err := migrations.Up(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	db, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	store := reconcile.NewStore(db)
	page := []reconcile.Row{
		{Key: "1", EntityID: 1, IncrementID: `a"b`, Standing: reconcile.Missing},
		{Key: "2", Standing: reconcile.Done},
		{Key: "3", Standing: reconcile.Missing},
		{Key: "4", Standing: reconcile.Missing},
	}
	var bodies []string
	away := errors.New("RabbitMQ is away")
	publish := func(most, failAt int) []string {
		failed := false
		sent, err := reconcile.Publish(t.Context(), page, most, store, func(_ context.Context, body []byte) error {
			if failAt--; failAt == 0 {
				failed = true
				return away
			}
			bodies = append(bodies, string(body))
			return nil
		})
		if failed != errors.Is(err, away) {
			t.Fatal(err)
		}
		var keys []string
		for _, row := range sent {
			keys = append(keys, row.Key)
		}
		return keys
	}
	for n, tt := range []struct {
		most, failAt int
		want         string
	}{{1, 0, "[1]"}, {9, 2, "[3]"}, {9, 0, "[4]"}, {9, 0, "[]"}} {
		if got := fmt.Sprint(publish(tt.most, tt.failAt)); got != tt.want {
			t.Errorf("call %d sends %s, want %s", n, got, tt.want)
		}
	}
	if want := `{"entity_id":1,"increment_id":"a\"b","store_id":0}`; bodies[0] != want {
		t.Errorf("the body is %s, want %s", bodies[0], want)
	}
	if _, err := db.Exec(t.Context(), `UPDATE reconciled SET sent_at = sent_at - interval '25 hours' WHERE key = '3'`); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(publish(9, 0)); got != "[3]" {
		t.Errorf("after a day %s is sent", got)
	}
}

func TestTask_DoesNothingWhileTheQueueIsBusy(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		paused  string
		emptied time.Time
		quiet   bool
	}{
		{"", now, true},
		{"", now.Add(-time.Minute), false},
		{"", time.Time{}, false},
		{"order_placed is paused", now, false},
	} {
		if reason := reconcile.Quiet(tt.paused, tt.emptied, now); (reason == "") != tt.quiet {
			t.Errorf("%q, emptied %s: %q", tt.paused, tt.emptied, reason)
		}
	}
	s := &shop{}
	task := reconcile.Task{
		Comparison: &reconcile.Comparison{Orders: s},
		Quiet:      func(time.Time) string { return "the circuit of the ERP is open" },
	}
	var deferral *event.Deferral
	if _, _, err := task.Run(t.Context()); !errors.As(err, &deferral) || len(s.asked) > 0 {
		t.Errorf("%d searches, %v", len(s.asked), err)
	}
}

func TestFloor_ReachesBehindNothing(t *testing.T) {
	now := time.Now()
	day := 24 * time.Hour
	for _, tt := range []struct{ from, begun, want time.Time }{
		{now.Add(-2 * day), now.Add(-day), now.Add(-2 * day)},
		{time.Time{}, now.Add(-day), now.Add(-day)},
		{now.Add(-200 * day), now.Add(-day), now.Add(-90 * day)},
		{time.Time{}, time.Time{}, now.Add(-90 * day)},
	} {
		if got := reconcile.Floor(tt.from, tt.begun, 90*day, now); !got.Equal(tt.want) {
			t.Errorf("from %s, begun %s: %s, want %s", tt.from, tt.begun, got, tt.want)
		}
	}
}
