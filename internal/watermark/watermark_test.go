package watermark_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/internal/pg"
	"github.com/mageline/mageline/internal/watermark"
	"github.com/mageline/mageline/migrations"
	"github.com/mageline/mageline/test/kit"
)

const (
	lease   = 100 * time.Minute
	timeout = 30 * time.Minute
	// step is how far a test's clock moves. No sum of steps is the lease, the time-out or both, and what a test takes is far less.
	step = 7 * time.Minute
)

// rig is a database and several processes on it. Time passes for its rows when the test says so.
type rig struct {
	t      *testing.T
	db     *pg.DB
	stores []*watermark.Store
}

func newRig(t *testing.T, processes int) *rig {
	t.Helper()
	url := kit.Database(t)
	if _, err := migrations.Up(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	parsed, err := pg.Parse(url, "")
	if err != nil {
		t.Fatal(err)
	}
	db, err := parsed.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	r := &rig{t: t, db: db}
	for i := range processes {
		r.stores = append(r.stores, &watermark.Store{DB: db, Process: pg.NewProcess(fmt.Sprint("p", i)), Lease: lease, Timeout: timeout})
	}
	return r
}

// pass has so much time pass for all rows.
func (r *rig) pass(d time.Duration) {
	r.t.Helper()
	if _, err := r.db.Exec(r.t.Context(), `UPDATE watermark SET lease_until = lease_until - $1::interval, not_before = not_before - $1::interval`, d); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) claim(process int, rows ...*watermark.Row) *watermark.Claim {
	r.t.Helper()
	c, err := r.stores[process].Claim(r.t.Context(), rows)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

func (r *rig) end(c *watermark.Claim) {
	r.t.Helper()
	if err := c.End(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}

// version returns the n-th of some times.
func version(n int) time.Time { return time.Date(2026, 1, 1, 0, 0, n, 0, time.UTC) }

func uncertain(r *watermark.Row) bool { return !r.Lost.IsZero() }

func row(key string, n int) *watermark.Row {
	r := &watermark.Row{Key: watermark.Key{SKU: key, Kind: "base", Scope: "0"}, Message: fmt.Sprint("m", n)}
	if n > 0 {
		r.Version = version(n)
	}
	return r
}

func (r *rig) write(process int, key string, n int, end watermark.End) watermark.State {
	r.t.Helper()
	one := row(key, n)
	c := r.claim(process, one)
	one.End = end
	r.end(c)
	return one.State
}

func TestClaim_DropsWhatIsOlderThanWritten(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	for i, tc := range []struct {
		version int
		want    watermark.State
	}{{5, watermark.Claimed}, {4, watermark.Stale}, {5, watermark.Claimed}, {6, watermark.Claimed}, {5, watermark.Stale}} {
		if got := r.write(0, "a", tc.version, watermark.Accepted); got != tc.want {
			t.Errorf("write %d, version %d: state %d, want %d", i, tc.version, got, tc.want)
		}
	}
	if one := row("a", 6); r.claim(0, one) == nil || !one.Written.Equal(version(6)) || one.WrittenBy != "m6" || uncertain(one) {
		t.Errorf("the row says %+v", one)
	}
}

func TestClaim_WaitsForARowThatAnotherHolds(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	c := r.claim(0, row("a", 5))
	for n, want := range map[int]watermark.State{4: watermark.Stale, 5: watermark.Held, 6: watermark.Held} {
		one, other := row("a", n), row("b", n)
		d := r.claim(1, one, other)
		if one.State != want || one.Wait != 0 || other.State != watermark.Claimed {
			t.Errorf("version %d: %+v beside %+v", n, one, other)
		}
		r.end(d)
	}
	r.end(c)
	if got := r.write(1, "a", 4, watermark.Accepted); got != watermark.Claimed {
		t.Errorf("after a rejection an older version is %d", got)
	}
}

func TestClaim_RefusesAVersionAheadOfTheDatabasesClock(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	var now time.Time
	if err := r.db.QueryRow(t.Context(), `SELECT now()`).Scan(&now); err != nil {
		t.Fatal(err)
	}
	far, near := row("a", 1), row("b", 1)
	far.Version, near.Version = now.Add(watermark.Ahead+time.Minute), now.Add(watermark.Ahead-time.Minute)
	r.claim(0, far, near)
	if far.State != watermark.TooNew || near.State != watermark.Claimed {
		t.Errorf("far is %d, near is %d", far.State, near.State)
	}
}

func TestClaim_AfterALostAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.write(0, "a", 5, watermark.Lost)
	if one := row("a", 6); r.claim(1, one) == nil || one.State != watermark.Held || one.Wait < timeout-time.Minute || one.Wait > timeout {
		t.Errorf("at once: %+v", one)
	}
	if got := r.write(1, "a", 4, watermark.Accepted); got != watermark.Stale {
		t.Errorf("an older version is %d", got)
	}
	r.pass(5 * step)
	one := row("a", 5)
	c := r.claim(1, one)
	if one.State != watermark.Claimed || !uncertain(one) || !one.Written.IsZero() {
		t.Errorf("the same version, later: %+v", one)
	}
	r.end(c) // rejected
	if got := r.write(1, "a", 4, watermark.Accepted); got != watermark.Stale {
		t.Errorf("after the rejection it is still uncertain, but an older version is %d", got)
	}
	r.write(1, "a", 5, watermark.Accepted)
	if one := row("a", 5); r.claim(0, one) == nil || uncertain(one) || !one.Written.Equal(version(5)) {
		t.Errorf("after it was accepted: %+v", one)
	}
}

func TestClaim_TakesOverAfterTheLeaseAndTheTimeout(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	first := row("a", 5)
	c := r.claim(0, first)
	first.End = watermark.Accepted
	r.pass(15 * step) // the lease has passed
	one := row("a", 6)
	if r.claim(1, one); one.State != watermark.Held || one.Wait == 0 {
		t.Errorf("within the time-out: %+v", one)
	}
	r.pass(4 * step)
	d := r.claim(1, one)
	if one.State != watermark.Claimed || !uncertain(one) {
		t.Errorf("after it: %+v", one)
	}
	r.end(c) // too late
	one.End = watermark.Accepted
	r.end(d)
	if one := row("a", 6); r.claim(0, one) == nil || !one.Written.Equal(version(6)) {
		t.Errorf("the first owner has ended what it had no more: %+v", one)
	}
}

func TestClaim_EndsItsContextWhenItsLeasePasses(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.stores[0].Lease = 200 * time.Millisecond
	c := r.claim(0, row("a", 5))
	select {
	case <-c.Context().Done():
	case <-time.After(time.Minute):
		t.Fatal("the context goes on")
	}
	if err := c.End(t.Context()); event.ClassOf(err) != event.Timeout {
		t.Errorf("the end says %v", err)
	}
}

func TestClaim_RenewsAsWorkGoesOn(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.stores[0].Lease = 2 * time.Second
	c := r.claim(0, row("a", 5))
	until := func() (at time.Time) {
		t.Helper()
		if err := r.db.QueryRow(t.Context(), `SELECT lease_until FROM watermark`).Scan(&at); err != nil {
			t.Fatal(err)
		}
		return at
	}
	first := until()
	kit.Eventually(t, time.Minute, func() bool {
		if err := event.Progress(c.Context()); err != nil {
			t.Fatal(err)
		}
		return until().After(first)
	}, "the lease is renewed")
	if c.Context().Err() != nil {
		t.Error("it was too late")
	}
	r.end(c)
}

func TestReset_LeavesWhatIsBeingWritten(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.write(0, "a", 5, watermark.Accepted)
	other := row("a", 5)
	other.Scope = "1"
	c := r.claim(0, other)
	if removed, held, err := r.stores[0].Reset(t.Context(), "a"); err != nil || removed != 1 || held != 1 {
		t.Errorf("removed %d, left %d, %v", removed, held, err)
	}
	r.end(c)
	if got := r.write(0, "a", 1, watermark.Accepted); got != watermark.Claimed {
		t.Errorf("after the reset an older version is %d", got)
	}
	all, err := r.stores[0].Show(t.Context(), "a")
	if err != nil || len(all) != 2 || all[0].Written == nil || !all[0].Written.Equal(version(1)) || all[1].Written != nil {
		t.Errorf("shown: %+v, %v", all, err)
	}
}

func TestHeldPrices_GiveWayToWhatIsNewer(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	s, ctx := r.stores[0], t.Context()
	hold := func(n int) {
		t.Helper()
		err := s.Hold(ctx, watermark.HeldPrice{
			Key: row("a", 1).Key, AsOf: version(n), Old: decimal.NewFromInt(1), New: decimal.NewFromInt(int64(n)), Message: "m", Body: fmt.Sprint(n),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	holds := func() string {
		t.Helper()
		all, err := s.Held(ctx)
		if err != nil || len(all) > 1 {
			t.Fatal(all, err)
		}
		if len(all) == 0 {
			return ""
		}
		return all[0].Body
	}
	hold(5)
	hold(4)
	if holds() != "5" {
		t.Errorf("an older one took its place: %s", holds())
	}
	hold(6)
	r.write(0, "a", 5, watermark.Accepted)
	if holds() != "6" {
		t.Errorf("what is older than it was written, and %q is held", holds())
	}
	if released, err := s.Release(ctx, "a"); err != nil || len(released) != 1 || released[0].Body != "6" {
		t.Errorf("released %+v, %v", released, err)
	}
	if of, err := s.HeldOf(ctx, []watermark.Key{row("a", 1).Key, row("b", 1).Key}); err != nil || len(of) != 1 || !of[row("a", 1).Key].Released {
		t.Errorf("held: %+v, %v", of, err)
	}
	if n, _, err := s.CountHeld(ctx); err != nil || n != 0 {
		t.Errorf("%d count as held, %v", n, err)
	}
	r.write(0, "a", 6, watermark.Accepted)
	if holds() != "" {
		t.Errorf("it was written, and %q is held", holds())
	}
	hold(9)
	if dropped, err := s.Drop(ctx, ""); err != nil || len(dropped) != 1 || holds() != "" {
		t.Errorf("dropped %+v, %v", dropped, err)
	}
}

// modelRow is a row as the rules have it.
type modelRow struct {
	written, lost, writing int // versions; 0 is none
	owner                  int // number of the claim that has it; 0 is nobody
	until, after           int // in steps: the lease, and nothing before
}

// effect is a call of which nobody has heard the answer: it may reach Magento until a time.
type effect struct {
	key     string
	version int
	until   int
}

// A random history of claims, ends, deaths and calls that arrive late: rows are as a simple model has them, and nothing older ever
// lands in Magento on what is newer.
func TestClaim_RandomHistoriesAsAModel(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	r := newRig(t, 3)
	const leaseSteps, timeoutSteps, keys = 15, 5, 4 // the first whole step after each
	type open struct {
		claim  *watermark.Claim
		rows   []*watermark.Row
		number int
	}
	var (
		now, claims int
		model       = map[string]*modelRow{}
		opened      []open
		out         []effect
		magento     = map[string]int{}
	)
	arrive := func(e effect) {
		t.Helper()
		if e.version < magento[e.key] {
			t.Fatalf("%s: version %d arrives on %d", e.key, e.version, magento[e.key])
		}
		magento[e.key] = e.version
	}
	for n := range 800 {
		switch action := random.IntN(10); {
		case action < 4: // claim
			claims++
			o := open{number: claims}
			for k := range keys {
				if random.IntN(2) == 0 {
					o.rows = append(o.rows, row(fmt.Sprint("k", k), random.IntN(8)))
				}
			}
			random.Shuffle(len(o.rows), func(i, j int) { o.rows[i], o.rows[j] = o.rows[j], o.rows[i] })
			o.claim = r.claim(random.IntN(3), o.rows...)
			for _, got := range o.rows {
				v := 0
				if !got.Version.IsZero() {
					v = int(got.Version.Sub(version(0)) / time.Second)
				}
				m := model[got.SKU]
				if m == nil {
					m = &modelRow{}
					model[got.SKU] = m
				}
				free := m.owner == 0 && now >= m.after || m.owner != 0 && now >= m.until+timeoutSteps-1
				want := watermark.Held
				switch {
				case v > 0 && v < max(m.written, m.lost, m.writing):
					want = watermark.Stale
				case free:
					want = watermark.Claimed
				}
				if got.State != want {
					t.Fatalf("step %d: %s version %d is %d, the model has %d: %+v at %d", n, got.SKU, v, got.State, want, m, now)
				}
				if want != watermark.Claimed {
					continue
				}
				if m.owner != 0 {
					m.lost = max(m.lost, m.writing)
				}
				m.owner, m.writing, m.until = claims, v, now+leaseSteps
				if uncertain(got) != (m.lost > 0) || got.Written.IsZero() != (m.written == 0) || m.written > 0 && !got.Written.Equal(version(m.written)) {
					t.Fatalf("step %d: %s is %+v, the model has %+v", n, got.SKU, got, m)
				}
			}
			opened = append(opened, o)
		case action < 7 && len(opened) > 0: // end one, perhaps too late
			i := random.IntN(len(opened))
			o := opened[i]
			opened = append(opened[:i], opened[i+1:]...)
			dies := random.IntN(4) == 0
			for _, got := range o.rows {
				if got.State != watermark.Claimed {
					continue
				}
				m := model[got.SKU]
				mine := m.owner == o.number
				v := m.writing
				if !mine {
					continue // its call was over before: a lease bounds it
				}
				got.End = watermark.End(random.IntN(4))
				if v > 0 && (got.End == watermark.Accepted || got.End == watermark.Unknown && random.IntN(2) == 0) && !dies && now < m.until {
					arrive(effect{got.SKU, v, 0})
				}
				if dies {
					if v > 0 {
						out = append(out, effect{got.SKU, v, m.until + timeoutSteps - 2})
					}
					continue
				}
				if now >= m.until && got.End != watermark.Lost { // a call can't be answered after the lease
					got.End = watermark.Lost
				}
				switch got.End {
				case watermark.Accepted:
					m.written, m.lost = max(m.written, v), 0
				case watermark.Unknown:
					m.lost = max(m.lost, v)
				case watermark.Lost:
					if v > 0 {
						out = append(out, effect{got.SKU, v, now + timeoutSteps - 1})
					}
					m.lost, m.after = max(m.lost, v), now+timeoutSteps
				}
				m.owner, m.writing = 0, 0
			}
			if !dies {
				if err := o.claim.End(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		case action < 8 && len(out) > 0: // a call arrives late
			i := random.IntN(len(out))
			e := out[i]
			out = append(out[:i], out[i+1:]...)
			if now <= e.until {
				arrive(e)
			}
		default:
			steps := 1 + random.IntN(6)
			r.pass(time.Duration(steps) * step)
			now += steps
		}
	}
}

// Two processes that claim overlapping batches again and again do not wait for each other in a circle.
func TestClaim_OverlappingBatchesDoNotDeadlock(t *testing.T) {
	t.Parallel()
	r := newRig(t, 4)
	done := make(chan error, len(r.stores))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, s := range r.stores {
		go func() {
			done <- func() error {
				for n := range 30 {
					var rows []*watermark.Row
					for k := range 200 {
						if rand.IntN(2) == 0 {
							rows = append(rows, row(fmt.Sprintf("k%03d", k), n+1))
						}
					}
					rand.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
					c, err := s.Claim(ctx, rows)
					if err != nil {
						return err
					}
					for _, r := range rows {
						r.End = watermark.Accepted
					}
					if err := c.End(ctx); err != nil {
						return err
					}
				}
				return nil
			}()
		}()
	}
	var errs []error
	for range r.stores {
		errs = append(errs, <-done)
	}
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	var free, all int
	if err := r.db.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE owner = ''), count(*) FROM watermark`).Scan(&free, &all); err != nil && !errors.Is(err, pgx.ErrNoRows) || free != all {
		t.Errorf("%d of %d rows are free, %v", free, all, err)
	}
}
