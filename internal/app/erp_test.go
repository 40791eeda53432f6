package app

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/codes"
	"github.com/mageline/mageline/erp/erptest"
	"github.com/mageline/mageline/internal/config"
)

// What the registry knows of a connector's abilities is what its type has.
func TestAbilities_AreThoseOfTheConnector(t *testing.T) {
	for name, want := range abilitiesOf {
		cfg := erpConfig(t, name)
		r, err := wireRemotes(cfg, config.NewSecrets(cfg, zerolog.Nop()), "dev", zerolog.Nop(), prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		defer r.close()
		var got abilities
		_, got.shipments = r.connector.(erp.ShipmentReporter)
		_, got.creditMemos = r.connector.(erp.CreditMemoReporter)
		_, got.customers = r.connector.(erp.CustomerWriter)
		if got != want {
			t.Errorf("%s has %+v, and the registry says %+v", name, got, want)
		}
	}
}

// erpConfig returns a configuration with an ERP.
func erpConfig(t *testing.T, name config.ERP) *config.Config {
	t.Helper()
	environment(t, append([]string{"MAGENTO_URL", "http://127.0.0.1:1", "MAGENTO_TOKEN", "t", "ERP", string(name)}, erpSettings[name]...)...)
	cfg, err := Load(config.EnabledConsumers)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// erpSettings are what each ERP must be told.
var erpSettings = map[config.ERP][]string{
	config.Webhook: {"ERP_URL", "http://127.0.0.1:1"},
	config.SAP:     {"ERP_MAPPING", "testdata/codes.yaml", "SAP_URL", "http://127.0.0.1:1", "SAP_USERNAME", "u", "SAP_PASSWORD", "hush"},
	config.NetSuite: {
		"ERP_MAPPING", "testdata/codes.yaml", "NETSUITE_URL", "http://127.0.0.1:1", "NETSUITE_AUTH", "tba", "NETSUITE_ACCOUNT", "1234567",
		"NETSUITE_CONSUMER_KEY", "k", "NETSUITE_CONSUMER_SECRET", "hush", "NETSUITE_TOKEN_ID", "t", "NETSUITE_TOKEN_SECRET", "hush",
	},
	config.BusinessCentral: {
		"ERP_MAPPING", "testdata/codes.yaml", "BUSINESSCENTRAL_URL", "http://127.0.0.1:1", "BUSINESSCENTRAL_COMPANY", "CRONUS",
		"BUSINESSCENTRAL_TENANT", "contoso.example", "BUSINESSCENTRAL_CLIENT_ID", "id", "BUSINESSCENTRAL_CLIENT_SECRET", "hush",
	},
	config.FinOps: {
		"ERP_MAPPING", "testdata/codes.yaml", "FINOPS_URL", "http://127.0.0.1:1", "FINOPS_COMPANY", "usmf",
		"FINOPS_TENANT", "contoso.example", "FINOPS_CLIENT_ID", "id", "FINOPS_CLIENT_SECRET", "hush",
	},
}

// A file of codes that is changed is used from then on, and a broken one changes nothing.
func TestCodesFile_IsReadAgainWhenItHasChanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "codes.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("accounts: {guests: first}")
	c, err := openCodes(path, "businesscentral", zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ text, want string }{
		{"accounts: {guests: second, shipping: S}", "second"}, {"accounts: {gusts: third}", "second"}, {"accounts: {guests: fourth}", "fourth"},
	} {
		write(step.text)
		c.looked = c.looked.Add(-lookAgain)
		if got, err := c.codes().Account(erp.AccountGuests); got != step.want || err != nil {
			t.Errorf("after %q the account is %q, %v; want %s", step.text, got, err, step.want)
		}
	}
	if _, err := openCodes(filepath.Join(t.TempDir(), "none.yaml"), "businesscentral", zerolog.Nop()); err == nil {
		t.Error("a file that is not there has no error")
	}
}

// What would be sent is known without anything that an ERP is called with.
func TestOfflineERP_BuildsWithTheFileOfCodesAlone(t *testing.T) {
	file, err := codes.Parse("codes.yaml", "netsuite", []byte(`
tax: {"*": "119"}
shipping_methods: {"*": "5"}
accounts: {guests: "9000", shipping: SHIPPING, rounding: ROUNDING}
`))
	if err != nil {
		t.Fatal(err)
	}
	o := erptest.Order("ET-1")
	connector, err := offlineERP(&config.Config{ERP: config.NetSuite, NetSuiteAuth: config.OAuth2}, func() *codes.File { return file }, o.Store)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := connector.Build(o); err != nil || len(p.Requests) != 2 {
		t.Errorf("built %d requests, %v; want the customer and the order", len(p.Requests), err)
	}
}
