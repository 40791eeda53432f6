package circuit_test

import (
	"testing"

	"github.com/mageline/mageline/consumer/circuit"
)

type probe struct{ name string }

func (*probe) End() bool { return true }

func TestState_Words(t *testing.T) {
	var zero circuit.State
	for s, want := range map[circuit.State]string{
		zero: "closed", circuit.HalfOpen: "half-open", circuit.Open: "open", circuit.Open + 1: "unknown",
	} {
		if got := s.String(); got != want {
			t.Errorf("state %d is %q, want %q", int(s), got, want)
		}
	}
}

func TestProbes_AreCarriedByTheContext(t *testing.T) {
	magento, erp, other := &probe{"magento"}, &probe{"erp"}, &probe{"other"}
	if n := len(circuit.Probes(t.Context())); n != 0 {
		t.Errorf("a context without probes carries %d", n)
	}
	ctx := circuit.WithProbes(t.Context(), magento, erp)
	if !circuit.Carries(ctx, magento) || !circuit.Carries(ctx, erp) {
		t.Error("the context does not carry its probes")
	}
	if circuit.Carries(ctx, other) {
		t.Error("the context carries a probe that it was not given")
	}
}
