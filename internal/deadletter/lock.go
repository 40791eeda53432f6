package deadletter

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	connectTimeout = 10 * time.Second
	lockCheckEvery = 5 * time.Second
)

// lock is the right to read one dead-letter queue. Postgres releases it when its connection ends.
type lock struct {
	queue   string
	conn    *pgx.Conn
	checked time.Time
}

// lock takes the advisory lock of a queue. It does not wait: it fails with a *LockedError.
func (r *Reader) lock(ctx context.Context, queue string) (*lock, error) {
	pool, err := pgxpool.ParseConfig(r.o.DatabaseURL) // which removes the parameters of a pool, such as pool_max_conns
	if err != nil {                                   // its text may have the password
		return nil, errors.New("the address of the database can't be read")
	}
	config := pool.ConnConfig
	// Postgres truncates it to 63 bytes.
	config.RuntimeParams["application_name"] = fmt.Sprintf("mageline %.40s/%d", r.o.Host, os.Getpid())
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to Postgres at %s for the lock of %s: %w", net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port))), queue, err)
	}
	l := &lock{queue: queue, conn: conn, checked: time.Now()}
	var ok bool
	if err := conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", lockKey(queue)).Scan(&ok); err != nil {
		l.release()
		return nil, fmt.Errorf("lock the queue %s in Postgres: %w", queue, err)
	}
	if ok {
		return l, nil
	}
	defer l.release()
	return nil, l.holder(ctx)
}

// lockKey returns the number of a queue's lock.
func lockKey(queue string) int64 {
	sum := sha256.Sum256([]byte("mageline dead letters " + queue))
	return int64(binary.BigEndian.Uint64(sum[:])) //nolint:gosec // all 64 bits are the number, whatever its sign
}

func (l *lock) holder(ctx context.Context) error {
	e := &LockedError{Queue: l.queue}
	// The connection is opened for the lock alone, so it is as old as the lock. Postgres shows the number in two halves.
	err := l.conn.QueryRow(ctx, `
		SELECT coalesce(nullif(a.application_name, ''), 'process ' || a.pid), coalesce(a.backend_start, 'epoch')
		FROM pg_locks l JOIN pg_stat_activity a USING (pid)
		WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
		  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
		  AND (l.classid::bigint << 32) | l.objid::bigint = $1`, lockKey(l.queue)).Scan(&e.Holder, &e.Since)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("%w (who it is could not be read: %w)", e, err)
	}
	if e.Since.Unix() == 0 {
		e.Since = time.Time{}
	}
	return e
}

// check fails when the lock is lost. It asks Postgres every few seconds at most.
func (l *lock) check(ctx context.Context) error {
	if time.Since(l.checked) < lockCheckEvery {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := l.conn.Ping(ctx); err != nil {
		return fmt.Errorf("the lock of the queue %s in Postgres is lost: %w", l.queue, err)
	}
	l.checked = time.Now()
	return nil
}

// release releases the lock and then closes the connection, whose end Postgres notices a moment later.
func (l *lock) release() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_, _ = l.conn.Exec(ctx, "SELECT pg_advisory_unlock_all()") // the end of the connection frees it too
	_ = l.conn.Close(ctx)
}
