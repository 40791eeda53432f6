package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

var (
	// ErrReturned means that no queue took the message: the topology is not as it should be.
	ErrReturned = errors.New("no queue took the message")
	// ErrRefused means that the broker refused the message: its queue is full or unable to store, or, with the broker's
	// *amqp.Error, the user may not publish to the exchange or it is not there. Of several that were under way to that
	// exchange some may have been stored all the same.
	ErrRefused = errors.New("the broker refused the message")
	// ErrUnconfirmed means that it is not known whether a queue has it: the connection ended, or the broker never
	// answered, and then the connection is closed.
	ErrUnconfirmed = errors.New("the broker has not confirmed the message")
)

// MaxUnconfirmed is how many publishes are under way at once.
const MaxUnconfirmed = 256

const (
	confirmTimeout = 30 * time.Second
	// A broker in memory or disk alarm stops reading from connections that publish; it may take a while.
	blockedTimeout = 10 * time.Minute
)

// Publisher publishes on one connection, with confirms and the mandatory flag. Publishes of many goroutines are under
// way at once; each waits for its own confirm. Each exchange has a channel of its own: the broker closes the channel of a
// publish that it does not allow, and publishes to other exchanges go on.
type Publisher struct {
	conn    *amqp.Connection
	slots   chan struct{}
	blocked atomic.Pointer[string] // the broker's reason, nil when it reads
	pumped  sync.WaitGroup
	// Returned is called for each message that no queue took.
	Returned func()

	mu      sync.Mutex
	outlets map[string]*outlet // by exchange
	closed  bool
}

// NewPublisher publishes on conn, which must not be the connection that consumes: in an alarm the broker stops reading from
// connections that publish, acknowledgements included.
func NewPublisher(conn *amqp.Connection) (*Publisher, error) {
	p := &Publisher{
		conn:     conn,
		slots:    make(chan struct{}, MaxUnconfirmed),
		Returned: func() {},
		outlets:  map[string]*outlet{},
	}
	blocks := conn.NotifyBlocked(make(chan amqp.Blocking, 16))
	p.pumped.Go(func() { // ends when the connection closes
		for b := range blocks {
			if b.Active {
				p.blocked.Store(&b.Reason)
			} else {
				p.blocked.Store(nil)
			}
		}
	})
	if _, err := p.outlet(context.Background(), ""); err != nil { // what would fail now fails here
		p.Close()
		return nil, err
	}
	return p, nil
}

// Blocked tells the alarm for which the broker has stopped reading what we publish; ok is false when it reads.
func (p *Publisher) Blocked() (reason string, ok bool) {
	if r := p.blocked.Load(); r != nil {
		return *r, true
	}
	return "", false
}

// FrameSize is the connection's, for Again.
func (p *Publisher) FrameSize() int { return p.conn.Config.FrameSize }

// Close closes the connection and waits for the publisher's goroutines.
func (p *Publisher) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	Close(p.conn)
	p.pumped.Wait()
}

// Publish publishes msg and waits until a queue has stored it. It fails with ErrReturned, ErrRefused or ErrUnconfirmed,
// or with ctx's error, after which the message may have been stored or not.
func (p *Publisher) Publish(ctx context.Context, exchange, key string, msg amqp.Publishing) error {
	stored, err := p.Start(ctx, exchange, key, msg)
	if err != nil {
		return err
	}
	return stored(ctx)
}

// Start publishes msg and does not wait: stored does, once, and fails as Publish does. What one goroutine starts to one
// exchange is stored in its order. No more than MaxUnconfirmed are under way before one of them is waited for.
func (p *Publisher) Start(ctx context.Context, exchange, key string, msg amqp.Publishing) (
	stored func(context.Context) error, err error,
) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	f := &inFlight{exchange: exchange, key: key, msg: &msg}
	o, err := p.outlet(ctx, exchange)
	var confirm *amqp.DeferredConfirmation
	if err == nil {
		if confirm, err = o.publish(f); err != nil {
			err = p.failure(o, err)
		}
	}
	if err != nil {
		<-p.slots
		return nil, fmt.Errorf("publish to %s: %w", target(exchange, key), err)
	}
	return func(ctx context.Context) error {
		defer func() { <-p.slots }()
		defer o.forget(f)
		if err := p.stored(ctx, o, f, confirm); err != nil {
			return fmt.Errorf("publish to %s: %w", target(exchange, key), err)
		}
		return nil
	}, nil
}

func (p *Publisher) stored(ctx context.Context, o *outlet, f *inFlight, confirm *amqp.DeferredConfirmation) error {
	if err := p.wait(ctx, confirm); err != nil {
		return err
	}
	switch {
	case confirm.Acked() && o.wasReturned(f):
		p.Returned()
		return ErrReturned
	case confirm.Acked():
		return nil
	case o.ch.IsClosed():
		return p.failure(o, errors.New("the connection ended"))
	default:
		return ErrRefused
	}
}

// failure tells what became of a publish on a channel that has ended, with the broker's reason: the broker ends a channel
// alone for what it does not allow. When anything else is wrong the connection is closed.
func (p *Publisher) failure(o *outlet, otherwise error) error {
	if o.ch.IsClosed() {
		if cause := o.why(); cause != nil && !p.conn.IsClosed() {
			return fmt.Errorf("%w: %w", ErrRefused, cause)
		} else if cause != nil {
			otherwise = cause
		}
	}
	Close(p.conn)
	return fmt.Errorf("%w: %w", ErrUnconfirmed, otherwise)
}

func (p *Publisher) wait(ctx context.Context, confirm *amqp.DeferredConfirmation) error {
	started := time.Now()
	timer := time.NewTimer(confirmTimeout)
	defer timer.Stop()
	for {
		select {
		case <-confirm.Done():
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			if _, blocked := p.Blocked(); blocked && time.Since(started) < blockedTimeout {
				timer.Reset(confirmTimeout)
				continue
			}
			Close(p.conn)
			return fmt.Errorf("%w within %s", ErrUnconfirmed, time.Since(started).Round(time.Second))
		}
	}
}

func target(exchange, key string) string {
	if exchange == "" {
		return "queue " + key
	}
	return "exchange " + exchange + " with routing key " + key
}
