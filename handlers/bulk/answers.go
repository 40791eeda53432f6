package bulk

import (
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/handlers"
	"github.com/mageline/mageline/internal/watermark"
	"github.com/mageline/mageline/magentoapi"
)

// endOf says what is known of the rows of a call that failed as a whole.
func endOf(err error) watermark.End {
	var (
		after    afterWrite
		unsent   notSent
		deferral *event.Deferral
		answer   *magentoapi.Error
		partly   *magentoapi.PriceError
	)
	switch {
	case errors.As(err, &after):
		return max(watermark.Unknown, endOf(after.error))
	case errors.As(err, &unsent), errors.As(err, &deferral), event.IsNotDone(err):
		return watermark.Unchanged
	case errors.As(err, &partly): // answered, but nobody can tell for which rows
		return watermark.Unknown
	case event.ClassOf(err) == event.Throttled:
		return watermark.Unknown
	case errors.As(err, &answer):
		// Magento answers at the end of a request: what it was to do is done, or is not. What a server in front of it answers
		// with 502, 503 or 504 says nothing of a request that goes on behind it.
		if answer.Status <= http.StatusInternalServerError || answer.Body == magentoapi.BodyJSON && answer.Message != "" {
			return watermark.Unknown
		}
	}
	return watermark.Lost
}

// maximum is how Magento refuses a list that is too long (lib/internal/Magento/Framework/Webapi/Validator/EntityArrayValidator.php).
var maximum = regexp.MustCompile(`Maximum items of type "?[^"]*"? is "?(\d+)`)

// atMost returns how many entries Magento takes at once, if it has refused a call for having more.
func atMost(err error) (n int, ok bool) {
	var answer *magentoapi.Error
	if !errors.As(err, &answer) || answer.Status != http.StatusBadRequest {
		return 0, false
	}
	m := maximum.FindStringSubmatch(answer.Message)
	if m == nil {
		return 0, false
	}
	n, err = strconv.Atoi(m[1])
	return n, err == nil && n > 0
}

func isMaximum(err error) bool {
	_, ok := atMost(err)
	return ok
}

// refusals turns the answer to an update of prices into an error for each item that was refused. owners has the item of each row.
// An answer that names a row which none of the call's rows is, is an error of the whole call: in halves, and at last alone, the item
// is found.
func refusals(err error, owners []*item) (map[*item]error, error) {
	var answer *magentoapi.PriceError
	if !errors.As(err, &answer) || answer.Err != nil {
		return nil, handlers.FromMagento(err)
	}
	refused := map[*item]error{}
	for _, r := range answer.Refused {
		if r.Row >= 0 {
			addRefusal(refused, owners[r.Row], r.Message)
			continue
		}
		if slices.ContainsFunc(owners, func(i *item) bool { return i != owners[0] }) {
			return nil, &event.Error{Class: event.Rejected, Downstream: "magento", Err: answer}
		}
		addRefusal(refused, owners[0], r.Message)
	}
	for row, i := range owners { // a refusal fits the row, and another row too
		if refused[i] == nil && !answer.Saved(row) {
			refused[i] = errDoubtful
		}
	}
	return refused, nil
}

// errDoubtful marks an item that may have been refused.
var errDoubtful = errors.New("a refusal fits it")

// overlaps is how Magento refuses a special price where the product has another one in the same time (Content Staging).
const overlaps = "Future Update already exists in this time range"

func addRefusal(refused map[*item]error, i *item, message string) {
	if before := refused[i]; before != nil {
		message = before.Error() + "; " + message
	} else {
		message = i.describe() + ": " + message
	}
	class := event.Rejected
	if strings.Contains(message, overlaps) {
		class = event.Invalid
		if p := period(i.price.From, i.price.To); !strings.Contains(message, p) {
			message += " The period is " + p
		}
	}
	refused[i] = &event.Error{Class: class, Downstream: "magento", Err: errors.New(message)}
}

// doubtful returns the items that may have been refused for another's sake. Magento searches its list of bad SKUs with a loose
// comparison, so that "7" and "007" fall together (Catalog/Model/Product/Price, in_array).
func doubtful(items []*item, refused map[*item]error) []*item {
	numbers := map[float64]map[string]bool{}
	for i := range refused {
		if n, ok := numeric(i.sku); ok {
			if numbers[n] == nil {
				numbers[n] = map[string]bool{}
			}
			numbers[n][keySKU(i.sku)] = true
		}
	}
	var again []*item
	for _, i := range items {
		err := refused[i]
		if err == nil {
			continue
		}
		n, ok := numeric(i.sku)
		if errors.Is(err, errDoubtful) || ok && len(numbers[n]) > 1 {
			again = append(again, i)
		}
	}
	return again
}

// numeric returns a SKU as the number that PHP takes it for.
func numeric(sku string) (float64, bool) {
	if strings.ContainsAny(sku, "xXpPiInN_") { // what PHP does not take for one
		return 0, false
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(sku), 64)
	return n, err == nil
}
