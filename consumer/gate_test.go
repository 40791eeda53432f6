package consumer

import (
	"strings"
	"testing"
	"time"

	"github.com/mageline/mageline/consumer/circuit"
)

// stand is a circuit in one state, for the gate.
type stand struct {
	circuit.Breaker
	name    string
	state   circuit.State
	changed []func()
}

func (s *stand) Name() string           { return s.name }
func (s *stand) Status() circuit.Status { return circuit.Status{State: s.state, Reason: "5 failures"} }
func (s *stand) OnChange(f func())      { s.changed = append(s.changed, f) }

func TestGate_Standing(t *testing.T) {
	past, future := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	type causes map[string]cause
	tests := []struct {
		name         string
		magento, erp circuit.State
		causes       causes
		paused       bool
		probe        bool
		halfOpen     int
		reason       string
	}{
		{"nothing", circuit.Closed, circuit.Closed, nil, false, false, 0, ""},
		{"a circuit that it needs is open", circuit.Closed, circuit.Open, nil, true, false, 0, "circuit of erp is open: 5 failures"},
		{"half-open", circuit.Closed, circuit.HalfOpen, nil, true, true, 1, "erp is half-open"},
		{"both half-open", circuit.HalfOpen, circuit.HalfOpen, nil, true, true, 2, "magento"},
		{"one half-open, the other open", circuit.Open, circuit.HalfOpen, nil, true, false, 1, "magento is open"},
		{"for all", circuit.Closed, circuit.Closed, causes{"postgres": {text: "no Postgres"}}, true, false, 0, "no Postgres"},
		{"for it", circuit.Closed, circuit.Closed, causes{"a": {consumer: "orders", text: "401"}}, true, false, 0, "401"},
		{"for another", circuit.Closed, circuit.Closed, causes{"a": {consumer: "prices", text: "401"}}, false, false, 0, ""},
		{"time to try", circuit.Closed, circuit.Closed, causes{"a": {consumer: "orders", text: "401", probeAt: past}}, true, true, 0, "401"},
		{"not yet time to try", circuit.Closed, circuit.Closed, causes{"a": {consumer: "orders", text: "401", probeAt: future}}, true, false, 0, "401"},
		{"time to try and half-open", circuit.Closed, circuit.HalfOpen, causes{"a": {text: "401", probeAt: past}}, true, true, 1, "401; the circuit"},
		{"half-open without Postgres", circuit.Closed, circuit.HalfOpen, causes{"postgres": {text: "no Postgres"}}, true, false, 1, "no Postgres"},
		{"for those who need it", circuit.Closed, circuit.Closed, causes{"a": {downstream: "erp", text: "maintenance"}}, true, false, 0, "maintenance"},
		{"for those who need another", circuit.Closed, circuit.Closed, causes{"a": {downstream: "search", text: "maintenance"}}, false, false, 0, ""},
		{"half-open in maintenance", circuit.Closed, circuit.HalfOpen, causes{"a": {downstream: "erp", text: "maintenance"}}, true, false, 1, "maintenance"},
		{"time to try while it stops", circuit.Closed, circuit.Closed, causes{"a": {text: "401", probeAt: past}, "draining": {text: "stopping"}}, true, false, 0, "stopping"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			search := &stand{name: "search", state: circuit.Open} // not needed
			g := newGate([]circuit.Breaker{&stand{name: "magento", state: tt.magento}, &stand{name: "erp", state: tt.erp}, search})
			for name, h := range tt.causes {
				g.pause(name, h)
			}
			c := &Consumer{Name: "orders", Needs: []string{"magento", "erp"}}
			got := g.standing(c)
			if got.paused != tt.paused || got.probe != tt.probe || len(got.halfOpen) != tt.halfOpen {
				t.Errorf("paused %t, probe %t, half-open %d; want %t, %t, %d", got.paused, got.probe, len(got.halfOpen), tt.paused, tt.probe, tt.halfOpen)
			}
			if !strings.Contains(got.reason, tt.reason) || (got.reason == "") == got.paused {
				t.Errorf("reason %q, want %q in it", got.reason, tt.reason)
			}
			if closed := tt.magento == circuit.Closed && tt.erp == circuit.Closed; g.allClosed(c) != closed {
				t.Errorf("all closed: %t", !closed)
			}
		})
	}
}

