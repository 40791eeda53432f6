//go:build e2e

package app

import (
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/mageline/mageline/internal/downstream"
)

// In the program that test/e2e builds with this tag a call of the ERP for the order that E2E_HANG names never returns, whatever
// its context says, as a connector's bug would have it; and with E2E_LOOK_EVERY the topology is declared again so often.
// Everything else is the real program.
func init() {
	topologyEvery, _ = time.ParseDuration(os.Getenv("E2E_LOOK_EVERY"))
	ordinary := erpClient
	erpClient = func(d *downstream.Downstream) *http.Client {
		c := ordinary(d)
		c.Transport = hangs{c.Transport, os.Getenv("E2E_HANG")}
		return c
	}
}

type hangs struct {
	http.RoundTripper
	order string
}

func (h hangs) RoundTrip(r *http.Request) (*http.Response, error) {
	if h.order != "" && strings.HasSuffix(r.Header.Get("Idempotency-Key"), ":"+h.order) {
		select {}
	}
	return h.RoundTripper.RoundTrip(r)
}
