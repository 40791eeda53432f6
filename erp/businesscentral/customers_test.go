package businesscentral_test

import (
	"errors"
	"testing"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/erptest"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/test/kit/fakebusinesscentral"
)

const numbered = plain + "options: {customers: number}\n"

func TestCreate_WhoAnOrderIsBookedFor(t *testing.T) {
	guest := func(o *erp.SalesOrder) { o.Customer.ID, o.Customer.Guest = nil, told(true) }
	for name, tt := range map[string]struct {
		codes  string
		change func(o *erp.SalesOrder)
		email  string // of customer 20000
		want   string
	}{
		"guests' account by default":          {plain, func(*erp.SalesOrder) {}, "", "GUESTS"},
		"guests' account of the store":        {plain + `stores: {default: {guests: WEB-DE}}`, func(*erp.SalesOrder) {}, "", "WEB-DE"},
		"number of the shop":                  {numbered, func(*erp.SalesOrder) {}, "", "C42"},
		"a record of people is not taken":     {numbered, func(*erp.SalesOrder) {}, "vesna.testperson@fixture.example", "C42"},
		"guest":                               {numbered, guest, "vesna.testperson@fixture.example", "GUESTS"},
		"guest by e-mail":                     {plain + "guests: {match_email: true}", guest, "vesna.testperson@fixture.example", "20000"},
		"guest by an e-mail that nobody has":  {plain + "guests: {match_email: true}", guest, "", "GUESTS"},
		"guest by e-mail, but no e-mail told": {plain + "guests: {match_email: true}", func(o *erp.SalesOrder) { guest(o); o.Customer.Email = nil }, "", "GUESTS"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, fakebusinesscentral.Options{}, tt.codes, nil)
			r.fake.AddCustomer("20000", "Somebody", tt.email)
			r.fake.AddCustomer("WEB-DE", "Guests", "")
			for _, reference := range []string{"ET-1", "ET-2"} {
				o := erptest.Order(reference)
				tt.change(&o)
				r.create(o)
				if got := r.booked(reference).Values["customerNumber"]; got != tt.want {
					t.Errorf("%s is booked for %v, want %s", reference, got, tt.want)
				}
			}
		})
	}
}

func TestCreate_CustomersThatCantBeNumbered(t *testing.T) {
	for _, o := range []fakebusinesscentral.Options{{NoManualNumbers: true}, {NoTemplate: true}} {
		r := newRig(t, o, numbered, nil)
		_, err := r.send(erptest.Order("ET-1"))
		if event.ClassOf(err) != event.Invalid || !event.IsNotDone(err) {
			t.Errorf("%+v: the error %v has class %s, want invalid", o, err, event.ClassOf(err))
		}
	}
}

func TestWriteCustomer_CreatesAndChanges(t *testing.T) {
	r := newRig(t, fakebusinesscentral.Options{}, numbered, nil)
	c := erp.CustomerRecord{
		ID: 42, ExternalReference: "C42", Email: told("vesna.testperson@fixture.example"), FirstName: told("Vesnatest"), LastName: told("Testperson"),
		Addresses: []erp.CustomerAddress{{Address: erp.Address{Street: []string{"Geheimweg 7"}, City: told("Leipzig"), Country: told("DE")}, DefaultBilling: true}},
	}
	for _, city := range []string{"Leipzig", "Halle"} {
		c.Addresses[0].City = told(city)
		d, err := r.WriteCustomer(t.Context(), erp.Call{}, c)
		if err != nil || d.Number != "C42" {
			t.Fatalf("document %+v, %v", d, err)
		}
		if got := r.fake.Customer("C42"); got["city"] != city || got["displayName"] != "Vesnatest Testperson" || got["type"] != "Person" {
			t.Errorf("the customer is %v", got)
		}
	}
	c.Company = &erp.Company{Name: told("Testperson GmbH")}
	if _, err := r.WriteCustomer(t.Context(), erp.Call{}, c); err != nil {
		t.Fatal(err)
	}
	if got := r.fake.Customer("C42"); got["displayName"] != "Testperson GmbH" || got["type"] != "Company" {
		t.Errorf("the customer is %v", got)
	}
}

func TestWriteCustomer_WithoutNumbersOfTheShopWritesNothing(t *testing.T) {
	r := newRig(t, fakebusinesscentral.Options{}, plain, nil)
	_, err := r.WriteCustomer(t.Context(), erp.Call{}, erp.CustomerRecord{ID: 42, ExternalReference: "C42"})
	var off *erp.Off
	if !errors.As(err, &off) || r.fake.Requests() > 0 {
		t.Errorf("the error is %v after %d requests", err, r.fake.Requests())
	}
}
