package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mageline/mageline/magentoapi"
)

// Magento looks at the shop: whether it answers, whether the credential is accepted, and whether it may do what the
// consumers do.
type Magento struct {
	URL    string       // its base address, with or without /rest
	HTTP   *http.Client // for the one request without a credential; redirects and pages of HTML are errors of it
	Client *magentoapi.Client
	// Comment is true when orders are commented on.
	Comment bool
	// Statuses are set together with comments (ORDER_STATUS_EXPORTED).
	Statuses []OrderStatus
	// Orders is true when orders are read.
	Orders bool
	// Prices and Stock are nil where they are not written.
	Prices *MagentoPrices
	Stock  *MagentoStock
	// Ship is true when tracking numbers are brought to shipments, and Create when shipments are made for them.
	Ship, Create bool
	// CreditMemos and Customers are true when those are read.
	CreditMemos, Customers bool
	Now                    func() time.Time // nil is time.Now
}

// OrderStatus is a status that orders in a state are to have.
type OrderStatus struct{ State, Status string }

const (
	// requestTimeout bounds one question to a remote API, the login included.
	requestTimeout = 20 * time.Second
	// maxSkew is how far Magento's clock may be off: it refuses signatures 10 minutes from its own time
	// (lib/internal/Magento/Framework/Oauth/Oauth.php), and ERPs less.
	maxSkew = 30 * time.Second
	// maxDrain is what is read of an answer that nobody needs, in bytes.
	maxDrain = 64 << 10
)

// Check looks.
func (m Magento) Check(ctx context.Context) []Finding {
	if m.Now == nil {
		m.Now = time.Now
	}
	var questions []func(context.Context) (Finding, error)
	if m.Orders {
		questions = append(questions, m.orders)
	}
	if m.Comment {
		questions = append(questions, m.comment)
	}
	if m.Ship {
		questions = append(questions, m.shipments)
	}
	if m.Ship && m.Create {
		questions = append(questions, m.ship)
	}
	if m.CreditMemos {
		questions = append(questions, m.creditMemos)
	}
	if m.Customers {
		questions = append(questions, m.customers)
	}
	for _, s := range m.Statuses {
		questions = append(questions, func(ctx context.Context) (Finding, error) { return m.status(ctx, s) })
	}
	questions = append(questions, m.stores)
	if m.Prices != nil {
		questions = append(questions, m.prices, m.edition, m.scope)
	}

	var reached, stock []Finding
	answers, errs := make([]Finding, len(questions)), make([]error, len(questions)+1)
	var asked sync.WaitGroup
	asked.Go(func() { reached = m.reach(ctx) })
	for i, ask := range questions {
		asked.Go(func() { answers[i], errs[i] = ask(ctx) })
	}
	if m.Stock != nil {
		asked.Go(func() { stock, errs[len(questions)] = m.stock(ctx) })
	}
	asked.Wait()
	if m.Stock == nil {
		errs = errs[:len(questions)]
	}
	return slices.Concat(reached, []Finding{credential(errs...)}, answers, stock)
}

// reach asks without a credential: any answer but a failure shows that Magento is there, and its Date shows its clock.
func (m Magento) reach(ctx context.Context) []Finding {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	base := strings.TrimSuffix(strings.TrimRight(m.URL, "/"), "/rest")
	subject := "Magento " + base
	const todo = "see that Magento runs and that MAGELINE_MAGENTO_URL leads to it"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/rest/V1/store/storeConfigs", http.NoBody)
	if err != nil {
		return []Finding{{Fail, subject, "MAGELINE_MAGENTO_URL makes no address", "set it to the shop's base address"}}
	}
	began := m.Now()
	resp, err := m.HTTP.Do(req)
	if err != nil {
		var outer *url.Error
		if errors.As(err, &outer) {
			err = outer.Err
		}
		return []Finding{{Fail, subject, inTime(ctx, err).Error(), todo}}
	}
	defer resp.Body.Close()
	took := m.Now().Sub(began)
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxDrain)) // so that the connection can be used again
	if resp.StatusCode >= 500 {
		return []Finding{{Fail, subject, fmt.Sprintf("answers %d %s", resp.StatusCode, http.StatusText(resp.StatusCode)), todo + ", and is not in maintenance mode"}}
	}
	lines := []Finding{ok(subject, "reachable")}
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil || resp.Header.Get("Age") != "" { // none, or that of a cache
		return lines
	}
	// The Date is of some moment during the request, to the second.
	skew := began.Add(took / 2).Sub(date)
	if skew.Abs() > maxSkew+took {
		return append(lines, Finding{
			Warn, "clock", fmt.Sprintf("this machine's is %s from Magento's: signatures are refused for it", skew.Abs().Round(time.Second)),
			"set both by NTP",
		})
	}
	return append(lines, ok("clock", "agrees with Magento's"))
}

