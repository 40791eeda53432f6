package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"

	"github.com/mageline/mageline/test/kit/fakebusinesscentral"
	"github.com/mageline/mageline/test/kit/fakeerp"
	"github.com/mageline/mageline/test/kit/fakefinops"
	"github.com/mageline/mageline/test/kit/fakenetsuite"
	"github.com/mageline/mageline/test/kit/fakesap"
	"github.com/mageline/mageline/test/kit/fault"
)

// simulatedERP is an ERP of the story, whichever it is.
type simulatedERP interface {
	http.Handler
	Close()
	// Counts returns the number of sales orders for each external reference.
	Counts() map[string]int
	// Problems returns what was wrong with calls by the ERP's rules, and how often.
	Problems() map[string]int
	faults() *fault.Injector
	// number is that of the sales order with a reference.
	number(reference string) string
	// settings are mageline's for the ERP at an address. What they need on the disk is made in a directory.
	settings(url, directory string) ([]string, error)
	// is says what it is, for the list of what is running.
	is() string
}

// erps are those of the story, by the value of ERP.
var erps = map[string]func(seed uint64) simulatedERP{
	"webhook": func(seed uint64) simulatedERP {
		return webhookERP{fakeerp.New(fakeerp.Options{Token: demoERPToken, Secret: demoERPSecret, Seed: seed})}
	},
	"sap": func(seed uint64) simulatedERP {
		return sapERP{fakesap.New(fakesap.Options{Username: "MAGELINE", Password: demoERPSecret, Client: "100", Seed: seed})}
	},
	"netsuite": func(seed uint64) simulatedERP {
		return netSuiteERP{fakenetsuite.New(fakenetsuite.Options{Seed: seed})}
	},
	"businesscentral": func(seed uint64) simulatedERP {
		return businessCentralERP{fakebusinesscentral.New(fakebusinesscentral.Options{Seed: seed})}
	},
	"finops": func(seed uint64) simulatedERP { return finopsERP{fakefinops.New(fakefinops.Options{Seed: seed})} },
}

func erpNames() []string {
	names := make([]string, 0, len(erps))
	for name := range erps {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func erpOf(name string, seed uint64) (simulatedERP, error) {
	made, ok := erps[name]
	if !ok {
		return nil, fmt.Errorf("%w: --erp must be one of %q, not %q", errUsage, erpNames(), name)
	}
	return made(seed), nil
}

// documents counts the sales orders in an ERP.
func documents(e simulatedERP) int {
	n := 0
	for _, of := range e.Counts() {
		n += of
	}
	return n
}

type webhookERP struct{ *fakeerp.Server }

func (e webhookERP) faults() *fault.Injector { return e.Faults }
func (e webhookERP) is() string {
	return "simulated; books whatever it gets, twice if it is sent twice"
}

func (e webhookERP) number(reference string) string {
	for _, d := range e.DocumentsOf(reference) {
		return d.Number
	}
	return ""
}

func (e webhookERP) settings(url, _ string) ([]string, error) {
	return []string{"MAGELINE_ERP=webhook", "MAGELINE_ERP_URL=" + url, "MAGELINE_ERP_TOKEN=" + demoERPToken, "MAGELINE_ERP_SECRET=" + demoERPSecret}, nil
}

type sapERP struct{ *fakesap.Server }

func (e sapERP) faults() *fault.Injector { return e.Faults }
func (e sapERP) is() string {
	return "a simulated SAP S/4HANA; takes a second order with the same reference without a word"
}

func (e sapERP) number(reference string) string {
	for _, d := range e.DocumentsOf(reference) {
		return d.Number
	}
	return ""
}

const sapCodes = `# What the demo's shop is called in the demo's SAP; docs/erp/sap.md explains it.
stores: {"*": {sales_organization: "1010", channel: "10", division: "00"}}
payment_methods: {checkmo: "0001", "*": "0002"}
shipping_methods: {"*": "01"}
tax: {"19": "1", "7": "2", "0": "0"}
accounts: {guests: "10100001", shipping: FREIGHT, rounding: ZRND}
options: {tax_as: class, shipping_as: line}
`

func (e sapERP) settings(url, directory string) ([]string, error) {
	path := filepath.Join(directory, "codes.yaml")
	if err := os.WriteFile(path, []byte(sapCodes), 0o600); err != nil {
		return nil, fmt.Errorf("write the file of codes: %w", err)
	}
	return []string{
		"MAGELINE_ERP=sap", "MAGELINE_SAP_URL=" + url, "MAGELINE_SAP_USERNAME=MAGELINE", "MAGELINE_SAP_PASSWORD=" + demoERPSecret, "MAGELINE_SAP_CLIENT=100",
		"MAGELINE_ERP_MAPPING=" + path, "MAGELINE_ERP_UNCERTAIN_WAIT=3s", // this SAP commits at once
	}, nil
}

type netSuiteERP struct{ *fakenetsuite.Server }

func (e netSuiteERP) faults() *fault.Injector { return e.Faults }
func (e netSuiteERP) is() string {
	return "a simulated NetSuite; refuses a second order with the same external id"
}

func (e netSuiteERP) number(reference string) string {
	for _, d := range e.Orders(reference) {
		return d.Number
	}
	return ""
}

const netSuiteCodes = `# What the demo's shop is called in the demo's NetSuite; docs/erp/netsuite.md explains it.
tax: {"19": "119", "7": "107", "0": "100"}
shipping_methods: {"*": "5"}
accounts: {guests: "9000", shipping: SHIPPING, rounding: ROUNDING}
`

func (e netSuiteERP) settings(url, directory string) ([]string, error) {
	codes, key := filepath.Join(directory, "codes.yaml"), filepath.Join(directory, "netsuite.key")
	for path, text := range map[string]string{codes: netSuiteCodes, key: e.Tokens.PrivateKey()} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return nil, fmt.Errorf("write %s: %w", filepath.Base(path), err)
		}
	}
	return []string{
		"MAGELINE_ERP=netsuite", "MAGELINE_NETSUITE_URL=" + url, "MAGELINE_NETSUITE_CLIENT_ID=" + fakenetsuite.ClientID,
		"MAGELINE_NETSUITE_CERTIFICATE_ID=" + fakenetsuite.CertificateID, "MAGELINE_NETSUITE_PRIVATE_KEY_FILE=" + key,
		"MAGELINE_ERP_MAPPING=" + codes, "MAGELINE_ERP_UNCERTAIN_WAIT=3s", // this one commits at once
	}, nil
}

