package kit_test

import (
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/test/kit"
)

func TestFrames_ChangedOnTheWay(t *testing.T) {
	q := kit.Broker(t)
	f := kit.NewFrames(t, q.URL)
	conn, ch := open(t, f.URL)
	defer func() { _ = conn.Close() }()
	queue := q.Queue("order_placed")
	if _, err := ch.QueueDeclare(queue, true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	publish := func() *amqp.DeferredConfirmation {
		t.Helper()
		confirm, err := ch.PublishWithDeferredConfirmWithContext(t.Context(), "", queue, false, false, kit.Publishing([]byte("{}")))
		if err != nil {
			t.Fatal(err)
		}
		return confirm
	}
	if !publish().Wait() {
		t.Fatal("a proxy that changes nothing refuses")
	}

	f.On(func(f *kit.Frame) bool { // a confirm becomes a refusal
		if f.FromBroker && f.Is(kit.MethodAck) {
			f.Payload[3] = kit.MethodNack
		}
		return true
	})
	if publish().Wait() {
		t.Error("a confirm that was changed into a refusal arrived as one")
	}

	dropped := make(chan struct{}, 1)
	f.On(func(f *kit.Frame) bool {
		drop := f.FromBroker && f.Is(kit.MethodAck)
		if drop {
			dropped <- struct{}{}
		}
		return !drop
	})
	confirm := publish()
	<-dropped
	select {
	case <-confirm.Done():
		t.Error("a confirm that was dropped arrived")
	case <-time.After(50 * time.Millisecond):
	}

	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	f.On(func(f *kit.Frame) bool { // an acknowledgement that nobody has sent
		if !f.FromBroker && f.Class == kit.ClassBasic {
			f.More = append(f.More, kit.AckPayload(1<<40))
		}
		return true
	})
	if _, ok, err := ch.Get(queue, false); err != nil || !ok {
		t.Fatal(ok, err)
	}
	if err := <-closed; err == nil || err.Code != amqp.PreconditionFailed {
		t.Errorf("the channel ended with %v", err)
	}
	f.On(nil)

	gone := conn.NotifyClose(make(chan *amqp.Error, 1))
	f.Cut()
	if err := <-gone; err == nil {
		t.Error("a connection that was cut ended in order")
	}
}
