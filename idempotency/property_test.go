package idempotency_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/test/kit"
)

// books is a downstream that books whatever it is sent and looks for no duplicates.
type books struct {
	mu      sync.Mutex
	numbers map[string][]string
	next    int
}

// book books a request of an owner that still may send: it is refused once ctx has ended.
func (b *books) book(ctx context.Context, key string) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return "", event.NotDone(err)
	}
	b.next++
	number := fmt.Sprintf("SO-%d", b.next)
	b.numbers[key] = append(b.numbers[key], number)
	return number, nil
}

func (b *books) find(key string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := b.numbers[key]; len(n) > 0 {
		return n[0]
	}
	return ""
}

// replica is a process that can be killed: its ledger's way to Postgres is cut, and nothing that it has begun is
// recorded any more.
type replica struct {
	ledger *idempotency.Ledger
	pool   *pgxpool.Pool
	proxy  *kit.Proxy
}

const propertyLease = 2 * time.Second

func startReplica(t *testing.T, url, name string) *replica {
	proxy, through := kit.ProxyURL(t, url)
	config, err := pgxpool.ParseConfig(through)
	if err != nil {
		t.Fatal(err)
	}
	config.MaxConns = 3
	config.ConnConfig.ConnectTimeout = time.Second
	config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheStatement
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	return &replica{proxy: proxy, pool: pool, ledger: idempotency.Open(context.Background(), idempotency.Options{
		Pool: pool, Process: name, Lease: propertyLease, Log: zerolog.Nop(),
	})}
}

func (r *replica) kill() {
	r.proxy.Refuse()
	r.ledger.Close()
	r.pool.Close()
}

// line is what the test knows of all deliveries.
type line struct {
	books     *books
	looked    atomic.Int64        // claims that were uncertain, all of which looked
	overtaken atomic.Int64        // owners that slept beyond their lease
	ledger    *idempotency.Ledger // of nobody, to see
	mu        sync.Mutex
	confirmed map[string]int
	results   map[string]string
}

// attempt is one effect that goes well or badly in one of the ways that effects do.
func (w *line) attempt(r *rand.Rand) effect {
	how, pause := r.IntN(12), time.Duration(r.IntN(30))*time.Millisecond
	return func(ctx context.Context, c *idempotency.Claim) (idempotency.Result, error) {
		if c.Uncertain {
			w.looked.Add(1)
			if number := w.books.find(c.Key.Key); number != "" {
				return idempotency.Result{Value: number}, nil
			}
			c.Looked()
		}
		time.Sleep(pause)
		// freeze lasts beyond the lease, until another has taken over. If all others are frozen too, nobody does.
		freeze := func() {
			<-ctx.Done()
			for end := time.Now().Add(2 * propertyLease); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
				if row, found, err := w.ledger.Lookup(context.Background(), c.Key); err == nil && found && row.Number > c.Number {
					w.overtaken.Add(1)
					return
				}
			}
		}
		switch how {
		case 0: // refused for good
			return idempotency.Result{}, event.NotDone(errors.New("refused"))
		case 1: // never arrived, which the sender does not know
			return idempotency.Result{}, errors.New("connection lost")
		case 2, 3: // arrived, and the answer is lost
			_, err := w.books.book(ctx, c.Key.Key)
			return idempotency.Result{}, errors.Join(err, errors.New("answer lost"))
		case 4: // frozen before the send
			freeze()
		case 5: // frozen after it
			number, err := w.books.book(ctx, c.Key.Key)
			freeze()
			return idempotency.Result{Value: number}, err
		case 6: // a long one that says how it goes on
			for range 3 {
				time.Sleep(pause)
				if err := event.Progress(ctx); err != nil {
					return idempotency.Result{}, event.NotDone(err)
				}
			}
		case 7:
			resume := event.Wait(ctx)
			time.Sleep(pause)
			if err := resume(ctx); err != nil {
				return idempotency.Result{}, event.NotDone(err)
			}
		case 8:
			return idempotency.Result{State: idempotency.Waiting}, nil
		}
		number, err := w.books.book(ctx, c.Key.Key)
		return idempotency.Result{Value: number}, err
	}
}

