package netsuite_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/erptest"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/test/kit/fakenetsuite"
)

const email = "vesna.testperson@fixture.example"

func TestCreate_WhoAnOrderIsBookedFor(t *testing.T) {
	guest := func(o *erp.SalesOrder) { o.Customer.ID, o.Customer.Guest = nil, told(true) }
	const nobody, new, there = "9000", "new", "there"
	for name, tt := range map[string]struct {
		codes         string
		change        func(o *erp.SalesOrder)
		email, terms  string // of a customer who is there
		twice         bool   // there are two with the address
		want          string
		wantReference string // of the customer who is there
	}{
		"a new customer":                          {codes: plain, want: new},
		"adopted by e-mail, whatever the case":    {codes: plain, email: strings.ToUpper(email), want: there, wantReference: "C42"},
		"adopted with payment terms":              {codes: plain, email: email, terms: "2", want: there, wantReference: "C42"},
		"not adopted where two have the address":  {codes: plain, email: email, twice: true, want: new},
		"guest":                                   {codes: plain, change: guest, email: email, want: nobody},
		"guest of a store":                        {codes: plain + `stores: {default: {guests: "10000"}}`, change: guest, want: "10000"},
		"guest by e-mail":                         {codes: plain + "guests: {match_email: true}", change: guest, email: email, want: there},
		"guest by e-mail who buys on account":     {codes: plain + "guests: {match_email: true}", change: guest, email: email, terms: "2", want: nobody},
		"guest by an e-mail that two have":        {codes: plain + "guests: {match_email: true}", change: guest, email: email, twice: true, want: nobody},
		"guest by an e-mail that nobody has":      {codes: plain + "guests: {match_email: true}", change: guest, want: nobody},
		"guest by an e-mail that can't be asked":  {codes: plain + "guests: {match_email: true}", change: func(o *erp.SalesOrder) { guest(o); o.Customer.Email = told(`"a"@fixture.example`) }, want: nobody},
		"customers are not kept":                  {codes: guests, email: email, want: nobody},
		"customers are not kept, match by e-mail": {codes: guests + "guests: {match_email: true}", email: email, want: nobody},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, fakenetsuite.Options{}, tt.codes, nil)
			known := ""
			if tt.email != "" {
				known = r.fake.AddCustomer("Vesna", tt.email, tt.terms)
			}
			if tt.twice {
				r.fake.AddCustomer("Vesna again", tt.email, "")
			}
			for _, reference := range []string{"ET-1", "ET-2"} {
				o := erptest.Order(reference)
				if tt.change != nil {
					tt.change(&o)
				}
				r.create(o)
				got := r.booked(reference).Entity
				switch tt.want {
				case there:
					if got != known {
						t.Errorf("%s is for %s, want %s", reference, got, known)
					}
				case new:
					all := r.fake.Customers()
					if last := all[len(all)-1]; last.Reference != "C42" || last.ID != got {
						t.Errorf("%s is for %s, and NetSuite has %+v", reference, got, all)
					}
				default:
					if got != tt.want {
						t.Errorf("%s is for %s, want %s", reference, got, tt.want)
					}
				}
			}
			for _, c := range r.fake.Customers() {
				if c.ID == known && c.Reference != tt.wantReference {
					t.Errorf("the customer who is there has the external id %q, want %q", c.Reference, tt.wantReference)
				}
			}
		})
	}
}

func customer() erp.CustomerRecord {
	return erp.CustomerRecord{
		ID: 42, GroupID: told(int64(2)), Email: told(email), FirstName: told("Vesna"), LastName: told("Testperson"), ExternalReference: "C42", Store: erp.Store{Code: told("default")},
		Addresses: []erp.CustomerAddress{{DefaultBilling: true, DefaultShipping: true, Address: erp.Address{
			FirstName: told("Vesna"), LastName: told("Testperson"), Street: []string{"Geheimweg 7"}, City: told("Leipzig"), Postcode: told("04109"), Country: told("DE"),
		}}},
	}
}

