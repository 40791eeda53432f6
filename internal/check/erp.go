package check

import (
	"context"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/event"
)

// ERP looks at the ERP, by the question for a sales order that nobody has sent.
type ERP struct {
	Address string
	Find    func(ctx context.Context, reference string) ([]erp.Document, error)
}

// noReference is an external reference that no order has.
const noReference = "mageline-check"

// Check looks.
func (e ERP) Check(ctx context.Context) []Finding {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	subject := "ERP " + e.Address
	const credential, lookup = "ERP credential", "ERP look-up by external reference"
	_, err := e.Find(ctx, noReference)
	if err == nil {
		return []Finding{ok(subject, "reachable"), ok(credential, "accepted"), ok(lookup, "answered")}
	}
	err = inTime(ctx, err)
	switch event.ClassOf(err) {
	case event.Unauthorized:
		return []Finding{
			ok(subject, "reachable"),
			{Fail, credential, err.Error(), "correct MAGELINE_ERP_TOKEN and MAGELINE_ERP_SECRET, or what the ERP lets them do; the signature needs clocks that agree"},
		}
	case event.Throttled:
		return []Finding{ok(subject, "reachable"), {Unknown, credential, err.Error(), "check again later; MAGELINE_ERP_RATE_LIMIT bounds what mageline sends"}}
	case event.Unavailable, event.Timeout, event.Internal:
		return []Finding{
			{Fail, subject, err.Error(), "see that the ERP's adapter runs and that MAGELINE_ERP_URL leads to it"},
			{Unknown, credential, "can't be seen without the ERP", "see the line above"},
		}
	default:
		return []Finding{
			ok(subject, "reachable"),
			{Fail, lookup, err.Error(), "have the adapter answer GET /sales-orders?external_reference=…: an order whose answer was lost waits for it"},
		}
	}
}
