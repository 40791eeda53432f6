package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

// TestModule_LifeOfAnOrder has the Magento module's own observers and publisher, under PHP, tell of an order that is placed before
// it may go out, becomes exportable, and is cancelled. While the broker is away the events wait in the module's outbox.
func TestModule_LifeOfAnOrder(t *testing.T) {
	t.Parallel()
	requirePHP(t)
	e := newEnv(t, time.Second)
	r := e.Start().AwaitReady()
	shop := t.TempDir()
	php := func(address, exchange string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "php", append([]string{"../../magento/Test/shop.php", shop}, args...)...)
		cmd.Env = append(cmd.Environ(), "MAGELINE_TEST_AMQP_URL="+address, "MAGELINE_TEST_EXCHANGE="+exchange)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", filepath.Base(cmd.Path), err, out)
		}
	}
	o := e.Shop.PlaceOrder(fakemagento.Placing{State: "pending_payment"})
	save := func(address string, states ...string) {
		t.Helper()
		php(address, e.Exchange, append([]string{"order", fmt.Sprint(o.EntityID), o.IncrementID, "1"}, states...)...)
	}

	save(e.URL, "pending_payment")
	r.AwaitEvent("order_waiting")
	e.Shop.Pay(o.EntityID)
	save(e.URL, "processing", "pending_payment")
	e.AwaitDone(o)

	e.Shop.Cancel(o.EntityID)
	save("amqp://guest:guest@127.0.0.1:1/", "canceled", "processing")
	php(e.URL, e.Exchange, "send")
	kit.Eventually(t, env.Patience, func() bool {
		documents := e.ERP.Documents()
		return len(documents) == 1 && documents[0].Canceled
	}, "the document to be cancelled")
	e.Finish()
}

func requirePHP(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("phpunit"); err == nil {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal("PHP and its packages are needed: scripts/services/install.sh php")
	}
	t.Skip("no PHP with its packages here: scripts/services/install.sh php")
}
