package idempotency_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/idempotency"
)

// holds compares the data of a row with want, as JSON; empty for none.
func holds(t *testing.T, when string, data json.RawMessage, want string) {
	t.Helper()
	var got, wanted any
	if len(data) > 0 {
		if err := json.Unmarshal(data, &got); err != nil {
			t.Errorf("%s: data %q: %v", when, data, err)
		}
	}
	if want != "" {
		if err := json.Unmarshal([]byte(want), &wanted); err != nil {
			t.Fatal(err)
		}
	}
	a, _ := json.Marshal(got)
	b, _ := json.Marshal(wanted)
	if string(a) != string(b) {
		t.Errorf("%s: data %s, want %s", when, a, b)
	}
}

func TestLedger_KeepsDataHoweverTheEffectEnds(t *testing.T) {
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			l := openOn(t, pool(t, database(t), mode), "a", time.Minute)
			e := idempotency.Effect{Key: order("1"), Data: json.RawMessage(`{"lines":["1001"]}`)}
			_, _, err := l.Do(t.Context(), e, func(ctx context.Context, _ *idempotency.Claim) (idempotency.Result, error) {
				holds(t, "in progress", state(t, l, e.Key).Result.Data, `{"lines":["1001"]}`)
				if err := event.Progress(ctx); err != nil {
					t.Error(err)
				}
				holds(t, "renewed", state(t, l, e.Key).Result.Data, `{"lines":["1001"]}`)
				return idempotency.Result{}, errors.New("who knows")
			})
			if err == nil {
				t.Error("it did not fail")
			}
			holds(t, "uncertain", state(t, l, e.Key).Result.Data, `{"lines":["1001"]}`)
			if n, err := l.Release(t.Context(), e.Key.Consumer, e.Key.Key, ""); n != 1 || err != nil {
				t.Errorf("released %d, %v", n, err)
			}
			holds(t, "released", state(t, l, e.Key).Result.Data, `{"lines":["1001"]}`)
			res, _ := do(t, l, e.Key, gives(idempotency.Result{Value: "SO-1", Data: json.RawMessage(`{"entity_id":7,"name":"a\u0000b\\u0000"}`)}, nil))
			holds(t, "the effect's own result", res.Data, `{"entity_id":7,"name":"a\u0000b\\u0000"}`)
			const stored = `{"entity_id":7,"name":"a\ufffdb\\u0000"}` // Postgres has no NUL
			res, duplicate := do(t, l, e.Key, done("never"))
			if !duplicate {
				t.Error("no duplicate")
			}
			holds(t, "a duplicate", res.Data, stored)
			holds(t, "done", state(t, l, e.Key).Result.Data, stored)
			do(t, l, order("2"), done("SO-2"))
			holds(t, "of an effect without", state(t, l, order("2")).Result.Data, "")
		})
	}
}

func TestLedger_RefusesDataThatIsNoJSON(t *testing.T) {
	l := open(t, database(t), "a", time.Minute)
	_, _, err := l.Do(t.Context(), idempotency.Effect{Key: order("1"), Data: json.RawMessage(`{`)}, done("never"))
	if _, known, lookErr := l.Lookup(t.Context(), order("1")); event.ClassOf(err) != event.Internal || known || lookErr != nil {
		t.Errorf("with the claim: %v, row %t, %v", err, known, lookErr)
	}
	_, _, err = l.Do(t.Context(), idempotency.Effect{Key: order("1")}, gives(idempotency.Result{Value: "SO-1", Data: json.RawMessage(`{`)}, nil))
	if row := state(t, l, order("1")); event.ClassOf(err) != event.Internal || row.State != idempotency.Uncertain {
		t.Errorf("with the result: %v, row %+v", err, row)
	}
}

