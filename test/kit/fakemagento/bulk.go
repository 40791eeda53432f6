package fakemagento

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The statuses of an operation, of Magento\Framework\Bulk\OperationInterface.
const (
	operationComplete  = 1
	operationRetriable = 2
	operationFailed    = 3
	operationOpen      = 4
	operationRejected  = 5
)

type bulks struct {
	all   map[string]*bulk
	uuids []string     // oldest first
	due   []*operation // open ones, oldest first
	api   router
	fail  []OperationFailure
}

// maxBulks bounds the bulks that are remembered, the newest.
const maxBulks = 10_000

type bulk struct {
	uuid, topic string
	started     time.Time
	operations  []*operation
}

// operation is one call that a consumer of Magento's queue carries out.
type operation struct {
	bulk    *bulk
	path    string
	body    json.RawMessage
	request *http.Request // that scheduled it
	dueAt   time.Time

	status          int
	message, result string
	code            any
}

// OperationFailure is how an operation fails instead of being carried out.
type OperationFailure struct {
	// Retriable is for a deadlock, a lock or a lost connection to the database.
	Retriable bool
	Message   string
}

// FailOperations lets the next operations fail, one each.
func (s *Server) FailOperations(failures ...OperationFailure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bulks.fail = append(s.bulks.fail, failures...)
}

func (b *bulks) init() { b.all = map[string]*bulk{} }

// scheduledKey marks requests of operations, which were allowed when they were scheduled.
type scheduledKey struct{}

func (s *Server) bulkRoutes(routes *http.ServeMux) {
	const resource = "Magento_AsynchronousOperations::system_magento_logging_bulk_operations"
	routes.Handle("GET /V1/bulk/{uuid}/status", s.allowed(resource, s.endpoint(s.bulkStatus(false))))
	routes.Handle("GET /V1/bulk/{uuid}/detailed-status", s.allowed(resource, s.endpoint(s.bulkStatus(true))))
	routes.Handle("GET /V1/bulk/{uuid}/operation-status/{status}", s.allowed(resource, s.endpoint(s.countOperations)))
	routes.Handle("GET /V1/bulk", s.allowed(resource, s.endpoint(s.searchOperations)))
	for _, method := range []string{"POST ", "PUT ", "PATCH ", "DELETE "} {
		routes.Handle(method+"/async/V1/", s.allowed("Magento_Backend::admin", s.schedule))
		routes.Handle(method+"/async/bulk/V1/", s.allowed("Magento_Backend::admin", s.schedule))
	}
}

// schedule answers 202 to one call, or to a list of them. Who may call is asked now, and not when a call is carried out.
func (s *Server) schedule(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		refuse(w, http.StatusBadRequest, "Decoding error.", nil)
		return
	}
	path, isBulk := strings.CutPrefix(r.URL.EscapedPath(), "/async/bulk")
	calls := []json.RawMessage{body}
	if isBulk {
		if err := json.Unmarshal(body, &calls); err != nil || len(calls) == 0 {
			refuse(w, http.StatusBadRequest, "Decoding error.", nil)
			return
		}
	} else {
		path = strings.TrimPrefix(path, "/async")
	}
	if _, pattern := s.bulks.api.of(requestOf(r.Context(), r, byName.ReplaceAllString(path, "/1"), nil)); pattern == "/" {
		refuse(w, http.StatusNotFound, "Request does not match any route.", nil)
		return
	}
	b := &bulk{uuid: uuid(), started: time.Now()}
	b.topic = "async." + strings.ToLower(strings.ReplaceAll(strings.Trim(path, "/"), "/", ".")+"."+r.Method)
	items, anyRejected := []any{}, false
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, one := range calls {
		o := &operation{bulk: b, body: one, request: r, dueAt: b.started.Add(s.options.AsyncDelay), status: operationOpen}
		hash := sha256.Sum256(one)
		item := map[string]any{"id": i, "data_hash": hex.EncodeToString(hash[:]), "status": "accepted"}
		var wrong string
		if o.path, wrong = fillPath(path, one); wrong != "" {
			o.status, o.message, anyRejected = operationRejected, wrong, true
			item["status"], item["error_message"], item["error_code"] = "rejected", wrong, 0
		} else {
			s.bulks.due = append(s.bulks.due, o)
		}
		items = append(items, item)
		b.operations = append(b.operations, o)
	}
	s.bulks.all[b.uuid] = b
	s.bulks.uuids = append(s.bulks.uuids, b.uuid)
	if len(s.bulks.uuids) > maxBulks {
		delete(s.bulks.all, s.bulks.uuids[0])
		s.bulks.uuids = s.bulks.uuids[1:]
	}
	answer(w, http.StatusAccepted, map[string]any{"bulk_uuid": b.uuid, "request_items": items, "errors": anyRejected})
}

