package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	goTest   = regexp.MustCompile(`go test [^;\n]*-run ["']?([^"' ]+)["']? ([^;\n]*)`)
	testFunc = regexp.MustCompile(`(?m)^func (Test\w+)\(`)
)

// A pattern of the Makefile that matches no test would leave it out in silence: each part of each has one.
func TestMakefile_PatternsMatchTests(t *testing.T) {
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	calls := goTest.FindAllStringSubmatch(string(makefile), -1)
	if len(calls) < 5 {
		t.Errorf("%d patterns in the Makefile: the test does not see them", len(calls))
	}
	for _, call := range calls {
		if strings.HasPrefix(call[1], "^$") { // benchmarks
			continue
		}
		for _, folder := range strings.Fields(call[2]) {
			if !strings.HasPrefix(folder, "./") {
				continue
			}
			names := strings.Join(testsIn(t, strings.Trim(folder, "\"'\\")), "\n")
			for part := range strings.SplitSeq(call[1], "|") {
				name, _, _ := strings.Cut(part, "/") // of a subtest: its parent
				if !strings.Contains(names, name) {
					t.Errorf("no test of %s is called %s, which the Makefile runs", folder, part)
				}
			}
		}
	}
}

func testsIn(t *testing.T, folder string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range testFunc.FindAllStringSubmatch(string(source), -1) {
			names = append(names, m[1])
		}
	}
	return names
}
