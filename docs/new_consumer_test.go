package docs

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The page's diff applies to the tree as it is, and is all that a new consumer takes: the program that is built with it has
// the queue, and its settings know the name.
func TestNewConsumer_DiffAppliesAndIsEnough(t *testing.T) {
	_, rest, ok := strings.Cut(read(t, "docs", "new-consumer.md"), "```diff\n")
	diff, _, ok2 := strings.Cut(rest, "```\n")
	if !ok || !ok2 {
		t.Fatal("docs/new-consumer.md has no diff")
	}
	checkout, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}

	// The files that the diff names are copied, patched, and laid over the tree for the build.
	patched := t.TempDir()
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for _, match := range regexp.MustCompile(`(?m)^diff --git a/(\S+) `).FindAllStringSubmatch(diff, -1) {
		path := filepath.Join(patched, match[1])
		overlay.Replace[filepath.Join(checkout, match[1])] = path
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		before, err := os.ReadFile(filepath.Join(checkout, match[1]))
		if os.IsNotExist(err) {
			continue // the diff makes it
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, before, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if len(overlay.Replace) < 3 {
		t.Fatalf("the diff has %d files: they are no longer found", len(overlay.Replace))
	}
	apply := exec.CommandContext(t.Context(), "git", "apply", "-")
	apply.Dir, apply.Stdin = patched, strings.NewReader(diff)
	apply.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(patched))
	if out, err := apply.CombinedOutput(); err != nil {
		t.Fatalf("the diff of docs/new-consumer.md does not apply to the tree: bring it up to date: %v\n%s", err, out)
	}

	list, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	overlayFile, binary := filepath.Join(t.TempDir(), "overlay.json"), filepath.Join(t.TempDir(), "mageline")
	if err := os.WriteFile(overlayFile, list, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, arguments := range [][]string{
		{"build", "-trimpath", "-overlay", overlayFile, "-o", binary, "./cmd/mageline"},
		{"vet", "-trimpath", "-overlay", overlayFile, "./test/kit"},
	} {
		build := exec.CommandContext(t.Context(), "go", arguments...)
		build.Dir, build.Env = checkout, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", build, err, out)
		}
	}

	call := func(arguments ...string) string {
		command := exec.CommandContext(t.Context(), binary, arguments...)
		command.Env = append(clean(os.Environ()), "MAGELINE_QUEUE_PREFIX=p", "MAGELINE_CONSUMERS=gift_card_sold")
		out, _ := command.CombinedOutput() // config ends with what is not set
		return string(out)
	}
	out := call("topology", "--print")
	for _, want := range []string{`(?m)^p\.gift_card_sold +x-dead-letter`, `(?m)^p\.gift_card_sold\.dlq +x-`, `(?m)^p\.gift_card_sold +magento +sales\.gift_card\.sold$`} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
	if out := call("config"); !strings.Contains(out, "MAGELINE_MAGENTO_URL is not set") || strings.Contains(out, "MAGELINE_ERP_URL is not set") {
		t.Errorf("config says\n%s", out)
	}
}
