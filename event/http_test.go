package event

import (
	"net/http"
	"testing"
	"time"
)

func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"", "0", "120", "-1", "1.5", "99999999999999999999", "18446744073709551615", "Mon, 23 Nov 2026 10:00:10 GMT", "Mon, 01 Jan 0001 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "soon"} {
		f.Add(seed)
	}
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, value string) {
		if got := RetryAfter(http.Header{"Retry-After": {value}}, now); got < 0 || got > maxRetryAfter {
			t.Fatalf("%q returns %s", value, got)
		}
	})
}

func TestRetryAfter_SecondsAndDates(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		value, date string
		want        time.Duration
	}{
		{"", "", 0},
		{"soon", "", 0},
		{"-5", "", 0},
		{"1.5", "", 0},
		{"0", "", 0},
		{"120", "", 2 * time.Minute},
		{" 120 ", "", 2 * time.Minute},
		{"86400", "", 24 * time.Hour},
		{"99999999999", "", maxRetryAfter},
		{"99999999999999999999999999", "", maxRetryAfter},
		{"Mon, 23 Nov 2026 10:00:10 GMT", "", 10 * time.Second},
		{"Mon, 23 Nov 2026 09:00:00 GMT", "", 0},
		{"Fri, 31 Dec 9999 23:59:59 GMT", "", maxRetryAfter},
		// Of two clocks that differ, the downstream's own counts.
		{"Mon, 23 Nov 2026 12:00:10 GMT", "Mon, 23 Nov 2026 12:00:00 GMT", 10 * time.Second},
		{"Mon, 23 Nov 2026 09:00:30 GMT", "Mon, 23 Nov 2026 09:00:00 GMT", 30 * time.Second},
		{"Mon, 23 Nov 2026 10:00:10 GMT", "yesterday", 10 * time.Second},
		{"120", "Mon, 23 Nov 2026 09:00:00 GMT", 2 * time.Minute},
	} {
		h := http.Header{"Retry-After": {tt.value}}
		if tt.date != "" {
			h.Set("Date", tt.date)
		}
		if got := RetryAfter(h, now); got != tt.want {
			t.Errorf("%q, answered at %q, returns %s, want %s", tt.value, tt.date, got, tt.want)
		}
	}
}
