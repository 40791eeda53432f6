package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

// A writer pauses for so long that its file is taken, by a replica that is killed then, and writes on: each row is in Magento once,
// and the bad one in one rejected file.
func TestInbox_FileThatGrowsAfterItWasTaken(t *testing.T) {
	t.Parallel()
	e := newEnv(t, time.Second)
	dir := t.TempDir()
	order := e.Shop.PlaceOrder(fakemagento.Placing{}).IncrementID
	e.Set("CONSUMERS", "tracking_file_ready,tracking_received", "TRACKING_DIR", dir, "HANDLER_TIMEOUT", "5s", "IDEMPOTENCY_LEASE", "10s")
	first := e.Start().AwaitReady()
	f, err := os.Create(filepath.Join(dir, "grows.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	write := func(rows string) {
		t.Helper()
		if _, err := f.WriteString(rows); err != nil {
			t.Fatal(err)
		}
	}
	write("order_number,tracking_number\n" + order + ",T1\n" + order + ",\n")
	kit.Eventually(t, env.Patience, func() bool { // its name in processed/ is reserved before it is moved there
		return len(lying(t, dir, ".")) == 0 && len(lying(t, dir, "processed")) == 1 && len(e.Shop.TrackCounts()) == 1
	}, "the file to be taken")
	first.Kill()
	second := e.Start().AwaitReady()
	write(order + ",T2\n" + order + ",T3\n")
	second.AwaitEvent("inbox_file_grown", "file", "grows.csv")
	write(order + ",T4\n")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, env.Patience, func() bool { return len(e.Shop.TrackCounts()) == 4 && len(lying(t, dir, ".")) == 0 }, "all rows to be in Magento")
	e.AwaitEmpty()
	for number, times := range e.Shop.TrackCounts() {
		if times != 1 {
			t.Errorf("%s is in Magento %d times", number, times)
		}
	}
	rejected := lying(t, dir, "failed")
	if len(rejected) != 1 || !strings.HasSuffix(rejected[0], ".rejected.csv") {
		t.Errorf("failed/ has %q", rejected)
	}
}
