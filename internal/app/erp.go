package app

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/rs/zerolog"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/businesscentral"
	"github.com/mageline/mageline/erp/codes"
	"github.com/mageline/mageline/erp/finops"
	"github.com/mageline/mageline/erp/netsuite"
	"github.com/mageline/mageline/erp/sap"
	"github.com/mageline/mageline/erp/webhook"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/internal/config"
)

// abilities are what a connector has beside sales orders. A test holds them against the interfaces that its type implements.
type abilities struct{ shipments, creditMemos, customers bool }

var abilitiesOf = map[config.ERP]abilities{
	config.Webhook:         {true, true, true},
	config.SAP:             {true, true, true},
	config.NetSuite:        {true, true, true},
	config.BusinessCentral: {true, true, true},
	config.FinOps:          {true, true, true},
}

// ability is the requirement of a consumer that needs a connector with an ability.
func ability(what string, has func(abilities) bool) config.Requirement {
	return config.Requirement{
		Variable: "ERP", What: "an ERP that is told of " + what,
		Met: func(c *config.Config) bool { return has(abilitiesOf[c.ERP]) },
	}
}

// offlineERP returns a connector that is only to build payloads of a store: what it needs to call the ERP may be missing.
func offlineERP(cfg *config.Config, file func() *codes.File, store erp.Store) (erp.OrderConnector, error) {
	c := *cfg
	codesOf, _ := file().Store(store) // one that is missing is named by the connector
	const nowhere = "http://erp.invalid"
	c.SAPURL, c.NetSuiteURL = cmp.Or(c.SAPURL, nowhere), cmp.Or(c.NetSuiteURL, nowhere)
	c.ERPURL, c.BusinessCentralURL = cmp.Or(c.ERPURL, nowhere), cmp.Or(c.BusinessCentralURL, nowhere+"/api/v2.0")
	c.BusinessCentralTokenURL, c.BusinessCentralCompany = cmp.Or(c.BusinessCentralTokenURL, nowhere+"/token"), cmp.Or(c.BusinessCentralCompany, codesOf.Company, "COMPANY")
	c.BusinessCentralClientID = cmp.Or(c.BusinessCentralClientID, "client")
	connector, err := wireERP(&c, config.NewSecrets(&c, zerolog.Nop()), file, &http.Client{})
	if err == nil && connector == nil {
		err = errors.New("there is no ERP: set MAGELINE_ERP to the one that the order is for")
	}
	return connector, err
}

// erpAddress is the setting that has the address of the ERP that is configured.
func erpAddress(cfg *config.Config) (name, value string) {
	switch cfg.ERP {
	case config.SAP:
		return "MAGELINE_SAP_URL", cfg.SAPURL
	case config.NetSuite:
		return "MAGELINE_NETSUITE_URL", cfg.NetSuiteURL
	case config.BusinessCentral:
		return "MAGELINE_BUSINESSCENTRAL_URL", cfg.BusinessCentralURL
	case config.FinOps:
		return "MAGELINE_FINOPS_URL", cfg.FinOpsURL
	default:
		return "MAGELINE_ERP_URL", cfg.ERPURL
	}
}

// erpClassify is how the configured ERP tells a throttle otherwise than by 429; nil where it does not.
func erpClassify(cfg *config.Config) func(event.Answer, event.Subject) event.Subject {
	switch cfg.ERP {
	case config.SAP:
		return sap.Dialect(sapLockCodes(cfg)).Subject
	case config.NetSuite:
		return netsuite.Dialect.Subject
	case config.BusinessCentral:
		return businesscentral.Dialect.Subject
	case config.FinOps:
		return finops.Dialect.Subject
	default:
		return nil
	}
}

