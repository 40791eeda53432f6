package lists

import (
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/internal/table"
)

// MessageEntries is how many entries a message has, at most.
const MessageEntries = 500

const allGroups = "ALL GROUPS"

// Message is one to be published.
type Message struct {
	Topic   string
	Body    []byte
	Entries int
	// Line is that of the last row of which an entry is in the message.
	Line int
}

// pending is a row whose entry is not judged yet, or a bad one.
type pending struct {
	bad   *table.BadRow // what it is if Err of its entry is set
	line  int
	known bool // that it is bad
	price event.Price
	item  event.StockItem
}

// Each reads the list from its beginning, and calls message with each message and bad with each bad row. An error of either ends it
// and is returned. It may be called again.
func (l *List) Each(message func(Message) error, bad func(*table.BadRow) error) error {
	r, err := table.NewReader(l.file, l.About, l.options)
	if err != nil {
		return err
	}
	left := make(map[uint64]int, len(l.again))
	for key, n := range l.again {
		left[key] = n
	}
	g := gathering{list: l, message: message, bad: bad}
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			return g.end()
		}
		if err != nil {
			return err
		}
		if row.Fault == "" {
			if key, ok := l.key(row); ok && left[key] > 1 {
				left[key]--
				continue
			}
		}
		if err := g.add(l.read(row)); err != nil {
			return err
		}
	}
}

// NewRejected returns what writes bad rows to w. It does not read the file, and may be called while Each runs.
func (l *List) NewRejected(w io.Writer) (*table.Rejected, error) {
	cells := 0
	for _, at := range l.at {
		cells = max(cells, at+1)
	}
	return l.first.NewRejected(w, cells)
}

// gathering makes messages of rows. An entry that the consumer would refuse is a bad row: each goes through the reader of messages.
type gathering struct {
	list    *List
	message func(Message) error
	bad     func(*table.BadRow) error

	unjudged []pending
	prices   []event.Price
	items    []event.StockItem
	lines    []int
}

func (g *gathering) add(p pending) error {
	if g.unjudged = append(g.unjudged, p); len(g.unjudged) < MessageEntries {
		return nil
	}
	return g.judge()
}

func (g *gathering) end() error {
	if err := g.judge(); err != nil {
		return err
	}
	if len(g.lines) == 0 {
		return nil
	}
	return g.send(len(g.lines))
}

// judge sorts the rows into entries and bad rows, and sends what fills a message.
func (g *gathering) judge() error {
	reasons, err := g.reasons()
	if err != nil {
		return err
	}
	for i, p := range g.unjudged {
		if reasons[i] != "" {
			p.bad.Reason = reasons[i]
			if err := g.bad(p.bad); err != nil {
				return err
			}
			continue
		}
		g.prices, g.items, g.lines = append(g.prices, p.price), append(g.items, p.item), append(g.lines, p.line)
	}
	g.unjudged = g.unjudged[:0]
	for len(g.lines) >= MessageEntries {
		if err := g.send(MessageEntries); err != nil {
			return err
		}
	}
	return nil
}

// reasons returns for each row why it is bad, or "".
func (g *gathering) reasons() ([]string, error) {
	reasons := make([]string, len(g.unjudged))
	var candidates []int
	prices := event.PriceSync{Type: g.list.Type, AsOf: g.list.format.AsOf}
	stock := event.StockSync{AsOf: g.list.format.AsOf}
	for i, p := range g.unjudged {
		if p.known {
			reasons[i] = p.bad.Reason
			continue
		}
		candidates = append(candidates, i)
		prices.Prices, stock.Items = append(prices.Prices, p.price), append(stock.Items, p.item)
	}
	if len(candidates) == 0 {
		return reasons, nil
	}
	errs := make([]error, len(candidates))
	if g.list.format.Stock {
		body, err := json.Marshal(stock)
		if err == nil {
			stock, err = event.ParseStock(body)
		}
		if err != nil {
			return nil, err
		}
		for i, item := range stock.Items {
			errs[i] = item.Err
		}
	} else {
		body, err := json.Marshal(prices)
		if err == nil {
			prices, err = event.ParsePrices(body)
		}
		if err != nil {
			return nil, err
		}
		for i, price := range prices.Prices {
			errs[i] = price.Err
		}
	}
	for i, err := range errs {
		if err != nil {
			reasons[candidates[i]] = err.Error()
		}
	}
	return reasons, nil
}

// send sends the first entries.
func (g *gathering) send(n int) error {
	m := Message{Topic: TopicPrices, Entries: n, Line: g.lines[n-1]}
	var err error
	if g.list.format.Stock {
		m.Topic = TopicStock
		m.Body, err = json.Marshal(event.StockSync{AsOf: g.list.format.AsOf, Items: g.items[:n]})
	} else {
		m.Body, err = json.Marshal(event.PriceSync{Type: g.list.Type, AsOf: g.list.format.AsOf, Prices: g.prices[:n]})
	}
	if err != nil {
		return err
	}
	g.prices, g.items, g.lines = append(g.prices[:0], g.prices[n:]...), append(g.items[:0], g.items[n:]...), append(g.lines[:0], g.lines[n:]...)
	return g.message(m)
}

// read makes an entry of a row.
func (l *List) read(row table.Row) pending {
	p := pending{bad: row.Bad(""), line: row.Line}
	reason := row.Fault
	if reason == "" {
		if l.format.Stock {
			reason = l.stock(row, &p.item)
		} else {
			reason = l.price(row, &p.price)
		}
	}
	if reason != "" {
		p.bad.Reason, p.known = reason, true
	}
	return p
}

