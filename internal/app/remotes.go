package app

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/shopspring/decimal"
	"go.opentelemetry.io/otel/trace"

	"github.com/mageline/mageline/erp"
	"github.com/mageline/mageline/erp/codes"
	"github.com/mageline/mageline/handlers"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/downstream"
	"github.com/mageline/mageline/internal/tracing"
	"github.com/mageline/mageline/magentoapi"
	"github.com/mageline/mageline/search"
)

// remotes are the remote APIs: a downstream for each, and the clients that call it.
type remotes struct {
	magento, erp *downstream.Downstream
	search       *downstream.Downstream
	shop         *magentoapi.Client
	connector    erp.OrderConnector // nil without one
	engine       search.Builder     // nil without one
	codes        func() *codes.File // that the connector uses; nil without one
	broken       func() string      // what is wrong with the changed file of codes; nil without one
}

// wireRemotes makes the clients of what is configured. It connects to nothing.
func wireRemotes(cfg *config.Config, secrets *config.Secrets, version string, log zerolog.Logger, registerer prometheus.Registerer) (*remotes, error) {
	var tracer trace.Tracer
	if p := tracing.Provider(); p != nil {
		tracer = p.Tracer("github.com/mageline/mageline/internal/downstream")
	}
	erpVariable, _ := erpAddress(cfg)
	r := &remotes{
		magento: downstream.New(downstream.Options{
			Name: config.DownstreamMagento, Variable: "MAGELINE_MAGENTO_URL", Timeout: cfg.MagentoTimeout, RateLimit: cfg.MagentoRateLimit,
			Failures: cfg.BreakerFailures, OpenFor: cfg.BreakerOpenFor,
			Registerer: registerer, Tracer: tracer, Log: log,
		}),
		erp: downstream.New(downstream.Options{
			Name: config.DownstreamERP, Variable: erpVariable, Classify: erpClassify(cfg), Timeout: cfg.ERPTimeout, RateLimit: cfg.ERPRateLimit, Concurrency: cfg.ERPConcurrency,
			Failures: cfg.BreakerFailures, OpenFor: cfg.BreakerOpenFor,
			Registerer: registerer, Tracer: tracer, Log: log,
		}),
		search: downstream.New(downstream.Options{
			Name: config.DownstreamSearch, Variable: "MAGELINE_SEARCH_URL", Classify: searchClassify(cfg), Timeout: cfg.SearchTimeout,
			Failures: cfg.BreakerFailures, OpenFor: cfg.BreakerOpenFor,
			Registerer: registerer, Tracer: tracer, Log: log,
		}),
	}
	var err error
	if r.engine, err = wireSearch(cfg, secrets, r.search.Client(), log); err != nil {
		return nil, err
	}
	if cfg.MagentoURL != "" {
		r.shop, err = magentoapi.New(cfg.MagentoURL, magentoapi.Options{
			HTTPClient: r.magento.Client(), StoreCode: cfg.MagentoStoreCode, Auth: credential(cfg, secrets),
			UserAgent: "mageline/" + version,
			// Package consumer decides about retries, and the transport has the circuit breaker. A second loop in here would
			// multiply the attempts, and keep a handler busy while its circuit opens.
			Retries: magentoapi.NoRetries,
			OnOdd:   handlers.LogOdd,
		})
		if err != nil {
			return nil, err
		}
	}
	if cfg.ERPMapping != "" {
		file, err := openCodes(cfg.ERPMapping, string(cfg.ERP), log)
		if err != nil {
			return nil, err
		}
		r.codes, r.broken = file.codes, file.wrong
	}
	if r.connector, err = wireERP(cfg, secrets, r.codes, erpClient(r.erp)); err != nil {
		return nil, err
	}
	return r, nil
}

// erpClient is what the ERP is called with; the program that test/e2e builds has another (hang.go).
var erpClient = (*downstream.Downstream).Client

// all returns each downstream.
func (r *remotes) all() []*downstream.Downstream {
	return []*downstream.Downstream{r.magento, r.erp, r.search}
}

// resume ends what the next call of a downstream waits for. The name of anything else does nothing.
func (r *remotes) resume(name string) {
	for _, d := range r.all() {
		if d.Name() == name {
			d.Resume()
		}
	}
}

func (r *remotes) close() {
	for _, d := range r.all() {
		d.Close()
	}
}

// credential returns the one of three ways to log in to Magento that is configured.
func credential(cfg *config.Config, secrets *config.Secrets) magentoapi.Credential {
	secret := func(s *config.Secret) magentoapi.Secret {
		value := secrets.Value(s)
		return func() (string, error) { return value(), nil }
	}
	switch {
	case cfg.MagentoToken != "":
		return magentoapi.Bearer(secret(&cfg.MagentoToken))
	case cfg.MagentoConsumerKey != "":
		return magentoapi.OAuth1(secret(&cfg.MagentoConsumerKey), secret(&cfg.MagentoConsumerSecret), secret(&cfg.MagentoAccessToken), secret(&cfg.MagentoAccessTokenSecret))
	default:
		return magentoapi.AdminToken(cfg.MagentoUsername, secret(&cfg.MagentoPassword))
	}
}

// tolerance returns by how much a document's total may differ; nil is the default.
func (r *remotes) tolerance() func() decimal.Decimal {
	if r.codes == nil {
		return nil
	}
	return func() decimal.Decimal { return r.codes().Tolerance() }
}
