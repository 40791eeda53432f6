package app

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/mageline/mageline/internal/config"
)

// descriptions gives the labels of each metric that a service with all consumers has, by its name.
func descriptions(t *testing.T) map[string][]string {
	t.Helper()
	environment(t, "MAGENTO_URL", "http://127.0.0.1:1", "MAGENTO_TOKEN", "t", "ERP_URL", "http://127.0.0.1:1", "ERP_TOKEN", "t",
		"TRACKING_DIR", t.TempDir(), "PRICE_DIR", t.TempDir(), "STOCK_DIR", t.TempDir(), "DATABASE_URL", "postgres://127.0.0.1:1/d", "AMQP_URL", "amqp://127.0.0.1:1/",
		"SEARCH", "opensearch", "SEARCH_URL", "http://127.0.0.1:1")
	cfg, err := Load(config.EnabledConsumers)
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	s, err := New(t.Context(), cfg, "dev", zerolog.Nop(), registry)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	described := make(chan *prometheus.Desc)
	go func() {
		defer close(described)
		registry.Describe(described)
	}()
	form := regexp.MustCompile(`fqName: "(mageline_\w+)".*constLabels: \{([^}]*)\}, variableLabels: \{([^}]*)\}`)
	all := map[string][]string{}
	for d := range described {
		m := form.FindStringSubmatch(d.String())
		if m == nil {
			continue
		}
		labels := []string{}
		for label := range strings.SplitSeq(m[2]+","+m[3], ",") {
			if name, _, _ := strings.Cut(label, "="); name != "" {
				labels = append(labels, name)
			}
		}
		all[m[1]] = labels
	}
	return all
}

// Each metric is on the page of the metrics with its labels, and each expression of an alert uses metrics and labels that there
// are.
func TestMetrics_AreDocumented(t *testing.T) {
	exported := descriptions(t)
	for _, name := range []string{"mageline_build_info", "mageline_log_dropped_total"} { // of the process
		if exported[name] == nil {
			exported[name] = []string{}
		}
	}
	exported["mageline_build_info"] = []string{"version", "commit", "goversion"}
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	operations, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	word := regexp.MustCompile("`([^`]+)`")
	documented := map[string]bool{}
	for row := range strings.Lines(string(page)) {
		cells := strings.Split(row, "|")
		if len(cells) != 6 || !strings.Contains(cells[1], "`mageline_") {
			continue
		}
		name := word.FindStringSubmatch(cells[1])[1]
		documented[name] = true
		labels := []string{}
		for _, m := range word.FindAllStringSubmatch(cells[2], -1) {
			labels = append(labels, m[1])
		}
		slices.Sort(labels)
		want := slices.Sorted(slices.Values(exported[name]))
		if exported[name] == nil || !slices.Equal(labels, want) {
			t.Errorf("docs/metrics.md has %s with the labels %v; it has %v", name, labels, want)
		}
		if alert := strings.TrimSpace(cells[4]); alert != "" {
			for one := range strings.SplitSeq(alert, ", ") {
				if !strings.Contains(string(operations), "\n| "+one+" | `") {
					t.Errorf("docs/operations.md has no alert %q, which docs/metrics.md names for %s", one, name)
				}
			}
		}
	}
	for name := range exported {
		if !documented[name] {
			t.Errorf("%s %v is not in docs/metrics.md", name, exported[name])
		}
	}

	used := regexp.MustCompile(`(mageline_\w+?)(?:_bucket|_count|_sum)?(?:\{([^}]*)\}|\b)`)
	label := regexp.MustCompile(`(\w+)(?:=~|!~|!=|=)"`)
	for row := range strings.Lines(string(operations)) {
		if !strings.HasPrefix(row, "| ") {
			continue
		}
		for _, m := range used.FindAllStringSubmatch(row, -1) {
			labels, ok := exported[m[1]]
			if !ok {
				t.Errorf("docs/operations.md uses %s, which there is not: %s", m[1], row)
			}
			for _, l := range label.FindAllStringSubmatch(m[2], -1) {
				if !slices.Contains(labels, l[1]) {
					t.Errorf("docs/operations.md uses the label %s of %s, which has %v", l[1], m[1], labels)
				}
			}
		}
	}
}

// The metrics that dashboards are built on keep their names and labels.
func TestMetrics_KeepTheirNames(t *testing.T) {
	exported := descriptions(t)
	for name, labels := range map[string]string{
		"deliveries_total": "consumer outcome", "handler_duration_seconds": "consumer", "in_flight": "consumer", "paused": "consumer",
		"circuit_breaker_state": "downstream", "downstream_requests_total": "code downstream", "downstream_request_duration_seconds": "downstream",
		"dead_letters": "queue", "queue_depth": "queue", "event_age_seconds": "consumer source", "keys": "state",
		"publishes_returned_total": "", "stale_settles_total": "", "orders_waiting": "state",
		"tracking_files_total": "outcome", "tracking_oldest_file_seconds": "",
	} {
		got, ok := exported["mageline_"+name]
		slices.Sort(got)
		if !ok || strings.Join(got, " ") != labels {
			t.Errorf("mageline_%s has the labels %v (there: %v), want %s", name, got, ok, fmt.Sprintf("%q", labels))
		}
	}
}
