package e2e

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mageline/mageline/migrations"
	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
	"github.com/mageline/mageline/test/kit/replica"
)

// RabbitMQ and Postgres away at the start: the process stays up, says so, and goes on by itself when they come.
func TestReplica_StartsWithoutServices(t *testing.T) {
	t.Parallel()
	e := newEnv(t, 200*time.Millisecond)
	broker, database := e.Link("AMQP_URL"), e.Link("DATABASE_URL")
	broker.Refuse()
	database.Refuse()
	r := e.Start()
	away := func(p replica.Part) bool { return p.State == "away" && p.Reason != "" }
	kit.Eventually(t, env.Patience, func() bool {
		status, document := r.Ready()
		return status == 503 && !document.Ready && away(document.RabbitMQ) && away(document.Postgres) &&
			r.Events("rabbitmq_away") >= 2
	}, "/readyz to say that both are away")
	if status, body := r.Get("/healthz"); status != 200 {
		t.Errorf("/healthz answers %d %s", status, body)
	}
	broker.Accept()
	kit.Eventually(t, env.Patience, func() bool {
		status, document := r.Ready()
		return status == 503 && document.RabbitMQ.State == "connected" && away(document.Postgres)
	}, "/readyz to say that RabbitMQ is there and Postgres is not")
	database.Accept()
	r.AwaitReady()
	e.AwaitDone(e.Place(3, fakemagento.Placing{})...)
	e.Finish()
}

// A wrong password is told without the password, and tried again for ever.
func TestReplica_WaitsOnWrongPassword(t *testing.T) {
	t.Parallel()
	e := newEnv(t, 200*time.Millisecond)
	u, err := url.Parse(e.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("guest", env.BrokerPassword)
	r := e.Start("AMQP_URL", u.String())
	kit.Eventually(t, env.Patience, func() bool {
		status, document := r.Ready()
		return status == 503 && strings.Contains(document.RabbitMQ.Reason, "403")
	}, "/readyz to say that RabbitMQ refuses the password")
	_, body := r.Get("/readyz")
	if strings.Contains(body, env.BrokerPassword) {
		t.Error("/readyz shows the password")
	}
	r.Terminate()
	if code := r.Exit(); code != 0 {
		t.Errorf("exit code %d, with nothing in flight", code)
	}
}

// Everything that is wrong is said at once, and no secret is in it.
func TestConfiguration_SaysEverythingWrong(t *testing.T) {
	t.Parallel()
	vars := map[string]string{
		"AMQP_URL": "http://mageline:" + env.BrokerPassword + "@127.0.0.1/", "DATABASE_URL": "postgres://u:" + env.DatabasePassword + "@127.0.0.1:x/db",
		"MAGENTO_URL": "shop.example", "MAGENTO_USERNAME": "mageline", "MAGENTO_PASSWORD": env.AdminPassword, "MAGENTO_TOKEN": env.ShopToken,
		"ERP_TOKEN": env.ERPToken, "RETRY_DELAYS": "5s,0s", "CONCURRENCY": "0", "IDEMPOTENCY_LEASE": "61s", "LOG_LEVEL": "loud",
	}
	out, code := program.Call(t, vars, "run")
	if code != 2 {
		t.Errorf("exit code %d, want 2:\n%s", code, out)
	}
	for _, name := range []string{
		"AMQP_URL", "DATABASE_URL", "MAGENTO_URL", "ERP_URL", "RETRY_DELAYS", "CONCURRENCY", "IDEMPOTENCY_LEASE", "LOG_LEVEL", "MAGENTO_TOKEN",
	} {
		if !strings.Contains(out, "MAGELINE_"+name) {
			t.Errorf("nothing is said of %s:\n%s", name, out)
		}
	}
	if strings.Contains(out, "Geheim") {
		t.Errorf("a secret is shown:\n%s", out)
	}
}

// Ten replicas start at once: each migration is applied once, and all get ready.
func TestReplica_TenStartAtOnce(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		prepare func(*testing.T, *env.Env) (pending int)
	}{
		{"empty database", func(*testing.T, *env.Env) int { return len(migrationFiles(t)) }},
		{"one migration pending", func(t *testing.T, e *env.Env) int { undoLastMigration(t, e); return 1 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, 200*time.Millisecond)
			pending := tt.prepare(t, e)
			u, err := url.Parse(e.Database)
			if err != nil {
				t.Fatal(err)
			}
			query := u.Query()
			query.Set("pool_max_conns", "2")
			u.RawQuery = query.Encode()
			e.Set("DATABASE_URL", u.String())
			var replicas []*replica.Replica
			for range 10 {
				replicas = append(replicas, e.Start())
			}
			for _, r := range replicas {
				r.AwaitReady()
			}
			applied := map[string]int{}
			kit.Eventually(t, env.Patience, func() bool { applied = appliedBy(replicas); return len(applied) >= pending }, "the log to name each migration")
			if len(applied) != pending {
				t.Errorf("%d migrations were applied, want %d: %v", len(applied), pending, applied)
			}
			for file, n := range applied {
				if n != 1 {
					t.Errorf("%s was applied %d times", file, n)
				}
			}
			e.AwaitDone(e.Place(20, fakemagento.Placing{})...)
			if out, code := e.Call("check"); code != 0 {
				t.Errorf("check ends with %d:\n%s", code, out)
			}
			e.Finish()
		})
	}
}

