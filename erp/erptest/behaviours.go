package erptest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/event"
)

func buildIsPure(b *bench) {
	first, second := b.build("ET-1"), b.build("ET-1")
	if !reflect.DeepEqual(first, second) {
		b.errorf("the second payload of one order differs from the first")
	}
	if len(first.Requests) == 0 {
		b.errorf("the payload has no requests")
	}
	if first.Order.ExternalReference != "ET-1" {
		b.errorf("the payload does not have the order it was built from")
	}
	if n := len(b.front.sent()) + b.front.asked(); n > 0 {
		b.errorf("building sent %d requests", n)
	}
}

func createsOnce(b *bench) {
	payload := b.build("ET-1")
	d, err := b.connector.Create(b.ctx, call("ET-1"), payload)
	if err != nil {
		b.fatalf("create: %v", err)
	}
	if booked := b.isBooked("ET-1"); d.Number != booked.Number {
		b.errorf("create returns document %q, the ERP has %q", d.Number, booked.Number)
	}
	sent := b.front.sent()
	if len(sent) != len(payload.Requests) {
		b.fatalf("create sent %d requests, Build returned %d", len(sent), len(payload.Requests))
	}
	for i, r := range payload.Requests {
		// What a later request takes from an earlier answer can't be in it before.
		lookedUp := bytes.Contains(r.Body, []byte(`"{`)) // a word in braces stands for it
		if sent[i].method != r.Method || !strings.Contains(string(r.Body), "{") || i == 0 && !lookedUp && !bytes.Equal(sent[i].body, r.Body) {
			b.errorf("request %d of the create is %s with %d bytes, and not what Build returned", i+1, sent[i].method, len(sent[i].body))
		}
	}
}

func findsWhatWasCreated(b *bench) {
	if found, err := b.connector.Find(b.ctx, "ET-1"); err != nil || len(found) > 0 {
		b.errorf("find before the create: %+v, error %v; want none", found, err)
	}
	b.created("ET-10")
	if found, err := b.connector.Find(b.ctx, "ET-1"); err != nil || len(found) > 0 {
		b.errorf("find of a reference that another one begins with: %+v, error %v; want none", found, err)
	}
	b.created("ET-1")
	b.isFound("ET-1")
	b.isFound("ET-10")
}

func findsEach(b *bench) {
	if b.rig.Unique {
		b.notApplicable = true
		return
	}
	want := map[string]bool{b.rig.Add("ET-1"): true, b.rig.Add("ET-1"): true}
	found, err := b.connector.Find(b.ctx, "ET-1")
	if err != nil {
		b.fatalf("find: %v", err)
	}
	for _, d := range found {
		delete(want, d.Number)
	}
	if len(found) != 2 || len(want) > 0 {
		b.errorf("of two documents with one reference %+v were found", found)
	}
}

// An order that is not found is sent again, so that every answer that is none must not be taken for "there is none".
func findWithoutAnswer(b *bench) {
	body := b.rig.ErrorBody("no")
	faults := []struct {
		name  string
		fault fault
	}{
		{"a lost connection", drop},
		{"a body that breaks off", cut},
		{"a page of HTML", page},
		{"an empty body", says("")},
		{"half an object", says(`{"items":[`)},
		{"a text", says(`"none"`)},
		{"an object without a list", says(`{"status":"ok"}`)},
		{"a redirect", redirect(http.StatusFound)},
		{"500", answer(500, nil, body)},
		{"401", answer(401, nil, body)},
		{"400", answer(400, nil, body)},
		{"503", answer(503, nil, body)},
	}
	b.each(len(faults), func(i int, b *bench) {
		b.rig.Add("ET-1")
		b.front.breakReads(faults[i].fault)
		found, err := b.connector.Find(b.ctx, "ET-1")
		if err == nil || len(found) > 0 {
			b.errorf("find, answered with %s: %+v, error %v; want an error", faults[i].name, found, err)
			return
		}
		b.isError("find, answered with "+faults[i].name, err, false)
		b.front.breakReads(nil)
		if found, err := b.connector.Find(b.ctx, "ET-1"); err != nil || len(found) != 1 {
			b.errorf("find after %s: %+v, error %v; want one", faults[i].name, found, err)
		}
	})
}

