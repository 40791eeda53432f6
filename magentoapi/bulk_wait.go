package magentoapi

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Waiting is how a bulk is waited for. The zero value asks after 1 s, then less and less often down to every 30 s, and
// gives up when no operation has ended for an hour.
type Waiting struct {
	// Interval is the first wait, 0 for 1 s. Each is half as long again as the one before.
	Interval time.Duration
	// MaxInterval is the longest wait, 0 for 30 s.
	MaxInterval time.Duration
	// Patience is how long no operation may end before Wait gives up, 0 for an hour: an operation can stay open for ever
	// (magento2 issues 28288, 29718 and 31741), and none ends while Magento's consumers don't run.
	Patience time.Duration
}

func (w Waiting) orDefaults() Waiting {
	if w.Interval <= 0 {
		w.Interval = time.Second
	}
	if w.MaxInterval <= 0 {
		w.MaxInterval = 30 * time.Second
	}
	if w.Patience <= 0 {
		w.Patience = time.Hour
	}
	return w
}

// ErrStillOpen is a bulk that Wait gave up on: some operations are open, and may yet be carried out.
var ErrStillOpen = errors.New("operations are still open")

// An OperationError is an operation that failed or was not taken.
type OperationError struct {
	UUID      string
	Operation Operation
}

func (e *OperationError) Error() string {
	return fmt.Sprintf("magento: bulk %s: operation %d has status %d: %s",
		e.UUID, e.Operation.ID, e.Operation.Status, forError(string(e.Operation.Message)))
}

// Transient reports whether the same call may succeed later: Magento says so, or its message tells of a lock, a deadlock
// or a failed save.
func (e *OperationError) Transient() bool {
	return e.Operation.Status == OperationRetriable || savesFailed.MatchString(string(e.Operation.Message))
}

// A BulkError says that a bulk is done and that some of its operations failed; the others were carried out. errors.As
// finds the *OperationError of the first.
type BulkError struct {
	UUID       string
	Failed     []*OperationError
	Operations int
}

func (e *BulkError) Error() string {
	return fmt.Sprintf("magento: bulk %s: %d of %d operations failed; the first: %s",
		e.UUID, len(e.Failed), e.Operations, forError(string(e.Failed[0].Operation.Message)))
}

// Unwrap gives the operations that failed.
func (e *BulkError) Unwrap() []error {
	all := make([]error, len(e.Failed))
	for i, f := range e.Failed {
		all[i] = f
	}
	return all
}

// Wait waits until no operation of a bulk is open, and gives its detailed status. If some operations failed it is a
// *BulkError, and if it gave up ErrStillOpen; the status is given all the same. The operations are looked at one by one,
// for Magento's own summary of a bulk can say that it is finished while some are open (magento2 issue 36911).
//
// An error of a request ends it: it may be called again. A complete operation may have rows that were not saved:
// see Operation.PriceRefusals.
//
// GET /V1/bulk/:bulkUuid/status, permission Magento_AsynchronousOperations::system_magento_logging_bulk_operations (up to 2.4.6 Magento_Logging::system_magento_logging_bulk_operations)
// GET /V1/bulk/:bulkUuid/detailed-status, permission Magento_AsynchronousOperations::system_magento_logging_bulk_operations (up to 2.4.6 Magento_Logging::system_magento_logging_bulk_operations)
func (s *BulkService) Wait(ctx context.Context, uuid string, w Waiting) (*BulkStatus, error) {
	w = w.orDefaults()
	pause, least, progress := w.Interval, -1, time.Now()
	for {
		status, err := s.Status(ctx, uuid)
		if err != nil {
			return nil, err
		}
		open := status.Open()
		if open == 0 {
			break
		}
		if least < 0 || open < least {
			least, progress = open, time.Now()
		}
		if time.Since(progress) >= w.Patience {
			return status, fmt.Errorf("magento: bulk %s: %d of %d %w, and none has ended for %s (do Magento's consumers run?)",
				uuid, open, max(int(status.OperationCount), len(status.Operations)), ErrStillOpen, w.Patience)
		}
		timer := time.NewTimer(min(pause, w.Patience-time.Since(progress)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return status, fmt.Errorf("magento: waiting for bulk %s, of which %d operations are open: %w", uuid, open, ctx.Err())
		}
		pause = min(pause+pause/2, w.MaxInterval)
	}
	status, err := s.DetailedStatus(ctx, uuid)
	if err != nil {
		return nil, err
	}
	return status, failures(uuid, status)
}

// failures gives the *BulkError of the operations that failed, or nil.
func failures(uuid string, status *BulkStatus) error {
	e := &BulkError{UUID: uuid, Operations: len(status.Operations)}
	for _, o := range status.Operations {
		if o.Status != OperationComplete {
			e.Failed = append(e.Failed, &OperationError{uuid, o})
		}
	}
	if len(e.Failed) == 0 {
		return nil
	}
	return e
}