// appliedBy counts how often each migration was applied, by what replicas have logged.
func appliedBy(replicas []*replica.Replica) map[string]int {
	applied := map[string]int{}
	for _, r := range replicas {
		for _, line := range r.Logged() {
			if file, ok := line["migration"].(string); ok && line["event"] == "migration_applied" {
				applied[file]++
			}
		}
	}
	return applied
}

// migrationFiles are those of the schema, in their order.
func migrationFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../../migrations/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no migrations: %v", err)
	}
	return files
}

// undoLastMigration leaves a database as the version before the newest migration had it.
func undoLastMigration(t *testing.T, e *env.Env) {
	t.Helper()
	ctx := t.Context()
	if _, err := migrations.Up(ctx, e.Database); err != nil {
		t.Fatal(err)
	}
	files := migrationFiles(t)
	text, err := os.ReadFile(files[len(files)-1])
	if err != nil {
		t.Fatal(err)
	}
	_, down, ok := strings.Cut(string(text), "-- +goose Down")
	if !ok {
		t.Fatalf("%s has no way down", files[len(files)-1])
	}
	conn, err := pgx.Connect(ctx, e.Database)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	undo := down + "DELETE FROM mageline_migrations WHERE version_id = (SELECT max(version_id) FROM mageline_migrations)"
	if _, err := conn.Exec(ctx, undo); err != nil {
		t.Fatal(err)
	}
}

// warm has some orders done and settled: a subscription starts with one message at a time, and grows.
func warm(t *testing.T, e *env.Env, r *replica.Replica) {
	t.Helper()
	e.AwaitDone(e.Place(10, fakemagento.Placing{})...)
	acked(t, r, "order_placed", 10)
}

// SIGTERM: not ready any more from the first moment, what is in flight is finished, exit code 0.
func TestReplica_DrainsOnSIGTERM(t *testing.T) {
	t.Parallel()
	e := newEnv(t, 200*time.Millisecond)
	r := e.Start().AwaitReady()
	warm(t, e, r)
	release := e.Hold()
	o := e.InFlight()
	r.Terminate()
	kit.Eventually(t, env.Patience, func() bool { status, _ := r.Ready(); return status == 503 }, "/readyz to say that it drains")
	later := e.Place(2, fakemagento.Placing{}) // for the next replica
	if !r.Running() {
		t.Fatalf("it ended with a handler in flight")
	}
	release()
	if code := r.Exit(); code != 0 {
		t.Errorf("exit code %d after a drain that finished everything", code)
	}
	if e.Number(o) == "" || e.Exported(later...) != 0 {
		t.Errorf("of the later orders %d were taken during the drain", e.Exported(later...))
	}
	r = e.Start().AwaitReady()
	e.AwaitDone(append(later, o)...)
	e.Finish()
}

