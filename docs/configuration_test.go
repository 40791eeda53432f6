package docs

import (
	"flag"
	"fmt"
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/mageline/mageline/internal/app"
	"github.com/mageline/mageline/internal/config"
)

//go:generate go test . -run ^TestGenerated_ -update

var update = flag.Bool("update", false, "write the generated tables anew")

// generated writes a table between its marks in a page with -update, and fails where the page has another.
func generated(t *testing.T, source, table string, page ...string) {
	t.Helper()
	begin, end := "<!-- from "+source+", written by go generate -->\n", "<!-- end -->\n"
	before, rest, ok := strings.Cut(read(t, page...), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has lost its marks %q and %q", filepath.Join(page...), begin, end)
	}
	want := before + begin + "\n" + table + "\n" + end + after
	if *update {
		path := filepath.Join(append([]string{root}, page...)...)
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if read(t, page...) != want {
		t.Errorf("the table in %s is not that of %s: run go generate ./docs", filepath.Join(page...), source)
	}
}

// The page has the table that `mageline config` prints.
func TestGenerated_Variables(t *testing.T) {
	generated(t, "config.Table()", variables(), "docs", "configuration.md")
}

// The README has a row for each consumer of this build.
func TestGenerated_Consumers(t *testing.T) {
	table := "| consumer | on the events | does |\n|---|---|---|\n"
	for _, c := range app.Consumers() {
		if c.Built {
			table += c.Row() + "\n"
		}
	}
	generated(t, "app.Consumers()", table, "README.md")
}

// Each variable says what it is for, as more than a repetition of its name.
func TestConfiguration_ExplainsEachVariable(t *testing.T) {
	for _, v := range config.Table() {
		if v.Meaning == "" || v.Type == "" {
			t.Errorf("%s: type %q, meaning %q", v.Name, v.Type, v.Meaning)
		}
	}
}

// What the program reads from the environment besides its own variables is on the page too.
func TestConfiguration_NamesOtherVariablesOfTheEnvironment(t *testing.T) {
	page := read(t, "docs", "configuration.md")
	other, found := regexp.MustCompile(`^(?:OTEL_[A-Z_]*[A-Z]|GO[A-Z]+|(?:HTTPS?|NO)_PROXY)$`), 0
	program(t, func(file *ast.File, position func(ast.Node) token.Position) {
		ast.Inspect(file, func(n ast.Node) bool {
			if value, ok := n.(*ast.BasicLit); ok && other.MatchString(literal(value)) {
				found++
				if !strings.Contains(page, literal(value)) {
					t.Errorf("%s: %s is not in docs/configuration.md", position(n), literal(value))
				}
			}
			return true
		})
	})
	if found < 10 {
		t.Errorf("%d variables: they are no longer found", found)
	}
}

var ofTests = regexp.MustCompile(`^MAGELINE_(TEST|E2E|FAULTS)(_|$)`)

// The other pages name variables that are there, with or without the prefix.
func TestConfiguration_PagesNameKnownVariables(t *testing.T) {
	known := map[string]bool{}
	for _, v := range config.Table() {
		known[v.Name] = true
		known[v.Name+"_FILE"] = v.Secret
	}
	pages, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	// Those of Go's standard library, and what a secret's variable is called in general.
	for _, name := range []string{"SSL_CERT_FILE", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "NAME_FILE"} {
		known["MAGELINE_"+name] = true
	}
	found := 0
	for _, page := range append(pages, filepath.Join(root, "README.md")) {
		content, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range variable.FindAllStringSubmatch(string(content), -1) {
			name := "MAGELINE_" + strings.TrimPrefix(match[1], "MAGELINE_")
			if ofTests.MatchString(name) || strings.HasPrefix(match[1], "OTEL_") { // of our tests, and OpenTelemetry's
				continue
			}
			found++
			if !known[name] {
				t.Errorf("%s names %s, which config.Table() does not have", filepath.Base(page), match[1])
			}
		}
	}
	if found < 50 {
		t.Errorf("%d variables in the pages: they are no longer found", found)
	}
}

// variable is a name in capitals with a _ in it at the beginning of a piece of code.
var variable = regexp.MustCompile("`([A-Z][A-Z0-9]*_[A-Z0-9_]*[A-Z0-9])(?:=[^`]*)?`")

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
