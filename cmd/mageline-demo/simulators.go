package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/mageline/mageline/test/kit/fakeerp"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
)

// Credentials of the simulators, where none are given. They guard nothing.
const (
	demoMagentoToken = "demo-magento-token"
	demoERPToken     = "demo-erp-token"
	demoERPSecret    = "demo-erp-secret"
)

// retryEvery is how long the simulated shop waits before it looks for RabbitMQ again.
const retryEvery = 2 * time.Second

// remembered bounds what simulators keep that run for ever.
const remembered = 10_000

type simulatorOptions struct {
	magentoAddr, erpAddr              string
	magentoToken, erpToken, erpSecret string
	amqpURL, exchange, queue          string
	every                             time.Duration
	magento                           string // version
}

func simulatorsCommand() *cobra.Command {
	var o simulatorOptions
	c := &cobra.Command{
		Use:   "simulators",
		Short: "Serve a simulated Magento and ERP until stopped",
		Long: "Serve a simulated Magento and ERP until stopped. With --amqp the shop also sells something every few seconds\n" +
			"and publishes it as Magento does; the ERP fails one call in ten and answers one in twenty late.",
		Example: "  mageline-demo simulators --magento-addr :8081 --erp-addr :8082 --amqp amqp://guest:guest@rabbitmq:5672/",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runSimulators(cmd.Context(), o, cmd.OutOrStdout())
		},
	}
	f := c.Flags()
	f.StringVar(&o.magentoAddr, "magento-addr", "127.0.0.1:8081", "address of the simulated Magento")
	f.StringVar(&o.erpAddr, "erp-addr", "127.0.0.1:8082", "address of the simulated ERP")
	f.StringVar(&o.magentoToken, "magento-token", demoMagentoToken, "bearer token that the shop asks for")
	f.StringVar(&o.erpToken, "erp-token", demoERPToken, "bearer token that the ERP asks for")
	f.StringVar(&o.erpSecret, "erp-secret", demoERPSecret, "secret that calls of the ERP are signed with")
	f.StringVar(&o.amqpURL, "amqp", "", "RabbitMQ to publish orders to; empty: none are placed")
	f.StringVar(&o.exchange, "exchange", "magento", "exchange to publish to")
	f.StringVar(&o.queue, "queue", "mageline.order_placed", "nothing is sold before this queue is there: what is published to nobody is lost")
	f.DurationVar(&o.every, "every", 3*time.Second, "time between two orders")
	f.StringVar(&o.magento, "magento-version", string(fakemagento.V245), magentoVersionHelp())
	return c
}

func runSimulators(ctx context.Context, o simulatorOptions, out io.Writer) error {
	if o.every <= 0 {
		return fmt.Errorf("%w: --every must be above 0, not %s", errUsage, o.every)
	}
	version, err := magentoVersion(o.magento)
	if err != nil {
		return err
	}
	shop := fakemagento.New(fakemagento.Options{Version: version, Token: o.magentoToken, Keep: remembered})
	erp := fakeerp.New(fakeerp.Options{Token: o.erpToken, Secret: o.erpSecret, Keep: remembered})
	defer erp.Close()
	defer shop.Close()
	erp.Faults.Set(ordinaryFaults())
	magento, err := serve(o.magentoAddr, shop)
	if err != nil {
		return fmt.Errorf("the simulated Magento: %w", err)
	}
	defer magento.close()
	ledger, err := serve(o.erpAddr, erp)
	if err != nil {
		return fmt.Errorf("the simulated ERP: %w", err)
	}
	defer ledger.close()
	fmt.Fprintf(out, "Magento %s at %s, ERP at %s\n", version, magento.url, ledger.url)
	if o.amqpURL != "" {
		sellForEver(ctx, o, shop, out)
	}
	<-ctx.Done()
	fmt.Fprintf(out, "stopped: the ERP has %d sales orders\n", len(erp.Documents()))
	return nil
}

// sellForEver places an order each o.every until ctx ends, through however many broken connections. The numbers begin at
// the time of day in milliseconds, so that a shop which starts anew never uses one again.
func sellForEver(ctx context.Context, o simulatorOptions, shop *fakemagento.Server, out io.Writer) {
	number := time.Now().UnixMilli()
	for ctx.Err() == nil {
		err := sell(ctx, o, shop, out, &number)
		if err != nil && ctx.Err() == nil {
			fmt.Fprintf(out, "%v; trying again in %s\n", err, retryEvery)
			pause(ctx, retryEvery)
		}
	}
}

func sell(ctx context.Context, o simulatorOptions, shop *fakemagento.Server, out io.Writer, number *int64) error {
	w, err := dial(o.amqpURL, o.exchange)
	if err != nil {
		return err
	}
	defer w.close()
	depth, err := w.depth(o.queue)
	if err != nil {
		return err
	}
	if depth < 0 {
		return fmt.Errorf("the queue %s is not there yet", o.queue)
	}
	fmt.Fprintf(out, "an order every %s to the exchange %s\n", o.every, o.exchange)
	for pause(ctx, o.every) {
		*number++
		order := shop.PlaceOrder(fakemagento.Placing{IncrementID: strconv.FormatInt(*number, 10)})
		if err := w.publishOrder(ctx, "sales.order.placed", order, 1+rand.IntN(3)); err != nil {
			return err
		}
	}
	return nil
}

// ordinaryFaults are those of an ordinary day: of the calls that write, one in ten fails, one in twenty is carried out
// and answered after the client has given up.
func ordinaryFaults() fault.Plan {
	return fault.Plan{
		Only: func(r *http.Request) bool { return r.Method == http.MethodPost },
		Chances: []fault.Chance{
			{OneIn: 10, Fault: fault.Fault{Kind: fault.Fail}},
			{OneIn: 20, Fault: fault.Fault{Kind: fault.Late, After: time.Minute}},
		},
	}
}

// pause returns false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// listener is an HTTP server that runs.
type listener struct {
	url    string
	server *http.Server
	ended  chan struct{}
}

func serve(address string, handler http.Handler) (*listener, error) {
	socket, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	l := &listener{
		url:    "http://" + socket.Addr().String(),
		server: &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second},
		ended:  make(chan struct{}),
	}
	go func() {
		defer close(l.ended)
		if err := l.server.Serve(socket); !errors.Is(err, http.ErrServerClosed) {
			fmt.Println("mageline-demo: a simulator stopped:", err)
		}
	}()
	return l, nil
}

func (l *listener) close() {
	_ = l.server.Close()
	<-l.ended
}
