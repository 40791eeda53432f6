package app

import (
	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/handlers"
	"github.com/mageline/mageline/internal/config"
)

var trackingReceived = registration{
	Consumer: config.Consumer{
		Name: handlers.TrackingReceived, Topics: []string{"shipping.tracking.received"},
		Does: "adds the tracking number to the right shipment of the order, or makes one " +
			"([docs/tracking.md](docs/tracking.md#from-the-message-to-the-shipment))",
		Needs: []string{config.DownstreamMagento},
	},
	wire: wireTrackingReceived,
	check: func(c *checks) {
		c.magento.Ship, c.magento.Create = true, c.cfg.TrackingWhenNoShipment == config.CreateShipment
	},
}

func wireTrackingReceived(s *Service) wired {
	return wired{Consumer: consumer.Consumer{
		Kind: event.Parcels,
		Handler: &handlers.Tracked{
			Orders: s.remotes.shop.Orders, Shipments: s.remotes.shop.Shipments, Ledger: s.ledger, Book: s.book, Key: s.rules.Key,
			Rules: handlers.TrackingRules{
				SourceCode: s.cfg.TrackingSourceCode, Create: s.cfg.TrackingWhenNoShipment == config.CreateShipment,
				Notify: s.cfg.TrackingNotify, Carriers: s.cfg.Profiles().Codes(),
			},
		},
	}}
}
