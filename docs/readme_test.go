package docs

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mageline/mageline/internal/app"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/fakeerp"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
)

// patience is how long anything may take that has no reason to take long, on a machine that is busy.
const patience = 2 * time.Minute

// A step is a command of the README, word by word, and how it is run and looked at.
type step struct {
	command string
	run     func(s *session, command string)
}

// steps are all commands of the README in its order, but for the exports, which set what the session's variables replace.
var steps = []step{
	{"make demo ONCE=1", runByCI},
	{"make test", runByCI},
	{"make build", func(s *session, command string) {
		s.output(command)
		if version := s.output("bin/mageline version"); !strings.Contains(version, "mageline") {
			s.t.Errorf("the program that was built says of its version: %s", version)
		}
	}},
	{"bin/mageline check", func(s *session, command string) {
		if out := s.output(command); !strings.Contains(out, "OK") || strings.Contains(out, "FAIL") {
			s.t.Errorf("%s\n%s", command, out)
		}
	}},
	{"bin/mageline", (*session).start},
	{`echo '{"increment_id":"000000123"}' | bin/mageline publish sales.order.placed`, func(s *session, command string) {
		order := s.shop.PlaceOrder(fakemagento.Placing{IncrementID: "000000123"})
		s.output(command)
		s.await("000000123", order)
	}},
	{"bin/mageline key show order_placed:000000123", func(s *session, command string) {
		number := s.erp.DocumentsOf("000000123")[0].Number
		out := s.output(command)
		for _, row := range []string{`effect +create\nstate +done\nresult +` + number + `\n`, `effect +comment\nstate +done\n`} {
			if !regexp.MustCompile(row).MatchString(out) {
				s.t.Errorf("the ledger does not show %q:\n%s", row, out)
			}
		}
	}},
	{"bin/mageline dlq list", func(s *session, command string) {
		s.makeDeadLetter()
		if out := s.output(command); !regexp.MustCompile(regexp.QuoteMeta(s.letters()) + `  1 letter\n  rejected  1 letter  1 order .* still happening `).MatchString(out) {
			s.t.Errorf("%s\n%s", command, out)
		}
	}},
	{"bin/mageline dlq list mageline.order_placed.dlq", func(s *session, command string) {
		if out := s.output(command); !regexp.MustCompile(refused + ` +sales\.order\.placed +rejected`).MatchString(out) {
			s.t.Errorf("%s\n%s", command, out)
		}
	}},
	{"bin/mageline --replay-dlq mageline.order_placed.dlq --dry-run", func(s *session, command string) {
		if out := s.output(command); !strings.HasSuffix(out, "would replay 1 (1 orders), would skip 0\n") || s.queues.Depth(s.letters()) != 1 {
			s.t.Errorf("%s\n%s%d letters left", command, out, s.queues.Depth(s.letters()))
		}
	}},
	{"bin/mageline --replay-dlq mageline.order_placed.dlq", func(s *session, command string) {
		if out := s.output(command); !strings.HasSuffix(out, "replayed 1, skipped 0, failed 0\n") {
			s.t.Errorf("%s\n%s", command, out)
		}
		s.await(refused, s.letter)
		if n := s.queues.Depth(s.letters()); n != 0 {
			s.t.Errorf("%d letters are left", n)
		}
	}},
}

// Every command of the README is run, in its order, with the addresses of simulators, a broker and a database in place of
// those of its exports, and does what the README says.
func TestReadme_CommandsWork(t *testing.T) {
	commands, exports := parseReadme(t)
	known := make([]string, 0, len(steps))
	for _, step := range steps {
		known = append(known, step.command)
	}
	if !slices.Equal(commands, known) {
		t.Fatalf("README.md has other commands than this test knows.\nREADME.md:\n  %s\nthe test:\n  %s",
			strings.Join(commands, "\n  "), strings.Join(known, "\n  "))
	}
	s := newSession(t, exports)
	for _, step := range steps {
		step.run(s, step.command)
		if t.Failed() {
			t.Fatalf("at the command %s", step.command)
		}
	}
	s.stop()
	for problem, n := range s.erp.Problems() {
		t.Errorf("%d calls of the ERP: %s", n, problem)
	}
	for problem, n := range s.shop.Problems() {
		t.Errorf("%d calls of Magento: %s", n, problem)
	}
}

// parseReadme gives the commands of the README's sh blocks, and its exports by name.
func parseReadme(t *testing.T) (commands []string, exports map[string]string) {
	t.Helper()
	exports = map[string]string{}
	for _, block := range regexp.MustCompile("(?s)```([a-z]*)\n(.*?)```\n").FindAllStringSubmatch(read(t, "README.md"), -1) {
		switch block[1] {
		case "sh":
			for command := range strings.Lines(block[2]) {
				command = strings.TrimSpace(command)
				if assignment, ok := strings.CutPrefix(command, "export "); ok {
					name, value, _ := strings.Cut(assignment, "=")
					exports[name] = value
				} else if command != "" {
					commands = append(commands, command)
				}
			}
		case "", "go": // a picture, and the handler, which has a test of its own
		default:
			t.Errorf("README.md has a block of %s, which no test looks at", block[1])
		}
	}
	return commands, exports
}

