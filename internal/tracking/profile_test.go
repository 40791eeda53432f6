package tracking_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/mageline/mageline/internal/table"
	"github.com/mageline/mageline/internal/tracking"
)

// lines reads a file by a profile, and returns its parcels and rows in short form: "order number carrier items", "bad 3", "skipped 4".
func lines(t *testing.T, p *tracking.Profile, content string) (all []string) {
	t.Helper()
	f := strings.NewReader(content)
	about, err := table.Look(f)
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Open(f, about)
	if err != nil {
		return []string{err.Error()}
	}
	r.Skipped = func(line int, _ string) { all = append(all, fmt.Sprint("skipped ", line)) }
	for {
		p, bad, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			return all
		case err != nil:
			return append(all, err.Error())
		case bad != nil:
			all = append(all, fmt.Sprint("bad ", bad.Line))
		default:
			text := fmt.Sprint(p.OrderNumber, " ", p.TrackingNumber, " ", p.CarrierCode)
			if p.Title != "" {
				text += " " + p.Title
			}
			for _, i := range p.Items {
				text += fmt.Sprint(" ", i.Quantity, "x", i.SKU)
			}
			if p.Joins != "" {
				text += " joins " + p.Joins
			}
			if p.Pad != nil {
				text += " unpadded"
			}
			all = append(all, text)
		}
	}
}

