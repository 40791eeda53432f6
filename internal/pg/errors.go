package pg

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/mageline/mageline/event"
)

// Class is what an error of Postgres means for whoever has asked.
type Class int

const (
	// Refused says that Postgres minds what was sent, a row or a statement. Sent again it is refused again.
	Refused Class = iota
	// Away says that Postgres can't be reached, or can't write for anybody. Whatever is sent fails until that has changed.
	Away
	// Repeat says that the transaction lost to another one. Nothing was written, and the same transaction may succeed now.
	Repeat
)

// Codes of Postgres (SQLSTATE) that callers look at.
const (
	UndefinedTable = "42P01"
	readOnly       = "25006"
	serialization  = "40001"
	deadlock       = "40P01"
)

var (
	// ErrRow marks an error that a caller has found in what Postgres answered, and that only its own row has: it is Refused.
	ErrRow = errors.New("the row is not as it was written")
	// ErrPooler is in the chain of what [Failure] makes of an error of a pooler in transaction mode that nobody has declared.
	ErrPooler = errors.New("a pooler in transaction mode lies before Postgres, which the address does not allow for")
	// ErrReadOnly is in the chain of what [Failure] makes of a server that only reads, as one does that a failover has left
	// behind.
	ErrReadOnly = errors.New("this Postgres only reads: the address must lead to the primary")
)

// ClassOf returns the class of an error of pgx. One that is no answer of the server is the connection's: Away.
func ClassOf(err error) Class {
	if errors.Is(err, ErrRow) {
		return Refused
	}
	code, answered := codeOf(err)
	switch {
	case !answered:
		return Away
	case code == serialization, code == deadlock:
		return Repeat
	case code == readOnly, isPooler(code):
		return Away
	case code == "42501", code == UndefinedTable, code == "3F000": // a missing right, table or schema: every row fails alike
		return Away
	case code == "3D000": // the database is gone
		return Away
	case len(code) < 2:
		return Refused
	}
	switch code[:2] {
	case "08", "28", "53", "57": // connection, login, resources (connections, disk full), operator intervention
		return Away
	}
	return Refused
}

// Code returns the SQLSTATE of what the server answered; empty where it did not come to an answer.
func Code(err error) string {
	code, _ := codeOf(err)
	return code
}

// codeOf returns the code of a statement's answer. What is answered to a login is no answer to a statement.
func codeOf(err error) (code string, answered bool) {
	var connect *pgconn.ConnectError
	var answer *pgconn.PgError
	if errors.As(err, &connect) || !errors.As(err, &answer) {
		return "", false
	}
	return answer.Code, true
}

// isPooler reports whether a prepared statement was missing, or there already: it is another session's.
func isPooler(code string) bool { return code == "26000" || code == "42P05" }

// Failure turns an error of Postgres into what a handler returns: an *event.Deferral of downstream "postgres" where it is
// away, one without a downstream where the transaction goes on losing, else event.Internal. what names the tables: "the
// ledger". An end of the caller's own context stays what it is.
func Failure(what string, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	switch ClassOf(err) {
	case Away:
		reason := "Postgres is away"
		switch code := Code(err); {
		case isPooler(code):
			reason, err = ErrPooler.Error(), marked{err, ErrPooler}
		case code == readOnly:
			err = marked{err, ErrReadOnly}
		}
		return &event.Deferral{Reason: reason, Downstream: "postgres", Err: err}
	case Repeat:
		return &event.Deferral{Reason: "a row of " + what + " is fought over", Err: err}
	default:
		return &event.Error{Class: event.Internal, Err: fmt.Errorf("%s could not be read or written: %w", what, err)}
	}
}

// marked is an error of a kind that a caller may ask for. It says no more than the error itself.
type marked struct {
	error
	kind error
}

func (m marked) Unwrap() []error { return []error{m.kind, m.error} }
