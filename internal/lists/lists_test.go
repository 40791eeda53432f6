package lists_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/encoding/charmap"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/internal/lists"
	"github.com/mageline/mageline/internal/table"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// A result is what a list becomes.
type result struct {
	list    *lists.List
	bodies  []string
	entries []string // "sku price …", in their order
	bad     []string // "line: reason"
}

func read(t *testing.T, content string, f lists.Format) (r result, err error) {
	t.Helper()
	if f.AsOf.IsZero() {
		f.AsOf = noon
	}
	r.list, err = lists.Open(strings.NewReader(content), f)
	if err != nil {
		return r, err
	}
	err = r.list.Each(func(m lists.Message) error {
		r.bodies = append(r.bodies, string(m.Body))
		n := len(r.entries)
		if m.Topic == lists.TopicStock {
			stock, err := event.ParseStock(m.Body)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range stock.Items {
				text := fmt.Sprint(i.SKU, " ", i.SourceCode, " ", i.Quantity)
				if i.InStock != nil {
					text += fmt.Sprint(" ", *i.InStock)
				}
				r.entries = append(r.entries, text)
			}
		} else {
			prices, err := event.ParsePrices(m.Body)
			if err != nil {
				t.Fatal(err)
			}
			if !prices.AsOf.Equal(f.AsOf) {
				t.Errorf("as of %s", prices.AsOf)
			}
			for _, p := range prices.Prices {
				text := fmt.Sprint(p.SKU, " ", p.Price.Decimal)
				switch prices.Type {
				case event.SpecialPrices:
					text += fmt.Sprint(" ", p.From, " ", p.To)
				case event.TierPrices:
					text += fmt.Sprint(" ", p.TierType, " ", p.CustomerGroup, " ", p.Quantity)
				}
				if p.StoreID != 0 {
					text += fmt.Sprint(" in ", p.StoreID)
				}
				r.entries = append(r.entries, text)
			}
		}
		if len(r.entries)-n != m.Entries {
			t.Errorf("a message of %d entries says %d", len(r.entries)-n, m.Entries)
		}
		return nil
	}, func(b *table.BadRow) error {
		r.bad = append(r.bad, fmt.Sprintf("%d: %s", b.Line, b.Reason))
		return nil
	})
	return r, err
}

