package check_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/internal/check"
	"github.com/mageline/mageline/internal/indexes"
	"github.com/mageline/mageline/search"
)

// inspected is an engine that answers what the test says.
type inspected struct {
	search.Engine
	found search.Inspection
	err   error
	count int64
}

func (i inspected) Inspect(context.Context, string, []search.Field) (search.Inspection, error) {
	return i.found, i.err
}

func (i inspected) Count(context.Context, search.Target) (int64, error) { return i.count, nil }

func TestSearch_ComparesIndexAndShop(t *testing.T) {
	there := search.Target{Index: "products", Name: "products-1", Generation: "a"}
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		engine  inspected
		visible int64
		known   []indexes.Generation
		want    []string
	}{
		"as it should be": {
			engine: inspected{found: search.Inspection{Target: there, Fields: 80, Needs: 80, Limit: 1000, Server: "opensearch 2.19.1"}, count: 995}, visible: 1000,
			want: []string{"OK search engine", "OK search index products, mapping", "OK search index products, fields", "OK search index products, documents"},
		},
		"no index yet": {
			engine: inspected{found: search.Inspection{Needs: 80, Limit: 1000}},
			want:   []string{"OK search engine", "OK search index products, mapping", "OK search index products, fields"},
		},
		"a field of another type": {
			engine: inspected{found: search.Inspection{Target: there, Changed: []string{"attributes.size"}}, count: 10}, visible: 10,
			want: []string{"OK search engine", "FAIL search index products, mapping", "OK search index products, documents"},
		},
		"too many fields": {
			engine: inspected{found: search.Inspection{Target: there, Fields: 900, Needs: 1001, Limit: 1000, Lacks: []string{"x"}}, count: 10}, visible: 10,
			want: []string{"OK search engine", "OK search index products, mapping", "FAIL search index products, fields", "OK search index products, documents"},
		},
		"nearly too many fields": {
			engine: inspected{found: search.Inspection{Target: there, Fields: 950, Needs: 950, Limit: 1000}, count: 10}, visible: 10,
			want: []string{"OK search engine", "OK search index products, mapping", "WARN search index products, fields", "OK search index products, documents"},
		},
		"documents are missing": {
			engine: inspected{found: search.Inspection{Target: there}, count: 900}, visible: 1000,
			want: []string{"OK search engine", "OK search index products, mapping", "WARN search index products, documents"},
		},
		"rights are missing": {
			engine: inspected{found: search.Inspection{Target: there, Lacking: []string{"browse"}}, count: 10}, visible: 10,
			want: []string{"OK search engine", "OK search index products, mapping", "FAIL search index products, rights", "OK search index products, documents"},
		},
		"the credential is refused": {
			engine: inspected{err: event.Errorf(event.Unauthorized, "401 at MAGELINE_SEARCH_API_KEY")},
			want:   []string{"FAIL search engine", "UNKNOWN search index products"},
		},
		"the engine is away": {
			engine: inspected{err: event.Errorf(event.Unavailable, "connection refused")},
			want:   []string{"FAIL search engine", "UNKNOWN search index products"},
		},
		"a swap that nobody ends": {
			engine: inspected{found: search.Inspection{Target: there}, count: 10}, visible: 10,
			known: []indexes.Generation{{Target: search.Target{Index: "products", Name: "products-2"}, State: indexes.Filling, Since: now.Add(-48 * time.Hour)}},
			want:  []string{"OK search engine", "OK search index products, mapping", "WARN search index products, new index", "OK search index products, documents"},
		},
		"an index that nobody knows": {
			engine: inspected{found: search.Inspection{Target: there, Others: []search.Target{{Index: "products", Name: "products-3"}}}, count: 10}, visible: 10,
			known: []indexes.Generation{{Target: there, State: indexes.Searched}},
			want:  []string{"OK search engine", "OK search index products, mapping", "WARN search index products, old indexes", "OK search index products, documents"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := check.Search{
				Engine: c.engine, Address: "https://search.example.com", Now: func() time.Time { return now },
				Generations: func(context.Context) ([]indexes.Generation, error) { return c.known, nil },
				Indexes: []check.SearchIndex{{
					Index: "products", Fields: func(context.Context) ([]search.Field, error) { return nil, nil },
					Visible: func(context.Context) (int64, error) { return c.visible, nil },
				}},
			}
			var got []string
			for _, f := range s.Check(t.Context()) {
				got = append(got, string(f.Status)+" "+f.Subject)
				if f.Status != check.OK && f.Todo == "" {
					t.Errorf("%s: nothing to do", f)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestSearch_LeavesMagentoToItsChecker(t *testing.T) {
	s := check.Search{
		Engine: inspected{}, Generations: func(context.Context) ([]indexes.Generation, error) { return nil, errors.New("no table") },
		Indexes: []check.SearchIndex{{Index: "products", Fields: func(context.Context) ([]search.Field, error) { return nil, errors.New("401") }}},
	}
	all := s.Check(t.Context())
	if last := all[len(all)-1]; last.Status != check.Unknown {
		t.Errorf("%v", all)
	}
}
