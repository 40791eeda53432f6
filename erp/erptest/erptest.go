// Package erptest is the suite of behaviours that every connector to an ERP passes: an order is created once and found again,
// whatever becomes of the answer; refusals have their class; nothing secret gets into an error.
//
// A connector's test describes in a Rig the fake ERP that the connector speaks to. The suite puts itself between the two: it
// loses answers, delays requests, answers in the ERP's place, and looks into the fake's books afterwards.
package erptest

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/event"
)

// Connector is one connector that the suite runs on.
type Connector struct {
	// Name heads its column in the table.
	Name string
	// Open returns a new fake ERP without documents. It is called at least once for each behaviour.
	Open func() Rig
}

// Rig is a fake ERP and what the suite must know of it.
type Rig struct {
	// Handler is the fake ERP.
	Handler http.Handler
	// Connect makes the connector of an ERP at url, whose requests go through client.
	Connect func(url string, client *http.Client) (erp.OrderConnector, error)
	// Client returns what the requests go through, and what closes it; nil is a plain client.
	Client func() (*http.Client, func())
	// Close ends the fake ERP; nil does nothing.
	Close func()

	// Books returns the documents that the ERP has booked under a reference, by its own records and not by its answers.
	Books func(reference string) []Booked
	// Add books a document by hand, as a person would, and returns its number.
	Add func(reference string) string
	// Reported returns what the ERP has booked of a kind: shipments of the order with a document's number, credit memos and
	// customers with a reference. nil: the connector reports nothing, or the ERP does not see to it that it does so once.
	Reported func(kind Kind, reference, document string) Reported
	// Order returns an order that the ERP takes, with what of Order the suite looks for in errors; nil is Order.
	Order func(reference string) erp.SalesOrder
	// Writes reports whether a request changes documents: not that for a token or a session, nor a search that is a POST. nil:
	// every request does but GET and HEAD.
	Writes func(*http.Request) bool

	// ErrorBody returns the body of an error in the ERP's form.
	ErrorBody func(message string) string
	// Secrets are the credentials that the connector has; they are in no error.
	Secrets []string
	// Refusals are answers that mean something else with this ERP than MeaningOf says. They replace the suite's rows of the
	// same status.
	Refusals []Refusal
	// Unique is true where the ERP itself lets no second document have a reference.
	Unique bool
	// HonoursKeys is true where the ERP answers a second call with the same idempotency key as the first.
	HonoursKeys bool
}

// Booked is a document in the ERP's books.
type Booked struct {
	Number   string
	Canceled bool
	// Taken is how much was cancelled of each line, by Line.Reference.
	Taken map[string]string
}

// Reported is what an ERP's books have of something beside orders.
type Reported struct {
	Count int
	// Total is what credit memos come to, tax included.
	Total string
}

// Refusal is an answer to a request that writes, and what it means.
type Refusal struct {
	Status  int
	Header  http.Header
	Body    string // "": ErrorBody's
	Class   event.Class
	NotDone bool
}

// Behaviour is one thing that every connector does.
type Behaviour struct {
	Name string
	run  func(b *bench)
}

// Behaviours returns the suite, in the order in which it runs.
func Behaviours() []Behaviour {
	return []Behaviour{
		{"Build is pure", buildIsPure},
		{"create sends what Build returned, once", createsOnce},
		{"find returns what was created", findsWhatWasCreated},
		{"find returns each of several documents", findsEach},
		{"find without a readable answer is an error", findWithoutAnswer},
		{"a create whose answer is lost may be done", lostAnswer},
		{"a create that is committed after the time-out is found", commitsLate},
		{"a create is never repeated by itself", neverRepeats},
		{"a second create with the same key makes no second document", secondCreate},
		{"refusals have their class", refusals},
		{"a throttle says for how long", throttle},
		{"a refused credential is tried once more", refusedCredential},
		{"redirects are not followed", redirects},
		{"a success that can't be read may be done", unreadable},
		{"answers are bounded", oversized},
		{"cancel takes the whole document", cancelsWhole},
		{"cancel takes lines", cancelsLines},
		{"cancel twice takes once", cancelsTwice},
		{"cancel of an unknown document is not found", cancelsUnknown},
		{"a cancellation whose answer is lost may be done", lostCancellation},
		{"shipments are booked once", reportsOnce(Shipments)},
		{"credit memos are booked once, to the cent", reportsOnce(CreditMemos)},
		{"customers are written once", reportsOnce(Customers)},
		{"refused reports have their class", refusesReports},
		{"errors repeat the ERP's words, and nothing secret", errorsAreClean},
		{"nothing is sent after the end of the context", endedContext},
		{"a request ends with its context", endingContext},
		{"calls run side by side", concurrent},
	}
}

