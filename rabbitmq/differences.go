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

// Difference is one argument of an existing queue that differs from the declaration.
type Difference struct {
	Argument, Current string // Current is empty for none
	Reason            string // the broker's words
}

// inequivalent finds the argument and its current value in RabbitMQ's refusal
// (rabbit_misc:assert_args_equivalence and rabbit_misc:assert_field_equivalence).
var inequivalent = regexp.MustCompile(`inequivalent arg '([^']+)' for .* but current is (?:none|the value '(.*)' of type '(\w+)'|'(.*)')`)

// Differences returns how an existing queue differs from a declaration. It declares the queue on throw-away channels. The broker
// names one difference at a time, so each declaration adopts the differences before it, until one is accepted.
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

// like converts a value in the broker's text to the type that it names or, without one, to the type of ours.
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

// Precondition returns the reason of a 406 (PRECONDITION_FAILED).
func Precondition(err error) (reason string, ok bool) {
	var refused *amqp.Error
	if !errors.As(err, &refused) || refused.Code != amqp.PreconditionFailed {
		return "", false
	}
	return strings.TrimPrefix(refused.Reason, "PRECONDITION_FAILED - "), true
}

// NoLimit is the delivery limit of a queue that keeps a message however often it is requeued.
const NoLimit = math.MaxInt64

// DeliveryLimit returns how often a message of an existing queue may be requeued by nack before the broker drops or dead-letters
// it, according to the queue's arguments: a policy may lower it unseen. bounded is true for a queue with a length limit, which
// may drop a message when another is published. A queue that the user may not configure counts as one without a limit. The queue
// must exist: a missing one would be declared.
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

// declaredLimit returns the limit that an argument sets. Without an argument it is 20 from 4.0 on. A negative one means no limit
// from 4.0 on, and before 4.0 a limit below any count.
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

// release returns the first two numbers of a version; 0 for one without, as of an old broker.
func release(version string) (major, minor int) {
	parts := strings.SplitN(version+"..", ".", 3)
	major, _ = strconv.Atoi(parts[0])
	minor, _ = strconv.Atoi(parts[1])
	return major, minor
}
