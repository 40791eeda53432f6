package app

import (
	"context"

	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/handlers"
	"github.com/mageline/mageline/internal/check"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/periodic"
	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/mapping"
)

var orderPlaced = registration{
	Consumer: config.Consumer{
		Name: handlers.OrderPlaced, Topics: []string{"sales.order.placed", "sales.order.updated"}, Keys: "order",
		Does: "reads the order; if it may go out, creates it in the ERP and writes the document number to the order as a comment; " +
			"an order that is not paid yet waits",
		Needs: []string{config.DownstreamMagento, config.DownstreamERP},
	},
	wire:  wireOrderPlaced,
	check: checkOrders,
}

func wireOrderPlaced(s *Service) wired {
	w := wired{
		Consumer: consumer.Consumer{
			Kind: event.Orders,
			Handler: &handlers.Placed{
				Orders: s.remotes.shop.Orders, ERP: s.remotes.connector, Ledger: s.ledger, Book: s.book,
				Stores: s.stores, Rules: s.rules, Export: s.export,
			},
			DeadLettered: s.tellMagento(handlers.OrderPlaced),
		},
	}
	waiting := &handlers.Waiting{
		Orders: s.remotes.shop.Orders, Ledger: s.ledger, Book: s.book, Export: s.export, Key: s.rules.Key, Max: s.cfg.OrderWaitMax,
		Send: func(ctx context.Context, topic string, body []byte) error {
			return s.runtime.Publisher().Send(ctx, handlers.OrderPlaced, topic, body)
		},
	}
	w.tasks = append(w.tasks, periodic.Task{Name: "waiting-orders", Every: s.cfg.OrderWaitEvery, Run: func(ctx context.Context) error {
		if reason, paused := s.runtime.PausedByOperator(handlers.OrderPlaced); paused {
			return &event.Deferral{Reason: reason} // Magento is to be left alone, or the queue would only grow
		}
		return waiting.Run(ctx)
	}})
	if s.cfg.ReconcileEvery > 0 {
		w.tasks = append(w.tasks, s.reconcile())
	}
	return w
}

// orderRules are those that all handlers of orders share.
func orderRules(cfg *config.Config) (handlers.OrderRules, handlers.ExportRules) {
	name := cfg.ERPName
	if name == "" {
		name = string(cfg.ERP)
	}
	rules := handlers.OrderRules{
		Key: mapping.KeyRule(cfg.OrderKey), ReferencePrefix: cfg.ERPReferencePrefix, ERPName: name,
		Comment: cfg.OrderComment, Statuses: &handlers.Statuses{Exported: cfg.OrderStatusExported.Status}, WaitEvery: cfg.OrderWaitEvery,
	}
	export := handlers.ExportRules{
		Allows: cfg.OrderExportStates.Allow, AllowsStore: cfg.OrderExportStores.Allow, From: cfg.OrderExportFrom.Time,
		TrustPayload: cfg.OrderSource == config.Payload, UncertainWait: cfg.ERPUncertainWait, Retention: cfg.IdempotencyRetention,
	}
	return rules, export
}

// tellMagento returns the hook that has Magento told of a consumer's dead-lettered orders; nil where it is not to be told.
func (s *Service) tellMagento(name string) func(context.Context, event.Event, error) {
	if !s.cfg.OrderCommentFailed {
		return nil
	}
	if s.notSent == nil {
		s.notSent = &handlers.NotSent{
			Orders: s.remotes.shop.Orders, Ledger: s.ledger, Rules: s.rules, Log: s.log, Magento: s.remotes.magento,
			Paused: func() bool { return s.pauses.paused(s.remotes.magento.Name()) },
		}
	}
	return func(_ context.Context, e event.Event, err error) { s.notSent.Note(name, e, err) }
}

// checkOrders has `mageline check` look whether orders may be commented on, with the statuses that are set.
func checkOrders(c *checks) {
	c.magento.Comment = c.cfg.OrderComment || c.cfg.OrderCommentFailed
	if !c.magento.Comment {
		return
	}
	c.magento.Statuses = nil // another consumer of orders may have asked for them
	// Comments are written in the states in which orders go out, and of cancellations.
	for _, pair := range c.cfg.OrderStatusExported.Pairs(append(c.cfg.OrderExportStates.States(), magentoapi.StateCanceled)) {
		c.magento.Statuses = append(c.magento.Statuses, check.OrderStatus{State: pair[0], Status: pair[1]})
	}
}
