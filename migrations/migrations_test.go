package migrations_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mageline/mageline/migrations"
	"github.com/mageline/mageline/test/kit"
)

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// Ten replicas that start together migrate once, and all see it done.
func TestUp_MigratesOnceForReplicasTogether(t *testing.T) {
	url := kit.Database(t)
	plain := url
	if strings.Contains(url, "?") {
		url += "&pool_max_conns=3" // DATABASE_URL may have the parameters of a pool
	} else {
		url += "?pool_max_conns=3"
	}
	conn := connect(t, plain)
	if pending, err := migrations.Pending(t.Context(), conn); !pending || err != nil {
		t.Fatalf("an empty database: pending %v, %v", pending, err)
	}
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex
		applied = map[int64]int{}
	)
	for range 10 {
		wg.Go(func() {
			list, err := migrations.Up(context.Background(), url)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, m := range list {
				applied[m.Version]++
			}
		})
	}
	wg.Wait()
	list, err := migrations.Status(t.Context(), url)
	if err != nil || len(list) == 0 {
		t.Fatalf("status %v, %v", list, err)
	}
	for _, m := range list {
		if !m.Applied || applied[m.Version] != 1 || m.File == "" {
			t.Errorf("%+v was applied by %d replicas", m, applied[m.Version])
		}
	}
	if pending, err := migrations.Pending(t.Context(), conn); pending || err != nil {
		t.Errorf("after Up: pending %v, %v", pending, err)
	}
	if _, err := conn.Exec(t.Context(), "DELETE FROM mageline_migrations WHERE version_id = 2"); err != nil {
		t.Fatal(err)
	}
	if pending, err := migrations.Pending(t.Context(), conn); !pending || err != nil {
		t.Errorf("without the second: pending %v, %v", pending, err)
	}
	at, err := migrations.FirstAt(t.Context(), conn)
	if err != nil || time.Since(at).Abs() > time.Hour {
		t.Errorf("first migrated at %s, %v", at, err)
	}
}

func TestUp_FailsWithoutPostgres(t *testing.T) {
	const url = "postgres://someone:secret@127.0.0.1:1/none?connect_timeout=2"
	for name, do := range map[string]func() error{
		"up":     func() error { _, err := migrations.Up(t.Context(), url); return err },
		"status": func() error { _, err := migrations.Status(t.Context(), url); return err },
	} {
		if err := do(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Looking writes nothing, so that a role that may make no tables can look.
func TestPending_WritesNothing(t *testing.T) {
	conn := connect(t, kit.Database(t))
	pending, err := migrations.Pending(t.Context(), conn)
	if err != nil || !pending {
		t.Fatalf("an empty database: pending %t, %v", pending, err)
	}
	var tables int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").Scan(&tables); err != nil || tables != 0 {
		t.Errorf("%d tables were made, %v", tables, err)
	}
}
