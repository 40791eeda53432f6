package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

func TestTrackingCheck_NamesBadRows(t *testing.T) {
	// Nothing is connected to.
	environment(t, "AMQP_URL", "amqp://127.0.0.1:1/", "DATABASE_URL", "postgres://127.0.0.1:1/x", "TRACKING_CARRIERS", "DHL Paket=dhl")
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	clean := file("clean.csv", "Order Number;tracking_number;carrier_code\n100;1Z;DHL Paket\n101;2Z;\n")
	call(t, "", "tracking", "check", clean).want(t, 0, `delimiter               ";"`, "")
	some := file("some.csv", "order_number,tracking_number\n100,1Z\n,2Z\n\"100\",\n")
	e := call(t, "", "tracking", "check", some)
	e.want(t, 3, "line 3: order_number is missing\nline 4: tracking_number is missing\nprofile", "")
	e.want(t, 3, `{"order_number":"100","tracking_number":"1Z","carrier_code":"custom"}`, "")

	var what checked
	if out := call(t, "", "tracking", "check", some, "--json").out; json.Unmarshal([]byte(out), &what) != nil || what.File != some || what.Error != nil ||
		len(what.Parcels) != 1 || len(what.Bad) != 2 || what.Bad[0] != (rowSeen{3, "order_number is missing"}) || what.Profile != nil {
		t.Errorf("%s, %+v", out, what)
	}
	call(t, "", "tracking", "check", clean, some).want(t, 3, some+":\nline 3: order_number is missing", "")

	call(t, "", "tracking", "check", file("odd.csv", "a,b\n1,2\n")).want(t, 1, "", "neither order_number nor tracking_number")
	call(t, "", "tracking", "check", file("empty.csv", "")).want(t, 1, "", "the file is empty")
	call(t, "", "tracking", "check", filepath.Join(dir, "gone.csv")).want(t, 1, "", "no such file")
	call(t, "", "tracking", "check").want(t, 2, "", "requires at least 1 arg")
	call(t, "", "tracking").want(t, 2, "Usage", "want check FILE, profiles or resend FILE")
	t.Setenv("MAGELINE_TRACKING_COLUMNS", "order_number=a,tracking_number=b")
	call(t, "", "tracking", "check", filepath.Join(dir, "odd.csv")).want(t, 0, "a", "")
	call(t, "", "tracking", "check", "--columns", "order_number=b,tracking_number=a", filepath.Join(dir, "odd.csv")).want(t, 0, `{"order_number":"2","tracking_number":"1"`, "")
	call(t, "", "tracking", "check", "--columns", "x", clean).want(t, 2, "", "--columns")
	call(t, "", "tracking", "check", "--profile", "shipstaton", clean).want(t, 2, "", "did you mean shipstation?")
	call(t, "", "tracking", "check", "--profile", "shipstation", clean).want(t, 1, "", "profile shipstation: the header has no tracking_number")
	t.Setenv("MAGELINE_TRACKING_COLUMNS", "x=1")
	call(t, "", "tracking", "check", clean).want(t, 2, "", "TRACKING_COLUMNS")
}

func TestTrackingCheck_ProposesColumns(t *testing.T) {
	environment(t)
	for header, want := range map[string]string{
		"Shop;Bestell-Nr.;Sendungsnummer;Versanddienstleister;Menge;Artikelnummer": `MAGELINE_TRACKING_COLUMNS="order_number=Bestell-Nr.,tracking_number=Sendungsnummer,carrier_code=Versanddienstleister,sku=Artikelnummer,quantity=Menge"`,
		"N° de commande;Numéro de suivi;Transporteur":                              `MAGELINE_TRACKING_COLUMNS="order_number=N° de commande,tracking_number=Numéro de suivi,carrier_code=Transporteur"`,
		"Número de pedido;Nº de seguimiento;Transportista":                         `tracking_number: "Nº de seguimiento"`,
		"Numero d'ordine,Lettera di vettura,Corriere,Quantità":                     `order_number: "Numero d'ordine"`,
		"Bestelnummer,Track & Trace code,Vervoerder,Aantal":                        `tracking_number: "Track & Trace code"`,
		"Ref,Customer PO,PO Number,Waybill No,Waybill Number":                      `tracking_number: "Waybill Number"`,
	} {
		path := filepath.Join(t.TempDir(), "a.csv")
		if err := os.WriteFile(path, []byte("Report\n"+header+"\n1,2\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		call(t, "", "tracking", "check", path).want(t, 1, "", want)
	}
}

func TestTrackingProfiles_ListsAndPrints(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "profiles.yaml")
	if err := os.WriteFile(file, []byte("- name: north\n  extends: shipstation\n  source_code: north\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	environment(t, "TRACKING_PROFILES", file)
	call(t, "", "tracking", "profiles").want(t, 0, "north", "")
	call(t, "", "tracking", "profiles").want(t, 0, "usps-click-n-ship", "")
	printed := call(t, "", "tracking", "profiles", "fedex")
	printed.want(t, 0, "- name: fedex", "")
	call(t, "", "tracking", "profiles", "dhll").want(t, 1, "", "did you mean dhl?")
	if err := os.WriteFile(file, []byte(printed.out), 0o600); err != nil {
		t.Fatal(err)
	}
	call(t, "", "tracking", "profiles", "--json").want(t, 0, `"name":"fedex"`, "")
	if err := os.WriteFile(file, []byte("- name: x\n  colums: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	call(t, "", "tracking", "profiles").want(t, 2, "", "did you mean columns?")
}
