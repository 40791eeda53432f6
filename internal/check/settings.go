package check

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Settings looks at what of the configuration is allowed and can lose messages, or do something twice.
type Settings struct {
	Consumers []string // that are enabled
	// Retention is how long the ledger keeps keys, and RetryDelays how long a message may be on its way.
	Retention      time.Duration
	RetryDelays    []time.Duration
	ReconcileEvery time.Duration
	// UncertainWait is for how long after an uncertain create the ERP is only asked, and LongestCreate for how long it may still
	// carry one out.
	UncertainWait, LongestCreate time.Duration
	// Warnings are those of the configuration itself.
	Warnings []string
}

// shortRetention is less than a weekend and the days around it that dead letters wait for somebody.
const shortRetention = 7 * 24 * time.Hour

// Check looks.
func (s Settings) Check(context.Context) []Finding {
	var lines []Finding
	switch {
	case !slices.Contains(s.Consumers, "order_placed"): // then nobody looks for orders, and nobody misses them
	case s.ReconcileEvery == 0:
		lines = append(lines, Finding{
			Warn, "MAGELINE_RECONCILE_EVERY",
			"off: Magento publishes without confirms, so that an event can vanish unseen and its order never reach the ERP",
			"set it, its default is 15m; or run `mageline reconcile --from 48h` by hand",
		})
	default:
		lines = append(lines, Finding{OK, "MAGELINE_RECONCILE_EVERY", "orders whose event never came are looked for every " + s.ReconcileEvery.String(), ""})
	}
	if len(s.Consumers) == 0 {
		lines = append(lines, Finding{Warn, "MAGELINE_CONSUMERS", "no consumer is enabled: nothing is consumed", "set MAGELINE_CONSUMERS and MAGELINE_ERP"})
	}
	lines = append(lines, s.retention())
	if s.UncertainWait < s.LongestCreate {
		lines = append(lines, Finding{
			Warn, "MAGELINE_ERP_UNCERTAIN_WAIT",
			fmt.Sprintf("%s: this ERP may carry out a create as late as %s after its client has given up, and an order that is sent again before is there twice", s.UncertainWait, s.LongestCreate),
			fmt.Sprintf("unset it; its default with this ERP is %s", s.LongestCreate),
		})
	}
	for _, warning := range s.Warnings {
		lines = append(lines, Finding{Warn, "configuration", warning, "correct its name, or take it away"})
	}
	return lines
}

func (s Settings) retention() Finding {
	const subject, todo = "MAGELINE_IDEMPOTENCY_RETENTION", "set it higher; its default is 2160h"
	var onTheWay time.Duration
	for _, d := range s.RetryDelays {
		onTheWay += d
	}
	switch {
	case s.Retention <= onTheWay:
		return Finding{Warn, subject, fmt.Sprintf("keys are kept for %s, and a message may be retried for %s: what it has done can be forgotten before", s.Retention, onTheWay), todo}
	case s.Retention < shortRetention:
		return Finding{Warn, subject, fmt.Sprintf("keys are kept for %s only: a dead letter that is replayed later can repeat what was done", s.Retention), todo}
	default:
		return ok(subject, "keys are kept for %s", s.Retention)
	}
}
