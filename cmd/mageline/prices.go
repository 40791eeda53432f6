package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/mageline/mageline/internal/app"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/operate"
	"github.com/mageline/mageline/internal/watermark"
	"github.com/mageline/mageline/rabbitmq"
)

func newPrices(t terminal) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "prices",
		Short:   "Decide over prices that were held because they change too much",
		Long:    "A base or special price that differs by more than PRICE_MAX_CHANGE from what Magento has is held, and not written, until somebody decides.",
		Example: "  mageline prices held\n  mageline prices release 24-MB01\n  mageline prices drop --all",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return missingCommand(cmd, "held, release or drop") },
	}
	list := &cobra.Command{
		Use:     "held",
		Short:   "List the held prices, the oldest first",
		Example: "  mageline prices held --json | jq -r .sku",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withPrices(cmd.Context(), func(p operate.Prices) error { return listHeld(cmd.Context(), t, p, asJSON) })
		},
	}
	release := decide(t, &asJSON, "release", "Have held prices written, each as of its own version",
		func(ctx context.Context, p operate.Prices, sku string) (int, error) { return p.Release(ctx, sku) })
	drop := decide(t, &asJSON, "drop", "Forget held prices: what Magento has stays",
		func(ctx context.Context, p operate.Prices, sku string) (int, error) { return p.Drop(ctx, sku) })
	for _, c := range []*cobra.Command{list, release, drop} {
		c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	}
	cmd.AddCommand(list, release, drop)
	return cmd
}

// decide makes a command that decides over the held prices of a SKU, or all.
func decide(t terminal, asJSON *bool, name, short string, do func(ctx context.Context, p operate.Prices, sku string) (int, error)) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:     name + " SKU|--all",
		Short:   short,
		Example: fmt.Sprintf("  mageline prices %s 24-MB01\n  mageline prices %s --all", name, name),
		Args: func(_ *cobra.Command, args []string) error {
			if all == (len(args) == 1) || len(args) > 1 || len(args) == 1 && args[0] == "" {
				return errors.New("want a SKU, or --all")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			sku := ""
			if !all {
				sku = args[0]
			}
			return withPrices(cmd.Context(), func(p operate.Prices) error {
				n, err := do(cmd.Context(), p, sku)
				if err != nil {
					return err
				}
				return printDone(t, *asJSON, map[string]string{"release": "released", "drop": "dropped"}[name], n)
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "all that are held")
	return cmd
}

func listHeld(ctx context.Context, t terminal, p operate.Prices, asJSON bool) error {
	all, err := p.Held(ctx)
	if err != nil {
		return err
	}
	header := []string{"SKU", "KIND", "SCOPE", "OLD", "NEW", "AS OF", "HELD SINCE", "RELEASED", "MESSAGE"}
	return printAll(t, asJSON, all, header, func(h watermark.HeldPrice) []string {
		released := ""
		if h.Released {
			released = "yes, not written yet"
		}
		return []string{h.SKU, h.Kind, h.Scope, h.Old.String(), h.New.String(), stamp(h.AsOf), stamp(h.Since), released, h.Message}
	})
}

// withPrices opens the held prices for a command. It connects to RabbitMQ when the first message is to be sent.
func withPrices(ctx context.Context, do func(operate.Prices) error) error {
	cfg, err := loadConfig(config.Nothing)
	if err != nil {
		return err
	}
	store, closeStore, err := app.OpenWatermarks(ctx, cfg)
	if err != nil {
		return failed(err)
	}
	defer closeStore()
	var publisher *rabbitmq.Publisher
	defer func() {
		if publisher != nil {
			publisher.Close()
		}
	}()
	queue := app.PriceQueue(cfg)
	return failed(do(operate.Prices{Store: store, Publish: func(ctx context.Context, body []byte) error {
		if publisher == nil {
			conn, err := app.Dial(ctx, cfg, "mageline prices")
			if err != nil {
				return err
			}
			if publisher, err = rabbitmq.NewPublisher(conn); err != nil {
				rabbitmq.Close(conn)
				return err
			}
		}
		err := publisher.Publish(ctx, "", queue, asMagento(body))
		if errors.Is(err, rabbitmq.ErrReturned) {
			return fmt.Errorf("there is no queue %s: start price_sync first, or run `mageline topology`", queue)
		}
		return rabbitmq.Explain(err)
	}}))
}

// stampOf is stamp of a time that there may not be.
func stampOf(at *time.Time) string {
	if at == nil {
		return ""
	}
	return stamp(*at)
}
