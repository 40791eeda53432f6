package consumer_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mageline/mageline/consumer"
	"github.com/mageline/mageline/event"
)

// An event of mageline's own goes to whoever is bound to its topic; that nobody is, and that RabbitMQ is away, is said.
func TestPublisher_PublishesToTheExchange(t *testing.T) {
	t.Parallel()
	var got atomic.Pointer[event.Event]
	r := newRig(t, func(_ context.Context, e event.Event) (event.Outcome, error) {
		got.Store(&e)
		return event.Done, nil
	})
	var deferral *event.Deferral
	if err := r.runtime(consumer.Options{Consumers: r.opts.Consumers}).Publisher().Publish(t.Context(), placed, []byte(`{}`)); !errors.As(err, &deferral) {
		t.Errorf("before it runs: %v", err)
	}
	r.start()
	if err := r.Publisher().Publish(t.Context(), placed, []byte(`{"increment_id":"1"}`)); err != nil {
		t.Fatal(err)
	}
	r.eventually("the event to arrive", func() bool { return got.Load() != nil })
	if e := got.Load(); e.Topic != placed || string(e.Body) != `{"increment_id":"1"}` || e.Published.IsZero() || e.ID == "" {
		t.Errorf("it arrived as %+v", e)
	}
	err := r.Publisher().Publish(t.Context(), "nobody.listens", []byte(`{}`))
	if event.ClassOf(err) != event.Unavailable || !strings.Contains(err.Error(), "nobody.listens") {
		t.Errorf("without a queue: %v", err)
	}
}