func lostAnswer(b *bench) {
	for i, f := range []fault{lose, cut} {
		reference := fmt.Sprintf("ET-%d", i+1)
		b.front.breakWrites(f)
		d, err := b.create(b.ctx, reference)
		b.front.breakWrites(nil)
		if d.Number != "" || d.Accepted {
			b.errorf("a create without an answer returns the document %+v", d)
		}
		b.isError("a create whose answer is lost", err, false, event.Unavailable, event.Timeout)
		b.isFound(reference)
	}
}

func commitsLate(b *bench) {
	b.front.breakWrites(b.front.hold)
	ctx, cancel := context.WithTimeout(b.ctx, 100*time.Millisecond)
	defer cancel()
	_, err := b.create(ctx, "ET-1")
	b.front.breakWrites(nil)
	b.isError("a create that ran out of time", err, false, event.Timeout, event.Unavailable)
	if found, err := b.connector.Find(b.ctx, "ET-1"); err != nil || len(found) > 0 {
		b.errorf("find before the commit: %+v, error %v; want none", found, err)
	}
	if !b.front.commitHeld(b.ctx) {
		b.fatalf("the create sent nothing that could be committed late")
	}
	b.isFound("ET-1")
}

// A second create is the caller's to decide, after a look-up.
func neverRepeats(b *bench) {
	faults := []struct {
		name  string
		fault fault
	}{
		{"a lost connection", drop},
		{"a lost answer", lose},
		{"500", answer(500, nil, "{}")},
		{"503", answer(503, nil, "{}")},
		{"429", answer(429, nil, "{}")},
		{"408", answer(408, nil, "{}")},
		{"a page of HTML", page},
		{"423", answer(423, nil, "{}")},
	}
	b.each(len(faults), func(i int, b *bench) {
		b.created("ET-1") // on a connection that is used again
		before := len(b.front.sent())
		b.front.breakWrites(faults[i].fault)
		if _, err := b.create(b.ctx, "ET-2"); err == nil {
			b.errorf("a create that was answered with %s has no error", faults[i].name)
		}
		if n := len(b.front.sent()) - before; n != 1 {
			b.errorf("a create that was answered with %s was sent %d times, want once", faults[i].name, n)
		}
	})
}

func secondCreate(b *bench) {
	if !b.rig.HonoursKeys {
		b.notApplicable = true
		return
	}
	first, second := b.created("ET-1"), b.created("ET-1")
	if first.Number != second.Number {
		b.errorf("the second create returns document %s, the first %s", second.Number, first.Number)
	}
	b.isBooked("ET-1")
}

func refusals(b *bench) {
	all := rows(b.rig.Refusals)
	b.each(len(all), func(i int, b *bench) {
		row := all[i]
		if row.Body == "" {
			row.Body = b.rig.ErrorBody("it does not like it")
		}
		b.front.breakWrites(answer(row.Status, row.Header, row.Body))
		d, err := b.create(b.ctx, "ET-1")
		if d.Number != "" || d.Accepted {
			b.errorf("a create that was answered %d returns the document %+v", row.Status, d)
		}
		b.isError(fmt.Sprintf("a create that was answered %d", row.Status), err, row.NotDone, row.Class)
	})
	b.each(len(all), func(i int, b *bench) {
		row := all[i]
		if row.Body == "" {
			row.Body = b.rig.ErrorBody("it does not like it")
		}
		d := b.created("ET-1")
		b.front.breakWrites(answer(row.Status, row.Header, row.Body))
		b.isError(fmt.Sprintf("a cancellation that was answered %d", row.Status), b.cancel("c1", d, true), row.NotDone, row.Class)
	})
}

func throttle(b *bench) {
	b.front.breakWrites(answer(http.StatusTooManyRequests, http.Header{"Retry-After": {"7"}}, b.rig.ErrorBody("later")))
	_, err := b.create(b.ctx, "ET-1")
	b.isError("a throttled create", err, false, event.Throttled)
	var e *event.Error
	if errors.As(err, &e) && e.RetryAfter != 7*time.Second {
		b.errorf("a throttle of 7 s says %s", e.RetryAfter)
	}
}

