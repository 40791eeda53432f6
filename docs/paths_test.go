package docs

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

var (
	// A file of ours as prose names it: docs/ledger.md.
	file = regexp.MustCompile(`[\w./-]*\w\.(?:md|go|sh|sql|proto|ya?ml)\b`)
	// A folder or file of ours in a page: `consumer/decide.go`, `internal/tracing`.
	quoted  = regexp.MustCompile("`([a-z][a-z_]*(?:/[\\w.-]+)+/?)`")
	heading = regexp.MustCompile(`(?m)^#+ +(.*)$`)
)

// Whoever follows a comment or a page finds what it names: no pointer leads to a page that was renamed, or to one that was
// never in the repository.
func TestPaths_OfCommentsAndPagesExist(t *testing.T) {
	found := 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		name, _ := filepath.Rel(root, path)
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (strings.HasPrefix(entry.Name(), ".") && name != "." && name != ".ci" || entry.Name() == "bin" || entry.Name() == "testdata"):
			return filepath.SkipDir
		case entry.IsDir():
			return nil
		}
		for _, text := range prose(t, path) {
			for _, target := range file.FindAllString(text, -1) {
				found++
				if !strings.HasPrefix(target, "//") && !there(filepath.Dir(name), target) { // else a part of an address
					t.Errorf("%s names %s, which is not there", name, target)
				}
			}
		}
		if filepath.Ext(path) == ".md" {
			for _, match := range quoted.FindAllStringSubmatch(read(t, name), -1) {
				top, _, _ := strings.Cut(match[1], "/")
				if info, err := os.Stat(filepath.Join(root, top)); err != nil || !info.IsDir() || top == "bin" || // built here, or Magento's
					name == "CHANGELOG.md" || strings.HasSuffix(name, "dependencies.md") {
					continue // no path of this repository, one of an earlier version, or a module's
				}
				found++
				if !there(".", match[1]) {
					t.Errorf("%s names %s, which is not there", name, match[1])
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found < 50 {
		t.Errorf("%d paths: they are no longer found", found)
	}
}

// prose gives the comments of a file of code that may name a file.
func prose(t *testing.T, path string) []string {
	var texts []string
	switch filepath.Ext(path) {
	case ".go":
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, group := range parsed.Comments {
			texts = append(texts, group.Text())
		}
	case ".sh", ".sql", ".yml", ".yaml":
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "#") || strings.HasPrefix(line, "--") {
				texts = append(texts, line)
			}
		}
	}
	return texts
}

// there reports whether a path is there, as seen from the root or from the folder of the file that names it.
func there(folder, target string) bool {
	for _, base := range []string{root, filepath.Join(root, folder)} {
		if _, err := os.Stat(filepath.Join(base, target)); err == nil {
			return true
		}
	}
	return false
}

// The part of a link after # leads to a heading.
func TestLinks_LeadToHeadings(t *testing.T) {
	pages, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"decisions", "reference"} {
		more, err := filepath.Glob(filepath.Join(folder, "*.md"))
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, more...)
	}
	names := []string{"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"}
	for _, page := range pages {
		names = append(names, filepath.Join("docs", page))
	}
	for _, page := range names {
		for _, match := range link.FindAllStringSubmatch(read(t, page), -1) {
			target, fragment, ok := strings.Cut(match[1], "#")
			if !ok || strings.Contains(target, "://") {
				continue
			}
			if target = filepath.Join(filepath.Dir(page), target); strings.HasPrefix(match[1], "#") {
				target = page
			}
			if !headings(read(t, target))[fragment] {
				t.Errorf("%s links to #%s of %s, which has no such heading", page, fragment, target)
			}
		}
	}
}

// headings are the anchors that GitHub gives to the headings of a page.
func headings(page string) map[string]bool {
	anchors := map[string]bool{}
	for _, match := range heading.FindAllStringSubmatch(page, -1) {
		anchors[strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, match[1])] = true
	}
	return anchors
}

// A test that a page names, as consumer.TestX, is one of a package of that name.
func TestPages_NameTestsThatExist(t *testing.T) {
	tests := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	walk := func(ending string, look func(path, text string)) {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ending) {
				return err
			}
			text, err := os.ReadFile(path)
			look(path, string(text))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	walk("_test.go", func(path, text string) {
		for _, match := range declared.FindAllStringSubmatch(text, -1) {
			tests[filepath.Base(filepath.Dir(path))+"."+match[1]] = true
		}
	})
	found := 0
	named := regexp.MustCompile("`([a-z0-9]+\\.Test\\w+)`")
	walk(".md", func(path, text string) {
		for _, match := range named.FindAllStringSubmatch(text, -1) {
			if found++; !tests[match[1]] {
				t.Errorf("%s names %s, which there is not", path, match[1])
			}
		}
	})
	if found < 50 {
		t.Errorf("%d tests: they are no longer found", found)
	}
}
