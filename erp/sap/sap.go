// Package sap is the connector to SAP S/4HANA, by its OData 2 services: sales orders (API_SALES_ORDER_SRV), credit memo
// requests, outbound deliveries and business partners. The model of package erp is mapped with the shop's file of codes.
//
// SAP computes prices and taxes itself. A row of the order is one manual price condition with the row's net amount for so many
// units, so that nothing is multiplied; what SAP's tax differs in by then is compared after the create.
package sap

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/codes"
	"github.com/mageline/mageline/erp/erphttp"
	"github.com/mageline/mageline/event"
)

// Options is what the connector needs to know.
type Options struct {
	// URL is the system's address, such as https://my300000-api.s4hana.cloud.sap; the services are under /sap/opu/odata/sap.
	URL string
	// AddressName and CredentialName are what the settings are called that hold URL and the log-on, for errors.
	AddressName, CredentialName string
	// Username and Password are those of the communication user. They are asked before each request.
	Username string
	Password func() string
	// TokenURL is where OAuth's tokens come from, with the client's id and secret, and the scope if the server wants one. With
	// it Username and Password are not used.
	TokenURL, ClientID, Scope string
	ClientSecret              func() string
	// APIKey is sent to an API management in front; nil or "": none.
	APIKey func() string
	// Client is sap-client; "": the system's default. Language is that of texts and messages; "": EN.
	Client, Language string
	// LockCodes are codes of messages that tell of a locked document, beside the texts that do.
	LockCodes []string
	// Codes returns the shop's file of codes as it is now.
	Codes func() *codes.File
	// Prefix is before the external references of customers.
	Prefix string
	// Now tells the time; nil is time.Now.
	Now func() time.Time
}

// Client is the connector. It keeps sessions and a token, and is safe for concurrent use.
type Client struct {
	o                                    Options
	orders, credits, deliveries, partner *service
	token                                token
}

var (
	_ erp.OrderConnector     = (*Client)(nil)
	_ erp.Completer          = (*Client)(nil)
	_ erp.ShipmentReporter   = (*Client)(nil)
	_ erp.CreditMemoReporter = (*Client)(nil)
	_ erp.CustomerWriter     = (*Client)(nil)
)

// root is the path of all services.
const root = "/sap/opu/odata/sap/"

