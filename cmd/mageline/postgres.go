package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

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
		return explainPostgres(err)
	}
	if len(lacks) > 0 {
		return fmt.Errorf("the role of MAGELINE_DATABASE_URL lacks rights: GRANT %s TO it", strings.Join(lacks, "; GRANT "))
	}
	return nil
}

// explainPostgres adds to an error which variable, file or right is at fault and what to do.
func explainPostgres(err error) error {
	if err == nil {
		return nil
	}
	if todo := postgresRemedy(err); todo != "" {
		return fmt.Errorf("%w: %s", err, todo)
	}
	return err
}

func postgresRemedy(err error) string {
	const variable = "MAGELINE_DATABASE_URL"
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		switch {
		case answer.Code == "28000" && strings.Contains(answer.Message, "certificate"):
			return "set sslcert and sslkey in " + variable + " to a client certificate that Postgres accepts, its common name the role's"
		case strings.HasPrefix(answer.Code, "28"):
			return "correct the user and the password in " + variable + ", or let it in by pg_hba.conf"
		case answer.Code == "3D000":
			return "make the database (createdb), or correct its name in " + variable
		case answer.Code == "42501":
			return "grant the role of " + variable + " that right; `mageline check` lists all that it lacks"
		}
	}
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown):
		return "Postgres's certificate is signed by none of the roots in sslrootcert of " + variable + ": put the CA that signed it there"
	case errors.As(err, &host):
		return "Postgres's certificate is for another host than the one in " + variable + ": use a name that is in it"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "Postgres's certificate has expired or is not valid yet: renew it on the server, or correct this machine's clock"
	case strings.Contains(err.Error(), "remote error: tls: expired certificate"):
		return "the client certificate in sslcert of " + variable + " has expired: renew the file"
	case strings.Contains(err.Error(), "remote error: tls: "):
		return "Postgres refuses the client certificate in sslcert of " + variable + ": its CA must be in the server's ssl_ca_file"
	case strings.Contains(err.Error(), "server refused TLS"):
		return "Postgres has no TLS: set ssl=on there, or another sslmode in " + variable
	}
	return ""
}
