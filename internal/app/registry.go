package app

import (
	"context"

	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/periodic"
)

// registered are all consumers, in the order in which they are listed everywhere. What configuration, topology, check,
// commands, metrics and docs know of a consumer comes from here: a new one is a registration, in a file of its own, and a
// line in this list. Those without a file are known by name only, so that a setting which names one is told that it is
// not in this build.
var registered = registry{
	orderPlaced,
	orderCanceled,
	shipmentCreated,
	creditMemoCreated,
	customerSaved,
	trackingFileReady,
	trackingReceived,
	productsExported,
	priceSync,
	stockSync,
}

// registration is all that the program has to be told of one consumer.
type registration struct {
	config.Consumer
	// wire makes its handler, and what else runs for it. It connects to nothing. Nil: the consumer is not in this build.
	wire func(*Service) wired
	// check adds to what `mageline check` looks at, beside the downstreams that it needs. Nil: nothing.
	check func(*checks)
}

// wired is what a consumer brings into the service.
type wired struct {
	consumer.Consumer // whose name, topics and needs are those of the registration
	tasks             []periodic.Task
	background        []func(ctx context.Context) // run from the service's start until it stops
	problems          func() []string             // what /readyz names besides, in sentences; it waits for nothing. May be nil
}

// registry is a list of consumers.
type registry []registration

// consumers is what the configuration wants to know of them.
func (r registry) consumers() []config.Consumer {
	all := make([]config.Consumer, 0, len(r))
	for _, one := range r {
		one.Built = one.wire != nil
		all = append(all, one.Consumer)
	}
	return all
}

// enabled returns those that a deployment runs, with their topics as BINDINGS has them.
func (r registry) enabled(cfg *config.Config) []registration {
	var all []registration
	for _, c := range cfg.EnabledConsumers() {
		for _, one := range r {
			if one.Name == c.Name {
				one.Consumer = c
				all = append(all, one)
			}
		}
	}
	return all
}

// Consumers lists all consumers, also those that this build or deployment does not run.
func Consumers() []config.Consumer { return registered.consumers() }

// Load reads the environment for a command that needs so much of it. Its error is a *config.Error with every problem.
func Load(need config.Need) (*config.Config, error) { return config.Load(need, Consumers()) }

// ConsumerNames lists the names of all consumers.
func ConsumerNames() []string {
	names := make([]string, 0, len(registered))
	for _, one := range registered {
		names = append(names, one.Name)
	}
	return names
}
