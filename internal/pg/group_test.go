package pg

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/mageline/mageline/event"
)

// rowsIn has each letter as a row.
func rowsIn(rows []Row, v *string) []Row {
	for _, letter := range *v {
		rows = append(rows, Row{string(letter)})
	}
	return rows
}

// gathering is a queue with one transaction under way and a second writer that waits for the next.
type gathering struct {
	queue[string]
	began  time.Time
	over   func()
	second chan []*Request[string]
	took   time.Duration // until the second got its transaction
}

func newGathering(t *testing.T) *gathering {
	t.Helper()
	g := &gathering{
		queue: newQueue(func(rows []Row, v *string) []Row { return append(rows, Row{*v}) }),
		began: time.Now(), second: make(chan []*Request[string], 1),
	}
	g.put(0, 1)
	requests, over := g.next()
	if len(requests) != 1 || time.Since(g.began) != 0 {
		t.Errorf("an idle queue has %d requests after %s, want the one at once", len(requests), time.Since(g.began))
	}
	g.over = over
	go func() {
		requests, over := g.next()
		g.took = time.Since(g.began)
		if over != nil {
			over()
		}
		g.second <- requests
	}()
	return g
}

func (g *gathering) put(from, n int) {
	for i := range n {
		g.add(NewRequest(strconv.Itoa(from+i)), nil)
	}
}

func TestQueue_GathersWhileATransactionIsUnderWay(t *testing.T) {
	for name, c := range map[string]struct {
		put  int
		then func(g *gathering)
		want int
		took time.Duration
	}{
		"until that ends": {put: 3, want: 3, took: time.Millisecond, then: func(g *gathering) {
			time.Sleep(time.Millisecond)
			g.over()
		}},
		"until there is enough": {put: fullGroup - 1, want: fullGroup, took: time.Millisecond, then: func(g *gathering) {
			time.Sleep(time.Millisecond)
			g.put(fullGroup, 1)
		}},
		"until that has taken long":      {put: 3, want: 3, took: patience, then: func(*gathering) { time.Sleep(patience) }},
		"until it is closed":             {put: 3, want: 3, then: func(g *gathering) { g.close() }},
		"until it is closed, with none":  {put: 0, want: 0, then: func(g *gathering) { g.close() }},
		"and no more than one can write": {put: fullGroup - 1, want: fullGroup - 1, then: func(g *gathering) { g.over() }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGathering(t)
				g.put(1, c.put)
				synctest.Wait()
				if len(g.second) > 0 {
					t.Fatalf("a second transaction began with %d requests beside one that is under way", c.put)
				}
				c.then(g)
				synctest.Wait()
				select {
				case requests := <-g.second:
					if len(requests) != c.want || g.took != c.took {
						t.Errorf("got %d requests after %s, want %d after %s", len(requests), g.took, c.want, c.took)
					}
				default:
					t.Error("the second writer still waits")
				}
				g.over()
			})
		})
	}
}

func TestQueue_HasNoRowTwiceInATransaction(t *testing.T) {
	q := newQueue(rowsIn)
	for _, rows := range []string{"a", "ab", "b", "c", "cd", "e"} {
		q.add(NewRequest(rows), nil)
	}
	for n, want := range [][]string{{"a", "c", "e"}, {"ab", "cd"}, {"b"}, nil} {
		if want == nil {
			q.close()
		}
		requests, over := q.next()
		var got []string
		for _, r := range requests {
			got = append(got, r.Value)
		}
		if !slices.Equal(got, want) {
			t.Errorf("transaction %d has %q, want %q", n, got, want)
		}
		if over != nil {
			over()
		}
	}
}

// commits is a Postgres that a test makes up.
type commits struct {
	mu   sync.Mutex
	all  [][]string
	fail func(rows []string) error
}

