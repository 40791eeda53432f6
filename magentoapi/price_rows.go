package magentoapi

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"time"

	"github.com/shopspring/decimal"
)

// priceRow is a row of any of the price endpoints in JSON.
type priceRow struct {
	SKU       Text    `json:"sku"`
	StoreID   *ID     `json:"store_id,omitempty"`
	Price     Decimal `json:"price,omitzero"`
	Cost      Decimal `json:"cost,omitzero"`
	From      Time    `json:"price_from,omitzero"`
	To        Time    `json:"price_to,omitzero"`
	Type      Text    `json:"price_type,omitempty"`
	WebsiteID *ID     `json:"website_id,omitempty"`
	Group     Text    `json:"customer_group,omitempty"`
	Quantity  Decimal `json:"quantity,omitzero"`
}

func amount(d decimal.Decimal) Decimal { return Decimal{decimal.NewNullDecimal(d)} }

// scopeOf and scopeIn write and read the id of a store view or a website, of which 0 is written, too.
func scopeOf(id int64) *ID { return (*ID)(&id) }

func scopeIn(id *ID) int64 {
	if id == nil {
		return 0
	}
	return int64(*id)
}

// onTheClock gives what the clock of t's location shows, as a Time, which is written in UTC.
func onTheClock(t time.Time) Time {
	if t.IsZero() {
		return Time{}
	}
	return Time{time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.UTC)}
}

// A priceList is a kind of prices: what they are in JSON, and how Magento names one of them.
type priceList[R any] struct {
	row   func(R) priceRow
	price func(priceRow) R
	// is reports whether a refusal with these parameters may be of the row.
	is func(row R, parameters []string) bool
	// like is asked where none is; it may be nil.
	like func(row R, parameters []string) bool
	// together reports whether two rows after each other must be in the same call; nil is never.
	together func(a, b R) bool
}

// read reads the prices of SKUs.
func (l priceList[R]) read(ctx context.Context, s *PricesService, op operation, skus []string) ([]R, error) {
	var prices []R
	for c := range chunks(len(skus), s.client.maxItems, nil) {
		var rows []priceRow
		odd, err := s.client.ask(ctx, op, map[string][]string{"skus": skus[c.from:c.to]}, &rows)
		if err != nil {
			return nil, err
		}
		if len(odd) > 0 { // a price that is not told would be 0
			return nil, op.unreadable(http.StatusOK, []byte("[]"), odd[0])
		}
		for _, row := range rows {
			prices = append(prices, l.price(row))
		}
	}
	return prices, nil
}

// send sends prices, chunk by chunk, up to a call that fails.
func (l priceList[R]) send(ctx context.Context, s *PricesService, op operation, prices []R) error {
	result := &PriceError{Rows: len(prices), op: op}
	together := func(i int) bool { return l.together != nil && l.together(prices[i-1], prices[i]) }
	for c := range chunks(len(prices), s.client.maxItems, together) {
		rows := []priceRow{}
		for _, price := range prices[c.from:c.to] {
			rows = append(rows, l.row(price))
		}
		refused, err := s.refused(ctx, op, rows)
		if err != nil && c.from == 0 {
			return err
		}
		if result.Err = err; err != nil {
			break
		}
		result.doubtful = append(result.doubtful, l.place(refused, prices[c.from:c.to])...)
		for i := range refused {
			if refused[i].Row >= 0 {
				refused[i].Row += c.from
			}
		}
		result.Refused = append(result.Refused, refused...)
		result.Answered = c.to
	}
	if len(result.Refused) == 0 && result.Err == nil {
		return nil
	}
	return result
}

// refused sends rows and reads those that Magento has refused.
func (s *PricesService) refused(ctx context.Context, op operation, rows []priceRow) ([]PriceRefusal, error) {
	body, err := json.Marshal(map[string][]priceRow{"prices": rows})
	if err != nil {
		return nil, fmt.Errorf("magento: %s %s: making the request's body: %w", op.method, op.path, err)
	}
	op.body = body
	answer, err := s.client.send(ctx, op, s.client.auth)
	if err != nil {
		return nil, err
	}
	refused, err := decodeRefusals(answer)
	if err != nil {
		return nil, op.unreadable(http.StatusOK, answer, err)
	}
	return refused, nil
}

// A chunk is a part of a list: from its place on, up to and without to.
type chunk struct{ from, to int }

// chunks cuts a list of n into chunks of so many, 0 for one of all. together reports whether the i-th must be in the chunk
// of the one before it; where too many must, a chunk is longer.
func chunks(n, of int, together func(i int) bool) iter.Seq[chunk] {
	if of <= 0 {
		of = n
	}
	return func(yield func(chunk) bool) {
		for from := 0; from < n; {
			joined := func(i int) bool { return together != nil && i < n && together(i) }
			to := min(from+of, n)
			for to > from+1 && joined(to) {
				to--
			}
			for joined(to) { // all of them belong together
				to++
			}
			if !yield(chunk{from, to}) {
				return
			}
			from = to
		}
	}
}
