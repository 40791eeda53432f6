package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/mageline/mageline/idempotency"
	"github.com/mageline/mageline/test/kit"
)

// environment gives the process these variables and no other of mageline's.
func environment(t *testing.T, pairs ...string) {
	t.Helper()
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "MAGELINE_") && !strings.HasPrefix(name, "MAGELINE_TEST_") {
			t.Setenv(name, value) // so that it is as it was after the test
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := 0; i < len(pairs); i += 2 {
		t.Setenv("MAGELINE_"+pairs[i], pairs[i+1])
	}
}

// services gives the process a part of the broker and a database of its own.
func services(t *testing.T) (*kit.Queues, string) {
	t.Helper()
	q, database := kit.Broker(t), kit.Database(t)
	environment(t, "AMQP_URL", q.URL, "AMQP_EXCHANGE", q.Exchange, "QUEUE_PREFIX", q.Prefix, "DATABASE_URL", database)
	return q, database
}

type ended struct {
	code     int
	out, err string
}

// call runs a command in this process.
func call(t *testing.T, stdin string, args ...string) ended {
	t.Helper()
	var out, err bytes.Buffer
	code := run(t.Context(), args, terminal{in: strings.NewReader(stdin), out: &out, err: &err})
	t.Logf("mageline %s: exit %d\n%s%s", strings.Join(args, " "), code, out.String(), err.String())
	return ended{code, out.String(), err.String()}
}

func (e ended) want(t *testing.T, code int, out, err string) {
	t.Helper()
	if e.code != code {
		t.Errorf("exit %d, want %d", e.code, code)
	}
	if !strings.Contains(e.out, out) || out == "" && e.out != "" {
		t.Errorf("stdout %q, want %q", e.out, out)
	}
	if !strings.Contains(e.err, err) || err == "" && e.err != "" {
		t.Errorf("stderr %q, want %q", e.err, err)
	}
}

// decode reads what --json has printed.
func decode[T any](t *testing.T, e ended) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(e.out), &v); err != nil {
		t.Fatalf("no JSON: %v\n%s", err, e.out)
	}
	return v
}

func TestVersion_PrintsTheBuild(t *testing.T) {
	environment(t)
	call(t, "", "version").want(t, 0, runtime.Version(), "")
	if got := decode[map[string]string](t, call(t, "", "version", "--json")); got["version"] != version || got["commit"] != commit || got["go"] != runtime.Version() {
		t.Errorf("%v", got)
	}
}

func TestCommands_RefuseWrongUsage(t *testing.T) {
	environment(t)
	for _, args := range [][]string{
		{"nonsense"},
		{"--nonsense"},
		{"version", "x"},
		{"publish"},
		{"publish", "a", "b", "c"},
		{"key", "show"},
		{"key", "show", "no-colon"},
		{"key", "show", ":key"},
		{"key", "release", "order_placed:"},
		{"key", "nonsense"},
		{"key", "list", "order_placed"},
		{"key", "list", "--state", "in progress"},
		{"key", "list", "--since", "soon"},
		{"key", "list", "--limit", "-1"},
		{"migrate", "down"},
		{"topology", "x"},
		{"check", "x"},
		{"config", "--nonsense"},
		{"--limit", "3"},
	} {
		e := call(t, "", args...)
		if e.code != exitUsage || e.err == "" || e.out != "" {
			t.Errorf("%v: exit %d, stdout %q, stderr %q, want 2 and why", args, e.code, e.out, e.err)
		}
	}
}

// Each command has help with an example.
func TestHelp_HasAnExampleForEachCommand(t *testing.T) {
	environment(t)
	var visit func(cmd *cobra.Command, path []string)
	visit = func(cmd *cobra.Command, path []string) {
		e := call(t, "", append(path, "--help")...)
		if e.code != 0 || !strings.Contains(e.out, "Examples:\n  ") || cmd.Short == "" {
			t.Errorf("mageline %v --help: exit %d, no example or no text", path, e.code)
		}
		for _, sub := range cmd.Commands() {
			visit(sub, append(append([]string{}, path...), sub.Name()))
		}
	}
	visit(newRoot(terminal{}), nil)
	call(t, "", "completion", "bash").want(t, 0, "mageline", "")
}