func good(t *testing.T, content string, f lists.Format) result {
	t.Helper()
	r, err := read(t, content, f)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestDecimals_ByTheColumnsOwnEvidence(t *testing.T) {
	const doubt = "can be read with a thousands separator"
	for name, c := range map[string]struct {
		decimal byte
		cells   []string
		want    string // prices; ? for a bad row
	}{
		"a comma that leaves no doubt":     {0, []string{"12,50", "1.234", "1,234", "7"}, "12.5 1234 1.234 7"},
		"a point that leaves no doubt":     {0, []string{"12.50", "1,234", "1.234"}, "12.5 1234 1.234"},
		"both in one number":               {0, []string{"1.234,56", "2.345"}, "1234.56 2345"},
		"both, the other way round":        {0, []string{"1,234.56", "2,345"}, "1234.56 2345"},
		"two of thousands":                 {0, []string{"1.234.567", "2.345", "2,5"}, "1234567 2345 2.5"},
		"no evidence":                      {0, []string{"1.234", "99", "100"}, "? 99 100"},
		"no evidence, commas":              {0, []string{"1,234", "99"}, "? 99"},
		"a zero in front":                  {0, []string{"0.500", "1.234"}, "0.5 1.234"},
		"four digits in front":             {0, []string{"1234,567", "1.234"}, "1234.567 1234"},
		"evidence of both kinds":           {0, []string{"1,5", "1.5", "1.234"}, "1.5 1.5 ?"},
		"named, a comma":                   {',', []string{"1.234", "1,234"}, "1234 1.234"},
		"named, a point":                   {'.', []string{"1.234", "1,234", "12,5"}, "1.234 1234 ?"},
		"apostrophes":                      {0, []string{"1'234.50", "12’345.00", "1'2345"}, "1234.5 12345 ?"},
		"blanks":                           {0, []string{"1 234,50", "12\u00a0345,00", "1\u202f234"}, "1234.5 12345 1234"},
		"currencies and signs":             {0, []string{"€ 12,50", "13,5 EUR", "CHF 14,25", "+3,5"}, "12.5 13.5 14.25 3.5"},
		"no numbers":                       {0, []string{"free", "1.2.3", "12,34,5", "1..5", "n/a", "1,5E+3"}, "? ? ? ? ? ?"},
		"below zero":                       {0, []string{"-1.50", "2.50-"}, "? ?"},
		"no whole part, and no fraction":   {0, []string{",5", "7,"}, "0.5 7"},
		"more decimals than Magento keeps": {0, []string{"1,12345678"}, "?"},
	} {
		t.Run(name, func(t *testing.T) {
			content := "sku;price\n"
			for i, cell := range c.cells {
				content += fmt.Sprintf("S%d;%s\n", i, cell)
			}
			r := good(t, content, lists.Format{Decimal: c.decimal})
			var got []string
			next := 0
			for i := range c.cells {
				if next < len(r.entries) && strings.HasPrefix(r.entries[next], fmt.Sprintf("S%d ", i)) {
					got = append(got, strings.Fields(r.entries[next])[1])
					next++
				} else {
					got = append(got, "?")
				}
			}
			if strings.Join(got, " ") != c.want || len(r.bad) != strings.Count(c.want, "?") {
				t.Errorf("got %q, bad %q", got, r.bad)
			}
			if strings.HasPrefix(name, "no evidence") && (!strings.Contains(r.bad[0], doubt) || !strings.Contains(r.bad[0], "--decimal")) {
				t.Errorf("the reason is %q", r.bad[0])
			}
		})
	}
}

func TestHeaders_InSixLanguages(t *testing.T) {
	for header, c := range map[string]struct {
		stock bool
		want  string
	}{
		"SKU,Price":                        {false, "A 12.5"},
		"Product Number,Price (EUR)":       {false, "A 12.5"},
		"Artikel-Nr.;Verkaufspreis EUR":    {false, "A 12.5"},
		"Artikelnummer\tPreis in €":        {false, "A 12.5"},
		"Référence;Prix de vente":          {false, "A 12.5"},
		"Code article|Prix H.T.":           {false, "A 12.5"},
		"Código;Precio":                    {false, "A 12.5"},
		"Referencia;Precio de venta (EUR)": {false, "A 12.5"},
		"Codice articolo;Prezzo":           {false, "A 12.5"},
		"Artikelcode;Prijs":                {false, "A 12.5"},
		"Bestelnummer;Verkoopprijs":        {false, "A 12.5"},
		"SKU,Qty":                          {true, "A default 12.5"},
		"Artikelnummer;Lagerbestand":       {true, "A default 12.5"},
		"Référence;Quantité":               {true, "A default 12.5"},
		"Referencia;Existencias":           {true, "A default 12.5"},
		"Codice;Giacenza":                  {true, "A default 12.5"},
		"Artikelnummer;Voorraad":           {true, "A default 12.5"},
	} {
		t.Run(header, func(t *testing.T) {
			d := header[strings.IndexAny(header, ",;\t|"):][:1]
			r := good(t, header+"\nA"+d+"12.5\n", lists.Format{Stock: c.stock})
			if fmt.Sprint(r.entries) != "["+c.want+"]" {
				t.Errorf("got %q, bad %q, columns %v", r.entries, r.bad, r.list.Columns)
			}
		})
	}
}

func TestTypes_AsTheHeaderSays(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		format  lists.Format
		want    []string
	}{
		"special by its column": {
			"sku;Sonderpreis;gültig ab;gültig bis\nA;9,95;27.11.2026;2026-11-30 23:59:59\n",
			lists.Format{},
			[]string{"A 9.95 2026-11-27 00:00:00 2026-11-30 23:59:59"},
		},
		"special because it was said": {
			"sku,price,from,to,store_id\nA,9.95,2026-11-27T08:00:00,,2\n",
			lists.Format{Type: event.SpecialPrices},
			[]string{"A 9.95 2026-11-27 08:00:00  in 2"},
		},
		"base, beside a special price":  {"sku,special_price,price\nA,1.5,2.5\n", lists.Format{}, []string{"A 2.5"}},
		"the special price of the same": {"sku,special_price,price\nA,1.5,2.5\n", lists.Format{Type: event.SpecialPrices}, []string{"A 1.5  "}},
		"tier by its columns": {
			"sku;Preis;Kundengruppe;ab Menge\nA;9,95;General;10\nA;8 %;;100\nB;1,5;Retailer;5\n",
			lists.Format{},
			[]string{"A 9.95 fixed General 10", "A 8 discount ALL GROUPS 100", "B 1.5 fixed Retailer 5"},
		},
		"tier because it was said": {"sku,price,qty,price_type\nA,9.5,10,discount\n", lists.Format{Type: event.TierPrices}, []string{"A 9.5 discount ALL GROUPS 10"}},
		"other names, said":        {"Nr,Name,VK 1\nA,thing,9.5\n", lists.Format{Columns: map[string]string{"sku": "nr", "price": "vk 1"}}, []string{"A 9.5"}},
		"no header, by number":     {"x;A;9,5\ny;B;1,25\n", lists.Format{Columns: map[string]string{"sku": "2", "price": "3"}}, []string{"A 9.5", "B 1.25"}},
		"stock with a source": {
			"sku,qty,warehouse,in stock\nA,5,berlin,0\nB,0,,yes\n",
			lists.Format{Stock: true, Source: "paris"},
			[]string{"A berlin 5 false", "B paris 0 true"},
		},
		"lines in front, and a separator": {"Price list of today\nsep=;\nsku;price\n=\"007\";1,5\n'008;2\n", lists.Format{}, []string{"007 1.5", "008 2"}},
	} {
		t.Run(name, func(t *testing.T) {
			if r := good(t, c.content, c.format); !slices.Equal(r.entries, c.want) {
				t.Errorf("got %q, want %q; bad %q, columns %v", r.entries, c.want, r.bad, r.list.Columns)
			}
		})
	}
}

