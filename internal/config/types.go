package config

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The types of variables that are more than a number or a text. Each says what it takes by a method Type, and reads
// itself by the method Decode that envconfig looks for.

// wantError says what would have been right. It never repeats the value: Problem shows it.
type wantError struct{ want string }

func (e *wantError) Error() string { return "must be " + e.want }

func want(format string, args ...any) error { return &wantError{fmt.Sprintf(format, args...)} }

// typeName says what a variable of type t takes, for people.
func typeName(t reflect.Type) string {
	if typed, ok := reflect.Zero(t).Interface().(interface{ Type() string }); ok {
		return typed.Type()
	}
	switch t.Kind() {
	case reflect.Int64:
		return "a duration such as 90s or 5m" // the only int64 is time.Duration
	case reflect.Int:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Bool:
		return "true or false"
	default:
		return "text"
	}
}

// choice reads one of several words.
func choice[T ~string](dst *T, value string, all ...T) error {
	if !slices.Contains(all, T(value)) {
		return want("%s", words(all...))
	}
	*dst = T(value)
	return nil
}

func words[T ~string](all ...T) string {
	s := make([]string, len(all))
	for i, w := range all {
		s[i] = string(w)
	}
	return strings.Join(s, " or ")
}

// Bytes is an amount of memory.
type Bytes int64

// minBytes is the least that is of use: far below it nothing but a message at a time would be handled.
const minBytes = 1 << 20

// Type says what it takes.
func (Bytes) Type() string { return "an amount of memory such as 256MiB or 1GiB, at least 1MiB" }

