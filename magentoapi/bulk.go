package magentoapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"
)

// BulkService has Magento carry calls out later, by its queue: one call, or many in one request. Magento answers at once
// with the uuid of the bulk; Wait waits for its operations.
//
// Every POST, PUT, PATCH and DELETE endpoint can be called so. Its path is what it is elsewhere, /V1/…, but where many
// calls have parameters of their own in it, each is written by<Name>, and the value is in the call's body:
// PUT /V1/products/bySku.
//
// Source of the endpoints: app/code/Magento/WebapiAsync and, for the status,
// app/code/Magento/AsynchronousOperations/etc/webapi.xml.
type BulkService struct{ client *Client }

// Scheduled is what Magento answers to asynchronous calls.
type Scheduled struct {
	UUID  string
	Items []ScheduledItem // one for each call, in their order
}

// ScheduledItem is one call that was taken, or not.
type ScheduledItem struct {
	ID           Int  `json:"id"` // its place among the calls, from 0
	DataHash     Text `json:"data_hash"`
	Status       Text `json:"status"` // accepted or rejected
	ErrorMessage Text `json:"error_message"`
	ErrorCode    Text `json:"error_code"`
}

// RejectedError says that Magento has not taken some of the calls. It has taken the others, and carries them out.
type RejectedError struct {
	UUID     string
	Rejected []ScheduledItem
	// Calls is how many there were.
	Calls int
}

func (e *RejectedError) Error() string {
	first := e.Rejected[0]
	return fmt.Sprintf("magento: bulk %s: %d of %d calls were not taken, the first of them the one at %d: %s",
		e.UUID, len(e.Rejected), e.Calls, first.ID, forError(string(first.ErrorMessage)))
}

// forError makes a message fit for an error's text.
func forError(message string) string {
	return bound(strings.Join(strings.Fields(maskAddresses(message)), " "), maxMessage)
}

// Call schedules one call of an endpoint, with the body that it has elsewhere. A *RejectedError says that it was not
// taken; the *Scheduled is given all the same. It is not repeated: twice schedules it twice.
//
// POST /async/V1/*
// PUT /async/V1/*
// PATCH /async/V1/*
// DELETE /async/V1/*
func (s *BulkService) Call(ctx context.Context, method, path string, body any) (*Scheduled, error) {
	return s.schedule(ctx, operation{method: method, path: "/async" + path}, body)
}

// CallAll schedules many calls of an endpoint, of each the body that it has elsewhere. A *RejectedError says which were
// not taken, the others are: the *Scheduled is given all the same. Magento's input limits, where they are on, allow 5000
// calls. It is not repeated: twice schedules them twice.
//
// POST /async/bulk/V1/*
// PUT /async/bulk/V1/*
// PATCH /async/bulk/V1/*
// DELETE /async/bulk/V1/*
func (s *BulkService) CallAll(ctx context.Context, method, path string, bodies []any) (*Scheduled, error) {
	if len(bodies) == 0 {
		return nil, fmt.Errorf("magento: %s /async/bulk%s: there are no calls", method, path)
	}
	return s.schedule(ctx, operation{method: method, path: "/async/bulk" + path}, bodies)
}

func (s *BulkService) schedule(ctx context.Context, op operation, body any) (*Scheduled, error) {
	if op.method == http.MethodGet {
		return nil, fmt.Errorf("magento: GET %s: what is read can't be called asynchronously", op.path)
	}
	var answer struct {
		UUID  Text            `json:"bulk_uuid"`
		Items []ScheduledItem `json:"request_items"`
	}
	odd, err := s.client.ask(ctx, op, body, &answer)
	if err != nil {
		return nil, err
	}
	if answer.UUID == "" {
		return nil, op.unreadable(http.StatusAccepted, nil, errors.New("no bulk_uuid"))
	}
	if err := oddAt(odd, "request_items.status"); err != nil { // what was not taken would be thought to be
		return nil, op.unreadable(http.StatusAccepted, nil, err)
	}
	scheduled := &Scheduled{string(answer.UUID), answer.Items}
	var rejected []ScheduledItem
	for _, item := range answer.Items {
		if item.Status == "rejected" {
			rejected = append(rejected, item)
		}
	}
	if len(rejected) > 0 {
		return scheduled, &RejectedError{scheduled.UUID, rejected, len(answer.Items)}
	}
	return scheduled, nil
}

// OperationStatus is how far an operation is (lib/internal/Magento/Framework/Bulk/OperationInterface.php).
type OperationStatus int

// The statuses.
const (
	OperationComplete  OperationStatus = 1 // carried out; see Operation.PriceRefusals
	OperationRetriable OperationStatus = 2 // failed: a deadlock, a lock, a lost connection to the database
	OperationFailed    OperationStatus = 3 // failed for good
	OperationOpen      OperationStatus = 4 // not carried out yet
	OperationRejected  OperationStatus = 5 // was not taken
)

// UnmarshalJSON reads a number, or a text that holds one.
func (s *OperationStatus) UnmarshalJSON(data []byte) error {
	var n ID
	if err := n.UnmarshalJSON(data); err != nil {
		return err
	}
	*s = OperationStatus(n)
	return nil
}