// What a command prints as a result it prints as JSON too.
func TestJSON_OnEachCommandWithAResult(t *testing.T) {
	without := map[string]string{
		"run": "prints none", "completion": "is for a shell", "help": "is for a person",
		"dlq": "only has commands", "key": "only has commands", "tracking": "only has commands", "import": "only has commands", "export": "only has commands",
		"prices": "only has commands", "watermarks": "only has commands", "mapping": "only has commands", "init": "writes a file", "schema": "is JSON",
	}
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		if _, ok := without[cmd.Name()]; cmd.Flags().Lookup("json") == nil && !ok {
			t.Errorf("%s has no --json", cmd.CommandPath())
		}
		if cmd.Name() == "completion" {
			return
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(newRoot(terminal{}))
}

func TestConfig_PrintsEachVariable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("s3cr3t-in-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	environment(t, "ERP_TOKEN", "s3cr3t-erp", "MAGENTO_TOKEN_FILE", file, "AMQP_URL", "amqp://u:s3cr3t-amqp@h/", "PREFETCH", "7", "NONSENSE", "1")
	e := call(t, "", "config")
	e.want(t, 0, "MAGELINE_PREFETCH", "MAGELINE_NONSENSE")
	if strings.Contains(e.out+e.err, "s3cr3t") {
		t.Error("a secret is printed")
	}
	for _, line := range []string{`MAGELINE_ERP_TOKEN +\*\*\*`, `MAGELINE_MAGENTO_TOKEN +\*\*\*`, `MAGELINE_AMQP_URL +\*\*\*`, `MAGELINE_PREFETCH +7 +64`} {
		if !regexp.MustCompile(line).MatchString(e.out) {
			t.Errorf("no line like %s", line)
		}
	}
	values := map[string]string{}
	for _, v := range decode[[]struct{ Name, Value, Default, Type, Meaning string }](t, call(t, "", "config", "--json")) {
		values[v.Name] = v.Value
		if v.Type == "" || v.Meaning == "" {
			t.Errorf("%s has no type or no meaning", v.Name)
		}
	}
	if values["MAGELINE_ERP_TOKEN"] != "***" || values["MAGELINE_PREFETCH"] != "7" {
		t.Errorf("%v", values)
	}
}

// All that is wrong is said at once, by every command, before anything is connected to.
func TestConfig_NamesAllThatIsWrong(t *testing.T) {
	environment(t, "PREFETCH", "0", "QUEUE_TYPE", "s3cond", "RETRY_DELAYS", "soon", "AMQP_URL", "http://u:s3cr3t@h/", "DATABASE_URL", "s3cr3t")
	for _, args := range [][]string{
		{"config"},
		{"check"},
		{"run"},
		{},
		{"migrate"},
		{"migrate", "status"},
		{"topology", "--print"},
		{"publish", "t"},
		{"key", "show", "a:b"},
		{"key", "release", "a:b"},
		{"pause"},
		{"pause", "erp"},
		{"resume", "erp"},
		{"dlq", "list"},
	} {
		e := call(t, "", args...)
		if e.code != exitUsage {
			t.Errorf("%v: exit %d, want 2", args, e.code)
		}
		for _, name := range []string{"PREFETCH", "QUEUE_TYPE", "RETRY_DELAYS", "AMQP_URL", "DATABASE_URL"} {
			if strings.Count(e.err, "MAGELINE_"+name+"=") != 1 {
				t.Errorf("%v: want one line about %s", args, name)
			}
		}
		if !strings.Contains(e.err, `"s3cond"`) || strings.Contains(e.err+e.out, "s3cr3t") {
			t.Errorf("%v: the value that it got is missing, or a secret is there", args)
		}
	}
	environment(t)
	for _, command := range []string{"check", "run"} {
		e := call(t, "", command)
		e.want(t, exitUsage, "", "MAGELINE_MAGENTO_URL")
		if !strings.Contains(e.err, "MAGELINE_MAGENTO_TOKEN") || !strings.Contains(e.err, "MAGELINE_ERP_URL") {
			t.Errorf("%s does not tell all that is missing", command)
		}
	}
}

func TestTopology_DeclaresPrintsAndUnbinds(t *testing.T) {
	q, _ := services(t)
	work := q.Queue("order_placed")
	e := call(t, "", "topology", "--print")
	e.want(t, 0, "x-dead-letter-routing-key="+work+".dlq", "")
	printed := decode[struct {
		Exchanges []struct{ Name, Type string }
		Queues    []struct {
			Name      string
			Arguments map[string]any
		}
		Bindings []struct {
			Queue, Exchange string
			RoutingKey      string `json:"routing_key"`
		}
	}](t, call(t, "", "topology", "--print", "--json"))
	if printed.Exchanges[0].Name != q.Exchange || printed.Exchanges[0].Type != "topic" || printed.Queues[0].Name != work ||
		printed.Queues[0].Arguments["x-queue-type"] != "quorum" || printed.Bindings[0].RoutingKey != "sales.order.placed" {
		t.Errorf("%+v", printed)
	}
	if q.Depth(work) != -1 {
		t.Fatal("--print has declared a queue")
	}
	call(t, "", "topology").want(t, 0, "made queue "+work+"\n", "")
	call(t, "", "topology").want(t, 0, "nothing was missing", "")
	if got := decode[map[string][]string](t, call(t, "", "topology", "--json")); got["made"] == nil || len(got["made"]) != 0 {
		t.Errorf("%v", got)
	}
	if q.Depth(work) != 0 {
		t.Fatal("there is no queue")
	}

	call(t, "{}", "publish", "sales.order.updated").want(t, 0, "published 1", "")
	call(t, "", "topology", "--unbind", "order_placed:sales.order.updated").want(t, 0, "no longer bound", "MAGELINE_BINDINGS")
	call(t, "{}", "publish", "sales.order.updated").want(t, 1, "published 0", "no queue is bound")
	if got := decode[map[string]string](t, call(t, "", "topology", "--unbind", "order_placed:sales.order.placed", "--json")); got["queue"] != q.Queue("order_placed") || got["unbound"] != "sales.order.placed" {
		t.Errorf("%v", got)
	}
	call(t, "", "topology", "--unbind", "nobody:sales.order.updated").want(t, 1, "", "there is no queue "+q.Queue("nobody"))
	call(t, "", "topology", "--unbind", "order_placed").want(t, 2, "", "want consumer:topic")
}

func TestPublish_ConfirmsEachEvent(t *testing.T) {
	q, _ := services(t)
	work := q.Queue("order_placed")
	call(t, "", "topology").want(t, 0, "made", "")
	file := filepath.Join(t.TempDir(), "orders.jsonl")
	if err := os.WriteFile(file, []byte("{\"increment_id\":\"1\"}\n\n  {\"increment_id\":\"2\"}\n{\"increment_id\":\"3\"}"), 0o600); err != nil {
		t.Fatal(err)
	}
	const topic = "sales.order.placed"
	call(t, " {\"increment_id\":\"9\"}\n", "publish", topic).want(t, 0, "published 1", "")
	call(t, "{}", "publish", topic, "-").want(t, 0, "published 1", "")
	call(t, "", "publish", topic, file).want(t, 0, "published 1", "")
	if got := decode[map[string]int](t, call(t, "", "publish", topic, file, "--lines", "--json")); got["published"] != 3 {
		t.Errorf("%v", got)
	}
	call(t, "a\nb\n", "publish", topic, "--lines").want(t, 0, "published 2", "")

	ids := map[string]bool{}
	var bodies []string
	for {
		d, ok := q.Get(work)
		if !ok {
			break
		}
		bodies = append(bodies, string(d.Body))
		ids[d.MessageId] = true
		kit.DropCounts(d.Headers)
		if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(d.MessageId) || d.DeliveryMode != amqp.Persistent || d.RoutingKey != topic || len(d.Headers) > 0 {
			t.Errorf("id %q, mode %d, key %q, headers %v: not what Magento publishes", d.MessageId, d.DeliveryMode, d.RoutingKey, d.Headers)
		}
	}
	whole := "{\"increment_id\":\"1\"}\n\n  {\"increment_id\":\"2\"}\n{\"increment_id\":\"3\"}"
	want := []string{
		" {\"increment_id\":\"9\"}\n", "{}", whole,
		`{"increment_id":"1"}`, `{"increment_id":"2"}`, `{"increment_id":"3"}`, "a", "b",
	}
	if strings.Join(bodies, "|") != strings.Join(want, "|") {
		t.Errorf("published %q, want %q", bodies, want)
	}
	if len(ids) != len(want) {
		t.Errorf("%d message ids, want %d", len(ids), len(want))
	}

	call(t, "{}", "publish", "no.such.topic").want(t, 1, "published 0", `"no.such.topic"`)
	call(t, "{}\n{}", "publish", "no.such.topic", "--lines").want(t, 1, "published 0", "line 1: ")
	call(t, "", "publish", topic, filepath.Join(t.TempDir(), "missing")).want(t, 1, "", "missing")
	call(t, strings.Repeat("x", 16<<20+1), "publish", topic).want(t, 1, "published 0", "more than 16777216 bytes")
	t.Setenv("MAGELINE_AMQP_URL", "amqp://guest:s3cr3t@127.0.0.1:1/")
	e := call(t, "{}", "publish", topic)
	e.want(t, 1, "", "127.0.0.1:1")
	if strings.Contains(e.err, "s3cr3t") {
		t.Error("a password")
	}
}

func TestMigrate_AppliesOnce(t *testing.T) {
	services(t)
	call(t, "", "migrate", "status").want(t, 0, "not yet", "")
	call(t, "", "migrate").want(t, 0, "applied 00001_", "")
	call(t, "", "migrate", "up").want(t, 0, "the schema is up to date", "")
	if got := decode[[]any](t, call(t, "", "migrate", "--json")); len(got) != 0 {
		t.Errorf("%v", got)
	}
	all := decode[[]struct {
		Version int
		Applied bool
		At      string
	}](t, call(t, "", "migrate", "status", "--json"))
	if len(all) == 0 || !all[0].Applied || all[0].At == "" {
		t.Errorf("%+v", all)
	}
	t.Setenv("MAGELINE_DATABASE_URL", "postgres://u:s3cr3t@127.0.0.1:1/d")
	for _, args := range [][]string{{"migrate"}, {"migrate", "status"}} {
		e := call(t, "", args...)
		e.want(t, 1, "", "127.0.0.1:1")
		if strings.Contains(e.err, "s3cr3t") {
			t.Error("a password")
		}
	}
}

// The newest rows come first, and each flag leaves some out.
func TestKey_ListsByFilter(t *testing.T) {
	_, database := services(t)
	call(t, "", "key", "list").want(t, 1, "", "mageline migrate")
	call(t, "", "migrate").want(t, 0, "applied", "")
	call(t, "", "key", "list").want(t, 0, "CONSUMER  KEY  EFFECT  STATE", "")
	call(t, "", "key", "list", "--json").want(t, 0, "", "")

	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background()) //nolint:errcheck // of a test
	_, err = conn.Exec(t.Context(), `
INSERT INTO effect (consumer, key, effect, state, owner, claim, lease_until, accepted, result, reason, class, created_at, updated_at)
SELECT consumer, key, 'create', state, 'host/1/x', 1, now(), false, '', '', '', now() - age * interval '1 hour', now()
FROM (VALUES ('order_placed', 'a', 'done', 3), ('order_placed', 'b', 'failed', 1), ('order_canceled', 'c', 'failed', 2),
	('order_placed', 'd', 'in_progress', 30)) AS r(consumer, key, state, age)`)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		flags []string
		want  string
	}{
		{nil, "bcad"},
		{[]string{"--limit", "2"}, "bc"},
		{[]string{"--limit", "0"}, "bcad"},
		{[]string{"--state", "failed"}, "bc"},
		{[]string{"--state", "in_progress"}, "d"},
		{[]string{"--consumer", "order_placed"}, "bad"},
		{[]string{"--since", "150m"}, "bc"},
		{[]string{"--consumer", "order_placed", "--state", "done", "--since", "24h", "--limit", "5"}, "a"},
		{[]string{"--state", "waiting"}, ""},
	} {
		got := ""
		for line := range strings.Lines(call(t, "", append([]string{"key", "list", "--json"}, tt.flags...)...).out) {
			var row struct{ Consumer, Key, Effect, State string }
			if err := json.Unmarshal([]byte(line), &row); err != nil || row.Consumer == "" || row.Effect != "create" || row.State == "" {
				t.Fatalf("%q: %v", line, err)
			}
			got += row.Key
		}
		if got != tt.want {
			t.Errorf("%v gives %q, want %q", tt.flags, got, tt.want)
		}
	}
	call(t, "", "key", "list", "--consumer", "nonsense").want(t, 1, "", "there are order_placed, ")
	lines := strings.Split(call(t, "", "key", "list").out, "\n")
	if len(lines) != 6 || !strings.HasPrefix(lines[1], "order_placed    b    create  failed ") {
		t.Errorf("%q", lines)
	}
}

