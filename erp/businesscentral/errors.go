package businesscentral

import (
	"encoding/json"
	"strings"

	"github.com/mageline/mageline/erp/erphttp"
	"github.com/mageline/mageline/event"
)

var (
	// busy is a refusal that ends by itself. Nothing was done.
	busy = erphttp.Meaning{Class: event.Unavailable, NotDone: true}
	// unsure is one after which the ERP is asked before anything is sent again.
	unsure = erphttp.Meaning{Class: event.Unavailable}
	// unusable is one that names what is missing or not set up.
	unusable = erphttp.Meaning{Class: event.Invalid, NotDone: true}
	refused  = erphttp.Meaning{Class: event.Rejected, NotDone: true}
)

// Dialect is the errors of Business Central: what ends by itself comes as 400 or 409 too, and only its code and its text tell
// it from what is refused for good.
var Dialect = erphttp.Dialect{Read: readError, Rules: []erphttp.Rule{
	{Text: "was locked by another user", Meaning: busy},
	{Text: "another user has modified the record", Meaning: busy},
	{Text: "we just updated this page", Meaning: busy},
	{Text: "deadlock", Meaning: busy},
	{Status: 409, Code: "Request_EntityChanged", Meaning: busy},
	{Status: 412, Meaning: busy},
	{Code: "Internal_EntityWithSameKeyExists", Meaning: unsure},
	{Code: "Internal_ServerError", Meaning: unsure},
	{Code: "Internal_TenantUnavailable", Meaning: unsure},
	{Status: 409, Meaning: unsure},
	{Status: 400, Code: "Internal_RecordNotFound", Meaning: unusable},
	{Status: 400, Code: "Internal_InvalidTableRelation", Meaning: unusable},
	{Status: 400, Text: textNoItem, Meaning: unusable},
	{Status: 400, Text: "Account does not exist.", Meaning: unusable},
	{Status: 400, Text: "Resource does not exist.", Meaning: unusable},
	{Status: 400, Text: "cannot be found", Meaning: unusable},
	{Status: 400, Text: "does not match to", Meaning: unusable},
	{Status: 400, Text: "do not match to", Meaning: unusable},
	{Status: 400, Text: "must have a value in", Meaning: unusable},
	{Status: 400, Text: "You may not enter numbers manually", Meaning: unusable},
	{Status: 400, Meaning: refused},
}}

// textNoItem does not name the item.
const textNoItem = "Item does not exist."

// readError takes code and message out of {"error":{"code","message"}}. The id at the end of the message is new each time,
// and would make each refusal another one.
func readError(body []byte) (code, message string) {
	var e struct {
		Error struct {
			Code    json.RawMessage `json:"code"`
			Message string          `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &e) != nil || e.Error.Message == "" && e.Error.Code == nil {
		return erphttp.ReadError(body)
	}
	code, _ = erphttp.Text("code", e.Error.Code)
	message, _, _ = strings.Cut(e.Error.Message, "CorrelationId:")
	return code, strings.TrimSpace(message)
}
