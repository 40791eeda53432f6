package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"time"

	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fakesearch"
	"github.com/mageline/mageline/test/kit/fault"
)

// demo is the stage and what has happened on it.
type demo struct {
	*narrator
	shop             *fakemagento.Server
	erp              simulatedERP
	engine           *fakesearch.Server
	wire             *wire
	prefix, exchange string
	address          string        // of mageline's HTTP
	patience         time.Duration // for one thing to happen
	program          program
	child            *child

	orders  []expected
	inbox   string   // a directory
	codes   string   // the directory of the file of codes
	parcels []string // of the 3PL's files: order number, space, tracking number
	poison  int      // letters that must be dead at the end
	lists   string   // a directory
	letters int      // of prices, dead at the end
}

const (
	placed   = "sales.order.placed"
	updated  = "sales.order.updated"
	canceled = "sales.order.canceled"

	// trickleEvery is the time between two orders after the story.
	trickleEvery = 2 * time.Second
	reportEvery  = 5 // orders
)

// play tells the story; without once it goes on selling until ctx ends.
func (d *demo) play(ctx context.Context, once bool) error {
	if err := d.await(ctx, time.Minute, "mageline ready ("+d.address+"/readyz answers 200)", func() (bool, error) { return d.ready(ctx), nil }); err != nil {
		return err
	}
	d.good("mageline is ready: it has migrated its database, declared its queues and subscribed")
	for _, scene := range []func(context.Context) error{d.ordinaryDay, d.unpaid, d.canceledBeforePaid, d.trackingFiles, d.catalogue, d.priceList, d.brokenERP, d.poisoned} {
		if err := scene(ctx); err != nil {
			return err
		}
	}
	d.whereToLook()
	if once {
		return nil
	}
	return d.trickle(ctx)
}

// order places an order and publishes its event some times.
func (d *demo) order(ctx context.Context, p fakemagento.Placing, events int) error {
	o := d.shop.PlaceOrder(p)
	d.orders = append(d.orders, expected{number: o.IncrementID, documents: 1})
	return d.wire.publishOrder(ctx, placed, o, events)
}

// awaitOrders waits until all orders that must be in the ERP are there, with their comment in Magento.
func (d *demo) awaitOrders(ctx context.Context) error {
	missing := 0
	err := d.await(ctx, d.patience, "every order in the ERP, and its number in Magento", func() (bool, error) {
		inERP, comments := d.erp.Counts(), d.shop.CommentCounts("Sales order ")
		missing = 0
		for _, o := range d.orders {
			if inERP[o.number] < o.documents || comments[o.number] < o.documents {
				missing++
			}
		}
		return missing == 0, nil
	})
	if err != nil {
		return fmt.Errorf("%w (%d of %d orders are not)", err, missing, len(d.orders))
	}
	return nil
}

func (d *demo) ordinaryDay(ctx context.Context) error {
	d.title("An ordinary day")
	if d.wire.module != nil {
		d.say("The events are published by the Magento module's own observers and outbox, under PHP.")
	}
	d.say("Magento sells 20 times. It publishes without asking whether anyone has heard it, some events")
	d.say("two or three times, and some before the order can be read. The ERP fails one call in ten, and")
	d.say("carries one in twenty out but answers too late.")
	d.erp.faults().Set(ordinaryFaults())
	begin := time.Now()
	events := 0
	for i := range 20 {
		p := fakemagento.Placing{}
		if i%5 == 4 {
			p.VisibleAfter = 1500 * time.Millisecond
		}
		times := 1 + i%3
		events += times
		if err := d.order(ctx, p, times); err != nil {
			return err
		}
	}
	if err := d.awaitOrders(ctx); err != nil {
		return err
	}
	d.good("%d events became %d sales orders in %.1f s; the ERP failed %d calls and answered %d too late",
		events, documents(d.erp), time.Since(begin).Seconds(), d.erp.faults().Count(fault.Fail), d.erp.faults().Count(fault.Late))
	return nil
}

