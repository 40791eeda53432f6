package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/mageline/mageline/test/kit/fakemagento"
)

// catalogue serves a shop with n generated products and one that lacks all that a feed needs.
func catalogue(t *testing.T, n int, front func(shop http.Handler) http.Handler) *fakemagento.Server {
	t.Helper()
	shop := fakemagento.New(fakemagento.Options{Stores: []fakemagento.Store{
		{ID: 1, Code: "en", Name: "English", WebsiteID: 1, Locale: "en_US", Timezone: "Europe/Berlin", BaseCurrency: "EUR"},
		{ID: 2, Code: "de", Name: "Deutsch", WebsiteID: 1, Locale: "de_DE", Timezone: "Europe/Berlin", BaseCurrency: "EUR"},
	}})
	shop.Generate(n)
	shop.AddProduct(fakemagento.Product{SKU: "=BARE", Name: "Bare"})
	handler := http.Handler(shop)
	if front != nil {
		handler = front(shop)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(func() { shop.Close(); server.Close() })
	environment(t, "MAGENTO_URL", server.URL, "MAGENTO_TOKEN", "any", "SEARCH_ATTRIBUTES", "color")
	return shop
}

// item is one of a feed: its attributes, several of one name divided by line breaks.
type item map[string]string

func readFeed(t *testing.T, path string) []item {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var rss struct {
		Version string `xml:"version,attr"`
		Channel struct {
			Title, Link, Description string
			Items                    []struct {
				Members []struct {
					XMLName xml.Name
					Value   string `xml:",chardata"`
				} `xml:",any"`
			} `xml:"item"`
		} `xml:"channel"`
	}
	d := xml.NewDecoder(file)
	if err := d.Decode(&rss); err != nil || rss.Version != "2.0" {
		t.Fatal(rss.Version, err)
	}
	if _, err := d.Token(); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	var all []item
	for _, one := range rss.Channel.Items {
		i := item{}
		for _, m := range one.Members {
			if m.XMLName.Space != "http://base.google.com/ns/1.0" {
				t.Fatalf("attribute %v", m.XMLName)
			}
			if i[m.XMLName.Local] != "" {
				i[m.XMLName.Local] += "\n"
			}
			i[m.XMLName.Local] += m.Value
		}
		all = append(all, i)
	}
	return all
}

var (
	priceForm = regexp.MustCompile(`^(\d+\.\d{2}) [A-Z]{3}$`)
	whenForm  = regexp.MustCompile(`^(\S+)/(\S+)$`)
	weighs    = regexp.MustCompile(`^\d+(\.\d+)? (kg|g|lb|oz)$`)
	digits    = regexp.MustCompile(`^\d+$`)
)

// problems returns what Google's product data specification has against an item, which is written from the specification and shares
// nothing with what makes the feed.
func (i item) problems() (all []string) {
	say := func(name, format string, args ...any) {
		all = append(all, fmt.Sprintf("%s %q: %s", name, i[name], fmt.Sprintf(format, args...)))
	}
	for name, most := range map[string]int{"id": 50, "title": 150, "description": 5000, "link": 2000, "image_link": 2000, "availability": 20, "price": 20} {
		switch n := utf8.RuneCountInString(i[name]); {
		case n == 0:
			say(name, "is required")
		case n > most:
			say(name, "has %d characters, %d are possible", n, most)
		}
	}
	for name, most := range map[string]int{"item_group_id": 50, "brand": 70, "mpn": 70, "gtin": 50, "product_type": 750, "color": 100, "size": 100, "material": 200} {
		if n := utf8.RuneCountInString(i[name]); n > most {
			say(name, "has %d characters, %d are possible", n, most)
		}
	}
	for _, name := range []string{"link", "image_link"} {
		if u, err := url.Parse(i[name]); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			say(name, "is no absolute address")
		}
	}
	if more := strings.Split(i["additional_image_link"], "\n"); len(more) > 10 {
		say("additional_image_link", "is there %d times, 10 are possible", len(more))
	}
	for name, words := range map[string][]string{
		"availability": {"in_stock", "out_of_stock", "preorder", "backorder"}, "condition": {"", "new", "refurbished", "used"}, "identifier_exists": {"", "yes", "no"},
	} {
		if !slices.Contains(words, i[name]) {
			say(name, "is none of %q", words)
		}
	}
	for _, name := range []string{"price", "sale_price"} {
		m := priceForm.FindStringSubmatch(i[name])
		if m == nil && (name == "price" || i[name] != "") || m != nil && strings.Trim(m[1], "0.") == "" {
			say(name, "is no price")
		}
	}
	if when := i["sale_price_effective_date"]; when != "" {
		m := whenForm.FindStringSubmatch(when)
		if m == nil || i["sale_price"] == "" {
			say("sale_price_effective_date", "wants two times and a sale_price")
		} else {
			from, err1 := time.Parse("2006-01-02T15:04Z0700", m[1])
			to, err2 := time.Parse("2006-01-02T15:04Z0700", m[2])
			if err1 != nil || err2 != nil || !from.Before(to) {
				say("sale_price_effective_date", "is no period")
			}
		}
	}
	known := i["gtin"] != "" || i["mpn"] != "" && i["brand"] != ""
	if known == (i["identifier_exists"] == "no") {
		say("identifier_exists", "with gtin %q, mpn %q and brand %q", i["gtin"], i["mpn"], i["brand"])
	}
	if g := i["gtin"]; g != "" && (!digits.MatchString(g) || !slices.Contains([]int{8, 12, 13, 14}, len(g))) {
		say("gtin", "is no GTIN")
	}
	if w := i["shipping_weight"]; w != "" && !weighs.MatchString(w) {
		say("shipping_weight", "is no weight")
	}
	return all
}

