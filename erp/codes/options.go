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
	{ERP: "sap", Name: "tax_as", Values: []string{"erp", "class"}, Doc: "SAP's own tax classification of the material, or that of the file's tax"},
	{ERP: "sap", Name: "shipping_as", Values: []string{"field", "line"}, Doc: "shipping as a price condition of the header, or as an item; the account shipping is the condition type or the material"},
	{ERP: "sap", Name: "extras_as", Values: []string{"item", "condition"}, Doc: "gift cards, fees and the like as items with the account's material, or as price conditions of the header"},
	{ERP: "sap", Name: "payment_as", Values: []string{"terms", "method", "off"}, Doc: "the property that takes the code of the payment method: CustomerPaymentTerms, PaymentMethod or none"},
	{ERP: "sap", Name: "shipping_method_as", Values: []string{"condition", "type", "off"}, Doc: "the property that takes the code of the shipping method: ShippingCondition, ShippingType or none"},
	{ERP: "sap", Name: "unit_as", Values: []string{"sales", "iso", "sap"}, Doc: "whose code a unit of the file is: that of the log-on language, ISO's, or SAP's internal one"},
	{ERP: "sap", Name: "item_price", Default: "PMP0", Doc: "condition type of the manual price of an item; PR00 or PB00 elsewhere"},
	{ERP: "sap", Name: "ship_to", Default: "WE", Doc: "partner function of the ship-to party as it is sent: WE, SH, or off"},
	{ERP: "sap", Name: "bill_to", Default: "RE", Doc: "partner function of the bill-to party as it is sent: RE, BP, or off"},
	{ERP: "sap", Name: "text_id", Default: "TX01", Doc: "text type of the buyer's note, or off"},
	{ERP: "sap", Name: "rejection_reason", Default: "60", Doc: "reason for rejection of cancelled items, of the customer's own list"},
	{ERP: "sap", Name: "identification_type", Doc: "type of the identification number that is a customer's external id; without it all orders go to the guests' account"},
	{ERP: "sap", Name: "immediate_terms", Default: "0001", Doc: "terms of payment that are none: who has others is never found by e-mail"},
	{ERP: "sap", Name: "customer_role", Default: "FLCU00 FLCU01", Doc: "roles of a business partner that is created"},
	{ERP: "sap", Name: "customer_grouping", Doc: "grouping of a business partner that is created; without it SAP's default"},
	{ERP: "sap", Name: "delivery", Values: []string{"off", "on"}, Doc: "make an outbound delivery of a shipment and post its goods issue"},
	{ERP: "sap", Name: "credit_type", Default: "CR", Doc: "document type of a credit memo request; GA2 in S/4HANA Cloud"},
	{ERP: "sap", Name: "credit_reason", Doc: "order reason of a credit memo request"},
	{ERP: "sap", Name: "credit_block", Doc: "billing block of a credit memo request, for a person to release it"},
	{ERP: "sap", Name: "credit_reference", Values: []string{"none", "order"}, Doc: "whether a credit memo request refers to the order's document"},
	{ERP: "netsuite", Name: "tax_as", Values: []string{"override", "erp", "line"}, Doc: "Magento's tax forced, NetSuite's own, or Magento's tax as a line"},
	{ERP: "netsuite", Name: "shipping_as", Values: []string{"field", "line"}, Doc: "shipping in the header, or as a line"},
	{ERP: "netsuite", Name: "item_by", Default: "itemid", Doc: "column by which an item is looked up: itemid, upccode or another; id: the file has internal ids; externalid: items are named by theirs"},
	{ERP: "netsuite", Name: "line_reference", Doc: "the customer's own column (custcol_…) that takes the shop's id of a row; without it a line is known by the name of its tax"},
	{ERP: "netsuite", Name: "price_level", Default: "-1", Doc: "price level of lines, at which their amounts hold: Custom"},
	{ERP: "netsuite", Name: "order_status", Values: []string{"B", "A", "off"}, Doc: "new orders are pending fulfilment, pending approval, or as the form says"},
	{ERP: "netsuite", Name: "customers", Values: []string{"reference", "guests"}, Doc: "customers of the shop: kept by their external ids, or all as the guests' account"},
	{ERP: "netsuite", Name: "entity_id", Values: []string{"auto", "reference"}, Doc: "who names a new customer: NetSuite, or the shop by the external id"},
	{ERP: "netsuite", Name: "customer_addresses", Values: []string{"create", "replace"}, Doc: "addresses of a customer: only of a new one, or replaced each time"},
	{ERP: "netsuite", Name: "payment_as", Values: []string{"memo", "terms", "option", "off"}, Doc: "the field that takes the payment method: memo, terms by their id, paymentOption by its id, or none"},
	{ERP: "netsuite", Name: "shipping_method_as", Values: []string{"id", "off"}, Doc: "the shipping method: a ship item by its id, or not at all"},
	{ERP: "netsuite", Name: "shipment", Values: []string{"shipped", "packed", "picked", "off"}, Doc: "the status of the item fulfilment of a shipment; off: none is made"},
	{ERP: "netsuite", Name: "package_weight", Doc: "weight of each package of a fulfilment in pounds, where NetSuite wants one"},
	{ERP: "businesscentral", Name: "price_is", Values: []string{"gross", "net"}, Doc: "prices with or without tax"},
	{ERP: "businesscentral", Name: "tax_as", Values: []string{"erp", "line"}, Doc: "Business Central's tax, or Magento's tax as a line"},
	{ERP: "businesscentral", Name: "unit_price_places", Values: []string{"5", "2", "3", "4"}, Doc: "places of a unit price: the company's unit-amount rounding precision"},
	{ERP: "businesscentral", Name: "line_reference", Values: []string{"description2", "off"}, Doc: "where a line has the shop's id of its row"},
	{ERP: "businesscentral", Name: "negative_as", Values: []string{"price", "quantity"}, Doc: "what is below zero in an account line that lowers the total"},
	{ERP: "businesscentral", Name: "customers", Values: []string{"guests", "number"}, Doc: "customers of the shop: all as the guests' account, or numbered by the shop"},
	{ERP: "businesscentral", Name: "payment_as", Values: []string{"comment", "terms", "off"}, Doc: "the payment method: a comment line, payment terms by their id, or not at all"},
	{ERP: "businesscentral", Name: "shipping_method_as", Values: []string{"comment", "id", "off"}, Doc: "the shipping method: a comment line, a shipment method by its id, or not at all"},
	{ERP: "businesscentral", Name: "comments", Values: []string{"on", "off"}, Doc: "the buyer's note and the options of products as comment lines"},
	{ERP: "businesscentral", Name: "credit_memo", Values: []string{"draft", "post"}, Doc: "whether a credit memo is posted or left to a person"},
	{ERP: "businesscentral", Name: "shipment", Values: []string{"off", "post"}, Doc: "whether a shipment is posted, which posts the invoice too"},
	{ERP: "finops", Name: "price_is", Values: []string{"gross", "net"}, Doc: "prices with or without tax"},
	{ERP: "finops", Name: "reference_field", Values: []string{"CustomersOrderReference", "CustomerRequisitionNumber"}, Doc: "where an order has the external reference"},
	{ERP: "finops", Name: "line_reference", Values: []string{"ExternalItemNumber", "OrderLineReference"}, Doc: "where a line has the shop's id of its row"},
	{ERP: "finops", Name: "customers", Values: []string{"guests", "number"}, Doc: "customers of the shop: all as the guests' account, or numbered by the shop"},
	{ERP: "finops", Name: "shipment", Values: []string{"off", "deliver_now"}, Doc: "whether a shipment sets what of its lines is to be delivered now, for a person to post the packing slip"},
	{ERP: "finops", Name: "credit_reason", Doc: "reason code of credit notes"},
})

func withDefaults(all []option) []option {
	for i := range all {
		if all[i].Default == "" && len(all[i].Values) > 0 {
			all[i].Default = all[i].Values[0]
		}
	}
	return all
}
