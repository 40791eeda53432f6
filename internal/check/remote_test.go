package check_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mageline/mageline/erp/webhook"
	"github.com/mageline/mageline/internal/check"
	"github.com/mageline/mageline/internal/downstream"
	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/test/kit/fakeerp"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/fault"
)

const token = "t0ken-of-the-shop"

// shop serves a handler and makes a checker for it.
func shop(t *testing.T, handler http.Handler, auth magentoapi.Credential) check.Magento {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	d := downstream.New(downstream.Options{Name: "magento", Variable: "MAGELINE_MAGENTO_URL"})
	t.Cleanup(d.Close)
	client := d.Client()
	api, err := magentoapi.New(server.URL, magentoapi.Options{HTTPClient: client, Auth: auth, Retries: magentoapi.NoRetries})
	if err != nil {
		t.Fatal(err)
	}
	return check.Magento{URL: server.URL + "/rest/", HTTP: client, Client: api, Orders: true, Comment: true, Ship: true, Create: true}
}

func bearer(value string) magentoapi.Credential { return magentoapi.Bearer(magentoapi.Fixed(value)) }

// What is not asked shows nothing of the credential.
func TestMagento_AsksOnlyWhatIsNeeded(t *testing.T) {
	t.Parallel()
	fake := fakemagento.New(fakemagento.Options{Token: "t0ken"})
	t.Cleanup(fake.Close)
	checker := shop(t, fake, bearer("another"))
	checker.Comment, checker.Ship = false, false
	found := lines(t, checker)
	want(t, found, check.Fail, "Magento credential")
	for _, l := range found {
		if strings.Contains(l.Subject, "comment") || strings.Contains(l.Subject, "ship") {
			t.Errorf("asked: %s", l)
		}
	}
}

