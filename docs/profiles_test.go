package docs

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/mageline/mageline/internal/tracking"
)

// Every profile in the pages can be copied.
func TestProfiles_OfThePagesCanBeRead(t *testing.T) {
	pages, err := filepath.Glob("profiles/*.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, page := range append(pages, "tracking-profiles.md") {
		for _, block := range strings.Split(read(t, filepath.Join("docs", page)), "```yaml\n")[1:] {
			text, _, _ := strings.Cut(block, "```")
			found++
			if _, err := tracking.Parse(page, []byte(text)); err != nil {
				t.Errorf("%v in\n%s", err, text)
			}
		}
	}
	if found < 5 {
		t.Errorf("%d profiles are found", found)
	}
}
