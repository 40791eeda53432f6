package docs

import (
	"regexp"
	"testing"
)

// What the page says of the code is so: each file has the names that the page looks for in it.
func TestFirstHour_NamesWhatIsThere(t *testing.T) {
	row, code := regexp.MustCompile("(?m)^\\| `([\\w./]+\\.go)` \\| (.+?) \\|"), regexp.MustCompile("`(\\w+)`")
	rows := row.FindAllStringSubmatch(read(t, "docs", "first-hour.md"), -1)
	if len(rows) < 20 {
		t.Fatalf("%d rows: they are no longer found", len(rows))
	}
	for _, match := range rows {
		text := read(t, match[1])
		for _, name := range code.FindAllStringSubmatch(match[2], -1) {
			if !regexp.MustCompile(`\b` + name[1] + `\b`).MatchString(text) {
				t.Errorf("docs/first-hour.md looks for %s in %s, where it is not", name[1], match[1])
			}
		}
	}
}
