package businesscentral_test

import (
	"errors"
	"testing"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/erptest"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/test/kit/fakebusinesscentral"
)

func TestReportShipment_IsOffUnlessTheFileSaysOtherwise(t *testing.T) {
	r := newRig(t, fakebusinesscentral.Options{}, plain, nil)
	d := r.create(erptest.Order("ET-1"))
	before := r.fake.Requests()
	var off *erp.Off
	if _, err := r.ReportShipment(t.Context(), erp.Call{}, shipment("S1", d.Number, "2", "1")); !errors.As(err, &off) {
		t.Errorf("error %v, want that it is off", err)
	}
	if n := r.fake.Requests() - before; n != 0 {
		t.Errorf("%d requests, want none", n)
	}
}

func TestReportShipment_OneAfterTheOther(t *testing.T) {
	r := newRig(t, fakebusinesscentral.Options{}, plain+"options: {shipment: post}\n", nil)
	d := r.create(erptest.Order("ET-1"))
	for _, s := range []struct{ first, second, stands string }{
		{"1", "0", "1 and 0 shipped, 1 and 0 invoiced, 1 shipment, gone: false"},
		{"1", "1", "2 and 1 shipped, 2 and 1 invoiced, 2 shipment, gone: true"},
	} {
		if _, err := r.ReportShipment(t.Context(), erp.Call{}, shipment("S"+s.first+s.second, d.Number, s.first, s.second)); err != nil {
			t.Fatal(err)
		}
		if got := stoodShipped(r, "ET-1"); got != s.stands {
			t.Errorf("%s, want %s", got, s.stands)
		}
	}
	if found, err := r.Find(t.Context(), "ET-1"); err != nil || len(found) != 1 || found[0].Number != d.Number {
		t.Errorf("found %+v, error %v: want the order by its invoices", found, err)
	}
}

func TestReportShipment_WhatBusinessCentralRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		before func(r *rig, number string)
		first  string
		class  event.Class
	}{
		"more than is ordered":    {func(*rig, string) {}, "3", event.Rejected},
		"posted by a person":      {func(r *rig, number string) { r.fake.Post(number) }, "1", event.Rejected},
		"deleted by a person":     {func(r *rig, number string) { r.fake.Delete(number) }, "1", event.NotFound},
		"a line that is not ours": {func(r *rig, number string) { r.fake.Relabel(number) }, "1", event.Rejected},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, fakebusinesscentral.Options{}, plain+"options: {shipment: post}\nskus: {\"24-MB01\": OTHER}\n", nil)
			d := r.create(erptest.Order("ET-1"))
			tt.before(r, d.Number)
			_, err := r.ReportShipment(t.Context(), erp.Call{}, shipment("S1", d.Number, tt.first, "0"))
			if event.ClassOf(err) != tt.class || !event.IsNotDone(err) {
				t.Errorf("error %v of class %s, want %s, and certainly not done", err, event.ClassOf(err), tt.class)
			}
		})
	}
}