// What the README exports is an environment in which everything runs.
func TestReadme_ExportsAreKnown(t *testing.T) {
	_, exports := parseReadme(t)
	for _, entry := range os.Environ() {
		if name, value, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "MAGELINE_") {
			t.Setenv(name, value) // so that it comes back
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, value := range exports {
		t.Setenv(name, value)
	}
	cfg, err := app.Load(config.EnabledConsumers)
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Warnings) > 0 {
		t.Error(cfg.Warnings)
	}
}

// runByCI is for commands that would run this test again or that are long: .ci/run runs them word by word.
func runByCI(s *session, command string) {
	if !slices.Contains(strings.Split(read(s.t, ".ci", "run"), "\n"), command) {
		s.t.Errorf("no line of .ci/run is %q", command)
	}
}

// refused is an order that the ERP refuses at first.
const refused = "000000124"

// makeDeadLetter has one order refused, so that there is something to look at and to replay.
func (s *session) makeDeadLetter() {
	s.letter = s.shop.PlaceOrder(fakemagento.Placing{IncrementID: refused})
	s.erp.Faults.Set(fault.Plan{Every: fault.Fault{Kind: fault.Fail, Status: 422}})
	s.queues.Publish("sales.order.placed", `{"increment_id":"`+refused+`"}`)
	kit.Eventually(s.t, patience, func() bool { return s.queues.Depth(s.letters()) == 1 }, "a dead letter of an order that the ERP refuses")
	s.erp.Faults.Set(fault.Plan{})
}

func (s *session) letters() string { return s.queues.DeadLetters("order_placed") }

// await waits until an order is in the ERP once, and Magento has one comment on it with the document's number. An order that was
// a dead letter may have a comment that says so as well: whether it is written before the replay is a matter of time.
func (s *session) await(number string, order fakemagento.Placed) {
	s.t.Helper()
	exported := func() (n int) {
		for _, comment := range s.shop.Comments(order.EntityID) {
			if documents := s.erp.DocumentsOf(number); len(documents) == 1 && strings.Contains(comment.Text, documents[0].Number) {
				n++
			}
		}
		return n
	}
	kit.Eventually(s.t, patience, func() bool { return exported() > 0 }, "order "+number+" in the ERP once and commented")
	if n := exported(); n != 1 {
		s.t.Errorf("order %s has %d comments that name its document", number, n)
	}
}

// The handler in the README is the one that runs.
func TestReadme_ShowsTheExampleHandler(t *testing.T) {
	_, shown, ok := strings.Cut(read(t, "README.md"), "```go\n")
	shown, _, ok2 := strings.Cut(shown, "```\n")
	_, body, ok3 := strings.Cut(read(t, "examples", "handler", "main.go"), "\nfunc main() {\n")
	if !ok || !ok2 || !ok3 {
		t.Fatal("README.md has no block of Go, or examples/handler/main.go no main")
	}
	if shown != "func main() {\n"+body {
		t.Error("the block of Go in README.md is not main of examples/handler/main.go")
	}
	if n := strings.Count(shown, "\n"); n >= 40 {
		t.Errorf("it has %d lines, a page says under 40", n)
	}
}

// newSession makes a shop, an ERP and a part of a broker and of a Postgres for the README, and a copy of the checkout,
// since make writes to it.
func newSession(t *testing.T, exports map[string]string) *session {
	t.Helper()
	s := &session{
		t: t, dir: t.TempDir(), queues: kit.Broker(t),
		shop: fakemagento.New(fakemagento.Options{Version: fakemagento.VersionFor(t.Name()), Token: "m4gento"}),
		erp:  fakeerp.New(fakeerp.Options{Token: "3rp"}),
	}
	copyCheckout(t, s.dir)
	instead := map[string]string{
		"MAGELINE_AMQP_URL": s.queues.URL, "MAGELINE_DATABASE_URL": kit.Database(t),
		"MAGELINE_MAGENTO_URL": serve(t, s.shop, s.shop.Close), "MAGELINE_MAGENTO_TOKEN": "m4gento",
		"MAGELINE_ERP_URL": serve(t, s.erp, s.erp.Close), "MAGELINE_ERP_TOKEN": "3rp",
	}
	if want, got := slices.Sorted(maps.Keys(instead)), slices.Sorted(maps.Keys(exports)); !slices.Equal(got, want) {
		t.Fatalf("README.md exports %v, the test has values for %v", got, want)
	}
	s.env = append(clean(os.Environ()), "MAGELINE_AMQP_EXCHANGE="+s.queues.Exchange, "MAGELINE_QUEUE_PREFIX="+s.queues.Prefix,
		"MAGELINE_HTTP_ADDR=127.0.0.1:0")
	for name, value := range instead {
		s.env = append(s.env, name+"="+value)
	}
	return s
}

// copyCheckout copies the checkout without its history and without what was built in it.
func copyCheckout(t *testing.T, to string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // somebody's temporary file
		}
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, root))
		if entry.IsDir() {
			if slices.Contains([]string{".git", ".run", "bin", "dist"}, entry.Name()) {
				return filepath.SkipDir
			}
			return os.MkdirAll(target, 0o700)
		}
		info, err := entry.Info()
		if err != nil || !entry.Type().IsRegular() || info.Size() > 10<<20 { // a binary that somebody has built
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, content, info.Mode().Perm())
	})
	if err != nil {
		t.Fatal(err)
	}
}
