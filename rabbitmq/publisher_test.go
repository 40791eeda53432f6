package rabbitmq_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/rabbitmq"
	"github.com/mageline/mageline/test/kit"
)

func TestDial_FailsWithoutThePassword(t *testing.T) {
	t.Parallel()
	broker := kit.Broker(t)
	const secret = "tops3cret"
	tests := []struct{ name, url, says string }{
		{"no URL", "amqp//user:" + secret + "@host", "AMQP_URL"},
		{"no AMQP", "https://user:" + secret + "@host/", "AMQP_URL"},
		{"nobody there", "amqp://user:" + secret + "@127.0.0.1:1/v", "127.0.0.1:1"},
		{"wrong password", strings.Replace(broker.URL, "guest:guest", "guest:"+secret, 1), "vhost"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conn, err := rabbitmq.Dial(t.Context(), rabbitmq.Options{URL: tt.url, Settings: rabbitmq.Settings{URL: "AMQP_URL"}}, "test")
			if err == nil {
				rabbitmq.Close(conn)
				t.Fatal("connected")
			}
			if !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%q does not name %s", err, tt.says)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%q has the password in it", err)
			}
		})
	}
}

// Publishes of many goroutines are under way at once, good ones among some that no queue takes: each learns its own end.
func TestPublisher_PipelinesPublishes(t *testing.T) {
	t.Parallel()
	broker := kit.Broker(t)
	conn, p := dial(t, broker.URL), publisher(t, broker.URL)
	var returned atomic.Int64
	p.Returned = func() { returned.Add(1) }
	queue := broker.Queue("order_placed")
	declare(t, conn, queue, nil)
	const goroutines, each = 64, 20
	var wg sync.WaitGroup
	errs := make(chan error, goroutines*each)
	for g := range goroutines {
		wg.Go(func() {
			for i := range each {
				key, want := queue, error(nil)
				if (g+i)%7 == 0 {
					key, want = broker.Prefix+".missing", rabbitmq.ErrReturned
				}
				err := p.Publish(t.Context(), "", key, kit.Publishing(fmt.Appendf(nil, `{"g":%d,"i":%d}`, g, i)))
				if !errors.Is(err, want) {
					errs <- fmt.Errorf("to %s: %w, want %w", key, err, want)
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
	missing := 0
	for g := range goroutines {
		for i := range each {
			if (g+i)%7 == 0 {
				missing++
			}
		}
	}
	if int(returned.Load()) != missing {
		t.Errorf("%d returned, want %d", returned.Load(), missing)
	}
	if n, ok, err := rabbitmq.Depth(conn, queue); err != nil || !ok || n != goroutines*each-missing {
		t.Errorf("the queue has %d messages (%t, %v), want %d", n, ok, err, goroutines*each-missing)
	}
}

// Equal messages to a missing and to an existing queue are told apart, and the error names the target.
func TestPublisher_ReportsReturns(t *testing.T) {
	t.Parallel()
	broker := kit.Broker(t)
	conn, p := dial(t, broker.URL), publisher(t, broker.URL)
	queue := broker.Queue("order_placed")
	declare(t, conn, queue, nil)
	msg := kit.Publishing([]byte("{}"))
	err := p.Publish(t.Context(), "", queue+"x", msg)
	if !errors.Is(err, rabbitmq.ErrReturned) || !strings.Contains(err.Error(), "queue "+queue+"x") {
		t.Errorf("%v, want that no queue took it, with the queue's name", err)
	}
	if err := p.Publish(t.Context(), "", queue, msg); err != nil {
		t.Error(err)
	}
	err = p.Publish(t.Context(), "amq.topic", queue, msg)
	if !errors.Is(err, rabbitmq.ErrReturned) || !strings.Contains(err.Error(), "exchange amq.topic") {
		t.Errorf("%v, want that no queue took it, with the exchange's name", err)
	}
}

func TestPublisher_ReportsRefusals(t *testing.T) {
	t.Parallel()
	broker := kit.Broker(t)
	conn, p := dial(t, broker.URL), publisher(t, broker.URL)
	queue := broker.Queue("order_placed")
	declare(t, conn, queue, amqp.Table{"x-queue-type": "classic", "x-max-length": int64(1), "x-overflow": "reject-publish"})
	if err := p.Publish(t.Context(), "", queue, kit.Publishing([]byte("1"))); err != nil {
		t.Fatal(err)
	}
	err := p.Publish(t.Context(), "", queue, kit.Publishing([]byte("2")))
	if !errors.Is(err, rabbitmq.ErrRefused) {
		t.Errorf("%v, want that the queue refused it", err)
	}
	get(t, conn, queue)
	if err := p.Publish(t.Context(), "", queue, kit.Publishing([]byte("3"))); err != nil {
		t.Errorf("after a refusal: %v", err)
	}
}

// The broker closes the channel of a publish to an exchange that is not there: that is said, publishes to others go on, and
// so do those to this one when it is there.
func TestPublisher_SurvivesAMissingExchange(t *testing.T) {
	t.Parallel()
	broker := kit.Broker(t)
	conn, p := dial(t, broker.URL), publisher(t, broker.URL)
	queue, exchange := broker.Queue("order_placed"), broker.Exchange
	declare(t, conn, queue, nil)
	const together = 8
	for round := range 3 {
		var wg sync.WaitGroup
		for i := range together {
			wg.Go(func() {
				err := p.Publish(t.Context(), exchange, "k", kit.Publishing([]byte("{}")))
				if !errors.Is(err, rabbitmq.ErrRefused) || !rabbitmq.IsNotFound(err) || !strings.Contains(err.Error(), exchange) {
					t.Errorf("%v, want that the exchange is not there", err)
				}
			})
			wg.Go(func() {
				if err := p.Publish(t.Context(), "", queue, kit.Publishing(fmt.Appendf(nil, "[%d,%d]", round, i))); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	if n, _, err := rabbitmq.Depth(conn, queue); err != nil || n != 3*together {
		t.Errorf("the queue has %d messages, %v", n, err)
	}
	on(t, conn, func(ch *amqp.Channel) error { return kit.DeclareExchange(ch, exchange) })
	if err := p.Publish(t.Context(), exchange, "k", kit.Publishing([]byte("{}"))); !errors.Is(err, rabbitmq.ErrReturned) {
		t.Errorf("with the exchange: %v", err)
	}
	p.Close()
	for _, exchange := range []string{"", exchange, "another"} {
		if err := p.Publish(t.Context(), exchange, queue, kit.Publishing([]byte("{}"))); !errors.Is(err, rabbitmq.ErrUnconfirmed) {
			t.Errorf("closed: %v", err)
		}
	}
}

func TestPublisher_IsUnconfirmedAfterACut(t *testing.T) {
	t.Parallel()
	broker := kit.Broker(t)
	conn := dial(t, broker.URL)
	proxy, url := kit.ProxyURL(t, broker.URL)
	p := publisher(t, url)
	queue := broker.Queue("order_placed")
	declare(t, conn, queue, nil)
	proxy.Stall()
	errs := make(chan error)
	for range 8 {
		go func() { errs <- p.Publish(t.Context(), "", queue, kit.Publishing([]byte("{}"))) }()
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Publish(ctx, "", queue, kit.Publishing([]byte("{}"))); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that the context has ended", err)
	}
	proxy.Cut()
	proxy.Resume()
	for range 8 {
		if err := <-errs; !errors.Is(err, rabbitmq.ErrUnconfirmed) {
			t.Errorf("%v, want that it is not confirmed", err)
		}
	}
}

func TestPublisher_IsNotBlockedWithoutAlarm(t *testing.T) {
	t.Parallel()
	broker := kit.Broker(t)
	p := publisher(t, broker.URL)
	if reason, blocked := p.Blocked(); blocked {
		t.Errorf("blocked for %q", reason)
	}
	if p.FrameSize() < 4096 {
		t.Errorf("a frame size of %d", p.FrameSize())
	}
}

func TestPublisher_IsBlockedInAnAlarm(t *testing.T) {
	t.Parallel()
	broker := kit.Broker(t)
	alarm := kit.NewAlarm(t, broker.URL)
	p := publisher(t, alarm.URL)
	queue := broker.Queue("order_placed")
	declare(t, dial(t, broker.URL), queue, nil)
	if err := p.Publish(t.Context(), "", queue, kit.Publishing([]byte("{}"))); err != nil {
		t.Fatal(err)
	}
	alarm.Raise(t, "low on memory")
	kit.Eventually(t, 10*time.Second, func() bool {
		reason, blocked := p.Blocked()
		return blocked && reason == "low on memory"
	}, "the publisher knows that the broker is blocked")
	alarm.Clear(t)
	kit.Eventually(t, 10*time.Second, func() bool { _, blocked := p.Blocked(); return !blocked }, "the publisher knows that the alarm is over")
	if err := p.Publish(t.Context(), "", queue, kit.Publishing([]byte("{}"))); err != nil {
		t.Fatal(err)
	}
}