func TestEach_NamesBadRows(t *testing.T) {
	long := strings.Repeat("x", 65)
	r := good(t, "sku,price,store_id\n,1.5,\nA,,\n1.23E+11,1.5,\n"+long+",1.5,\nB,1.5,default\nC,1.5,0,surplus\nD,2.5,1\n", lists.Format{})
	if !slices.Equal(r.entries, []string{"D 2.5 in 1"}) {
		t.Errorf("got %q", r.entries)
	}
	want := []string{"2: sku is empty", "3: price is empty", "4: sku was turned into a power of ten", "5: sku", "6: store_id must be", "7: the row has more cells"}
	for i, begin := range want {
		if i >= len(r.bad) || !strings.HasPrefix(r.bad[i], begin) {
			t.Errorf("%d: got %q, want %q", i, r.bad, begin)
		}
	}
	special := good(t, "sku,price,from\nA,1.5,03/04/2026\n", lists.Format{Type: event.SpecialPrices})
	if len(special.bad) != 1 || !strings.HasPrefix(special.bad[0], "2: price_from must be a date") {
		t.Errorf("got %q", special.bad)
	}
	stock := good(t, "sku,qty,status\nA,5,Enabled\nB,5%,1\n", lists.Format{Stock: true})
	if len(stock.bad) != 2 || len(stock.entries) != 0 {
		t.Errorf("got %q and %q", stock.bad, stock.entries)
	}
}

// Of rows with one key the last one counts, however often the list is read.
func TestEach_TakesTheLastOfRepeatedRows(t *testing.T) {
	content := "sku,price,store_id\nA,1.5,\na,2.5,0\nA,3.5,1\nB,1.5,\nA,4.5,0\n"
	r := good(t, content, lists.Format{})
	if want := []string{"A 3.5 in 1", "B 1.5", "A 4.5"}; !slices.Equal(r.entries, want) || r.list.Repeated != 2 {
		t.Errorf("got %q, %d repeated", r.entries, r.list.Repeated)
	}
	again := good(t, content, lists.Format{})
	if !slices.Equal(r.bodies, again.bodies) {
		t.Errorf("read twice: %q and %q", r.bodies, again.bodies)
	}
}

