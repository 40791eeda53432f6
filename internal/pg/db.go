package pg

import (
	"context"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Conn is what a pool and a connection of pgx have in common.
type Conn interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// On returns conn, whose connections Config makes, with the settings of each transaction.
func (c *Config) On(conn Conn) Conn {
	if len(c.settings) == 0 {
		return conn
	}
	s := setting{conn: conn}
	var calls []string
	for i := 0; i < len(c.settings); i += 2 {
		calls = append(calls, "set_config($"+strconv.Itoa(i+1)+", $"+strconv.Itoa(i+2)+", true)")
		s.args = append(s.args, c.settings[i], c.settings[i+1])
	}
	s.sql = "SELECT " + strings.Join(calls, ", ")
	return s
}

// DB is a pool of connections. It is safe for use by many goroutines.
type DB struct {
	Conn
	pool *pgxpool.Pool
}

// Open makes a pool. It connects to nothing yet.
func (c *Config) Open(ctx context.Context) (*DB, error) {
	pool, err := pgxpool.NewWithConfig(ctx, c.Config)
	if err != nil {
		return nil, err
	}
	return &DB{Conn: c.On(pool), pool: pool}, nil
}

// Reset closes all connections; those in use, as soon as they are released.
func (db *DB) Reset() { db.pool.Reset() }

// Close closes all connections and waits for those in use.
func (db *DB) Close() { db.pool.Close() }

// setting sends the settings in front of each statement, in one batch: pgx sends its statements together, and Postgres runs
// them as one transaction, at whose end it forgets the settings. A pooler in transaction mode assigns one connection to it.
type setting struct {
	conn Conn
	sql  string
	args []any
}

func (s setting) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	whole := &pgx.Batch{}
	whole.Queue(s.sql, s.args...)
	whole.QueuedQueries = append(whole.QueuedQueries, b.QueuedQueries...)
	results := s.conn.SendBatch(ctx, whole)
	_, _ = results.Exec() // an error is that of all results
	return results
}

func (s setting) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	b := &pgx.Batch{}
	b.Queue(sql, args...)
	results := s.SendBatch(ctx, b)
	rows, err := results.Query()
	r := &batchRows{Rows: rows, results: results}
	if err != nil {
		r.Close()
	}
	return r, err
}

func (s setting) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	rows, _ := s.Query(ctx, sql, args...) // rows has the error
	return row{rows}
}

func (s setting) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	b := &pgx.Batch{}
	b.Queue(sql, args...)
	results := s.SendBatch(ctx, b)
	tag, err := results.Exec()
	if end := results.Close(); err == nil {
		err = end // the commit's
	}
	return tag, err
}

// batchRows ends the batch, and so the transaction, with its rows.
type batchRows struct {
	pgx.Rows
	results pgx.BatchResults
	err     error
}

func (r *batchRows) Next() bool {
	if r.Rows.Next() {
		return true
	}
	r.Close()
	return false
}

func (r *batchRows) Scan(dest ...any) error {
	err := r.Rows.Scan(dest...)
	if err != nil { // pgx ends the rows then
		r.Close()
	}
	return err
}

func (r *batchRows) Close() {
	r.Rows.Close()
	if err := r.results.Close(); r.err == nil {
		r.err = err
	}
}

func (r *batchRows) Err() error {
	if err := r.Rows.Err(); err != nil {
		return err
	}
	return r.err
}

type row struct{ rows pgx.Rows }

func (r row) Scan(dest ...any) error {
	defer r.rows.Close()
	if r.rows.Next() {
		if err := r.rows.Scan(dest...); err != nil {
			return err
		}
		r.rows.Close()
	} else if r.rows.Err() == nil {
		return pgx.ErrNoRows
	}
	return r.rows.Err()
}
