package handlers

import (
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/mapping"
)

// StoreReader reads the configuration of Magento's store views. *magentoapi.StoresService implements it.
type StoreReader interface {
	Configs(ctx context.Context) ([]magentoapi.StoreConfig, error)
	Views(ctx context.Context) ([]magentoapi.StoreView, error)
}

// For how long the configuration of the stores is cached. It is shorter if it may not be read, and for a store that it did not have.
const (
	storesFresh   = time.Hour
	storesDenied  = 10 * time.Minute
	storesUnknown = time.Minute
)

// Stores caches the shop's store views.
type Stores struct {
	Reader StoreReader
	// Location is the time zone of stores whose own can't be read.
	Location *time.Location

	mu    sync.Mutex // never locked during a request: whoever waits for the stores must be able to give up
	at    time.Time  // of the last reading
	until time.Time  // when the next one is due
	byID  map[int64]mapping.Store
}

// Of returns the store view of an order. It fails while Magento is away, because the date of the document depends on the time zone. A
// missing permission is no error: then Location is used.
func (s *Stores) Of(ctx context.Context, o *magentoapi.Order) (mapping.Store, error) {
	id := storeID(o)
	store, fresh := s.known(id)
	if fresh {
		return store, nil
	}
	if err := s.read(ctx); err != nil {
		return mapping.Store{}, err
	}
	store, _ = s.known(id)
	return store, nil
}

// known returns the cached store view. fresh is false if it must be read again, as for a store that the cache does not have.
func (s *Stores) known(id int64) (store mapping.Store, fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	store, ok := s.byID[id]
	if !ok {
		store = mapping.Store{Location: s.Location}
	}
	return store, now.Before(s.until) && (ok || s.byID == nil || now.Sub(s.at) < storesUnknown)
}

func (s *Stores) set(byID map[int64]mapping.Store, lasts time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = time.Now()
	s.byID, s.until = byID, s.at.Add(lasts)
}

func (s *Stores) read(ctx context.Context) error {
	views, err := s.Reader.Views(ctx)
	var configs []magentoapi.StoreConfig
	if err == nil {
		configs, err = s.Reader.Configs(ctx)
	}
	if err != nil {
		err = FromMagento(err)
		switch event.ClassOf(err) {
		case event.Unauthorized, event.NotFound, event.Rejected:
			zerolog.Ctx(ctx).Warn().Str("event", "store_configuration_unreadable").Err(err).
				Msg("Magento's store configuration can't be read: MAGENTO_TIMEZONE is used; give the integration Magento_Backend::store")
			s.set(nil, storesDenied)
			return nil
		}
		return err
	}
	byID := make(map[int64]mapping.Store, len(views))
	for _, v := range views {
		website := int64(v.WebsiteID)
		byID[int64(v.ID)] = mapping.Store{Code: string(v.Code), Name: string(v.Name), WebsiteID: &website, Location: s.Location}
	}
	for _, c := range configs {
		zone, err := time.LoadLocation(string(c.Timezone))
		if err != nil || c.Timezone == "" {
			zerolog.Ctx(ctx).Warn().Str("event", "store_timezone_unknown").Str("store", string(c.Code)).Str("timezone", string(c.Timezone)).
				Msg("the store's time zone is not known: MAGENTO_TIMEZONE is used")
			continue
		}
		store := byID[int64(c.ID)]
		store.Location = zone
		if store.Code == "" {
			store.Code = string(c.Code)
		}
		byID[int64(c.ID)] = store
	}
	s.set(byID, storesFresh)
	return nil
}
