package bench

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// processor is the processor time that a process has spent so far; 0 if it is not there.
func processor(pid string) time.Duration {
	stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:])) // the name before it may have spaces
	var ticks int64
	for _, field := range fields[11:13] { // user and system
		n, _ := strconv.ParseInt(field, 10, 64)
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100
}

// spent is the processor time of this process, of all of RabbitMQ's and of all of Postgres' on this machine.
func spent() (sums [3]time.Duration) {
	sums[0] = processor("self")
	names, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, name := range names {
		comm, _ := os.ReadFile(name)
		pid := filepath.Base(filepath.Dir(name))
		switch strings.TrimSpace(string(comm)) {
		case "beam.smp":
			sums[1] += processor(pid)
		case "postgres":
			sums[2] += processor(pid)
		}
	}
	return sums
}

// messages measures the processor time of one message with a claim and a finish in the ledger, with the default settings. RabbitMQ
// and Postgres count where they run on this machine.
func messages(t *testing.T, out *table) {
	pre, con := prefetch, concurrency
	defer func() { prefetch, concurrency = pre, con }()
	prefetch, concurrency = 64, 16
	l := newLine(t)
	var parts [4][]float64
	for range size.rounds {
		var before [3]time.Duration
		began := func() { before = spent() }
		ended := func() {
			sum := 0.0
			for i, now := range spent() {
				part := (now - before[i]).Seconds() / float64(size.messages)
				parts[i] = append(parts[i], part)
				sum += part
			}
			parts[3] = append(parts[3], sum)
		}
		l.timed(once(l.ledger), began, ended)
	}
	for i, name := range []string{"mageline", "RabbitMQ", "Postgres", "all three"} {
		out.add(row{
			name: "processor time of one message with the ledger, " + name, ours: us(median(parts[i])),
			wanted: map[bool]string{true: "below 210 µs", false: ""}[i == 3], settings: settings(),
		})
	}
}
