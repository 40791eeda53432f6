package magentoapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// A PriceError is the answer to an update of which Magento refused rows: it has saved the others. Match it with
// errors.As.
type PriceError struct {
	Refused []PriceRefusal
	// Rows is how many rows were given.
	Rows int
	// Answered is how many of them, from the first on, Magento has answered for: all, unless a later call failed.
	Answered int
	// Err is why a call failed, or nil. Its rows and those after them are not saved, unless Err leaves that open.
	Err error

	op       operation
	doubtful []bool // by row: a refusal fits it
}

// PriceRefusal is one reason why a row was refused. A row may have several.
type PriceRefusal struct {
	// Row is the place of the row among those given, from 0; -1 where none fits. Magento doesn't tell it, it tells what
	// the row held: of two rows that hold the same it may be the other one.
	Row        int
	Message    string // Magento's, with its parameters filled in
	Parameters []Parameter
}

func (e *PriceError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "magento: %s %s: ", e.op.method, e.op.path)
	if len(e.Refused) > 0 {
		rows := map[int]bool{}
		for _, r := range e.Refused {
			rows[r.Row] = true
		}
		first, which := e.Refused[0], "one that can't be told"
		if first.Row >= 0 {
			which = "row " + strconv.Itoa(first.Row)
		}
		fmt.Fprintf(&b, "%d of %d rows refused, the others are saved: %s: %s", len(rows), e.Answered, which, first.Message)
		if more := len(e.Refused) - 1; more > 0 {
			fmt.Fprintf(&b, " (and %d more)", more)
		}
	}
	if e.Err != nil {
		if len(e.Refused) > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "of %d rows those from %d on were not answered for: %v", e.Rows, e.Answered, e.Err)
	}
	return b.String()
}

// Unwrap gives why a call failed.
func (e *PriceError) Unwrap() error { return e.Err }

// Saved reports whether a row, by its place among those given, is known to be saved: it was answered for and no refusal
// fits it. It is false for all of them if there is a refusal that fits none.
func (e *PriceError) Saved(row int) bool {
	for _, r := range e.Refused {
		if r.Row < 0 {
			return false
		}
	}
	return row >= 0 && row < e.Answered && !e.doubtful[row]
}

// decodeRefusals reads the answer to an update (Catalog\Api\Data\PriceUpdateResultInterface). The message is a template,
// or has been one: its parameters are in it already in some cases.
func decodeRefusals(body []byte) ([]PriceRefusal, error) {
	var list []struct {
		Message    json.RawMessage `json:"message"`
		Parameters json.RawMessage `json:"parameters"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, describeJSON(err)
	}
	if list == nil {
		return nil, errors.New("null")
	}
	var refused []PriceRefusal
	for _, one := range list {
		r := PriceRefusal{Row: -1, Parameters: parameters(one.Parameters)}
		r.Message = bound(fill(text(one.Message), r.Parameters), maxMessage)
		if r.Message == "" {
			return nil, errors.New("a refusal without a message")
		}
		refused = append(refused, r)
	}
	return refused, nil
}

// place finds the row of each refusal, and gives the rows that any refusal fits. Magento tells them in the order of the
// rows, all of a row one after the other (Catalog\Model\Product\Price\Validation\Result): so of those that it fits the
// next one is of the row at hand, or of one below it, or, where that is no help, of the first. What it says of a row it
// says once.
func (l priceList[R]) place(refused []PriceRefusal, rows []R) (doubtful []bool) {
	doubtful = make([]bool, len(rows))
	at := 0
	told := map[string]bool{} // of the row at hand
	for i := range refused {
		r := &refused[i]
		var values []string
		for _, p := range r.Parameters {
			values = append(values, p.Value)
		}
		what := r.Message + "\x00" + strings.Join(values, "\x00")
		fitting := l.fitting(rows, values)
		for _, row := range fitting {
			doubtful[row] = true
			if r.Row < 0 && (row > at || row == at && !told[what]) {
				r.Row = row
			}
		}
		if r.Row < 0 && len(fitting) > 0 {
			r.Row = fitting[0]
		}
		if r.Row >= 0 && r.Row != at {
			at = r.Row
			clear(told)
		}
		told[what] = true
	}
	return doubtful
}

// fitting gives the rows that a refusal with these parameters may be of.
func (l priceList[R]) fitting(rows []R, parameters []string) []int {
	for _, is := range []func(R, []string) bool{l.is, l.like} {
		var fitting []int
		for i, row := range rows {
			if is != nil && is(row, parameters) {
				fitting = append(fitting, i)
			}
		}
		if len(fitting) > 0 {
			return fitting
		}
	}
	return nil
}

// are reports whether a refusal's parameters are exactly these.
func are(parameters []string, want ...any) bool {
	return len(parameters) == len(want) && end(parameters, want...)
}

// end reports whether a refusal's parameters end with these: those before name what is wrong.
func end(parameters []string, want ...any) bool {
	if len(parameters) < len(want) {
		return false
	}
	for i, p := range parameters[len(parameters)-len(want):] {
		if !same(p, want[i]) {
			return false
		}
	}
	return true
}

// same compares numbers as numbers, for PHP prints them in its own way; and no more of a text than an Error keeps.
func same(parameter string, want any) bool {
	switch want := want.(type) {
	case string:
		return parameter == bound(want, maxParameter)
	case int64:
		return parameter == strconv.FormatInt(want, 10)
	case decimal.Decimal:
		d, err := decimal.NewFromString(bound(parameter, 64))
		return err == nil && d.Exponent() < 64 && d.Round(decimalPlaces).Equal(want.Round(decimalPlaces))
	case time.Time:
		return want.IsZero() && parameter == "" || parameter == want.Format(time.DateTime)
	}
	return false
}
