package kit

import (
	"testing"
	"time"
)

// Eventually waits until a condition holds, and fails the test when it does not within the time. what completes the
// sentence "waited … for: ".
func Eventually(t testing.TB, timeout time.Duration, condition func() bool, what string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(timeout)
	defer limit.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-limit.C:
			if condition() {
				return
			}
			t.Fatalf("waited %s for: %s", timeout, what)
		}
	}
}
