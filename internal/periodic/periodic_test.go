package periodic_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/internal/periodic"
	"github.com/mageline/mageline/migrations"
	"github.com/mageline/mageline/test/kit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const every = 5 * time.Millisecond

func always() bool { return true }

// ledgers gives those of two replicas.
func ledgers(t *testing.T) [2]*idempotency.Ledger {
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
	var both [2]*idempotency.Ledger
	for i, name := range []string{"first", "second"} {
		both[i] = idempotency.Open(t.Context(), idempotency.Options{Pool: pool, Process: name, Log: zerolog.Nop()})
		t.Cleanup(both[i].Close)
	}
	return both
}

// start runs the tasks until stop, which waits for them.
func start(t *testing.T, l periodic.Leases, ready func() bool, log zerolog.Logger, tasks ...periodic.Task) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		periodic.Run(ctx, l, ready, log, tasks...)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-ended
	})
	t.Cleanup(stop)
	return stop
}

func TestRun_RunsATaskOnOneReplicaAtATime(t *testing.T) {
	t.Parallel()
	var inside, most, runs atomic.Int32
	by := [2]atomic.Int32{}
	for i, l := range ledgers(t) {
		start(t, l, always, zerolog.Nop(), periodic.Task{Name: "count", Every: every, Run: func(context.Context) error {
			if n := inside.Add(1); n > most.Load() {
				most.Store(n)
			}
			runs.Add(1)
			by[i].Add(1)
			for range 1000 { // long enough for the other to want it too
				_ = inside.Load()
			}
			inside.Add(-1)
			return nil
		}})
	}
	kit.Eventually(t, 30*time.Second, func() bool {
		return by[0].Load() >= 10 && by[1].Load() >= 10
	}, "both replicas to have had their turns")
	if most.Load() != 1 {
		t.Errorf("%d replicas at once", most.Load())
	}
}

// While one replica is at it, the other does nothing; its end lets the other go on.
func TestRun_LetsTheOtherReplicaWait(t *testing.T) {
	t.Parallel()
	both := ledgers(t)
	inside, leave := make(chan struct{}), make(chan struct{})
	enter := sync.OnceFunc(func() { close(inside) })
	stopFirst := start(t, both[0], always, zerolog.Nop(), periodic.Task{Name: "long", Every: every, Run: func(context.Context) error {
		enter()
		<-leave
		return nil
	}})
	free := sync.OnceFunc(func() { close(leave) })
	t.Cleanup(free) // before the first is stopped, which waits for it
	<-inside
	var log kit.Log
	var second atomic.Int32
	start(t, both[1], always, zerolog.New(&log), periodic.Task{Name: "long", Every: every, Run: func(context.Context) error {
		second.Add(1)
		return nil
	}})
	kit.Eventually(t, 30*time.Second, func() bool { return log.Has("task_held_elsewhere", "task", "long") }, "the second to be refused")
	if second.Load() != 0 {
		t.Error("both replicas are at it")
	}
	free()
	stopFirst()
	kit.Eventually(t, 30*time.Second, func() bool { return second.Load() > 0 }, "the second to have its turn")
}

func TestRun_RunsSharedTasksOnEachReplica(t *testing.T) {
	t.Parallel()
	meet := make(chan struct{})
	var met atomic.Int32
	task := periodic.Task{Name: "shared", Every: every, Shared: true, Run: func(ctx context.Context) error {
		select { // only both at once get on
		case meet <- struct{}{}:
			met.Add(1)
		case <-meet:
		case <-ctx.Done():
		}
		return nil
	}}
	for _, l := range ledgers(t) {
		start(t, l, always, zerolog.Nop(), task)
	}
	kit.Eventually(t, 30*time.Second, func() bool { return met.Load() >= 3 }, "both replicas to be at it at once")
}

// Run ends with its context, but not before its tasks have.
func TestRun_WaitsForItsTasks(t *testing.T) {
	t.Parallel()
	l := ledgers(t)[0]
	ctx, cancel := context.WithCancel(t.Context())
	started := make(chan struct{})
	go func() {
		<-started
		cancel()
	}()
	ended := false
	periodic.Run(ctx, l, always, zerolog.Nop(), periodic.Task{Name: "cut", Every: every, Run: func(ctx context.Context) error {
		close(started)
		<-ctx.Done()
		ended = true
		return ctx.Err()
	}})
	if !ended {
		t.Error("Run has not waited for its task")
	}
	// The lease was given back, though the context had ended.
	_, release, err := l.Lease(t.Context(), "periodic cut")
	if err != nil {
		t.Fatal(err)
	}
	release()
}

func TestRun_StartsNothingBeforeReady(t *testing.T) {
	t.Parallel()
	var asked, runs atomic.Int32
	var ready atomic.Bool
	start(t, ledgers(t)[0], func() bool {
		asked.Add(1)
		return ready.Load()
	}, zerolog.Nop(), periodic.Task{Name: "early", Every: every, Run: func(context.Context) error {
		runs.Add(1)
		return nil
	}})
	kit.Eventually(t, 30*time.Second, func() bool { return asked.Load() >= 3 }, "the task to be due")
	if runs.Load() != 0 {
		t.Error("it ran before it might")
	}
	ready.Store(true)
	kit.Eventually(t, 30*time.Second, func() bool { return runs.Load() > 0 }, "the task to run")
}

// However a task fails, it is logged and tried again, and the other tasks go on.
func TestRun_LogsAndRepeatsTasksThatFail(t *testing.T) {
	t.Parallel()
	var log kit.Log
	var failed, deferred, panicked, good atomic.Int32
	start(t, ledgers(t)[0], always, zerolog.New(&log),
		periodic.Task{Name: "failing", Every: every, Run: func(context.Context) error {
			failed.Add(1)
			return errors.New("no such table")
		}},
		periodic.Task{Name: "deferred", Every: every, Run: func(context.Context) error {
			deferred.Add(1)
			return &event.Deferral{Reason: "Postgres is away", Downstream: "postgres"}
		}},
		periodic.Task{Name: "panicking", Every: every, Run: func(context.Context) error {
			panicked.Add(1)
			panic("index out of range")
		}},
		periodic.Task{Name: "good", Every: every, Shared: true, Run: func(ctx context.Context) error {
			good.Add(1)
			zerolog.Ctx(ctx).Info().Str("event", "all_is_well").Msg("all is well")
			return nil
		}},
	)
	kit.Eventually(t, 30*time.Second, func() bool {
		return failed.Load() > 2 && deferred.Load() > 2 && panicked.Load() > 2 && good.Load() > 2
	}, "each task to run again")
	for _, line := range [][]string{
		{"task_failed", "level", "error", "task", "failing", "error", "no such table"},
		{"task_deferred", "level", "info", "task", "deferred", "error", "Postgres is away"},
		{"task_failed", "level", "error", "task", "panicking", "error", "index out of range"},
		{"all_is_well", "level", "info", "task", "good"},
	} {
		if !log.Has(line[0], line[1:]...) {
			t.Errorf("the log has no line of %q", line)
		}
	}
}
