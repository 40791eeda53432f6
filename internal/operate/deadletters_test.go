package operate

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/deadletter"
	"github.com/mageline/mageline/rabbitmq"
)

// Each class has its own advice, and each letter that can't be replayed with success is told what to do instead.
func TestHelp_PerClass(t *testing.T) {
	seen := map[string]deadletter.Letter{}
	for _, l := range []deadletter.Letter{
		{Reason: deadletter.CrashLoop},
		{Class: string(event.Malformed)},
		{Class: string(event.Invalid)},
		{Class: string(event.Invalid), Key: "1"},
		{Class: string(event.NotFound)},
		{Class: string(event.Rejected)},
		{Class: string(event.Unauthorized)},
		{Class: string(event.Throttled)},
		{Class: string(event.Unavailable)},
		{Class: string(event.Internal)},
		{Class: deadletter.Unknown},
		{Class: deadletter.Unknown, Queue: "m.order_placed", Reason: "expired"},
	} {
		help := Help(l, "m.dlq", "ID")
		if other, twice := seen[help]; twice || help == "" {
			t.Errorf("%+v has the help %q, as %+v", l, help, other)
		}
		seen[help] = l
		if l.CanSucceed() == strings.HasPrefix(help, "can't be replayed with success") {
			t.Errorf("%+v can succeed: %t, and its help is %q", l, l.CanSucceed(), help)
		}
	}
	if a, b := Help(deadletter.Letter{Class: string(event.Timeout)}, "q", "ID"), Help(deadletter.Letter{Class: string(event.Unavailable)}, "q", "ID"); a != b {
		t.Errorf("%q and %q", a, b)
	}
}

func TestExplained_SaysWhatToDoNext(t *testing.T) {
	for want, err := range map[string]error{
		"the queue q does not exist: see `mageline dlq list` for those that do": &deadletter.NoQueueError{Queue: "q"},
		"no letter in q has the id 1: see `mageline dlq list q`":                &deadletter.NoLetterError{Queue: "q", ID: "1"},
		"another": errors.New("another"),
	} {
		if got := explained(err); got.Error() != want || !errors.Is(got, err) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if fragile := explained(&deadletter.FragileError{Queue: "q", Why: "w"}).Error(); !strings.HasSuffix(fragile, "`mageline topology` makes it as it should be") {
		t.Errorf("%q", fragile)
	}
	if explained(nil) != nil {
		t.Error("no error became one")
	}
}

func TestWithoutTable_SaysWhatMakesIt(t *testing.T) {
	err := fmt.Errorf("read: %w", &pgconn.PgError{Code: "42P01"})
	if got := withoutTable(err, "ledger"); !errors.Is(got, err) || !strings.HasPrefix(got.Error(), "the database has no ledger yet, `mageline migrate` makes it") {
		t.Errorf("%q", got)
	}
	if other := error(&pgconn.PgError{Code: "42501"}); withoutTable(other, "ledger") != other { //nolint:errorlint // unchanged is what is wanted
		t.Errorf("%q has become %q", other, withoutTable(other, "ledger"))
	}
	if withoutTable(nil, "ledger") != nil {
		t.Error("no error became one")
	}
}

func TestCheckReplay_RefusesACanaryWithoutRows(t *testing.T) {
	d := &DeadLetters{
		Consumers: []config.Consumer{{Name: "order_placed"}, {Name: "price_sync", Batch: true}},
		Topology:  rabbitmq.Topology{Prefix: "m"},
	}
	for _, tt := range []struct {
		queue, to string
		want      NoCanaryError
	}{
		{queue: "m.order_placed.dlq"},
		{queue: "m.order_placed.dlq", to: "m.order_placed"},
		{queue: "m.price_sync.dlq", want: NoCanaryError{Consumer: "price_sync"}},
		{queue: "m.order_placed.dlq", to: "m.price_sync", want: NoCanaryError{Consumer: "price_sync"}},
		{queue: "m.order_placed.dlq", to: "elsewhere", want: NoCanaryError{To: "elsewhere"}},
	} {
		r := Replay{ReplayOptions: deadletter.ReplayOptions{Queue: tt.queue, To: tt.to}, CanaryTimeout: time.Minute}
		err := d.CheckReplay(r)
		var no *NoCanaryError
		var usage *UsageError
		if (tt.want != NoCanaryError{}) && (!errors.As(err, &no) || *no != tt.want || !errors.As(err, &usage)) {
			t.Errorf("%s to %s: %v, want %+v", tt.queue, tt.to, err, tt.want)
		}
		if (tt.want == NoCanaryError{}) && err != nil {
			t.Errorf("%s to %s: %v", tt.queue, tt.to, err)
		}
		r.CanaryTimeout = 0
		if err := d.CheckReplay(r); err != nil {
			t.Errorf("%s to %s without a canary: %v", tt.queue, tt.to, err)
		}
	}
}

func TestCheckPausable_ByName(t *testing.T) {
	consumers := []config.Consumer{{Name: "order_placed"}}
	for _, name := range []string{"order_placed", "magento", "erp", "search"} {
		if err := CheckPausable(consumers, name); err != nil {
			t.Error(err)
		}
	}
	var usage *UsageError
	if err := CheckPausable(consumers, "orders"); !errors.As(err, &usage) || !strings.Contains(err.Error(), "order_placed, magento, erp, search") {
		t.Errorf("%v", err)
	}
}