func TestKey_ShowsAndReleases(t *testing.T) {
	_, database := services(t)
	call(t, "", "key", "show", "order_placed:1").want(t, 1, "", "mageline migrate")
	call(t, "", "migrate").want(t, 0, "applied", "")
	call(t, "", "key", "show", "order_placed:1").want(t, 1, "", "the ledger has nothing of order_placed:1")
	call(t, "", "key", "release", "order_placed:1").want(t, 1, "", "the ledger has nothing of order_placed:1")

	pool, err := pgxpool.New(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	ledger := idempotency.Open(t.Context(), idempotency.Options{Pool: pool, Process: "test", Log: zerolog.Nop()})
	defer ledger.Close()
	for effect, value := range map[string]string{"create": "SO-1", "comment": ""} {
		_, _, err := ledger.Do(t.Context(), idempotency.Effect{Key: idempotency.Key{Consumer: "order_placed", Key: "1:x", Effect: effect}},
			func(context.Context, *idempotency.Claim) (idempotency.Result, error) {
				return idempotency.Result{Value: value}, nil
			})
		if err != nil {
			t.Fatal(err)
		}
	}
	e := call(t, "", "key", "show", "order_placed:1:x")
	e.want(t, 0, "SO-1", "")
	if !strings.Contains(e.out, "comment") {
		t.Error("an effect is missing")
	}
	row := decode[map[string]any](t, call(t, "", "key", "show", "order_placed:1:x", "--effect", "create", "--json"))
	if row["state"] != "done" || row["result"] != "SO-1" || row["key"] != "1:x" || row["claim_number"] != float64(1) {
		t.Errorf("%v", row)
	}
	call(t, "", "key", "show", "order_placed:1:x", "--effect", "ship").want(t, 1, "", "nothing of")

	call(t, "", "key", "release", "order_placed:1:x", "--effect", "create").want(t, 0, "released 1", "")
	row = decode[map[string]any](t, call(t, "", "key", "show", "order_placed:1:x", "--effect", "create", "--json"))
	if row["state"] != "uncertain" || row["claim_number"] != float64(2) {
		t.Errorf("%v, want it uncertain with the next claim number", row)
	}
	if got := decode[map[string]int](t, call(t, "", "key", "release", "order_placed:1:x", "--json")); got["released"] != 2 {
		t.Errorf("%v", got)
	}
}
