// Command handler is a handler of your own: it gives loyalty points for each order, once.
package main

import (
	"context"
	"os"
	"os/signal"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog/log"

	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/rabbitmq"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	pool, err := pgxpool.New(ctx, os.Getenv("MAGELINE_DATABASE_URL")) // after `mageline migrate`
	if err != nil {
		log.Fatal().Err(err).Msg("open the database")
	}
	ledger := idempotency.Open(ctx, idempotency.Options{Pool: pool, Process: "loyalty", Log: log.Logger})
	give := func(ctx context.Context, e event.Event) (event.Outcome, error) {
		order, err := event.ParseOrder(e.Body)
		if err != nil {
			return "", err // a poison message: dead-lettered at once
		}
		key := idempotency.Key{Consumer: "loyalty", Key: string(order.IncrementID), Effect: "points"}
		_, _, err = ledger.Do(ctx, idempotency.Effect{Key: key, Repeat: e.Repeat}, func(context.Context, *idempotency.Claim) (idempotency.Result, error) {
			log.Info().Str("event", "points_given").Str("key", key.Key).Msg("ten points") // call your loyalty service here
			return idempotency.Result{Value: "10"}, nil
		})
		return event.Done, err
	}
	loyalty := consumer.Consumer{Name: "loyalty", Topics: []string{"sales.order.placed"}, Kind: event.Orders, Handler: consumer.HandlerFunc(give)}
	runtime, err := consumer.New(consumer.Options{
		Broker: rabbitmq.Options{URL: os.Getenv("MAGELINE_AMQP_URL")}, Exchange: os.Getenv("MAGELINE_AMQP_EXCHANGE"),
		Prefix: os.Getenv("MAGELINE_QUEUE_PREFIX"), Consumers: []consumer.Consumer{loyalty}, Database: pool.Ping, Log: log.Logger,
	})
	if err == nil {
		err = runtime.Run(ctx)
	}
	ledger.Close()
	pool.Close()
	log.Err(err).Msg("stopped")
}
