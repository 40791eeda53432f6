package algolia

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/mageline/mageline/search"
)

var _ search.Inspector = (*Engine)(nil)

// Inspect looks at an index, and at what the key may do. Fields need nothing of the index, so that none are missing.
func (e *Engine) Inspect(ctx context.Context, index string, fields []search.Field) (search.Inspection, error) {
	found := search.Inspection{Server: "Algolia"}
	s, there, err := e.settings(ctx, index)
	if err != nil {
		return found, err
	}
	if there {
		found.Target = s.target(index)
		if err := e.suits(index, s, fields); err != nil {
			return found, err
		}
	}
	// What a key may do stands at an address that has the key in it, which would be logged. So only what reads is tried.
	for right, read := range map[string]func() error{
		"search": func() error { _, err := e.count(ctx, index); return err },
		"browse": func() error { return e.browse(ctx, index, func([]record) error { return errOnePage }) },
	} {
		err := read()
		switch {
		case is(err, http.StatusForbidden):
			found.Lacking = append(found.Lacking, right)
		case err != nil && !errors.Is(err, errOnePage) && !is(err, http.StatusNotFound):
			return found, err
		}
	}
	slices.Sort(found.Lacking)
	return found, nil
}

var errOnePage = errors.New("one page is enough")
