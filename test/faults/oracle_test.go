package faults

import (
	"context"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/test/kit/env"
)

// effects are what has come of the events, by order; of tracking numbers by order and number.
type effects struct{ documents, comments, tracks map[string]int }

func (w *world) effects() effects {
	return effects{w.ERP.Counts(), w.Shop.CommentCounts("Sales order "), w.Shop.TrackCounts()}
}

func (e effects) done(s *sent) bool {
	if s.done != nil {
		return s.done()
	}
	if s.track != "" {
		return e.tracks[s.order+" "+s.track] > 0
	}
	return s.order != "" && e.documents[s.order] > 0 && e.comments[s.order] > 0
}

// take empties a queue.
func (w *world) take(queue string) []amqp.Delivery {
	w.t.Helper()
	var all []amqp.Delivery
	for range max(0, w.Depth(queue)) {
		if d, ok := w.Get(queue); ok {
			all = append(all, d)
		}
	}
	return all
}

// report compares what was published with what is there now. It empties the queues: nothing of mageline runs any more.
func (w *world) report(unexpected int) {
	w.t.Helper()
	o := &oracle{world: w, report: report{number: w.f.number, name: w.f.name, unexpected: unexpected}, effects: w.effects()}
	o.takeMessages()
	o.askForEachEvent()
	o.countEffects()
	for _, problem := range w.Problems() {
		o.odd("%s", problem)
	}
	if o.report.parked != w.parked {
		o.odd("%d events are parked, want %d", o.report.parked, w.parked)
	}
	if o.report.waiting != w.waiting {
		o.odd("%d events wait, want %d", o.report.waiting, w.waiting)
	}
	o.readLedger()
	o.report.took, o.report.ok = time.Since(w.began), !w.t.Failed()
	table.add(o.report)
}

// oracle knows what was published, and tells what has become of it.
type oracle struct {
	*world
	report          report
	effects         effects
	parked, waiting map[string]bool // message ids
}

// odd notes what nobody can explain.
func (o *oracle) odd(format string, args ...any) {
	o.t.Helper()
	o.t.Errorf("unexpected: "+format, args...)
	o.report.unexpected++
}

// takeMessages empties the queues and notes whose messages were in them.
func (o *oracle) takeMessages() {
	o.t.Helper()
	o.parked, o.waiting = map[string]bool{}, map[string]bool{}
	known := map[string]bool{}
	for _, s := range o.events {
		known[s.id] = true
	}
	for _, c := range env.Consumers {
		for _, d := range o.take(o.DeadLetters(c)) {
			reason, text := d.Headers["x-mageline-reason"], d.Headers["x-mageline-error"]
			if !known[d.MessageId] || reason == nil || text == nil {
				o.odd("a dead letter that nobody has published, or that does not say why it is there: %v", d.Headers)
			}
			o.t.Logf("parked: %v %v, attempts %v, %v", reason, d.Headers["x-mageline-error-class"], d.Headers["x-mageline-attempts"], text)
			o.parked[d.MessageId] = true
		}
		for _, d := range o.take(o.Queue(c)) {
			o.odd("a message is left in the queue: %s", d.MessageId)
			o.waiting[d.MessageId] = true
		}
	}
	for _, queue := range o.RetryQueues() {
		for _, d := range o.take(queue) {
			o.waiting[d.MessageId] = true
		}
	}
}

// askForEachEvent counts the ends of the events, and finds those that have none.
func (o *oracle) askForEachEvent() {
	o.t.Helper()
	r := &o.report
	for _, s := range o.events {
		r.attempted++
		done := o.effects.done(s)
		switch {
		case !s.acknowledged:
			if done || o.parked[s.id] || o.waiting[s.id] {
				r.recovered++
			}
			continue
		case o.parked[s.id]:
			r.parked++
		case o.waiting[s.id]:
			r.waiting++
		case done:
			r.done++
		default:
			o.t.Errorf("lost: the event %s of order %q, track %q, which has %d documents and %d comments; calls of the ERP: %v",
				s.id, s.order, s.track, o.effects.documents[s.order], o.effects.comments[s.order], o.History(s.order))
			r.lost++
		}
		r.acknowledged++
	}
}

// countEffects finds what has happened twice, and what has happened without an order.
func (o *oracle) countEffects() {
	o.t.Helper()
	placed := map[string]bool{}
	for _, order := range o.placed {
		number := order.IncrementID
		placed[number] = true
		for what, n := range map[string]int{"documents": o.effects.documents[number], "comments": o.effects.comments[number]} {
			if n > 1 {
				o.t.Errorf("duplicated: order %s has %d %s; calls of the ERP: %v", number, n, what, o.History(number))
				o.report.duplicated++
			}
		}
	}
	for track, n := range o.effects.tracks {
		if n > 1 {
			o.t.Errorf("duplicated: the track %s is there %d times", track, n)
			o.report.duplicated++
		}
	}
	for reference := range o.effects.documents {
		if !placed[reference] {
			o.odd("the ERP has a document for %q", reference)
		}
	}
}

// readLedger looks for rows that contradict what has happened.
func (o *oracle) readLedger() {
	w := o.world
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	u, err := url.Parse(w.Database)
	if err != nil {
		w.t.Fatal(err)
	}
	if w.databaseLink != nil { // it knows where the database has gone in a failover
		u.Host = w.databaseLink.Target()
	}
	conn, err := pgx.Connect(ctx, u.String())
	if err != nil {
		w.t.Error(err)
		return
	}
	defer func() { _ = conn.Close(ctx) }()
	var key, effect, state, class string
	rows, err := conn.Query(ctx, "SELECT key, effect, state, class FROM effect WHERE state <> 'done'")
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&key, &effect, &state, &class}, func() error {
			if state == "in_progress" || (o.effects.documents[key] > 0 && effect == "create" && w.parked == 0) {
				o.odd("the ledger has %s of order %s as %s (%s)", effect, key, state, class)
			}
			return nil
		})
	}
	if err != nil {
		w.t.Error(err)
	}
}