func (d *demo) unpaid(ctx context.Context) error {
	d.title("An order that is paid later")
	o := d.shop.PlaceOrder(fakemagento.Placing{State: "pending_payment", Method: "paypal_express"})
	if err := d.wire.publishOrder(ctx, placed, o, 3); err != nil {
		return err
	}
	if err := d.awaitRow(ctx, o, "waiting"); err != nil {
		return err
	}
	if d.erp.Counts()[o.IncrementID] != 0 {
		d.bad("order %s is in the ERP, though nobody has paid it", o.IncrementID)
	}
	d.say("Order %s is in pending_payment: mageline has it in its ledger as waiting, and told the ERP nothing.", o.IncrementID)
	d.shop.Pay(o.EntityID)
	d.orders = append(d.orders, expected{number: o.IncrementID, documents: 1})
	if err := d.wire.publishOrder(ctx, updated, o, 1); err != nil {
		return err
	}
	if err := d.awaitOrders(ctx); err != nil {
		return err
	}
	d.good("it was paid, Magento said %s, and it is %s in the ERP", updated, d.erp.number(o.IncrementID))
	return nil
}

func (d *demo) canceledBeforePaid(ctx context.Context) error {
	d.title("An order that is cancelled while it waits")
	o := d.shop.PlaceOrder(fakemagento.Placing{State: "pending_payment", Method: "paypal_express"})
	d.orders = append(d.orders, expected{number: o.IncrementID, documents: 0})
	if err := d.wire.publishOrder(ctx, placed, o, 2); err != nil {
		return err
	}
	if err := d.awaitRow(ctx, o, "waiting"); err != nil {
		return err
	}
	d.shop.Cancel(o.EntityID)
	if err := d.wire.publishOrder(ctx, canceled, o, 1); err != nil {
		return err
	}
	if err := d.awaitRow(ctx, o, "skipped"); err != nil {
		return err
	}
	d.good("order %s waited and was cancelled: skipped, with nothing sent to the ERP", o.IncrementID)
	return nil
}

func (d *demo) awaitRow(ctx context.Context, o fakemagento.Placed, state string) error {
	return d.await(ctx, d.patience, fmt.Sprintf("`mageline key show order_placed:%s` says %s", o.IncrementID, state),
		func() (bool, error) { return d.row(ctx, o.IncrementID, state) })
}

func (d *demo) brokenERP(ctx context.Context) error {
	d.title("The ERP breaks")
	d.erp.faults().Set(fault.Plan{Every: fault.Fault{Kind: fault.Refuse}})
	d.say("The ERP cuts every connection, and Magento sells 20 times more.")
	for range 20 {
		if err := d.order(ctx, fakemagento.Placing{}, 1); err != nil {
			return err
		}
	}
	err := d.await(ctx, d.patience, "the circuit of the ERP open", func() (bool, error) {
		state, err := d.metric(ctx, "mageline_circuit_breaker_state", `downstream="erp"`)
		return state > 0, err
	})
	if err != nil {
		return err
	}
	d.say("mageline has opened the circuit: it asks the ERP now and then, and the orders wait in RabbitMQ.")
	pause(ctx, 5*time.Second)
	d.erp.faults().Set(ordinaryFaults())
	back := time.Now()
	d.say("The ERP is back.")
	if err := d.awaitOrders(ctx); err != nil {
		return err
	}
	d.good("all 20 were in the ERP %.1f s later, and none became a dead letter", time.Since(back).Seconds())
	return nil
}

func (d *demo) poisoned(ctx context.Context) error {
	d.title("A poison message")
	queue := d.prefix + ".order_placed.dlq"
	d.say("Somebody publishes half a JSON object; good orders come before and after it.")
	if err := d.order(ctx, fakemagento.Placing{}, 1); err != nil {
		return err
	}
	if err := d.wire.publish(ctx, placed, []byte(`{"increment_id":"0000`)); err != nil {
		return err
	}
	d.poison = 1
	if err := d.order(ctx, fakemagento.Placing{}, 1); err != nil {
		return err
	}
	dead := func() (bool, error) {
		n, err := d.wire.depth(queue)
		return n == d.poison, err
	}
	if err := d.await(ctx, d.patience, "the poison message in "+queue, dead); err != nil {
		return err
	}
	if err := d.awaitOrders(ctx); err != nil {
		return err
	}
	d.good("the good ones are in the ERP; the poison is in the dead-letter queue, with the reason on it")
	if err := d.show(ctx, "dlq", "list", queue); err != nil {
		return err
	}
	d.say("Replayed, it goes back to the queue that it came from:")
	if err := d.show(ctx, "--replay-dlq", queue, "--yes"); err != nil {
		return err
	}
	if err := d.await(ctx, d.patience, "the poison message in "+queue+" again", dead); err != nil {
		return err
	}
	d.good("it came back dead: what was wrong with it is still wrong. A replay is for after the cause is cured;")
	d.say("this one is for the people who made it, and stays where nobody loses it.")
	return nil
}

