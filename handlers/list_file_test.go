package handlers_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/handlers"
	"github.com/mageline/mageline/internal/inbox"
)

// listRig is an inbox of lists, and the entries that were published: "sku price as of".
type listRig struct {
	*fileRig
	stock   bool
	entries []string
	fails   func(n int) error // of the n-th message
	sent    int
}

func (r *listRig) takes(l handlers.Ledger, path string) error {
	r.t.Helper()
	h := &handlers.ListFile{
		Consumer: "price_sync", Inbox: r.inbox(), Ledger: l, Stock: r.stock, Meter: r, Publish: r.message, Outage: func(error) {},
	}
	found := inbox.Found{Path: path}
	if content, err := os.ReadFile(filepath.Join(r.dir, path)); err == nil {
		sum := sha256.Sum256(content)
		found.SHA256, found.Size = hex.EncodeToString(sum[:]), int64(len(content))
	}
	return h.Take(zerolog.New(r.log).WithContext(r.t.Context()), found)
}

func (r *listRig) message(_ context.Context, _ string, body []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent++
	if r.fails != nil {
		if err := r.fails(r.sent); err != nil {
			return err
		}
	}
	if r.stock {
		m, err := event.ParseStock(body)
		for _, i := range m.Items {
			r.entries = append(r.entries, fmt.Sprint(i.SKU, " ", i.SourceCode, " ", i.Quantity))
		}
		return err
	}
	m, err := event.ParsePrices(body)
	for _, p := range m.Prices {
		r.entries = append(r.entries, fmt.Sprint(p.SKU, " ", p.Price.Decimal, " ", m.Type, " ", m.AsOf.Format("15:04:05")))
	}
	return err
}

// put puts a list of the time into the inbox.
func (r *listRig) list(path, content string, of time.Time) {
	r.t.Helper()
	path = filepath.Join(r.dir, path)
	err := os.MkdirAll(filepath.Dir(path), 0o750)
	if err == nil {
		err = os.WriteFile(path, []byte(content), 0o600)
	}
	if err == nil {
		err = os.Chtimes(path, of, of)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *listRig) there(paths ...string) {
	r.t.Helper()
	for _, path := range paths {
		if _, err := os.Stat(filepath.Join(r.dir, path)); err != nil {
			r.t.Error(err)
		}
	}
}

func newListRig(t *testing.T) *listRig {
	t.Helper()
	return &listRig{fileRig: newFileRig(t)}
}

var ten = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

func TestListFile_SendsEachContentOnce(t *testing.T) {
	r := newListRig(t)
	l := r.ledger("one", time.Minute)
	const content = "sku;price\nA;1,50\nB;free\n"
	r.list("prices.csv", content, ten)
	if err := r.takes(l, "prices.csv"); err != nil {
		t.Fatal(err)
	}
	r.there("processed/prices.csv", "failed/prices.csv.rejected.csv")
	if !slices.Equal(r.entries, []string{"A 1.5 base 10:00:00"}) || r.rows != 1 || r.rejected != 1 {
		t.Errorf("sent %q, counted %d and %d", r.entries, r.rows, r.rejected)
	}
	r.list("again.csv", content, ten.Add(time.Hour))
	if err := r.takes(r.ledger("two", time.Minute), "again.csv"); err != nil {
		t.Fatal(err)
	}
	r.there("processed/again.csv")
	if r.sent != 1 || !r.log.Has("list_file_duplicate", "file", "again.csv") || !r.log.Has("list_file_done", "file", "prices.csv") {
		t.Errorf("%d messages", r.sent)
	}
	if err := r.takes(l, "gone.csv"); err != nil { // another replica has moved it
		t.Error(err)
	}
	if !slices.Equal(r.ended, []string{handlers.FileDone, handlers.FileDuplicate}) {
		t.Errorf("counted %q", r.ended)
	}
}

func TestListFile_GoesByItsFolder(t *testing.T) {
	r := newListRig(t)
	l := r.ledger("one", time.Minute)
	r.list("special/promo.csv", "sku,price\nA,2.5\n", ten)
	r.list("odd/promo.csv", "sku,price\nA,3.5\n", ten)
	for _, path := range []string{"special/promo.csv", "odd/promo.csv"} {
		if err := r.takes(l, path); err != nil {
			t.Fatal(err)
		}
	}
	r.there("processed/special/promo.csv", "failed/odd/promo.csv", "failed/odd/promo.csv.error.txt")
	stock := newListRig(t)
	stock.stock = true
	stock.list("berlin/stock.csv", "sku,qty,source\nA,2,\nB,3,paris\n", ten)
	if err := stock.takes(stock.ledger("one", time.Minute), "berlin/stock.csv"); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.entries, []string{"A 2.5 special 10:00:00"}) || !slices.Equal(stock.entries, []string{"A berlin 2", "B paris 3"}) {
		t.Errorf("sent %q and %q", r.entries, stock.entries)
	}
}

func TestListFile_SaysWhyNothingWasSent(t *testing.T) {
	r := newListRig(t)
	l := r.ledger("one", time.Minute)
	r.list("odd.csv", "name,colour\nA,red\n", ten)
	r.list("bad.csv", "sku,price\nA,free\n", ten)
	for _, path := range []string{"odd.csv", "bad.csv"} {
		if err := r.takes(l, path); err != nil {
			t.Fatal(err)
		}
	}
	r.there("failed/odd.csv", "failed/odd.csv.error.txt", "processed/bad.csv", "failed/bad.csv.rejected.csv")
	why, err := os.ReadFile(filepath.Join(r.dir, "failed/odd.csv.error.txt"))
	if err != nil || !strings.Contains(string(why), "no sku and no price") {
		t.Errorf("%q, %v", why, err)
	}
	if !r.log.Has("list_file_failed", "level", "error", "file", "odd.csv") || !r.log.Has("list_file_rejected", "level", "error", "file", "bad.csv") || r.sent != 0 {
		t.Error("not in the log, or something was sent")
	}
	if !slices.Equal(r.ended, []string{handlers.FileFailed, handlers.FileNoGoodRow}) {
		t.Errorf("counted %q", r.ended)
	}
}

// A list that was cut off, here by a broker that is away, is sent again with the same version, by whichever replica.
func TestListFile_CutOffIsSentAgain(t *testing.T) {
	r := newListRig(t)
	var b strings.Builder
	b.WriteString("sku,price\n")
	for i := range 2600 {
		fmt.Fprintf(&b, "S%04d,1.50\n", i)
	}
	b.WriteString("X,free\n")
	r.list("prices.csv", b.String(), ten)
	away := errors.New("the broker is away")
	r.fails = func(n int) error {
		if n > 2 {
			return away
		}
		return nil
	}
	if err := r.takes(r.ledger("one", time.Minute), "prices.csv"); !errors.Is(err, away) {
		t.Fatalf("got %v", err)
	}
	r.there("prices.csv")
	first := len(r.entries)
	r.fails = nil
	if err := r.takes(r.ledger("two", time.Minute), "prices.csv"); err != nil {
		t.Fatal(err)
	}
	r.there("processed/prices.csv", "failed/prices.csv.rejected.csv")
	slices.Sort(r.entries)
	all := slices.Compact(r.entries)
	if first == 0 || first >= 2600 || len(all) != 2600 {
		t.Errorf("%d entries at first, %d different ones in all", first, len(all))
	}
}