// Decode reads it.
func (b *Bytes) Decode(value string) error {
	number, factor := value, int64(1)
	for _, unit := range []struct {
		name  string
		bytes int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}} {
		if before, ok := strings.CutSuffix(value, unit.name); ok {
			number, factor = strings.TrimSpace(before), unit.bytes
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/factor || n*factor < minBytes {
		return want("%s", b.Type())
	}
	*b = Bytes(n * factor)
	return nil
}

// String is what Decode reads.
func (b Bytes) String() string {
	if b%(1<<20) == 0 {
		return strconv.FormatInt(int64(b>>20), 10) + "MiB"
	}
	return strconv.FormatInt(int64(b), 10) + "B"
}

// QueueType is the type of declared queues.
type QueueType string

// The queue types.
const (
	Quorum  QueueType = "quorum"
	Classic QueueType = "classic"
)

// Type says what it takes.
func (QueueType) Type() string { return words(Quorum, Classic) }

// Decode reads it.
func (q *QueueType) Decode(value string) error { return choice(q, value, Quorum, Classic) }

// OrderSource says where an order is taken from.
type OrderSource string

// The order sources.
const (
	Fetch   OrderSource = "fetch"
	Payload OrderSource = "payload"
)

// Type says what it takes.
func (OrderSource) Type() string { return words(Fetch, Payload) }

// Decode reads it.
func (s *OrderSource) Decode(value string) error { return choice(s, value, Fetch, Payload) }

// OrderKey says what the business key of an order is made of.
type OrderKey string

// The order keys.
const (
	IncrementID      OrderKey = "increment_id"
	StoreIncrementID OrderKey = "store_increment_id"
)

// Type says what it takes.
func (OrderKey) Type() string { return words(IncrementID, StoreIncrementID) }

// Decode reads it.
func (k *OrderKey) Decode(value string) error { return choice(k, value, IncrementID, StoreIncrementID) }

// ERP is the connector.
type ERP string

// The connectors of this build.
const (
	Webhook         ERP = "webhook"
	SAP             ERP = "sap"
	NetSuite        ERP = "netsuite"
	BusinessCentral ERP = "businesscentral"
	FinOps          ERP = "finops"
	NoERP           ERP = "none"
)

// erps are all of them.
var erps = []ERP{Webhook, SAP, NetSuite, BusinessCentral, FinOps, NoERP}

// Type says what it takes.
func (ERP) Type() string { return words(erps...) }

// Decode reads it.
func (e *ERP) Decode(value string) error { return choice(e, value, erps...) }

// NetSuiteAuth is how NetSuite is logged on to.
type NetSuiteAuth string

// OAuth2 asks for access tokens with a signed assertion, TokenBased signs each request.
const (
	OAuth2     NetSuiteAuth = "oauth2"
	TokenBased NetSuiteAuth = "tba"
)

// Type says what it takes.
func (NetSuiteAuth) Type() string { return words(OAuth2, TokenBased) }

// Decode reads it.
func (a *NetSuiteAuth) Decode(value string) error { return choice(a, value, OAuth2, TokenBased) }

// ShipmentReport says which shipments the ERP is told of.
type ShipmentReport string

// AllShipments are those too that mageline made from tracking numbers; MagentosShipments leave these out.
const (
	AllShipments      ShipmentReport = "all"
	MagentosShipments ShipmentReport = "magento"
)

// Type says what it takes.
func (ShipmentReport) Type() string { return words(AllShipments, MagentosShipments) }

// Decode reads it.
func (s *ShipmentReport) Decode(value string) error {
	return choice(s, value, AllShipments, MagentosShipments)
}

// WhenNoShipment is what becomes of a tracking number of an order that has no shipment for it.
type WhenNoShipment string

// CreateShipment makes a shipment; WaitForShipment waits until somebody else has.
const (
	CreateShipment  WhenNoShipment = "create"
	WaitForShipment WhenNoShipment = "wait"
)

// Type says what it takes.
func (WhenNoShipment) Type() string { return words(CreateShipment, WaitForShipment) }

// Decode reads it.
func (w *WhenNoShipment) Decode(value string) error {
	return choice(w, value, CreateShipment, WaitForShipment)
}

// LogLevel is one of zerolog's.
type LogLevel string

// Type says what it takes.
func (LogLevel) Type() string { return words[LogLevel]("trace", "debug", "info", "warn", "error") }

// Decode reads it.
func (l *LogLevel) Decode(value string) error {
	return choice(l, value, "trace", "debug", "info", "warn", "error")
}

// LogFormat is json, or console for people.
type LogFormat string

// The log formats.
const (
	JSON    LogFormat = "json"
	Console LogFormat = "console"
)

// Type says what it takes.
func (LogFormat) Type() string { return words(JSON, Console) }

// Decode reads it.
func (f *LogFormat) Decode(value string) error { return choice(f, value, JSON, Console) }

// list returns the parts of a comma-separated list, trimmed; none for a blank value.
func list(value string) []string {
	if strings.TrimSpace(value) == "" {
		return nil
	}
	parts := strings.Split(value, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

// Names is a list of names, or all.
type Names []string

// Type says what it takes.
func (Names) Type() string { return "all, or names separated by commas" }

// Decode reads it.
func (n *Names) Decode(value string) error {
	*n = list(value)
	if len(*n) == 0 || slices.Contains(*n, "") {
		return want("%s", n.Type())
	}
	if len(*n) > 1 && slices.Contains(*n, "all") {
		return want("either all, or names")
	}
	return nil
}

// All reports whether it is all.
func (n Names) All() bool { return len(n) == 1 && n[0] == "all" }

// Bindings are the topics of the consumers that are named.
type Bindings map[string][]string

// Type says what it takes.
func (Bindings) Type() string { return "consumer:topic pairs separated by commas" }

// Decode reads it.
func (b *Bindings) Decode(value string) error {
	*b = Bindings{}
	for _, pair := range list(value) {
		consumer, topic, ok := strings.Cut(pair, ":")
		consumer, topic = strings.TrimSpace(consumer), strings.TrimSpace(topic)
		if !ok || consumer == "" || topic == "" || strings.ContainsAny(topic, ": ") {
			return want("%s, such as order_placed:sales.order.placed", b.Type())
		}
		if len(topic) > 255 {
			return want("%s, no topic longer than 255 bytes", b.Type())
		}
		if !slices.Contains((*b)[consumer], topic) {
			(*b)[consumer] = append((*b)[consumer], topic)
		}
	}
	return nil
}

// Delays are the waits between attempts.
type Delays []time.Duration

// maxDelay is the longest x-message-ttl of RabbitMQ, 2^32 - 1 ms.
const maxDelay = (1<<32 - 1) * time.Millisecond

// Type says what it takes.
func (Delays) Type() string { return "durations separated by commas" }

// Decode reads it.
func (d *Delays) Decode(value string) error {
	*d = nil
	for _, part := range list(value) {
		delay, err := time.ParseDuration(part)
		if err != nil || delay < time.Millisecond || delay > maxDelay {
			return want("at least one duration, each above 0 (1ms to %s), such as 5s,30s,2m", maxDelay)
		}
		*d = append(*d, delay)
	}
	if len(*d) == 0 {
		return want("at least one duration, each above 0, such as 5s,30s,2m")
	}
	return nil
}

// Timezone is a name of the IANA database.
type Timezone struct{ *time.Location }

// Type says what it takes.
func (Timezone) Type() string { return "a time zone such as Europe/Berlin" }

// Decode reads it.
func (z *Timezone) Decode(value string) error {
	location, err := time.LoadLocation(value)
	if err != nil || value == "" || value == "Local" {
		return want("a name of the IANA time zone database, such as Europe/Berlin")
	}
	z.Location = location
	return nil
}

// Instant is a point in time; the zero one is none.
type Instant struct{ time.Time }

// Type says what it takes.
func (Instant) Type() string { return "a time such as 2026-11-23T00:00:00Z" }

// Decode reads it.
func (i *Instant) Decode(value string) error {
	t, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return want("a time of RFC 3339, such as 2026-11-23T00:00:00Z")
	}
	i.Time = t
	return nil
}

// orderStates are Magento's, which are fixed (constants of Magento\Sales\Model\Order).
var orderStates = []string{"new", "pending_payment", "processing", "complete", "closed", "canceled", "holded", "payment_review"}

// ExportState is a state in which orders go out.
type ExportState struct {
	State  string
	Method string // payment method; "" is any
}

// ExportStates are all of them.
type ExportStates []ExportState

// Type says what it takes.
func (ExportStates) Type() string { return "state or state:payment_method, separated by commas" }

// Decode reads it.
func (e *ExportStates) Decode(value string) error {
	*e = nil
	for _, part := range list(value) {
		state, method, hasMethod := strings.Cut(part, ":")
		switch {
		case !slices.Contains(orderStates, state):
			return want("%s; there is no state %q in Magento, but %s", e.Type(), state, strings.Join(orderStates, ", "))
		case state == "canceled" || state == "closed":
			return want("%s; an order that is %s never goes out", e.Type(), state)
		case hasMethod && (method == "" || strings.ContainsAny(method, ": ")):
			return want("%s, such as new:checkmo", e.Type())
		}
		*e = append(*e, ExportState{state, method})
	}
	if len(*e) == 0 {
		return want("at least one state, such as processing")
	}
	return nil
}

// States returns the states in which orders go out.
func (e ExportStates) States() []string {
	var states []string
	for _, s := range e {
		states = append(states, s.State)
	}
	return states
}

// Allow reports whether an order of that state and payment method goes out.
func (e ExportStates) Allow(state, method string) bool {
	return slices.ContainsFunc(e, func(s ExportState) bool {
		return s.State == state && (s.Method == "" || s.Method == method)
	})
}

// Stores are store ids; nil is all.
type Stores []int64

// Type says what it takes.
func (Stores) Type() string { return "all, or store ids separated by commas" }

// Decode reads it.
func (s *Stores) Decode(value string) error {
	*s = nil
	if strings.TrimSpace(value) == "all" {
		return nil
	}
	for _, part := range list(value) {
		id, err := strconv.ParseInt(part, 10, 64)
		if err != nil || id < 0 {
			return want("%s", s.Type())
		}
		*s = append(*s, id)
	}
	if len(*s) == 0 {
		return want("%s", s.Type())
	}
	return nil
}

// Allow reports whether orders of that store go out.
func (s Stores) Allow(id int64) bool { return s == nil || slices.Contains(s, id) }

// maxStatus is how long the code of an order's status may be: sales_order.status is varchar(32).
const maxStatus = 32

// StatusByState is the status to set in each state; that of the state "" is for those that are not named.
type StatusByState map[string]string

// Type says what it takes.
func (StatusByState) Type() string { return "state:status pairs or a status, separated by commas" }

// Decode reads it.
func (s *StatusByState) Decode(value string) error {
	*s = StatusByState{}
	for _, part := range list(value) {
		state, status, isPair := strings.Cut(part, ":")
		if !isPair {
			state, status = "", part
		} else if !slices.Contains(orderStates, state) {
			return want("%s; there is no state %q in Magento, but %s", s.Type(), state, strings.Join(orderStates, ", "))
		}
		if status == "" || strings.ContainsAny(status, ": ") || len(status) > maxStatus {
			return want("%s, such as processing:exported; a status is a code of at most %d characters", s.Type(), maxStatus)
		}
		if _, twice := (*s)[state]; twice {
			return want("%s, one status for each state", s.Type())
		}
		(*s)[state] = status
	}
	return nil
}

// Pairs returns each pair of a state and its status. The status for any state makes a pair with each of the states given
// that has none of its own.
func (s StatusByState) Pairs(states []string) [][2]string {
	var pairs [][2]string
	for _, state := range orderStates {
		if _, own := s[state]; own || slices.Contains(states, state) && s[""] != "" {
			pairs = append(pairs, [2]string{state, s.Status(state)})
		}
	}
	return pairs
}

// Status returns the status to set in a state; "" is none.
func (s StatusByState) Status(state string) string {
	if status, ok := s[state]; ok {
		return status
	}
	return s[""]
}
