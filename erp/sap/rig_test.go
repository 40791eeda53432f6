package sap_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/codes"
	"github.com/mageline/mageline/erp/sap"
	"github.com/mageline/mageline/test/kit/fakesap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	username = "MAGELINE"
	password = "s3cr3t-of-the-user"
	file     = `
stores: {"*": {sales_organization: "1010", channel: "10", division: "00", currency: EUR, payment_terms: "0001"}}
payment_methods: {checkmo: "0001", "*": "0002"}
shipping_methods: {"*": "01"}
tax: {"19": "1", "7": "2", "0": "0"}
accounts: {guests: "10100001", shipping: HD00}
`
)

// rig is a connector and its system.
type rig struct {
	t    *testing.T
	fake *fakesap.Server
	sap  *sap.Client

	mu    sync.Mutex
	codes *codes.File
}

func parse(t *testing.T, text string) *codes.File {
	t.Helper()
	f, err := codes.Parse("codes.yaml", "sap", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// newRig makes a system and a connector with a file of codes.
func newRig(t *testing.T, text string, o fakesap.Options) *rig {
	t.Helper()
	if o.Username == "" && o.ClientID == "" {
		o.Username, o.Password = username, password
	}
	r := &rig{t: t, fake: fakesap.New(o), codes: parse(t, text)}
	server := httptest.NewServer(r.fake)
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		r.fake.Close()
		server.CloseClientConnections()
		server.Close()
	})
	options := sap.Options{
		URL: server.URL, Username: o.Username, Password: func() string { return o.Password }, Client: o.Client,
		Codes: func() *codes.File {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.codes
		},
	}
	if o.ClientID != "" {
		options.TokenURL, options.ClientID, options.ClientSecret = server.URL+fakesap.TokenPath, o.ClientID, func() string { return o.ClientSecret }
	}
	var err error
	if r.sap, err = sap.New(&http.Client{Transport: transport}, options); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) create(o erp.SalesOrder) (erp.Document, error) {
	r.t.Helper()
	p, err := r.sap.Build(o)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.sap.Create(r.t.Context(), erp.Call{Key: "order_placed:" + o.ExternalReference}, p)
}

// booked returns the one document of a reference, as the system has it.
func (r *rig) booked(reference string) fakesap.Document {
	r.t.Helper()
	all := r.fake.DocumentsOf(reference)
	if len(all) != 1 {
		r.t.Fatalf("%d documents of %s", len(all), reference)
	}
	return all[0]
}

// clean fails if a call was against the schema or the protocol.
func (r *rig) clean() {
	r.t.Helper()
	for problem, n := range r.fake.Problems() {
		r.t.Errorf("%d times: %s", n, problem)
	}
}

func with(text string, lines ...string) string { return text + strings.Join(lines, "\n") + "\n" }
