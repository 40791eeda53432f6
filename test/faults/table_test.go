package faults

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var (
	row   = regexp.MustCompile(`(?m)^\| (\d+) \| (.+?) \| (.+) \|$`)
	named = regexp.MustCompile("`([a-z0-9]+)\\.(Test\\w+)`")
)

// docs/faults.md has each once, in order, and says nothing that is not so.
func TestTable_IsWhatIsInjected(t *testing.T) {
	page, err := os.ReadFile("../../docs/faults.md")
	if err != nil {
		t.Fatal(err)
	}
	injected := map[int]bool{}
	for _, f := range all() {
		injected[f.number] = true
	}
	rows := row.FindAllStringSubmatch(string(page), -1)
	listed := map[int]bool{}
	last := 0
	for _, r := range rows {
		number, err := strconv.Atoi(r[1])
		if err != nil || number <= last {
			t.Errorf("number %s comes after %d", r[1], last)
		}
		last, listed[number] = number, true
		where := r[3]
		if strings.HasPrefix(where, "faults") != injected[number] {
			t.Errorf("fault %d is %q, and the suite has it: %v", number, where, injected[number])
		}
		if !injected[number] && len(named.FindAllString(where, -1)) == 0 && !strings.Contains(string(page), "**"+r[1]+"**") &&
			where != "later" {
			t.Errorf("fault %d is tested nowhere, and nobody says why", number)
		}
	}
	for number := range injected {
		if !listed[number] {
			t.Errorf("fault %d is injected, and no row says so", number)
		}
	}
	var rare []string
	for _, number := range slices.Sorted(maps.Keys(seldom)) {
		if !injected[number] || !injected[seldom[number]] || seldom[seldom[number]] != 0 {
			t.Errorf("fault %d is left to `make faults` for the sake of %d, which is not injected each time", number, seldom[number])
		}
		rare = append(rare, strconv.Itoa(number))
	}
	if text := "alone injects " + strings.Join(rare, ", ") + ":"; !strings.Contains(string(page), text) {
		t.Errorf("the page does not say that `make faults` %s", text)
	}
	tests := named.FindAllStringSubmatch(string(page), -1)
	if len(tests) == 0 {
		t.Fatal("no tests are named")
	}
	for _, n := range tests {
		if !exists(t, n[1], n[2]) {
			t.Errorf("there is no %s.%s", n[1], n[2])
		}
	}
}

// exists looks for a test in the folder of a package, wherever in the tree it is.
func exists(t *testing.T, folder, name string) bool {
	t.Helper()
	var files []string
	for _, parent := range []string{"", "internal", "test", "erp", "cmd", "handlers"} {
		found, err := filepath.Glob(filepath.Join("../..", parent, folder, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(source), "\nfunc "+name+"(t *testing.T)") {
			return true
		}
	}
	return false
}