func TestProfile_ReadsAsItSays(t *testing.T) {
	const header = "Order Number;Tracking Number;Carrier Code;SKU;Quantity;Status\n"
	tests := []struct {
		name, profile, content string
		want                   []string
	}{
		{"the first of several columns that is not empty", "columns: {order_number: [Shop, Channel], tracking_number: T}", "Channel;Shop;T\nC1;S1;1Z\nC2;;2Z\n;;3Z\n", []string{"S1 1Z custom", "C2 2Z custom", "bad 4"}},
		{"a match, on the cell as it is", `order_number: {match: '^#(\d+)$', pad: false}`, header + "#77;1Z\n77;2Z\n", []string{"77 1Z custom unpadded", "bad 3"}},
		{"texts that are removed", `order_number: {remove: ["."]}`, header + "100.000.001;1Z\n", []string{"100000001 1Z custom"}},
		{"several orders", `order_number: {split: [",", " und "]}`, header + "1, 2;1Z,2Z\n3 UND 4;3Z\n5,6;4Z;;A;1\n", []string{
			"1 1Z custom", "1 2Z custom joins 1Z", "2 1Z custom", "2 2Z custom joins 1Z", "3 3Z custom", "4 3Z custom", "bad 4",
		}},
		{"a number in a link", `tracking_number: {match: 'n=(\w+)'}`, header + "1;https://a.example/?n=1Z&x\n2;https://a.example/\n3;n=3Z n=4Z\n", []string{"1 1Z custom", "bad 3", "3 3Z custom", "3 4Z custom joins 3Z"}},
		{"a text before a number", `tracking_number: {remove: ["DPD "]}`, header + "1;DPD 0155\n", []string{"1 0155 custom"}},
		{"a split of the profile's", `split: [" + "]`, header + "1;1Z/2 + 3Z\n", []string{"1 1Z/2 custom", "1 3Z custom joins 1Z/2"}},
		{"skip comes before all else", `skip: [{column: Status, equals: ["VOID", ""]}]`, header + "1;1Z;;;;ok\n;;;;x;void \n;;;;;;;y\n2;N/A;;;;\n", []string{"1 1Z custom", "skipped 3", "skipped 4", "skipped 5"}},
		{"only", `only: [{column: Status, equals: [sent]}, {column: SKU, equals: [a]}]`, header + "1;1Z;;A;;sent\n2;2Z;;B;;sent\n3;3Z;;A;;x\n", []string{"skipped 3", "skipped 4", "1 1Z custom xA"}},
		{"a rule without its column", `skip: [{column: Voided, equals: [Y]}]`, header + "1;1Z\n", []string{"profile p: the header has no column for a rule of skip or only, which nobody can go by then: correct the profile, or the header"}},
		{"continuation rows", "continuation: true", header + ";;;X;1;\n1;1Z;;A;1;\n;;;B;2;\n;;;;;note\n2;;;C;1;\n;;;D;1;\n3;3Z;;E;1;\n;;;F;0;\n;;;G;1;\n", []string{
			"bad 2", "1 1Z custom 1xA 2xB", "bad 6", "bad 7", "3 3Z custom 1xE", "bad 9", "bad 10",
		}},
		{"what goes on with a skipped row", `{continuation: true, skip: [{column: Status, equals: [x]}]}`, header + "1;1Z;;A;1;x\n;;;B;1;\n2;2Z;;C;1;\n;;;D;1;x\n;;;E;1;\n", []string{
			"skipped 2", "skipped 3", "skipped 5", "2 2Z custom 1xC 1xE",
		}},
		{"carriers", `{carriers: {GLS: gls, "Chrono*": chronopost, "Chrono Fr*": frigo}, carrier: Bote, title: Velo}`, header +
			"1;1Z;gls\n2;2Z;CHRONO 13\n3;3Z;chrono fresh\n4;4Z;Ups-Standard\n5;5Z;\n6;6Z;Upside\n7;7Z;frigo\n", []string{
			"1 1Z gls gls", "2 2Z chronopost CHRONO 13", "3 3Z frigo chrono fresh", "4 4Z ups Ups-Standard", "5 5Z custom Velo", "6 6Z custom Upside", "7 7Z frigo frigo",
		}},
		{"a carrier of the shop's by its code", "carrier: gls", header + "1;1Z\n", []string{"1 1Z gls"}},
		{"numbers without a header", "columns: {order_number: 2, tracking_number: 1}", "1Z;1;x;y\n2Z;2\n", []string{"1 1Z custom", "2 2Z custom"}},
		{"numbers with one", "columns: {order_number: 2, tracking_number: 1}", "Paket;Auftrag\n2Z;2\n", []string{"2 2Z custom"}},
		{"names and numbers", "columns: {order_number: Auftrag, tracking_number: 3}", "Auftrag;T;T\n1;x1;1Z\n", []string{"1 1Z custom"}},
		{"a column that is nowhere", `columns: {quantity: "-"}`, header + "1;1Z;;A;0,0;\n", []string{"1 1Z custom xA"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := tt.profile
			if strings.HasPrefix(text, "{") {
				text = "{name: p, " + text[1:]
			} else {
				text = "name: p\n" + text
			}
			if got := lines(t, profile(text), tt.content); !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(tt.want))) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestParse_NamesWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"- {name: a, colums: {}}":                          "profiles.yaml:1: profile a: there is no key colums: did you mean columns?",
		"- name: a\n  columns: {ordernumber: x}":           "profiles.yaml:2: profile a: there is no key columns.ordernumber: did you mean order_number?",
		"- {name: a, order_number: {match: '('}}":          "is no regular expression",
		"- {name: a, order_number: {match: 'x'}}":          "has 0 groups: want one",
		"- {name: a, order_number: {match: '(a)(b)'}}":     "has 2 groups: want one",
		"- {name: a, tracking_number: {pad: true}}":        "there is no key tracking_number.pad",
		"- {name: a, columns: {order_number: 0}}":          "columns are numbered from 1",
		"- {name: a, columns: {order_number: 1}}":          "the numbers of order_number and tracking_number are needed",
		"- {name: a, columns: {order_number: '-'}}":        "must be somewhere",
		"- {name: a, extends: shipstaton}":                 "did you mean shipstation?",
		"- {name: a, extends: b}\n- {name: b, extends: a}": "circle",
		"- {name: a}\n- {name: a}":                         "there is a profile of this name already",
		"- {pattern: '*'}":                                 "needs a name",
		"- {name: a, name: b}":                             "name is there twice",
		"- {name: a, delimiter: ab}":                       "one character",
		"- {name: a, encoding: utf-7}":                     "is not known",
		"- {name: a, skip: [{column: x}]}":                 "needs a column and what it equals",
		"- {name: a, skip: [{colum: x, equals: y}]}":       "there is no key skip.colum: did you mean column?",
		"- {name: a, carriers: {x: 'a b'}}":                "must be a carrier code",
		"- {name: a, pattern: 'a/b'}":                      "glob of file names",
		"- {name: a, continuation: maybe}":                 "must be true or false",
		"- {name: a, split: ['']}\n- x":                    "a profile must be a mapping",
		"name: [":                                          "is no YAML",
		"x":                                                "want a list of profiles",
	} {
		if _, err := tracking.Parse("profiles.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\n%v, want %s", text, err, want)
		}
	}
	for _, text := range []string{"", "profiles:\n- name: a", "profiles: {a: {title: x}}", "name: a", "a: {title: x}", "---\nname: a\n---\nname: b", `[{"name":"a","columns":{"order_number":["x",2]}}]`} {
		if _, err := tracking.Parse("profiles.yaml", []byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestParse_ExtendsWhatIsNotWritten(t *testing.T) {
	all, err := tracking.Parse("test", []byte(`
- name: south
  extends: north
  title: Süd
- name: north
  extends: shipstation
  source_code: north
  columns: {order_number: "Custom Field 1"}
  order_number: {pad: false}
  carriers: {UPS: ups_own}
`))
	if err != nil {
		t.Fatal(err)
	}
	ready := tracking.NewProfiles(nil, nil).Named("shipstation")
	for _, p := range all {
		if p.SourceCode != "north" || p.Columns["order_number"][0].Name != "Custom Field 1" || p.Columns["sku"][0] != ready.Columns["sku"][0] ||
			!slices.Equal(p.Header, ready.Header) || len(p.Skip) != len(ready.Skip) || !p.Order.NoPad || p.Carriers["UPS"] != "ups_own" {
			t.Errorf("%+v", p)
		}
	}
	if all[0].Title != "Süd" || all[0].Hash() == all[1].Hash() || len(ready.Carriers) > 0 || ready.Order.NoPad {
		t.Errorf("%+v, %+v", all[0], ready)
	}
}

func TestProfiles_ChooseOne(t *testing.T) {
	const shipstation = "Order - Number,Shipment - Tracking Number\n1,1Z\n"
	const plain = "order_number,tracking_number\n1,1Z\n"
	const mine = "Auftrag,Sendung\n1,1Z\n"
	columns := "columns: {order_number: Auftrag, tracking_number: Sendung}"
	fallback := map[string][]tracking.Column{"order_number": {{Name: "Auftrag"}}, "tracking_number": {{Name: "Sendung"}}}
	for _, tt := range []struct {
		name, profiles, named, file, content, want string
		fallback                                   map[string][]tracking.Column
	}{
		{"none", "", "", "a.csv", plain, "", nil},
		{"ready-made", "", "", "a.csv", shipstation, "shipstation", nil},
		{"a folder", "- {name: north, " + columns + "}", "", "north/a.csv", mine, "north", nil},
		{"a folder of a ready-made one", "", "", "gls/a.txt", mine, "gls", nil},
		{"a folder without a profile", "", "", "other/a.csv", shipstation, "shipstation", nil},
		{"what is named comes first", "- {name: north, pattern: '*'}", "dhl", "north/a.csv", mine, "dhl", nil},
		{"a pattern, whatever the case", "- {name: north, pattern: 'NW_*.csv'}", "", "nw_1.CSV", mine, "north", nil},
		{"the shop's before a ready-made one", "- {name: north, pattern: '*'}", "", "a.csv", shipstation, "north", nil},
		{"a header before a pattern", "- {name: a, pattern: '*'}\n- {name: b, header: [Auftrag], " + columns + "}", "", "a.csv", mine, "b", nil},
		{"more of the header", "- {name: a, header: [Auftrag], " + columns + "}\n- {name: b, header: [Auftrag, Sendung], " + columns + "}", "", "a.csv", mine, "b", nil},
		{"more of the name", "- {name: a, pattern: '*.csv'}\n- {name: b, pattern: 'a*.csv'}", "", "a.csv", mine, "b", nil},
		{"one that extends", "- {name: a, header: [Auftrag], " + columns + "}\n- {name: b, extends: a}", "", "a.csv", mine, "b", nil},
		{"equal patterns", "- {name: a, pattern: '*.csv'}\n- {name: b, pattern: '*.csv'}", "", "a.csv", mine, "error: a and b", nil},
		{"equal headers", "- {name: a, header: [Auftrag], " + columns + "}\n- {name: b, header: [Sendung], " + columns + "}", "", "a.csv", mine, "error: a and b", nil},
		{"a header without what is needed", "- {name: a, header: [Auftrag]}", "", "a.csv", mine, "", nil},
		{"a header split by its own delimiter", "- {name: a, delimiter: '^', header: [Auftrag], " + columns + "}", "", "a.csv", strings.ReplaceAll(mine, ",", "^"), "a", nil},
		{"the variables", "", "", "a.csv", mine, "default", fallback},
		{"the variables where they do not fit", "", "", "a.csv", shipstation, "shipstation", fallback},
		{"a profile before the variables", "- {name: a, pattern: '*'}", "", "a.csv", mine, "a", fallback},
		{"an unknown one", "", "dhll", "a.csv", mine, "error: did you mean dhl?", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			shop, err := tracking.Parse("test", []byte(tt.profiles))
			if err != nil {
				t.Fatal(err)
			}
			var f *tracking.Profile
			if tt.fallback != nil {
				f = &tracking.Profile{Name: tracking.DefaultProfile, Columns: tt.fallback}
			}
			content := strings.NewReader(tt.content)
			about, err := table.Look(content)
			if err != nil {
				t.Fatal(err)
			}
			p, err := tracking.NewProfiles(shop, f).Choose(content, about, tracking.Source{Path: tt.file, Profile: tt.named})
			if reason, wants := strings.CutPrefix(tt.want, "error: "); wants {
				if err == nil || !strings.Contains(err.Error(), reason) {
					t.Errorf("%v, want %s", err, reason)
				}
				return
			}
			if err != nil || p.Name != tt.want {
				t.Errorf("%+v, %v, want %q", p, err, tt.want)
			}
		})
	}
}

// What TRACKING_CARRIERS and TRACKING_SOURCE_CODE say counts for ready-made profiles too.
func TestProfiles_OverlayReadyMadeOnes(t *testing.T) {
	ps := tracking.NewProfiles(nil, &tracking.Profile{Carriers: map[string]string{"DPD": "dpd"}, SourceCode: "main"})
	got := lines(t, ps.Named("mintsoft"), "Order Number,External Order Reference,Courier,Tracking Number\n1,1,DPD,1Z\n2,2,UPS,2Z\n")
	if want := []string{"1 1Z dpd DPD", "2 2Z ups UPS"}; !slices.Equal(got, want) || ps.Named("mintsoft").SourceCode != "main" {
		t.Errorf("%q, want %q", got, want)
	}
	if !slices.Equal(ps.Codes(), []string{"dpd"}) {
		t.Errorf("codes %q", ps.Codes())
	}
}

// Each ready-made profile can be printed, changed and read again, and no two of them are for the same header.
func TestReadyMade_StandsAlone(t *testing.T) {
	names := tracking.ReadyMade()
	for _, vendor := range []string{
		"shipstation", "shipbob", "shiphero", "shipworks", "shippo", "easypost", "sendcloud", "dhl", "dpd", "gls", "hermes", "ups-worldship", "fedex",
		"usps-click-n-ship", "royal-mail", "postnl", "amazon", "linnworks", "mintsoft", "peoplevox", "netsuite", "odoo", "xtento",
	} {
		if !slices.Contains(names, vendor) {
			t.Errorf("there is no profile %s", vendor)
		}
	}
	headers := map[string]string{}
	for _, name := range names {
		text, ok := tracking.ReadyMadeText(name)
		all, err := tracking.Parse(name, []byte(text))
		if !ok || err != nil || len(all) != 1 || all[0].Name != name {
			t.Errorf("%s: %v, %v", name, all, err)
			continue
		}
		if len(all[0].Header) == 0 {
			continue // by a folder or a pattern
		}
		header := strings.Join(slices.Sorted(slices.Values(all[0].Header)), "|")
		if other := headers[header]; other != "" {
			t.Errorf("%s and %s have one header", name, other)
		}
		headers[header] = name
		// A file with all that the profile reads is read by it.
		var columns []string
		for _, ours := range slices.Sorted(maps.Keys(all[0].Columns)) {
			for _, c := range all[0].Columns[ours] {
				if c.Name != "-" && !slices.Contains(columns, c.Name) {
					columns = append(columns, c.Name)
				}
			}
		}
		for _, h := range all[0].Header {
			if !slices.ContainsFunc(columns, func(c string) bool { return table.Folded(c) == table.Folded(h) }) {
				columns = append(columns, h)
			}
		}
		f := strings.NewReader(strings.Join(columns, "\t") + "\n")
		about, err := table.Look(f)
		if err != nil {
			t.Fatal(err)
		}
		if p, err := tracking.NewProfiles(nil, nil).Choose(f, about, tracking.Source{Path: "a.csv"}); err != nil || p.Name != name {
			t.Errorf("%s: its header is read by %+v, %v", name, p, err)
		}
	}
}

// A file of profiles is read, or what is wrong is said; what was read reads any file.
func FuzzParse(f *testing.F) {
	for _, name := range tracking.ReadyMade() {
		text, _ := tracking.ReadyMadeText(name)
		f.Add([]byte(text), []byte("Order Number;Tracking Number\n1;1Z\n"))
	}
	f.Add([]byte("- &a {name: a, extends: *a}\n- {<<: *a}"), []byte(""))
	f.Add([]byte("{name: a, split: [x, <br>, ß], order_number: {match: '(.)', split: [İ]}, continuation: true}"), []byte("order_number,tracking_number,sku\nİ,1<BR/>2x3\n,,A\n"))
	f.Fuzz(func(t *testing.T, text, content []byte) {
		all, err := tracking.Parse("fuzz", text)
		if err != nil {
			return
		}
		for _, p := range all {
			for _, line := range lines(t, p, string(content)) {
				if line == "" {
					t.Fatal("an empty line")
				}
			}
			p.Hash()
		}
	})
}
