package check

import (
	"strings"
	"testing"

	"github.com/mageline/mageline/rabbitmq"
)

// What no server of a test is: too old.
func TestTooOld(t *testing.T) {
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

func TestLineIsOne(t *testing.T) {
	got := Line{Fail, "a", "b\nc\t d", "e"}.String()
	if got != "FAIL a: b c d; to do: e" || strings.Contains(got, "\n") {
		t.Errorf("%q", got)
	}
}

// What the broker says of an argument, in each of its forms.
func TestInequivalent(t *testing.T) {
	tests := []struct{ text, argument, current, kind string }{
		{"inequivalent arg 'x-max-length' for queue 'q' in vhost '/': received none but current is the value '5' of type 'signedint'", "x-max-length", "5", "signedint"},
		{"inequivalent arg 'x-dead-letter-exchange' for queue 'q' in vhost '/': received the value '' of type 'longstr' but current is none", "x-dead-letter-exchange", "", ""},
		{"inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received '60001' but current is '60000'", "x-message-ttl", "60000", ""},
		{"inequivalent arg 'durable' for queue 'it's' in vhost '/': received 'true' but current is 'false'", "durable", "false", ""},
	}
	for _, tt := range tests {
		parts := inequivalent.FindStringSubmatch(tt.text)
		if parts == nil || parts[1] != tt.argument || parts[2]+parts[4] != tt.current || parts[3] != tt.kind {
			t.Errorf("%s: %q", tt.text, parts)
		}
	}
	for _, tt := range []struct {
		value, kind string
		ours, want  any
	}{
		{"5", "signedint", nil, int64(5)},
		{"5", "longstr", nil, "5"},
		{"60000", "", int64(60001), int64(60000)},
		{"60000", "", "text", "60000"},
		{"true", "bool", nil, true},
	} {
		if got := like(tt.value, tt.kind, tt.ours); got != tt.want {
			t.Errorf("%s of %q: %v", tt.value, tt.kind, got)
		}
	}
}

func FuzzInequivalent(f *testing.F) {
	f.Add("inequivalent arg 'x-max-length' for queue 'q' in vhost '/': received none but current is the value '5' of type 'signedint'", "signedint")
	f.Add("inequivalent arg 'durable' for queue 'q': received 'true' but current is 'false'", "bool")
	f.Fuzz(func(t *testing.T, text, kind string) {
		parts := inequivalent.FindStringSubmatch(text)
		if parts == nil {
			return
		}
		if parts[1] == "" {
			t.Errorf("no argument in %q", text)
		}
		if got := like(parts[2]+parts[4], kind, nil); got == nil {
			t.Errorf("no value of %q", text)
		}
	})
}