// A handler that outlasts SHUTDOWN_TIMEOUT is cut, exit code 3. The next replica does not wait for its lease, which is
// far longer than this test's env.Patience; and it looks before it sends, because the ERP may have the order.
func TestReplica_CutsHandlersOnShutdownTimeout(t *testing.T) {
	t.Parallel()
	e := newEnv(t, 200*time.Millisecond, time.Second)
	e.Set("SHUTDOWN_TIMEOUT", "1s", "IDEMPOTENCY_LEASE", "1h")
	r := e.Start().AwaitReady()
	warm(t, e, r)
	e.ERP.Faults.Next(fault.Fault{Kind: fault.Late, After: time.Hour})
	booked := e.PlaceOne(fakemagento.Placing{})
	kit.Eventually(t, env.Patience, func() bool { return len(e.ERP.DocumentsOf(booked.IncrementID)) == 1 }, "the ERP to book the order")
	release := e.Hold()
	unbooked := e.InFlight()
	r.Terminate()
	if code := r.Exit(); code != 3 {
		t.Errorf("exit code %d, want 3: handlers were cut", code)
	}
	release()
	e.Start().AwaitReady()
	e.AwaitDone(booked, unbooked)
	e.Finish()
	if n := len(e.ERP.Documents()); n != 12 {
		t.Errorf("the ERP has %d documents, want 12", n)
	}
}

// A second signal within a second is the same wish said twice, by a kubelet and a shell: it drains.
func TestSecondSignal_DrainsWithinASecond(t *testing.T) {
	t.Parallel()
	e := newEnv(t, 200*time.Millisecond)
	r := e.Start().AwaitReady()
	warm(t, e, r)
	release := e.Hold()
	o := e.InFlight()
	r.Terminate() // all at once: a busy machine may keep us from the next line for a second
	r.Signal(syscall.SIGINT)
	r.Signal(syscall.SIGTERM)
	kit.Eventually(t, env.Patience, func() bool { status, _ := r.Ready(); return status == 503 || !r.Running() }, "/readyz to say that it drains")
	release()
	if code := r.Exit(); code != 0 {
		t.Errorf("exit code %d after a drain that finished everything", code)
	}
	if e.Number(o) == "" {
		t.Error("what was in flight was not finished")
	}
	e.Start().AwaitReady()
	e.Finish()
}

// A second signal, a second or more after the first, ends it at once, exit code 1; nothing is lost.
func TestSecondSignal_EndsAfterASecond(t *testing.T) {
	t.Parallel()
	e := newEnv(t, 200*time.Millisecond, time.Second)
	r := e.Start().AwaitReady()
	warm(t, e, r)
	release := e.Hold()
	o := e.InFlight()
	r.Terminate()
	told := time.Now()
	kit.Eventually(t, env.Patience, func() bool {
		status, _ := r.Ready()
		return status == 503 && time.Since(told) > 1500*time.Millisecond
	}, "/readyz to say that it drains, for longer than a second")
	r.Signal(syscall.SIGINT)
	if code := r.Exit(); code != 1 {
		t.Errorf("exit code %d, want 1 after a second signal", code)
	}
	release()
	// Its lease would be waited for: an operator takes the key from the dead.
	if out, code := e.Call("key", "release", "order_placed:"+o.IncrementID, "--effect", "create"); code != 0 {
		t.Fatalf("key release ends with %d: %s", code, out)
	}
	r = e.Start().AwaitReady()
	e.AwaitDone(o)
	e.Finish()
}

// Of several nodes those that take connections are used, at the start and after one has gone.
func TestReplica_UsesTheNodeThatAnswers(t *testing.T) {
	t.Parallel()
	e := newEnv(t, 200*time.Millisecond)
	first, firstURL := kit.ProxyURL(t, e.URL)
	second, secondURL := kit.ProxyURL(t, e.URL)
	e.Set("AMQP_URL", firstURL+", "+secondURL)
	second.Refuse()
	r := e.Start().AwaitReady()
	e.AwaitDone(e.Place(2, fakemagento.Placing{})...)
	out, code := e.Call("check")
	if code != 0 || !strings.Contains(out, "OK RabbitMQ node "+first.Addr()) || !strings.Contains(out, "WARN RabbitMQ node "+second.Addr()) {
		t.Errorf("check ends with %d:\n%s", code, out)
	}
	second.Accept()
	first.Refuse()
	kit.Eventually(t, env.Patience, func() bool { return r.Events("rabbitmq_connected") > 1 }, "the replica to connect by the other node")
	r.AwaitReady()
	e.AwaitDone(e.Place(2, fakemagento.Placing{})...)
	e.Finish()
}
