package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

// listed is a shop with so many products, and a list of their prices in which the last row is bad.
func listed(e *env.Env, n int, price string) (list string) {
	var b strings.Builder
	b.WriteString("Artikelnummer;Preis\n")
	for i := range n {
		sku := fmt.Sprintf("S%05d", i)
		e.Shop.AddProduct(fakemagento.Product{SKU: sku})
		fmt.Fprintf(&b, "%s;%s\n", sku, price)
	}
	b.WriteString("X;gratis\n")
	return b.String()
}

// priced counts the products that have a price.
func priced(e *env.Env, n int, price string) (have int) {
	want := decimal.RequireFromString(price)
	for i := range n {
		if got, ok := e.Shop.BasePrice(fmt.Sprintf("S%05d", i), 0); ok && got.Equal(want) {
			have++
		}
	}
	return have
}

// A price list and a list of stock are dropped into inboxes that two replicas watch, one of which is killed while the lists are
// sent. What the lists say is in Magento, and they have left the inboxes.
func TestListInbox_TwoReplicasOneKilled(t *testing.T) {
	t.Parallel()
	const n = 3000
	e := newEnv(t, time.Second, 2*time.Second, 4*time.Second, 8*time.Second)
	list := listed(e, n, "12,50")
	prices, stock := t.TempDir(), t.TempDir()
	e.Set("CONSUMERS", "price_sync,stock_sync", "PRICE_DIR", prices, "STOCK_DIR", stock, "HANDLER_TIMEOUT", "5s", "IDEMPOTENCY_LEASE", "10s",
		"MAGENTO_TIMEOUT", "2s")
	dies := e.Run(2)[1]
	write := func(dir, name, content string) {
		t.Helper()
		whole := filepath.Join(t.TempDir(), name)
		err := os.WriteFile(whole, []byte(content), 0o600)
		if err == nil {
			err = os.Rename(whole, filepath.Join(dir, name))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write(prices, "preise.csv", list)
	write(stock, "lager.csv", "sku,qty\nS00000,7\nS00001,0\n")
	kit.Eventually(t, env.Patience, func() bool { return priced(e, n, "12.5") > 0 }, "prices to be under way")
	dies.Kill()
	kit.Eventually(t, 2*env.Patience, func() bool { return priced(e, n, "12.5") == n }, "all prices to be in Magento")
	for _, path := range []string{
		filepath.Join(prices, "processed", "preise.csv"), filepath.Join(prices, "failed", "preise.csv.rejected.csv"), filepath.Join(stock, "processed", "lager.csv"),
	} {
		kit.Eventually(t, 2*env.Patience, func() bool {
			_, err := os.Stat(path)
			return err == nil
		}, path)
	}
	kit.Eventually(t, env.Patience, func() bool {
		some, in, _ := e.Shop.SourceItem("S00000", "default")
		none, out, _ := e.Shop.SourceItem("S00001", "default")
		return some.Equal(decimal.New(7, 0)) && in && none.IsZero() && !out
	}, "the stock to be in Magento")
	e.AwaitEmpty()
	for _, consumer := range []string{"price_sync", "stock_sync"} {
		if n := e.Depth(e.DeadLetters(consumer)); n != 0 {
			t.Errorf("%d dead letters of %s", n, consumer)
		}
	}
}

// An import is killed at some row and repeated with the same version: it ends the same, and what came in between and is newer stays.
func TestImport_KilledAndRepeated(t *testing.T) {
	t.Parallel()
	const n = 20_000
	e := newEnv(t, time.Second, 2*time.Second)
	list := filepath.Join(t.TempDir(), "preise.csv")
	if err := os.WriteFile(list, []byte(listed(e, n, "12,50")), 0o600); err != nil {
		t.Fatal(err)
	}
	e.Set("CONSUMERS", "price_sync")
	e.Start().AwaitReady()
	arguments := []string{"import", "prices", list, "--as-of", "2026-11-23T10:00:00Z"}
	command, log := program.Command(t, e.Vars, arguments...)
	defer func() { _ = log.Close() }()
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Duration(rand.New(rand.NewPCG(seed, 2)).IntN(1500)) * time.Millisecond) // a moment of its life, or one after it
	_ = command.Process.Kill()
	_ = command.Wait()
	e.Publish("pricing.sync.requested", `{"type":"base","as_of":"2026-11-23T11:00:00Z","prices":[{"sku":"S00000","price":99}]}`)
	if output, code := e.Call(arguments...); code != 3 || !strings.Contains(output, "20000 in 40 messages") {
		t.Errorf("repeated, it ended with %d: %s", code, output)
	}
	// Queues are empty before the last of it is written: a batch consumer has thousands of entries in flight.
	kit.Eventually(t, env.Patience, func() bool { return priced(e, n, "12.5")+priced(e, 1, "99") == n }, "all but one to have the price of the list, and one its newer price")
	e.AwaitEmpty()
	newer, _ := e.Shop.BasePrice("S00000", 0)
	if have := priced(e, n, "12.5"); have != n-1 || !newer.Equal(decimal.New(99, 0)) {
		t.Errorf("%d of %d have the price of the list, and the newer one is %s", have, n-1, newer)
	}
}
