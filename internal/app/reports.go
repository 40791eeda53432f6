package app

import (
	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/handlers"
	"github.com/mageline/mageline/internal/config"
)

// needsBoth are the downstreams of what is read in the shop and reported to the ERP.
var needsBoth = []string{config.DownstreamMagento, config.DownstreamERP}

var shipmentCreated = registration{
	Consumer: config.Consumer{
		Name: handlers.ShipmentCreatedName, Topics: []string{"sales.shipment.created"}, Needs: needsBoth,
		Does:     "reports the shipment to the ERP",
		Requires: []config.Requirement{ability("shipments", func(a abilities) bool { return a.shipments })},
	},
	wire: func(s *Service) wired {
		reporter, _ := s.remotes.connector.(erp.ShipmentReporter)
		return wired{Consumer: consumer.Consumer{
			Kind: event.Shipments,
			Handler: &handlers.ShipmentCreated{
				Followed: s.followed(), Shipments: s.remotes.shop.Shipments, Reporter: reporter,
				OnlyMagentos: s.cfg.ShipmentReport == config.MagentosShipments,
			},
		}}
	},
	check: func(c *checks) { c.magento.Ship = true },
}

var creditMemoCreated = registration{
	Consumer: config.Consumer{
		Name: handlers.CreditMemoCreatedName, Topics: []string{"sales.creditmemo.created"}, Needs: needsBoth,
		Does:     "reports the credit memo to the ERP, which ships no more of what was refunded",
		Requires: []config.Requirement{ability("credit memos", func(a abilities) bool { return a.creditMemos })},
	},
	wire: func(s *Service) wired {
		reporter, _ := s.remotes.connector.(erp.CreditMemoReporter)
		return wired{Consumer: consumer.Consumer{
			Kind: event.CreditMemos,
			Handler: &handlers.CreditMemoCreated{
				Followed: s.followed(), CreditMemos: s.remotes.shop.CreditMemos, Invoices: s.remotes.shop.Invoices, Reporter: reporter,
			},
		}}
	},
	check: func(c *checks) { c.magento.CreditMemos = true },
}

var customerSaved = registration{
	Consumer: config.Consumer{
		Name: handlers.CustomerSavedName, Topics: []string{"customer.saved"}, Needs: needsBoth,
		Does:     "keeps the ERP's customer as Magento has it",
		Requires: []config.Requirement{ability("customers", func(a abilities) bool { return a.customers })},
	},
	wire: func(s *Service) wired {
		writer, _ := s.remotes.connector.(erp.CustomerWriter)
		return wired{Consumer: consumer.Consumer{
			Kind: event.Customers,
			Handler: &handlers.CustomerSaved{
				Customers: s.remotes.shop.Customers, Writer: writer, Ledger: s.ledger, Stores: s.stores, Rules: s.rules, Export: s.export,
			},
		}}
	},
	check: func(c *checks) { c.magento.Customers = true },
}

// followed is what the handlers of what follows an order share.
func (s *Service) followed() handlers.Followed {
	return handlers.Followed{
		Orders: s.remotes.shop.Orders, ERP: s.remotes.connector, Ledger: s.ledger, Book: s.book, Stores: s.stores, Rules: s.rules, Export: s.export,
	}
}