// orders reads one order's id.
func (m Magento) orders(ctx context.Context) (Finding, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	criteria := magentoapi.SearchCriteria{Fields: "items[entity_id],total_count"}.OnPage(1, 1)
	_, err := m.Client.Orders.Search(ctx, criteria)
	return allowed("read orders", "Magento_Sales::actions_view", inTimeOrNil(ctx, err)), err
}

// comment writes a comment to an order that is not there: Magento looks at the permission first.
func (m Magento) comment(ctx context.Context) (Finding, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	err := m.Client.Orders.AddComment(ctx, 0, magentoapi.Comment{Text: "mageline check", Status: "pending"})
	if isNoOrder(err) {
		err = nil
	}
	return allowed("comment on orders", "Magento_Sales::comment", inTimeOrNil(ctx, err)), err
}

// status looks whether a status belongs to a state. No endpoint tells: what can be seen is how Magento was installed, and
// which orders of the shop have it.
func (m Magento) status(ctx context.Context, s OrderStatus) (Finding, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	subject := fmt.Sprintf("ORDER_STATUS_EXPORTED %s:%s", s.State, s.Status)
	const assign = "assign it to that state (Stores > Settings > Order Status > Assign Status to State)"
	if slices.Contains(magentoapi.InstalledStatuses(s.State), s.Status) {
		return ok(subject, "Magento assigns it to the state when it is installed"), nil
	}
	criteria := magentoapi.SearchCriteria{Fields: "items[entity_id,state],total_count"}.Where(magentoapi.Eq("status", s.Status)).OnPage(1, 1)
	there, err := m.Client.Orders.Search(ctx, criteria.Where(magentoapi.Eq("state", s.State)))
	elsewhere := there
	if err == nil && len(there.Items) == 0 {
		elsewhere, err = m.Client.Orders.Search(ctx, criteria)
	}
	switch {
	case err != nil:
		return Finding{Unknown, subject, inTime(ctx, err).Error(), "see the other lines"}, err
	case len(there.Items) > 0:
		return ok(subject, "an order has it in that state (entity id %d)", there.Items[0].EntityID), nil
	case len(elsewhere.Items) > 0:
		return Finding{
			Warn, subject, fmt.Sprintf("orders have it in the state %s, and none in %s: 2.4.8 refuses it where it is not assigned, 2.4.5 takes it and the order "+
				"may be missing where it is looked for", elsewhere.Items[0].State, s.State), assign,
		}, nil
	default:
		return Finding{Unknown, subject, "no order has it yet, and Magento's API does not tell which statuses a state has", "see that it is there, and " + assign}, nil
	}
}

// isNoOrder reports that Magento has let a call through and found no order with the id 0.
func isNoOrder(err error) bool {
	return errors.Is(err, magentoapi.ErrNotFound) && !errors.Is(err, magentoapi.ErrNoEndpoint) ||
		errors.Is(err, magentoapi.ErrBadRequest) && !errors.Is(err, magentoapi.ErrUnauthorized) // a refused login may be 400 too
}

// shipments reads one shipment's id. Adding a tracking number needs the same permission.
func (m Magento) shipments(ctx context.Context) (Finding, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	criteria := magentoapi.SearchCriteria{Fields: "items[entity_id],total_count"}.OnPage(1, 1)
	_, err := m.Client.Shipments.Search(ctx, criteria)
	return allowed("read shipments and add tracking numbers", "Magento_Sales::shipment", inTimeOrNil(ctx, err)), err
}

