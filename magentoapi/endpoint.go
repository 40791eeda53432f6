package magentoapi

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// endpoint makes the path of an endpoint of its parts: endpoint("products", sku, "media") is /V1/products/<sku>/media.
// A SKU may hold anything, so that everything but letters, digits, "-", ".", "_" and "~" is escaped: url.PathEscape
// leaves "+", "&" and others, which not every server reads as themselves.
//
// A part that is empty would name another endpoint, up to all products in the place of one. It is written as ".", which
// no request is sent for: see checkPath.
func endpoint(parts ...string) string {
	var b strings.Builder
	b.WriteString("/V1")
	for _, part := range parts {
		b.WriteByte('/')
		if part == "" {
			part = "."
		}
		b.WriteString(percentEncode(part))
	}
	return b.String()
}

func itoa(id int64) string { return strconv.FormatInt(id, 10) }

// checkPath reports what is wrong with a path. Segments of dots are resolved on the way, by the client's own libraries,
// proxies and web servers, even if they are escaped; what is left is the path of something else.
func checkPath(path string) (wrong string) {
	if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, "?#") {
		return "must begin with a slash and hold no query"
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return `an id, code or SKU in it is empty, "." or "..", which no address can hold`
		}
	}
	return ""
}

// fieldNames is what Magento takes in a filter of fields. With anything else in it, it leaves the filter out without a word
// (Framework\Webapi\Rest\Response\FieldsFilter::parse).
var fieldNames = regexp.MustCompile(`^[A-Za-z0-9_,\[\]]+$`)

// fieldsFilter makes the query's filter of fields.
func fieldsFilter(fields []string) (string, error) {
	filter := strings.Join(fields, ",")
	if !fieldNames.MatchString(filter) || strings.Count(filter, "[") != strings.Count(filter, "]") {
		return "", fmt.Errorf("the filter of fields %q: must be names, with commas between them and brackets in pairs", filter)
	}
	return filter, nil
}
