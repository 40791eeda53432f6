package businesscentral_test

import (
	"strings"
	"testing"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/erptest"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/test/kit/fakebusinesscentral"
)

// left is a cancellation after which so much of line 1001 is still to be shipped, and shipped was.
func left(shipped, open string) erp.Cancellation {
	return erp.Cancellation{Reason: "canceled in Magento", Lines: []erp.CancellationLine{{
		Reference: "1001", SKU: told("24-MB01"), Quantity: quantity("1"),
		Row: erp.Row{Ordered: quantity("2"), Shipped: quantity(shipped), Open: quantity(open)},
	}}}
}

func TestCancel_OfALineTakesOnceHoweverOftenItIsSent(t *testing.T) {
	r := newRig(t, fakebusinesscentral.Options{}, plain, nil)
	d := r.create(erptest.Order("ET-1"))
	for range 3 {
		if err := r.Cancel(t.Context(), erp.Call{Key: "c"}, erp.Document{Number: d.Number}, left("0", "1")); err != nil {
			t.Fatal(err)
		}
	}
	if q := r.booked("ET-1").Lines[0].Quantity; !q.Equal(quantity("1").Decimal) {
		t.Errorf("the line has %s, want 1", q)
	}
	if err := r.Cancel(t.Context(), erp.Call{Key: "d"}, erp.Document{Number: d.Number}, left("0", "0")); err != nil {
		t.Fatal(err)
	}
	if q := r.booked("ET-1").Lines[0].Quantity; !q.IsZero() {
		t.Errorf("the line has %s, want none", q)
	}
}

// Where lines have no reference, only an item that is there once tells the line.
func TestCancel_LineByItsItem(t *testing.T) {
	r := newRig(t, fakebusinesscentral.Options{}, plain+"options: {line_reference: off}\n", nil)
	d := r.create(erptest.Order("ET-1"))
	if err := r.Cancel(t.Context(), erp.Call{}, d, left("0", "1")); err != nil {
		t.Fatal(err)
	}
	if q := r.booked("ET-1").Lines[0].Quantity; !q.Equal(quantity("1").Decimal) {
		t.Errorf("the line has %s, want 1", q)
	}
	o := erptest.Order("ET-2")
	o.Lines[1].SKU = o.Lines[0].SKU
	d = r.create(o)
	err := r.Cancel(t.Context(), erp.Call{}, d, left("0", "1"))
	if event.ClassOf(err) != event.Rejected || !strings.Contains(err.Error(), "2 of its lines") {
		t.Errorf("the error is %v, want rejected", err)
	}
}

func TestCancel_WhatThePeopleOfTheERPHaveDone(t *testing.T) {
	whole := erp.Cancellation{Complete: true}
	for name, tt := range map[string]struct {
		act      func(f *fakebusinesscentral.Server, number string)
		call     erp.Call
		what     erp.Cancellation
		class    event.Class // "": it is cancelled
		text     string
		lineLeft string
	}{
		"released, whole":       {act: (*fakebusinesscentral.Server).Release, what: whole},
		"released, a line":      {act: (*fakebusinesscentral.Server).Release, what: left("0", "1"), class: event.Rejected, text: "Status must be equal to 'Open'"},
		"shipped, whole":        {act: func(f *fakebusinesscentral.Server, n string) { f.Ship(n, 1) }, what: whole, class: event.Rejected, text: "Qty. Shipped Not Invoiced"},
		"shipped, what is open": {act: func(f *fakebusinesscentral.Server, n string) { f.Ship(n, 1) }, what: left("1", "0"), lineLeft: "1"},
		"posted, whole":         {act: (*fakebusinesscentral.Server).Post, what: whole, class: event.Rejected, text: "PS-INV"},
		"posted, uncertain":     {act: (*fakebusinesscentral.Server).Post, call: erp.Call{Attempt: erp.Attempt{Uncertain: true}}, what: whole, class: event.Rejected, text: "PS-INV"},
		"posted, a line":        {act: (*fakebusinesscentral.Server).Post, what: left("0", "1"), class: event.Rejected, text: "credit memo"},
		"deleted, whole":        {act: (*fakebusinesscentral.Server).Delete, what: whole, class: event.NotFound, text: "no such order"},
		"deleted, uncertain":    {act: (*fakebusinesscentral.Server).Delete, call: erp.Call{Attempt: erp.Attempt{Uncertain: true}}, what: whole},
		"edited, a line":        {act: func(f *fakebusinesscentral.Server, n string) { f.Edit(n, 0, 5) }, what: left("0", "1"), lineLeft: "1"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, fakebusinesscentral.Options{}, plain, nil)
			d := r.create(erptest.Order("ET-1"))
			tt.act(r.fake, d.Number)
			err := r.Cancel(t.Context(), tt.call, erp.Document{Number: d.Number}, tt.what)
			switch {
			case tt.class == "" && err != nil:
				t.Error(err)
			case tt.class != "" && (event.ClassOf(err) != tt.class || !strings.Contains(err.Error(), tt.text)):
				t.Errorf("the error %v has class %s; want %s with %q", err, event.ClassOf(err), tt.class, tt.text)
			}
			if got := r.booked("ET-1"); tt.lineLeft != "" && !got.Lines[0].Quantity.Equal(quantity(tt.lineLeft).Decimal) {
				t.Errorf("the line has %s, want %s", got.Lines[0].Quantity, tt.lineLeft)
			}
		})
	}
}
