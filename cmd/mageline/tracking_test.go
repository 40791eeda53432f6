package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
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
	e.want(t, 3, "line 3: order_number is missing\nline 4: tracking_number is missing\nencoding", "")
	e.want(t, 3, `{"order_number":"100","tracking_number":"1Z","carrier_code":"custom"}`, "")

	lines := strings.Split(strings.TrimSpace(call(t, "", "tracking", "check", some, "--json").out), "\n")
	var what struct {
		Encoding, Delimiter string
		Rows, Events        int
		BadRows             int `json:"bad_rows"`
		Columns             map[string]string
		Examples            []map[string]any
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &what); err != nil || lines[0] != `{"line":3,"reason":"order_number is missing"}` ||
		what.Encoding != "UTF-8" || what.Delimiter != "," || what.Rows != 3 || what.Events != 1 || what.BadRows != 2 ||
		what.Columns["order_number"] != "order_number" || len(what.Examples) != 1 {
		t.Errorf("%q, %+v, %v", lines, what, err)
	}

	call(t, "", "tracking", "check", file("odd.csv", "a,b\n1,2\n")).want(t, 1, "", "neither order_number nor tracking_number")
	call(t, "", "tracking", "check", file("empty.csv", "")).want(t, 1, "", "the file is empty")
	call(t, "", "tracking", "check", filepath.Join(dir, "gone.csv")).want(t, 1, "", "no such file")
	call(t, "", "tracking", "check").want(t, 2, "", "accepts 1 arg")
	call(t, "", "tracking").want(t, 2, "Usage", "want check FILE")
	t.Setenv("MAGELINE_TRACKING_COLUMNS", "order_number=a,tracking_number=b")
	call(t, "", "tracking", "check", filepath.Join(dir, "odd.csv")).want(t, 0, "a", "")
	t.Setenv("MAGELINE_TRACKING_COLUMNS", "x=1")
	call(t, "", "tracking", "check", clean).want(t, 2, "", "TRACKING_COLUMNS")
}
