package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fakesearch"
)

type runOptions struct {
	once                         bool
	binary, amqpURL, databaseURL string
	httpAddr                     string
	magento                      string // version
	erp                          string
	module                       string // its directory; empty: the simulated shop publishes
	patience                     time.Duration
	seed                         uint64
}

// retryDelays are short: nobody wants to watch an hour.
var retryDelays = []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 15 * time.Second}

func runCommand() *cobra.Command {
	var o runOptions
	c := &cobra.Command{
		Use:   "run",
		Short: "Tell the story of mageline between a shop and an ERP that fail, and check its end",
		Long: "Tell the story of mageline between a simulated shop and a simulated ERP that fail, on a real RabbitMQ and a real\n" +
			"Postgres, with queues and a database of its own that are deleted at the end. Exit code 0 only if every order is\n" +
			"in the ERP exactly once, has exactly one comment in Magento and still its status, every parcel of the 3PL's files\n" +
			"has its number on exactly one shipment, the prices of a list are in Magento, and its products in the search engine.",
		Example: "  mageline-demo run --once --mageline bin/mageline --amqp amqp://guest:guest@127.0.0.1:5672/ \\\n" +
			"    --database postgres://postgres@127.0.0.1:5432/postgres",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context(), o, cmd.OutOrStdout())
		},
	}
	f := c.Flags()
	f.BoolVar(&o.once, "once", false, "end by itself, instead of selling on until Ctrl-C")
	f.StringVar(&o.binary, "mageline", "bin/mageline", "the mageline binary")
	f.StringVar(&o.amqpURL, "amqp", "amqp://guest:guest@127.0.0.1:5672/", "RabbitMQ")
	f.StringVar(&o.databaseURL, "database", "postgres://postgres@127.0.0.1:5432/postgres", "Postgres, with the right to create a database")
	f.StringVar(&o.httpAddr, "http-addr", "", "address of mageline's health and metrics (default: a free port of 127.0.0.1)")
	f.StringVar(&o.magento, "magento-version", string(fakemagento.V245), magentoVersionHelp())
	f.StringVar(&o.erp, "erp", "webhook", fmt.Sprintf("the ERP to simulate, one of %q", erpNames()))
	f.StringVar(&o.module, "module", "", "directory of the Magento module, to publish the events of orders by its own code under PHP")
	f.DurationVar(&o.patience, "patience", 2*time.Minute, "how long to wait for any one thing to happen")
	f.Uint64Var(&o.seed, "seed", 1, "seed of the faults")
	return c
}

