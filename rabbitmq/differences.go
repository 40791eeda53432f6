package rabbitmq

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Difference is one argument that a queue has otherwise than it is declared.
type Difference struct {
	Argument, Current string // Current is empty for none
	Reason            string // the broker's words
}

// inequivalent takes the argument and its present value out of RabbitMQ's refusal
// (rabbit_misc:assert_args_equivalence and rabbit_misc:assert_field_equivalence).
var inequivalent = regexp.MustCompile(`inequivalent arg '([^']+)' for .* but current is (?:none|the value '(.*)' of type '(\w+)'|'(.*)')`)

// Differences declares an existing queue on throw-away channels. The broker names one difference at a time, so that each
// answer is put into the next question, until the declaration fits the queue: the last ones may be the worst.
func Differences(conn *amqp.Connection, q Queue) (found []Difference, err error) {
	durable, autoDelete, args := true, false, maps.Clone(q.Args)
	for range 16 {
		err := OnChannel(conn, func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclare(q.Name, durable, autoDelete, false, false, args)
			return err
		})
		reason, differs := Precondition(err)
		if !differs {
			return found, err
		}
		parts := inequivalent.FindStringSubmatch(reason)
		if parts == nil {
			return append(found, Difference{Reason: reason}), nil
		}
		d := Difference{Argument: parts[1], Current: parts[2] + parts[4], Reason: reason}
		if slices.ContainsFunc(found, func(f Difference) bool { return f.Argument == d.Argument }) {
			return found, nil // the answer was not understood
		}
		found = append(found, d)
		switch kind := parts[3]; {
		case d.Argument == "durable":
			durable = d.Current == "true"
		case d.Argument == "auto_delete":
			autoDelete = d.Current == "true"
		case kind == "" && parts[4] == "":
			delete(args, d.Argument)
		default:
			args[d.Argument] = like(d.Current, kind, args[d.Argument])
		}
	}
	return found, nil
}

// like gives a value as the broker names it: of its type, or without one of the type of ours.
func like(value, kind string, ours any) any {
	_, text := ours.(string)
	if kind == "longstr" || kind == "" && text {
		return value
	}
	if n, err := strconv.ParseInt(value, 10, 64); err == nil {
		return n
	}
	if truth, err := strconv.ParseBool(value); err == nil {
		return truth
	}
	return value
}

// Precondition gives the text of a 406.
func Precondition(err error) (reason string, ok bool) {
	var refused *amqp.Error
	if !errors.As(err, &refused) || refused.Code != amqp.PreconditionFailed {
		return "", false
	}
	return strings.TrimPrefix(refused.Reason, "PRECONDITION_FAILED - "), true
}

// NoLimit is the delivery limit of a queue that keeps a message however often it is requeued.
const NoLimit = math.MaxInt64

// DeliveryLimit gives how often a message of an existing queue may be requeued by nack before the broker drops or dead-letters
// it, as the queue was declared: a policy may tighten it unseen. bounded is true for a queue with a length limit, which may
// drop another message for one that is published to it. A queue that this user may not configure tells nothing: it is taken
// for one without a limit. One that is not there would be made: look whether it is before.
func DeliveryLimit(conn *amqp.Connection, queue string) (limit int64, bounded bool, err error) {
	version, _ := conn.Properties["version"].(string)
	if !requeueCounts(version) {
		return NoLimit, false, nil
	}
	const ours = 1_000_000_000
	found, err := Differences(conn, Queue{queue, amqp.Table{"x-queue-type": Quorum, "x-delivery-limit": int64(ours)}})
	var refused *amqp.Error
	if errors.As(err, &refused) && refused.Code == amqp.AccessRefused {
		return NoLimit, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("look at the delivery limit of queue %s: %w", queue, err)
	}
	limit = ours
	for _, d := range found {
		switch {
		case d.Argument == "x-queue-type" && d.Current != Quorum:
			return NoLimit, false, nil // no other type counts
		case d.Argument == "x-delivery-limit":
			limit = declaredLimit(version, d.Current)
		case strings.HasPrefix(d.Argument, "x-max-length"):
			bounded = true
		}
	}
	return limit, bounded, nil
}

// requeueCounts reports whether a message's delivery count grows when it is requeued by nack. From 4.3 on it does not.
func requeueCounts(version string) bool {
	major, minor := release(version)
	return major < 4 || major == 4 && minor < 3
}

// declaredLimit is what a limit of an argument means; without one it is 20 from 4.0 on. A negative one is none from 4.0 on, and
// below any count before.
func declaredLimit(version, argument string) int64 {
	major, _ := release(version)
	n, err := strconv.ParseInt(argument, 10, 64)
	switch {
	case err == nil && (n >= 0 || major < 4):
		return n
	case err != nil && major >= 4:
		return 20
	default:
		return NoLimit
	}
}

// release takes the first two numbers of a version; of one that has none they are 0, as of a broker that is old.
func release(version string) (major, minor int) {
	parts := strings.SplitN(version+"..", ".", 3)
	major, _ = strconv.Atoi(parts[0])
	minor, _ = strconv.Atoi(parts[1])
	return major, minor
}
