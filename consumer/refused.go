package consumer

import (
	"context"
	"time"

	"github.com/mageline/mageline/rabbitmq"
)

// What the broker refuses of one consumer's queues, such as a right that the user lacks on one of them, or a queue that was
// deleted, is tried again by this consumer alone: the session goes on, and the others in it.

// run serves the consumer until the session ends, or until a drain is complete. err is what has kept the consumer's part of
// the topology from being declared. The error that it returns ends the session.
func (p *runner) run(ctx context.Context, s *session, err error) error {
	p.trouble.Store(nil) // of the last session
	p.gaugeRefused()
	if err == nil {
		err = p.serve(s)
	}
	return s.insist(ctx, err, p.refused, func() error {
		if err := p.declare(ctx, s, false); err != nil {
			return err
		}
		return p.serve(s)
	})
}

// insist does something again, with back-off, until the broker refuses it no more, or the session or ctx ends. err is how
// it ended the first time; refused is told of each refusal.
func (s *session) insist(ctx context.Context, err error, refused func(error), again func() error) error {
	backOff := firstBackOff
	for err != nil && !s.over() && !s.consume.IsClosed() {
		if ctx.Err() != nil {
			return nil
		}
		refused(err)
		select {
		case <-time.After(backOff):
		case <-s.ended:
			return nil
		case <-ctx.Done():
			return nil
		}
		backOff = min(2*backOff, maxBackOff)
		began := time.Now()
		err = again()
		if time.Since(began) > time.Minute {
			backOff = firstBackOff
		}
	}
	return err
}

// refused says, once for each reason, why the consumer is not subscribed.
func (p *runner) refused(err error) {
	text := rabbitmq.Explain(err).Error()
	if before := p.trouble.Swap(&text); before == nil || *before != text {
		p.r.opts.Log.Error().Str("event", "consumer_refused").Str("consumer", p.consumer.Name).Str("queue", p.queue).Str("error", text).
			Msg("not subscribed: RabbitMQ refuses it; the other consumers go on, this one tries again")
	}
	p.gaugeRefused()
}

// refusedShared says, once for each reason, what of it RabbitMQ refuses. Consumers go on: one that needs it will be paused.
func (r *Runtime) refusedShared(err error) {
	text := rabbitmq.Explain(err).Error()
	if before := r.trouble.Swap(&text); before == nil || *before != text {
		r.opts.Log.Error().Str("event", "shared_topology_refused").Str("error", text).
			Msg("RabbitMQ refuses a part of the topology: a consumer that needs it will be paused")
	}
}
