package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/mageline/mageline/internal/check"
	"github.com/mageline/mageline/test/kit/fakeerp"
	"github.com/mageline/mageline/test/kit/fakemagento"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// remotesOf serves a shop and an ERP to the process.
func remotesOf(t *testing.T) (magento *fakemagento.Server, erp *fakeerp.Server) {
	t.Helper()
	magento, erp = fakemagento.New(fakemagento.Options{Token: "s3cr3t-magento"}), fakeerp.New(fakeerp.Options{Token: "s3cr3t-erp"})
	shop, adapter := httptest.NewServer(magento), httptest.NewServer(erp)
	t.Cleanup(func() { shop.Close(); adapter.Close(); magento.Close(); erp.Close() })
	t.Setenv("MAGELINE_MAGENTO_URL", shop.URL)
	t.Setenv("MAGELINE_MAGENTO_TOKEN", "s3cr3t-magento")
	t.Setenv("MAGELINE_ERP_URL", adapter.URL)
	t.Setenv("MAGELINE_ERP_TOKEN", "s3cr3t-erp")
	return magento, erp
}

func statuses(t *testing.T, e ended) map[string]check.Status {
	t.Helper()
	all := map[string]check.Status{}
	for line := range strings.Lines(e.out) {
		var object map[string]string
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if len(object) != 4 || object["subject"] == "" || object["detail"] == "" || (object["todo"] == "") != (object["status"] == "OK") {
			t.Errorf("%v", object)
		}
		all[object["subject"]] = check.Status(object["status"])
	}
	return all
}

func TestCheck_NamesEachDependency(t *testing.T) {
	q, _ := services(t)
	remotesOf(t)
	e := call(t, "", "check")
	e.want(t, 0, "OK queue "+q.Queue("order_canceled.dlq")+": will be created\n", "")
	for _, line := range []string{"OK MAGELINE_RECONCILE_EVERY: ", "UNKNOWN policies: ", "OK Magento credential: ", "OK ERP credential: ", "OK Postgres schema: will be created"} {
		if !strings.Contains(e.out, line) {
			t.Errorf("no line %s", line)
		}
	}
	if strings.Contains(e.out+e.err, "s3cr3t") {
		t.Error("a secret is printed")
	}
	if q.Depth(q.Queue("order_placed")) != -1 {
		t.Error("check has declared a queue")
	}

	call(t, "", "topology").want(t, 0, "made", "")
	call(t, "", "migrate").want(t, 0, "applied", "")
	e = call(t, "", "check", "--json")
	e.want(t, 0, "{", "")
	for subject, status := range statuses(t, e) {
		if status == check.Fail {
			t.Errorf("%s is FAIL", subject)
		}
	}
}

// The management API is asked where its address is given, also by a file; without it being there nothing fails for it.
func TestCheck_AsksTheManagementAPI(t *testing.T) {
	services(t)
	remotesOf(t)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		switch {
		case user != "u" || password != "s3cr3t":
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/api/health/checks/alarms":
			_, _ = w.Write([]byte(`{"status":"ok"}`))
		case strings.HasPrefix(r.URL.Path, "/api/policies/"), strings.HasPrefix(r.URL.Path, "/api/operator-policies/"):
			_, _ = w.Write([]byte(`[]`))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(api.Close)
	path := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(path, []byte(strings.Replace(api.URL, "://", "://u:s3cr3t@", 1)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("MAGELINE_AMQP_MANAGEMENT_URL_FILE", path)
	e := call(t, "", "check", "--json")
	e.want(t, 0, "{", "")
	got := statuses(t, e)
	if got["policies"] != check.OK || got["bindings"] != check.OK || got["RabbitMQ alarms"] != check.OK {
		t.Errorf("%v", got)
	}
	if strings.Contains(e.out+e.err, "s3cr3t") {
		t.Error("a secret is printed")
	}
}

// Everything is looked at, even when all of it is away.
func TestCheck_LooksAtEverythingWhenAllIsAway(t *testing.T) {
	services(t)
	remotesOf(t)
	for name, address := range map[string]string{
		"AMQP_URL": "amqp://u:s3cr3t@127.0.0.1:1/", "DATABASE_URL": "postgres://u:s3cr3t@127.0.0.1:1/d", "MAGENTO_URL": "http://127.0.0.1:1", "ERP_URL": "http://127.0.0.1:1",
	} {
		t.Setenv("MAGELINE_"+name, address)
	}
	e := call(t, "", "check", "--json")
	e.want(t, 1, "{", "are FAIL")
	got := statuses(t, e)
	for _, subject := range []string{"RabbitMQ 127.0.0.1:1", "Postgres 127.0.0.1:1", "Magento http://127.0.0.1:1", "ERP http://127.0.0.1:1"} {
		if got[subject] != check.Fail {
			t.Errorf("%s is %q, want FAIL", subject, got[subject])
		}
	}
	if strings.Contains(e.out+e.err, "s3cr3t") {
		t.Error("a secret is printed")
	}
}

// What the enabled consumers do not need is not looked at.
func TestCheck_LeavesOutWhatNoConsumerNeeds(t *testing.T) {
	services(t)
	remotesOf(t)
	t.Setenv("MAGELINE_ERP", "none")
	e := call(t, "", "check", "--json")
	e.want(t, 0, "{", "")
	found := statuses(t, e)
	for subject := range found {
		if strings.HasPrefix(subject, "ERP ") || subject == "Magento permission to comment on orders" {
			t.Errorf("%s: no consumer needs it", subject)
		}
	}
	if found["Magento permission to ship orders"] != check.OK {
		t.Errorf("shipping is not looked at: %v", found)
	}
}
