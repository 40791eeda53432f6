package handlers

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/shopspring/decimal"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/idempotency"
)

// What the rows of the ledger hold for later handlings. Rows that were made before there was data have it in their names and
// reasons, which are still written: people read them, and so does the version before while an update is rolled out. See
// docs/decisions/029-typed-effects.md.

// createdData is in the rows of CreateEffect.
type createdData struct {
	EntityID int64 `json:"entity_id"` // of the order that the row was made for
	// Differs is what the comment says of the document's total; empty where that is Magento's.
	Differs string `json:"differs,omitempty"`
}

// trackData is in the rows of effectTrack that are done.
type trackData struct {
	Shipment int64 `json:"shipment"`           // the entity id
	MailDue  bool  `json:"mail_due,omitempty"` // effectMail is to follow
}

// cancelData is in the rows of cancellations: what is cancelled of the order by then.
type cancelData struct {
	Lines []cancelledLine `json:"lines"`
	Whole bool            `json:"whole,omitempty"` // the order is, and its document with it
}

type cancelledLine struct {
	Reference string          `json:"reference"`
	Quantity  decimal.Decimal `json:"quantity"`
}

func newCancelData(cancelled []erp.CancellationLine, whole bool) cancelData {
	d := cancelData{Lines: make([]cancelledLine, 0, len(cancelled)), Whole: whole}
	for _, l := range cancelled {
		d.Lines = append(d.Lines, cancelledLine{l.Reference, l.Quantity.Decimal})
	}
	return d
}

// encoded returns data as a row takes it.
func encoded(data any) json.RawMessage {
	b, err := json.Marshal(data)
	if err != nil {
		panic(err) // none of the types above has what JSON has not
	}
	return b
}

// decode reads data into v; false for a row that has none.
func decode(data json.RawMessage, v any) bool {
	return len(data) > 0 && json.Unmarshal(data, v) == nil
}

// madeFor returns the entity id of the order that a row of CreateEffect was made for; 0 for one that does not tell.
func madeFor(res idempotency.Result) int64 {
	var d createdData
	if decode(res.Data, &d) {
		return d.EntityID
	}
	text, ok := strings.CutPrefix(res.Reason, entityIDPrefix)
	id, err := strconv.ParseInt(text, 10, 64)
	if !ok || err != nil {
		return 0
	}
	return id
}

// trackOf returns what a row of effectTrack that is done holds.
func trackOf(res idempotency.Result) (trackData, bool) {
	var d trackData
	if decode(res.Data, &d) {
		return d, true
	}
	id, err := strconv.ParseInt(res.Value, 10, 64)
	return trackData{Shipment: id, MailDue: res.Reason == mailDue}, err == nil
}

// cancelOf returns what a row of a cancellation holds; false where nobody can tell, as of a row that was made before there
// was data for an order with very many lines: its name has a digest of them.
func cancelOf(row idempotency.Row) (cancelData, bool) {
	var d cancelData
	if decode(row.Result.Data, &d) {
		return d, true
	}
	list, whole := strings.CutSuffix(strings.TrimPrefix(row.Key.Effect, effectCancel), suffixWhole)
	d = cancelData{Lines: []cancelledLine{}, Whole: whole}
	if list == "" { // an order without lines that can be cancelled
		return d, true
	}
	for part := range strings.SplitSeq(list, ",") {
		reference, n, ok := strings.Cut(part, "=")
		quantity, err := decimal.NewFromString(n)
		if !ok || err != nil {
			return cancelData{}, false
		}
		d.Lines = append(d.Lines, cancelledLine{reference, quantity})
	}
	return d, true
}
