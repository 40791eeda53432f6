package bulk

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/handlers"
	"github.com/mageline/mageline/internal/watermark"
	"github.com/mageline/mageline/magentoapi"
)

// Shop finds out what the shop is, once, when it is first needed. Its fields are parts of a magentoapi.Client.
type Shop struct {
	Modules interface {
		List(ctx context.Context) ([]string, error)
	}
	Stores interface {
		Views(ctx context.Context) ([]magentoapi.StoreView, error)
	}
	Inventory interface {
		Sources(ctx context.Context, criteria magentoapi.SearchCriteria) (*magentoapi.Page[*magentoapi.Source], error)
	}

	mu       sync.Mutex // never locked during a request
	staged   *bool
	legacy   *bool
	codes    map[string]bool // of sources
	codesAt  time.Time       // when they were read
	websites map[int64]int64 // of each store view
	readAt   time.Time
}

const (
	storesFresh   = time.Hour
	storesUnknown = time.Minute // a store that is not known is looked for again after it
	// stagingModule is what Adobe Commerce schedules special prices with.
	stagingModule = "Magento_CatalogStaging"
)

// staging reports whether the shop schedules special prices (Content Staging). Where the modules may not be read it does not: then
// Magento says itself what it refuses.
func (s *Shop) staging(ctx context.Context) (bool, error) {
	s.mu.Lock()
	known := s.staged
	s.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	modules, err := s.Modules.List(ctx)
	if err != nil {
		err = handlers.FromMagento(err)
		switch event.ClassOf(err) {
		case event.Unauthorized, event.NotFound, event.Rejected:
			zerolog.Ctx(ctx).Warn().Str("event", "edition_unknown").Err(err).
				Msg("the shop's modules can't be read: it is taken for one without Content Staging; give the integration Magento_Backend::admin")
		default:
			return false, err
		}
	}
	staged := slices.Contains(modules, stagingModule)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.staged = &staged
	return staged, nil
}

// sources returns the codes of the sources that the shop has, in lower case, and whether it has multi-source inventory at all, by
// whether it has its endpoints. The codes are nil if they may not be read. They are read again for one of codes that is not among them.
func (s *Shop) sources(ctx context.Context, codes map[string]bool) (known map[string]bool, msi bool, err error) {
	s.mu.Lock()
	known, legacy, age := s.codes, s.legacy, time.Since(s.codesAt)
	s.mu.Unlock()
	missing := known != nil && slices.ContainsFunc(slices.Collect(maps.Keys(codes)), func(c string) bool { return !known[c] })
	if legacy != nil && (!missing || age < storesUnknown) {
		return known, !*legacy, nil
	}
	page, err := s.Inventory.Sources(ctx, magentoapi.SearchCriteria{Fields: "items[source_code],total_count"}.OnPage(1, pageRows))
	switch {
	case errors.Is(err, magentoapi.ErrNoEndpoint):
		return s.found(ctx, nil, true)
	case errors.Is(err, magentoapi.ErrUnauthorized), errors.Is(err, magentoapi.ErrForbidden):
		return s.found(ctx, nil, false)
	case err != nil:
		return nil, false, handlers.FromMagento(err)
	case page.More():
		return s.found(ctx, nil, false) // more than anybody has: Magento says which there are not
	}
	known = map[string]bool{}
	for _, source := range page.Items {
		known[strings.ToLower(string(source.Code))] = true
	}
	return s.found(ctx, known, false)
}

func (s *Shop) found(ctx context.Context, codes map[string]bool, legacy bool) (map[string]bool, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if legacy && s.legacy == nil {
		zerolog.Ctx(ctx).Info().Str("event", "stock_without_sources").
			Msg("the shop has no multi-source inventory: stock is written to the stock item of each SKU")
	}
	s.legacy, s.codes, s.codesAt = &legacy, codes, time.Now()
	return codes, !legacy, nil
}

// viewsBeside returns the website of a store view, and all views of that website; none if there is no such view.
func (s *Shop) viewsBeside(ctx context.Context, store int64) (website int64, views []int64, err error) {
	if website, views, fresh := s.cached(store); fresh {
		return website, views, nil
	}
	all, err := s.Stores.Views(ctx)
	if err != nil {
		return 0, nil, handlers.FromMagento(err)
	}
	websites := make(map[int64]int64, len(all))
	for _, v := range all {
		websites[int64(v.ID)] = int64(v.WebsiteID)
	}
	s.mu.Lock()
	s.websites, s.readAt = websites, time.Now()
	s.mu.Unlock()
	website, views, _ = s.cached(store)
	return website, views, nil
}

func (s *Shop) cached(store int64) (website int64, views []int64, fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	website, known := s.websites[store]
	if known {
		for view, of := range s.websites {
			if of == website {
				views = append(views, view)
			}
		}
		slices.Sort(views)
	}
	age := time.Since(s.readAt)
	return website, views, s.websites != nil && age < storesFresh && (known || age < storesUnknown)
}

func sortedKeys[V any](m map[watermark.Key]V) []watermark.Key {
	return slices.SortedFunc(maps.Keys(m), watermark.Key.Compare)
}
