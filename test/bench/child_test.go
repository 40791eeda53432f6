package bench

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/idempotency"
)

// child is one of several processes that consume from one queue, with the ledger. Every few milliseconds it prints when it
// began, in nanoseconds since 1970, and how many messages it has handled, until it is told to stop.
func child() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	pool, err := pgxpool.New(ctx, os.Getenv("MAGELINE_TEST_BENCH_DATABASE_URL"))
	if err != nil {
		return err
	}
	defer pool.Close()
	ledger := idempotency.Open(ctx, idempotency.Options{Pool: pool, Process: fmt.Sprint("test/bench/", os.Getpid()), Log: zerolog.Nop()})
	defer ledger.Close()
	var began, handled atomic.Int64
	handle := once(ledger)
	r, err := consumer.New(options(os.Getenv("MAGELINE_TEST_BENCH_AMQP_URL"), os.Getenv("MAGELINE_TEST_BENCH_EXCHANGE"), os.Getenv(childEnv),
		func(ctx context.Context, e event.Event) (event.Outcome, error) {
			began.CompareAndSwap(0, time.Now().UnixNano())
			outcome, err := handle(ctx, e)
			if err == nil {
				handled.Add(1)
			}
			return outcome, err
		}))
	if err != nil {
		return err
	}
	finished := make(chan error, 1)
	go func() { finished <- r.Run(ctx) }()
	for {
		fmt.Println(began.Load(), handled.Load())
		select {
		case err := <-finished:
			return err
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// apart has n processes drain the queue. It gives messages a second, from the first process's first message.
func (l *line) apart(n int) float64 {
	l.t.Helper()
	l.fill(size.messages, l.body)
	began, handled := make([]atomic.Int64, n), make([]atomic.Int64, n)
	var ends []func()
	for i := range n {
		c := exec.Command(os.Args[0]) //nolint:gosec,noctx // this program; it is ended below
		c.Env = append(os.Environ(), childEnv+"="+l.broker.Prefix, "MAGELINE_TEST_BENCH_AMQP_URL="+l.broker.URL,
			"MAGELINE_TEST_BENCH_EXCHANGE="+l.broker.Exchange, "MAGELINE_TEST_BENCH_DATABASE_URL="+l.database)
		c.Stderr = os.Stderr
		out, err := c.StdoutPipe()
		if err != nil {
			l.t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			l.t.Fatal(err)
		}
		read, up := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(read)
			listens := sync.OnceFunc(func() { close(up) })
			for s := bufio.NewScanner(out); s.Scan(); {
				listens()
				var at, count int64
				if _, err := fmt.Sscan(s.Text(), &at, &count); err == nil {
					began[i].Store(at)
					handled[i].Store(count)
				}
			}
		}()
		ends = append(ends, func() {
			select { // before its first line a signal would kill it
			case <-up:
			case <-read:
			}
			_ = c.Process.Signal(syscall.SIGTERM)
			<-read
			if err := c.Wait(); err != nil {
				l.t.Errorf("a process of the bench: %v", err)
			}
		})
	}
	defer func() {
		for _, end := range ends {
			end()
		}
	}()
	for deadline := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		var sum int64
		first := time.Now().UnixNano()
		for i := range n {
			sum += handled[i].Load()
			if at := began[i].Load(); at > 0 {
				first = min(first, at)
			}
		}
		if sum >= int64(size.messages) {
			return float64(sum) / time.Since(time.Unix(0, first)).Seconds()
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("%d processes have handled %d of %d messages within %s", n, sum, size.messages, patience)
		}
	}
}

// processes shows how the rate grows with processes on one broker.
func processes(t *testing.T, out *table) {
	l := newLine(t)
	rates := map[int][]float64{}
	counts := []int{1, 2, 4}
	for range size.rounds {
		for _, n := range counts {
			rates[n] = append(rates[n], l.apart(n))
		}
	}
	for _, n := range counts[1:] {
		out.rates(fmt.Sprintf("%d processes with the ledger; limit: 1 process", n), rates[n], rates[1], "", strings.Replace(settings(), ",", " each,", 1))
	}
}
