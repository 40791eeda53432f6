package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/rs/zerolog"

	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/rabbitmq"
)

// Broker returns how RabbitMQ is reached.
func Broker(cfg *config.Config) (rabbitmq.Options, error) {
	tls, err := rabbitmq.LoadTLS(cfg.AMQPCAFile, cfg.AMQPCertFile, cfg.AMQPKeyFile)
	if err != nil {
		return rabbitmq.Options{}, fmt.Errorf("the files of MAGELINE_AMQP_CA_FILE, MAGELINE_AMQP_CERT_FILE, MAGELINE_AMQP_KEY_FILE: %w", err)
	}
	return rabbitmq.Options{URL: cfg.AMQPURL.Reveal(), TLS: tls, Settings: rabbitmq.Settings{
		URL: "MAGELINE_AMQP_URL", CA: "MAGELINE_AMQP_CA_FILE", Cert: "MAGELINE_AMQP_CERT_FILE", Key: "MAGELINE_AMQP_KEY_FILE",
	}}, nil
}

// newestBroker has each new connection read the files of secrets and certificates again. Certificates that can't be used, as
// while cert and key are being replaced, leave the previous ones in use.
func newestBroker(cfg *config.Config, s *config.Secrets, log zerolog.Logger) (rabbitmq.Options, error) {
	o, err := Broker(cfg)
	if err != nil {
		return o, err
	}
	var mu sync.Mutex
	last := o.TLS
	o.Newest = func() (string, *tls.Config) {
		mu.Lock()
		defer mu.Unlock()
		if fresh, err := Broker(cfg); err == nil {
			last = fresh.TLS
		} else {
			log.Warn().Str("event", "certificate_unusable").Err(err).Msg("a certificate's file can't be used: the certificates from before are used")
		}
		url := s.Newest(&cfg.AMQPURL, func(url string) error { _, err := rabbitmq.ParseURL(url); return err })
		return url, last
	}
	return o, nil
}

// Dial connects to RabbitMQ for a command. name is what RabbitMQ lists the connection by.
func Dial(ctx context.Context, cfg *config.Config, name string) (*amqp.Connection, error) {
	o, err := Broker(cfg)
	if err != nil {
		return nil, err
	}
	return rabbitmq.Dial(ctx, o, name)
}

// Topology returns the exchanges, queues and bindings of the enabled consumers.
func Topology(cfg *config.Config) rabbitmq.Topology {
	t := rabbitmq.Topology{
		Exchange: cfg.AMQPExchange, Prefix: cfg.QueuePrefix, Type: string(cfg.QueueType), Delays: cfg.RetryDelays,
	}
	for _, c := range cfg.EnabledConsumers() {
		t.Consumers = append(t.Consumers, rabbitmq.ConsumerQueue{Consumer: c.Name, Topics: c.Topics})
	}
	return t
}

// bound returns a function that asks RabbitMQ's management API for the topics that a queue is bound with.
func (s *Service) bound(broker rabbitmq.Options) func(ctx context.Context, queue string) ([]string, error) {
	valid := func(address string) error { _, err := rabbitmq.NewManagement(address, broker); return err }
	return func(ctx context.Context, queue string) ([]string, error) {
		m, err := rabbitmq.NewManagement(s.secrets.Newest(&s.cfg.AMQPManagementURL, valid), broker)
		if err != nil {
			return nil, fmt.Errorf("MAGELINE_AMQP_MANAGEMENT_URL %w", err)
		}
		defer m.Close()
		return m.Topics(ctx, queue, s.cfg.AMQPExchange)
	}
}
