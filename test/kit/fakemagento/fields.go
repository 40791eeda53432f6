package fakemagento

import (
	"bytes"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
)

// The filter of answers, as lib/internal/Magento/Framework/Webapi/Rest/Response/FieldsFilter.php has it. Magento applies
// it to what any endpoint answers, single entities and lists alike
// (app/code/Magento/Webapi/Controller/Rest/SynchronousRequestProcessor.php). The names come from the query: what is
// asked for and is not there is left out without a word.

// fieldTree is what of an object is wanted; nil is all of it.
type fieldTree map[string]fieldTree

// maxFieldDepth bounds what a test can make this recurse into.
const maxFieldDepth = 50

var notFieldNames = regexp.MustCompile(`[^\w\[\],]`)

// parseFields reads "items[entity_id,payment[method]],total_count". What is not well-formed is no filter: Magento then
// answers with everything.
func parseFields(text string) (tree fieldTree, ok bool) {
	if text == "" || notFieldNames.MatchString(text) {
		return nil, false
	}
	current, name := fieldTree{}, ""
	var stack []fieldTree
	var parents []string
	for text != "" {
		end := strings.IndexAny(text, ",[]")
		if end < 0 {
			end = len(text)
		}
		if end > 0 {
			name = text[:end]
			current[name] = nil
		}
		if end == len(text) {
			break
		}
		switch text[end] {
		case '[':
			stack, parents, current = append(stack, current), append(parents, name), fieldTree{}
		case ']':
			if len(stack) == 0 { // one too many, and PHP goes on with what no answer has
				current = fieldTree{"": current}
				break
			}
			last := len(stack) - 1
			stack[last][parents[last]] = current
			current, stack, parents = stack[last], stack[:last], parents[:last]
		}
		text = text[end+1:]
		if len(stack) > maxFieldDepth {
			return nil, false
		}
	}
	return current, len(stack) == 0
}

// filterFields leaves what is wanted of an object, or of each object of a list. An empty list becomes null, and an object
// of which nothing is left an empty list: so PHP makes them. It is not ok where the filter reaches into what is neither,
// for which PHP throws.
func filterFields(v any, wanted fieldTree) (_ any, ok bool) {
	switch v := v.(type) {
	case []any:
		if len(v) == 0 {
			return nil, true
		}
		kept := make([]any, 0, len(v))
		for _, item := range v {
			item, ok := filterFields(item, wanted)
			if !ok {
				return nil, false
			}
			kept = append(kept, item)
		}
		return kept, true
	case map[string]any:
		kept := map[string]any{}
		for name, below := range wanted {
			value, there := v[name]
			if !there {
				continue
			}
			if below != nil {
				if value, ok = filterFields(value, below); !ok {
					return nil, false
				}
			}
			kept[name] = value
		}
		if len(kept) == 0 {
			return []any{}, true
		}
		return kept, true
	default:
		return nil, false
	}
}

// filtered applies the filter of a request to the answer of next.
func filtered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		wanted, ok := parseFields(r.URL.Query().Get("fields"))
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		whole := &heldAnswer{header: w.Header(), status: http.StatusOK}
		next.ServeHTTP(whole, r)
		var body any
		decoder := json.NewDecoder(&whole.body)
		decoder.UseNumber()
		raw := whole.body.Bytes()
		if whole.status == http.StatusOK && decoder.Decode(&body) == nil {
			switch body.(type) {
			case []any, map[string]any: // a bare value is not filtered
				if body, ok = filterFields(body, wanted); !ok {
					refuse(w, http.StatusInternalServerError, "Internal Error. Details are available in Magento log file. Report ID: webapi-6743a1b2c3d4e", nil)
					return
				}
				raw = encode(body)
			}
		}
		w.WriteHeader(whole.status)
		_, _ = w.Write(raw)
	})
}

// heldAnswer is an answer that is not sent yet.
type heldAnswer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *heldAnswer) Header() http.Header { return a.header }

func (a *heldAnswer) WriteHeader(status int) { a.status = status }

func (a *heldAnswer) Write(b []byte) (int, error) { return a.body.Write(b) }
