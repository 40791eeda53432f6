package magentoapi

import (
	"context"
	"errors"
	"iter"
	"net/http"
)

// CustomersService calls the endpoints of customers, of their addresses and of the groups that they are in. Those named
// after Me need the customer's own token (CustomerToken).
//
// Source of the endpoints: app/code/Magento/Customer/etc/webapi.xml.
type CustomersService struct{ client *Client }

// Customer is an account (app/code/Magento/Customer/Api/Data/CustomerInterface.php).
type Customer struct {
	ID         ID   `json:"id"`
	GroupID    *ID  `json:"group_id"`
	Email      Text `json:"email"` // one account for each website
	Prefix     Text `json:"prefix"`
	Firstname  Text `json:"firstname"`
	Middlename Text `json:"middlename"`
	Lastname   Text `json:"lastname"`
	Suffix     Text `json:"suffix"`
	Dob        Text `json:"dob"` // YYYY-MM-DD
	Gender     *Int `json:"gender"`
	Taxvat     Text `json:"taxvat"`
	WebsiteID  *ID  `json:"website_id"`
	StoreID    *ID  `json:"store_id"`
	CreatedIn  Text `json:"created_in"` // name of the store view
	CreatedAt  Time `json:"created_at"`
	UpdatedAt  Time `json:"updated_at"`

	DefaultBilling  ID `json:"default_billing"` // an address's id
	DefaultShipping ID `json:"default_shipping"`
	// Addresses are all that the customer has. A save deletes those that are not in the list.
	Addresses []CustomerAddress `json:"addresses"`

	ExtensionAttributes ExtensionAttributes `json:"extension_attributes"`
	CustomAttributes    CustomAttributes    `json:"custom_attributes"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (c *Customer) UnmarshalJSON(data []byte) error { return readObject(data, c) }

// MarshalJSON writes what was read with what was changed.
func (c Customer) MarshalJSON() ([]byte, error) { return writeObject(c, c.asRead) }

// CustomerAddress is an entry of a customer's address book (app/code/Magento/Customer/Api/Data/AddressInterface.php).
type CustomerAddress struct {
	ID              ID      `json:"id"` // 0 is a new one
	CustomerID      ID      `json:"customer_id"`
	Region          *Region `json:"region"`
	RegionID        ID      `json:"region_id"`
	CountryID       Text    `json:"country_id"` // ISO 3166-1 alpha-2
	Street          Street  `json:"street"`
	Company         Text    `json:"company"`
	Telephone       Text    `json:"telephone"`
	Postcode        Text    `json:"postcode"`
	City            Text    `json:"city"`
	Prefix          Text    `json:"prefix"`
	Firstname       Text    `json:"firstname"`
	Middlename      Text    `json:"middlename"`
	Lastname        Text    `json:"lastname"`
	Suffix          Text    `json:"suffix"`
	VatID           Text    `json:"vat_id"`
	DefaultShipping Flag    `json:"default_shipping"`
	DefaultBilling  Flag    `json:"default_billing"`

	ExtensionAttributes ExtensionAttributes `json:"extension_attributes"`
	CustomAttributes    CustomAttributes    `json:"custom_attributes"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (a *CustomerAddress) UnmarshalJSON(data []byte) error { return readObject(data, a) }

// MarshalJSON writes what was read with what was changed.
func (a CustomerAddress) MarshalJSON() ([]byte, error) { return writeObject(a, a.asRead) }

// Region is a state, canton or province. ID is 0 where the country has no list of them.
type Region struct {
	ID   ID   `json:"region_id"`
	Code Text `json:"region_code"`
	Name Text `json:"region"`

	asRead
}

// UnmarshalJSON keeps what the type has no field for.
func (r *Region) UnmarshalJSON(data []byte) error { return readObject(data, r) }

// MarshalJSON writes what was read with what was changed.
func (r Region) MarshalJSON() ([]byte, error) { return writeObject(r, r.asRead) }

// Get reads a customer by the id; ErrNotFound if there is none.
//
// GET /V1/customers/:customerId, permission Magento_Customer::customer
func (s *CustomersService) Get(ctx context.Context, id int64) (*Customer, error) {
	return get[Customer](ctx, s.client, endpoint("customers", itoa(id)))
}

// Search reads a page of customers. Without a sort they are sorted by entity_id, which is what the id is called there.
//
// GET /V1/customers/search, permission Magento_Customer::customer
func (s *CustomersService) Search(ctx context.Context, criteria SearchCriteria) (*Page[*Customer], error) {
	return search[Customer](ctx, s.client, endpoint("customers", "search"), "entity_id", criteria)
}

// All gives all customers that a search finds, a page in memory at a time, in the order of their ids: each once, whoever
// comes or goes meanwhile. With a sort of the criteria's own some may come twice or not at all. It ends after an error.
//
// GET /V1/customers/search, permission Magento_Customer::customer
func (s *CustomersService) All(ctx context.Context, criteria SearchCriteria) iter.Seq2[*Customer, error] {
	return walk(ctx, criteria, "entity_id", func(c *Customer) ID { return c.ID }, s.Search)
}

// Create makes an account and gives it as Magento has made it, with its id. Without a password the customer is sent a
// mail to set one. The address must not have an account in the website: that is ErrBadRequest. The endpoint needs no
// credential, but an anonymous call can't choose the group. It is not repeated; the second time, Magento would say that
// there is such an account.
//
// POST /V1/customers
func (s *CustomersService) Create(ctx context.Context, customer *Customer, password string) (*Customer, error) {
	body := map[string]any{"customer": customer}
	if password != "" {
		body["password"] = password
	}
	return s.save(ctx, operation{method: http.MethodPost, path: endpoint("customers")}, body)
}

// Update saves a customer, whose id is in it, and gives it as it is then. What is not set stays as it is, but for the
// addresses: a list deletes those that are not in it (app/code/Magento/Customer/Model/Plugin/UpdateCustomer.php).
//
// It is not repeated: an address without an id would be added twice.
//
// PUT /V1/customers/:customerId, permission Magento_Customer::manage
func (s *CustomersService) Update(ctx context.Context, customer *Customer) (*Customer, error) {
	op := operation{method: http.MethodPut, path: endpoint("customers", itoa(int64(customer.ID)))}
	return s.save(ctx, op, map[string]any{"customer": customer})
}

func (s *CustomersService) save(ctx context.Context, op operation, body any) (*Customer, error) {
	var saved Customer
	if err := s.client.call(ctx, op, body, &saved); err != nil {
		return nil, err
	}
	if saved.ID == 0 {
		return nil, op.unreadable(http.StatusOK, nil, errors.New("a customer without an id"))
	}
	return &saved, nil
}

// Delete deletes an account; its orders stay. It is not repeated: the second time it would be ErrNotFound.
//
// DELETE /V1/customers/:customerId, permission Magento_Customer::delete
func (s *CustomersService) Delete(ctx context.Context, id int64) error {
	return s.client.confirmed(ctx, operation{method: http.MethodDelete, path: endpoint("customers", itoa(id))}, nil)
}

// Me reads the customer whose token is used.
//
// GET /V1/customers/me
func (s *CustomersService) Me(ctx context.Context) (*Customer, error) {
	return get[Customer](ctx, s.client, endpoint("customers", "me"))
}

// UpdateMe saves the customer whose token is used, as Update does; the group, website and store stay as they are. It is
// not repeated, for an address without an id would be added twice.
//
// PUT /V1/customers/me
func (s *CustomersService) UpdateMe(ctx context.Context, customer *Customer) (*Customer, error) {
	return s.save(ctx, operation{method: http.MethodPut, path: endpoint("customers", "me")}, map[string]any{"customer": customer})
}

// Address reads an entry of any customer's address book.
//
// GET /V1/customers/addresses/:addressId, permission Magento_Customer::manage
func (s *CustomersService) Address(ctx context.Context, id int64) (*CustomerAddress, error) {
	return get[CustomerAddress](ctx, s.client, endpoint("customers", "addresses", itoa(id)))
}

// DeleteAddress deletes an entry of any customer's address book. It is not repeated: the second time it would be
// ErrNotFound. To add or change one, save the customer.
//
// DELETE /V1/addresses/:addressId, permission Magento_Customer::manage
func (s *CustomersService) DeleteAddress(ctx context.Context, id int64) error {
	return s.client.confirmed(ctx, operation{method: http.MethodDelete, path: endpoint("addresses", itoa(id))}, nil)
}

// BillingAddress reads a customer's default billing address; nil if there is none.
//
// GET /V1/customers/:customerId/billingAddress, permission Magento_Customer::manage
func (s *CustomersService) BillingAddress(ctx context.Context, customerID int64) (*CustomerAddress, error) {
	return s.orNone(ctx, endpoint("customers", itoa(customerID), "billingAddress"))
}

// ShippingAddress reads a customer's default shipping address; nil if there is none.
//
// GET /V1/customers/:customerId/shippingAddress, permission Magento_Customer::manage
func (s *CustomersService) ShippingAddress(ctx context.Context, customerID int64) (*CustomerAddress, error) {
	return s.orNone(ctx, endpoint("customers", itoa(customerID), "shippingAddress"))
}

// MyBillingAddress reads the default billing address of the customer whose token is used; nil if there is none.
//
// GET /V1/customers/me/billingAddress
func (s *CustomersService) MyBillingAddress(ctx context.Context) (*CustomerAddress, error) {
	return s.orNone(ctx, endpoint("customers", "me", "billingAddress"))
}

// MyShippingAddress reads the default shipping address of the customer whose token is used; nil if there is none.
//
// GET /V1/customers/me/shippingAddress
func (s *CustomersService) MyShippingAddress(ctx context.Context) (*CustomerAddress, error) {
	return s.orNone(ctx, endpoint("customers", "me", "shippingAddress"))
}

// orNone reads an address; the [] that Magento answers for none is one without an id.
func (s *CustomersService) orNone(ctx context.Context, path string) (*CustomerAddress, error) {
	address, err := get[CustomerAddress](ctx, s.client, path)
	if err != nil || address.ID == 0 {
		return nil, err
	}
	return address, nil
}
