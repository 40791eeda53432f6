package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

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

// openDatabase opens it for the service: each new connection uses the newest DATABASE_URL and the newest certificates.
func (s *Service) openDatabase(ctx context.Context) (*pg.DB, error) {
	config, err := parseDatabaseURL(s.cfg.DatabaseURL.Reveal(), s.cfg)
	if err != nil {
		return nil, err
	}
	config.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		fresh, err := parseDatabaseURL(s.databaseURL(), s.cfg)
		if err != nil { // while certificates are being replaced
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

// directURL returns the newest address of Postgres itself, past a pooler.
func (s *Service) directURL() string {
	if s.cfg.MigrateDatabaseURL == "" {
		return s.databaseURL()
	}
	valid := func(address string) error { _, err := pg.Parse(address, ""); return err }
	return pastPooler(s.databaseURL(), s.secrets.Newest(&s.cfg.MigrateDatabaseURL, valid))
}

// DirectURL returns the address of Postgres itself, past a pooler, for migrations and advisory locks.
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

// database returns the function by which the runtime sees whether the ledger can be used. The first call that succeeds
// migrates the schema. Each call pings Postgres, checks the rights, writes the heartbeat and reads the pauses, so that they
// are known before anything is consumed.
func (s *Service) database() func(ctx context.Context) error {
	upToDate := false
	return func(ctx context.Context) error {
		if !upToDate {
			if err := s.schema(ctx); err != nil {
				return err
			}
			upToDate = true
		}
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		if err := s.ledger.Ready(ctx); err != nil {
			return ExplainPostgres(err, databaseVariable)
		}
		if err := s.rights(ctx); err != nil {
			return err
		}
		if err := s.ledger.Live(ctx); err != nil {
			return ExplainPostgres(err, databaseVariable)
		}
		return ExplainPostgres(s.pauses.read(ctx), databaseVariable)
	}
}

func (s *Service) schema(ctx context.Context) error {
	if s.cfg.Migrate {
		applied, err := migrations.Up(ctx, s.directURL())
		for _, m := range applied {
			s.log.Info().Str("event", "migration_applied").Str("migration", m.File).Msg("applied")
		}
		return ExplainPostgres(err, DirectVariable(s.cfg))
	}
	pending, err := migrations.Pending(ctx, s.db)
	if err != nil {
		return ExplainPostgres(err, databaseVariable)
	}
	if pending {
		return errors.New("the database schema is not up to date and MAGELINE_MIGRATE is false: run `mageline migrate`")
	}
	return nil
}

// rights fails when the role may not use the tables. A message that is handled without them would fail as if it were at fault.
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

// ExplainPostgres adds to an error what is at fault (a part of the address, a file, a right) and what to do. variable is the
// name of the one that has the address.
func ExplainPostgres(err error, variable string) error {
	if err == nil {
		return nil
	}
	if todo := check.Remedy(err, variable); todo != "" {
		return fmt.Errorf("%w: %s", err, todo)
	}
	return err
}

// databaseVariable has the address of Postgres, or of a pooler before it.
const databaseVariable = "MAGELINE_DATABASE_URL"

// DirectVariable names the variable that has the address of DirectURL.
func DirectVariable(cfg *config.Config) string {
	if cfg.MigrateDatabaseURL != "" {
		return "MAGELINE_MIGRATE_DATABASE_URL"
	}
	return databaseVariable
}
