package idempotency_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/idempotency"
)

// points is a remote API that an effect calls.
type points struct{ given map[string]int }

func (p *points) Give(_ context.Context, order string, n int) error { p.given[order] += n; return nil }

func (p *points) Find(_ context.Context, order string) (int, error) { return p.given[order], nil }

// The first handling of an order gives its points; every later one, on any replica, gets the stored result.
func ExampleLedger_Do() {
	ctx := context.Background()
	url, clean := exampleDatabase()
	defer clean()
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()
	ledger := idempotency.Open(ctx, idempotency.Options{Pool: pool, Process: "loyalty/1", Lease: time.Minute})
	defer ledger.Close()
	api := &points{given: map[string]int{}}

	handle := func(order string, redelivered bool) error {
		res, duplicate, err := ledger.Do(ctx, idempotency.Effect{
			Key:    idempotency.Key{Consumer: "loyalty", Key: order, Effect: "points"},
			Repeat: redelivered,
			Data:   json.RawMessage(`{"points":10}`), // for later handlings, however this one ends
		}, func(ctx context.Context, c *idempotency.Claim) (idempotency.Result, error) {
			if c.Uncertain { // an earlier handling may have given them: look before it is repeated
				n, err := api.Find(ctx, order)
				if err != nil {
					return idempotency.Result{}, event.NotDone(err)
				}
				if n > 0 {
					return idempotency.Result{Value: fmt.Sprint(n)}, nil
				}
				c.Looked()
			}
			if err := api.Give(ctx, order, 10); err != nil {
				return idempotency.Result{}, err
			}
			return idempotency.Result{Value: "10"}, nil
		})
		var wait *event.Deferral
		switch {
		case errors.As(err, &wait): // in progress elsewhere, or Postgres is away: have the message come again
			return err
		case err != nil:
			return err
		}
		fmt.Printf("%s points, duplicate %t\n", res.Value, duplicate)
		return nil
	}
	for _, redelivered := range []bool{false, true} {
		if err := handle("000000123", redelivered); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println("given:", api.given["000000123"])
	// Output:
	// 10 points, duplicate false
	// 10 points, duplicate true
	// given: 10
}

// A lease has one holder at a time, on any replica. Work that takes longer than it renews the lease step by step.
func ExampleLedger_Lease() {
	ctx := context.Background()
	url, clean := exampleDatabase()
	defer clean()
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()
	ledger := idempotency.Open(ctx, idempotency.Options{Pool: pool, Process: "loyalty/1", Lease: time.Minute})
	defer ledger.Close()

	held, release, err := ledger.Lease(ctx, "monthly report")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer release()
	for page := range 3 {
		if err := event.Progress(held); err != nil { // another replica has taken over
			fmt.Println(err)
			return
		}
		fmt.Println("page", page)
	}
	_, _, err = ledger.Lease(ctx, "monthly report")
	fmt.Println(err)
	// Output:
	// page 0
	// page 1
	// page 2
	// lease "monthly report" is held by loyalty/1
}
