package docs

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/mageline/mageline/config"
)

//go:generate go test . -run ^TestConfigurationPage$ -update

var update = flag.Bool("update", false, "write the table of variables in configuration.md anew")

const tableBegin, tableEnd = "<!-- from config.Table(), written by go generate -->\n", "<!-- end -->\n"

// The page has the table that `mageline config` prints.
func TestConfigurationPage(t *testing.T) {
	const page = "configuration.md"
	before, rest, ok := strings.Cut(read(t, "docs", page), tableBegin)
	_, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatalf("docs/%s has lost its marks %q and %q", page, tableBegin, tableEnd)
	}
	want := before + tableBegin + "\n" + variables() + "\n" + tableEnd + after
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil { //nolint:gosec // a page for everybody
			t.Fatal(err)
		}
	}
	if read(t, "docs", page) != want {
		t.Errorf("the table in docs/%s is not that of config.Table(): run go generate ./docs", page)
	}
}

// variables makes the table, without the values of this process.
func variables() string {
	text := strings.NewReplacer("|", `\|`, "<", "&lt;", ">", "&gt;").Replace
	var b strings.Builder
	b.WriteString("| variable | type | default | meaning |\n|---|---|---|---|\n")
	for _, v := range config.Table() {
		value := ""
		if v.Default != "" {
			value = "`" + v.Default + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", v.Name, text(v.Type), value, text(v.Meaning))
	}
	return b.String()
}
