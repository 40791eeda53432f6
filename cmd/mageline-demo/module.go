package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/mageline/mageline/test/kit/fakemagento"
)

// cronEvery is how often the module's outbox is sent. Magento does so each minute.
const cronEvery = 2 * time.Second

// modulePublisher publishes an order's events by the Magento module's own observers and outbox, under PHP, with a database in a file
// for the shop's. A cron of its own sends what remains in the outbox, until close.
type modulePublisher struct {
	script, shop string
	environ      []string
	stop         context.CancelFunc
	cron         sync.WaitGroup
	busy         sync.Mutex
}

// newModulePublisher takes the directory of the module.
func newModulePublisher(ctx context.Context, module, url, exchange string) (*modulePublisher, error) {
	script := filepath.Join(module, "Test", "shop.php")
	if _, err := os.Stat(script); err != nil {
		return nil, fmt.Errorf("%w: --module: %w", errUsage, err)
	}
	if _, err := exec.LookPath("php"); err != nil {
		return nil, fmt.Errorf("%w: --module needs PHP with php-amqplib (Debian: scripts/services/install.sh php): %w", errUsage, err)
	}
	shop, err := os.MkdirTemp("", "mageline-demo-module-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the module's database: %w", err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	m := &modulePublisher{script: script, shop: shop, stop: stop, environ: append(withoutMageline(os.Environ()),
		"MAGELINE_TEST_AMQP_URL="+url, "MAGELINE_TEST_EXCHANGE="+exchange)}
	m.cron.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(cronEvery):
			}
			_ = m.php(ctx, "send") // what can't be sent now goes with the next run
		}
	})
	return m, nil
}

// publish has the module save an order that Magento has: a new one for its first event, else one whose state changes.
func (m *modulePublisher) publish(ctx context.Context, topic string, order fakemagento.Placed) error {
	args := []string{"order", strconv.Itoa(order.EntityID), order.IncrementID, "1"}
	switch topic {
	case placed:
		args = append(args, "new")
	case canceled:
		args = append(args, "canceled", "pending_payment")
	default:
		args = append(args, "processing", "pending_payment")
	}
	return m.php(context.WithoutCancel(ctx), args...)
}

func (m *modulePublisher) php(ctx context.Context, args ...string) error {
	m.busy.Lock()
	defer m.busy.Unlock()
	c := exec.CommandContext(ctx, "php", append([]string{m.script, m.shop}, args...)...) //nolint:gosec // the caller has named it
	c.Env = m.environ
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("the module, under PHP: %w: %s", err, out)
	}
	return nil
}

func (m *modulePublisher) close() error {
	m.stop()
	m.cron.Wait()
	return errors.Join(os.RemoveAll(m.shop))
}