// Operation is one call of a bulk.
type Operation struct {
	ID      ID              `json:"id"` // its place among the calls, from 0, in recent versions; a number of its own in others
	Status  OperationStatus `json:"status"`
	Message Text            `json:"result_message"`
	Code    Text            `json:"error_code"`

	// The rest is in detailed answers alone.
	BulkUUID  Text `json:"bulk_uuid"`
	TopicName Text `json:"topic_name"`
	// SerializedData is the call: JSON, of which meta_information is a text with the body's JSON.
	SerializedData Text `json:"serialized_data"`
	// ResultSerializedData is what the endpoint answered, as JSON in a text; see Result and PriceRefusals.
	ResultSerializedData Text `json:"result_serialized_data"`
}

// Result reads what the endpoint answered into v, and reports whether the operation has an answer.
func (o *Operation) Result(v any) (bool, error) {
	return readMember(json.RawMessage(o.ResultSerializedData), "result_serialized_data", v)
}

// PriceRefusals gives the rows that a price endpoint refused; their Row is -1, for Magento tells what a row held and not
// where it was. That an operation is complete does not mean that each of its rows was saved: these endpoints answer with
// the list of those that were not, and have saved the others
// (app/code/Magento/Catalog/Model/Product/Price/BasePriceStorage.php). An answer that is no such list is an error.
func (o *Operation) PriceRefusals() ([]PriceRefusal, error) {
	if o.ResultSerializedData == "" {
		return nil, nil
	}
	refused, err := decodeRefusals([]byte(o.ResultSerializedData))
	if err != nil {
		return nil, fmt.Errorf("magento: bulk %s: operation %d: what the endpoint answered is no list of refused rows: %w", o.BulkUUID, o.ID, err)
	}
	return refused, nil
}

// BulkStatus is how far a bulk is.
type BulkStatus struct {
	UUID        Text `json:"bulk_id"`
	Description Text `json:"description"`
	StartTime   Time `json:"start_time"`
	UserID      ID   `json:"user_id"`
	UserType    Int  `json:"user_type"` // 1 integration, 2 admin, 3 customer, 4 guest
	// OperationCount is how many operations there are; Operations may be fewer, for some versions list an operation only
	// when it is no longer open.
	OperationCount Int         `json:"operation_count"`
	Operations     []Operation `json:"operations_list"`
}

// Open is how many operations are still to be carried out.
func (b *BulkStatus) Open() int {
	open := max(0, int(b.OperationCount)-len(b.Operations))
	for _, o := range b.Operations {
		if o.Status == OperationOpen {
			open++
		}
	}
	return open
}

// Status reads a bulk and its operations; ErrNotFound if there is none of this uuid.
//
// GET /V1/bulk/:bulkUuid/status, permission Magento_AsynchronousOperations::system_magento_logging_bulk_operations (up to 2.4.6 Magento_Logging::system_magento_logging_bulk_operations)
func (s *BulkService) Status(ctx context.Context, uuid string) (*BulkStatus, error) {
	return s.status(ctx, endpoint("bulk", uuid, "status"))
}

// DetailedStatus reads a bulk and its operations with what was called and answered.
//
// GET /V1/bulk/:bulkUuid/detailed-status, permission Magento_AsynchronousOperations::system_magento_logging_bulk_operations (up to 2.4.6 Magento_Logging::system_magento_logging_bulk_operations)
func (s *BulkService) DetailedStatus(ctx context.Context, uuid string) (*BulkStatus, error) {
	return s.status(ctx, endpoint("bulk", uuid, "detailed-status"))
}

// status demands the list of operations: an answer without it would look like a bulk that is done.
func (s *BulkService) status(ctx context.Context, path string) (*BulkStatus, error) {
	status, err := get[BulkStatus](ctx, s.client, path)
	if err == nil && status.Operations == nil {
		op := operation{method: http.MethodGet, path: path}
		return nil, op.unreadable(http.StatusOK, nil, errors.New("no operations_list"))
	}
	return status, err
}

// Count reads how many operations of a bulk have a status.
//
// GET /V1/bulk/:bulkUuid/operation-status/:status, permission Magento_AsynchronousOperations::system_magento_logging_bulk_operations (up to 2.4.6 Magento_Logging::system_magento_logging_bulk_operations)
func (s *BulkService) Count(ctx context.Context, uuid string, status OperationStatus) (int, error) {
	count, err := get[ID](ctx, s.client, endpoint("bulk", uuid, "operation-status", itoa(int64(status))))
	if err != nil {
		return 0, err
	}
	return int(*count), nil
}

// Operations reads a page of the operations of all bulks, with what was called and answered. Without a sort they are
// sorted by id.
//
// GET /V1/bulk, permission Magento_AsynchronousOperations::system_magento_logging_bulk_operations (up to 2.4.6 Magento_Logging::system_magento_logging_bulk_operations)
func (s *BulkService) Operations(ctx context.Context, criteria SearchCriteria) (*Page[*Operation], error) {
	return search[Operation](ctx, s.client, endpoint("bulk"), "id", criteria)
}

// AllOperations gives all operations that a search finds, by numbered pages: where some are cleaned up meanwhile, others
// may be passed over. It ends after an error.
//
// GET /V1/bulk, permission Magento_AsynchronousOperations::system_magento_logging_bulk_operations (up to 2.4.6 Magento_Logging::system_magento_logging_bulk_operations)
func (s *BulkService) AllOperations(ctx context.Context, criteria SearchCriteria) iter.Seq2[*Operation, error] {
	return walkPages(ctx, criteria, s.Operations)
}
