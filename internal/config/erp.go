package config

import (
	"os"
	"regexp"
	"time"
)

// What ERPs other than the webhook start with: they allow few calls at once, and may carry out a create minutes after its
// client has given up.
const (
	connectorConcurrency = 4
	connectorWait        = 10 * time.Minute
	sapWait              = 15 * time.Minute // and that of NetSuite
)

// LongestCreate is how long after its client has given up the ERP may still carry out a create, as far as its makers say: the
// default of ERP_UNCERTAIN_WAIT. The webhook's adapter answers a second request as the first, and needs none.
func (c *Config) LongestCreate() time.Duration {
	switch c.ERP {
	case Webhook, NoERP:
		return 0
	case SAP, NetSuite:
		return sapWait
	default:
		return connectorWait
	}
}

// checkConnector looks at what is set for the ERPs other than the webhook, and fills in what depends on which one it is.
func (l *loader) checkConnector() {
	c := l.c
	if c.ERP != Webhook && c.ERP != NoERP {
		if os.Getenv(prefix+"ERP_CONCURRENCY") == "" {
			c.ERPConcurrency = connectorConcurrency
		}
		if os.Getenv(prefix+"ERP_UNCERTAIN_WAIT") == "" {
			c.ERPUncertainWait = c.LongestCreate()
		}
	}
	for name, value := range map[string]string{
		"SAP_URL": c.SAPURL, "SAP_TOKEN_URL": c.SAPTokenURL,
		"NETSUITE_URL":        c.NetSuiteURL,
		"BUSINESSCENTRAL_URL": c.BusinessCentralURL, "BUSINESSCENTRAL_TOKEN_URL": c.BusinessCentralTokenURL,
		"FINOPS_URL": c.FinOpsURL, "FINOPS_TOKEN_URL": c.FinOpsTokenURL,
	} {
		if value != "" {
			l.checkURL(name, value)
		}
	}
	if path := c.ERPMapping; path != "" {
		if info, err := os.Stat(path); err != nil || info.IsDir() {
			l.problem("ERP_MAPPING", "must be the path of a YAML file that can be read, such as /etc/mageline/codes.yaml")
		}
	}
	if path := c.NetSuiteCertificate; path != "" {
		if _, err := os.Stat(path); err != nil {
			l.problem("NETSUITE_CERTIFICATE", "must be the path of a certificate in PEM that can be read")
		}
	}
	l.checkSAP()
	if c.BusinessCentralTokenURL == "" && c.BusinessCentralTenant != "" {
		c.BusinessCentralTokenURL = entraTokens(c.BusinessCentralTenant)
	}
	if c.FinOpsTokenURL == "" && c.FinOpsTenant != "" {
		c.FinOpsTokenURL = entraTokens(c.FinOpsTenant)
	}
}

var (
	sapClient   = regexp.MustCompile(`^\d{3}$`)
	sapLanguage = regexp.MustCompile(`^[A-Z]{2}$`)
)

func (l *loader) checkSAP() {
	c := l.c
	if c.SAPClient != "" && !sapClient.MatchString(c.SAPClient) {
		l.problem("SAP_CLIENT", "must be three figures, such as 100")
	}
	if !sapLanguage.MatchString(c.SAPLanguage) {
		l.problem("SAP_LANGUAGE", "must be two capital letters, such as EN")
	}
	if c.SAPTokenURL != "" && c.SAPUsername != "" {
		l.problem("SAP_USERNAME", "SAP is logged on to in one way: %sSAP_TOKEN_URL is set too, leave one of them out", prefix)
	}
}

// entraTokens is where a tenant of Microsoft Entra ID issues access tokens.
func entraTokens(tenant string) string {
	return "https://login.microsoftonline.com/" + tenant + "/oauth2/v2.0/token"
}

// need is a variable that a connector can't do without.
type need struct{ name, value, want string }

