package private_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/mageline/mageline/test/kit/private"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRabbitMQ_StartsAgainAfterKill(t *testing.T) {
	private.Require(t)
	n, err := private.StartRabbitMQ()
	if n != nil {
		t.Cleanup(n.Close)
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, err := n.Ctl("list_queues"); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	n.Kill()
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
}

func TestPostgres_StartsAgainAndIsFollowed(t *testing.T) {
	private.Require(t)
	p, err := private.StartPostgres()
	if p != nil {
		t.Cleanup(p.Close)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Exec(t.Context(), "CREATE TABLE kept (n int)"); err != nil {
		t.Fatal(err)
	}
	p.Crash()
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	s, err := p.Standby(p.Addr)
	if s != nil {
		t.Cleanup(s.Close)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Exec(t.Context(), "SELECT n FROM kept"); err != nil {
		t.Error(err)
	}
}

func TestPgBouncer_StartsAgain(t *testing.T) {
	private.RequirePgBouncer(t)
	private.Require(t)
	p, err := private.StartPostgres()
	if p != nil {
		t.Cleanup(p.Close)
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := private.StartPgBouncer(p.URL, private.PoolerOptions{})
	if b != nil {
		t.Cleanup(b.Close)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range []func(){b.Kill, b.Stop} {
		end()
		if err := b.Start(); err != nil {
			t.Fatal(err)
		}
	}
}
