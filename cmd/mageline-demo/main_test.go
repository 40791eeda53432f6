package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

// standInName begins the name under which this test binary is a stand-in for mageline; its mode follows.
const standInName = "stand-in-"

func TestMain(m *testing.M) {
	if mode, ok := strings.CutPrefix(filepath.Base(os.Args[0]), standInName); ok {
		os.Exit(runStandIn(mode, os.Args[1:]))
	}
	kit.Parallel(4)
	goleak.VerifyTestMain(m)
}

func sign(stamp int64, body []byte, secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%d.%s", stamp, body)
	return fmt.Sprintf("t=%d,v1=%s", stamp, hex.EncodeToString(mac.Sum(nil)))
}

// story plays the whole demo with a stand-in, and gives what it told.
func story(ctx context.Context, t *testing.T, mode string, once bool, patience time.Duration, out io.Writer) (string, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), standInName+mode)
	if err := os.Symlink(self, binary); err != nil {
		t.Fatal(err)
	}
	q := kit.Broker(t)
	var told bytes.Buffer
	err = run(ctx, runOptions{
		once: once, binary: binary, amqpURL: q.URL, databaseURL: kit.DatabaseURL(), patience: patience, seed: 1,
		magento: string(fakemagento.V245), erp: "webhook",
	}, io.MultiWriter(&told, out))
	return told.String(), err
}

func TestStoryEndsWellOrTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	tests := []struct {
		mode     string
		patience time.Duration
		wrong    string // empty: all is well
	}{
		{"right", time.Minute, ""},
		{"doubles", time.Minute, "order 000000003 is in the ERP 2 times, and should be there once"},
		{"loses", 20 * time.Second, "(1 of 20 orders are not)"}, // all of it is waited for
		{"hides", time.Minute, "order 000000003 has lost its status in Magento"},
		{"keeps", 20 * time.Second, "(it is 5.08)"}, // the old price, in the search engine
		{"forgets", 30 * time.Second, "(order and number) is in Magento not at all"},
	}
	for _, test := range tests {
		t.Run(test.mode, func(t *testing.T) {
			t.Parallel()
			told, err := story(t.Context(), t, test.mode, true, test.patience, io.Discard)
			if (err == nil) != (test.wrong == "") {
				t.Errorf("the demo ended with %v", err)
			}
			if test.wrong != "" && !strings.Contains(fmt.Sprint(told, err), test.wrong) {
				t.Errorf("it does not say %q", test.wrong)
			}
			if strings.Contains(told, "\x1b") {
				t.Error("there are colours, and no terminal")
			}
			prefix := prefixIn(told)
			if test.wrong == "" {
				for _, part := range []string{"/readyz", "/metrics", prefix + ".order_placed.dlq", "replayed 1, skipped 0, failed 0", "skipped, with nothing sent", "comment", "picture.csv.error.txt", "price 6.08", "40 prices are new", "from 12.5 to 1250"} {
					if !strings.Contains(told, part) {
						t.Errorf("it does not tell of %q", part)
					}
				}
			}
			// The log is kept where something went wrong, and only there.
			log := regexp.MustCompile(`log (\S+)`).FindStringSubmatch(told)[1]
			if err := os.Remove(log); (err == nil) != (test.wrong != "") {
				t.Errorf("remove the log: %v", err)
			}
			leavesNothing(t, prefix)
			if t.Failed() {
				t.Log(told)
			}
		})
	}
}

func prefixIn(told string) string {
	return strings.TrimSuffix(regexp.MustCompile(`demo-[0-9a-f]{8}\.`).FindString(told), ".")
}

// leavesNothing looks for queues and databases of a demo that has ended.
func leavesNothing(t *testing.T, prefix string) {
	t.Helper()
	q := kit.Broker(t)
	if prefix == "" {
		t.Error("the demo names no queue")
	}
	queues, _ := kit.Names(prefix, retryDelays...)
	for _, name := range queues {
		if q.Depth(name) >= 0 {
			t.Errorf("the queue %s was left", name)
		}
	}
	conn, err := pgx.Connect(t.Context(), kit.DatabaseURL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	var left int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_database WHERE datname = $1", strings.ReplaceAll(prefix, "-", "_")).Scan(&left); err != nil || left > 0 {
		t.Errorf("%d databases were left (%v)", left, err)
	}
}

// notice calls a function when a text has been written to it.
type notice struct {
	text string
	call func()

	mu   sync.Mutex
	seen bytes.Buffer
}

func (n *notice) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen.Write(p)
	if n.call != nil && strings.Contains(n.seen.String(), n.text) {
		n.call()
		n.call = nil
	}
	return len(p), nil
}

// Without --once Ctrl-C ends the demo, and its verdict is the same; with it Ctrl-C is a failure.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	for _, once := range []bool{false, true} {
		t.Run(fmt.Sprintf("once=%t", once), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			told, err := story(ctx, t, "right", once, time.Minute, &notice{text: "An order that is paid later", call: cancel})
			if (err != nil) != once {
				t.Errorf("the demo ended with %v\n%s", err, told)
			}
			leavesNothing(t, prefixIn(told))
			if log := regexp.MustCompile(`log (\S+)`).FindStringSubmatch(told)[1]; once {
				_ = os.Remove(log)
			}
		})
	}
}