func refusedCredential(b *bench) {
	for i, status := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		reference := fmt.Sprintf("ET-%d", i+1)
		var once sync.Once
		refuse := answer(status, nil, b.rig.ErrorBody("who are you"))
		b.front.breakWrites(func(w http.ResponseWriter, r *http.Request, erp http.Handler) {
			refused := false
			once.Do(func() {
				refused = true
				refuse(w, r, erp)
			})
			if !refused {
				erp.ServeHTTP(w, r)
			}
		})
		b.created(reference)
		b.isBooked(reference)
		before := len(b.front.sent())
		b.front.breakWrites(refuse)
		_, err := b.create(b.ctx, reference+"0")
		b.isError(fmt.Sprintf("a create whose credential is refused with %d", status), err, true, event.Unauthorized)
		if n := len(b.front.sent()) - before; n != 2 {
			b.errorf("a create whose credential is refused with %d was sent %d times, want twice", status, n)
		}
	}
}

func redirects(b *bench) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		b.front.breakWrites(redirect(status))
		_, err := b.create(b.ctx, "ET-1")
		b.isError(fmt.Sprintf("a create that was answered %d", status), err, false, event.Unavailable)
	}
	b.front.breakReads(redirect(http.StatusFound))
	_, err := b.connector.Find(b.ctx, "ET-1")
	b.isError("a look-up that was answered 302", err, false, event.Unavailable)
	// Whether one was followed is looked at in every behaviour.
}

func unreadable(b *bench) {
	for i, f := range []struct {
		name  string
		fault fault
	}{
		{"a page of HTML", page},
		{"half an object", says(`{"document_number":"SO-1"`)},
		{"a text", says(`"done"`)},
		{"a list", says(`[]`)},
		{"no JSON", says(`ok`)},
	} {
		reference := fmt.Sprintf("ET-%d", i+1)
		b.front.breakWrites(f.fault)
		d, err := b.create(b.ctx, reference)
		b.front.breakWrites(nil)
		if d.Number != "" || d.Accepted {
			b.errorf("a create that was answered with %s returns the document %+v", f.name, d)
		}
		b.isError("a create that was answered with "+f.name, err, false, event.Unavailable)
		b.isFound(reference)
	}
}

func oversized(b *bench) {
	const most, bound = 32 << 20, 16 << 20 // what the kernel buffers is far less
	for _, find := range []bool{true, false} {
		f := &flood{most: most}
		var err error
		if find {
			b.front.breakReads(f.answer)
			_, err = b.connector.Find(b.ctx, "ET-1")
		} else {
			b.front.breakWrites(f.answer)
			_, err = b.create(b.ctx, "ET-1")
		}
		b.isError("an answer without an end", err, false, event.Unavailable)
		for b.ctx.Err() == nil && !f.over() {
			time.Sleep(time.Millisecond)
		}
		if f.taken > bound {
			b.errorf("of an answer of %d MB it read %d MB", most>>20, f.taken>>20)
		}
	}
}

func (f *flood) over() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.taken > 0
}

// cancel cancels a document, or one piece of line 1001.
func (b *bench) cancel(k string, d erp.Document, whole bool) error {
	if !whole {
		return b.cancelLine(k, d, 1)
	}
	return b.connector.Cancel(b.ctx, erp.Call{Key: "order_canceled:" + k, Attempt: erp.Attempt{Uncertain: b.again}}, d, erp.Cancellation{
		Reason: "canceled in the shop", Complete: true, Lines: []erp.CancellationLine{cancelled("1001", 2, 2, 2), cancelled("1002", 1, 1, 1)},
	})
}

// cancelLine cancels one piece of line 1001, of which so many are cancelled by then.
func (b *bench) cancelLine(k string, d erp.Document, by int64) error {
	return b.connector.Cancel(b.ctx, erp.Call{Key: "order_canceled:" + k, Attempt: erp.Attempt{Uncertain: b.again}}, d, erp.Cancellation{
		Reason: "canceled in the shop", Lines: []erp.CancellationLine{cancelled("1001", 2, 1, by)},
	})
}

