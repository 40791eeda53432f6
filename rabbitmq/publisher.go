package rabbitmq

import (
	"bytes"
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
	// ErrRefused means that a queue refused it: full, or unable to store.
	ErrRefused = errors.New("the queue refused the message")
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
// way at once; each waits for its own confirm.
type Publisher struct {
	conn    *amqp.Connection
	ch      *amqp.Channel
	slots   chan struct{}
	blocked atomic.Pointer[string] // the broker's reason, nil when it reads
	ended   chan struct{}          // closed after cause is set, when nothing can be published any more
	cause   *amqp.Error
	pumped  sync.WaitGroup
	// Returned is called for each message that no queue took.
	Returned func()
	// Closed gets a value, or is closed, when nothing can be published any more.
	Closed <-chan *amqp.Error

	mu       sync.Mutex
	returns  chan amqp.Return
	inFlight map[*inFlight]struct{}
}

type inFlight struct {
	exchange, key string
	msg           *amqp.Publishing
	returned      bool
}

// NewPublisher opens a channel in confirm mode on conn, which must not be the connection that consumes: in an alarm the
// broker stops reading from connections that publish, acknowledgements included.
func NewPublisher(conn *amqp.Connection) (*Publisher, error) {
	ch, err := conn.Channel()
	if err != nil {
		return nil, fmt.Errorf("open a channel to publish: %w", err)
	}
	if err := ch.Confirm(false); err != nil {
		return nil, fmt.Errorf("turn confirms on: %w", err)
	}
	p := &Publisher{
		conn: conn, ch: ch,
		slots:    make(chan struct{}, MaxUnconfirmed),
		ended:    make(chan struct{}),
		inFlight: make(map[*inFlight]struct{}),
		Returned: func() {},
		Closed:   ch.NotifyClose(make(chan *amqp.Error, 1)),
		// amqp091-go drops what a listener does not take within 5 s: the buffer holds all that can be under way.
		returns: ch.NotifyReturn(make(chan amqp.Return, 2*MaxUnconfirmed)),
	}
	blocks := conn.NotifyBlocked(make(chan amqp.Blocking, 16))
	why := ch.NotifyClose(make(chan *amqp.Error, 1))
	p.pumped.Go(func() { // ends when the channel does
		p.cause = <-why
		close(p.ended)
	})
	p.pumped.Go(func() { // ends when the connection closes
		for b := range blocks {
			if b.Active {
				p.blocked.Store(&b.Reason)
			} else {
				p.blocked.Store(nil)
			}
		}
	})
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

// Close closes the connection and waits for the publisher's goroutine.
func (p *Publisher) Close() {
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

// Start publishes msg and does not wait: stored does, once, and fails as Publish does. What one goroutine starts is stored
// in its order. No more than MaxUnconfirmed are under way before one of them is waited for.
func (p *Publisher) Start(ctx context.Context, exchange, key string, msg amqp.Publishing) (
	stored func(context.Context) error, err error,
) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	f := &inFlight{exchange: exchange, key: key, msg: &msg}
	p.mu.Lock()
	confirm, err := p.ch.PublishWithDeferredConfirm(exchange, key, true, false, msg)
	if err == nil {
		p.inFlight[f] = struct{}{}
	}
	p.mu.Unlock()
	if err != nil {
		<-p.slots
		Close(p.conn)
		return nil, fmt.Errorf("%w: publish to %s: %w", ErrUnconfirmed, target(exchange, key), p.why(err))
	}
	return func(ctx context.Context) error {
		defer func() { <-p.slots }()
		defer p.forget(f)
		return p.stored(ctx, f, confirm)
	}, nil
}

func (p *Publisher) stored(ctx context.Context, f *inFlight, confirm *amqp.DeferredConfirmation) error {
	if err := p.wait(ctx, confirm); err != nil {
		return fmt.Errorf("publish to %s: %w", target(f.exchange, f.key), err)
	}
	if !confirm.Acked() {
		if p.ch.IsClosed() {
			return fmt.Errorf("publish to %s: %w: %w", target(f.exchange, f.key), ErrUnconfirmed, p.why(errors.New("the connection ended")))
		}
		return fmt.Errorf("publish to %s: %w", target(f.exchange, f.key), ErrRefused)
	}
	if p.wasReturned(f) {
		p.Returned()
		return fmt.Errorf("publish to %s: %w", target(f.exchange, f.key), ErrReturned)
	}
	return nil
}

// why gives the broker's reason for the end of a channel that has ended, such as a right that the user does not have.
func (p *Publisher) why(otherwise error) error {
	if !p.ch.IsClosed() {
		return otherwise
	}
	if <-p.ended; p.cause != nil {
		return p.cause
	}
	return otherwise
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

// wasReturned takes the returns that have arrived and says whether f was among them. The broker sends a return before
// its confirm, and one goroutine of the library reads both, so the return is in the buffer by the time the confirm is
// known. A return is matched by its content: of two equal messages on their way to one queue it does not matter which.
func (p *Publisher) wasReturned(f *inFlight) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		select {
		case r, ok := <-p.returns:
			if !ok {
				return f.returned
			}
			for g := range p.inFlight {
				if !g.returned && g.exchange == r.Exchange && g.key == r.RoutingKey && g.msg.MessageId == r.MessageId &&
					Int(g.msg.Headers, HeaderAttempts) == Int(r.Headers, HeaderAttempts) && bytes.Equal(g.msg.Body, r.Body) {
					g.returned = true
					break
				}
			}
		default:
			return f.returned
		}
	}
}

func (p *Publisher) forget(f *inFlight) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.inFlight, f)
}

func target(exchange, key string) string {
	if exchange == "" {
		return "queue " + key
	}
	return "exchange " + exchange + " with routing key " + key
}