func TestExportProducts_MerchantFeedObeysTheSpecification(t *testing.T) {
	shop := catalogue(t, 400, nil)
	out := filepath.Join(t.TempDir(), "feed.xml")
	e := call(t, "", "export", "products", "--format", "google-merchant", "--store", "de", "--out", out, "--json")
	got := decode[exported](t, e)
	if e.code != exitPartial || got.Store != "de" || got.Products != shop.Generated()+1 || got.Rejected != 1 || got.Rejects != out+".rejected.csv" {
		t.Fatalf("exit %d, %+v", e.code, got)
	}
	items := readFeed(t, out)
	if len(items) != got.Items {
		t.Errorf("%d items, %d are counted", len(items), got.Items)
	}
	ids, groups, sales := map[string]bool{}, map[string]int{}, 0
	for n, i := range items {
		for _, p := range i.problems() {
			t.Errorf("item %d, %s: %s", n+1, i["id"], p)
		}
		if ids[i["id"]] {
			t.Errorf("%s is there twice", i["id"])
		}
		ids[i["id"]] = true
		if g := i["item_group_id"]; g != "" {
			groups[g]++
			if i["color"] == "" || !strings.Contains(i["link"], "#") {
				t.Errorf("variant %v", i)
			}
		}
		if i["sale_price"] != "" {
			sales++
		}
	}
	// Of 20 products one is configurable with three variants.
	if len(groups) != 20 || groups[fakemagento.GeneratedSKU(0)] != 3 || ids[fakemagento.GeneratedSKU(0)] || !ids[fakemagento.GeneratedSKU(1)] || sales == 0 {
		t.Errorf("%d groups, %v; %d sale prices", len(groups), groups, sales)
	}
	if !strings.Contains(items[0]["title"], "(de)") {
		t.Errorf("the title is %q, not that of the store view", items[0]["title"])
	}
	rows := readTable(t, got.Rejects)
	if len(rows) != 2 || rows[1][0] != "'=BARE" || rows[1][2] != "description image_link" || rows[1][3] == "" || got.Lacks["image_link"] != 1 {
		t.Errorf("rejected %q, %v", rows, got.Lacks)
	}
	if len(items) != got.Products-20-1+60 {
		t.Errorf("%d items of %d products", len(items), got.Products)
	}
	onlyFiles(t, out, "feed.xml", "feed.xml.rejected.csv")
}

