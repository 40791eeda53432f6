package app

import (
	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/handlers"
	"github.com/mageline/mageline/internal/config"
)

var orderCanceled = registration{
	Consumer: config.Consumer{
		Name: handlers.OrderCanceled, Topics: []string{"sales.order.canceled"}, Keys: "order",
		Does:  "takes what was cancelled from the ERP's document, and tells Magento",
		Needs: []string{config.DownstreamMagento, config.DownstreamERP},
	},
	wire:  wireOrderCanceled,
	check: checkOrders,
}

func wireOrderCanceled(s *Service) wired {
	return wired{Consumer: consumer.Consumer{
		Kind: event.Orders,
		Handler: &handlers.Canceled{
			Orders: s.remotes.shop.Orders, ERP: s.remotes.connector, Ledger: s.ledger, Book: s.book, Rules: s.rules, Export: s.export,
		},
		DeadLettered: s.tellMagento(handlers.OrderCanceled),
	}}
}
