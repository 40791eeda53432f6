package main

import (
	"context"
	"fmt"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/mageline/mageline/handlers"
	"github.com/mageline/mageline/internal/check"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/deadletter"
	"github.com/mageline/mageline/internal/tracking/inbox"
	"github.com/mageline/mageline/magentoapi"
)

func newCheck(t terminal) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Is everything there that the enabled consumers need, and can a setting lose messages?",
		Long: `Prints a line for each dependency, credential and permission that the enabled consumers need, and for each setting that can
lose messages: OK, WARN, FAIL, or UNKNOWN where it can't be seen, then what it is and what to do. It changes nothing.
Exit code 1 if a line is FAIL.`,
		Example: "  mageline check\n  mageline check --json | jq -r 'select(.status != \"OK\") | .todo'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(config.EnabledConsumers)
			if err != nil {
				return err
			}
			lines, err := checkAll(cmd.Context(), cfg)
			if err != nil {
				return &exitError{exitUsage, err}
			}
			for _, line := range lines {
				if asJSON {
					err = printJSON(t.out, line)
				} else {
					_, err = fmt.Fprintln(t.out, line)
				}
				if err != nil {
					return failed(err)
				}
			}
			if n := check.Failed(lines); n > 0 {
				return failed(fmt.Errorf("%d of %d are FAIL", n, len(lines)))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	return cmd
}

// checkAll looks at all that the enabled consumers need.
func checkAll(ctx context.Context, cfg *config.Config) ([]check.Line, error) {
	broker, err := brokerOptions(cfg)
	if err != nil {
		return nil, err
	}
	// A circuit would keep one question from being asked because another was not answered.
	calm := *cfg
	calm.BreakerFailures = 0
	remotes, err := wireRemotes(&calm, newSecrets(&calm), zerolog.Nop(), nil)
	if err != nil {
		return nil, err
	}
	defer remotes.close()

	topology := topologyOf(cfg)
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
				Broker: broker, DatabaseURL: directURL(cfg), Prefix: cfg.QueuePrefix, Host: hostname(), Log: zerolog.Nop(),
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
