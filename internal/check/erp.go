package check

import (
	"context"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/event"
)

// ERP looks at the ERP, by the question for a sales order that nobody has sent.
type ERP struct {
	// Address is the ERP's, and Variable the setting that has it.
	Address, Variable string
	Find              func(ctx context.Context, reference string) ([]erp.Document, error)
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
			{Fail, credential, err.Error(), "correct the credential that it names, or what the ERP lets it do; a signature needs clocks that agree"},
		}
	case event.Throttled:
		return []Finding{ok(subject, "reachable"), {Unknown, credential, err.Error(), "check again later; MAGELINE_ERP_RATE_LIMIT bounds what mageline sends"}}
	case event.Unavailable, event.Timeout, event.Internal:
		return []Finding{
			{Fail, subject, err.Error(), "see that the ERP runs and that " + e.Variable + " leads to it"},
			{Unknown, credential, "can't be seen without the ERP", "see the line above"},
		}
	default:
		return []Finding{
			ok(subject, "reachable"),
			{Fail, lookup, err.Error(), "have the ERP answer it: an order whose answer was lost waits for it"},
		}
	}
}
