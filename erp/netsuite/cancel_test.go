package netsuite_test

import (
	"strings"
	"testing"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/erptest"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/test/kit/fakenetsuite"
)

func call(key string) erp.Call { return erp.Call{Key: key} }

// left is a cancellation after which so much of line 1001 is still to be shipped, and shipped was.
func left(shipped, open string) erp.Cancellation {
	return erp.Cancellation{Reason: "canceled in Magento", Lines: []erp.CancellationLine{{
		Reference: "1001", SKU: told("24-MB01"), Quantity: quantity("1"),
		Row: erp.Row{Ordered: quantity("2"), Shipped: quantity(shipped), Open: quantity(open)},
	}}}
}

// A line that is lowered keeps its share of the amount and of the tax that is forced.
func TestCancel_OfALineTakesOnceHoweverOftenItIsSent(t *testing.T) {
	r := newRig(t, fakenetsuite.Options{}, guests, nil)
	d := r.create(erptest.Order("ET-1"))
	for range 3 {
		if err := r.Cancel(t.Context(), call("c"), erp.Document{Number: d.Number}, left("0", "1")); err != nil {
			t.Fatal(err)
		}
	}
	got := r.booked("ET-1")
	if l := got.Lines[0]; !l.Quantity.Equal(decimal.NewFromInt(1)) || l.Amount.String() != "34" || l.Tax.String() != "6.46" || l.Closed {
		t.Errorf("the line is %+v, want 1 for 34 and 6.46", l)
	}
	if got.Total.String() != "86.87" {
		t.Errorf("the order comes to %s, want 127.33 less 40.46", got.Total)
	}
	if err := r.Cancel(t.Context(), call("d"), erp.Document{Number: d.Number}, left("0", "0")); err != nil {
		t.Fatal(err)
	}
	if l := r.booked("ET-1").Lines; !l[0].Closed || l[1].Closed {
		t.Errorf("the lines are %+v, want the first closed", l)
	}
}

// How a line of the shop is known in NetSuite: by the account's own column, by the name of its tax, by an item that is there once.
func TestCancel_FindsTheLine(t *testing.T) {
	for name, tt := range map[string]struct {
		options fakenetsuite.Options
		codes   string
		twice   bool
		class   event.Class
	}{
		"by the name of its tax": {codes: guests, twice: true},
		"by the column": {
			options: fakenetsuite.Options{LegacyTax: true, Columns: []string{"custcol_row"}}, codes: plain + "options: {customers: guests, tax_as: line, line_reference: custcol_row}\n", twice: true,
		},
		"by its item":           {options: fakenetsuite.Options{LegacyTax: true}, codes: plain + "options: {customers: guests, tax_as: line}\n"},
		"by an item of several": {options: fakenetsuite.Options{LegacyTax: true}, codes: plain + "options: {customers: guests, tax_as: line}\n", twice: true, class: event.Rejected},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, tt.options, tt.codes, nil)
			o := erptest.Order("ET-1")
			if tt.twice {
				o.Lines[1].SKU = o.Lines[0].SKU
			}
			d := r.create(o)
			err := r.Cancel(t.Context(), call("c"), d, left("0", "1"))
			if tt.class != "" {
				if event.ClassOf(err) != tt.class || !strings.Contains(err.Error(), "2 lines") {
					t.Errorf("the error %v has class %s, want %s", err, event.ClassOf(err), tt.class)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if q := r.booked("ET-1").Lines[0].Quantity; !q.Equal(decimal.NewFromInt(1)) {
				t.Errorf("the line has %s, want 1", q)
			}
		})
	}
}

func TestCancel_WhatThePeopleOfTheERPHaveDone(t *testing.T) {
	whole := erp.Cancellation{Complete: true}
	for name, tt := range map[string]struct {
		act      func(f *fakenetsuite.Server, number string)
		what     erp.Cancellation
		class    event.Class // "": it is cancelled
		text     string
		lineLeft string
	}{
		"fulfilled, whole":        {act: func(f *fakenetsuite.Server, n string) { f.Fulfil(n, 1) }, what: whole, class: event.Rejected, text: "fulfilled or billed"},
		"fulfilled, what is open": {act: func(f *fakenetsuite.Server, n string) { f.Fulfil(n, 1) }, what: left("1", "0"), lineLeft: "1"},
		"fulfilled, all of it":    {act: func(f *fakenetsuite.Server, n string) { f.Fulfil(n, 2) }, what: left("0", "1"), class: event.Rejected, text: "less than what is fulfilled"},
		"deleted, whole":          {act: (*fakenetsuite.Server).Delete, what: whole, class: event.NotFound, text: "no order"},
		"edited, a line":          {act: func(f *fakenetsuite.Server, n string) { f.Edit(n, 0, 5) }, what: left("0", "1"), lineLeft: "1"},
		"locked by a workflow":    {act: func(f *fakenetsuite.Server, _ string) { f.LockByWorkflow(1) }, what: whole, class: event.Rejected, text: "workflow"},
		"changed meanwhile":       {act: func(f *fakenetsuite.Server, _ string) { f.Changed(1, 409) }, what: whole, class: event.Unavailable, text: "changed"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, fakenetsuite.Options{}, guests, nil)
			d := r.create(erptest.Order("ET-1"))
			tt.act(r.fake, d.Number)
			err := r.Cancel(t.Context(), call("c"), erp.Document{Number: d.Number}, tt.what)
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
