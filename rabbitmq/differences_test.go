package rabbitmq

import "testing"

// What the broker says of an argument, in each of its forms.
func TestDifferences_ReadTheBrokersText(t *testing.T) {
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

// What a limit means depends on the broker's version.
func TestDeliveryLimit_DependsOnTheVersion(t *testing.T) {
	for _, tt := range []struct {
		version, argument string
		want              int64
	}{
		{"3.10.8", "", NoLimit},
		{"3.13.7", "5", 5},
		{"3.10.8", "-1", -1},
		{"4.0.5", "", 20},
		{"4.2.1", "-1", NoLimit},
		{"4.1.0", "1000000000", 1_000_000_000},
		{"", "", NoLimit},
	} {
		if got := declaredLimit(tt.version, tt.argument); got != tt.want {
			t.Errorf("%s with %q: %d, want %d", tt.version, tt.argument, got, tt.want)
		}
	}
	for version, want := range map[string]bool{"3.10.8": true, "4.0.5": true, "4.2.9": true, "4.3.0": false, "4.10.1": false, "5.0.0": false, "": true} {
		if got := requeueCounts(version); got != want {
			t.Errorf("%s: %v", version, got)
		}
	}
}
