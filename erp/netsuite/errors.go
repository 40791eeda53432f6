package netsuite

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/mageline/mageline/erp/erphttp"
	"github.com/mageline/mageline/event"
)

var (
	// throttle is one that asks to be called later.
	throttle = erphttp.Meaning{Class: event.Throttled}
	// forbidden is one about the role and not about the message.
	forbidden = erphttp.Meaning{Class: event.Unauthorized, NotDone: true}
)

// maxLogins is how many answers of INVALID_LOGIN in a row are taken for a throttle: NetSuite words the limit of an account's calls
// so, too.
const maxLogins = 3

// Dialect is the errors of NetSuite. Most come as 400 with one code, and only their text tells them apart.
var Dialect = erphttp.Dialect{Read: readError, Rules: []erphttp.Rule{
	{Status: http.StatusUnauthorized, Code: "INVALID_LOGIN", AtMost: maxLogins, Meaning: throttle},
	{Code: "CONCURRENCY_LIMIT_EXCEEDED", Meaning: throttle},
	{Code: "REQUEST_LIMIT_EXCEEDED", Meaning: throttle},
	{Code: "SSS_REQUEST_LIMIT_EXCEEDED", Meaning: throttle},
	{Code: "WS_REQUEST_BLOCKED", Meaning: throttle},
	{Code: "RCRD_HAS_BEEN_CHANGED", Meaning: erphttp.Busy},
	{Status: http.StatusBadRequest, Text: "record has been changed", Meaning: erphttp.Busy},
	{Status: http.StatusConflict, Meaning: erphttp.Busy},
	{Code: "INSUFFICIENT_PERMISSION", Meaning: forbidden},
	{Status: http.StatusBadRequest, Text: "does not have permission", Meaning: forbidden},
	{Code: "DUP_RCRD", Meaning: erphttp.Unsure},
	{Code: "DUP_ENTITY", Meaning: erphttp.Unsure},
	{Status: http.StatusBadRequest, Text: textThere, Meaning: erphttp.Unsure},
	{Code: "IDEMPOTENCY_ERROR", Meaning: erphttp.Unsure},
	{Status: http.StatusBadRequest, Text: "locked by a user defined workflow", Meaning: erphttp.Refused},
	{Status: http.StatusBadRequest, Text: "date range of your accounting period", Meaning: erphttp.Refused},
	{Status: http.StatusBadRequest, Text: "Search error occurred", Meaning: erphttp.Unusable},
	{Status: http.StatusBadRequest, Text: "Invalid Field Value", Meaning: erphttp.Unusable},
	{Status: http.StatusBadRequest, Text: "You must enter a value", Meaning: erphttp.Unusable},
	{Status: http.StatusBadRequest, Text: "Please enter value", Meaning: erphttp.Unusable},
	{Status: http.StatusBadRequest, Code: "INVALID_CONTENT", Meaning: erphttp.Unusable},
	{Status: http.StatusBadRequest, Code: "INVALID_VALUE", Meaning: erphttp.Unusable},
	{Status: http.StatusBadRequest, Meaning: erphttp.Refused},
}}

// textThere is said of a second record with an external id, and of a second entity with a name.
const textThere = "already exists"

// nsError is the body of an error.
type nsError struct {
	Title   string `json:"title"`
	Details *[]struct {
		Detail string `json:"detail"`
		Code   string `json:"o:errorCode"`
		Path   string `json:"o:errorPath"`
		Query  string `json:"o:errorQueryParam"`
		Header string `json:"o:errorHeader"`
	} `json:"o:errorDetails"`
}

// isError reports whether a body is an error in NetSuite's form.
func isError(body []byte) bool {
	var e nsError
	return json.Unmarshal(body, &e) == nil && e.Details != nil
}

// maxDetails bounds the errors of one answer that are repeated.
const maxDetails = 3

// readError takes the code of the first error, and what the first few say with the fields that they are about.
func readError(body []byte) (code, message string) {
	var e nsError
	if json.Unmarshal(body, &e) != nil || e.Details == nil || len(*e.Details) == 0 {
		return erphttp.ReadError(body)
	}
	var words []string
	for i, d := range *e.Details {
		if i == maxDetails {
			break
		}
		text := strings.TrimSpace(d.Detail)
		if at := d.Path + d.Query + d.Header; at != "" {
			text += " [" + at + "]"
		}
		words = append(words, text)
	}
	return (*e.Details)[0].Code, strings.Join(words, "; ")
}
