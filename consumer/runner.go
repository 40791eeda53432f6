package consumer

import (
	"sync"
	"sync/atomic"
)

// runner runs one consumer, over all sessions.
type runner struct {
	r        *Runtime
	consumer *Consumer
	queue    string
	span     string // name of a handling's span
	// unauthorized names the cause that pauses a consumer whose credential was refused.
	unauthorized string
	metrics      consumerMetrics
	slots        *slots // also those of handlers of sessions that have ended
	budget       budget

	subscribed  atomic.Bool
	full        atomic.Bool            // what it held at a pause leaves no room for a subscription
	trouble     atomic.Pointer[string] // why it is not subscribed though nothing pauses it; nil once it is
	lack        atomic.Pointer[string] // what RabbitMQ refuses of its topology though it is subscribed; nil when nothing
	running     atomic.Bool            // it serves, in the session there is
	declaring   sync.Mutex
	bound       bool         // with declaring held: its queues and bindings were there once
	single      atomic.Bool  // the queue has a single active consumer: it answers basic.get with 405
	lastSuccess atomic.Int64 // Unix nanoseconds
	pausedSince atomic.Int64 // Unix nanoseconds; 0: it is not paused
	// What was counted last in its queue and among its dead letters.
	messages, deadLetters atomic.Int64
	emptied               atomic.Int64 // Unix nanoseconds: when its queue was last seen empty; 0: not yet
}

func newRunner(r *Runtime, c *Consumer) *runner {
	return &runner{
		r: r, consumer: c, queue: r.topology.Queue(c.Name), span: "handle " + c.Name, unauthorized: causeUnauthorized + c.Name,
		metrics: r.metrics.of(c.Name), slots: newSlots(c.Limits.Concurrency),
		budget: budget{share: r.opts.MemoryLimit / int64(len(r.opts.Consumers))},
	}
}