func readTable(t *testing.T, path string) [][]string {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// onlyFiles fails if there are others beside a file.
func onlyFiles(t *testing.T, path string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(want)
	if !slices.Equal(names, want) {
		t.Errorf("files %q, want %q", names, want)
	}
}

func TestExportProducts_TableAndLines(t *testing.T) {
	shop := catalogue(t, 200, nil)
	dir := t.TempDir()
	table, lines := filepath.Join(dir, "p.csv"), filepath.Join(dir, "p.jsonl")
	call(t, "", "export", "products", "--format", "csv", "--out", table).want(t, exitWell, "written to", "")
	call(t, "", "export", "products", "--format", "jsonl", "--out", lines).want(t, exitWell, fmt.Sprint(shop.Generated()+1), "")
	rows := readTable(t, table)
	text, err := os.ReadFile(lines)
	if err != nil {
		t.Fatal(err)
	}
	documents := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(rows) != shop.Generated()+2 || len(documents) != shop.Generated()+1 {
		t.Fatalf("%d rows, %d lines, of %d products", len(rows), len(documents), shop.Generated()+1)
	}
	column := slices.Index(rows[0], "sku")
	for n, line := range documents {
		var d struct {
			SKU, Store string
		}
		if err := json.Unmarshal([]byte(line), &d); err != nil || d.Store != "en" {
			t.Fatalf("line %d: %v, %s", n+1, err, line)
		}
		if sku := strings.TrimPrefix(rows[n+1][column], "'"); sku != d.SKU {
			t.Errorf("row %d has %s, line %s", n+1, sku, d.SKU)
		}
	}
	onlyFiles(t, table, "p.csv", "p.jsonl")
}

// Whatever ends it, the file is what it was before.
func TestExportProducts_InterruptedLeavesNoHalfFile(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var pages atomic.Int32
	catalogue(t, 500, func(shop http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/V1/products") && pages.Add(1) == 5 {
				cancel()
			}
			shop.ServeHTTP(w, r)
		})
	})
	out := filepath.Join(t.TempDir(), "feed.xml")
	if err := os.WriteFile(out, []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	stale := filepath.Join(filepath.Dir(out), ".feed.xml.123.part")
	if err := os.WriteFile(stale, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(stale, time.Time{}, time.Now().Add(-2*staleParts)); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	code := run(ctx, []string{"export", "products", "--format", "google-merchant", "--out", out}, terminal{in: strings.NewReader(""), out: &said, err: &said})
	text, err := os.ReadFile(out)
	if code != exitFailed || err != nil || string(text) != "before" || pages.Load() < 5 {
		t.Errorf("exit %d after %d pages, the file has %.60q, %v; %s", code, pages.Load(), text, err, said.String())
	}
	onlyFiles(t, out, "feed.xml")
	call(t, "", "export", "products", "--format", "google-merchant", "--out", out)
	if info, err := os.Stat(out); err != nil || info.Mode().Perm() != 0o600 || len(readFeed(t, out)) == 0 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestExportProducts_RefusesWhatCantBe(t *testing.T) {
	catalogue(t, 0, nil)
	dir := t.TempDir()
	out := filepath.Join(dir, "p.csv")
	call(t, "", "export").want(t, exitUsage, "export products", "want products")
	call(t, "", "export", "products", "--format", "xls", "--out", out).want(t, exitUsage, "", "want csv, jsonl or google-merchant")
	call(t, "", "export", "products", "--format", "csv").want(t, exitUsage, "", "--out is missing")
	call(t, "", "export", "products", "--format", "csv", "--out", dir).want(t, exitFailed, "", "is no file")
	call(t, "", "export", "products", "--format", "csv", "--out", filepath.Join(dir, "missing", "p.csv")).want(t, exitFailed, "", "no such file or directory")
	call(t, "", "export", "products", "--format", "csv", "--store", "xx", "--out", out).want(t, exitFailed, "", `no store view "xx"`)
	onlyFiles(t, out)
	environment(t)
	call(t, "", "export", "products", "--format", "csv", "--out", out).want(t, exitUsage, "", "MAGELINE_MAGENTO_URL")
}
