// Package reindex publishes every product of Magento, a page at a time, so that the consumer of products writes all of them to the
// search indexes; it waits until they are written, and then removes the documents of products that Magento no longer has, or swaps a
// new index in. What a run has done stands in Postgres: a run that was killed goes on where it was, or begins again.
package reindex

import (
	"context"
	"time"

	"github.com/mageline/mageline/search"
)

// Documents is what the consumer of products records of each document that it was asked for, in Postgres.
type Documents interface {
	// Unseen returns those of the products that the consumer has not handled since an instant, by the database's clock, for a
	// generation. It has handled a product when it has written or deleted its document, left it out because nothing has changed, found
	// a newer one, or given it up because the engine rejects it.
	Unseen(ctx context.Context, target search.Target, skus []string, since time.Time) ([]string, error)
	// Forget deletes what is recorded of all generations that table search_generation does not have any more.
	Forget(ctx context.Context) error
}

// Message is the body of a message for catalog.products.exported or catalog.products.deleted.
type Message struct {
	SKUs []string `json:"skus"`
	// Stores are the codes of the store views that the message is about; none: all that are configured.
	Stores []string `json:"stores,omitempty"`
}
