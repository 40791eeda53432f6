package handlers

import (
	"context"
	"errors"

	"github.com/rs/zerolog"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/magentoapi"
)

// magento is the downstream's name.
const magento = "magento"

// FromMagento returns an error of magentoapi with its class. It marks a definite refusal by event.NotDone.
func FromMagento(err error) error {
	classed, ok := classify(err)
	if !ok {
		return err
	}
	var answer *magentoapi.Error
	refused := errors.As(err, &answer) && answer.Status >= 400 && answer.Status < 500 // after a redirect the effect may have happened
	switch classed.Class {
	case event.Rejected, event.Unauthorized, event.NotFound:
		if refused {
			return event.NotDone(classed)
		}
	}
	return classed
}

// fromShip is FromMagento for requests that ship an order. After a 400 the shipment may have been made.
func fromShip(err error) error {
	if classed, ok := classify(err); ok && errors.Is(err, magentoapi.ErrBadRequest) {
		return classed
	}
	return FromMagento(err)
}

// LogOdd logs, at debug, fields of an unexpected form in an answer of Magento's or in an event: their paths and forms, never their
// values.
func LogOdd(ctx context.Context, where string, fields []magentoapi.OddField) {
	const most = 20
	if len(fields) == 0 || zerolog.Ctx(ctx).GetLevel() > zerolog.DebugLevel {
		return
	}
	forms := zerolog.Arr()
	for _, f := range fields[:min(len(fields), most)] {
		forms = forms.Str(f.Error())
	}
	zerolog.Ctx(ctx).Debug().Str("event", "odd_fields").Str("where", where).Array("fields", forms).Int("count", len(fields)).
		Msg("fields of an unexpected form are kept as they came and not used")
}

// classify returns the class of an answer of Magento's. An error that is no answer is of the transport, which has classed it, or a bug.
func classify(err error) (*event.Error, bool) {
	var classed *event.Error
	var deferral *event.Deferral
	var answer *magentoapi.Error
	if errors.As(err, &classed) || errors.As(err, &deferral) || !errors.As(err, &answer) {
		return nil, false
	}
	class := event.ClassOfStatus(answer.Status)
	var odd magentoapi.OddField
	switch {
	case errors.As(err, &odd) && odd.Field() != "": // Magento's answer has it, and the next answer will have it too
		class = event.Invalid
	case errors.Is(err, magentoapi.ErrUnauthorized):
		class = event.Unauthorized
	case answer.Transient() && class == event.Rejected, errors.Is(err, magentoapi.ErrUnreadable):
		class = event.Unavailable // a 400 whose text says that a lock or a save failed
	}
	return &event.Error{
		Class: class, Downstream: magento, Status: answer.Status, RetryAfter: answer.RetryAfter, Err: err,
		Request:    answer.Method + " " + answer.Path,
		Unreadable: class == event.Unavailable && errors.Is(err, magentoapi.ErrUnreadable),
	}, true
}
