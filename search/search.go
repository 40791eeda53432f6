// Package search is the vocabulary between the products of a shop and a search engine: the fields of a document (Field), what is
// written to an index (Write), how that ended (Result), and what an engine can do (Engine, Builder). It does no I/O; the packages
// below it, one for each kind of engine, implement it.
//
// A document is a product in one store view. It has a version, and an engine keeps the newest: a write that is older than what an
// index has changes nothing. That makes it safe to repeat a write, and to send the writes of one document in any order, from any
// number of processes.
package search

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Type is what a field holds. An engine turns it into a mapping of its own.
type Type string

// The types.
const (
	Text    Type = "text"    // words that are searched
	Keyword Type = "keyword" // a value that is filtered, sorted or counted as a whole
	Decimal Type = "decimal" // money and quantities: a JSON number of at most 4 decimals
	Integer Type = "integer"
	Boolean Type = "boolean"
	Date    Type = "date"   // RFC 3339, UTC
	Object  Type = "object" // one or several objects, whose values are searched apart from each other
	Nested  Type = "nested" // several objects, whose values are searched together
	Stored  Type = "stored" // a value that is returned and never searched, such as the address of an image
)

// Field is one member of a document. Whether it has one value or a list of them makes no difference to an engine.
type Field struct {
	Name   string
	Type   Type
	Fields []Field // of Object and Nested
	// Sort says that a Text can be sorted and counted by its whole value too.
	Sort bool
}

// Write is one document to be written or deleted.
type Write struct {
	// ID names the document in its index: the product's SKU.
	ID string
	// Version is of what the document tells, in milliseconds since 1970: at least 1. Of two writes of one document the one with
	// the higher version stays; of two with the same version the later one.
	Version int64
	// Document is a JSON object with the fields of the index alone, or nil to delete the document. A deletion is remembered long
	// enough to keep an older write from bringing the document back.
	Document json.RawMessage
}

// Result is how one Write ended.
type Result struct {
	// Stale is true if the index has a newer version already: nothing is left to do.
	Stale bool
	// Cut names the fields that were left out or shortened, because the engine bounds the size of a document.
	Cut []string
	// Err is nil if the document was written, deleted or Stale. It has a class (event.Error): Rejected if the engine will never
	// take this document, anything else if it may.
	Err error
}

// Engine writes to the indexes of one search engine. Indexes are named as the shop's front end asks for them; an engine may keep
// them under other names, behind an alias. Its methods are called from several goroutines at once.
type Engine interface {
	// Write writes documents of one index in as few requests as the engine's bounds allow, and returns a result for each, in the
	// same order. It repeats what the engine throttles for a moment; an error, with a class, is about the call as a whole, of which
	// any part may have been written. target is a Target of Targets or the name that Create returned.
	Write(ctx context.Context, target Target, writes []Write) ([]Result, error)

	// Ensure makes the index where it is missing, and adds the fields that it lacks. It returns a NeedsSwapError that names the
	// fields if the index has one of another type, beside the target as it is: only a new index can take the fields then.
	Ensure(ctx context.Context, index string, fields []Field) (Target, error)

	// Count returns how many documents the index holds, without those that are deleted.
	Count(ctx context.Context, target Target) (int64, error)

	// Older calls each with the IDs of all documents whose version is below, in parts of at most 1,000, in no order.
	Older(ctx context.Context, target Target, version int64, each func(ids []string) error) error
}

// Target is one generation of an index: what is written to.
type Target struct {
	// Index is the name that the front end asks for.
	Index string
	// Name is the engine's own for this generation.
	Name string
	// Generation differs between two indexes of one Name of which the first was deleted: what was known of its documents does not
	// hold for the second.
	Generation string
}

// Builder is an Engine that can fill a new index beside the one that is searched.
type Builder interface {
	Engine
	// Create makes an empty generation of the index with the fields, which nobody searches.
	Create(ctx context.Context, index string, fields []Field) (Target, error)
	// Swap makes next the generation that is searched, in one step, after what was written to it can be found. It returns the one
	// that was searched before, which has no Name if the engine does not keep it. If next is searched already, nothing is changed.
	Swap(ctx context.Context, next Target) (before Target, err error)
	// Remove deletes a generation that is not searched. One that is not there is no error.
	Remove(ctx context.Context, target Target) error
}

// ErrNoTarget is in the error of a call for a Target that is not there any more: its index was deleted, or removed after a swap.
// Engine.Ensure returns the one that is there. It is no fault of the documents.
var ErrNoTarget = errors.New("this generation of the index is not there any more")

// Inspector is an Engine that can tell how an index compares with what is to be written to it. It changes nothing.
type Inspector interface {
	Engine
	// Inspect compares. An error has a class: CredentialRefused or Unavailable where nothing can be seen.
	Inspect(ctx context.Context, index string, fields []Field) (Inspection, error)
}

// Inspection is how an index is.
type Inspection struct {
	// Server names the engine and its version, as "opensearch 2.19.1"; empty if the credential may not ask.
	Server string
	// Target is the generation that is searched. Its Generation is empty if the index is not there yet, and its Name if it was not
	// made ready by Ensure.
	Target Target
	// Fields are how many the index has, as the engine counts them, and Needs how many it will have; Limit is how many it may have.
	// 0: no limit is known.
	Fields, Needs, Limit int
	// Lacks are fields that Ensure will add. Changed are those that only a new index can take.
	Lacks, Changed []string
	// Loose is true if the index takes fields that are not in its mapping.
	Loose bool
	// Lacking names the rights that the credential does not have, as far as the engine tells.
	Lacking []string
	// Others are generations that are not searched: of a swap that goes on or was broken off, and those before it.
	Others []Target
}

// NeedsSwapError says that an index has fields in a form that it can't change.
type NeedsSwapError struct {
	Index  string
	Fields []string
}

func (e *NeedsSwapError) Error() string {
	return fmt.Sprintf("index %s has the fields %s in a form that can't be changed: only a new index takes them", e.Index, strings.Join(e.Fields, ", "))
}