// timeout is for one behaviour.
const timeout = time.Minute

// Check shows one behaviour to a connector and returns what the connector does wrong. applies is false where the ERP does
// not have what the behaviour is about.
func Check(ctx context.Context, c Connector, behaviour Behaviour) (problems []string, applies bool) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	b := newBench(ctx, c)
	defer b.close()
	defer func() {
		problems, applies = b.problems, !b.notApplicable
		if r := recovered(recover()); r != nil {
			problems = append(problems, fmt.Sprintf("panic: %v", r))
		}
		problems = append(problems, b.front.misuse()...)
	}()
	behaviour.run(b)
	return nil, true
}

// Run runs the suite on connectors and prints one table of how each did.
func Run(t *testing.T, connectors ...Connector) {
	t.Helper()
	behaviours := Behaviours()
	results := map[string][]string{}
	for _, b := range behaviours {
		for _, c := range connectors {
			result := "FAILS"
			t.Run(c.Name+"/"+strings.ReplaceAll(b.Name, " ", "_"), func(t *testing.T) {
				problems, applies := Check(t.Context(), c, b)
				for _, p := range problems {
					t.Error(p)
				}
				switch {
				case len(problems) > 0:
				case !applies:
					result = "-"
				default:
					result = "ok"
				}
			})
			results[b.Name] = append(results[b.Name], result)
		}
	}
	t.Log("\n" + table(behaviours, connectors, results))
}

func table(behaviours []Behaviour, connectors []Connector, results map[string][]string) string {
	widest := 0
	for _, b := range behaviours {
		widest = max(widest, len(b.Name))
	}
	var text strings.Builder
	line := func(name string, cells []string) {
		fmt.Fprintf(&text, "%-*s", widest, name)
		for i, cell := range cells {
			fmt.Fprintf(&text, "  %-*s", max(5, len(connectors[i].Name)), cell)
		}
		text.WriteString("\n")
	}
	var names []string
	for _, c := range connectors {
		names = append(names, c.Name)
	}
	line("behaviour", names)
	for _, b := range behaviours {
		if r, ok := results[b.Name]; ok {
			line(b.Name, r)
		}
	}
	return text.String()
}

// rows returns the refusals of the suite with those of a connector in place of the same status.
func rows(own []Refusal) []Refusal {
	all := []Refusal{
		{Status: 400, Class: event.Rejected, NotDone: true},
		{Status: 401, Class: event.Unauthorized, NotDone: true},
		{Status: 403, Class: event.Unauthorized, NotDone: true},
		{Status: 404, Class: event.NotFound, NotDone: true},
		{Status: 408, Class: event.Timeout},
		{Status: 409, Class: event.Rejected, NotDone: true},
		{Status: 422, Class: event.Rejected, NotDone: true},
		{Status: 423, Class: event.Unavailable, NotDone: true},
		{Status: 429, Class: event.Throttled},
		{Status: 500, Class: event.Unavailable},
		{Status: 502, Class: event.Unavailable},
		{Status: 503, Class: event.Unavailable},
		{Status: 504, Class: event.Unavailable},
	}
	all = slices.DeleteFunc(all, func(r Refusal) bool {
		return slices.ContainsFunc(own, func(o Refusal) bool { return o.Status == r.Status })
	})
	return append(all, own...)
}
