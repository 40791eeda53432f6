package app

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/internal/ops"
	"github.com/mageline/mageline/internal/periodic"
)

// Run runs the service until ctx ends and it is drained. Its error is a consumer.ErrCut where handlers had to be cancelled.
func (s *Service) Run(ctx context.Context) error {
	// /readyz outlives ctx, as it shows the drain.
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	ctx, stop := context.WithCancel(ctx)
	var background sync.WaitGroup
	defer background.Wait()
	defer stopServing()
	defer stop() // the runtime may have ended by itself
	if s.cfg.HTTPAddr != "" {
		listener, err := ops.Listen(ctx, s.cfg.HTTPAddr)
		if err != nil {
			return err
		}
		s.log.Info().Str("event", "http_listening").Str("address", listener.Addr().String()).Msg("health and metrics")
		page := ops.Handler(s.readiness, s.registry)
		background.Go(func() {
			if err := ops.Serve(serving, listener, page); err != nil {
				s.log.Error().Str("event", "http_failed").Err(err).Msg("no health and metrics any more")
			}
		})
	}
	background.Go(func() {
		ready := func() bool { return s.runtime.Status().Ready() }
		periodic.Run(ctx, s.ledger, ready, s.log, s.tasks...)
	})

	for _, run := range s.background {
		background.Go(func() { run(ctx) })
	}
	background.Go(func() { s.secrets.Watch(ctx, s.runtime.CredentialsChanged) })
	background.Go(func() { s.pauses.watch(ctx) })
	background.Go(func() { s.live(serving) }) // also while it drains
	if s.notSent != nil {
		background.Go(func() { s.notSent.Run(serving) }) // also of what is dead-lettered in the drain
	}

	names := make([]string, 0, len(s.cfg.EnabledConsumers()))
	for _, c := range s.cfg.EnabledConsumers() {
		names = append(names, c.Name)
	}
	s.log.Info().Str("event", "started").Str("version", s.version).Strs("consumers", names).Msg("mageline starts")
	err := s.runtime.Run(ctx)
	if !errors.Is(err, consumer.ErrHung) { // else the message that hangs is to blame for the end
		s.leave(ctx)
	}
	switch {
	case errors.Is(err, consumer.ErrCut):
		s.log.Warn().Str("event", "stopped_with_handlers_cut").Err(err).Msg("mageline has stopped")
	case err == nil:
		s.log.Info().Str("event", "stopped").Msg("mageline has stopped; everything in flight was finished")
	}
	return err
}

// readiness is what /readyz answers. It calls nothing remote.
func (s *Service) readiness() ops.Readiness {
	status := s.runtime.Status()
	part := func(p consumer.Part) ops.Dependency {
		d := ops.Dependency{State: p.State, Reason: p.Reason}
		if !p.Until.IsZero() {
			d.Reason += ", until " + p.Until.UTC().Format(time.RFC3339)
		}
		if !p.Since.IsZero() {
			at := p.Since.UTC().Truncate(time.Second)
			d.Since = &at
		}
		return d
	}
	r := ops.Readiness{
		Ready: status.Ready(), Stopping: status.Draining, RabbitMQ: part(status.RabbitMQ), Postgres: part(status.Postgres),
		Downstreams: map[string]ops.Downstream{}, Consumers: map[string]ops.Consumer{}, DeadLetters: map[string]int{},
	}
	for _, d := range s.remotes.all() {
		if p, needed := status.Downstreams[d.Name()]; needed {
			recent := d.Recent()
			r.Downstreams[d.Name()] = ops.Downstream{
				Dependency: part(p), Calls: recent.Calls, Failures: recent.Failures, Timeouts: recent.Timeouts, Codes: recent.Codes,
			}
		}
	}
	for name, p := range status.Consumers {
		r.Consumers[name] = ops.Consumer{Dependency: part(p.Part), Messages: p.Messages}
		r.DeadLetters[p.DeadLetterQueue] = p.DeadLetters
	}
	for _, problems := range s.problems {
		r.Other = append(r.Other, problems()...)
	}
	if s.remotes.broken != nil {
		r.Codes = s.remotes.broken()
	}
	if waiting := s.longWaiting.Load(); waiting != nil {
		r.LongWaiting, r.OldestWait = waiting.orders, waiting.since
	}
	r.HeldPrices = s.heldProblem()
	return r
}
