package replica

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/mageline/mageline/test/kit"
)

// Readiness is the document of /readyz.
type Readiness struct {
	Ready              bool
	Problems           []string
	RabbitMQ, Postgres Part
	Downstreams        map[string]Part
	Consumers          map[string]Part
}

// Part is one thing in it; Messages are a consumer's, the other numbers a downstream's.
type Part struct {
	State, Reason             string
	Messages                  int
	Calls, Failures, Timeouts int
}

// URL waits until it serves health and metrics, and gives the address of a page.
func (r *Replica) URL(path string) string {
	r.t.Helper()
	if r.address == "" {
		kit.Eventually(r.t, Patience, func() bool {
			for _, line := range r.Logged() {
				if line["event"] == "http_listening" {
					r.address, _ = line["address"].(string)
				}
			}
			return r.address != "" || !r.Running()
		}, "the replica to serve health and metrics")
		if r.address == "" {
			r.t.Fatalf("a replica ended at its start, exit %d; see %s", r.command.ProcessState.ExitCode(), r.Log)
		}
	}
	return "http://" + r.address + path
}

// Get asks it for a page; status 0 is no answer.
func (r *Replica) Get(path string) (status int, page string) {
	r.t.Helper()
	address := r.URL(path)
	ctx, cancel := context.WithTimeout(r.t.Context(), 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, ""
	}
	defer func() { _ = answer.Body.Close() }()
	content, err := io.ReadAll(io.LimitReader(answer.Body, 4<<20))
	if err != nil {
		return 0, ""
	}
	if r.show != nil {
		r.show(r.t, path, string(content))
	}
	return answer.StatusCode, string(content)
}

// Ready asks for /readyz; status 0 is no answer.
func (r *Replica) Ready() (status int, document Readiness) {
	r.t.Helper()
	status, page := r.Get("/readyz")
	if status != 0 {
		if err := json.Unmarshal([]byte(page), &document); err != nil {
			r.t.Fatalf("/readyz answers %d %s", status, page)
		}
	}
	return status, document
}

// AwaitReady waits until it is ready with every consumer subscribed.
func (r *Replica) AwaitReady() *Replica {
	r.t.Helper()
	r.AwaitSaying("every consumer is subscribed", func(status int, document Readiness) bool {
		for _, c := range document.Consumers {
			if c.State != "subscribed" {
				return false
			}
		}
		return status == http.StatusOK
	})
	return r
}

// AwaitSaying waits until /readyz shows what the condition asks for.
func (r *Replica) AwaitSaying(what string, condition func(status int, document Readiness) bool) {
	r.t.Helper()
	var status int
	var document Readiness
	said := false
	r.t.Cleanup(func() {
		if !said {
			r.t.Logf("/readyz said last: %d %+v", status, document)
		}
	})
	kit.Eventually(r.t, Patience, func() bool {
		status, document = r.Ready()
		said = condition(status, document)
		return said
	}, "/readyz to say that "+what+"; the replica's log: "+r.Log)
}

// Metric adds up the samples of a metric whose labels contain all of these (`outcome="retried"`).
func (r *Replica) Metric(name string, labels ...string) float64 {
	r.t.Helper()
	status, page := r.Get("/metrics")
	if status != http.StatusOK {
		return 0
	}
	sum := 0.0
lines:
	for line := range strings.Lines(page) {
		sample, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || (sample != name && !strings.HasPrefix(sample, name+"{")) {
			continue
		}
		for _, label := range labels {
			if !strings.Contains(sample, label) {
				continue lines
			}
		}
		number, err := strconv.ParseFloat(value, 64)
		if err != nil {
			r.t.Fatalf("/metrics has %s", line)
		}
		sum += number
	}
	return sum
}
