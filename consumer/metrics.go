package consumer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/rabbitmq"
)

// Outcomes of a delivery beside those of package event.
const (
	outcomeRetried      = "retried"
	outcomeDeadLettered = "dead_lettered"
	outcomeDeferred     = "deferred"
	outcomeRequeued     = "requeued"
)

type metrics struct {
	deliveries  *prometheus.CounterVec
	duration    *prometheus.HistogramVec
	inFlight    *prometheus.GaugeVec
	paused      *prometheus.GaugeVec
	deadLetters *prometheus.GaugeVec
	depth       *prometheus.GaugeVec
	age         *prometheus.HistogramVec
	returned    prometheus.Counter
	stale       prometheus.Counter
	restored    *prometheus.CounterVec
	refused     *prometheus.GaugeVec
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	f := promauto.With(nil) // registered below, where an error is no panic
	consumer := []string{"consumer"}
	m := &metrics{
		deliveries: f.NewCounterVec(prometheus.CounterOpts{
			Name: "mageline_deliveries_total", Help: "Deliveries settled, by how.",
		}, []string{"consumer", "outcome"}),
		duration: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "mageline_handler_duration_seconds", Help: "Time in the handler, by attempt.",
			Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120},
		}, consumer),
		inFlight: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "mageline_in_flight", Help: "Deliveries in a handler now.",
		}, consumer),
		paused: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "mageline_paused", Help: "1 while the consumer is not subscribed; /readyz names the reason.",
		}, consumer),
		deadLetters: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "mageline_dead_letters", Help: "Messages in a dead-letter queue.",
		}, []string{"queue"}),
		depth: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "mageline_queue_depth", Help: "Ready messages in a queue.",
		}, []string{"queue"}),
		age: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "mageline_event_age_seconds", Help: "From publish to success, by where the time of the publish was found.",
			Buckets: []float64{.01, .05, .1, .5, 1, 5, 15, 60, 300, 1800, 3600, 21600, 86400},
		}, []string{"consumer", "source"}),
		returned: f.NewCounter(prometheus.CounterOpts{
			Name: "mageline_publishes_returned_total", Help: "Publishes that no queue took.",
		}),
		stale: f.NewCounter(prometheus.CounterOpts{
			Name: "mageline_stale_settles_total", Help: "Deliveries whose connection had ended before they were settled.",
		}),
		restored: f.NewCounterVec(prometheus.CounterOpts{
			Name: "mageline_topology_restored_total", Help: "What had vanished in RabbitMQ while mageline ran and was declared again, by kind.",
		}, []string{"kind"}),
		refused: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "mageline_topology_refused", Help: "1 while RabbitMQ refuses the consumer its queue or a binding of it; /readyz names the right.",
		}, consumer),
	}
	for _, kind := range []string{"exchange", "queue", "binding"} {
		m.restored.WithLabelValues(kind) // 0 before it is 1
	}
	for _, c := range []prometheus.Collector{
		m.deliveries, m.duration, m.inFlight, m.paused, m.deadLetters, m.depth, m.age, m.returned, m.stale, m.restored, m.refused,
	} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register the metrics of the consumers: %w", err)
		}
	}
	return m, nil
}

// consumerMetrics are those of one consumer, looked up once.
type consumerMetrics struct {
	outcomes         map[string]prometheus.Counter
	duration         prometheus.Observer
	inFlight, paused prometheus.Gauge
	refused          prometheus.Gauge
}

func (m *metrics) of(consumer string) consumerMetrics {
	p := consumerMetrics{
		outcomes: map[string]prometheus.Counter{},
		duration: m.duration.WithLabelValues(consumer),
		inFlight: m.inFlight.WithLabelValues(consumer),
		paused:   m.paused.WithLabelValues(consumer),
		refused:  m.refused.WithLabelValues(consumer),
	}
	for _, outcome := range []string{
		string(event.Done), string(event.Duplicate), string(event.Skipped), string(event.Stale),
		outcomeRetried, outcomeDeadLettered, outcomeDeferred, outcomeRequeued,
	} {
		p.outcomes[outcome] = m.deliveries.WithLabelValues(consumer, outcome)
	}
	p.paused.Set(1)
	return p
}

// published finds when a message was published, and where that was said. Magento says it nowhere by itself.
func published(d *amqp.Delivery) (at time.Time, source string) {
	if !d.Timestamp.IsZero() {
		return d.Timestamp, "timestamp"
	}
	if ms := rabbitmq.Int(d.Headers, "timestamp_in_ms"); ms > 0 {
		return time.UnixMilli(ms), "timestamp_in_ms"
	}
	return time.Time{}, ""
}

// occurred finds the time that an event's body tells.
func occurred(body []byte) (at time.Time, source string) {
	var b struct {
		OccurredAt time.Time `json:"occurred_at"`
	}
	// Few publishers tell it, and every message would be parsed once more for it.
	if !bytes.Contains(body, []byte("occurred_at")) || json.Unmarshal(body, &b) != nil || b.OccurredAt.IsZero() {
		return time.Time{}, ""
	}
	return b.OccurredAt, "occurred_at"
}
