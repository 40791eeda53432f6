package env

import (
	"sync"
	"testing"

	"github.com/mageline/mageline/test/kit/private"
)

// Servers are a RabbitMQ and a Postgres that tests may restart, fill and break. Each is started when it is first asked for and
// shared by the tests, which must run one after the other; Close ends them.
type Servers struct {
	mu       sync.Mutex
	rabbitMQ *private.RabbitMQ
	postgres *private.Postgres
}

// RabbitMQ is the broker.
func (s *Servers) RabbitMQ(t testing.TB) *private.RabbitMQ {
	t.Helper()
	private.Require(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rabbitMQ == nil {
		var err error
		if s.rabbitMQ, err = private.StartRabbitMQ(); err != nil {
			t.Fatal(err)
		}
	}
	return s.rabbitMQ
}

// Postgres is the database server.
func (s *Servers) Postgres(t testing.TB) *private.Postgres {
	t.Helper()
	private.Require(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.postgres == nil {
		var err error
		if s.postgres, err = private.StartPostgres(); err != nil {
			t.Fatal(err)
		}
	}
	return s.postgres
}

// Close ends what was started.
func (s *Servers) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rabbitMQ != nil {
		s.rabbitMQ.Close()
	}
	if s.postgres != nil {
		s.postgres.Close()
	}
}
