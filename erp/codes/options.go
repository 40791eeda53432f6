package codes

// option is a choice of how an ERP is served: what differs between installations, or is not certain.
type option struct {
	ERP, Name string
	// Values are those that it takes, the default first; nil is any text, and the default is Default.
	Values  []string
	Default string
	Doc     string
}

// options are all of them. The connector of the ERP asks File.Option; what the choices mean is on the ERP's page in docs/erp.
var options = withDefaults([]option{
	{ERP: "sap", Name: "address", Values: []string{"deep", "patch", "off"}, Doc: "the ship-to address: within the create, by a request of its own after it, or not at all"},
	{ERP: "sap", Name: "price_is", Values: []string{"net", "gross"}, Doc: "what the manual price condition takes"},
	{ERP: "netsuite", Name: "tax_as", Values: []string{"override", "erp", "line"}, Doc: "Magento's tax forced, NetSuite's own, or Magento's tax as a line"},
	{ERP: "netsuite", Name: "shipping_as", Values: []string{"field", "line"}, Doc: "shipping in the header, or as a line"},
	{ERP: "businesscentral", Name: "price_is", Values: []string{"gross", "net"}, Doc: "prices with or without tax"},
	{ERP: "businesscentral", Name: "tax_as", Values: []string{"erp", "line"}, Doc: "Business Central's tax, or Magento's tax as a line"},
	{ERP: "finops", Name: "price_is", Values: []string{"gross", "net"}, Doc: "prices with or without tax"},
})

func withDefaults(all []option) []option {
	for i := range all {
		if all[i].Default == "" && len(all[i].Values) > 0 {
			all[i].Default = all[i].Values[0]
		}
	}
	return all
}
