package app

import (
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// environment sets these variables, given without MAGELINE_, and unsets all others of mageline's.
func environment(t *testing.T, pairs ...string) {
	t.Helper()
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "MAGELINE_") && !strings.HasPrefix(name, "MAGELINE_TEST_") {
			t.Setenv(name, value) // which restores it after the test
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := 0; i < len(pairs); i += 2 {
		t.Setenv("MAGELINE_"+pairs[i], pairs[i+1])
	}
}
