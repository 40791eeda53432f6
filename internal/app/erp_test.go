package app

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/mageline/mageline/erp"
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
}