// checkConnectorNeeds asks for what the chosen ERP needs; the others' variables are not asked for.
func (l *loader) checkConnectorNeeds() {
	c := l.c
	var needs []need
	switch c.ERP {
	case Webhook:
		needs = []need{{"ERP_URL", c.ERPURL, "set it to the base address of the ERP's adapter, or " + prefix + "ERP=none"}}
	case SAP:
		needs = []need{{"SAP_URL", c.SAPURL, "set it to the address of the S/4HANA system"}, mappingNeed(c)}
		if c.SAPTokenURL != "" {
			needs = append(needs, need{"SAP_CLIENT_ID", c.SAPClientID, "is needed with " + prefix + "SAP_TOKEN_URL"},
				need{"SAP_CLIENT_SECRET", c.SAPClientSecret.Reveal(), "is needed with " + prefix + "SAP_TOKEN_URL"})
			break
		}
		needs = append(needs, need{"SAP_USERNAME", c.SAPUsername, "set it to the communication user, or " + prefix + "SAP_TOKEN_URL for OAuth"},
			need{"SAP_PASSWORD", c.SAPPassword.Reveal(), "is needed with " + prefix + "SAP_USERNAME"})
	case NetSuite:
		needs = netSuiteNeeds(c)
	case BusinessCentral:
		needs = []need{
			{"BUSINESSCENTRAL_URL", c.BusinessCentralURL, "set it to the API's address, such as https://api.businesscentral.dynamics.com/v2.0/<tenant>/Production/api/v2.0"},
			{"BUSINESSCENTRAL_COMPANY", c.BusinessCentralCompany, "set it to the company's id or name"},
			mappingNeed(c),
		}
		if c.BusinessCentralUsername != "" {
			needs = append(needs, need{"BUSINESSCENTRAL_ACCESS_KEY", c.BusinessCentralAccessKey.Reveal(), "set it to the user's web service access key"})
			break
		}
		needs = append(needs,
			need{"BUSINESSCENTRAL_TENANT", c.BusinessCentralTokenURL, "set it to the tenant of the app registration, or " + prefix + "BUSINESSCENTRAL_TOKEN_URL"},
			need{"BUSINESSCENTRAL_CLIENT_ID", c.BusinessCentralClientID, "set it to the client id of the app registration"},
			need{"BUSINESSCENTRAL_CLIENT_SECRET", c.BusinessCentralClientSecret.Reveal(), "set it to the client secret of the app registration"})
	}
	if c.ERP == FinOps {
		needs = []need{
			{"FINOPS_URL", c.FinOpsURL, "set it to the environment's address, such as https://<environment>.operations.dynamics.com"},
			{"FINOPS_COMPANY", c.FinOpsCompany, "set it to the legal entity, such as usmf"},
			mappingNeed(c),
			{"FINOPS_TENANT", c.FinOpsTokenURL, "set it to the tenant of the app registration, or " + prefix + "FINOPS_TOKEN_URL"},
			{"FINOPS_CLIENT_ID", c.FinOpsClientID, "set it to the client id of the app registration"},
			{"FINOPS_CLIENT_SECRET", c.FinOpsClientSecret.Reveal(), "set it to the client secret of the app registration"},
		}
	}
	for _, n := range needs {
		if n.value == "" {
			l.problem(n.name, "%s", n.want)
		}
	}
}

func netSuiteNeeds(c *Config) []need {
	needs := []need{{"NETSUITE_URL", c.NetSuiteURL, "set it to the account's address, such as https://1234567.suitetalk.api.netsuite.com (Company URLs in NetSuite)"}, mappingNeed(c)}
	if c.NetSuiteAuth == TokenBased {
		return append(needs,
			need{"NETSUITE_ACCOUNT", c.NetSuiteAccount, "set it to the account id, such as 1234567_SB1"},
			need{"NETSUITE_CONSUMER_KEY", c.NetSuiteConsumerKey.Reveal(), "set it to the consumer key of the integration record"},
			need{"NETSUITE_CONSUMER_SECRET", c.NetSuiteConsumerSecret.Reveal(), "set it to the consumer secret of the integration record"},
			need{"NETSUITE_TOKEN_ID", c.NetSuiteTokenID.Reveal(), "set it to the id of the access token"},
			need{"NETSUITE_TOKEN_SECRET", c.NetSuiteTokenSecret.Reveal(), "set it to the secret of the access token"})
	}
	return append(needs,
		need{"NETSUITE_CLIENT_ID", c.NetSuiteClientID, "set it to the client id of the integration record"},
		need{"NETSUITE_CERTIFICATE_ID", c.NetSuiteCertificateID, "set it to the certificate's id in the OAuth 2.0 client credentials mapping"},
		need{"NETSUITE_PRIVATE_KEY", c.NetSuitePrivateKey.Reveal(), "set " + prefix + "NETSUITE_PRIVATE_KEY_FILE to the file with the certificate's private key"})
}

func mappingNeed(c *Config) need {
	return need{"ERP_MAPPING", c.ERPMapping, "set it to the YAML file with the shop's codes"}
}
