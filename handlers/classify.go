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
	var classed *event.Error
	var deferral *event.Deferral
	var answer *magentoapi.Error
	if errors.As(err, &classed) || errors.As(err, &deferral) || !errors.As(err, &answer) {
		return err // of the transport, which knows best; or a bug
	}
	class := event.ClassOfStatus(answer.Status)
	switch {
	case errors.Is(err, magentoapi.ErrUnauthorized):
		class = event.Unauthorized
	case answer.Transient() && class == event.Rejected, errors.Is(err, magentoapi.ErrUnreadable):
		class = event.Unavailable // a 400 that tells of a lock or a failed save
	}
	classed = &event.Error{Class: class, Downstream: magento, RetryAfter: answer.RetryAfter, Err: err}
	refused := answer.Status >= 400 && answer.Status < 500 // a redirect says nothing of what was done before it
	switch class {
	case event.Rejected, event.Unauthorized, event.NotFound:
		if refused {
			return event.NotDone(classed)
		}
	}
	return classed
}
