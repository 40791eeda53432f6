package handlers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/idempotency"
)

// effectSteps runs the steps of an effect as effects of their own, named by the effect and the step. See
// docs/decisions/049-steps-of-an-effect.md.
type effectSteps struct {
	ledger Ledger
	of     idempotency.Key
	repeat bool
	wait   time.Duration
}

func stepsOf(l Ledger, of idempotency.Key, repeat bool, wait time.Duration) erp.Steps {
	return effectSteps{l, of, repeat, wait}
}

// Do implements erp.Steps.
func (s effectSteps) Do(ctx context.Context, name string, run func(context.Context, erp.Attempt) (string, error)) (string, error) {
	key := s.of
	key.Effect = "step " + name + " of " + key.Effect
	res, _, err := s.ledger.Do(ctx, idempotency.Effect{Key: key, Repeat: s.repeat}, func(ctx context.Context, c *idempotency.Claim) (idempotency.Result, error) {
		value, err := run(ctx, attempt(c, s.wait))
		return idempotency.Result{Value: value}, err
	})
	return res.Value, err
}

// attempt returns what a claim knows of earlier attempts. wait is for how long after one the ERP is only asked.
func attempt(c *idempotency.Claim, wait time.Duration) erp.Attempt {
	return erp.Attempt{Uncertain: c.Uncertain, For: c.UncertainFor, Wait: wait, Looked: c.Looked}
}

// incomplete is the error of a document that is there and lacks something: the effect may not be repeated without a look-up,
// whatever the error says of the step that failed.
func incomplete(err error, key string, d erp.Document) error {
	err = event.MayBeDone(err)
	var deferral *event.Deferral
	if errors.As(err, &deferral) {
		return err
	}
	return fmt.Errorf("order %s is document %s in the ERP and is not complete: %w", key, d.Number, err)
}

// compare returns what the comment says of a document's total; "" where it is Magento's, within the tolerance.
func (h *Placed) compare(ctx context.Context, key string, so erp.SalesOrder, d erp.Document) string {
	for _, note := range d.Notes {
		zerolog.Ctx(ctx).Warn().Str("event", "order_document_note").Bool("journal", true).Str("key", key).Str("document_number", d.Number).Msg(note)
	}
	difference, over := erp.Compare(so, d, h.Rules.tolerance())
	if difference.IsZero() {
		return ""
	}
	total, grandTotal := d.Total.String(), so.Totals.GrandTotal.String()
	if !over {
		zerolog.Ctx(ctx).Info().Str("event", "order_total_differs").Bool("journal", true).Str("key", key).Str("document_number", d.Number).
			Str("total", total).Str("grand_total", grandTotal).Msg("the ERP's total of the document is not Magento's, within the tolerance")
		return ""
	}
	zerolog.Ctx(ctx).Warn().Str("event", "order_total_differs").Bool("journal", true).Str("key", key).Str("document_number", d.Number).
		Str("total", total).Str("grand_total", grandTotal).Msg("the ERP's total of the document is not Magento's, and over the tolerance")
	return fmt.Sprintf("; its total there is %s, and %s here", d.Total, so.Totals.GrandTotal)
}

// differs returns what a row of CreateEffect has for the comment.
func differs(res idempotency.Result) string {
	var d createdData
	decode(res.Data, &d)
	return d.Differs
}