func TestWriteCustomer_AddsAndChanges(t *testing.T) {
	r := newRig(t, fakenetsuite.Options{OneWorld: true}, plain+`
stores: {default: {company: "2", payment_terms: "7"}}
customer_groups: {"2": {price_group: "5", customer_group: "6"}}
`, nil)
	for range 2 {
		if _, err := r.WriteCustomer(t.Context(), call("c"), customer()); err != nil {
			t.Fatal(err)
		}
	}
	changed := customer()
	changed.LastName, changed.Email = told("Neu"), told("neu@fixture.example")
	d, err := r.WriteCustomer(t.Context(), call("c"), changed)
	if err != nil {
		t.Fatal(err)
	}
	all := r.fake.Customers()
	if len(all) != 1 || all[0].Reference != "C42" || all[0].ID != d.ID || all[0].Values["lastName"] != "Neu" || all[0].Values["email"] != "neu@fixture.example" ||
		len(all[0].Addresses) != 1 || fmt.Sprint(all[0].Values["subsidiary"], all[0].Values["priceLevel"], all[0].Values["category"], all[0].Values["terms"]) != "map[id:2] map[id:5] map[id:6] map[id:7]" {
		t.Errorf("NetSuite has %+v", all)
	}
}

func TestWriteCustomer_Addresses(t *testing.T) {
	r := newRig(t, fakenetsuite.Options{}, plain+"options: {customer_addresses: replace}\n", nil)
	for _, city := range []string{"Leipzig", "Berlin"} {
		c := customer()
		c.Addresses[0].City = told(city)
		if _, err := r.WriteCustomer(t.Context(), call("c"), c); err != nil {
			t.Fatal(err)
		}
		if a := r.fake.Customers()[0].Addresses; len(a) != 1 || !strings.Contains(fmt.Sprint(a), city) {
			t.Errorf("the addresses are %+v, want one in %s", a, city)
		}
	}
}

func TestWriteCustomer_CompaniesAndPeopleWithoutAName(t *testing.T) {
	r := newRig(t, fakenetsuite.Options{}, plain, nil)
	company := customer()
	company.Company = &erp.Company{Name: told("Testperson GmbH")}
	nobody := customer()
	nobody.ExternalReference, nobody.FirstName, nobody.LastName, nobody.Email = "C43", nil, nil, told("b@fixture.example")
	half := customer()
	half.ExternalReference, half.FirstName, half.Email = "C44", nil, told("c@fixture.example")
	for _, c := range []erp.CustomerRecord{company, nobody, half} {
		if _, err := r.WriteCustomer(t.Context(), call("c"), c); err != nil {
			t.Fatal(err)
		}
	}
	all := r.fake.Customers()
	if all[0].Values["companyName"] != "Testperson GmbH" || all[0].Values["isPerson"] != false || all[1].Values["companyName"] != "C43" ||
		all[2].Values["firstName"] != "-" || all[2].Values["lastName"] != "Testperson" {
		t.Errorf("NetSuite has %+v", all)
	}
}

// Where NetSuite does not number customers by itself, two of one name clash, which is no second record with the external id.
func TestWriteCustomer_NameThatAnotherHas(t *testing.T) {
	r := newRig(t, fakenetsuite.Options{NamesByHand: true}, plain, nil)
	r.fake.AddCustomer("Vesna Testperson", "", "")
	_, err := r.WriteCustomer(t.Context(), call("c"), customer())
	if event.ClassOf(err) != event.Rejected || !event.IsNotDone(err) || !strings.Contains(err.Error(), "entity_id: reference") {
		t.Errorf("the error is %v", err)
	}
	own := newRig(t, fakenetsuite.Options{NamesByHand: true}, plain+"options: {entity_id: reference}\n", nil)
	own.fake.AddCustomer("Vesna Testperson", "", "")
	if _, err := own.WriteCustomer(t.Context(), call("c"), customer()); err != nil {
		t.Error(err)
	}
}

func TestWriteCustomer_IsOffForGuestsAccounts(t *testing.T) {
	r := newRig(t, fakenetsuite.Options{}, guests, nil)
	var off *erp.Off
	if _, err := r.WriteCustomer(t.Context(), call("c"), customer()); !errors.As(err, &off) {
		t.Errorf("the error is %v", err)
	}
}
