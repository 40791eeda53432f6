package check

import (
	"strings"
	"testing"

	"github.com/mageline/mageline/rabbitmq"
)

// What no server of a test is: too old.
func TestServers_FailWhenTooOld(t *testing.T) {
	for version, want := range map[string]Status{"3.9.29": Fail, "2.8.0": Fail, "3.10.0": OK, "3.13.7": OK, "4.3.1": OK, "": OK, "x.y": OK} {
		if got := (RabbitMQ{Topology: rabbitmq.Topology{Type: rabbitmq.Quorum}}).version(version); got.Status != want {
			t.Errorf("RabbitMQ %q: %s", version, got)
		}
	}
	if got := (RabbitMQ{Topology: rabbitmq.Topology{Type: rabbitmq.Classic}}).version("3.8.1"); got.Status != OK {
		t.Errorf("classic queues have had a TTL for long: %s", got)
	}
	for number, want := range map[int]Status{120_022: Fail, 130_000: OK, 180_001: OK} {
		if got := (server{number: number, encoding: "UTF8"}).lines("Postgres")[0]; got.Status != want {
			t.Errorf("Postgres %d: %s", number, got)
		}
	}
	if got := (server{number: 150_000, standby: true}).lines("Postgres"); Failed(got) == 0 {
		t.Errorf("a standby: %v", got)
	}
}

func TestFinding_PrintsAsOneLine(t *testing.T) {
	got := Finding{Fail, "a", "b\nc\t d", "e"}.String()
	if got != "FAIL a: b c d; to do: e" || strings.Contains(got, "\n") {
		t.Errorf("%q", got)
	}
}
