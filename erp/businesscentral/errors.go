package businesscentral

import (
	"encoding/json"
	"strings"

	"github.com/mageline/mageline/erp/erphttp"
)

// Dialect is the errors of Business Central: what ends by itself comes as 400 or 409 too, and only its code and its text tell
// it from what is refused for good.
var Dialect = erphttp.Dialect{Read: readError, Rules: []erphttp.Rule{
	{Text: "was locked by another user", Meaning: erphttp.Busy},
	{Text: "another user has modified the record", Meaning: erphttp.Busy},
	{Text: "we just updated this page", Meaning: erphttp.Busy},
	{Text: "deadlock", Meaning: erphttp.Busy},
	{Status: 409, Code: "Request_EntityChanged", Meaning: erphttp.Busy},
	{Status: 412, Meaning: erphttp.Busy},
	{Code: "Internal_EntityWithSameKeyExists", Meaning: erphttp.Unsure},
	{Code: "Internal_ServerError", Meaning: erphttp.Unsure},
	{Code: "Internal_TenantUnavailable", Meaning: erphttp.Unsure},
	{Status: 409, Meaning: erphttp.Unsure},
	{Status: 400, Code: "Internal_RecordNotFound", Meaning: erphttp.Unusable},
	{Status: 400, Code: "Internal_InvalidTableRelation", Meaning: erphttp.Unusable},
	{Status: 400, Text: textNoItem, Meaning: erphttp.Unusable},
	{Status: 400, Text: "Account does not exist.", Meaning: erphttp.Unusable},
	{Status: 400, Text: "Resource does not exist.", Meaning: erphttp.Unusable},
	{Status: 400, Text: "cannot be found", Meaning: erphttp.Unusable},
	{Status: 400, Text: "does not match to", Meaning: erphttp.Unusable},
	{Status: 400, Text: "do not match to", Meaning: erphttp.Unusable},
	{Status: 400, Text: "must have a value in", Meaning: erphttp.Unusable},
	{Status: 400, Text: "You may not enter numbers manually", Meaning: erphttp.Unusable},
	{Status: 400, Meaning: erphttp.Refused},
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