// The statement of the version before there was data. It runs beside this one during a rolling update.
const changeEffectsBefore = `
INSERT INTO effect AS e (consumer, key, effect, state, owner, claim, lease_until, sent_at, accepted, result, reason,
	class, created_at, updated_at)
SELECT r.consumer, r.key, r.effect, r.state, r.owner, r.claim, now() + $1::interval,
	CASE r.sent WHEN 0 THEN NULL WHEN -1 THEN now() ELSE 'epoch'::timestamptz + r.sent * interval '1 microsecond' END,
	r.accepted, r.result, r.reason, r.class, now(), now()
FROM (SELECT unnest($2::text[]) AS consumer, unnest($3::text[]) AS key, unnest($4::text[]) AS effect,
	unnest($5::text[]) AS state, unnest($6::text[]) AS owner, unnest($7::bigint[]) AS claim, unnest($8::bigint[]) AS sent,
	unnest($9::boolean[]) AS accepted, unnest($10::text[]) AS result, unnest($11::text[]) AS reason,
	unnest($12::text[]) AS class) AS r
ON CONFLICT (consumer, key, effect) DO UPDATE SET
	state = excluded.state,
	owner = excluded.owner,
	claim = CASE WHEN e.owner = excluded.owner THEN e.claim ELSE e.claim + 1 END,
	lease_until = excluded.lease_until,
	sent_at = CASE
		WHEN excluded.state <> 'in_progress' THEN excluded.sent_at
		WHEN e.owner <> excluded.owner AND e.state = 'in_progress' THEN e.lease_until
		ELSE e.sent_at END,
	accepted = CASE
		WHEN excluded.state <> 'in_progress' THEN excluded.accepted
		ELSE e.accepted OR excluded.accepted END,
	result = excluded.result,
	reason = excluded.reason,
	class = CASE
		WHEN e.owner <> excluded.owner AND e.state = 'in_progress' THEN 'taken_over'
		ELSE excluded.class END,
	updated_at = excluded.updated_at
WHERE CASE
	WHEN e.owner = excluded.owner THEN excluded.state <> 'in_progress' OR e.state = 'in_progress'
	WHEN excluded.claim > 1 OR e.state = 'done' THEN false
	ELSE e.state <> 'in_progress' OR e.lease_until <= now() END
RETURNING owner, claim, sent_at, (extract(epoch FROM now() - sent_at) * 1000000)::bigint, accepted,
	class = 'taken_over'`

// before does what a replica of that version does: it claims an effect, and finishes it.
func before(t *testing.T, url string, key idempotency.Key, state, result, reason string) {
	t.Helper()
	p := pool(t, url, pgx.QueryExecModeCacheStatement)
	defer p.Close()
	var (
		owner    string
		claim    int64
		sentAt   *time.Time
		sentFor  *int64
		accepted bool
		over     bool
	)
	for n, write := range []struct{ state, result, reason string }{{"in_progress", "", ""}, {state, result, reason}} {
		err := p.QueryRow(t.Context(), changeEffectsBefore, time.Minute, []string{key.Consumer}, []string{key.Key}, []string{key.Effect},
			[]string{write.state}, []string{"before/1"}, []int64{int64(n) + 1}, []int64{0}, []bool{false}, []string{write.result},
			[]string{write.reason}, []string{""}).Scan(&owner, &claim, &sentAt, &sentFor, &accepted, &over)
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestLedger_BesideTheVersionBeforeData(t *testing.T) {
	url := database(t)
	l := open(t, url, "a", time.Minute)
	before(t, url, order("1"), "done", "SO-1", "entity_id 7")
	res, duplicate := do(t, l, order("1"), done("never"))
	if !duplicate || res.Value != "SO-1" || res.Reason != "entity_id 7" || res.Data != nil {
		t.Errorf("a row of before is %+v, duplicate %t", res, duplicate)
	}
	do(t, l, order("2"), gives(idempotency.Result{State: idempotency.Skipped, Data: json.RawMessage(`{"entity_id":8}`)}, nil))
	before(t, url, order("2"), "done", "SO-2", "entity_id 9")
	if res, _ = do(t, l, order("2"), done("never")); res.Value != "SO-2" || res.Data != nil {
		t.Errorf("a row that the version before has changed is %+v, want no data of the claim before", res)
	}
	before(t, url, order("3"), "failed", "", "")
	do(t, l, order("3"), gives(idempotency.Result{Value: "SO-3", Data: json.RawMessage(`{"entity_id":10}`)}, nil))
	holds(t, "a row of before that is claimed", state(t, l, order("3")).Result.Data, `{"entity_id":10}`)
}
