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
	// ErrReturned means that no queue took the message: a queue or binding is missing.
	ErrReturned = errors.New("no queue took the message")
	// ErrRefused means that the broker refused the message: its queue is full or can't store it. With the broker's
	// *amqp.Error, the user may not publish to the exchange or there is no such exchange. Then some of several messages in
	// flight to that exchange may have been stored nevertheless.
	ErrRefused = errors.New("the broker refused the message")
	// ErrUnconfirmed means that it is not known whether a queue has the message: the connection ended, or the broker did not
	// answer, in which case the connection is closed.
	ErrUnconfirmed = errors.New("the broker has not confirmed the message")
)

// MaxUnconfirmed is how many publishes may be in flight at once.
const MaxUnconfirmed = 256

const (
	confirmTimeout = 30 * time.Second
	// blockedTimeout bounds the wait for a confirm during an alarm of memory or disk, when the broker stops reading from
	// connections that publish.
	blockedTimeout = 10 * time.Minute
)

// Publisher publishes on one connection, with confirms and the mandatory flag. Its methods may be called concurrently: publishes
// are pipelined, and each waits for its own confirm. Each exchange has a channel of its own: the broker closes the channel of a
// publish that it does not allow, and publishes to other exchanges go on.
type Publisher struct {
	conn    *amqp.Connection
	slots   chan struct{}
	blocked atomic.Pointer[string] // the reason of an alarm; nil while the broker reads
	pumped  sync.WaitGroup
	// Returned is called for each message that no queue took.
	Returned func()

	mu      sync.Mutex
	outlets map[string]*outlet // by exchange
	closed  bool
}

// NewPublisher returns a Publisher on conn, which it owns. conn must not be the connection that consumes: in an alarm the broker
// stops reading from connections that publish, and acknowledgements would wait too.
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
	if _, err := p.outlet(context.Background(), ""); err != nil { // so that a failure shows here
		p.Close()
		return nil, err
	}
	return p, nil
}

// Blocked returns the alarm for which the broker has stopped reading from this connection; ok is false while it reads.
func (p *Publisher) Blocked() (reason string, ok bool) {
	if r := p.blocked.Load(); r != nil {
		return *r, true
	}
	return "", false
}

// FrameSize returns the frame size of the connection, for Republishing.
func (p *Publisher) FrameSize() int { return p.conn.Config.FrameSize }

// Close closes the connection and waits for the publisher's goroutines.
func (p *Publisher) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	Close(p.conn)
	p.pumped.Wait()
}

// Publish publishes msg and waits until a queue has stored it. It fails with ErrReturned, ErrRefused or ErrUnconfirmed, or with
// ctx's error. After the last two the message may have been stored or not.
func (p *Publisher) Publish(ctx context.Context, exchange, key string, msg amqp.Publishing) error {
	stored, err := p.Start(ctx, exchange, key, msg)
	if err != nil {
		return err
	}
	return stored(ctx)
}

// Start publishes msg and does not wait. stored, which must be called once, waits and fails as Publish does. Messages that one
// goroutine starts to one exchange are stored in that order. Start blocks while MaxUnconfirmed publishes are in flight.
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

// failure returns the error of a publish on a closed channel. The broker closes a channel alone for a publish that it does not
// allow: that is ErrRefused, with the broker's reason. After anything else failure closes the connection.
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