// cells returns the texts of a row by our names of the columns.
func (l *List) cells(row table.Row) map[string]string {
	all := make(map[string]string, len(l.at))
	for i, c := range l.format.columns() {
		all[c.name] = cell(row, l.at[i])
	}
	return all
}

var powerOfTen = regexp.MustCompile(`^[0-9]([.,][0-9]+)?[eE]\+[0-9]+$`)

func (l *List) sku(text string) (sku, reason string) {
	switch {
	case text == "":
		return "", "sku is empty"
	case powerOfTen.MatchString(text):
		return "", "sku " + spoilt + ": format the column as text"
	}
	return text, ""
}

// decimal reads the cell of a column of numbers.
func (l *List) number(name, text string) (d decimal.Decimal, percent bool, reason string) {
	if text == "" {
		return d, false, name + " is empty"
	}
	for i, c := range l.format.columns() {
		if c.name == name {
			d, percent, reason = number(text, l.decimal(i), l.format.Decimal != 0)
		}
	}
	if reason != "" {
		reason = name + " " + reason
	}
	return d, percent, reason
}

func (l *List) price(row table.Row, p *event.Price) (reason string) {
	cells := l.cells(row)
	if p.SKU, reason = l.sku(cells[columnSKU]); reason != "" {
		return reason
	}
	price, percent, reason := l.number(columnPrice, cells[columnPrice])
	if reason != "" {
		return reason
	}
	p.Price = decimal.NewNullDecimal(price)
	if l.Type == event.TierPrices {
		return l.tier(cells, percent, p)
	}
	if percent {
		return "price is a percentage: only tier prices can be one"
	}
	if p.StoreID, reason = whole(columnStore, cells[columnStore]); reason != "" {
		return reason
	}
	if l.Type == event.SpecialPrices {
		if p.From, reason = moment(columnFrom, cells[columnFrom]); reason == "" {
			p.To, reason = moment(columnTo, cells[columnTo])
		}
	}
	return reason
}

// tierTypes are the words for the two types, folded.
var tierTypes = map[string]string{
	"fixed": "fixed", "fix": "fixed", "fest": "fixed", "festpreis": "fixed", "fixe": "fixed", "fijo": "fixed", "fisso": "fixed", "vast": "fixed",
	"discount": "discount", "percent": "discount", "prozent": "discount", "rabatt": "discount", "remise": "discount", "pourcentage": "discount",
	"descuento": "discount", "porcentaje": "discount", "sconto": "discount", "percentuale": "discount", "korting": "discount", "percentage": "discount",
}

func (l *List) tier(cells map[string]string, percent bool, p *event.Price) (reason string) {
	switch text := cells[columnTierType]; {
	case text == "" && percent:
		p.TierType = "discount"
	case text == "":
		p.TierType = "fixed"
	case text == "%":
		p.TierType = "discount"
	case tierTypes[folded(text)] == "":
		return "price_type must be fixed or discount"
	default:
		p.TierType = tierTypes[folded(text)]
	}
	if percent && p.TierType != "discount" {
		return "price is a percentage, and price_type is fixed"
	}
	if p.WebsiteID, reason = whole(columnWebsite, cells[columnWebsite]); reason != "" {
		return reason
	}
	if p.CustomerGroup = cells[columnGroup]; p.CustomerGroup == "" {
		p.CustomerGroup = allGroups
	}
	p.Quantity, _, reason = l.number(columnQuantity, cells[columnQuantity])
	return reason
}

// inStock are the words for the two states, folded.
var inStock = map[string]bool{
	"1": true, "true": true, "yes": true, "y": true, "instock": true, "ja": true, "oui": true, "si": true, "auflager": true, "enstock": true,
	"0": false, "false": false, "no": false, "n": false, "outofstock": false, "nein": false, "non": false, "nee": false, "nichtauflager": false,
}

func (l *List) stock(row table.Row, i *event.StockItem) (reason string) {
	cells := l.cells(row)
	if i.SKU, reason = l.sku(cells[columnSKU]); reason != "" {
		return reason
	}
	if i.SourceCode = cells[columnSource]; i.SourceCode == "" {
		i.SourceCode = l.format.Source
	}
	var percent bool
	if i.Quantity, percent, reason = l.number(columnQuantity, cells[columnQuantity]); reason != "" {
		return reason
	}
	if percent {
		return "quantity " + noNumber
	}
	if text := cells[columnStatus]; text != "" {
		is, known := inStock[folded(text)]
		if !known {
			return "status must be 1 (in stock) or 0"
		}
		i.InStock = &is
	}
	return ""
}

// whole reads an id; none is 0.
func whole(name, text string) (id int64, reason string) {
	if text == "" {
		return 0, ""
	}
	id, err := strconv.ParseInt(strings.TrimSuffix(text, ".0"), 10, 64)
	if err != nil || id < 0 {
		return 0, name + " must be the number of one, or 0 for all"
	}
	return id, ""
}

// moments are the forms of dates that mean one thing only. Those with slashes are not among them: 03/04 is of March or of April.
var moments = []string{
	time.DateTime, "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02T15:04", time.DateOnly,
	"02.01.2006 15:04:05", "02.01.2006 15:04", "02.01.2006", "2.1.2006", "20060102",
}

// moment reads a date of the store's clock. A date alone is its beginning, also at the end of a price: Magento lets that day pass.
func moment(name, text string) (stored, reason string) {
	if text == "" {
		return "", ""
	}
	for _, form := range moments {
		if at, err := time.Parse(form, text); err == nil {
			return at.Format(time.DateTime), ""
		}
	}
	return "", name + " must be a date such as 2026-11-27, 2026-11-27 08:00:00 or 27.11.2026"
}