// New makes a connector that calls through c, whose transport may have limits, a circuit and the traceparent header. It
// connects to nothing.
func New(c *http.Client, o Options) (*Client, error) {
	none := func() string { return "" }
	for _, secret := range []*func() string{&o.Password, &o.ClientSecret, &o.APIKey} {
		if *secret == nil {
			*secret = none
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Codes == nil {
		empty := &codes.File{}
		o.Codes = func() *codes.File { return empty }
	}
	if o.Language == "" {
		o.Language = "EN"
	}
	s := &Client{o: o}
	address := strings.TrimSuffix(strings.TrimRight(o.URL, "/"), strings.TrimRight(root, "/"))
	for _, one := range []struct {
		at   **service
		name string
	}{
		{&s.orders, "API_SALES_ORDER_SRV"},
		{&s.credits, "API_CREDIT_MEMO_REQUEST_SRV"},
		{&s.deliveries, "API_OUTBOUND_DELIVERY_SRV;v=0002"},
		{&s.partner, "API_BUSINESS_PARTNER"},
	} {
		sv := &service{sap: s, name: one.name}
		var err error
		sv.http, err = erphttp.New(erphttp.Options{
			HTTP: c, URL: address + root + sv.name, AddressName: o.AddressName, CredentialName: o.CredentialName,
			Authorize: sv.authorize, Secrets: s.secrets, Dialect: Dialect(o.LockCodes), Now: o.Now,
		})
		if err != nil {
			return nil, err
		}
		*one.at = sv
	}
	if o.TokenURL != "" {
		var err error
		s.token.http, err = erphttp.New(erphttp.Options{
			HTTP: c, URL: o.TokenURL, AddressName: "the address of OAuth's tokens", CredentialName: o.CredentialName,
			Authorize: func(req *http.Request, _ []byte, _ bool) error {
				req.SetBasicAuth(o.ClientID, o.ClientSecret())
				return nil
			},
			Secrets: s.secrets,
			// A token server answers a wrong client or scope with 400.
			Dialect: erphttp.Dialect{Rules: []erphttp.Rule{{Status: http.StatusBadRequest, Meaning: erphttp.Meaning{Class: event.Unauthorized, NotDone: true}}}},
			Now:     o.Now,
		})
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *Client) secrets() []string {
	return []string{s.o.Password(), s.o.ClientSecret(), s.o.APIKey()}
}

// lockTexts are what SAP says of a document that somebody works on, in English and in German.
var lockTexts = []string{
	"currently being processed", "is locked by", "already locked", "locked by user", "foreign lock", "is being processed by",
	"gesperrt", "Sperre", "in Bearbeitung",
}

// DefaultLockCodes are the codes of such messages that are known; no published source has them all.
func DefaultLockCodes() []string { return []string{"VL/045", "MC/601", "M3/024"} }

// missingTexts are what SAP says of master data that is not there, in English and in German.
var missingTexts = []string{
	"is not defined", "does not exist", "not maintained", "is not in procedure", "ist nicht vorgesehen", "nicht vorhanden", "existiert nicht", "nicht gepflegt",
}

// Dialect is how SAP words its errors. Business errors come as 400 whatever they are about, so that the text decides.
func Dialect(lockCodes []string) erphttp.Dialect {
	later := erphttp.Meaning{Class: event.Unavailable, NotDone: true}
	d := erphttp.Dialect{Read: readError, Rules: []erphttp.Rule{
		{Status: http.StatusPreconditionFailed, Meaning: later},   // another version of the document than was read
		{Status: http.StatusPreconditionRequired, Meaning: later}, // the same, in other words
		// The service is not active, or this user may not have it.
		{Status: http.StatusNotFound, Code: "/IWFND/MED/170", Meaning: erphttp.Meaning{Class: event.Unauthorized, NotDone: true}},
		{Status: http.StatusServiceUnavailable, Text: "too many requests", Meaning: erphttp.Meaning{Class: event.Throttled}},
		{Status: http.StatusServiceUnavailable, Text: "rate limit", Meaning: erphttp.Meaning{Class: event.Throttled}},
		{Status: http.StatusServiceUnavailable, Text: "quota", Meaning: erphttp.Meaning{Class: event.Throttled}},
	}}
	for _, code := range slices.Concat(DefaultLockCodes(), lockCodes) {
		d.Rules = append(d.Rules, erphttp.Rule{Status: http.StatusBadRequest, Code: code, Meaning: later})
	}
	for _, text := range lockTexts {
		d.Rules = append(d.Rules, erphttp.Rule{Status: http.StatusBadRequest, Text: text, Meaning: later})
	}
	for _, text := range missingTexts {
		d.Rules = append(d.Rules, erphttp.Rule{Status: http.StatusBadRequest, Text: text, Meaning: erphttp.Meaning{Class: event.Invalid, NotDone: true}})
	}
	return d
}

// readError takes the first message of severity error, which names the object; the outer one may be general.
func readError(body []byte) (code, message string) {
	code, message = erphttp.ReadError(body)
	var e struct {
		Error struct {
			Inner struct {
				Details []struct{ Code, Message, Severity string } `json:"errordetails"`
			} `json:"innererror"`
		} `json:"error"`
	}
	if decode(body, &e) != nil {
		return code, message
	}
	for _, d := range e.Error.Inner.Details {
		if d.Severity == "error" && d.Message != "" && !strings.HasPrefix(d.Code, "/IWBEP/CX_") {
			return d.Code, d.Message
		}
	}
	return code, message
}

// service is one OData service, with its session.
type service struct {
	sap  *Client
	name string
	http *erphttp.Client

	mu      sync.Mutex // held while a session is fetched: one asks for all
	session session
}
