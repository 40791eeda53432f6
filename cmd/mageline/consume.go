package main

import (
	"context"
	"errors"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/downstream"
	"github.com/mageline/mageline/internal/ops"
	"github.com/mageline/mageline/internal/periodic"
	"github.com/mageline/mageline/internal/tracing"
)

// leastMemory is what the process needs for itself. The garbage collector works harder above MEMORY_LIMIT, but not below this:
// between two of its rounds large bodies go far beyond, and a container is sized for 64 MiB beside the bodies.
const leastMemory = 64 << 20

// gcPercent lets the heap grow to four times what is live before it is collected. Little is live at a time, and each delivery
// leaves some kilobytes of garbage: by default a tenth of the processor time would go into that. MEMORY_LIMIT bounds it.
const gcPercent = 300

// exportTimeout is for the last traces at the end.
const exportTimeout = 5 * time.Second

// consume runs the service until ctx ends and it is drained.
func consume(ctx context.Context, t terminal) error {
	cfg, err := loadConfig(config.EnabledConsumers)
	if err != nil {
		return err
	}
	log := newLog(cfg, t.err)
	registry := prometheus.NewRegistry()
	logOnly(log, t.err, registry)
	for _, warning := range cfg.Warnings {
		log.Warn().Str("event", "configuration_warning").Msg(warning)
	}
	stopTracing, err := tracing.Start(ctx, tracing.Options{Service: "mageline", Version: version, Failed: func(err error) {
		log.Warn().Str("event", "traces_not_exported").Err(err).Msg("traces can't be exported")
	}})
	if err != nil {
		return &exitError{exitUsage, err}
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), exportTimeout)
		defer cancel()
		if err := stopTracing(ctx); err != nil {
			log.Warn().Str("event", "traces_not_exported").Err(err).Msg("the last traces could not be exported")
		}
	}()

	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(max(int64(cfg.MemoryLimit), leastMemory))
	}
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		ops.BuildInfo(version, commit))
	s, err := wire(ctx, cfg, log, registry)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	defer s.close()

	// The page for health outlives ctx: a drain must be seen on it.
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	ctx, stop := context.WithCancel(ctx)
	var background sync.WaitGroup
	defer background.Wait()
	defer stopServing()
	defer stop() // the runtime may have ended by itself
	if cfg.HTTPAddr != "" {
		listener, err := ops.Listen(ctx, cfg.HTTPAddr)
		if err != nil {
			return failed(err)
		}
		log.Info().Str("event", "http_listening").Str("address", listener.Addr().String()).Msg("health and metrics")
		page := ops.Handler(s.readiness, registry)
		background.Go(func() {
			if err := ops.Serve(serving, listener, page); err != nil {
				log.Error().Str("event", "http_failed").Err(err).Msg("no health and metrics any more")
			}
		})
	}
	background.Go(func() {
		ready := func() bool { return s.runtime.Status().Ready() }
		periodic.Run(ctx, s.ledger, ready, log, s.tasks...)
	})

	if s.inbox != nil {
		background.Go(func() { s.inbox.Run(ctx) })
	}
	background.Go(func() { s.secrets.watch(ctx, log, s.runtime.CredentialsChanged) })
	background.Go(func() { s.pauses.watch(ctx) })
	background.Go(func() { s.live(serving) }) // also while it drains
	if s.notSent != nil {
		background.Go(func() { s.notSent.Run(serving) }) // also of what is dead-lettered in the drain
	}

	names := make([]string, 0, len(cfg.EnabledConsumers()))
	for _, c := range cfg.EnabledConsumers() {
		names = append(names, c.Name)
	}
	log.Info().Str("event", "started").Str("version", version).Strs("consumers", names).Msg("mageline starts")
	err = s.runtime.Run(ctx)
	if !errors.Is(err, consumer.ErrHung) { // else the message that hangs is to blame for the end
		s.leave(ctx)
	}
	switch {
	case errors.Is(err, consumer.ErrCut):
		log.Warn().Str("event", "stopped_with_handlers_cut").Err(err).Msg("mageline has stopped")
		return &exitError{exitPartial, nil}
	case err != nil:
		return failed(err)
	}
	log.Info().Str("event", "stopped").Msg("mageline has stopped; everything in flight was finished")
	return nil
}

// readiness is what /readyz answers. It asks nobody: all of it is known.
func (s *service) readiness() ops.Readiness {
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
	for _, d := range []*downstream.Downstream{s.remotes.magento, s.remotes.erp} {
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
	if waiting := s.longWaiting.Load(); waiting != nil {
		r.LongWaiting, r.OldestWait = waiting.orders, waiting.since
	}
	return r
}
