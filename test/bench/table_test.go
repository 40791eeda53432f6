package bench

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// row is a line of the table.
type row struct{ name, ours, limit, ratio, wanted, settings string }

type table struct{ rows []row }

// add prints a row as soon as it is known: the whole takes minutes.
func (t *table) add(r row) {
	t.rows = append(t.rows, r)
	fmt.Fprintf(os.Stderr, "%s: %s, limit %s, ratio %s\n", r.name, r.ours, r.limit, r.ratio)
}

// rates adds a row of messages a second. The ratio is the median of the rounds' ratios, not the ratio of the medians: what
// else the machine did in a round has slowed both.
func (t *table) rates(name string, ours, limit []float64, wanted, settings string) {
	ratios := make([]float64, len(ours))
	for i := range ours {
		ratios[i] = ours[i] / limit[i]
	}
	t.add(row{name, rate(ours), rate(limit), fmt.Sprintf("%.2f", median(ratios)), wanted, settings})
}

func rate(rates []float64) string { return fmt.Sprintf("%.0f/s", median(rates)) }

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

func percentile(d []time.Duration, p int) time.Duration {
	slices.Sort(d)
	return d[min(len(d)-1, len(d)*p/100)]
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1000) }

func (t *table) print() {
	var b strings.Builder
	b.WriteString("\n| what | ours | limit | ratio | wanted | settings |\n|---|---|---|---|---|---|\n")
	for _, r := range t.rows {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", r.name, r.ours, r.limit, r.ratio, r.wanted, r.settings)
	}
	fmt.Fprintf(&b, "\n%s, %d cores, %s. Bodies of %d bytes, quorum queues, medians of %d.\n",
		time.Now().Format(time.DateOnly), runtime.NumCPU(), cpu(), bodySize, size.rounds)
	fmt.Print(b.String())
}

// cpu names the processor and how loaded the machine has been.
func cpu() string {
	name := "unknown processor"
	if f, err := os.Open("/proc/cpuinfo"); err == nil {
		defer func() { _ = f.Close() }()
		for s := bufio.NewScanner(f); s.Scan(); {
			if k, v, ok := strings.Cut(s.Text(), ":"); ok && strings.TrimSpace(k) == "model name" {
				name = strings.TrimSpace(v)
				break
			}
		}
	}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		name += ", load " + strings.Join(strings.Fields(string(load))[:3], " ")
	}
	return name
}

// TestTable measures everything, or one part (-run Table/consuming), and prints the table. It asserts no rates: how fast a
// machine is, is not ours to say.
func TestTable(t *testing.T) {
	out := &table{}
	for _, part := range []struct {
		name    string
		measure func(*testing.T, *table)
	}{
		{"consuming", consuming},
		{"processes", processes},
		{"endToEnd", endToEnd},
		{"besideERPs", besideERPs},
		{"cost", cost},
		{"messages", messages},
		{"tracks", tracks},
		{"rows", rows},
		{"prices", bulkPrices},
		{"stock", bulkStock},
		{"idle", idle},
		{"memory", drains},
	} {
		t.Run(part.name, func(t *testing.T) { part.measure(t, out) })
	}
	out.print()
}
