package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
	"github.com/mageline/mageline/test/kit/process"
)

// methodPublish is basic.publish of AMQP 0-9-1.
const methodPublish = 40

// moments are those between the publish of a retry or dead letter and the acknowledgement of what it stands for, as they
// show on the wire. At each the process dies, and nothing more passes in either direction.
var moments = []struct {
	name   string
	at     func(*kit.Frame) bool
	passes bool // the frame reaches its end, who stands still
	copies int  // that the broker has then, besides the message itself
}{
	{"before the publish", func(f *kit.Frame) bool { return !f.FromBroker && f.Is(methodPublish) }, false, 0},
	{"published", func(f *kit.Frame) bool { return f.FromBroker && f.Is(kit.MethodAck) }, false, 1},
	{"confirmed", func(f *kit.Frame) bool { return f.FromBroker && f.Is(kit.MethodAck) }, true, 1},
	{"acknowledgement on its way", func(f *kit.Frame) bool { return !f.FromBroker && f.Is(kit.MethodAck) }, false, 1},
}

// killedAt runs a replica that is killed at a moment, and gives the orders' event to it.
func killedAt(t *testing.T, e *env.Env, at func(*kit.Frame) bool, passes bool) fakemagento.Placed {
	t.Helper()
	frames := kit.NewFrames(t, e.URL)
	r := e.Start("AMQP_URL", frames.URL).AwaitReady()
	struck := make(chan struct{})
	strike := sync.OnceFunc(func() { close(struck) })
	over := false
	frames.On(func(f *kit.Frame) bool { // one frame at a time
		switch {
		case over:
			return false
		case !at(f):
			return true
		}
		over = true
		defer strike()
		if passes {
			r.Signal(process.Freeze)
		} else {
			r.Kill()
		}
		return passes
	})
	o := e.PlaceOne(fakemagento.Placing{})
	select {
	case <-struck:
	case <-time.After(env.Patience):
		t.Fatal("the moment did not come")
	}
	r.Kill()
	return o
}

// A process dies at each moment of a retry: the order is done, once, though its message may be there twice.
func TestReplica_KilledDuringRetry(t *testing.T) {
	t.Parallel()
	for _, m := range moments {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, 200*time.Millisecond, time.Second)
			e.Set("BREAKER_FAILURES", "0", "ERP_UNCERTAIN_WAIT", "0")
			e.ERP.Faults.Next(fault.Fault{Kind: fault.Fail, Status: 503})
			o := killedAt(t, e, m.at, m.passes)
			if e.Exported(o) != 0 {
				t.Fatal("the ERP has the order already: nothing was to be tried again")
			}
			want := 1 + m.copies
			kit.Eventually(t, env.Patience, func() bool { return e.Messages() == want }, fmt.Sprintf("%d messages to be at the broker", want))
			e.Start().AwaitReady()
			e.AwaitDone(o)
			e.Finish()
			e.CheckDone(o)
		})
	}
}

// A process dies at each moment of dead-lettering: there is one dead letter, which says how often it is there, and a replay
// sends one.
func TestReplica_KilledDuringDeadLettering(t *testing.T) {
	t.Parallel()
	for _, m := range moments {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, 200*time.Millisecond, time.Second)
			e.RefuseOrders()
			o := killedAt(t, e, m.at, m.passes)
			letters, queue := e.DeadLetters("order_placed"), e.Queue("order_placed")
			kit.Eventually(t, env.Patience, func() bool { return e.Depth(queue) == 1 && e.Depth(letters) == m.copies },
				fmt.Sprintf("the message to be there, and %d dead letters", m.copies))
			r := e.Start().AwaitReady()
			kit.Eventually(t, env.Patience, func() bool { return e.Messages() == 0 && e.Depth(letters) == m.copies+1 },
				"the message to be dead-lettered again")
			acked := func() bool { return r.Metric("mageline_in_flight") == 0 && e.Messages() == 0 }
			kit.Eventually(t, env.Patience, acked, "it to be acknowledged")
			out, code := e.Call("dlq", "list", letters, "--json")
			var letter struct {
				Key   string
				Count int
			}
			if err := json.Unmarshal([]byte(out), &letter); code != 0 || err != nil || letter.Count != m.copies+1 || letter.Key != o.IncrementID {
				t.Errorf("dlq list ends with %d: %s; want one line with a count of %d", code, out, m.copies+1)
			}
			e.Heal()
			if out, code := e.Call("--replay-dlq", letters); code != 0 || !strings.Contains(out, "replayed 1,") {
				t.Errorf("the replay ends with %d: %s", code, out)
			}
			e.AwaitDone(o)
			e.Finish()
			e.CheckDone(o)
		})
	}
}
