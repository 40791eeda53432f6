package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Consumer is what the configuration, and whoever asks about consumers without running any, knows of one: its queue, its
// topics and what it needs. The list of them is handed to Load; package app has it.
type Consumer struct {
	Name   string
	Topics []string // that its queue is bound with, unless BINDINGS has others
	Does   string   // for the table of consumers in the README
	// Needs are the downstreams without which its messages can't be handled.
	Needs []string
	// Requires are the variables without which it can't run, besides those of the downstreams.
	Requires []Requirement
	// Keys says what its business keys are, in one word: order; empty is key.
	Keys string
	// Batch consumers work on entries, not messages: the ledger has no row for a message of theirs.
	Batch bool
	// Built is false for one that this build does not have. It is listed so that its name is not called unknown.
	Built bool
}

// The downstreams that a consumer may need.
const (
	DownstreamMagento = "magento"
	DownstreamERP     = "erp"
	DownstreamSearch  = "search"
)

// Requirement is a variable that a consumer can't run without. Such a consumer is left out of CONSUMERS=all where the
// variable is not set, and is a problem where it is named.
type Requirement struct {
	Variable string // without MAGELINE_
	What     string // what the variable names: an inbox
	Met      func(*Config) bool
}

// Uses reports whether the consumer needs a downstream.
func (c Consumer) Uses(downstream string) bool { return slices.Contains(c.Needs, downstream) }

// Row is its row in the README's table of consumers.
func (c Consumer) Row() string {
	return fmt.Sprintf("| `%s` | `%s` | %s |", c.Name, strings.Join(c.Topics, "`, `"), c.Does)
}

// lacks returns the first requirement of a consumer that is not met.
func (c *Config) lacks(consumer Consumer) (Requirement, bool) {
	required := consumer.Requires
	if consumer.Uses(DownstreamERP) {
		required = append([]Requirement{{"ERP", "an ERP", func(c *Config) bool { return c.ERP != NoERP }}}, required...)
	}
	if consumer.Uses(DownstreamSearch) {
		required = append([]Requirement{{"SEARCH", "a search engine", func(c *Config) bool { return c.Search != NoSearch }}}, required...)
	}
	for _, r := range required {
		if !r.Met(c) {
			return r, true
		}
	}
	return Requirement{}, false
}

// EnabledConsumers returns the consumers that this deployment runs, with their topics as BINDINGS has them. One that is
// not in this build, or of which a requirement is not met, is left out.
func (c *Config) EnabledConsumers() []Consumer {
	var enabled []Consumer
	for _, consumer := range c.consumers {
		named := c.Consumers.All() || slices.Contains(c.Consumers, consumer.Name)
		if _, lacking := c.lacks(consumer); !consumer.Built || !named || lacking {
			continue
		}
		consumer.Topics = slices.Clone(consumer.Topics)
		if topics, ok := c.Bindings[consumer.Name]; ok {
			consumer.Topics = slices.Clone(topics)
		}
		enabled = append(enabled, consumer)
	}
	return enabled
}

// find returns the consumer of that name, also one that this build does not have.
func (c *Config) find(name string) (Consumer, bool) {
	i := slices.IndexFunc(c.consumers, func(one Consumer) bool { return one.Name == name })
	if i < 0 {
		return Consumer{}, false
	}
	return c.consumers[i], true
}

// consumerNames lists the consumers for a message.
func (c *Config) consumerNames() string {
	names := make([]string, 0, len(c.consumers))
	for _, one := range c.consumers {
		names = append(names, one.Name)
	}
	return strings.Join(names, ", ")
}

func (l *loader) checkConsumers() {
	for _, name := range slices.Sorted(maps.Keys(l.c.Bindings)) {
		if _, known := l.c.find(name); !known {
			l.problem("BINDINGS", "must be %s; there is no consumer %q, but %s", l.c.Bindings.Type(), name, l.c.consumerNames())
		}
	}
	if l.c.Consumers.All() {
		return
	}
	for _, name := range l.c.Consumers {
		consumer, known := l.c.find(name)
		lacking, lacks := l.c.lacks(consumer)
		switch {
		case !known:
			l.problem("CONSUMERS", "there is no consumer %q, but %s", name, l.c.consumerNames())
		case !consumer.Built:
			l.problem("CONSUMERS", "the consumer %s is not in this build", name)
		case lacks:
			l.problem("CONSUMERS", "the consumer %s needs %s: set %s%s, or leave it out", name, lacking.What, prefix, lacking.Variable)
		}
	}
}
