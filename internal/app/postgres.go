package app

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/mageline/mageline/internal/check"
	"github.com/mageline/mageline/internal/config"
	"github.com/mageline/mageline/internal/pg"
	"github.com/mageline/mageline/migrations"
)

// OpenDatabase opens the database of DATABASE_URL for a command; it connects to nothing yet.
func OpenDatabase(ctx context.Context, cfg *config.Config) (*pg.DB, error) {
	parsed, err := parseDatabaseURL(cfg.DatabaseURL.Reveal(), cfg)
	if err != nil {
		return nil, err
	}
	return parsed.Open(ctx)
}

// openDatabase does the same as OpenDatabase, and has every new connection take the newest DATABASE_URL, and with it the newest certificates.
func (s *Service) openDatabase(ctx context.Context) (*pg.DB, error) {
	config, err := parseDatabaseURL(s.cfg.DatabaseURL.Reveal(), s.cfg)
	if err != nil {
		return nil, err
	}
	config.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		fresh, err := parseDatabaseURL(s.databaseURL(), s.cfg)
		if err != nil { // the certificates are being replaced: those from before
			s.log.Warn().Str("event", "database_address_unusable").Err(err).
				Msg("the newest database address can't be used: the one from before is used")
			return nil
		}
		timeout := c.ConnectTimeout // the pool bounds it
		*c = *fresh.ConnConfig
		if c.ConnectTimeout <= 0 {
			c.ConnectTimeout = timeout
		}
		return nil
	}
	return config.Open(ctx)
}

func (s *Service) databaseURL() string {
	valid := func(address string) error { _, err := parseDatabaseURL(address, s.cfg); return err }
	return s.secrets.Newest(&s.cfg.DatabaseURL, valid)
}

// directURL is the newest address without a pooler in between.
func (s *Service) directURL() string {
	if s.cfg.MigrateDatabaseURL == "" {
		return s.databaseURL()
	}
	valid := func(address string) error { _, err := pg.Parse(address, ""); return err }
	return pastPooler(s.databaseURL(), s.secrets.Newest(&s.cfg.MigrateDatabaseURL, valid))
}

// DirectURL is the database without a pooler in between, for migrations and advisory locks.
func DirectURL(cfg *config.Config) string {
	return pastPooler(cfg.DatabaseURL.Reveal(), cfg.MigrateDatabaseURL.Reveal())
}

func pastPooler(address, direct string) string {
	url, err := pg.Direct(address, direct)
	if err != nil { // config has checked both
		return direct
	}
	return url
}

func parseDatabaseURL(address string, cfg *config.Config) (*pg.Config, error) {
	parsed, err := pg.Parse(address, cfg.MigrateDatabaseURL.Reveal())
	if err != nil {
		return nil, fmt.Errorf("%s can't be used: %w", databaseVariable, err)
	}
	return parsed, nil
}

// rights fails when the role may not use the tables: a message that met it would seem to be at fault itself.
func (s *Service) rights(ctx context.Context) error {
	lacks, there, err := migrations.MissingRights(ctx, s.db)
	if err != nil {
		return ExplainPostgres(err, databaseVariable)
	}
	if there == 0 {
		return fmt.Errorf("the tables are not where %s looks for them: correct its database or its search_path", databaseVariable)
	}
	if len(lacks) > 0 {
		return fmt.Errorf("the role of MAGELINE_DATABASE_URL lacks rights: GRANT %s TO it", strings.Join(lacks, "; GRANT "))
	}
	return nil
}

// ExplainPostgres adds to an error which part of an address, which file or right is at fault and what to do; variable has
// the address.
func ExplainPostgres(err error, variable string) error {
	if err == nil {
		return nil
	}
	if todo := check.Remedy(err, variable); todo != "" {
		return fmt.Errorf("%w: %s", err, todo)
	}
	return err
}

// Where the addresses of Postgres are.
const databaseVariable = "MAGELINE_DATABASE_URL"

// DirectVariable has the address of DirectURL.
func DirectVariable(cfg *config.Config) string {
	if cfg.MigrateDatabaseURL != "" {
		return "MAGELINE_MIGRATE_DATABASE_URL"
	}
	return databaseVariable
}
