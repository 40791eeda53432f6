package tracking

import "testing"

func TestIsPrintable_AgreesWithASlowCheck(t *testing.T) {
	for _, length := range []int{0, 1, 7, 8, 9, 16, 17} {
		for c := range 256 {
			for at := range max(1, length) {
				text := make([]byte, length)
				for i := range text {
					text[i] = "09AZaz ~"[(i+c)%8]
				}
				want := true
				if length > 0 {
					text[at] = byte(c)
					want = c >= ' ' && c <= '~'
				}
				if got := isPrintable(text); got != want {
					t.Fatalf("%q: %t, want %t", text, got, want)
				}
			}
		}
	}
}
