package main

import (
	"context"
	"testing"
	"time"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

// Ctrl-C may come between an order and its event: who is interrupted must not take that for a lost order.
func TestEventsGoOutDespiteAnInterrupt(t *testing.T) {
	queues := kit.Broker(t)
	w, err := dial(queues.URL, queues.Exchange)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	queue := queues.Queue("order_placed")
	if _, err := w.channel.QueueDeclare(queue, true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if err := w.channel.QueueBind(queue, placed, queues.Exchange, false, nil); err != nil {
		t.Fatal(err)
	}
	interrupted, interrupt := context.WithCancel(t.Context())
	interrupt()
	if err := w.publishOrder(interrupted, placed, fakemagento.Placed{IncrementID: "000000001"}, 2); err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, 30*time.Second, func() bool { return queues.Depth(queue) == 2 }, "two events in the queue")
}
