package idempotency

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mageline/mageline/event"
)

// Whatever a message gives as its business key is storable or event.Invalid, and is stored as itself or as its hash.
func FuzzKey(f *testing.F) {
	for _, s := range []string{"", "000000123", "a\x00", "\xff", strings.Repeat("é", 101), "sha256:0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		key := Key{Consumer: "order_placed", Key: s, Effect: "create"}
		got, err := key.Stored()
		if err != nil {
			if event.ClassOf(err) != event.Invalid || len(err.Error()) > 1000 {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		if len(got.Key) == 0 || len(got.Key) > maxKey || !utf8.ValidString(got.Key) || strings.Contains(got.Key, "\x00") {
			t.Fatalf("%q would be stored as %q", s, got.Key)
		}
		if len(s) <= maxKey && got != key {
			t.Fatalf("%q became %q", s, got.Key)
		}
		if again, err := got.Stored(); again != got || err != nil {
			t.Fatalf("%q became %q, %v", got.Key, again.Key, err)
		}
	})
}

// What downstreams say is made storable.
func FuzzText(f *testing.F) {
	for _, s := range []string{"", "SO-1", "a\x00b", "\xff\xfe", strings.Repeat("é", 20)} {
		f.Add(s, 16)
	}
	f.Fuzz(func(t *testing.T, s string, limit int) {
		if limit < 0 {
			return
		}
		got := text(s, limit)
		if len(got) > limit || !utf8.ValidString(got) || strings.Contains(got, "\x00") {
			t.Fatalf("text(%q, %d) is %q", s, limit, got)
		}
		if len(s) <= limit && utf8.ValidString(s) && !strings.Contains(s, "\x00") && got != s {
			t.Fatalf("text(%q, %d) is %q", s, limit, got)
		}
	})
}