type businessCentralERP struct{ *fakebusinesscentral.Server }

func (e businessCentralERP) faults() *fault.Injector { return e.Faults }
func (e businessCentralERP) is() string {
	return "a simulated Business Central; takes a second order with the same reference without a word"
}

func (e businessCentralERP) number(reference string) string {
	for _, d := range e.Orders(reference) {
		return d.Number
	}
	return ""
}

const businessCentralCodes = `# What the demo's shop is called in the demo's Business Central; docs/erp/businesscentral.md explains it.
tax: {"*": STANDARD}
units: {"*": PCS}
accounts: {guests: GUESTS, shipping: "8400", rounding: "8470"}
`

func (e businessCentralERP) settings(url, directory string) ([]string, error) {
	path := filepath.Join(directory, "codes.yaml")
	if err := os.WriteFile(path, []byte(businessCentralCodes), 0o600); err != nil {
		return nil, fmt.Errorf("write the file of codes: %w", err)
	}
	return []string{
		"MAGELINE_ERP=businesscentral", "MAGELINE_BUSINESSCENTRAL_URL=" + url + fakebusinesscentral.Base,
		"MAGELINE_BUSINESSCENTRAL_COMPANY=" + fakebusinesscentral.CompanyName,
		"MAGELINE_BUSINESSCENTRAL_TOKEN_URL=" + url + fakebusinesscentral.TokenPath,
		"MAGELINE_BUSINESSCENTRAL_CLIENT_ID=" + fakebusinesscentral.ClientID, "MAGELINE_BUSINESSCENTRAL_CLIENT_SECRET=" + fakebusinesscentral.ClientSecret,
		"MAGELINE_ERP_MAPPING=" + path, "MAGELINE_ERP_UNCERTAIN_WAIT=3s", // this one commits at once
	}, nil
}

type finopsERP struct{ *fakefinops.Server }

func (e finopsERP) faults() *fault.Injector { return e.Faults }
func (e finopsERP) is() string {
	return "a simulated Finance & Operations; takes a header and then line after line, and a second order with the same reference without a word"
}

func (e finopsERP) number(reference string) string {
	for _, d := range e.Orders(reference) {
		return d.Number
	}
	return ""
}

const finopsCodes = `# What the demo's shop is called in the demo's Finance & Operations; docs/erp/finops.md explains it.
stores: {"*": {site: "1", warehouse: "11"}}
tax: {"*": FULL}
accounts: {guests: GUESTS, shipping: FREIGHT, rounding: ROUND}
`

func (e finopsERP) settings(url, directory string) ([]string, error) {
	path := filepath.Join(directory, "codes.yaml")
	if err := os.WriteFile(path, []byte(finopsCodes), 0o600); err != nil {
		return nil, fmt.Errorf("write the file of codes: %w", err)
	}
	return []string{
		"MAGELINE_ERP=finops", "MAGELINE_FINOPS_URL=" + url, "MAGELINE_FINOPS_COMPANY=" + fakefinops.Company,
		"MAGELINE_FINOPS_TOKEN_URL=" + url + fakefinops.TokenPath, "MAGELINE_FINOPS_SCOPE=" + fakefinops.Scope,
		"MAGELINE_FINOPS_CLIENT_ID=" + fakefinops.ClientID, "MAGELINE_FINOPS_CLIENT_SECRET=" + fakefinops.ClientSecret,
		"MAGELINE_ERP_MAPPING=" + path, "MAGELINE_ERP_UNCERTAIN_WAIT=3s", // this one commits at once
	}, nil
}
