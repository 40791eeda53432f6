package app

import (
	"context"

	"github.com/rs/zerolog"

	"github.com/mageline/mageline/handlers"
	"github.com/mageline/mageline/internal/check"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/deadletter"
	"github.com/mageline/mageline/internal/tracking/inbox"
	"github.com/mageline/mageline/magentoapi"
)

// Check looks at all that the enabled consumers need.
func Check(ctx context.Context, cfg *config.Config, version string) ([]check.Line, error) {
	broker, err := Broker(cfg)
	if err != nil {
		return nil, err
	}
	// A circuit would keep one question from being asked because another was not answered.
	calm := *cfg
	calm.BreakerFailures = 0
	remotes, err := wireRemotes(&calm, config.NewSecrets(&calm, zerolog.Nop()), version, zerolog.Nop(), nil)
	if err != nil {
		return nil, err
	}
	defer remotes.close()

	topology := Topology(cfg)
	settings := check.Settings{Retention: cfg.IdempotencyRetention, RetryDelays: cfg.RetryDelays, Warnings: cfg.Warnings}
	var magento, erp, ship, files bool
	for _, c := range cfg.EnabledConsumers() {
		settings.Consumers = append(settings.Consumers, c.Name)
		files = files || c.Inbox
		magento, erp = magento || c.Magento, erp || c.ERP
		ship = ship || c.Name == handlers.TrackingReceived
	}
	probes := []check.Probe{
		check.RabbitMQ{Options: broker, Topology: topology, Management: cfg.AMQPManagementURL.Reveal(), Publishes: files},
		check.DeadLetters{
			Options: broker, Topology: topology, Retention: cfg.IdempotencyRetention,
			Reader: deadletter.New(deadletter.Options{
				Broker: broker, DatabaseURL: DirectURL(cfg), Prefix: cfg.QueuePrefix, Host: Host(), Log: zerolog.Nop(),
			}),
		},
		check.Postgres{URL: cfg.DatabaseURL.Reveal(), DirectURL: cfg.MigrateDatabaseURL.Reveal(), Migrate: cfg.Migrate},
	}
	if magento {
		probe := check.Magento{
			URL: cfg.MagentoURL, HTTP: remotes.magento.Client(), Client: remotes.shop, Comment: (cfg.OrderComment || cfg.OrderCommentFailed) && erp,
			Ship: ship, Create: cfg.TrackingWhenNoShipment == config.CreateShipment,
		}
		if probe.Comment {
			// Comments are written in the states in which orders go out, and of cancellations.
			for _, pair := range cfg.OrderStatusExported.Pairs(append(cfg.OrderExportStates.States(), magentoapi.StateCanceled)) {
				probe.Statuses = append(probe.Statuses, check.OrderStatus{State: pair[0], Status: pair[1]})
			}
		}
		probes = append(probes, probe)
	}
	if erp {
		probes = append(probes, check.ERP{Address: cfg.ERPURL, Find: remotes.connector.FindOrder})
	}
	if files {
		probes = append(probes, check.Inbox{Path: cfg.TrackingDir, Beneath: []string{inbox.Processed, inbox.Failed}})
	}
	return check.Run(ctx, append(probes, settings)...), nil
}
