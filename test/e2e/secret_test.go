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

// A refused credential pauses the consumer, and costs no attempt; a new one in its file is used at once.
func TestSecret_ReplacedInItsFile(t *testing.T) {
	t.Parallel()
	e := newEnv(t, 200*time.Millisecond)
	file := filepath.Join(t.TempDir(), "magento-token")
	write := func(token string) {
		// As Kubernetes and careful people do it: the file is never half-written.
		if err := os.WriteFile(file+".new", []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	write("a-token-that-was-revoked")
	vars := e.With("MAGENTO_TOKEN_FILE", file, "BREAKER_OPEN_FOR", "1h")
	delete(vars, "MAGENTO_TOKEN")
	r := e.Add(program.Start(t, vars))
	r.AwaitReady()
	orders := e.Place(3, fakemagento.Placing{})
	kit.Eventually(t, env.Patience, func() bool {
		status, document := r.Ready()
		c := document.Consumers["order_placed"]
		return status == 200 && c.State == "paused" && strings.Contains(c.Reason, "401")
	}, "/readyz to say that the credential is refused")
	write(env.ShopToken)
	e.AwaitDone(orders...)
	if n := r.Metric("mageline_deliveries_total", `outcome="retried"`); n != 0 {
		t.Errorf("%v attempts were used", n)
	}
	e.Finish()
}
