package magentoapi

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
)

// search reads one page of a list. Without a sort of the caller's it is sorted by key, for Magento promises no order.
func search[T any](ctx context.Context, c *Client, path, key string, criteria SearchCriteria) (*Page[*T], error) {
	if len(criteria.Sort) == 0 {
		criteria = criteria.SortBy(key, Ascending)
	}
	query, err := criteria.Values()
	if err != nil {
		return nil, err
	}
	op := operation{method: http.MethodGet, path: path, query: encodeQuery(query)}
	body, err := c.send(ctx, op, c.auth)
	if err != nil {
		return nil, err
	}
	page, err := decodePage[*T](body, criteria)
	if err == nil && slices.Contains(page.Items, nil) {
		err = errors.New("an item that is null")
	}
	if err != nil {
		return nil, op.unreadable(http.StatusOK, body, err)
	}
	c.tell(ctx, op, page.odd)
	return page, nil
}

// walk gives everything that a search finds, a page in memory at a time. key is the field with the numeric id and id reads
// it.
//
// Without a sort of the caller's it goes up by that id, and asks for what is above the last one seen, never for a page
// by its number. So each result comes once, and none is passed over, whatever is added or removed during the walk; what
// is added comes at the end. (Only a row whose transaction was open for longer than a page takes may be missed: its id
// is older than its appearance.) With a sort of the caller's the pages are numbered: a row that is added or removed
// before the place that the walk has come to moves the others, so that some come twice or not at all.
//
// It ends at the last page, though Magento repeats that for ever. An error is given once and ends it. Page of the
// criteria is not looked at; Fields, if set, must have the id.
func walk[T any](ctx context.Context, criteria SearchCriteria, key string, id func(T) ID,
	search func(context.Context, SearchCriteria) (*Page[T], error),
) iter.Seq2[T, error] {
	if len(criteria.Sort) > 0 {
		if !slices.ContainsFunc(criteria.Sort, func(o SortOrder) bool { return o.Field == key }) {
			criteria = criteria.SortBy(key, Ascending) // what is equal must not change places between two pages
		}
		return walkPages(ctx, criteria, search)
	}
	return func(yield func(T, error) bool) {
		var none T
		criteria := criteria.SortBy(key, Ascending)
		criteria.Page = 1
		for last, next := ID(-1), criteria; ; next = criteria.Where(Gt(key, fmt.Sprint(int64(last)))) {
			page, err := search(ctx, next)
			if err != nil {
				yield(none, err)
				return
			}
			for _, item := range page.Items {
				if odd := oddOf(item, key); odd != nil {
					yield(none, fmt.Errorf("magento: walking by %s: %w", key, odd))
					return
				}
				if id(item) <= last {
					yield(none, fmt.Errorf("magento: walking by %s: %d came after %d (Fields without the id, or a shop that does not sort or filter by it)",
						key, id(item), last))
					return
				}
				last = id(item)
				if !yield(item, nil) {
					return
				}
			}
			if len(page.Items) == 0 || !page.More() {
				return
			}
		}
	}
}

// walkPages is walk by the number of the page, for what has no numeric id to go by.
func walkPages[T any](ctx context.Context, criteria SearchCriteria,
	search func(context.Context, SearchCriteria) (*Page[T], error),
) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for number := 1; ; number++ {
			page, err := search(ctx, criteria.OnPage(number, criteria.PageSize))
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range page.Items {
				if !yield(item, nil) {
					return
				}
			}
			if len(page.Items) == 0 || !page.More() {
				return
			}
		}
	}
}