// cancelled is a line of which n are cancelled now, and by then so many of those that were ordered. None is shipped.
func cancelled(reference string, ordered, n, by int64) erp.CancellationLine {
	quantity := func(n int64) erp.Quantity { return erp.NewQuantity(decimal.NewFromInt(n)) }
	return erp.CancellationLine{
		Reference: reference, SKU: told("24-MB01"), Quantity: quantity(n),
		Row: erp.Row{Ordered: quantity(ordered), Shipped: quantity(0), Refunded: quantity(0), Canceled: quantity(by), Open: quantity(ordered - by)},
	}
}

// cancelAgain repeats a cancellation of which it is not known whether the ERP has carried it out.
func (b *bench) cancelAgain(k string, d erp.Document, whole bool) error {
	b.again = true
	defer func() { b.again = false }()
	return b.cancel(k, d, whole)
}

// numbered returns a document of which only the number is known, as after a restart.
func numbered(d erp.Document) erp.Document { return erp.Document{Number: d.Number} }

func cancelsWhole(b *bench) {
	d := b.created("ET-1")
	b.created("ET-2")
	if err := b.cancel("c1", numbered(d), true); err != nil {
		b.fatalf("cancel: %v", err)
	}
	if !b.isBooked("ET-1").Canceled {
		b.errorf("the document is not cancelled in the ERP")
	}
	if other := b.isBooked("ET-2"); other.Canceled || len(other.Taken) > 0 {
		b.errorf("another document was cancelled too: %+v", other)
	}
}

func cancelsLines(b *bench) {
	d := b.created("ET-1")
	if err := b.cancel("c1", numbered(d), false); err != nil {
		b.fatalf("cancel one piece: %v", err)
	}
	if booked := b.isBooked("ET-1"); booked.Canceled || !reflect.DeepEqual(booked.Taken, map[string]string{"1001": "1"}) {
		b.errorf("after one piece of line 1001 the ERP has %+v", booked)
	}
	if err := b.cancelLine("c2", numbered(d), 2); err != nil { // another key: one more piece
		b.fatalf("cancel another piece: %v", err)
	}
	if booked := b.isBooked("ET-1"); booked.Canceled || booked.Taken["1001"] != "2" {
		b.errorf("after two cancellations of one piece of line 1001 the ERP has %+v", booked)
	}
}

func cancelsTwice(b *bench) {
	d := b.created("ET-1")
	for _, cancel := range []func(string, erp.Document, bool) error{b.cancel, b.cancelAgain} {
		if err := cancel("c1", numbered(d), true); err != nil {
			b.errorf("cancel the whole document with the same key: %v", err)
		}
	}
	if !b.isBooked("ET-1").Canceled {
		b.errorf("the document is not cancelled in the ERP")
	}
	if !b.rig.HonoursKeys {
		return
	}
	d = b.created("ET-2")
	for range 2 {
		if err := b.cancel("c2", numbered(d), false); err != nil {
			b.errorf("cancel a line with the same key: %v", err)
		}
	}
	if booked := b.isBooked("ET-2"); booked.Taken["1001"] != "1" {
		b.errorf("after the same cancellation of one piece twice the ERP has %+v", booked)
	}
}

func cancelsUnknown(b *bench) {
	b.created("ET-1")
	b.isError("a cancellation of a document that is not there", b.cancel("c1", erp.Document{Number: "999999"}, true), true, event.NotFound)
	if booked := b.isBooked("ET-1"); booked.Canceled {
		b.errorf("another document was cancelled")
	}
}

func lostCancellation(b *bench) {
	d := b.created("ET-1")
	b.front.breakWrites(lose)
	err := b.cancel("c1", numbered(d), true)
	b.front.breakWrites(nil)
	b.isError("a cancellation whose answer is lost", err, false, event.Unavailable, event.Timeout)
	if err := b.cancelAgain("c1", numbered(d), true); err != nil {
		b.errorf("the same cancellation once more: %v", err)
	}
	if !b.isBooked("ET-1").Canceled {
		b.errorf("the document is not cancelled in the ERP")
	}
}

