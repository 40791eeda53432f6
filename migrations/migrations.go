// Package migrations has the database schema as numbered SQL files, and migrates a database to it. Migrations only add, so that the
// previous version of the program runs on while a new one is rolled out.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/mageline/mageline/internal/pg"
)

//go:embed *.sql
var files embed.FS

const (
	// table is where goose records what was applied. Its name clashes with no other use of goose in the database.
	table = "mageline_migrations"
	// lockID is the advisory lock that lets replicas that start together migrate one after the other.
	lockID = 0x6d6167656c696e65 // "mageline"
)

// Migration is one file of the schema.
type Migration struct {
	Version int64     `json:"version"`
	File    string    `json:"file"`
	Applied bool      `json:"applied"`
	At      time.Time `json:"at,omitzero"`
}

// Up applies the missing migrations and returns them. It takes an advisory lock of the session, so url must be a direct connection
// and no pooler in transaction mode. Replicas that call it together wait for each other, up to five minutes, and all but the first
// find nothing to do.
func Up(ctx context.Context, url string) ([]Migration, error) {
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(lockID), lock.WithLockTimeout(1, 300))
	if err != nil {
		return nil, fmt.Errorf("migrations: lock: %w", err)
	}
	var applied []Migration
	err = with(url, func(p *goose.Provider) error {
		// Most starts find nothing to do, and need not wait for the lock.
		if pending, err := p.HasPending(ctx); err != nil || !pending {
			return err
		}
		results, err := p.Up(ctx)
		for _, r := range results {
			applied = append(applied, Migration{Version: r.Source.Version, File: r.Source.Path, Applied: r.Error == nil})
		}
		return err
	}, goose.WithSessionLocker(locker))
	if err != nil {
		return applied, fmt.Errorf("migrations: bring the schema up to date: %w", err)
	}
	return applied, nil
}

// Status returns every migration that this program has, oldest first. It creates goose's table if there is none, and changes nothing
// else.
func Status(ctx context.Context, url string) ([]Migration, error) {
	var list []Migration
	err := with(url, func(p *goose.Provider) error {
		all, err := p.Status(ctx)
		for _, s := range all {
			list = append(list, Migration{
				Version: s.Source.Version, File: s.Source.Path,
				Applied: s.State == goose.StateApplied, At: s.AppliedAt,
			})
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("migrations: status: %w", err)
	}
	return list, nil
}

// Pending reports whether the database lacks a migration. It is one query that takes no lock and writes nothing, not even goose's
// table, so it may go through a pooler.
func Pending(ctx context.Context, db Querier) (bool, error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return false, fmt.Errorf("migrations: %w", err)
	}
	var applied []int64
	err = db.QueryRow(ctx, `SELECT coalesce(array_agg(version_id), '{}') FROM `+table+` WHERE is_applied`).Scan(&applied)
	if pg.Code(err) == pg.UndefinedTable { // none was ever applied
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("migrations: look for pending ones: %w", err)
	}
	for _, name := range names {
		version, err := goose.NumericComponent(name)
		if err != nil {
			return false, fmt.Errorf("migrations: %w", err)
		}
		if !slices.Contains(applied, version) {
			return true, nil
		}
	}
	return false, nil
}

// Querier is a pool or a connection.
type Querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// FirstAt returns the time of the first migration: since when mageline uses this database.
func FirstAt(ctx context.Context, db Querier) (time.Time, error) {
	var at time.Time
	if err := db.QueryRow(ctx, `SELECT min(migrated_at) FROM installation`).Scan(&at); err != nil {
		return time.Time{}, fmt.Errorf("migrations: time of the first one: %w", err)
	}
	return at, nil
}

func with(url string, do func(*goose.Provider) error, opts ...goose.ProviderOption) (err error) {
	pool, err := pgxpool.ParseConfig(url) // which removes the parameters of a pool, such as pool_max_conns
	if err != nil {
		return err
	}
	config := pool.ConnConfig
	// Prepared statements belong to a session, which a pooler in transaction mode does not keep.
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	db := stdlib.OpenDB(*config)
	defer func() { err = errors.Join(err, closeDB(db)) }()
	p, err := goose.NewProvider(goose.DialectPostgres, db, files,
		append(opts, goose.WithTableName(table), goose.WithDisableGlobalRegistry(true))...)
	if err != nil {
		return err
	}
	return do(p)
}

func closeDB(db *sql.DB) error {
	if err := db.Close(); err != nil {
		return fmt.Errorf("close connection: %w", err)
	}
	return nil
}