// show runs a command of mageline and shows what it printed.
func (d *demo) show(ctx context.Context, args ...string) error {
	output, code, err := d.program.call(ctx, args...)
	if err != nil {
		return err
	}
	line := filepath.Base(d.program.path) + " " + strings.Join(args, " ")
	d.command(line, output)
	if code != 0 {
		return fmt.Errorf("%s ended with exit code %d, want 0", line, code)
	}
	return nil
}

func (d *demo) whereToLook() {
	d.title("What to look at")
	d.fact("ready?", d.address+"/readyz")
	d.fact("metrics", d.address+"/metrics")
	d.fact("queue", d.prefix+".order_placed")
	d.fact("dead letters", d.prefix+".order_placed.dlq")
	d.fact("retries", fmt.Sprintf("%s.retry.%d and longer", d.prefix, retryDelays[0].Milliseconds()))
	d.fact("log", d.child.log.Name())
}

func (d *demo) trickle(ctx context.Context) error {
	d.title("Selling on, an order every " + trickleEvery.String() + "; Ctrl-C ends it")
	for n := 1; pause(ctx, trickleEvery); n++ {
		if !d.child.running() {
			return fmt.Errorf("mageline has ended by itself (%w); its log ends with:\n%s", orEnded(d.child.err), d.child.lastLines())
		}
		if err := d.order(ctx, fakemagento.Placing{}, 1+rand.IntN(3)); err != nil {
			return err
		}
		if n%reportEvery == 0 {
			d.say("%d orders placed, %d sales orders in the ERP, %d calls failed and %d answered late",
				len(d.orders), documents(d.erp), d.erp.faults().Count(fault.Fail), d.erp.faults().Count(fault.Late))
		}
	}
	return nil
}

// end waits until nothing is on its way, stops mageline and compares what the ERP and Magento have with what was sold.
func (d *demo) end(ctx context.Context, stop func() error) error {
	d.title("The end")
	d.erp.faults().Set(fault.Plan{})
	var problems []string
	for _, err := range []error{d.awaitOrders(ctx), d.awaitQuiet(ctx, d.patience)} {
		if err != nil {
			problems = append(problems, err.Error())
		}
	}
	dead, err := d.wire.depth(d.prefix + ".order_placed.dlq")
	if err != nil {
		return err
	}
	if dead != d.poison {
		problems = append(problems, fmt.Sprintf("there are %d dead letters, and should be %d", dead, d.poison))
	}
	if n, err := d.wire.depth(d.prefix + ".order_canceled.dlq"); err != nil || n > 0 {
		problems = append(problems, fmt.Sprintf("there are %d dead cancellations, and should be none", n))
	}
	if n, err := d.wire.depth(d.prefix + ".tracking_received.dlq"); err != nil || n > 0 {
		problems = append(problems, fmt.Sprintf("there are %d dead parcels, and should be none", n))
	}
	if n, err := d.wire.depth(d.prefix + ".price_sync.dlq"); err != nil || n != d.letters {
		problems = append(problems, fmt.Sprintf("there are %d dead letters of prices, and should be %d", n, d.letters))
	}
	if n, err := d.wire.depth(d.prefix + ".products_exported.dlq"); err != nil || n > 0 {
		problems = append(problems, fmt.Sprintf("there are %d dead letters of products, and should be none", n))
	}
	if err := stop(); err != nil {
		problems = append(problems, err.Error())
	}
	problems = append(problems, verdict(d.orders, d.erp.Counts(), d.shop.CommentCounts("Sales order "))...)
	problems = append(problems, parcelVerdict(d.parcels, d.shop.TrackCounts())...)
	for _, number := range d.shop.Statusless() {
		problems = append(problems, fmt.Sprintf("order %s has lost its status in Magento: it is in no grid", number))
	}
	for problem, n := range d.erp.Problems() {
		problems = append(problems, fmt.Sprintf("%d calls to the ERP: %s", n, problem))
	}
	for problem, n := range d.shop.Problems() {
		problems = append(problems, fmt.Sprintf("%d calls to Magento: %s", n, problem))
	}
	for _, p := range problems {
		d.bad("%s", p)
	}
	if len(problems) > 0 {
		return errors.New("something was lost, doubled or broken")
	}
	wanted := 0
	for _, o := range d.orders {
		wanted += o.documents
	}
	d.good("of %d orders placed, the %d that were to reach the ERP are there, each exactly once,", len(d.orders), wanted)
	d.say("  with exactly one comment in Magento and their status; the %d parcels of the 3PL's files have their numbers there", len(d.parcels))
	return nil
}
