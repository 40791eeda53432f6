package faults

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
)

// onePiece is a parcel with one piece of what parcels's orders are about.
const onePiece = `,"items":[{"sku":"A","quantity":1}]`

// parcels places orders of five pieces and publishes tracking numbers, each for one piece: one piece is always left over,
// so that Magento would ship once more if it were asked to.
func (w *world) parcels(orders, each int) {
	w.t.Helper()
	for range orders {
		o := w.order(fakemagento.Placing{Lines: []fakemagento.Line{{SKU: "A", Name: "A", Qty: int64(each) + 1, Price: decimal.New(10, 0)}}})
		for n := range each {
			w.track(o, fmt.Sprint("T", n), onePiece)
		}
	}
}

// isWritten checks that shipments hold a piece each, and the numbers that were published.
func (w *world) isWritten(orders, each int) {
	w.t.Helper()
	w.awaitTracked(orders * each)
	for _, o := range w.placed {
		for _, s := range w.Shop.Shipments(o.EntityID) {
			if len(s.Tracks) != 1 || len(s.Mails) > 1 {
				w.t.Errorf("order %s has the shipment %+v", o.IncrementID, s)
			}
		}
		if n := len(w.Shop.Shipments(o.EntityID)); n != each {
			w.t.Errorf("order %s has %d shipments, want %d", o.IncrementID, n, each)
		}
	}
}

func posts(r *http.Request) bool { return r.Method == http.MethodPost }

var trackingFaults = []*scenario{
	{number: 24, name: "SIGKILL while Magento ships", env: []string{"TRACKING_NOTIFY", "true"}, run: func(w *world) {
		for _, after := range []bool{false, true} {
			r := w.Run(2)
			struck := make(chan struct{})
			var once sync.Once
			w.ShopFront.OnCall(http.MethodPost, "/ship", after, func() {
				once.Do(func() {
					r[0].Kill()
					r[1].Kill()
					close(struck)
				})
			})
			w.parcels(3, 2)
			select {
			case <-struck:
			case <-time.After(env.Patience):
				w.t.Fatal("nothing was shipped")
			}
			w.ShopFront.Set(nil)
		}
		w.Run(2)
		w.isWritten(6, 2)
	}},
	{number: 29, name: "two replicas get the same tracking number together, and the parcels of one order", run: func(w *world) {
		w.Run(2)
		w.Shop.Faults.Set(fault.Plan{Latency: 20 * time.Millisecond})
		w.parcels(4, 5)
		for _, o := range w.placed {
			for n := range 5 {
				w.track(o, fmt.Sprint("T", n), onePiece)
			}
		}
		w.isWritten(4, 5)
	}},
	{number: 40, name: "time-out after Magento has shipped", env: []string{"TRACKING_NOTIFY", "true"}, run: func(w *world) {
		w.Run(2)
		w.Shop.Faults.Set(fault.Plan{Only: posts, Chances: []fault.Chance{
			{OneIn: 3, Fault: fault.Fault{Kind: fault.Late, After: time.Second + 200*time.Millisecond}},
			{OneIn: 4, Fault: fault.Fault{Kind: fault.Drop}},
			{OneIn: 6, Fault: fault.Fault{Kind: fault.Garble}},
		}})
		w.Shop.MaskNextSaves(true, false, true, true, false)
		w.parcels(10, 3)
		w.isWritten(10, 3)
		w.Heal()
	}},
	{
		number: 49, name: "events out of order: numbers before their orders and shipments", env: []string{"TRACKING_WHEN_NO_SHIPMENT", "wait"},
		run: func(w *world) {
			w.Run(2)
			for i := range 10 {
				o := w.order(fakemagento.Placing{VisibleAfter: time.Duration(i) * 200 * time.Millisecond})
				w.track(o, "early", "")
				w.event(o)
			}
			w.AwaitDone(w.placed...)
			for _, o := range w.placed {
				if n := len(w.Shop.Shipments(o.EntityID)); n != 0 {
					w.t.Errorf("order %s has %d shipments before anybody has shipped it", o.IncrementID, n)
				}
				w.Shop.Ship(o.EntityID, nil)
			}
			w.awaitTracked(len(w.placed))
		},
	},
	{number: 59, name: "replay of an edited message that fails again", run: func(w *world) {
		w.Run(1)
		dlq := w.DeadLetters("tracking_received")
		o := w.order(fakemagento.Placing{})
		w.track(o, "T", `,"items":[{"sku":"MISSPELT","quantity":1}]`)
		for i, edit := range []string{"", "WRONG AGAIN", "24-MB01"} {
			if i > 0 {
				w.edit(dlq, fmt.Sprintf(`{"order_number":%q,"tracking_number":"T","items":[{"sku":%q,"quantity":1}]}`, o.IncrementID, edit))
			}
			if edit != "24-MB01" {
				kit.Eventually(w.t, env.Patience, func() bool { return w.Depth(dlq) == 1 }, "the message to be a dead letter")
			}
		}
		w.awaitTracked(1)
	}},
}

// edit takes the only letter out of a dead-letter queue and sends it back to its queue with another body.
func (w *world) edit(queue, body string) {
	w.t.Helper()
	file := filepath.Join(w.t.TempDir(), "letters")
	if out, code := w.Call("dlq", "discard", queue, "--yes", "--out", file); code != 0 {
		w.t.Fatalf("discard ends with %d: %s", code, out)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		w.t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(content))
	d.UseNumber()
	var letter map[string]any
	if err := d.Decode(&letter); err != nil {
		w.t.Fatal(err)
	}
	letter["body_base64"] = base64.StdEncoding.EncodeToString([]byte(body))
	if content, err = json.Marshal(letter); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(file, append(content, '\n'), 0o600); err != nil {
		w.t.Fatal(err)
	}
	if out, code := w.Call("publish", "--letters", file); code != 0 || !strings.Contains(out, "1") {
		w.t.Fatalf("publish ends with %d: %s", code, out)
	}
}