func (c *commits) group(t *testing.T) *Group[string] {
	t.Helper()
	g := NewGroup(t.Context(), GroupOptions[string]{
		Name: "the table", Compare: func(a, b *string) int { return cmp.Compare(*a, *b) }, Rows: rowsIn, Timeout: time.Second,
		Commit: func(_ context.Context, requests []*Request[string]) error {
			var rows []string
			for _, r := range requests {
				rows = append(rows, r.Value)
			}
			if err := c.fail(rows); err != nil {
				return err
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			c.all = append(c.all, rows)
			return nil
		},
	})
	t.Cleanup(g.Close)
	return g
}

func TestGroup_RefusedRowFailsAlone(t *testing.T) {
	minded := &pgconn.PgError{Code: "23514"}
	c := &commits{fail: func(rows []string) error {
		if slices.Contains(rows, "m") {
			return minded
		}
		return nil
	}}
	g := c.group(t)
	var with []*Request[string]
	for letter := 'a'; letter < 'z'; letter++ {
		with = append(with, NewRequest(string(letter)))
	}
	if err := g.Do(t.Context(), NewRequest("z"), with...); err != nil {
		t.Error(err)
	}
	for _, r := range with {
		if err := g.Wait(t.Context(), r); (r.Value == "m") != errors.Is(err, minded) {
			t.Errorf("%s: %v", r.Value, err)
		}
	}
	for _, rows := range c.all {
		if !slices.IsSorted(rows) {
			t.Errorf("the rows of a transaction are locked in the order %q", rows)
		}
	}
}

func TestGroup_WhatIsRepeated(t *testing.T) {
	for name, tt := range map[string]struct {
		err   error
		times int // that it fails
		tries int
		want  func(error) bool
	}{
		"lost to another transaction": {err: &pgconn.PgError{Code: "40P01"}, times: 3, tries: 4},
		"goes on losing": {err: &pgconn.PgError{Code: "40001"}, times: 100, tries: maxRepeats, want: func(err error) bool {
			var d *event.Deferral
			return errors.As(err, &d) && d.Downstream == ""
		}},
		"connection was cut": {err: net.ErrClosed, times: 1, tries: 2},
		"Postgres is away": {err: net.ErrClosed, times: 100, tries: 2, want: func(err error) bool {
			var d *event.Deferral
			return errors.As(err, &d) && d.Downstream == "postgres"
		}},
		"Postgres minds the row": {err: ErrRow, times: 100, tries: 1, want: func(err error) bool { return event.ClassOf(err) == event.Internal }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var tries atomic.Int64
				c := &commits{fail: func([]string) error {
					if tries.Add(1) <= int64(tt.times) {
						return fmt.Errorf("commit: %w", tt.err)
					}
					return nil
				}}
				g := c.group(t)
				err := g.Do(t.Context(), NewRequest("a"))
				if tt.want == nil && err != nil || tt.want != nil && !tt.want(err) {
					t.Errorf("got %v", err)
				}
				if int(tries.Load()) != tt.tries {
					t.Errorf("tried %d times, want %d", tries.Load(), tt.tries)
				}
				g.Close()
			})
		})
	}
}

// busy has both writers of a group at work until it is released.
func busy(t *testing.T, c *commits) (g *Group[string], release func()) {
	t.Helper()
	block := make(chan struct{})
	c.fail = func([]string) error { <-block; return nil }
	g = c.group(t)
	for _, row := range []string{"x", "y"} {
		go func() { _ = g.Do(context.Background(), NewRequest(row)) }()
		time.Sleep(2 * patience)
	}
	return g, func() { close(block) }
}

func TestGroup_RequestThatWaitedTooLongIsNotBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &commits{}
		g, release := busy(t, c)
		late, early := NewRequest("a"), NewRequest("b")
		late.Until = time.Now().Add(time.Second)
		early.Until = late.Until.Add(time.Second)
		go func() { time.Sleep(1500 * time.Millisecond); release() }()
		var d *event.Deferral
		if err := g.Do(t.Context(), late, early); !errors.As(err, &d) || d.Downstream != "postgres" {
			t.Errorf("the late one: %v, want Postgres to be away", err)
		}
		if err := g.Wait(t.Context(), early); err != nil {
			t.Errorf("the early one: %v", err)
		}
		g.Close()
	})
}

func TestGroup_RequestOfAnEndedContextIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &commits{}
		g, release := busy(t, c)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.Do(ctx, NewRequest("a")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("its end: %v", err)
		}
		release()
		g.Close()
		if err := g.Do(t.Context(), NewRequest("b")); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		if len(c.all) != 2 {
			t.Errorf("written: %q, want those of the writers that were at work", c.all)
		}
	})
}

func TestClassOf_ErrorsOfPostgres(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		want Class
	}{
		"connection refused":      {net.ErrClosed, Away},
		"login refused":           {&pgconn.PgError{Code: "28P01"}, Away},
		"login over a connection": {&pgconn.ConnectError{}, Away},
		"too many connections":    {&pgconn.PgError{Code: "53300"}, Away},
		"disk full":               {&pgconn.PgError{Code: "53100"}, Away},
		"shutdown":                {&pgconn.PgError{Code: "57P01"}, Away},
		"read only":               {&pgconn.PgError{Code: "25006"}, Away},
		"connection failure":      {&pgconn.PgError{Code: "08006"}, Away},
		"no right":                {&pgconn.PgError{Code: "42501"}, Away},
		"no table":                {&pgconn.PgError{Code: "42P01"}, Away},
		"pooler":                  {&pgconn.PgError{Code: "26000"}, Away},
		"serialization":           {&pgconn.PgError{Code: "40001"}, Repeat},
		"deadlock":                {&pgconn.PgError{Code: "40P01"}, Repeat},
		"constraint":              {&pgconn.PgError{Code: "23505"}, Refused},
		"syntax":                  {&pgconn.PgError{Code: "42601"}, Refused},
		"no code":                 {&pgconn.PgError{}, Refused},
		"the caller's row":        {fmt.Errorf("read: %w", ErrRow), Refused},
	} {
		if got := ClassOf(tt.err); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
	for kind, code := range map[error]string{ErrPooler: "42P05", ErrReadOnly: "25006"} {
		if err := Failure("the table", &pgconn.PgError{Code: code}); !errors.Is(err, kind) {
			t.Errorf("%s is not %v: %v", code, kind, err)
		}
	}
	if err := Failure("the table", context.Canceled); !errors.Is(err, context.Canceled) {
		t.Errorf("the caller's own end: %v", err)
	}
}
