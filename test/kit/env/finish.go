package env

import (
	"fmt"
	"slices"
	"time"
)

// Consumers are those whose queues Left counts.
var Consumers = []string{"order_placed", "order_canceled", "tracking_file_ready", "tracking_received", "products_exported", "price_sync", "stock_sync"}

// RetryQueues are those of the delays, each once.
func (e *Env) RetryQueues() []string {
	var names []string
	for _, d := range e.Delays {
		names = append(names, e.RetryQueue(d))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Left counts the messages that wait to be handled: in the queues of the consumers, and for a retry.
func (e *Env) Left() (now, later int) {
	e.t.Helper()
	later = e.Depths(e.RetryQueues()...) // first: what is due meanwhile is counted twice, and not never
	queues := make([]string, len(Consumers))
	for i, c := range Consumers {
		queues[i] = e.Queue(c)
	}
	return e.Depths(queues...), later
}

// Messages is the sum of both.
func (e *Env) Messages() int {
	e.t.Helper()
	now, later := e.Left()
	return now + later
}

// Empty reports whether no message is left.
func (e *Env) Empty() bool {
	e.t.Helper()
	return e.Messages() == 0
}

// Lasting waits until a condition has held without a break for longer than the shortest retry delay, and lets the test fail, and
// go on, when it does not: a message that a replica has, and may be about to defer, is in no queue for the moment.
func (e *Env) Lasting(what string, condition func() bool) {
	e.t.Helper()
	quiet := min(slices.Min(e.Delays), time.Second) + 500*time.Millisecond
	tick := time.NewTicker(100 * time.Millisecond) // less than the shortest delay, which a message that comes back has to wait
	defer tick.Stop()
	for began, since := time.Now(), time.Now(); time.Since(since) <= quiet; <-tick.C {
		if !condition() {
			since = time.Now()
		}
		if since.Sub(began) > Patience {
			e.t.Errorf("waited %s for: %s", Patience, what)
			return
		}
	}
}

// AwaitEmpty waits until no message is left.
func (e *Env) AwaitEmpty() {
	e.t.Helper()
	e.Lasting("no message left in any queue", e.Empty)
}

// Finish waits until no message is left, stops the replicas, which must end with 0, and checks that nothing has come back
// and no order has become a dead letter. A replica whose exit code the test has asked for has ended as the test wants.
func (e *Env) Finish() {
	e.t.Helper()
	e.Stop(e.AwaitEmpty, e.Empty)
	for _, consumer := range []string{"order_placed", "order_canceled"} {
		for range max(0, e.Depth(e.DeadLetters(consumer))) {
			if d, ok := e.Get(e.DeadLetters(consumer)); ok {
				CheckLetter(e.t, &d)
				e.t.Errorf("a dead letter of %s, %v, key %v, attempts %v, %v: %v", consumer, d.Headers["x-mageline-reason"],
					d.Headers["x-mageline-key"], d.Headers["x-mageline-attempts"], d.Headers["x-mageline-error-class"], d.Headers["x-mageline-error"])
			}
		}
	}
}

// Stop settles, then stops the replicas, and returns how many have not ended with 0. A message that a replica had when it was
// told to end is requeued: while the end is not reached, another replica starts and takes it.
func (e *Env) Stop(settle func(), reached func() bool) (failed int) {
	e.t.Helper()
	for range 5 {
		settle()
		failed += e.StopReplicas()
		if reached() || failed > 0 || e.t.Failed() {
			return failed
		}
		e.Start().AwaitReady()
	}
	now, later := e.Left()
	e.t.Errorf("%d messages are left and %d wait for a retry, however often a replica starts and ends", now, later)
	return failed + 1
}

// StopReplicas tells all replicas to end, and returns how many have not ended with 0.
func (e *Env) StopReplicas() (failed int) {
	e.t.Helper()
	for _, r := range e.Replicas {
		if !r.Asked() {
			r.Terminate()
		}
	}
	for _, r := range e.Replicas {
		if r.Asked() || r.Killed() {
			continue
		}
		if code := r.Exit(); code != 0 {
			e.t.Errorf("a replica ended with exit code %d; its log: %s", code, r.Log)
			failed++
		}
	}
	e.Replicas = nil
	return failed
}

// CheckOnce fails the test when any order is in the ERP, or told of its document, more than once, and when there are Problems.
func (e *Env) CheckOnce() {
	for reference, n := range e.ERP.Counts() {
		if n > 1 {
			e.t.Errorf("the ERP has order %s %d times: %v", reference, n, e.History(reference))
		}
	}
	for number, n := range e.Shop.CommentCounts("Sales order ") {
		if n < 2 {
			continue
		}
		for _, d := range e.ERP.DocumentsOf(number) { // the others tell of cancellations
			if n := e.Shop.CommentCounts("Sales order " + d.Number + " created")[number]; n > 1 {
				e.t.Errorf("order %s has %d comments that name its document", number, n)
			}
		}
	}
	for _, problem := range e.Problems() {
		e.t.Error(problem)
	}
}

// Problems are what the shop and the ERP complain of: calls that the contract does not allow, orders that Magento's grid has
// lost.
func (e *Env) Problems() (problems []string) {
	for of, counts := range map[string]map[string]int{"the ERP": e.ERP.Problems(), "Magento": e.Shop.Problems()} {
		for problem, n := range counts {
			problems = append(problems, fmt.Sprintf("%d calls of %s: %s", n, of, problem))
		}
	}
	if lost := e.Shop.Statusless(); len(lost) > 0 {
		problems = append(problems, fmt.Sprintf("%d orders have lost their status in Magento, and are in no grid: %.200q", len(lost), lost))
	}
	return problems
}
