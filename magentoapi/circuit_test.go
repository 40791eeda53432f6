package magentoapi_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/internal/downstream"
	"github.com/mageline/mageline/magentoapi"
)

// mageline switches repetitions off; even where they are on, nobody runs against an open circuit.
func TestAnOpenCircuitEndsTheRepetitions(t *testing.T) {
	var requests atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer server.Close()
	d := downstream.New(downstream.Options{Name: "magento", Timeout: time.Minute, Failures: 2, OpenFor: time.Hour, Log: zerolog.Nop()})
	defer d.Close()
	client, err := magentoapi.New(server.URL, magentoapi.Options{
		HTTPClient: d.Client(), Retries: magentoapi.Retries{Max: 9, Wait: time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Orders.Get(t.Context(), 1)
	var open *event.Deferral
	if !errors.As(err, &open) || requests.Load() != 2 {
		t.Errorf("%d requests, %v", requests.Load(), err)
	}
}
