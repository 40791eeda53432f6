package main

import (
	"context"
	"errors"
	"os"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/internal/app"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/ops"
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
	log := app.NewLog(cfg, t.err)
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
	s, err := app.New(ctx, cfg, version, log, registry)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	defer s.Close()
	if err := s.Run(ctx); errors.Is(err, consumer.ErrCut) {
		return &exitError{exitPartial, nil}
	} else if err != nil {
		return failed(err)
	}
	return nil
}