func TestWrongUsage(t *testing.T) {
	tests := map[string][]string{
		"no command":      {},
		"unknown command": {"dance"},
		"unknown flag":    {"run", "--twice"},
		"no binary":       {"run", "--mageline", filepath.Join(t.TempDir(), "mageline")},
		"no such Magento": {"simulators", "--magento-version", "1.9"},
		"no such ERP":     {"run", "--mageline", os.Args[0], "--erp", "r3"},
		"no pause":        {"simulators", "--every", "0s"},
	}
	for name, args := range tests {
		t.Run(name, func(t *testing.T) {
			c := command()
			c.SetArgs(args)
			c.SetOut(io.Discard)
			if err := c.ExecuteContext(t.Context()); err == nil || name != "unknown command" && !errors.Is(err, errUsage) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestSimulators(t *testing.T) {
	t.Parallel()
	q := kit.Broker(t)
	queue := q.Queue("order_placed")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &notice{}
	var wait sync.WaitGroup
	var failed error
	o := simulatorOptions{
		magentoAddr: "127.0.0.1:0", erpAddr: "127.0.0.1:0", magentoToken: "m", erpToken: "e", erpSecret: "s",
		amqpURL: q.URL, exchange: q.Exchange, queue: queue, every: 20 * time.Millisecond, magento: string(fakemagento.V248),
	}
	wait.Go(func() { failed = runSimulators(ctx, o, out) })
	said := func() string {
		out.mu.Lock()
		defer out.mu.Unlock()
		return out.seen.String()
	}
	kit.Eventually(t, 20*time.Second, func() bool { return strings.Contains(said(), "is not there yet") }, "the shop waits for the queue")
	w, err := dial(q.URL, q.Exchange)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	if _, err := w.channel.QueueDeclare(queue, true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if err := w.channel.QueueBind(queue, placed, q.Exchange, false, nil); err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, 20*time.Second, func() bool { return q.Depth(queue) > 3 }, "orders in the queue")
	addresses := regexp.MustCompile(`http://\S+:\d+`).FindAllString(said(), 2)
	for i, path := range []string{"/rest/V1/orders/1", "/sales-orders?external_reference=1"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, addresses[i]+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+[]string{"m", "e"}[i])
		request.Header.Set("X-Mageline-Signature", sign(time.Now().Unix(), nil, "s"))
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", path, response.StatusCode)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	cancel()
	wait.Wait()
	if failed != nil {
		t.Error(failed)
	}
	if text := said(); !strings.Contains(text, "stopped: the ERP has 0 sales orders") {
		t.Error(text)
	}
}

func TestVerdict(t *testing.T) {
	orders := []expected{{"1", 1}, {"2", 1}, {"3", 0}}
	tests := map[string]struct {
		documents, comments map[string]int
		want                []string
	}{
		"well":              {map[string]int{"1": 1, "2": 1}, map[string]int{"1": 1, "2": 1, "3": 0}, nil},
		"lost":              {map[string]int{"1": 1}, map[string]int{"1": 1, "2": 1}, []string{"order 2 is in the ERP not at all, and should be there once"}},
		"doubled":           {map[string]int{"1": 2, "2": 1}, map[string]int{"1": 1, "2": 1}, []string{"order 1 is in the ERP 2 times, and should be there once"}},
		"sent though not":   {map[string]int{"1": 1, "2": 1, "3": 1}, map[string]int{"1": 1, "2": 1}, []string{"order 3 is in the ERP once, and should be there not at all"}},
		"comment missing":   {map[string]int{"1": 1, "2": 1}, map[string]int{"1": 1}, []string{"order 2 has 0 comments in Magento, and should have 1"}},
		"comment doubled":   {map[string]int{"1": 1, "2": 1}, map[string]int{"1": 1, "2": 2}, []string{"order 2 has 2 comments in Magento, and should have 1"}},
		"one out of no one": {map[string]int{"1": 1, "2": 1, "9": 1}, map[string]int{"1": 1, "2": 1}, []string{"the ERP has an order 9 that nobody placed"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := verdict(orders, test.documents, test.comments)
			if fmt.Sprint(got) != fmt.Sprint(test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestSumOfMetric(t *testing.T) {
	const text = "# HELP a_b help\n# TYPE a_b gauge\na_b{x=\"1\",y=\"2\"} 3\na_b{x=\"2\"} 4.5\na_bc{x=\"1\"} 100\na_plain 7\n"
	tests := []struct {
		name   string
		labels []string
		want   float64
	}{{"a_b", nil, 7.5}, {"a_b", []string{`x="1"`}, 3}, {"a_b", []string{`x="1"`, `y="3"`}, 0}, {"a_plain", nil, 7}, {"none", nil, 0}}
	for _, test := range tests {
		if got, err := sumOf(strings.NewReader(text), test.name, test.labels...); err != nil || got != test.want {
			t.Errorf("%s%v: %v %v, want %v", test.name, test.labels, got, err, test.want)
		}
	}
	if _, err := sumOf(strings.NewReader("a b"), "a"); err == nil {
		t.Error("a value that is no number was taken")
	}
}