func TestEach_MakesMessagesOf500(t *testing.T) {
	var b strings.Builder
	b.WriteString("sku,price\n")
	for i := range 1203 {
		price := "1.50"
		if i%100 == 7 {
			price = "-1.50" // which only the reader of messages refuses
		}
		fmt.Fprintf(&b, "S%04d,%s\n", i, price)
	}
	r := good(t, b.String(), lists.Format{})
	var sizes []int
	for _, body := range r.bodies {
		var m struct {
			Type   string
			Prices []json.RawMessage
		}
		if err := json.Unmarshal([]byte(body), &m); err != nil || m.Type != "base" {
			t.Fatal(err, m.Type)
		}
		sizes = append(sizes, len(m.Prices))
	}
	if !slices.Equal(sizes, []int{500, 500, 191}) || len(r.bad) != 12 || !slices.IsSorted(r.entries) {
		t.Errorf("messages of %v, %d bad rows", sizes, len(r.bad))
	}
	failure := errors.New("the broker is away")
	if err := r.list.Each(func(lists.Message) error { return failure }, func(*table.BadRow) error { return nil }); !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
}

func TestOpen_ReadsAnyEncoding(t *testing.T) {
	latin, err := charmap.Windows1252.NewEncoder().String("Référence;Prix €\nÄ1;1,5\n")
	if err != nil {
		t.Fatal(err)
	}
	if r := good(t, latin, lists.Format{}); !slices.Equal(r.entries, []string{"Ä1 1.5"}) || r.list.About.Encoding != table.Windows1252 {
		t.Errorf("got %q in %s", r.entries, r.list.About.Encoding)
	}
}

func TestOpen_SaysWhatIsMissing(t *testing.T) {
	for content, want := range map[string]string{
		"name,stock\nA,1\n":    "the header has no sku and no price among its 2 columns",
		"sku,name\nA,1\n":      "the header has no price among its 2 columns",
		"":                     "the file is empty",
		"sku,price\nA\x00,1\n": "is not text",
	} {
		_, err := read(t, content, lists.Format{})
		var u *table.UnusableError
		if !errors.As(err, &u) || !strings.Contains(u.Reason, want) {
			t.Errorf("%q: got %v, want %q", content, err, want)
		}
	}
	for name, f := range map[string]lists.Format{
		"an unknown column": {Columns: map[string]string{"colour": "Farbe"}},
		"names and numbers": {Columns: map[string]string{"sku": "1", "price": "Preis"}},
		"no number of one":  {Columns: map[string]string{"sku": "1"}},
		"an unknown type":   {Type: "cost"},
		"a separator":       {Decimal: ';'},
		"a column of stock": {Columns: map[string]string{"source_code": "Lager"}},
	} {
		if _, err := read(t, "sku,price\nA,1\n", f); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Bad rows are written while the list is read, far behind its beginning too.
func TestNewRejected_WhileAListIsRead(t *testing.T) {
	var b strings.Builder
	b.WriteString("sku,price\n")
	const rows = 30_000
	for i := range rows {
		price := "1.50"
		if i == rows-10 {
			price = "free"
		}
		fmt.Fprintf(&b, "S%06d,%s\n", i, price)
	}
	list, err := lists.Open(strings.NewReader(b.String()), lists.Format{AsOf: noon})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	entries := 0
	err = list.Each(func(m lists.Message) error {
		entries += m.Entries
		return nil
	}, func(bad *table.BadRow) error {
		rejected, err := list.NewRejected(&out)
		if err != nil {
			return err
		}
		return rejected.Write(bad)
	})
	if err != nil || entries != rows-1 || strings.Count(out.String(), "\n") != 2 {
		t.Errorf("%d entries, %v, rejected %q", entries, err, out.String())
	}
}

func TestNewRejected_WritesWhatCanBeReadAgain(t *testing.T) {
	list, err := lists.Open(strings.NewReader("sku;price\nA;1.234\nB;2\n"), lists.Format{AsOf: noon})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	rejected, err := list.NewRejected(&out)
	if err != nil {
		t.Fatal(err)
	}
	if err := list.Each(func(lists.Message) error { return nil }, rejected.Write); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(out.String(), "sku;price;line;reason\nA;1.234;2;") {
		t.Errorf("got %q", out.String())
	}
	if r := good(t, strings.Replace(out.String(), "1.234", "1,234", 1)+"C;1,5\n", lists.Format{}); !slices.Equal(r.entries, []string{"A 1.234", "C 1.5"}) {
		t.Errorf("got %q, bad %q", r.entries, r.bad)
	}
}
