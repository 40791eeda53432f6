package nearest_test

import (
	"testing"

	"github.com/mageline/mageline/internal/nearest"
)

func TestHint_NamesWhatWasMeant(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]string{
		"Carier": ": did you mean carriers?", "columns": ": did you mean columns?", "splt": ": did you mean split?",
		"x": ", but carriers, columns, split", "": ", but carriers, columns, split",
	} {
		if got := nearest.Hint(word, []string{"carriers", "columns", "split"}); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}
