package idempotency

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/mageline/mageline/migrations"
	"github.com/mageline/mageline/testkit"
)

// A flush is repeated on another connection when its own is cut. The first try may still be on its way, and arrive when
// the effect has ended: it must not open the row again.
func TestLateClaimChangesNothing(t *testing.T) {
	url := testkit.Database(t)
	if _, err := migrations.Up(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	db, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	l := Open(t.Context(), Options{Pool: db, Process: "one", Log: zerolog.Nop()})
	t.Cleanup(l.Close)

	for state, result := range map[State]string{Done: "SO-1", Failed: "", Uncertain: "", Waiting: "", Skipped: ""} {
		key := Key{Consumer: "order_placed", Key: string(state), Effect: "create"}
		token := l.token()
		claim := effectOp(key, token, 1)
		claim.state = InProgress
		got := l.submit(t.Context(), claim)
		if got.err != nil || got.owner != token {
			t.Fatalf("claimed: %+v", got)
		}
		end := effectOp(key, token, got.number+1)
		end.state, end.result = state, result
		if got = l.submit(t.Context(), end); got.err != nil || got.owner != token {
			t.Fatalf("ended: %+v", got)
		}
		for _, late := range []*op{claim, end} { // the claim, and then a renewal
			o := late.again()
			o.state = InProgress
			if got = l.submit(t.Context(), o); got.err != nil {
				t.Fatal(got.err)
			}
			row, ok, err := l.Lookup(t.Context(), key)
			if err != nil || !ok || row.State != state || row.Result.Value != result {
				t.Errorf("%s became %+v, %v", state, row, err)
			}
		}
	}
}
