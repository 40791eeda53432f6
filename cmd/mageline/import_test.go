package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/test/kit"
)

func TestImport_DryRun(t *testing.T) {
	environment(t, "AMQP_URL", "amqp://127.0.0.1:1/", "DATABASE_URL", "postgres://127.0.0.1:1/x") // nothing is connected to
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	list := file("prices.csv", "Artikelnummer;Preis;Farbe\nA;1,50;rot\nB;;blau\nA;2,50;rot\n")
	e := call(t, "", "import", "prices", list, "--dry-run")
	e.want(t, 3, "line 3: price is empty\ntype", "")
	e.want(t, 3, "ignored                  Farbe", "")
	e.want(t, 3, "would be sent            1 in 1 messages", "")
	got := decode[imported](t, call(t, "", "import", "prices", file("good.csv", "sku,price\nA,1.5\n"), "--dry-run", "--json", "--as-of", "2026-11-23T11:00:00+01:00"))
	if got.Type != "base" || got.AsOf != "2026-11-23T10:00:00Z" || got.Entries != 1 || got.Messages != 1 || got.BadRows != 0 || got.Columns["sku"] != "sku" {
		t.Errorf("got %+v", got)
	}
	got = decode[imported](t, call(t, "", "import", "stock", file("stock.csv", "sku,qty\nA,1\n"), "--dry-run", "--json"))
	if got.Type != "stock" || got.Entries != 1 {
		t.Errorf("got %+v", got)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 3 {
		t.Errorf("a dry run wrote %v, %v", left, err)
	}

	doubtful := file("doubtful.csv", "sku,price\nA,\"1.234\"\n")
	call(t, "", "import", "prices", doubtful, "--dry-run").want(t, 3, "--decimal", "")
	call(t, "", "import", "prices", doubtful, "--dry-run", "--decimal", "comma").want(t, 0, "1 in 1 messages", "")
	call(t, "", "import", "prices", file("odd.csv", "a,b\n1,2\n"), "--dry-run").want(t, 1, "", "no sku and no price")
	call(t, "", "import", "prices", file("numbers.csv", "A,x,1.5\n"), "--dry-run", "--columns", "sku=1,price=3").want(t, 0, "1 in 1 messages", "")
	call(t, "", "import", "prices", filepath.Join(dir, "gone.csv")).want(t, 1, "", "no such file")
	for flags, want := range map[string]string{
		"--type cost": "want base, special or tier", "--decimal dot": "want comma or point", "--as-of yesterday": "want a time such as",
		"--as-of 2126-01-01T00:00:00Z": "lies ahead", "--source-code x": "unknown flag",
	} {
		call(t, "", append([]string{"import", "prices", list, "--dry-run"}, strings.Fields(flags)...)...).want(t, 2, "", want)
	}
	call(t, "", "import").want(t, 2, "Usage", "want prices FILE or stock FILE")
}

func TestImport_PublishesConfirmed(t *testing.T) {
	q, _ := services(t)
	dir := t.TempDir()
	var b strings.Builder
	b.WriteString("sku;price\n")
	for i := range 1100 {
		price := "9,50"
		if i%100 == 0 {
			price = "free"
		}
		fmt.Fprintf(&b, "S%04d;%s\n", i, price)
	}
	list := filepath.Join(dir, "prices.csv")
	if err := os.WriteFile(list, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	beside := func() (names []string) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	t.Setenv("MAGELINE_CONSUMERS", "order_placed")
	call(t, "", "topology").want(t, 0, "made", "") // the exchange, and nobody who takes prices
	work := q.Queue("of_prices")
	q.Own(work)
	unbound := call(t, "", "import", "prices", list)
	unbound.want(t, 1, "", "no queue is bound to topic")
	unbound.want(t, 1, "", "repeat it with --as-of")
	if names := beside(); len(names) != 1 {
		t.Errorf("a list that could not be sent left %v", names)
	}
	bind(t, q, work, "pricing.sync.requested")
	const asOf = "2026-11-23T10:00:00Z"
	call(t, "", "import", "prices", list, "--as-of", asOf).want(t, 3, "sent          1089 in 3 messages", "")
	var bodies []string
	for {
		d, ok := q.Get(work)
		if !ok {
			break
		}
		bodies = append(bodies, string(d.Body))
	}
	entries := 0
	for _, body := range bodies {
		m, err := event.ParsePrices([]byte(body))
		if err != nil || m.Type != event.BasePrices || m.AsOf.Format("15:04") != "10:00" {
			t.Fatal(err, m.Type, m.AsOf)
		}
		entries += len(m.Prices)
	}
	if len(bodies) != 3 || entries != 1089 {
		t.Errorf("%d messages of %d prices", len(bodies), entries)
	}
	rejected, err := os.ReadFile(filepath.Join(dir, "prices.rejected.csv"))
	if err != nil || strings.Count(string(rejected), "\n") != 12 || !strings.HasPrefix(string(rejected), "sku;price;line;reason\n") {
		t.Errorf("rejected %q, %v", rejected, err)
	}
	// Repeated, it sends the same, and the bad rows of before stay.
	call(t, "", "import", "prices", list, "--as-of", asOf).want(t, 3, "1089 in 3 messages", "")
	again := map[string]bool{}
	for {
		d, ok := q.Get(work)
		if !ok {
			break
		}
		again[string(d.Body)] = true
	}
	for _, body := range bodies {
		if !again[body] {
			t.Error("a repeated import sends something else")
		}
	}
	if names := beside(); len(names) != 3 {
		t.Errorf("beside the list there are %v", names)
	}
}

// bind declares a queue and binds it to a topic.
func bind(t *testing.T, q *kit.Queues, queue, topic string) {
	t.Helper()
	conn, err := amqp.Dial(q.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	channel, err := conn.Channel()
	if err == nil {
		_, err = channel.QueueDeclare(queue, true, false, false, false, nil)
	}
	if err == nil {
		err = channel.QueueBind(queue, topic, q.Exchange, false, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
}
