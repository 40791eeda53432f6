package rabbitmq

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"
)

// outlet is the channel for all publishes to one exchange.
type outlet struct {
	opened chan struct{} // closed when the channel is open or err is set
	err    error
	ch     *amqp.Channel
	why    func() *amqp.Error // why the broker closed ch; it blocks until ch is closed

	mu       sync.Mutex
	returns  chan amqp.Return
	inFlight map[*inFlight]struct{}
}

type inFlight struct {
	exchange, key string
	msg           *amqp.Publishing
	returned      bool
}

// outlet returns the channel of an exchange. It opens a new one after the broker has closed the last. While the broker reads
// nothing, opening blocks.
func (p *Publisher) outlet(ctx context.Context, exchange string) (*outlet, error) {
	p.mu.Lock()
	o := p.outlets[exchange]
	if o == nil || o.over() {
		if p.closed {
			p.mu.Unlock()
			return nil, fmt.Errorf("%w: %w", ErrUnconfirmed, amqp.ErrClosed)
		}
		o = &outlet{opened: make(chan struct{}), inFlight: map[*inFlight]struct{}{}}
		p.outlets[exchange] = o
		p.pumped.Go(func() { // ends when the broker answers, or with the connection
			defer close(o.opened)
			o.err = o.open(p.conn)
		})
	}
	p.mu.Unlock()
	select {
	case <-o.opened:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if o.err != nil {
		Close(p.conn)
		return nil, fmt.Errorf("%w: %w", ErrUnconfirmed, o.err)
	}
	return o, nil
}

func (o *outlet) open(conn *amqp.Connection) (err error) {
	if o.ch, err = conn.Channel(); err != nil {
		return fmt.Errorf("open a channel to publish: %w", err)
	}
	// amqp091-go drops what a listener does not receive within 5 s: the buffer has room for all that can be in flight.
	o.returns = o.ch.NotifyReturn(make(chan amqp.Return, 2*MaxUnconfirmed))
	closed := o.ch.NotifyClose(make(chan *amqp.Error, 1))
	o.why = sync.OnceValue(func() *amqp.Error { return <-closed })
	if err := o.ch.Confirm(false); err != nil {
		return fmt.Errorf("turn confirms on: %w", err)
	}
	return nil
}

// over reports whether the channel is closed or could not be opened.
func (o *outlet) over() bool {
	select {
	case <-o.opened:
		return o.err != nil || o.ch.IsClosed()
	default:
		return false
	}
}

func (o *outlet) publish(f *inFlight) (*amqp.DeferredConfirmation, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	confirm, err := o.ch.PublishWithDeferredConfirm(f.exchange, f.key, true, false, *f.msg)
	if err == nil {
		o.inFlight[f] = struct{}{}
	}
	return confirm, err
}

// wasReturned reads the returns that have arrived and reports whether f was among them. The broker sends a return before its
// confirm, and one goroutine of the library reads both, so the return is in the buffer when the confirm is known. A return is
// matched by its content: of two equal messages to one queue it does not matter which.
func (o *outlet) wasReturned(f *inFlight) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		select {
		case r, ok := <-o.returns:
			if !ok {
				return f.returned
			}
			for g := range o.inFlight {
				if !g.returned && g.key == r.RoutingKey && g.msg.MessageId == r.MessageId &&
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

func (o *outlet) forget(f *inFlight) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.inFlight, f)
}