// wireERP returns the connector of the ERP that is configured; nil without one.
func wireERP(cfg *config.Config, secrets *config.Secrets, file func() *codes.File, client *http.Client) (erp.OrderConnector, error) {
	name, address := erpAddress(cfg)
	if address == "" {
		return nil, nil //nolint:nilnil // no ERP is a configuration like any other
	}
	switch cfg.ERP {
	case config.Webhook:
		return webhook.New(client, webhook.Options{
			URL: address, AddressName: name, CredentialName: "MAGELINE_ERP_TOKEN and MAGELINE_ERP_SECRET",
			Token: secrets.Value(&cfg.ERPToken), Secret: secrets.Value(&cfg.ERPSecret),
		})
	case config.SAP:
		credential := "MAGELINE_SAP_USERNAME and MAGELINE_SAP_PASSWORD"
		if cfg.SAPTokenURL != "" {
			credential = "MAGELINE_SAP_CLIENT_ID and MAGELINE_SAP_CLIENT_SECRET"
		}
		return sap.New(client, sap.Options{
			URL: address, AddressName: name, CredentialName: credential,
			Username: cfg.SAPUsername, Password: secrets.Value(&cfg.SAPPassword),
			TokenURL: cfg.SAPTokenURL, ClientID: cfg.SAPClientID, ClientSecret: secrets.Value(&cfg.SAPClientSecret), Scope: cfg.SAPScope,
			APIKey: secrets.Value(&cfg.SAPAPIKey), Client: cfg.SAPClient, Language: cfg.SAPLanguage, LockCodes: sapLockCodes(cfg),
			Codes: file, Prefix: cfg.ERPReferencePrefix,
		})
	case config.NetSuite:
		return wireNetSuite(cfg, secrets, file, client)
	case config.BusinessCentral:
		credential := "MAGELINE_BUSINESSCENTRAL_CLIENT_ID and MAGELINE_BUSINESSCENTRAL_CLIENT_SECRET"
		if cfg.BusinessCentralUsername != "" {
			credential = "MAGELINE_BUSINESSCENTRAL_USERNAME and MAGELINE_BUSINESSCENTRAL_ACCESS_KEY"
		}
		return businesscentral.New(client, businesscentral.Options{
			URL: address, Company: cfg.BusinessCentralCompany, TokenURL: cfg.BusinessCentralTokenURL, Scope: cfg.BusinessCentralScope,
			ClientID: cfg.BusinessCentralClientID, ClientSecret: secrets.Value(&cfg.BusinessCentralClientSecret),
			Username: cfg.BusinessCentralUsername, AccessKey: secrets.Value(&cfg.BusinessCentralAccessKey),
			Codes: file, ReferencePrefix: cfg.ERPReferencePrefix, AddressName: name, CredentialName: credential,
		})
	case config.FinOps:
		return finops.New(client, finops.Options{
			URL: address, Company: cfg.FinOpsCompany, TokenURL: cfg.FinOpsTokenURL, Scope: cfg.FinOpsScope,
			ClientID: cfg.FinOpsClientID, ClientSecret: secrets.Value(&cfg.FinOpsClientSecret), Codes: file, ReferencePrefix: cfg.ERPReferencePrefix,
			AddressName: name, CredentialName: "MAGELINE_FINOPS_CLIENT_ID and MAGELINE_FINOPS_CLIENT_SECRET",
		})
	default:
		return nil, nil //nolint:nilnil // as above
	}
}

func wireNetSuite(cfg *config.Config, secrets *config.Secrets, file func() *codes.File, client *http.Client) (erp.OrderConnector, error) {
	name, address := erpAddress(cfg)
	o := netsuite.Options{
		URL: address, AddressName: name, Codes: file, ReferencePrefix: cfg.ERPReferencePrefix,
		CredentialName: "MAGELINE_NETSUITE_CLIENT_ID, MAGELINE_NETSUITE_CERTIFICATE_ID and MAGELINE_NETSUITE_PRIVATE_KEY",
		ClientID:       cfg.NetSuiteClientID, CertificateID: cfg.NetSuiteCertificateID, PrivateKey: secrets.Value(&cfg.NetSuitePrivateKey),
	}
	switch {
	case cfg.NetSuiteAuth == config.TokenBased:
		o.CredentialName = "the MAGELINE_NETSUITE_CONSUMER_… and MAGELINE_NETSUITE_TOKEN_… of token-based authentication"
		o.Token = &netsuite.TokenBased{
			Account:     cfg.NetSuiteAccount,
			ConsumerKey: secrets.Value(&cfg.NetSuiteConsumerKey), ConsumerSecret: secrets.Value(&cfg.NetSuiteConsumerSecret),
			TokenID: secrets.Value(&cfg.NetSuiteTokenID), TokenSecret: secrets.Value(&cfg.NetSuiteTokenSecret),
		}
	case cfg.NetSuitePrivateKey != "": // without one only payloads are built
		if _, err := netsuite.ParsePrivateKey(cfg.NetSuitePrivateKey.Reveal()); err != nil {
			return nil, fmt.Errorf("MAGELINE_NETSUITE_PRIVATE_KEY: %w", err)
		}
	}
	return netsuite.New(client, o)
}

func sapLockCodes(cfg *config.Config) []string {
	return strings.FieldsFunc(cfg.SAPLockCodes, func(r rune) bool { return r == ',' || r == ' ' })
}
