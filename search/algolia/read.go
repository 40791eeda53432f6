package algolia

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/mageline/mageline/search"
)

// Count returns how many documents an index has. Algolia estimates the number of a large result, so that those that are exact are
// taken, and the records are counted otherwise.
func (e *Engine) Count(ctx context.Context, target search.Target) (int64, error) {
	name, err := e.place(ctx, target)
	if err != nil {
		return 0, err
	}
	n, err := e.count(ctx, name)
	return n, missing(err)
}

func (e *Engine) count(ctx context.Context, name string) (int64, error) {
	var answer struct {
		Hits       int64 `json:"nbHits"`
		Exhaustive *struct {
			Hits *bool `json:"nbHits"`
		} `json:"exhaustive"`
		Exact *bool `json:"exhaustiveNbHits"` // of older infrastructure
	}
	err := e.call(ctx, request{
		what: "count the documents of index " + name, method: http.MethodPost, path: path(name, "query"),
		body: map[string]any{"query": "", "filters": deletedIn + "=0", "hitsPerPage": 0, "analytics": false},
	}, &answer)
	if err != nil {
		return 0, err
	}
	exact := answer.Exact
	if answer.Exhaustive != nil && answer.Exhaustive.Hits != nil {
		exact = answer.Exhaustive.Hits
	}
	if exact != nil && *exact {
		return answer.Hits, nil
	}
	var n int64
	err = e.browse(ctx, name, func(records []record) error {
		for _, r := range records {
			if !r.stored().deleted {
				n++
			}
		}
		return nil
	})
	return n, err
}

// Older calls each with the ids of the documents whose version is below. Records without a version count as older: nobody but
// mageline keeps records in its indexes.
func (e *Engine) Older(ctx context.Context, target search.Target, version int64, each func(ids []string) error) error {
	name, err := e.place(ctx, target)
	if err != nil {
		return err
	}
	err = e.browse(ctx, name, func(records []record) error {
		var ids []string
		for _, r := range records {
			if s := r.stored(); !s.deleted && s.version < version {
				ids = append(ids, r.ID)
			}
		}
		if len(ids) == 0 {
			return nil
		}
		return each(ids)
	})
	return missing(err)
}

// browse calls each with all records of an index, in pages of at most 1,000.
func (e *Engine) browse(ctx context.Context, name string, each func([]record) error) error {
	body := map[string]any{"hitsPerPage": maxItems, "attributesToRetrieve": []string{versionIn, deletedIn}}
	for page := 1; ; page++ {
		var answer struct {
			Hits   []record `json:"hits"`
			Cursor string   `json:"cursor"`
		}
		err := e.call(ctx, request{
			what: fmt.Sprintf("read page %d of index %s", page, name), method: http.MethodPost, path: path(name, "browse"), body: body,
		}, &answer)
		if err != nil {
			return err
		}
		if err := each(answer.Hits); err != nil {
			return err
		}
		if answer.Cursor == "" {
			return nil
		}
		body = map[string]any{"cursor": answer.Cursor}
	}
}

// purge removes the records of documents that were deleted long enough ago, once in that time. Algolia looks at the records when
// it comes to the request in the index's queue, so that a document that is there again by then stays.
func (e *Engine) purge(ctx context.Context, name string) {
	now := e.o.Now()
	e.mu.Lock()
	last := e.purged[name]
	due := now.Sub(last) >= e.o.DeletedFor
	if due {
		e.purged[name] = now
	}
	e.mu.Unlock()
	if !due {
		return
	}
	filters := fmt.Sprintf("%s>0 AND %s<%d", deletedIn, deletedIn, now.Add(-e.o.DeletedFor).UnixMilli())
	err := e.call(ctx, request{
		what: "remove the records of deleted documents from index " + name, method: http.MethodPost, path: path(name, "deleteByQuery"),
		body: map[string]any{"filters": filters},
	}, nil)
	if err != nil && ctx.Err() == nil {
		e.o.Warn(fmt.Errorf("%w; they are tried again in %s", err, e.o.DeletedFor.Round(time.Second)))
	}
}