// without answers calls of an endpoint as Magento does to a user who lacks the resource, and leaves the rest to next.
func without(next http.Handler, method, suffix, resource string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == method && strings.HasSuffix(r.URL.Path, suffix) && r.Header.Get("Authorization") != "" {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"message":"The consumer isn't authorized to access %resources.","parameters":{"resources":"` + resource + `"}}`))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func TestMagento_InEachState(t *testing.T) {
	t.Parallel()
	const (
		credential = "Magento credential"
		read       = "Magento permission to read orders"
		comment    = "Magento permission to comment on orders"
		stores     = "Magento permission to read the stores' configuration"
		shipments  = "Magento permission to read shipments and add tracking numbers"
		ship       = "Magento permission to ship orders"
	)
	type expected map[string]check.Status // by subject; "" is that Magento is reachable
	tests := []struct {
		name string
		wrap func(*fakemagento.Server) http.Handler
		auth magentoapi.Credential
		want expected
	}{
		{"all well", nil, bearer(token), expected{"": check.OK, credential: check.OK, read: check.OK, comment: check.OK, shipments: check.OK, ship: check.OK, stores: check.OK, "clock": check.OK}},
		{"admin", nil, magentoapi.AdminToken("mageline", magentoapi.Fixed("s3cr3t")), expected{"": check.OK, credential: check.OK, read: check.OK, comment: check.OK}},
		{"wrong token", nil, bearer("s3cr3t"), expected{"": check.OK, credential: check.Fail, read: check.Fail, comment: check.Fail, stores: check.Warn}},
		{"wrong password", nil, magentoapi.AdminToken("mageline", magentoapi.Fixed("s3cr3t-not")), expected{"": check.OK, credential: check.Fail, read: check.Fail, comment: check.Fail}},
		{"may not read orders", func(s *fakemagento.Server) http.Handler {
			return without(s, "GET", "/V1/orders", "Magento_Sales::actions_view")
		}, bearer(token), expected{credential: check.OK, read: check.Fail, comment: check.OK, stores: check.OK}},
		{"may not comment", func(s *fakemagento.Server) http.Handler {
			return without(s, "POST", "/comments", "Magento_Sales::comment")
		}, bearer(token), expected{credential: check.OK, read: check.OK, comment: check.Fail, stores: check.OK}},
		{"may not ship", func(s *fakemagento.Server) http.Handler {
			return without(s, "POST", "/ship", "Magento_Sales::ship")
		}, bearer(token), expected{credential: check.OK, comment: check.OK, shipments: check.OK, ship: check.Fail}},
		{"may not read shipments", func(s *fakemagento.Server) http.Handler {
			return without(s, "GET", "/V1/shipments", "Magento_Sales::shipment")
		}, bearer(token), expected{credential: check.OK, read: check.OK, shipments: check.Fail, ship: check.OK}},
		{"may not read the stores", func(s *fakemagento.Server) http.Handler {
			return without(s, "GET", "/V1/store/storeConfigs", "Magento_Backend::store")
		}, bearer(token), expected{credential: check.OK, read: check.OK, comment: check.OK, stores: check.Warn}},
		{"maintenance", func(s *fakemagento.Server) http.Handler {
			s.Faults.Set(fault.Plan{Every: fault.Fault{Kind: fault.Page}})
			return s
		}, bearer(token), expected{"": check.Fail, credential: check.Unknown, read: check.Fail, comment: check.Fail, stores: check.Warn}},
		{"gone", func(s *fakemagento.Server) http.Handler {
			s.Faults.Set(fault.Plan{Every: fault.Fault{Kind: fault.Refuse}})
			return s
		}, bearer(token), expected{"": check.Fail, credential: check.Unknown, read: check.Fail, comment: check.Fail}},
		{"another site", func(*fakemagento.Server) http.Handler { return http.NotFoundHandler() }, bearer(token), expected{"": check.OK, credential: check.Unknown, read: check.Fail, comment: check.Fail}},
		{"moved", func(*fakemagento.Server) http.Handler {
			return http.RedirectHandler("https://elsewhere.test/", http.StatusMovedPermanently)
		}, bearer(token), expected{"": check.Fail}},
		{"clock", func(s *fakemagento.Server) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Date", time.Now().Add(-10*time.Minute).UTC().Format(http.TimeFormat))
				s.ServeHTTP(w, r)
			})
		}, bearer(token), expected{"": check.OK, "clock": check.Warn, read: check.OK}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fake := fakemagento.New(fakemagento.Options{Token: token, Username: "mageline", Password: "s3cr3t"})
			t.Cleanup(fake.Close)
			handler := http.Handler(fake)
			if tt.wrap != nil {
				handler = tt.wrap(fake)
			}
			checker := shop(t, handler, tt.auth)
			found := lines(t, checker)
			for subject, status := range tt.want {
				if subject == "" {
					subject = "Magento " + strings.TrimSuffix(checker.URL, "/rest/")
				}
				want(t, found, status, subject)
			}
			for _, l := range found {
				if strings.Contains(l.String(), "s3cr3t") || strings.Contains(l.String(), token) {
					t.Errorf("a secret: %s", l)
				}
			}
			if n := fake.Problems(); len(n) > 0 {
				t.Errorf("what a client should not do: %v", n)
			}
		})
	}
}

// Magento's API does not tell which statuses a state has: what can be seen is said, and what can't.
func TestMagento_StatusesOfComments(t *testing.T) {
	t.Parallel()
	fake := fakemagento.New(fakemagento.Options{Token: token})
	t.Cleanup(fake.Close)
	fake.PlaceOrder(fakemagento.Placing{})
	fake.PlaceOrder(fakemagento.Placing{State: "processing", Status: "exported"})
	fake.PlaceOrder(fakemagento.Placing{State: "complete", Status: "elsewhere"})
	checker := shop(t, fake, bearer(token))
	checker.Statuses = []check.OrderStatus{
		{"processing", "processing"}, {"payment_review", "fraud"}, {"processing", "exported"}, {"processing", "elsewhere"}, {"new", "nobody"},
	}
	found := lines(t, checker)
	for subject, status := range map[string]check.Status{
		"processing:processing": check.OK, "payment_review:fraud": check.OK, "processing:exported": check.OK,
		"processing:elsewhere": check.Warn, "new:nobody": check.Unknown,
	} {
		want(t, found, status, "ORDER_STATUS_EXPORTED "+subject)
	}
	if n := fake.Requests()["POST /V1/orders/:id/comments"]; n != 1 {
		t.Errorf("%d comments were sent, want one to an order that is not there", n)
	}
	fake.Faults.Set(fault.Plan{Every: fault.Fault{Kind: fault.Fail}})
	want(t, lines(t, checker), check.Unknown, "ORDER_STATUS_EXPORTED processing:exported")
}

// Who never comments needs no right to.
func TestMagento_WithoutComments(t *testing.T) {
	t.Parallel()
	fake := fakemagento.New(fakemagento.Options{Token: token})
	t.Cleanup(fake.Close)
	checker := shop(t, fake, bearer(token))
	checker.Comment = false
	for _, l := range lines(t, checker) {
		if strings.Contains(l.Subject, "comment") {
			t.Errorf("unexpected: %s", l)
		}
	}
	if n := fake.Requests()["POST /V1/orders/:id/comments"]; n != 0 {
		t.Errorf("%d comments were written", n)
	}
}

func TestERP_InEachState(t *testing.T) {
	t.Parallel()
	const credential, lookup = "ERP credential", "ERP look-up by external reference"
	tests := []struct {
		name    string
		token   string
		plan    fault.Plan
		subject string // "" is that the ERP is reachable
		status  check.Status
	}{
		{"all well", "t0ken", fault.Plan{}, "", check.OK},
		{"all well, credential", "t0ken", fault.Plan{}, credential, check.OK},
		{"all well, look-up", "t0ken", fault.Plan{}, lookup, check.OK},
		{"wrong token", "s3cr3t", fault.Plan{}, credential, check.Fail},
		{"fails", "t0ken", fault.Plan{Every: fault.Fault{Kind: fault.Fail}}, "", check.Fail},
		{"gone", "t0ken", fault.Plan{Every: fault.Fault{Kind: fault.Refuse}}, "", check.Fail},
		{"gone, credential", "t0ken", fault.Plan{Every: fault.Fault{Kind: fault.Refuse}}, credential, check.Unknown},
		{"no look-up", "t0ken", fault.Plan{Every: fault.Fault{Kind: fault.Fail, Status: http.StatusMethodNotAllowed}}, lookup, check.Fail},
		{"a page", "t0ken", fault.Plan{Every: fault.Fault{Kind: fault.Garble}}, "", check.Fail},
		{"throttles", "t0ken", fault.Plan{Every: fault.Fault{Kind: fault.Throttle}}, credential, check.Unknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fake := fakeerp.New(fakeerp.Options{Token: "t0ken"})
			t.Cleanup(fake.Close)
			fake.Faults.Set(tt.plan)
			server := httptest.NewServer(fake)
			t.Cleanup(server.Close)
			plain := &http.Client{Transport: &http.Transport{}}
			t.Cleanup(plain.CloseIdleConnections)
			client, err := webhook.New(plain, webhook.Options{URL: server.URL, Token: func() string { return tt.token }})
			if err != nil {
				t.Fatal(err)
			}
			found := lines(t, check.ERP{Address: server.URL, Find: client.Find})
			subject := tt.subject
			if subject == "" {
				subject = "ERP " + server.URL
			}
			want(t, found, tt.status, subject)
			if len(fake.Documents()) > 0 {
				t.Error("check has made a document")
			}
			for _, l := range found {
				if strings.Contains(l.String(), "s3cr3t") {
					t.Errorf("a secret: %s", l)
				}
			}
		})
	}
}

func TestSettings_ThatCanLoseMessages(t *testing.T) {
	t.Parallel()
	good := check.Settings{Consumers: []string{"order_placed"}, Retention: 2160 * time.Hour, RetryDelays: []time.Duration{time.Minute, time.Hour}}
	found := lines(t, good)
	want(t, found, check.Warn, "MAGELINE_RECONCILE_EVERY", "vanish")
	want(t, found, check.OK, "MAGELINE_IDEMPOTENCY_RETENTION")
	if len(found) != 2 {
		t.Errorf("%d lines, want two", len(found))
	}
	good.ReconcileEvery = 15 * time.Minute
	want(t, lines(t, good), check.OK, "MAGELINE_RECONCILE_EVERY", "15m")
	for retention, detail := range map[time.Duration]string{time.Hour: "may be retried for 1h1m0s", 24 * time.Hour: "24h0m0s only"} {
		s := good
		s.Retention = retention
		want(t, lines(t, s), check.Warn, "MAGELINE_IDEMPOTENCY_RETENTION", detail)
	}
	s := good
	s.UncertainWait, s.LongestCreate = time.Minute, 10*time.Minute
	want(t, lines(t, s), check.Warn, "MAGELINE_ERP_UNCERTAIN_WAIT", "10m0s")
	s = good
	s.Consumers = nil
	s.Warnings = []string{"MAGELINE_X is not known"}
	found = lines(t, s)
	want(t, found, check.Warn, "MAGELINE_CONSUMERS")
	if len(found) != 3 {
		t.Errorf("%d lines, want three: nobody misses an order where none is consumed", len(found))
	}
	want(t, found, check.Warn, "configuration", "MAGELINE_X")
}

// Lines come in the order of the probes, and one that is at its end does not wait for the others' beginning.
func TestRun_LooksAtAllAtOnce(t *testing.T) {
	t.Parallel()
	ready := make(chan struct{})
	found := check.Run(t.Context(),
		checker(func(ctx context.Context) []check.Finding {
			select {
			case <-ready:
			case <-ctx.Done():
				t.Error("the second did not run beside the first")
			}
			return []check.Finding{{Status: check.Fail, Subject: "first"}}
		}),
		checker(func(context.Context) []check.Finding {
			close(ready)
			return []check.Finding{{Status: check.OK, Subject: "second"}}
		}))
	if len(found) != 2 || found[0].Subject != "first" || check.Failed(found) != 1 {
		t.Errorf("%v", found)
	}
}

type checker func(context.Context) []check.Finding

func (p checker) Check(ctx context.Context) []check.Finding { return p(ctx) }
