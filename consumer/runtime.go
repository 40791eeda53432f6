package consumer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/mageline/mageline/rabbitmq"
)

// ErrCut is what Run returns when handlers had to be cancelled at the end of Options.ShutdownTimeout.
var ErrCut = errors.New("handlers were cancelled at the end of the shutdown timeout; their messages were requeued")

// ErrHung is what Run returns when a handler has ignored the end of its context for longer than its lease.
var ErrHung = errors.New("a handler does not return and has outlived its lease: the process must end; its message is delivered again")

const (
	firstBackOff = 250 * time.Millisecond
	maxBackOff   = 5 * time.Second
	// How long a cancelled handler may take to return before it is left behind.
	cutGrace = 10 * time.Second
)

// Runtime consumes. Make one with New and run it once.
type Runtime struct {
	opts     Options
	topology rabbitmq.Topology
	metrics  *metrics
	gate     *gate
	runners  []*runner
	tracer   trace.Tracer
	database *databaseWatch
	events   *Publisher

	handlers sync.WaitGroup // every handler that runs, of whichever session
	together sync.RWMutex   // held for reading by each handler, for writing by one that must be alone
	decoding sync.Mutex     // held for each large body
	cut      context.CancelFunc
	work     context.Context // the parent of every handler's context; it outlives the context of Run

	endSelf context.CancelFunc // ends Run
	hung    hung

	session  atomic.Pointer[session]
	broker   atomic.Pointer[string] // why RabbitMQ is not there; nil when it is
	trouble  atomic.Pointer[string] // what it refuses of what all consumers share; nil when nothing
	declared atomic.Bool            // what they share was there once
	blind    atomic.Pointer[string] // why it can't be known whether a binding was missing, as it was said last
	draining atomic.Bool
	stopping sync.Once
	deadline time.Time
}

// New makes a Runtime. It connects to nothing yet. It returns an error for options with which it can't work.
func New(o Options) (*Runtime, error) {
	o.setDefaults()
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("the options of the consumers: %w", err)
	}
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, err
	}
	r := &Runtime{
		opts:     o,
		topology: o.Topology(),
		metrics:  m,
		gate:     newGate(o.Circuits),
		tracer:   o.TracerProvider.Tracer("github.com/mageline/mageline/consumer"),
	}
	starting := "not connected yet"
	r.broker.Store(&starting)
	r.database = newDatabaseWatch(o.Database, r.gate, o.Log)
	r.events = &Publisher{topology: r.topology, session: &r.session, refusedFor: o.ProbeEvery}
	for i := range o.Consumers {
		r.runners = append(r.runners, newRunner(r, &o.Consumers[i]))
	}
	return r, nil
}

// Run consumes until ctx ends, then drains: what has not begun goes back to its queue, handlers have ShutdownTimeout to
// finish. It returns nil after a clean drain, ErrCut when handlers had to be cancelled. RabbitMQ or Postgres being away,
// at the start or later, is waited out for ever. It ends by itself, with ErrHung, when a handler that does not return
// outlives the lease of what it has claimed: the process must end then, or two would be at the same work.
func (r *Runtime) Run(ctx context.Context) error {
	r.work, r.cut = context.WithCancel(context.WithoutCancel(ctx))
	defer r.cut()
	ctx, r.endSelf = context.WithCancel(ctx)
	defer r.endSelf()

	var background sync.WaitGroup
	background.Go(func() { r.database.run(ctx) })
	background.Go(func() { depths{r}.run(ctx) })
	defer background.Wait()

	backOff := firstBackOff
	for number := 1; ctx.Err() == nil; number++ {
		began := time.Now()
		err := r.runSession(ctx, number)
		if ctx.Err() != nil {
			break
		}
		err = rabbitmq.Explain(err)
		text := err.Error()
		r.broker.Store(&text)
		if time.Since(began) > time.Minute {
			backOff = firstBackOff
		}
		wait := backOff/2 + rand.N(backOff) // replicas must not come back in step
		r.opts.Log.Error().Str("event", "rabbitmq_away").Err(err).Dur("retry_in", wait).
			Msg("no RabbitMQ: check its address and the broker; trying again")
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		backOff = min(2*backOff, maxBackOff)
	}
	err := r.awaitHandlers()
	if r.hung.outlived.Load() {
		return ErrHung
	}
	return err
}

