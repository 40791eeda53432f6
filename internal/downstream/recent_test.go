package downstream

import (
	"maps"
	"testing"
	"time"
)

// Calls count for 5 minutes, and a failure is what is about the downstream and not about what it was asked.
func TestRecent_CountsFiveMinutes(t *testing.T) {
	t.Parallel()
	var r recent
	now := time.Date(2026, 11, 23, 10, 0, 5, 0, time.UTC)
	for code, n := range map[string]int{
		"200": 5, "404": 1, "422": 2, "302": 1, "401": 1, "403": 1, "408": 1, "429": 1, "500": 1, "503": 2, "timeout": 3, "unavailable": 1,
	} {
		for range n {
			r.add(code, now)
		}
	}
	want := Recent{Calls: 20, Failures: 12, Timeouts: 3}
	for at, there := range map[time.Duration]bool{0: true, 4*time.Minute + 59*time.Second: true, 5*time.Minute + 10*time.Second: false, -time.Minute: false} {
		got := r.sum(now.Add(at))
		if there != (got.Calls == want.Calls && got.Failures == want.Failures && got.Timeouts == want.Timeouts && got.Codes["503"] == 2) {
			t.Errorf("after %s: %+v, want %+v: %v", at, got, want, there)
		}
	}
	r.unreadable(now)
	if got := r.sum(now); got.Calls != 20 || got.Failures != 13 || got.Codes["200"] != 4 || got.Codes[Unreadable] != 1 {
		t.Errorf("with a success that can't be read: %+v", got)
	}
	later := now.Add(recentBucket * recentBuckets) // the same bucket, used anew
	r.add("200", later)
	if got := r.sum(later); got.Calls != 1 || !maps.Equal(got.Codes, map[string]int{"200": 1}) {
		t.Errorf("%+v", got)
	}
}

func BenchmarkRecent(b *testing.B) {
	var r recent
	b.ReportAllocs()
	for b.Loop() {
		r.add("200", time.Now())
	}
}
