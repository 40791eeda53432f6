package faults

import (
	"context"
	"fmt"
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
	r := report{number: w.f.number, name: w.f.name, unexpected: unexpected}
	odd := func(format string, args ...any) {
		w.t.Helper()
		w.t.Errorf("unexpected: "+format, args...)
		r.unexpected++
	}
	known := map[string]bool{}
	for _, s := range w.events {
		known[s.id] = true
	}
	parked, waiting := map[string]bool{}, map[string]bool{}
	var letters, messages []amqp.Delivery
	for _, c := range env.Consumers {
		letters = append(letters, w.take(w.DeadLetters(c))...)
		messages = append(messages, w.take(w.Queue(c))...)
	}
	for _, d := range letters {
		reason, class := fmt.Sprint(d.Headers["x-mageline-reason"]), fmt.Sprint(d.Headers["x-mageline-error-class"])
		if !known[d.MessageId] || d.Headers["x-mageline-reason"] == nil || d.Headers["x-mageline-error"] == nil {
			odd("a dead letter that nobody has published, or that does not say why it is there: %v", d.Headers)
		}
		w.t.Logf("parked: %s %s, attempts %v, %v", reason, class, d.Headers["x-mageline-attempts"], d.Headers["x-mageline-error"])
		parked[d.MessageId] = true
	}
	for _, queue := range w.RetryQueues() {
		for _, d := range w.take(queue) {
			waiting[d.MessageId] = true
		}
	}
	for _, d := range messages {
		odd("a message is left in the queue: %s", d.MessageId)
		waiting[d.MessageId] = true
	}

	effects := w.effects()
	documents, comments := effects.documents, effects.comments
	for _, s := range w.events {
		r.attempted++
		done := effects.done(s)
		switch {
		case !s.acknowledged:
			if done || parked[s.id] || waiting[s.id] {
				r.recovered++
			}
			continue
		case parked[s.id]:
			r.parked++
		case waiting[s.id]:
			r.waiting++
		case done:
			r.done++
		default:
			w.t.Errorf("lost: the event %s of order %q, track %q, which has %d documents and %d comments; calls of the ERP: %v",
				s.id, s.order, s.track, documents[s.order], comments[s.order], w.History(s.order))
			r.lost++
		}
		r.acknowledged++
	}
	placed := map[string]bool{}
	for _, o := range w.placed {
		placed[o.IncrementID] = true
		for what, n := range map[string]int{"documents": documents[o.IncrementID], "comments": comments[o.IncrementID]} {
			if n > 1 {
				w.t.Errorf("duplicated: order %s has %d %s; calls of the ERP: %v", o.IncrementID, n, what, w.History(o.IncrementID))
				r.duplicated++
			}
		}
	}
	for track, n := range effects.tracks {
		if n > 1 {
			w.t.Errorf("duplicated: the track %s is there %d times", track, n)
			r.duplicated++
		}
	}
	for reference := range documents {
		if !placed[reference] {
			odd("the ERP has a document for %q", reference)
		}
	}
	if lost := w.Shop.Statusless(); len(lost) > 0 {
		odd("%d orders have lost their status in Magento, and are in no grid: %.200q", len(lost), lost)
	}
	for _, problems := range []map[string]int{w.ERP.Problems(), w.Shop.Problems()} {
		for problem, n := range problems {
			odd("%d calls: %s", n, problem)
		}
	}
	if r.parked != w.parked {
		odd("%d events are parked, want %d", r.parked, w.parked)
	}
	if r.waiting != w.waiting {
		odd("%d events wait, want %d", r.waiting, w.waiting)
	}
	w.ledger(odd, documents)
	r.took, r.ok = time.Since(w.began), !w.t.Failed()
	table.add(r)
}

// ledger looks for rows that contradict what has happened.
func (w *world) ledger(odd func(format string, args ...any), documents map[string]int) {
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
			if state == "in_progress" || (documents[key] > 0 && effect == "create" && w.parked == 0) {
				odd("the ledger has %s of order %s as %s (%s)", effect, key, state, class)
			}
			return nil
		})
	}
	if err != nil {
		w.t.Error(err)
	}
}