// runSession runs one session to its end. It returns nil only when ctx has ended and the session was drained.
func (r *Runtime) runSession(ctx context.Context, number int) error {
	s, err := r.open(ctx, number)
	if err != nil {
		return err
	}
	defer s.close()
	defer r.session.Store(nil)
	r.trouble.Store(nil)
	ended := func(err error) bool { return err != nil && (s.consume.IsClosed() || ctx.Err() != nil) }
	fresh, missing := r.declareShared(ctx, s)
	if ended(missing) {
		return missing
	}
	refused := make([]error, len(r.runners))
	for i, p := range r.runners {
		if refused[i] = p.declare(ctx, s, fresh); ended(refused[i]) {
			return refused[i]
		}
	}
	r.session.Store(s) // before it is said that RabbitMQ is there: what is looked at then is this session
	r.broker.Store(nil)
	r.opts.Log.Info().Str("event", "rabbitmq_connected").Int("session", number).Str("broker", rabbitmq.HostPort(r.opts.Broker.URL)).
		Stringer("node", s.consume.RemoteAddr()).Msg("connected to RabbitMQ")

	s.wg.Go(func() { r.keepTopology(ctx, s) }) // ends with the session, or at the drain
	var serving sync.WaitGroup
	if missing != nil {
		serving.Go(func() {
			if s.insist(ctx, missing, r.refusedShared, func() error { _, err := r.declareShared(ctx, s); return err }) == nil {
				r.trouble.Store(nil)
			}
		})
	}
	for i, p := range r.runners {
		serving.Go(func() {
			if err := p.run(ctx, s, refused[i]); err != nil {
				s.end(err)
			}
		})
	}
	done := make(chan struct{})
	go func() {
		serving.Wait()
		close(done)
	}()
	select {
	case <-ctx.Done():
		r.drain(s, done)
	case <-s.ended:
	}
	if s.over() {
		rabbitmq.Close(s.consume) // a runner may be waiting for an answer on a link that has gone dead
	}
	<-done
	if s.over() {
		return s.cause
	}
	return nil
}

// drain lets the runners of s finish: they requeue what has not begun, and end when their handlers have.
func (r *Runtime) drain(s *session, done <-chan struct{}) {
	r.draining.Store(true)
	r.gate.pause(causeDraining, cause{text: "stopping"})
	select {
	case <-done:
	case <-s.ended:
	case <-time.After(time.Until(r.stopBy())):
		r.cut()
		select {
		case <-done:
		case <-s.ended:
		case <-time.After(time.Until(r.stopBy().Add(cutGrace))):
			s.end(errors.New("handlers did not return after they were cancelled"))
		}
	}
}

// stopBy is when handlers are cancelled: ShutdownTimeout after it was first asked, at once where one has outlived its
// lease.
func (r *Runtime) stopBy() time.Time {
	r.stopping.Do(func() {
		r.deadline = time.Now()
		if !r.hung.outlived.Load() {
			r.deadline = r.deadline.Add(r.opts.ShutdownTimeout)
		}
	})
	return r.deadline
}

// awaitHandlers waits for the handlers that are still running, of sessions that have ended.
func (r *Runtime) awaitHandlers() error {
	r.draining.Store(true)
	done := make(chan struct{})
	go func() {
		r.handlers.Wait()
		close(done)
	}()
	wasCut := r.work.Err() != nil
	select {
	case <-done:
	case <-time.After(time.Until(r.stopBy())):
		wasCut = true
		r.cut()
		select {
		case <-done:
		case <-time.After(time.Until(r.stopBy().Add(cutGrace))):
			return fmt.Errorf("%w; some have not returned", ErrCut)
		}
	}
	if wasCut {
		return ErrCut
	}
	return nil
}

// CredentialsChanged says that a credential is another one now: consumers that are paused because theirs was refused try
// again at once.
func (r *Runtime) CredentialsChanged() { r.gate.probeUnauthorized("") }

// Resumed says that an operator has resumed a consumer or a downstream: where a credential was refused, it is tried again at
// once.
func (r *Runtime) Resumed(name string) { r.gate.probeUnauthorized(name) }

// Outage says that something which a consumer needs, and which has no circuit, is away: a disk is full. The consumer is paused until
// Restored is called; who called Outage finds out when. It reports whether this is new. A handler returns an *event.Deferral with a
// Downstream beside it, so that no attempt is used.
func (r *Runtime) Outage(consumer, reason string) bool {
	return r.gate.pause(causeOutage+consumer, cause{consumer: consumer, text: reason})
}

// Restored ends what Outage has begun.
func (r *Runtime) Restored(consumer string) { r.gate.resume(causeOutage + consumer) }

// SetPauses says what an operator has paused now: names of consumers, or of downstreams for every consumer that needs them,
// each with the reason in words. What is no longer named goes on. A paused consumer finishes what it has begun, keeps
// nothing else and makes no probe. It may be called before Run.
func (r *Runtime) SetPauses(reasons map[string]string) { r.gate.setPauses(reasons) }

// PausedByOperator returns the reason if an operator has paused a consumer or a downstream that it needs.
func (r *Runtime) PausedByOperator(consumer string) (reason string, paused bool) {
	for _, p := range r.runners {
		if p.consumer.Name == consumer {
			return r.gate.operator(p.consumer)
		}
	}
	return "", false
}
