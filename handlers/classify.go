package handlers

import (
	"errors"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/magentoapi"
)

// magento is the downstream's name.
const magento = "magento"

// fromMagento gives an error of magentoapi its class. A definite refusal is marked by event.NotDone.
func fromMagento(err error) error {
	classed, ok := classify(err)
	if !ok {
		return err
	}
	var answer *magentoapi.Error
	refused := errors.As(err, &answer) && answer.Status >= 400 && answer.Status < 500 // a redirect says nothing of what was done before it
	switch classed.Class {
	case event.Rejected, event.Unauthorized, event.NotFound:
		if refused {
			return event.NotDone(classed)
		}
	}
	return classed
}

// fromShip is fromMagento for what ships an order. A 400 that answers it is no proof that nothing was done.
func fromShip(err error) error {
	if classed, ok := classify(err); ok && errors.Is(err, magentoapi.ErrBadRequest) {
		return classed
	}
	return fromMagento(err)
}

// classify gives the class of an answer of Magento's. An error that is none is of the transport, which knows best; or a bug.
func classify(err error) (*event.Error, bool) {
	var classed *event.Error
	var deferral *event.Deferral
	var answer *magentoapi.Error
	if errors.As(err, &classed) || errors.As(err, &deferral) || !errors.As(err, &answer) {
		return nil, false
	}
	class := event.ClassOfStatus(answer.Status)
	switch {
	case errors.Is(err, magentoapi.ErrUnauthorized):
		class = event.Unauthorized
	case answer.Transient() && class == event.Rejected, errors.Is(err, magentoapi.ErrUnreadable):
		class = event.Unavailable // a 400 that tells of a lock or a failed save
	}
	return &event.Error{Class: class, Downstream: magento, RetryAfter: answer.RetryAfter, Err: err}, true
}
