package check_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/internal/check"
	"github.com/mageline/mageline/rabbitmq"
	"github.com/mageline/mageline/test/kit"
)

// fakeManagement answers as the management plugin of RabbitMQ 3.10.8 does: its answers are copied from one, and their
// names replaced.
type fakeManagement struct {
	vhost   string
	answers map[string]string // JSON by path
	refused map[string]bool   // paths that the user may not see
}

func (f *fakeManagement) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if user, password, _ := r.BasicAuth(); user != "mageline" || password != "s3cr3t/@" {
		f.answer(w, http.StatusUnauthorized, `{"error":"not_authorized","reason":"Login failed"}`)
		return
	}
	path := strings.TrimPrefix(r.URL.EscapedPath(), "/api/")
	body, there := f.answers[path]
	switch {
	case f.refused[path]:
		f.answer(w, http.StatusUnauthorized, `{"error":"not_authorised","reason":"User not authorised to access object"}`)
	case !there:
		f.answer(w, http.StatusNotFound, `{"error":"Object Not Found","reason":"Not Found"}`)
	case strings.Contains(body, `"status":"failed"`):
		f.answer(w, http.StatusServiceUnavailable, body)
	default:
		f.answer(w, http.StatusOK, body)
	}
}

func (f *fakeManagement) answer(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
}

// at makes the path of something in the vhost.
func (f *fakeManagement) at(kind, name, below string) string {
	return kind + "/" + url.PathEscape(f.vhost) + "/" + url.PathEscape(name) + below
}

// set changes members of an answer; a nil value takes one away.
func (f *fakeManagement) set(t *testing.T, path string, members map[string]any) {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(f.answers[path]), &object); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	for name, value := range members {
		object[name] = value
	}
	f.answers[path] = asJSON(t, object)
}