// creditMemos reads one credit memo's id.
func (m Magento) creditMemos(ctx context.Context) (Finding, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	criteria := magentoapi.SearchCriteria{Fields: "items[entity_id],total_count"}.OnPage(1, 1)
	_, err := m.Client.CreditMemos.Search(ctx, criteria)
	return allowed("read credit memos", "Magento_Sales::sales_creditmemo", inTimeOrNil(ctx, err)), err
}

// customers reads one customer's id.
func (m Magento) customers(ctx context.Context) (Finding, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	criteria := magentoapi.SearchCriteria{Fields: "items[id],total_count"}.OnPage(1, 1)
	_, err := m.Client.Customers.Search(ctx, criteria)
	return allowed("read customers", "Magento_Customer::customer", inTimeOrNil(ctx, err)), err
}

// ship ships an order that is not there: Magento looks at the permission first.
func (m Magento) ship(ctx context.Context) (Finding, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	_, err := m.Client.Shipments.Ship(ctx, 0, magentoapi.NewShipment{})
	if isNoOrder(err) {
		err = nil
	}
	return allowed("ship orders", "Magento_Sales::ship", inTimeOrNil(ctx, err)), err
}

// stores reads the store views' configuration, without which the service goes on with MAGENTO_TIMEZONE.
func (m Magento) stores(ctx context.Context) (Finding, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	configs, err := m.Client.Stores.Configs(ctx)
	line := allowed("read the stores' configuration", "Magento_Backend::store", inTimeOrNil(ctx, err))
	if err == nil {
		line.Detail = fmt.Sprintf("granted (Magento_Backend::store), %d store views", len(configs))
	} else {
		line.Status = Warn
		line.Detail += "; the time zone of MAGELINE_MAGENTO_TIMEZONE is used"
	}
	return line, err
}

func inTimeOrNil(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	return inTime(ctx, err)
}

func refusedByMagento(err error) bool {
	return errors.Is(err, magentoapi.ErrUnauthorized) || errors.Is(err, magentoapi.ErrForbidden)
}

// allowed makes the line of one permission.
func allowed(what, resource string, err error) Finding {
	subject := "Magento permission to " + what
	switch {
	case err == nil:
		return ok(subject, "granted (%s)", resource)
	case refusedByMagento(err):
		return Finding{Fail, subject, err.Error(), "give the integration or the user the resource " + resource + ", if the credential is right"}
	case errors.Is(err, magentoapi.ErrNoEndpoint):
		return Finding{Fail, subject, err.Error(), "correct MAGELINE_MAGENTO_URL and MAGELINE_MAGENTO_STORE_CODE"}
	default:
		return Finding{Fail, subject, err.Error(), "see that Magento answers, and check again"}
	}
}

// credential sums up what the calls met: Magento answers a wrong credential and a missing permission alike, but one
// call that is accepted shows that the credential is good.
func credential(errs ...error) Finding {
	const subject = "Magento credential"
	var refusal error
	for _, err := range errs {
		var answer *magentoapi.Error
		switch {
		case refusedByMagento(err):
			refusal = err
		case err == nil, errors.As(err, &answer) && answer.Status < 500 && !errors.Is(err, magentoapi.ErrNoEndpoint):
			return ok(subject, "accepted")
		}
	}
	if refusal == nil {
		return Finding{Unknown, subject, "no call of it was answered", "see the other lines"}
	}
	todo := "correct the credential (MAGELINE_MAGENTO_TOKEN, the four of OAuth, or MAGELINE_MAGENTO_USERNAME and _PASSWORD), and what it may do"
	if errors.Is(refusal, magentoapi.ErrBearerDisabled) {
		todo = "use the integration's four OAuth values, or allow integration tokens as bearers (oauth/consumer/enable_integration_as_bearer)"
	}
	return Finding{Fail, subject, "every call was refused: " + refusal.Error(), todo}
}
