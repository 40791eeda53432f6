package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

// Bodies of 15 MiB, some wrapped in text and some poison: all end as they should, and the process stays within MEMORY_LIMIT
// and 64 MiB. The program is without the race detector, which multiplies the memory of a process.
func TestMemory_LargeBodies(t *testing.T) {
	const limit, beside = 128 << 20, 64 << 20
	e := newEnv(t, 200*time.Millisecond)
	e.Set("MEMORY_LIMIT", "128MiB")
	r := program.Variant(t, "-race=false").Start(t, e.Vars).AwaitReady()
	padding := `,"padding":"` + strings.Repeat("x", 15<<20) + `"}`
	var orders []fakemagento.Placed
	poison := 0
	for n := range 16 {
		if n%4 == 3 {
			poison++
			e.Publish([]string{"sales.order.placed", "sales.order.canceled"}[poison%2], `{"increment_id":{}`+padding)
			continue
		}
		o := e.Shop.PlaceOrder(fakemagento.Placing{})
		orders = append(orders, o)
		body := fmt.Sprintf(`{"increment_id":"%s"`, o.IncrementID) + padding
		if n%2 == 0 {
			body = strconv.Quote(body)
		}
		e.Publish("sales.order.placed", body)
	}
	e.AwaitDoneWithin(2*env.Patience, orders...)
	kit.Eventually(t, env.Patience, func() bool {
		return e.Depth(e.DeadLetters("order_placed"))+e.Depth(e.DeadLetters("order_canceled")) == poison
	}, "the poison to be dead-lettered")
	peak := kit.PeakMemory(t, r.PID())
	t.Logf("peak memory %d MiB, MEMORY_LIMIT %d MiB", peak>>20, limit>>20)
	if peak > limit+beside {
		t.Errorf("peak memory %d MiB, want at most %d", peak>>20, (limit+beside)>>20)
	}
	r.Terminate()
	if code := r.Exit(); code != 0 || e.Messages() != 0 {
		t.Errorf("exit code %d, %d messages are left", code, e.Messages())
	}
}
