package consumer

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/mageline/mageline/rabbitmq"
)

// validate returns what is wrong with the options, all of it at once. Defaults are set already.
func (o *Options) validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(o.Consumers) == 0 {
		wrong("no consumers: set Options.Consumers")
	}
	switch o.QueueType {
	case "", rabbitmq.Quorum, rabbitmq.Classic:
	default:
		wrong("queue type %q is neither %q nor %q", o.QueueType, rabbitmq.Quorum, rabbitmq.Classic)
	}
	for _, d := range o.RetryDelays {
		if d < time.Millisecond {
			wrong("a retry delay of %s: the shortest is 1ms", d)
		}
	}
	for name, d := range map[string]time.Duration{
		"Lease": o.Lease, "ShutdownTimeout": o.ShutdownTimeout, "ProbeEvery": o.ProbeEvery, "LookEvery": o.LookEvery,
	} {
		if d < 0 {
			wrong("%s is negative: %s", name, d)
		}
	}
	if o.MemoryLimit < 0 {
		wrong("MemoryLimit is negative: %d", o.MemoryLimit)
	}
	circuits := map[string]bool{}
	for _, c := range o.Circuits {
		if circuits[c.Name()] {
			wrong("two circuits are named %q", c.Name())
		}
		circuits[c.Name()] = true
	}
	names := map[string]bool{}
	for i := range o.Consumers {
		c := &o.Consumers[i]
		if c.Name == "" {
			wrong("consumer %d has no name", i+1)
			continue
		}
		if names[c.Name] {
			wrong("two consumers are named %q", c.Name)
		}
		names[c.Name] = true
		for _, err := range c.validate(circuits) {
			wrong("consumer %s: %w", c.Name, err)
		}
	}
	return errors.Join(errs...)
}

func (c *Consumer) validate(circuits map[string]bool) (errs []error) {
	if len(c.Topics) == 0 {
		errs = append(errs, errors.New("it has no topics"))
	}
	if slices.Contains(c.Topics, "") {
		errs = append(errs, errors.New("one of its topics is empty"))
	}
	switch {
	case c.Batch != nil:
		errs = append(errs, c.Batch.validate()...)
		if c.Handler != nil {
			errs = append(errs, errors.New("it has both a handler and a batch"))
		}
		if c.DeadLettered != nil {
			errs = append(errs, errors.New("DeadLettered is not called for the messages of a batch"))
		}
	case c.Handler == nil:
		errs = append(errs, errors.New("it has no handler"))
	}
	for _, name := range c.Needs {
		if !circuits[name] {
			errs = append(errs, fmt.Errorf("it needs the circuit %q, which is not among the circuits of the options", name))
		}
	}
	if n := c.Limits.Prefetch; n < 1 || n > math.MaxUint16 {
		errs = append(errs, fmt.Errorf("a prefetch of %d: from 1 to %d is possible", n, math.MaxUint16))
	}
	if n := c.Limits.Concurrency; n < 1 {
		errs = append(errs, fmt.Errorf("a concurrency of %d: at least 1 is possible", n))
	}
	if d := c.Limits.HandlerTimeout; d < 0 {
		errs = append(errs, fmt.Errorf("a handler time-out of %s", d))
	}
	return errs
}