// byName is a parameter of the path whose value each call has in its body: /products/bySku.
var byName = regexp.MustCompile(`/by([A-Z]\w*)`)

// fillPath puts the values of the body into the path, or says what is wrong with the call.
func fillPath(path string, body json.RawMessage) (filled, wrong string) {
	var call map[string]any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&call); err != nil && !errors.Is(err, io.EOF) {
		return "", "Error processing element of input data"
	}
	filled = byName.ReplaceAllStringFunc(path, func(part string) string {
		name := strings.ToLower(part[3:4]) + part[4:]
		value := text(lookUp(call, name))
		if value == "" {
			wrong = `"` + name + `" is required. Enter and try again.`
		}
		return "/" + url.PathEscape(value)
	})
	return filled, wrong
}

var capital = regexp.MustCompile(`[A-Z]`)

// lookUp finds a parameter in a call: at its top, or as a field of what it saves.
func lookUp(call map[string]any, name string) any {
	if call[name] != nil {
		return call[name]
	}
	field := capital.ReplaceAllStringFunc(name, func(c string) string { return "_" + strings.ToLower(c) })
	for _, v := range call {
		if object, ok := v.(map[string]any); ok && object[field] != nil {
			return object[field]
		}
	}
	return nil
}

func uuid() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func (s *Server) bulk(c call) (*bulk, *problem) {
	b := s.bulks.all[c.PathValue("uuid")]
	if b == nil {
		return nil, notFound("Bulk uuid %bulkUuid not exist", map[string]string{"bulkUuid": c.PathValue("uuid")})
	}
	return b, nil
}

func (s *Server) bulkStatus(detailed bool) func(c call) (any, *problem) {
	return func(c call) (any, *problem) {
		b, wrong := s.bulk(c)
		if wrong != nil {
			return nil, wrong
		}
		shown := []any{}
		for i, o := range b.operations {
			shown = append(shown, o.show(i, detailed))
		}
		return map[string]any{
			"operations_list": shown, "user_type": 1, "bulk_id": b.uuid, "description": "Topic " + b.topic,
			"start_time": b.started.UTC().Format(layout), "user_id": 1, "operation_count": len(b.operations),
		}, nil
	}
}

func (o *operation) show(id int, detailed bool) map[string]any {
	orNull := func(text string) any {
		if text == "" {
			return nil
		}
		return text
	}
	shown := map[string]any{"id": id, "status": o.status, "result_message": orNull(o.message), "error_code": o.code}
	if detailed {
		shown["bulk_uuid"], shown["topic_name"], shown["serialized_data"] = o.bulk.uuid, o.bulk.topic, o.serialized()
		shown["result_serialized_data"] = orNull(o.result)
	}
	return shown
}

func (s *Server) searchOperations(c call) (any, *problem) {
	var all []map[string]any
	for _, uuid := range s.bulks.uuids {
		for _, o := range s.bulks.all[uuid].operations {
			all = append(all, o.show(len(all)+1, true))
		}
	}
	return list(c, func(field string) bool {
		return slices.Contains([]string{"id", "bulk_uuid", "topic_name", "status", "error_code"}, field)
	}, all)
}

// serialized is JSON in JSON in JSON.
func (o *operation) serialized() string {
	return string(encode(map[string]any{"entity_id": nil, "entity_link": "", "meta_information": string(o.body)}))
}

func (s *Server) countOperations(c call) (any, *problem) {
	b, wrong := s.bulk(c)
	if wrong != nil {
		return nil, wrong
	}
	count := 0
	for _, o := range b.operations {
		if fmt.Sprint(o.status) == c.PathValue("status") {
			count++
		}
	}
	return count, nil
}
