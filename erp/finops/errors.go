package finops

import (
	"encoding/json"
	"strings"

	"github.com/mageline/mageline/erp/erphttp"
)

// Dialect is the errors of Finance & Operations. Code and outer message say nothing; the text within tells what ends by itself
// from what is refused for good, and may come as 400 or as 500.
var Dialect = erphttp.Dialect{Read: readError, Rules: []erphttp.Rule{
	{Text: "update conflict occurred", Meaning: erphttp.Busy},
	{Text: "another user", Meaning: erphttp.Busy},
	{Text: "deadlock", Meaning: erphttp.Busy},
	{Status: 412, Meaning: erphttp.Busy},
	{Text: "already exist", Meaning: erphttp.Unsure},
	{Status: 400, Text: "Could not find a property named", Meaning: erphttp.Refused},
	{Status: 400, Text: "is not found in the related table", Meaning: erphttp.Unusable},
	{Status: 500, Text: "is not found in the related table", Meaning: erphttp.Unusable},
	{Status: 400, Text: "does not exist", Meaning: erphttp.Unusable},
	{Status: 400, Text: "is mandatory", Meaning: erphttp.Unusable},
	{Status: 400, Text: "must be filled in", Meaning: erphttp.Unusable},
	{Status: 400, Text: "does not allow editing", Meaning: erphttp.Unusable},
	{Status: 400, Meaning: erphttp.Refused},
}}

// readError takes the message out of {"error":{"innererror":{"message"}}}.
func readError(body []byte) (code, message string) {
	var e struct {
		Error struct {
			InnerError struct {
				Message string `json:"message"`
			} `json:"innererror"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &e) != nil || e.Error.InnerError.Message == "" {
		return erphttp.ReadError(body)
	}
	return "", reason(e.Error.InnerError.Message)
}

// reason returns what a person needs of an infolog: its lines, each once, without what says the same each time.
func reason(text string) string {
	_, log, ok := strings.Cut(text, "Infolog:")
	if !ok {
		return text
	}
	var kept []string
	seen := map[string]bool{}
	for _, part := range strings.Split(log, ";") {
		part = strings.TrimSpace(part)
		for _, label := range []string{"Warning:", "Error:", "Info:"} {
			part = strings.TrimSpace(strings.TrimPrefix(part, label))
		}
		if part == "" || seen[part] || strings.HasPrefix(part, "validateWrite failed on data source") || strings.HasPrefix(part, "Update has been canceled") {
			continue
		}
		seen[part] = true
		kept = append(kept, part)
	}
	return strings.Join(kept, "; ")
}
