package app

import (
	"context"

	"github.com/rs/zerolog"

	"github.com/mageline/mageline/internal/check"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/inbox"
)

// checks is what `mageline check` looks at. Each enabled consumer adds to it.
type checks struct {
	cfg      *config.Config
	rabbitmq check.RabbitMQ
	magento  check.Magento   // looked at where a consumer needs Magento
	more     []check.Checker // those that no downstream brings
	remotes  *remotes
}

// lists looks at the inbox of a consumer of prices or stock, if it has one.
func (c *checks) lists(dir string) {
	if dir != "" {
		c.rabbitmq.Publishes = true
		c.more = append(c.more, check.Inbox{Path: dir, Beneath: []string{inbox.Processed, inbox.Failed}})
	}
}

// Check looks at all that the enabled consumers need.
func Check(ctx context.Context, cfg *config.Config, version string) ([]check.Finding, error) {
	return registered.check(ctx, cfg, version)
}

func (r registry) check(ctx context.Context, cfg *config.Config, version string) ([]check.Finding, error) {
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

	letters, err := DeadLetters(cfg)
	if err != nil {
		return nil, err
	}
	topology := Topology(cfg)
	settings := check.Settings{Retention: cfg.IdempotencyRetention, RetryDelays: cfg.RetryDelays, ReconcileEvery: cfg.ReconcileEvery, Warnings: cfg.Warnings}
	c := &checks{
		cfg:      cfg,
		rabbitmq: check.RabbitMQ{Options: broker, Topology: topology, Management: cfg.AMQPManagementURL.Reveal()},
		remotes:  remotes,
		magento:  check.Magento{URL: cfg.MagentoURL, HTTP: remotes.magento.Client(), Client: remotes.shop},
	}
	var magento, erp bool
	for _, one := range r.enabled(cfg) {
		settings.Consumers = append(settings.Consumers, one.Name)
		c.magento.Orders = c.magento.Orders || one.Uses(config.DownstreamMagento) && !one.Batch
		magento, erp = magento || one.Uses(config.DownstreamMagento), erp || one.Uses(config.DownstreamERP)
		if one.check != nil {
			one.check(c)
		}
	}
	checkers := []check.Checker{
		c.rabbitmq,
		check.DeadLetters{
			Options: broker, Topology: topology, Retention: cfg.IdempotencyRetention,
			Reader: letters,
		},
		check.Postgres{URL: cfg.DatabaseURL.Reveal(), DirectURL: cfg.MigrateDatabaseURL.Reveal(), Migrate: cfg.Migrate},
	}
	if magento {
		checkers = append(checkers, c.magento)
	}
	if erp {
		variable, address := erpAddress(cfg)
		if cfg.ERP == config.NetSuite {
			checkers = append(checkers, check.NetSuite{TokenBased: cfg.NetSuiteAuth == config.TokenBased, Certificate: cfg.NetSuiteCertificate})
		}
		settings.UncertainWait, settings.LongestCreate = cfg.ERPUncertainWait, cfg.LongestCreate()
		checkers = append(checkers, check.ERP{Address: address, Variable: variable, Find: remotes.connector.Find})
	}
	return check.Run(ctx, append(append(checkers, c.more...), settings)...), nil
}