func TestGate_WakesWhoWatches(t *testing.T) {
	erp := &stand{name: "erp", state: circuit.Closed}
	g := newGate([]circuit.Breaker{erp})
	changed, end := g.watch()
	woken := func(what string, want bool) {
		t.Helper()
		select {
		case <-changed:
			if !want {
				t.Errorf("woken by %s", what)
			}
		default:
			if want {
				t.Errorf("not woken by %s", what)
			}
		}
	}
	if !g.pause("a", cause{text: "1"}) {
		t.Error("a new hold is not new")
	}
	woken("a hold", true)
	if g.pause("a", cause{text: "2"}) {
		t.Error("a hold is new twice")
	}
	woken("a hold that was there", false)
	if text, ok := g.has("a"); !ok || text != "2" {
		t.Errorf("held %q, %t", text, ok)
	}
	if since, had := g.resume("a"); !had || time.Since(since) > time.Minute {
		t.Errorf("released: %t, there since %s", had, since)
	}
	woken("a release", true)
	if _, had := g.resume("a"); had {
		t.Error("released twice")
	}
	woken("a release of nothing", false)
	for range 3 { // more changes than anybody reads never block
		erp.changed[0]()
	}
	woken("a circuit", true)
	woken("the same circuit again", false)
	end()
	erp.changed[0]()
	woken("a circuit after the end", false)
}

// An operator's pauses are replaced as a whole; each covers the consumer or the downstream of its name.
func TestGate_ReplacesAnOperatorsPauses(t *testing.T) {
	orders := &Consumer{Name: "orders", Needs: []string{"magento", "erp"}}
	prices := &Consumer{Name: "prices", Needs: []string{"magento"}}
	g := newGate([]circuit.Breaker{&stand{name: "magento", state: circuit.Closed}, &stand{name: "erp", state: circuit.HalfOpen}})
	g.pause("unauthorized:prices", cause{consumer: "prices", text: "401", probeAt: time.Now().Add(-time.Hour)})
	changed, end := g.watch()
	defer end()
	for _, tt := range []struct {
		pauses         map[string]string
		woken          bool
		orders, prices string // the operator's reasons
		probes         [2]bool
	}{
		{nil, false, "", "", [2]bool{true, true}},
		{map[string]string{"erp": "erp is paused"}, true, "erp is paused", "", [2]bool{false, true}},
		{map[string]string{"erp": "erp is paused until noon"}, false, "erp is paused until noon", "", [2]bool{false, true}},
		{map[string]string{"magento": "magento is paused"}, true, "magento is paused", "magento is paused", [2]bool{}},
		{map[string]string{"magento": "magento is paused", "prices": "prices is paused"}, true, "magento is paused", "prices is paused", [2]bool{}},
		{map[string]string{"prices": "prices is paused", "nobody": "x"}, true, "", "prices is paused", [2]bool{true, false}},
		{map[string]string{}, true, "", "", [2]bool{true, true}},
	} {
		g.setPauses(tt.pauses)
		select {
		case <-changed:
			if !tt.woken {
				t.Errorf("%v: woken", tt.pauses)
			}
		default:
			if tt.woken {
				t.Errorf("%v: not woken", tt.pauses)
			}
		}
		g.probeUnauthorized("") // lets nobody through a pause
		<-changed
		for i, c := range []*Consumer{orders, prices} {
			want := []string{tt.orders, tt.prices}[i]
			if got, paused := g.operator(c); got != want || paused != (want != "") {
				t.Errorf("%v: an operator has paused %s: %q, %t; want %q", tt.pauses, c.Name, got, paused, want)
			}
			st := g.standing(c)
			if !strings.Contains(st.reason, want) || want == "" && strings.Contains(st.reason, "is paused") || !st.paused || st.probe != tt.probes[i] {
				t.Errorf("%v: %s stands at %+v", tt.pauses, c.Name, st)
			}
		}
	}
	if text, ok := g.has("unauthorized:prices"); !ok || text != "401" {
		t.Error("a pause took another reason away")
	}
}

// A credential that was refused is tried again at once where an operator resumes the consumer, or what it needs.
func TestGate_ProbesARefusedCredential(t *testing.T) {
	orders := &Consumer{Name: "orders", Needs: []string{"magento", "erp"}}
	prices := &Consumer{Name: "prices", Needs: []string{"magento"}}
	for resumed, want := range map[string][2]bool{"": {true, true}, "erp": {true, false}, "magento": {true, true}, "prices": {false, true}, "search": {}} {
		g := newGate(nil)
		for _, c := range []*Consumer{orders, prices} {
			g.pause(causeUnauthorized+c.Name, cause{consumer: c.Name, needs: c.Needs, text: "401", probeAt: time.Now().Add(time.Hour)})
		}
		g.probeUnauthorized(resumed)
		if got := [2]bool{g.standing(orders).probe, g.standing(prices).probe}; got != want {
			t.Errorf("resumed %q: probes %v, want %v", resumed, got, want)
		}
	}
}
