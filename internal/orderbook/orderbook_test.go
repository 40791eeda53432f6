package orderbook_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/internal/orderbook"
	"github.com/mageline/mageline/migrations"
	"github.com/mageline/mageline/test/kit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open returns a ledger on a database of its own, with the book as a projection.
func open(t *testing.T) (*idempotency.Ledger, *orderbook.Book) {
	t.Helper()
	url := kit.Database(t)
	if _, err := migrations.Up(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	book := orderbook.New(pool)
	l := idempotency.Open(t.Context(), idempotency.Options{
		Pool: pool, Process: "a", Log: zerolog.Nop(), Projections: []idempotency.Projection{book},
	})
	t.Cleanup(l.Close)
	return l, book
}

func order(n string) idempotency.Key {
	return idempotency.Key{Consumer: "order_placed", Key: n, Effect: "create"}
}

type effect = func(ctx context.Context, c *idempotency.Claim) (idempotency.Result, error)

func gives(res idempotency.Result, err error) effect {
	return func(context.Context, *idempotency.Claim) (idempotency.Result, error) { return res, err }
}

func do(t *testing.T, l *idempotency.Ledger, key idempotency.Key, e effect) {
	t.Helper()
	if _, _, err := l.Do(t.Context(), idempotency.Effect{Key: key}, e); err != nil {
		t.Fatal(err)
	}
}

func state(t *testing.T, l *idempotency.Ledger, key idempotency.Key) idempotency.Row {
	t.Helper()
	row, ok, err := l.Lookup(t.Context(), key)
	if err != nil || !ok {
		t.Fatalf("%s: known %t, %v", key, ok, err)
	}
	return row
}

// A claim that another owner has taken over leaves no trace in the book either.
func TestBook_LostClaimTellsNothing(t *testing.T) {
	l, book := open(t)
	_, _, err := l.Do(t.Context(), idempotency.Effect{Key: order("1")}, func(ctx context.Context, _ *idempotency.Claim) (idempotency.Result, error) {
		if n, err := l.Release(ctx, "order_placed", "1", ""); n != 1 || err != nil {
			t.Errorf("released %d, %v", n, err)
		}
		return idempotency.Result{Value: "SO-1", Changes: []idempotency.Change{book.Change(orderbook.Order{EntityID: 57})}}, nil
	})
	if err == nil {
		t.Error("it was finished by an owner who had lost it")
	}
	if known, ok, err := book.Known(t.Context(), order("1")); ok || err != nil {
		t.Errorf("the book has %+v, %v", known, err)
	}
}

func TestBook_WaitingOrders(t *testing.T) {
	l, book := open(t)
	tell := func(o orderbook.Order) []idempotency.Change { return []idempotency.Change{book.Change(o)} }
	waiting := func(id int64, state string) effect {
		return gives(idempotency.Result{
			State: idempotency.Waiting, Reason: state, Changes: tell(orderbook.Order{EntityID: id, StoreID: 2, State: state}),
		}, nil)
	}
	names := func(limit int) (list []string) {
		orders, err := book.Waiting(t.Context(), limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range orders {
			list = append(list, o.Key.Key)
			if o.Key != order(o.Key.Key) || o.Order.EntityID == 0 || o.Order.StoreID != 2 || o.Since.IsZero() || o.For < 0 {
				t.Errorf("waiting is %+v", o)
			}
		}
		return list
	}
	for i, n := range []string{"3", "1", "2", "4", "5"} {
		do(t, l, order(n), waiting(int64(i+1), "pending_payment"))
	}
	if got := fmt.Sprint(names(3)); got != "[3 1 2]" {
		t.Errorf("waiting are %s", got)
	}
	if err := book.LookedAt(t.Context(), map[idempotency.Key]string{order("3"): "holded", order("1"): ""}); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(names(3)); got != "[2 4 5]" {
		t.Errorf("waiting are %s", got)
	}
	byState, err := book.WaitingByState(t.Context())
	if err != nil || byState["holded"] != 1 || byState["pending_payment"] != 4 {
		t.Errorf("by state %v, %v", byState, err)
	}

	first, _ := book.Waiting(t.Context(), 1)
	do(t, l, order("2"), waiting(2, "pending_payment")) // looked at again by an event
	for _, o := range must(book.Waiting(t.Context(), 10)) {
		if o.Key == order("2") && !o.Since.Equal(first[0].Since) {
			t.Errorf("waits since %s, and since %s before", o.Since, first[0].Since)
		}
	}
	do(t, l, order("2"), gives(idempotency.Result{Value: "SO-2", Changes: tell(orderbook.Order{EntityID: 3, StoreID: 2, State: "processing"})}, nil))
	_, _, _ = l.Do(t.Context(), idempotency.Effect{Key: order("4")}, gives(idempotency.Result{}, errors.New("lost"))) // some delivery's business now
	if skipped, err := l.Skip(t.Context(), order("5"), "abandoned", book.Over()); !skipped || err != nil {
		t.Errorf("skipped %v, %v", skipped, err)
	}
	_, _, _ = l.Do(t.Context(), idempotency.Effect{Key: order("6")}, gives(idempotency.Result{}, errors.New("lost")))
	do(t, l, order("6"), waiting(6, "payment_review")) // the ERP may have it
	for _, n := range []string{"2", "4", "5", "6", "unknown"} {
		if skipped, err := l.Skip(t.Context(), order(n), "canceled", book.Over()); skipped || err != nil {
			t.Errorf("%s: skipped %v, %v", n, skipped, err)
		}
	}
	if got := state(t, l, order("5")); got.State != idempotency.Skipped || got.Result.Reason != "abandoned" {
		t.Errorf("skipped is %+v", got)
	}
	if got := fmt.Sprint(names(10)); got != "[1 3 6]" && got != "[3 1 6]" {
		t.Errorf("waiting are %s", got)
	}
	do(t, l, order("5"), waiting(5, "holded")) // a later event is looked at as ever
	if got := len(names(10)); got != 4 {
		t.Errorf("%d wait", got)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A document number leads to the orders that have it; an order that has none yet has not the empty one.
func TestBook_ByDocument(t *testing.T) {
	l, book := open(t)
	tell := func(o orderbook.Order) []idempotency.Change { return []idempotency.Change{book.Change(o)} }
	for id, document := range map[string]string{"1": "SO-1", "2": "SO-2", "3": "SO-2", "4": ""} {
		entity, err := strconv.ParseInt(id, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		do(t, l, order(id), gives(idempotency.Result{Value: document, Changes: tell(orderbook.Order{EntityID: entity})}, nil))
	}
	for document, want := range map[string]string{"SO-1": "[1]", "SO-2": "[2 3]", "SO-3": "[]", "": "[]", "so-1": "[]", "SO\x001": "[]"} {
		if got, err := book.ByDocument(t.Context(), document); err != nil || fmt.Sprint(got) != want {
			t.Errorf("%q leads to %v, %v; want %s", document, got, err, want)
		}
	}
}

// What an effect tells of an order is kept however it ends, until another one is told.
func TestBook_KeptHoweverTheEffectEnds(t *testing.T) {
	l, book := open(t)
	tell := func(o orderbook.Order) []idempotency.Change { return []idempotency.Change{book.Change(o)} }
	placed := time.Date(2026, 11, 23, 9, 15, 2, 0, time.UTC)
	first := orderbook.Order{EntityID: 57, StoreID: 1, State: "processing", Placed: placed}
	key := order("1")
	is := func(what string, want orderbook.Known) {
		t.Helper()
		got, known, err := book.Known(t.Context(), key)
		got.Placed = got.Placed.UTC()
		if err != nil || !known || got != want {
			t.Errorf("%s: %+v, known %v, error %v; want %+v", what, got, known, err, want)
		}
	}
	if _, known, err := book.Known(t.Context(), key); known || err != nil {
		t.Errorf("before anything: known %v, error %v", known, err)
	}
	for _, tt := range []struct {
		what string
		res  idempotency.Result
		err  error
		want orderbook.Known
	}{
		{"failed", idempotency.Result{Changes: tell(first)}, event.NotDone(event.Errorf(event.Rejected, "no")), orderbook.Known{Order: first}},
		{"uncertain", idempotency.Result{Changes: tell(first)}, event.Errorf(event.Timeout, "late"), orderbook.Known{Order: first}},
		{"an error that tells nothing", idempotency.Result{}, event.NotDone(event.Errorf(event.NotFound, "gone")), orderbook.Known{Order: first}},
		{"waiting", idempotency.Result{State: idempotency.Waiting, Changes: tell(first)}, nil, orderbook.Known{Order: first, Waiting: true}},
		{"the same, read by nobody", idempotency.Result{State: idempotency.Waiting, Changes: tell(orderbook.Order{EntityID: 57, StoreID: 1, State: "new"})}, nil, orderbook.Known{
			Order: orderbook.Order{EntityID: 57, StoreID: 1, State: "new", Placed: placed}, Waiting: true,
		}},
		{"another, read by nobody", idempotency.Result{State: idempotency.Skipped, Changes: tell(orderbook.Order{EntityID: 58})}, nil, orderbook.Known{Order: orderbook.Order{EntityID: 58}}},
		{"done", idempotency.Result{Value: "SO-1", Changes: tell(first)}, nil, orderbook.Known{Order: first, Document: "SO-1"}},
	} {
		_, _, err := l.Do(t.Context(), idempotency.Effect{Key: key}, gives(tt.res, tt.err))
		if (err == nil) != (tt.err == nil) {
			t.Fatalf("%s: error %v", tt.what, err)
		}
		if tt.want.Placed.IsZero() {
			tt.want.Placed = time.Time{}.UTC()
		}
		is(tt.what, tt.want)
	}
}