func errorsAreClean(b *bench) {
	const words = "the item is blocked"
	text := strings.Join(append([]string{words, "for", name, email, phone}, b.rig.Secrets...), " ")
	statuses := []int{400, 401, 403, 409, 422, 500, 503}
	b.each(len(statuses), func(i int, b *bench) {
		what := fmt.Sprintf("answered %d with personal data and credentials", statuses[i])
		fault := answer(statuses[i], nil, b.rig.ErrorBody(text))
		b.front.breakWrites(fault)
		_, err := b.create(b.ctx, "ET-1")
		if err == nil {
			b.fatalf("create, %s: no error", what)
		}
		b.isClean("create, "+what, err)
		if !strings.Contains(err.Error(), words) {
			b.errorf("create, %s: the error does not say %q: %v", what, words, err)
		}
		if !strings.Contains(err.Error(), "ET-1") {
			b.errorf("create, %s: the error does not name the order: %v", what, err)
		}
		b.front.breakReads(answer(statuses[i], nil, b.rig.ErrorBody(strings.Join(append([]string{words, email}, b.rig.Secrets...), " "))))
		if _, err = b.connector.Find(b.ctx, "ET-1"); err == nil {
			b.fatalf("find, %s: no error", what)
		}
		b.isClean("find, "+what, err)
		b.front.breakWrites(answer(statuses[i], nil, b.rig.ErrorBody(words+strings.Repeat(" äöü", 20_000))))
		if _, err = b.create(b.ctx, "ET-2"); err == nil {
			b.fatalf("create, answered %d at length: no error", statuses[i])
		}
		b.isClean("create, answered at length", err)
	})
}

func endedContext(b *bench) {
	d := b.created("ET-1")
	payload := b.build("ET-2")
	before := len(b.front.sent())
	ended, cancel := context.WithCancel(b.ctx)
	cancel()
	if _, err := b.connector.Create(ended, call("ET-2"), payload); err == nil {
		b.errorf("create in an ended context: no error")
	}
	if _, err := b.connector.Find(ended, "ET-1"); err == nil {
		b.errorf("find in an ended context: no error")
	}
	if err := b.connector.Cancel(ended, erp.Call{Key: "order_canceled:c1"}, d, erp.Cancellation{Complete: true}); err == nil {
		b.errorf("cancel in an ended context: no error")
	}
	if n := len(b.front.sent()) - before; n > 0 {
		b.errorf("%d requests that write were sent in an ended context", n)
	}
}

func endingContext(b *bench) {
	const patience = 3 * time.Second
	b.front.breakWrites(stall)
	ctx, cancel := context.WithTimeout(b.ctx, 100*time.Millisecond)
	defer cancel()
	ended := make(chan error, 1)
	payload := b.build("ET-1")
	go func() {
		_, err := b.connector.Create(ctx, call("ET-1"), payload)
		ended <- err
	}()
	select {
	case err := <-ended:
		b.isError("a create that ran out of time", err, false, event.Timeout, event.Unavailable)
	case <-time.After(patience):
		b.errorf("%s after the end of its context a create still runs", patience)
		b.close() // which ends it
		if err := <-ended; err != nil {
			b.isClean("a create that ended late", err)
		}
		b.ends = nil
	}
}

func concurrent(b *bench) {
	const n = 16
	payloads := make([]erp.Payload, n)
	for i := range payloads {
		payloads[i] = b.build(fmt.Sprintf("ET-%d", i+1))
	}
	numbers := make([]string, n)
	errs := make([]error, n)
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() {
			reference := fmt.Sprintf("ET-%d", i+1)
			d, err := b.connector.Create(b.ctx, call(reference), payloads[i])
			if err == nil {
				_, err = b.connector.Find(b.ctx, reference)
			}
			numbers[i], errs[i] = d.Number, err
		})
	}
	running.Wait()
	for i := range n {
		reference := fmt.Sprintf("ET-%d", i+1)
		if errs[i] != nil {
			b.errorf("%s among %d at once: %v", reference, n, errs[i])
			continue
		}
		books := b.rig.Books(reference)
		if len(books) != 1 || books[0].Number != numbers[i] {
			b.errorf("%s among %d at once is document %s, and the ERP has %+v", reference, n, numbers[i], books)
		}
	}
}