// run builds the stage, plays the story and takes the stage down again, whatever happened.
func run(ctx context.Context, o runOptions, out io.Writer) (err error) {
	if _, err := os.Stat(o.binary); err != nil {
		return fmt.Errorf("%w: --mageline: %w (make build makes it)", errUsage, err)
	}
	version, err := magentoVersion(o.magento)
	if err != nil {
		return err
	}
	simulated, err := erpOf(o.erp, o.seed)
	if err != nil {
		return err
	}
	id := make([]byte, 4)
	_, _ = rand.Read(id)
	name := "demo-" + hex.EncodeToString(id)
	d := &demo{
		narrator: newNarrator(out), prefix: name, exchange: name + ".magento", patience: o.patience,
		shop: fakemagento.New(fakemagento.Options{Version: version, Token: demoMagentoToken, Seed: o.seed}),
		erp:  simulated, engine: fakesearch.New(fakesearch.Options{Seed: o.seed}),
	}
	var undo []func() error
	defer func() {
		// In reverse: what stands on something goes before it.
		for i := len(undo) - 1; i >= 0; i-- {
			err = errors.Join(err, undo[i]())
		}
	}()
	undo = append(undo, func() error {
		d.shop.Close()
		d.erp.Close()
		d.engine.Close()
		http.DefaultClient.CloseIdleConnections()
		return nil
	})

	magento, err := serve("127.0.0.1:0", d.shop)
	if err != nil {
		return fmt.Errorf("the simulated Magento: %w", err)
	}
	undo = append(undo, func() error { magento.close(); return nil })
	erp, err := serve("127.0.0.1:0", d.erp)
	if err != nil {
		return fmt.Errorf("the simulated ERP: %w", err)
	}
	undo = append(undo, func() error { erp.close(); return nil })
	engine, err := serve("127.0.0.1:0", d.engine)
	if err != nil {
		return fmt.Errorf("the simulated search engine: %w", err)
	}
	undo = append(undo, func() error { engine.close(); return nil })

	if d.wire, err = dial(o.amqpURL, d.exchange); err != nil {
		return fmt.Errorf("--amqp: %w", err)
	}
	undo = append(undo, func() error { return deleteQueues(o.amqpURL, d.prefix, d.exchange, retryDelays) }, func() error { d.wire.close(); return nil })
	if o.module != "" {
		if d.wire.module, err = newModulePublisher(ctx, o.module, o.amqpURL, d.exchange); err != nil {
			return err
		}
		undo = append(undo, d.wire.module.close)
	}
	databaseName := strings.ReplaceAll(name, "-", "_")
	database, drop, err := createDatabase(ctx, o.databaseURL, databaseName)
	if err != nil {
		return err
	}
	undo = append(undo, drop)
	if o.httpAddr == "" {
		if o.httpAddr, err = freeAddress(); err != nil {
			return err
		}
	}
	d.address = "http://" + o.httpAddr
	if d.inbox, err = os.MkdirTemp("", name+"-inbox-"); err != nil {
		return fmt.Errorf("make an inbox: %w", err)
	}
	undo = append(undo, func() error { return os.RemoveAll(d.inbox) })
	if d.codes, err = os.MkdirTemp("", name+"-codes-"); err != nil {
		return fmt.Errorf("make a directory for the file of codes: %w", err)
	}
	undo = append(undo, func() error { return os.RemoveAll(d.codes) })
	ofERP, err := d.erp.settings(erp.url, d.codes)
	if err != nil {
		return err
	}
	if d.lists, err = os.MkdirTemp("", name+"-lists-"); err != nil {
		return fmt.Errorf("make a directory of lists: %w", err)
	}
	undo = append(undo, func() error { return os.RemoveAll(d.lists) })
	d.program = program{path: o.binary, env: append(withoutMageline(os.Environ()),
		"MAGELINE_AMQP_URL="+o.amqpURL,
		"MAGELINE_AMQP_EXCHANGE="+d.exchange,
		"MAGELINE_QUEUE_PREFIX="+d.prefix,
		"MAGELINE_DATABASE_URL="+database,
		"MAGELINE_MAGENTO_URL="+magento.url,
		"MAGELINE_MAGENTO_TOKEN="+demoMagentoToken,
		"MAGELINE_MAGENTO_TIMEOUT=2s",
		"MAGELINE_ERP_TIMEOUT=2s",
		"MAGELINE_ERP_NAME=Demo ERP",
		"MAGELINE_RETRY_DELAYS="+durations(retryDelays),
		"MAGELINE_BREAKER_OPEN_FOR=2s",
		"MAGELINE_TRACKING_DIR="+d.inbox,
		"MAGELINE_TRACKING_CARRIERS=DHL Paket=dhl",
		"MAGELINE_PRICE_MAX_CHANGE=50%",
		"MAGELINE_SEARCH=opensearch",
		"MAGELINE_SEARCH_URL="+engine.url,
		"MAGELINE_SEARCH_SETTLE=1s",
		"MAGELINE_HTTP_ADDR="+o.httpAddr,
	)}
	d.program.env = append(d.program.env, ofERP...)
	if d.child, err = d.program.start(); err != nil {
		return err
	}
	stopped := false
	stop := func() error {
		if stopped {
			return nil
		}
		stopped = true
		return d.child.stop()
	}
	// The log is kept where something went wrong: it is the only thing that the demo leaves behind, and then on purpose.
	undo = append(undo, func() error {
		if err == nil {
			return os.Remove(d.child.log.Name())
		}
		d.bad("mageline's log is in %s", d.child.log.Name())
		return nil
	}, stop)

	d.title("What is running")
	d.fact("Magento", magento.url+"  ("+string(version)+", simulated; its state is true, its events are hints)")
	d.fact("ERP", erp.url+"  ("+d.erp.is()+")")
	d.fact("OpenSearch", engine.url+"  (simulated)")
	d.fact("RabbitMQ", "exchange "+d.exchange+", queues "+d.prefix+".*  (real; deleted at the end)")
	d.fact("Postgres", "database "+databaseName+"  (real; dropped at the end)")
	d.fact("inbox", d.inbox+"  (of a 3PL's files; deleted at the end)")
	d.fact("mageline", fmt.Sprintf("process %d, log %s", d.child.command.Process.Pid, d.child.log.Name()))
	if err := d.play(ctx, o.once); err != nil && ctx.Err() == nil {
		return err
	}
	if o.once && ctx.Err() != nil {
		return errors.New("interrupted before the end")
	}
	return d.end(context.WithoutCancel(ctx), stop)
}

func magentoVersionHelp() string {
	return fmt.Sprintf("release of Magento to simulate, one of %q: they differ in what they do with the status of a comment", fakemagento.Versions())
}

func magentoVersion(text string) (fakemagento.Version, error) {
	version := fakemagento.Version(text)
	if !slices.Contains(fakemagento.Versions(), version) {
		return "", fmt.Errorf("%w: --magento-version must be one of %q, not %q", errUsage, fakemagento.Versions(), text)
	}
	return version, nil
}

func durations(values []time.Duration) string {
	texts := make([]string, 0, len(values))
	for _, v := range values {
		texts = append(texts, v.String())
	}
	return strings.Join(texts, ",")
}

// freeAddress gives an address that nobody listens on. Somebody else may take it before mageline does; then mageline
// says so, and the demo ends.
func freeAddress() (string, error) {
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	address := socket.Addr().String()
	if err := socket.Close(); err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return address, nil
}
