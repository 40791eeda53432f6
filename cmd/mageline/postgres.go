package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mageline/mageline/check"
	"github.com/mageline/mageline/config"
	"github.com/mageline/mageline/migrations"
)

// openPool makes a pool whose every new connection takes the newest DATABASE_URL, and with it the newest certificates.
func (s *service) openPool(ctx context.Context) (*pgxpool.Pool, error) {
	config, err := parseDatabaseURL(s.cfg.DatabaseURL.Reveal())
	if err != nil {
		return nil, err
	}
	config.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		fresh, err := parseDatabaseURL(s.databaseURL())
		if err != nil { // the certificates are being replaced: those from before
			s.log.Warn().Err(err).Msg("the newest database address can't be used: the one from before is used")
			return nil
		}
		timeout := c.ConnectTimeout // the pool bounds it
		*c = *fresh.ConnConfig
		if c.ConnectTimeout <= 0 {
			c.ConnectTimeout = timeout
		}
		return nil
	}
	return pgxpool.NewWithConfig(ctx, config)
}

func (s *service) databaseURL() string {
	return s.secrets.newest("MAGELINE_DATABASE_URL", validDatabaseURL, s.log)
}

// directURL is the newest address without a pooler in between.
func (s *service) directURL() string {
	if s.cfg.MigrateDatabaseURL == "" {
		return s.databaseURL()
	}
	return s.secrets.newest("MAGELINE_MIGRATE_DATABASE_URL", validDatabaseURL, s.log)
}

func validDatabaseURL(url string) error {
	_, err := parseDatabaseURL(url)
	return err
}

// parseDatabaseURL never shows the address, which has a password in it.
func parseDatabaseURL(url string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(url)
	var file *fs.PathError
	switch {
	case err == nil && url != "":
		return config, nil
	case errors.As(err, &file):
		return nil, fmt.Errorf("a file that MAGELINE_DATABASE_URL names can't be read: %w", file)
	}
	return nil, errors.New("MAGELINE_DATABASE_URL can't be used: want postgres://user:password@host:port/database, with certificates that are PEM files")
}

// rights fails when the role may not use the tables: a message that met it would seem to be at fault itself.
func (s *service) rights(ctx context.Context) error {
	lacks, _, err := migrations.MissingRights(ctx, s.pool)
	if err != nil {
		return explainPostgres(err, databaseVariable)
	}
	if len(lacks) > 0 {
		return fmt.Errorf("the role of MAGELINE_DATABASE_URL lacks rights: GRANT %s TO it", strings.Join(lacks, "; GRANT "))
	}
	return nil
}

// explainPostgres adds to an error which part of an address, which file or right is at fault and what to do; variable has
// the address.
func explainPostgres(err error, variable string) error {
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

// directVariable has the address of directURL.
func directVariable(cfg *config.Config) string {
	if cfg.MigrateDatabaseURL != "" {
		return "MAGELINE_MIGRATE_DATABASE_URL"
	}
	return databaseVariable
}
