package consumer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/mageline/mageline/rabbitmq"
)

// What was declared may vanish while the process runs: somebody deletes a queue, Magento's setup makes its exchange again, a
// broker loses a node and some of its bindings (rabbitmq-server issue 12782). Nobody is told, so all of it is declared
// again and again.

// boundPatience is for the management API, which must not hold up a binding.
const boundPatience = 5 * time.Second

// keepTopology declares what s needs again, every LookEvery, until it ends.
func (r *Runtime) keepTopology(ctx context.Context, s *session) {
	for {
		every := r.opts.LookEvery
		select {
		case <-time.After(every - rand.N(1+every/10)): // replicas must not do it in step
		case <-ctx.Done():
			return
		case <-s.ended:
			return
		}
		fresh, err := r.declareShared(ctx, s)
		if s.over() || ctx.Err() != nil {
			return
		}
		if err != nil {
			r.refusedShared(err)
		} else {
			r.trouble.Store(nil)
		}
		for _, p := range r.runners {
			if !p.running.Load() { // it declares all by itself before it runs again
				continue
			}
			err := p.declare(ctx, s, fresh)
			if s.over() || ctx.Err() != nil {
				return
			}
			if err != nil {
				p.lacks(err)
			}
		}
	}
}

// declareShared makes what is missing of what all consumers use: Magento's exchange and the retry queues. fresh says that the
// exchange was missing.
func (r *Runtime) declareShared(ctx context.Context, s *session) (fresh bool, err error) {
	shared := r.topology
	shared.Consumers = nil
	made, err := shared.Declare(ctx, s.consume)
	r.made(made, r.declared.Load())
	if err != nil {
		return false, fmt.Errorf("declare the topology: %w", err)
	}
	r.declared.Store(true)
	return slices.Contains(made, rabbitmq.ExchangeMade(shared.Exchange)), nil
}

// declare makes what is missing of the consumer's own queues and bindings. fresh says that Magento's exchange was missing. An
// error is one without which the consumer can't be subscribed. That it can't be bound any more is none: its queue may hold
// much. What has vanished since it was declared is counted, bindings where that can be known.
func (p *runner) declare(ctx context.Context, s *session, fresh bool) error {
	p.declaring.Lock()
	defer p.declaring.Unlock()
	own := p.r.topology
	own.Consumers, own.Delays = []rabbitmq.ConsumerQueue{{Consumer: p.consumer.Name, Topics: p.consumer.Topics}}, nil
	made, err := own.Make(ctx, s.consume)
	p.r.made(made, p.bound)
	gone := p.unbound(ctx, s, own)
	if fresh || slices.Contains(made, rabbitmq.ExchangeMade(own.Exchange)) || slices.Contains(made, rabbitmq.QueueMade(p.queue)) {
		gone = p.consumer.Topics
	}
	bind := own.Bind(ctx, s.consume)
	switch {
	case err != nil && bind != nil:
		return fmt.Errorf("declare the topology: %w; %w", err, bind)
	case err != nil:
		return fmt.Errorf("declare the topology: %w", err)
	case bind != nil && p.bound && rabbitmq.IsRefused(bind):
		p.lacks(bind)
		return nil
	case bind != nil:
		return fmt.Errorf("declare the topology: %w", bind)
	}
	p.lacks(nil)
	if p.bound && len(gone) > 0 {
		p.r.metrics.restored.WithLabelValues("binding").Add(float64(len(gone)))
		p.r.opts.Log.Warn().Str("event", "bindings_restored").Str("consumer", p.consumer.Name).Str("queue", p.queue).
			Str("exchange", own.Exchange).Strs("topics", gone).
			Msg("bindings had vanished and are declared again: events that were published without them have not come to the queue")
	}
	p.bound = true
	return nil
}

// declareAll makes what is missing of all that the consumer publishes to.
func (p *runner) declareAll(ctx context.Context, s *session) error {
	fresh, shared := p.r.declareShared(ctx, s)
	if err := p.declare(ctx, s, fresh); err != nil {
		return err
	}
	return shared
}

// unbound returns the topics to which the queue is not bound, as far as that can be known.
func (p *runner) unbound(ctx context.Context, s *session, own rabbitmq.Topology) (gone []string) {
	if p.r.opts.Bound == nil {
		there, err := own.Testify(s.consume, p.consumer.Name)
		if err != nil && !s.consume.IsClosed() {
			p.r.unwatched(err, "give the user of the connection the right to write on exchange "+own.Exchange+", or have the management API asked")
		}
		if err == nil && !there {
			return p.consumer.Topics
		}
		return nil
	}
	if !p.bound {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, boundPatience)
	defer cancel()
	topics, err := p.r.opts.Bound(ctx, p.queue)
	if err != nil {
		p.r.unwatched(err, "see that the management API is RabbitMQ's and that its user may see the vhost")
		return nil
	}
	for _, topic := range p.consumer.Topics {
		if !slices.Contains(topics, topic) {
			gone = append(gone, topic)
		}
	}
	return gone
}

// made says what was missing. before says that this process has had it.
func (r *Runtime) made(made []string, before bool) {
	switch {
	case len(made) == 0:
	case !before:
		r.opts.Log.Info().Str("event", "topology_declared").Strs("made", made).Msg("declared what was missing in RabbitMQ")
	default:
		for _, what := range made {
			kind, _, _ := strings.Cut(what, " ")
			r.metrics.restored.WithLabelValues(kind).Inc()
		}
		r.opts.Log.Warn().Str("event", "topology_restored").Strs("made", made).
			Msg("this was deleted in RabbitMQ while mageline ran, and is declared again: what a queue held is gone")
	}
}

// unwatched says, once for each reason, that nobody would notice if a binding vanished.
func (r *Runtime) unwatched(err error, todo string) {
	text := err.Error()
	if before := r.blind.Swap(&text); before == nil || *before != text {
		r.opts.Log.Info().Str("event", "bindings_unwatched").Err(err).
			Msg("a binding that vanishes is declared again within a minute, but whether one was missing can't be known: " + todo)
	}
}

// lacks says, once for each reason, what RabbitMQ refuses of a consumer that goes on; nil: nothing any more.
func (p *runner) lacks(err error) {
	if err == nil {
		if p.lack.Swap(nil) != nil {
			p.r.opts.Log.Info().Str("event", "topology_accepted").Str("consumer", p.consumer.Name).Str("queue", p.queue).
				Msg("RabbitMQ refuses nothing of the consumer's topology any more")
		}
		p.gaugeRefused()
		return
	}
	text := rabbitmq.Explain(err).Error()
	if before := p.lack.Swap(&text); before == nil || *before != text {
		p.r.opts.Log.Error().Str("event", "topology_refused").Str("consumer", p.consumer.Name).Str("queue", p.queue).Str("error", text).
			Msg("RabbitMQ refuses a part of the consumer's topology: it goes on with what is in its queue, but new events may not come to it")
	}
	p.gaugeRefused()
}

// gaugeRefused keeps the metric of what RabbitMQ refuses the consumer.
func (p *runner) gaugeRefused() {
	refused := 0.0
	if p.trouble.Load() != nil || p.lack.Load() != nil {
		refused = 1
	}
	p.metrics.refused.Set(refused)
}
