package app

import (
	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/webhook"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/downstream"
)

// abilities are what a connector has beside sales orders. A test holds them against the interfaces that its type implements.
type abilities struct{ shipments, creditMemos, customers bool }

var abilitiesOf = map[config.ERP]abilities{
	config.Webhook: {true, true, true},
}

// ability is the requirement of a consumer that needs a connector with an ability.
func ability(what string, has func(abilities) bool) config.Requirement {
	return config.Requirement{
		Variable: "ERP", What: "an ERP that is told of " + what,
		Met: func(c *config.Config) bool { return has(abilitiesOf[c.ERP]) },
	}
}

// wireERP returns the connector of the ERP that is configured; nil without one.
func wireERP(cfg *config.Config, secrets *config.Secrets, d *downstream.Downstream) (erp.OrderConnector, error) {
	if cfg.ERP != config.Webhook || cfg.ERPURL == "" {
		return nil, nil //nolint:nilnil // no ERP is a configuration like any other
	}
	return webhook.New(erpClient(d), webhook.Options{
		URL: cfg.ERPURL, AddressName: "MAGELINE_ERP_URL", CredentialName: "MAGELINE_ERP_TOKEN and MAGELINE_ERP_SECRET",
		Token: secrets.Value(&cfg.ERPToken), Secret: secrets.Value(&cfg.ERPSecret),
	})
}
