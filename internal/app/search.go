package app

import (
	"context"
	"net/http"

	"github.com/rs/zerolog"

	"github.com/mageline/mageline/event"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/documents"
	"github.com/mageline/mageline/internal/pg"
	"github.com/mageline/mageline/search"
	"github.com/mageline/mageline/search/algolia"
	"github.com/mageline/mageline/search/elastic"
)

// wireSearch makes the client of the search engine that is configured; nil without one.
func wireSearch(cfg *config.Config, secrets *config.Secrets, client *http.Client, log zerolog.Logger) (search.Builder, error) {
	if cfg.Search == config.Algolia && cfg.SearchApplication != "" && cfg.SearchAPIKey != "" {
		return algolia.New(algolia.Options{
			HTTP: client, ApplicationID: cfg.SearchApplication, Key: secrets.Value(&cfg.SearchAPIKey), Hosts: cfg.SearchURL,
			RecordLimit: cfg.SearchDocumentSize, Timeout: cfg.SearchTimeout,
			Warn: func(err error) { log.Warn().Str("event", "search_engine_warns").Err(err).Msg("Algolia needs a person") },
		})
	}
	if cfg.Search != config.OpenSearch && cfg.Search != config.Elasticsearch || len(cfg.SearchURL) == 0 {
		return nil, nil //nolint:nilnil // no search engine is a configuration like any other
	}
	o := elastic.Options{
		HTTP: client, URLs: cfg.SearchURL, AddressName: "MAGELINE_SEARCH_URL", MaxDocument: cfg.SearchDocumentSize,
		CredentialName: "MAGELINE_SEARCH_USERNAME and MAGELINE_SEARCH_PASSWORD, MAGELINE_SEARCH_API_KEY or MAGELINE_SEARCH_TOKEN",
	}
	switch {
	case cfg.SearchUsername != "":
		password := secrets.Value(&cfg.SearchPassword)
		o.Credential = func(ctx context.Context, refused bool) (string, error) {
			return elastic.Basic(cfg.SearchUsername, password())(ctx, refused)
		}
	case cfg.SearchAPIKey != "":
		key := secrets.Value(&cfg.SearchAPIKey)
		o.Credential = func(ctx context.Context, refused bool) (string, error) { return elastic.APIKey(key())(ctx, refused) }
	case cfg.SearchToken != "":
		token := secrets.Value(&cfg.SearchToken)
		o.Credential = func(ctx context.Context, refused bool) (string, error) { return elastic.Bearer(token())(ctx, refused) }
	}
	return elastic.New(o)
}

// changes records products that are read again after a change; without a search engine it records none.
func changes(cfg *config.Config, db pg.Conn) *documents.Changes {
	c := &documents.Changes{Store: &documents.Store{DB: db}}
	if cfg.Search != config.NoSearch {
		c.Settle = cfg.SearchSettle
	}
	return c
}

// searchClassify is how the configured engine tells of an outage otherwise than by its status; nil where it does not.
func searchClassify(cfg *config.Config) func(event.Answer, event.Subject) event.Subject {
	if cfg.Search == config.OpenSearch || cfg.Search == config.Elasticsearch {
		return elastic.Subject
	}
	return nil
}