// deliver handles the key once and reports whether its story has ended.
func (w *line) deliver(t *testing.T, l *idempotency.Ledger, r *rand.Rand, key idempotency.Key, repeat bool) bool {
	res, duplicate, err := l.Do(context.Background(), idempotency.Effect{Key: key, Repeat: repeat}, w.attempt(r))
	if err != nil {
		return false
	}
	if res.State != idempotency.Done {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if before, ok := w.results[key.Key]; ok && before != res.Value {
		t.Errorf("%s gave %s, and %s before", key, res.Value, before)
	}
	w.results[key.Key] = res.Value
	if !duplicate {
		w.confirmed[key.Key]++
	}
	return true
}

// Many owners on several replicas work on the same keys, while connections are cut, commits lose their answers, owners
// freeze beyond their lease and replicas are killed. Whatever happens, each key is booked once, confirmed at most once,
// and everybody is told the same number.
func TestLedger_NothingTwice(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s, err := strconv.ParseUint(os.Getenv("MAGELINE_TEST_SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Logf("MAGELINE_TEST_SEED=%d", seed)
	url := database(t)
	direct := open(t, url, "test", propertyLease)

	const replicas, owners, keys = 3, 6, 60
	w := &line{
		ledger:    direct,
		books:     &books{numbers: map[string][]string{}},
		confirmed: map[string]int{}, results: map[string]string{},
	}
	var (
		mu      sync.Mutex
		running [replicas]*replica
		born    int
	)
	start := func(i int) {
		born++
		running[i] = startReplica(t, url, fmt.Sprintf("replica-%d", born))
	}
	pick := func(i int) *replica {
		mu.Lock()
		defer mu.Unlock()
		return running[i]
	}
	for i := range replicas {
		start(i)
	}

	ctx, stop := context.WithCancel(t.Context())
	var chaos, work sync.WaitGroup
	chaos.Go(func() {
		r := rand.New(rand.NewPCG(seed, 0))
		for ctx.Err() == nil {
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Duration(20+r.IntN(60)) * time.Millisecond):
			}
			i := r.IntN(replicas)
			switch p := pick(i).proxy; r.IntN(8) {
			case 0, 1, 2, 3:
				p.LoseAnswer(nil)
			case 4, 5:
				p.Cut()
			case 6:
				p.Stall()
				time.Sleep(time.Duration(r.IntN(200)) * time.Millisecond)
				p.Resume()
			case 7:
				pick(i).kill()
				mu.Lock()
				start(i)
				mu.Unlock()
			}
		}
	})
	for i := range replicas {
		for j := range owners {
			work.Go(func() {
				r := rand.New(rand.NewPCG(seed, uint64(1+i*owners+j)))
				// Each owner delivers every key until its story has ended, in an order of its own.
				open := r.Perm(keys)
				for round := 0; len(open) > 0; round++ {
					var rest []int
					for _, n := range open {
						if !w.deliver(t, pick(i).ledger, r, order(fmt.Sprintf("%09d", n)), round > 0) {
							rest = append(rest, n)
						}
					}
					open = rest
				}
			})
		}
	}
	work.Wait()
	stop()
	chaos.Wait()
	for i := range replicas {
		pick(i).ledger.Close()
		pick(i).pool.Close()
	}

	for n := range keys {
		key := order(fmt.Sprintf("%09d", n))
		if got := w.books.numbers[key.Key]; len(got) != 1 {
			t.Errorf("%s was booked %d times: %v", key, len(got), got)
		}
		if w.confirmed[key.Key] > 1 {
			t.Errorf("%s was confirmed %d times", key, w.confirmed[key.Key])
		}
		if got := state(t, direct, key); got.State != idempotency.Done || got.Result.Value != w.books.find(key.Key) {
			t.Errorf("%s is %s with %q, and booked as %q", key, got.State, got.Result.Value, w.books.find(key.Key))
		}
	}
	if w.looked.Load() == 0 || w.overtaken.Load() == 0 {
		t.Errorf("%d uncertain claims and %d overtaken owners: the test has tried nothing", w.looked.Load(), w.overtaken.Load())
	}
	t.Logf("%d uncertain claims, %d overtaken owners, %d processes", w.looked.Load(), w.overtaken.Load(), born)
}