func asJSON(t *testing.T, value any) string {
	t.Helper()
	b, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

type list []map[string]any

// manage makes the API of a broker on which topology has just been declared, or nothing of it.
func manage(t *testing.T, q *kit.Queues, topology rabbitmq.Topology, declared bool) *fakeManagement {
	t.Helper()
	uri, err := amqp.ParseURI(q.URL)
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeManagement{vhost: uri.Vhost, refused: map[string]bool{}, answers: map[string]string{"health/checks/alarms": `{"status":"ok"}`}}
	f.answers["policies/"+url.PathEscape(f.vhost)] = `[]`
	f.answers["operator-policies/"+url.PathEscape(f.vhost)] = `[]`
	if !declared {
		return f
	}
	for _, queue := range topology.Queues() {
		f.answers[f.at("queues", queue.Name, "")] = asJSON(t, map[string]any{
			"consumer_details": []any{}, "arguments": queue.Args, "auto_delete": false, "consumers": 0, "durable": true,
			"effective_policy_definition": map[string]any{}, "exclusive": false, "messages": 0, "name": queue.Name,
			"operator_policy": nil, "policy": nil, "single_active_consumer_ctag": nil, "state": "running", "type": queue.Args["x-queue-type"], "vhost": f.vhost,
		})
		bound := list{f.binding("", queue.Name, queue.Name)}
		for _, b := range topology.Bindings() {
			if b.Queue == queue.Name {
				bound = append(bound, f.binding(b.Exchange, b.Queue, b.Key))
			}
		}
		f.answers[f.at("queues", queue.Name, "/bindings")] = asJSON(t, bound)
	}
	f.answers[f.at("exchanges", q.Exchange, "")] = asJSON(t, map[string]any{
		"arguments": map[string]any{}, "auto_delete": false, "durable": true, "incoming": []any{}, "internal": false,
		"name": q.Exchange, "outgoing": []any{}, "policy": "ae", "type": "topic", "user_who_performed_action": "guest", "vhost": f.vhost,
	})
	f.answers[f.at("exchanges", q.Exchange, "/bindings/source")] = asJSON(t, list{f.binding(q.Exchange, "another", "#")})
	f.answers[f.at("policies", "ae", "")] = asJSON(t, f.policy("ae", "^magento$", "exchanges", map[string]any{"alternate-exchange": "unroutable"}))
	f.answers[f.at("exchanges", "unroutable", "/bindings/source")] = asJSON(t, list{f.binding("unroutable", "unroutable", "")})
	return f
}

func (f *fakeManagement) binding(source, queue, key string) map[string]any {
	return map[string]any{
		"source": source, "vhost": f.vhost, "destination": queue, "destination_type": "queue", "routing_key": key,
		"arguments": map[string]any{}, "properties_key": key,
	}
}

func (f *fakeManagement) policy(name, pattern, applyTo string, definition map[string]any) map[string]any {
	return map[string]any{"vhost": f.vhost, "name": name, "pattern": pattern, "apply-to": applyTo, "definition": definition, "priority": 1}
}

// checker serves the API and gives the checker that asks it.
func (f *fakeManagement) checker(t *testing.T, q *kit.Queues, topology rabbitmq.Topology) check.RabbitMQ {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return check.RabbitMQ{Options: options(q), Topology: topology, Management: withUser(t, server.URL)}
}

func withUser(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("mageline", "s3cr3t/@")
	return u.String() + "/"
}

func wantNoSecret(t *testing.T, found []check.Finding) {
	t.Helper()
	for _, l := range found {
		if strings.Contains(l.String(), "s3cr3t") {
			t.Errorf("a password: %s", l)
		}
	}
}

func TestManagement_AllWell(t *testing.T) {
	t.Parallel()
	q, topology, conn := broker(t)
	if _, err := topology.Declare(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	f := manage(t, q, topology, true)
	f.set(t, f.at("queues", q.Queue("order_placed"), ""), map[string]any{"effective_policy_definition": []any{}}) // as some versions write it
	found := lines(t, f.checker(t, q, topology))
	wantNo(t, found, check.Warn, check.Fail, check.Unknown)
	want(t, found, check.OK, "RabbitMQ alarms", "none")
	want(t, found, check.OK, "policies", "none")
	want(t, found, check.OK, "bindings", "3 are there")
	want(t, found, check.OK, "alternate exchange of "+q.Exchange, "unroutable")
	want(t, found, check.OK, "queue "+q.Queue("order_placed"), "as declared")
	wantNoSecret(t, found)
}

// Nothing is there yet: what run would create is OK, and policies that wait for it are told of.
func TestManagement_ForeseesWhatWillBeDeclared(t *testing.T) {
	t.Parallel()
	q, topology, _ := broker(t)
	f := manage(t, q, topology, false)
	all := "policies/" + url.PathEscape(f.vhost)
	found := lines(t, f.checker(t, q, topology))
	wantNo(t, found, check.Fail, check.Unknown)
	want(t, found, check.OK, "policies")
	want(t, found, check.OK, "bindings", "will be created", q.RetryQueue(time.Minute))
	want(t, found, check.Warn, "alternate exchange of "+q.Exchange, "none")

	low := f.policy("low", ".*", "all", map[string]any{"alternate-exchange": "unroutable", "max-length": 9})
	low["priority"] = 0
	f.answers[all] = asJSON(t, list{
		low,
		f.policy("limits", "^"+q.Prefix+`\.order_placed$`, "queues", map[string]any{"message-ttl": 60000, "dead-letter-exchange": "dlx"}),
		f.policy("letters", `\.dlq$`, "classic_queues", map[string]any{"message-ttl": 1}),
		f.policy("quiet", `\.`, "queues", map[string]any{"delivery-limit": 2_000_000_000, "dead-letter-exchange": "dlx"}),
	})
	f.answers["operator-"+all] = asJSON(t, list{f.policy("oplimits", `\.order_placed$`, "queues", map[string]any{"message-ttl": 1000})})
	f.answers[f.at("exchanges", "unroutable", "/bindings/source")] = asJSON(t, list{f.binding("unroutable", "unroutable", "")})
	found = lines(t, f.checker(t, q, topology))
	want(t, found, check.Fail, "policies of queue "+q.Queue("order_placed"), "message-ttl is 1000", "policy limits and operator policy oplimits")
	want(t, found, check.Warn, "policies of queue "+q.DeadLetters("order_placed"), "dead-letter-exchange is dlx", "policy quiet")
	want(t, found, check.OK, "alternate exchange of "+q.Exchange, "policy low")

	f.answers[all] = asJSON(t, list{f.policy("look", "^(?!amq).*", "all", map[string]any{"message-ttl": 1})})
	found = lines(t, f.checker(t, q, topology))
	want(t, found, check.Unknown, "policies", "policy look")
	want(t, found, check.Unknown, "alternate exchange of "+q.Exchange, "policy look")

	f.refused[all] = true
	found = lines(t, f.checker(t, q, topology))
	want(t, found, check.Unknown, "policies", "401")
	want(t, found, check.Unknown, "alternate exchange of "+q.Exchange, "401")
}

func TestManagement_Policies(t *testing.T) {
	t.Parallel()
	const work, dlq, retry = "order_placed", "order_placed.dlq", "retry.60000"
	type limits = map[string]any
	tests := []struct {
		name    string
		queue   string
		typ     string
		set     limits
		status  check.Status // OK: no line about it
		details []string
	}{
		{"a TTL", work, "quorum", limits{"message-ttl": 60000}, check.Fail, []string{"message-ttl is 60000", "policy limits"}},
		{"a TTL of dead letters", dlq, "quorum", limits{"message-ttl": 60000}, check.Fail, nil},
		{"a longer TTL of a retry queue", retry, "quorum", limits{"message-ttl": 60001}, check.OK, nil},
		{"a shorter one: back sooner", retry, "quorum", limits{"message-ttl": 1000}, check.Warn, []string{"1000 instead of 60000"}},
		{"a length limit: Magento's event is refused, and it does not ask", work, "quorum", limits{"max-length": 10}, check.Fail, []string{"max-length is 10"}},
		{"a length limit that drops dead letters", dlq, "quorum", limits{"max-length-bytes": 10}, check.Fail, nil},
		{"a length limit that refuses dead letters", dlq, "quorum", limits{"max-length": 10, "overflow": "reject-publish"}, check.Warn, nil},
		{"a length limit of a retry queue, which refuses", retry, "quorum", limits{"max-length": 10}, check.Warn, nil},
		{"a length limit of a retry queue, which drops", retry, "quorum", limits{"max-length": 10, "overflow": "drop-head"}, check.Fail, nil},
		{"a length limit of a classic retry queue", retry, "classic", limits{"max-length": 10}, check.Fail, nil},
		{"an overflow that ends at-least-once", work, "quorum", limits{"overflow": "drop-head"}, check.Fail, []string{"drop-head instead of reject-publish"}},
		{"the same overflow", work, "quorum", limits{"overflow": "reject-publish"}, check.OK, nil},
		{"expires", retry, "quorum", limits{"expires": 60000}, check.Fail, nil},
		{"a lower delivery limit", work, "quorum", limits{"delivery-limit": 3}, check.Fail, []string{"3 instead of 1000"}},
		{"a higher one", work, "quorum", limits{"delivery-limit": 3000}, check.OK, nil},
		{"a limit that is no number", work, "quorum", limits{"delivery-limit": "x"}, check.Fail, nil},
		{"a dead-letter route behind the argument", work, "quorum", limits{"dead-letter-exchange": "x", "dead-letter-routing-key": "y"}, check.OK, nil},
		{"a routing key where ours has none", retry, "quorum", limits{"dead-letter-routing-key": "y"}, check.Fail, nil},
		{"something else", work, "quorum", limits{"queue-leader-locator": "balanced"}, check.Warn, []string{"queue-leader-locator is balanced"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			q, topology, _ := broker(t)
			topology.Type = tt.typ
			f := manage(t, q, topology, true)
			name := q.Prefix + "." + tt.queue
			f.set(t, f.at("queues", name, ""), map[string]any{"policy": "limits", "effective_policy_definition": tt.set})
			found := lines(t, f.checker(t, q, topology))
			if tt.status == check.OK {
				want(t, found, check.OK, "policies")
				wantNo(t, found, check.Fail, check.Unknown)
				return
			}
			want(t, found, tt.status, "policies of queue "+name, tt.details...)
		})
	}
}

func TestManagement_BindingsAndAlternateExchange(t *testing.T) {
	t.Parallel()
	q, topology, conn := broker(t)
	if _, err := topology.Declare(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	f := manage(t, q, topology, true)
	queue, exchange := q.Queue("order_placed"), q.Exchange
	bindings := f.at("queues", queue, "/bindings")
	withArguments := f.binding(exchange, queue, "cms.#")
	withArguments["arguments"] = map[string]any{"x": 1}
	f.answers[bindings] = asJSON(t, list{
		f.binding("", queue, queue), f.binding(exchange, queue, "catalog.#"), f.binding("elsewhere", queue, "k"), withArguments,
	})
	f.answers[f.at("exchanges", "unroutable", "/bindings/source")] = `[]`
	f.answers[f.at("exchanges", exchange, "/bindings/source")] = asJSON(t, list{f.binding(exchange, "another", "catalog.#")})
	found := lines(t, f.checker(t, q, topology))
	want(t, found, check.Warn, "topics of the Magento module", "no queue is bound to sales.order.updated, sales.order.canceled, sales.shipment.created")
	want(t, found, check.OK, "bindings", "2 are there", `will be created: "sales.order.placed" of `+exchange)
	for subject, todo := range map[string]string{
		`binding "catalog.#" of ` + exchange + ` to queue ` + queue: "--unbind 'order_placed:catalog.#'",
		`binding "cms.#" of ` + exchange + ` to queue ` + queue:     "RabbitMQ's own pages",
		`binding "k" of elsewhere to queue ` + queue:                "RabbitMQ's own pages",
	} {
		want(t, found, check.Warn, subject)
		for _, l := range found {
			if l.Subject == subject && !strings.Contains(l.Todo, todo) {
				t.Errorf("%s, want %s", l, todo)
			}
		}
	}
	alternate := "alternate exchange of " + exchange
	want(t, found, check.Warn, alternate, "has no queue")

	many := list{}
	for i := range 25 {
		many = append(many, f.binding(exchange, queue, strings.Repeat("x", i+1)))
	}
	f.answers[bindings] = asJSON(t, many)
	delete(f.answers, f.at("exchanges", "unroutable", "/bindings/source"))
	found = lines(t, f.checker(t, q, topology))
	want(t, found, check.Warn, "bindings of queue "+queue, "5 more")
	want(t, found, check.Warn, alternate, "is not there")

	f.refused[f.at("policies", "ae", "")] = true // the user has the tag management only
	found = lines(t, f.checker(t, q, topology))
	want(t, found, check.Unknown, alternate, "401")

	f.set(t, f.at("exchanges", exchange, ""), map[string]any{"policy": nil})
	found = lines(t, f.checker(t, q, topology))
	want(t, found, check.Warn, alternate, "none")

	f.set(t, f.at("exchanges", exchange, ""), map[string]any{"arguments": map[string]any{"alternate-exchange": "unroutable"}})
	f.answers[f.at("exchanges", "unroutable", "/bindings/source")] = asJSON(t, list{f.binding("unroutable", "unroutable", "")})
	found = lines(t, f.checker(t, q, topology))
	want(t, found, check.OK, alternate, "argument")

	f.answers["health/checks/alarms"] = `{"alarms":[{"node":"rabbit@a","resource":"memory"}],"reason":"There are alarms in effect in the cluster","status":"failed"}`
	found = lines(t, f.checker(t, q, topology))
	want(t, found, check.Fail, "RabbitMQ alarms", "memory on rabbit@a")
}

// What the broker does not compare at a declaration is seen all the same.
func TestManagement_ShowsArguments(t *testing.T) {
	t.Parallel()
	q, topology, conn := broker(t)
	if _, err := topology.Declare(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	f := manage(t, q, topology, true)
	path := f.at("queues", q.DeadLetters("order_placed"), "")
	f.set(t, path, map[string]any{"arguments": map[string]any{"x-queue-type": "quorum", "x-delivery-limit": 1_000_000_000, "x-quorum-initial-group-size": 1}})
	found := lines(t, f.checker(t, q, topology))
	want(t, found, check.Warn, "queue "+q.DeadLetters("order_placed"), `x-quorum-initial-group-size is "1" instead of not set`)

	f.set(t, path, map[string]any{"arguments": map[string]any{"x-delivery-limit": 20, "x-max-age": "1D"}, "durable": false, "auto_delete": true})
	found = lines(t, f.checker(t, q, topology))
	want(t, found, check.Fail, "queue "+q.DeadLetters("order_placed"), `x-delivery-limit is "20" instead of "1000000000"`, "durable", "auto_delete")

	f.set(t, path, map[string]any{"name": "another"})
	want(t, lines(t, f.checker(t, q, topology)), check.Unknown, "policies", "another queue")
}

func TestManagement_UnknownWhenAway(t *testing.T) {
	t.Parallel()
	q, topology, _ := broker(t)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") }))
	t.Cleanup(elsewhere.Close)
	answer := func(status int, body string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", elsewhere.URL)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		})
	}
	tests := []struct {
		name    string
		handler http.Handler
		detail  string
	}{
		{"wrong password", answer(401, `{"error":"not_authorized","reason":"Login failed"}`), "answers 401"},
		{"redirect", answer(302, ""), "redirects are not followed"},
		{"another address", answer(404, ""), "answers 404"},
		{"out of order", answer(500, "s3cr3t"), "answers 500"},
		{"a proxy's page", answer(503, "<html>"), "answers 503"},
		{"a page", answer(200, "<html>s3cr3t"), "not RabbitMQ's"},
		{"something else", answer(200, `{"status":5}`), "not RabbitMQ's"},
		{"an empty object", answer(200, `{}`), "not RabbitMQ's"},
		{"without end", answer(200, `"`+strings.Repeat("x", 5<<20)), "more than"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(tt.handler)
			t.Cleanup(server.Close)
			found := lines(t, check.RabbitMQ{Options: options(q), Topology: topology, Management: withUser(t, server.URL)})
			want(t, found, check.Warn, "RabbitMQ management API "+server.URL, tt.detail)
			for _, subject := range []string{"policies", "bindings", "alternate exchange of " + q.Exchange} {
				want(t, found, check.Unknown, subject)
			}
			wantNoSecret(t, found)
		})
	}
	for _, address := range []string{"http://mageline:s3cr3t@127.0.0.1:1", "http://mageline:s3cr3t@127.0.0.1:x"} {
		found := lines(t, check.RabbitMQ{Options: options(q), Topology: topology, Management: address})
		want(t, found, check.Unknown, "policies")
		wantNoSecret(t, found)
	}
}

// An API that does not answer ends with the check's time.
func TestManagement_UnknownWhenStalled(t *testing.T) {
	t.Parallel()
	q, topology, _ := broker(t)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(server.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	found := check.Run(ctx, check.RabbitMQ{Options: options(q), Topology: topology, Management: withUser(t, server.URL)})
	want(t, found, check.Warn, "RabbitMQ management API "+server.URL, "no answer in time")
	wantNoSecret(t, found)
}
