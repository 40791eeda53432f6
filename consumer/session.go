package consumer

import (
	"context"
	"errors"
	"fmt"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/rabbitmq"
)

// session is one pair of connections and all that lives on them. When one of them breaks, all of it ends, and the
// deliveries that came with it can no longer be settled: the broker delivers them again.
type session struct {
	number  int
	consume *amqp.Connection
	publish *rabbitmq.Publisher

	once  sync.Once
	ended chan struct{}
	cause error
	wg    sync.WaitGroup
}

func (r *Runtime) open(ctx context.Context, number int) (*session, error) {
	name := fmt.Sprintf("mageline %s", r.opts.Host)
	consume, err := rabbitmq.Dial(ctx, r.opts.Broker, name+" consume")
	if err != nil {
		return nil, err
	}
	conn, err := rabbitmq.Dial(ctx, r.opts.Broker, name+" publish")
	if err != nil {
		rabbitmq.Close(consume)
		return nil, err
	}
	publish, err := rabbitmq.NewPublisher(conn)
	if err != nil {
		rabbitmq.Close(consume)
		rabbitmq.Close(conn)
		return nil, err
	}
	publish.Returned = r.metrics.returned.Inc
	s := &session{number: number, consume: consume, publish: publish, ended: make(chan struct{})}
	s.watch("the connection that consumes", consume.NotifyClose(make(chan *amqp.Error, 1)))
	s.watch("the connection that publishes", conn.NotifyClose(make(chan *amqp.Error, 1)))
	blocks := conn.NotifyBlocked(make(chan amqp.Blocking, 16))
	s.wg.Go(func() { // ends when the connection closes
		for b := range blocks {
			if b.Active {
				r.opts.Log.Error().Str("event", "publishing_blocked").Str("reason", b.Reason).
					Msg("RabbitMQ reads nothing that is published: retries and dead letters wait; free its memory or disk")
			} else {
				r.opts.Log.Info().Str("event", "publishing_unblocked").Msg("RabbitMQ reads again what is published")
			}
		}
	})
	return s, nil
}

// watch ends the session when closed says that a part of it has ended.
func (s *session) watch(part string, closed <-chan *amqp.Error) {
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		select {
		case err := <-closed:
			if err == nil {
				s.end(errors.New(part + " was closed"))
				return
			}
			s.end(fmt.Errorf("%s ended: %w", part, err))
		case <-s.ended:
		}
	}()
}

// end ends the session; the first cause stays.
func (s *session) end(cause error) {
	s.once.Do(func() {
		s.cause = cause
		close(s.ended)
	})
}

// close closes what the session holds and waits for its goroutines.
func (s *session) close() {
	s.end(errors.New("closed"))
	rabbitmq.Close(s.consume)
	s.publish.Close()
	s.wg.Wait()
}

func (s *session) over() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}
