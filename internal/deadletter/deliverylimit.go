package deadletter

import (
	"context"
	"fmt"
	"maps"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/rabbitmq"
)

// ampleLimit is a delivery limit that no number of readings reaches. Queues that mageline declares have a higher one.
const ampleLimit = 1_000_000

// FragileError means that the limits of the queue would lose letters that are delivered and requeued. Nothing was read.
type FragileError struct {
	Queue string
	Why   string
}

func (e *FragileError) Error() string {
	return fmt.Sprintf("the queue %s would lose letters that are read and requeued: %s. Nothing was read", e.Queue, e.Why)
}

// keepBelowDeliveryLimit makes sure that readings lose no letter. A queue that mageline has not declared may have a low
// delivery limit (without an argument it is 20 on RabbitMQ 4.0 to 4.2). RabbitMQ drops a message that was requeued more often.
// From the first letter near the limit on, all letters are published to the end of the queue and then acknowledged, so that
// RabbitMQ counts from 0. Each reading of such a queue delivers a letter twice: here and for itself.
func (s *lockedQueue) keepBelowDeliveryLimit(ctx context.Context) error {
	depth, ok, err := rabbitmq.Depth(s.conn, s.queue)
	switch {
	case err != nil:
		return err
	case !ok:
		return &NoQueueError{s.queue}
	case depth == 0:
		return nil
	}
	limit, bounded, err := rabbitmq.DeliveryLimit(s.conn, s.queue)
	switch {
	case err != nil:
		return err
	case limit >= ampleLimit:
		return nil
	case limit < 1:
		return &FragileError{s.queue, fmt.Sprintf("its x-delivery-limit is %d", limit)}
	case bounded:
		return &FragileError{s.queue, fmt.Sprintf("its x-delivery-limit is %d, and its length is bounded", limit)}
	}
	publisher, err := s.r.publisher(ctx)
	if err != nil {
		return err
	}
	defer publisher.Close()
	return s.readSet(ctx, everything, func(h *reading) error {
		renewing := false // once begun, all that follow are renewed too: the order stays
		for h.remaining() > 0 {
			got, err := h.take(ctx, h.remaining())
			for i := range got {
				d := &got[i]
				renewing = renewing || rabbitmq.Int(d.Headers, "x-delivery-count")+2 > limit
				if err != nil || !renewing {
					continue
				}
				if err = publisher.Publish(ctx, "", s.queue, renewed(d, publisher.FrameSize())); err == nil {
					err = h.ack(d.DeliveryTag)
				}
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// renewed returns the letter as it is, with the headers that the broker has added, but without its delivery count.
func renewed(d *amqp.Delivery, frameSize int) amqp.Publishing {
	p := rabbitmq.Republishing(d, nil, frameSize)
	broker := amqp.Table{}
	for name, v := range d.Headers {
		if strings.HasPrefix(name, "x-death") || strings.HasPrefix(name, "x-first-death-") || strings.HasPrefix(name, "x-last-death-") || isOurs(name) {
			broker[name] = v
		}
	}
	maps.Copy(p.Headers, broker)
	p.Expiration = d.Expiration
	delete(p.Headers, rabbitmq.HeaderOriginalExpiration)
	return p
}
