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

// StoreReader reads the configuration of Magento's store views. *magentoapi.StoresService is one.
type StoreReader interface {
	Configs(ctx context.Context) ([]magentoapi.StoreConfig, error)
	Views(ctx context.Context) ([]magentoapi.StoreView, error)
}

// How long the configuration of the stores is taken as read; shorter where it may not be read.
const (
	storesFresh  = time.Hour
	storesDenied = 10 * time.Minute
)

// Stores knows the shop's store views. It reads them once in a while, not for every order.
type Stores struct {
	Reader StoreReader
	// Location is the time zone of stores whose own can't be read.
	Location *time.Location

	mu    sync.Mutex
	until time.Time
	byID  map[int64]mapping.Store
}

// of gives the store view of an order. Magento being away is an error, because the date an order is booked under hangs
// on the time zone; not being allowed to read it is none.
func (s *Stores) of(ctx context.Context, o *magentoapi.Order) (mapping.Store, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Now().After(s.until) {
		if err := s.read(ctx); err != nil {
			return mapping.Store{}, err
		}
	}
	if store, ok := s.byID[storeID(o)]; ok {
		return store, nil
	}
	return mapping.Store{Location: s.Location}, nil
}

func (s *Stores) read(ctx context.Context) error {
	views, err := s.Reader.Views(ctx)
	var configs []magentoapi.StoreConfig
	if err == nil {
		configs, err = s.Reader.Configs(ctx)
	}
	if err != nil {
		err = fromMagento(err)
		switch event.ClassOf(err) {
		case event.Unauthorized, event.NotFound, event.Rejected:
			zerolog.Ctx(ctx).Warn().Err(err).Msg("Magento's store configuration can't be read: MAGENTO_TIMEZONE is used; give the integration Magento_Backend::store")
			s.byID, s.until = nil, time.Now().Add(storesDenied)
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
			zerolog.Ctx(ctx).Warn().Str("store", string(c.Code)).Str("timezone", string(c.Timezone)).
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
	s.byID, s.until = byID, time.Now().Add(storesFresh)
	return nil
}
