package check

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// pooling says how a connection of ours is kept.
type pooling string

const (
	notPooled       pooling = ""
	bySession       pooling = "session"
	byTransaction   pooling = "transaction"
	byStatement     pooling = "statement"
	inAnUnknownMode pooling = "unknown"
)

const (
	// poolingRounds is how often two connections are looked for on one of the server: a pooler with others' work may give them
	// different ones for a while.
	poolingRounds = 10
	// poolingTimeout is for one step. In session mode a pool that is used up lets the second connection wait.
	poolingTimeout = 2 * time.Second
)

// pooling finds out whether a pooler lies between, and its mode, without a word that would stay on the server.
//
// A pooler has numbers of its own for its clients (BackendKeyData), which are not those of the server's processes. Where two
// connections of ours that are open at the same time reach the same process, it is in transaction mode.
func (l *link) pooling(ctx context.Context) (pooling, error) {
	mine, err := process(ctx, l.conn)
	if err != nil {
		return inAnUnknownMode, err
	}
	if mine.pid == l.conn.PgConn().PID() {
		return notPooled, nil
	}
	other, err := pgx.ConnectConfig(ctx, l.config)
	if err != nil {
		return inAnUnknownMode, err
	}
	defer closeConn(other)
	for range poolingRounds {
		step, cancel := context.WithTimeout(ctx, poolingTimeout)
		mode, err := oneRound(step, l.conn, other, mine)
		cancel()
		if err != nil || mode != bySession {
			return mode, err
		}
	}
	return bySession, nil
}

// oneRound has other hold its process in a transaction, while conn, last seen on mine, asks again for its own.
func oneRound(ctx context.Context, conn, other *pgx.Conn, mine identity) (pooling, error) {
	tx, err := other.Begin(ctx)
	if err != nil {
		var answer *pgconn.PgError
		if errors.As(err, &answer) && strings.Contains(answer.Message, "statement pooling") {
			return byStatement, nil
		}
		return inAnUnknownMode, err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	theirs, err := process(ctx, tx)
	switch {
	case err != nil:
		return inAnUnknownMode, err
	case theirs == mine:
		return byTransaction, nil
	}
	again, err := process(ctx, conn)
	switch {
	case err != nil:
		return inAnUnknownMode, err
	case again != mine:
		return byTransaction, nil
	}
	return bySession, nil
}

// identity is that of a process of a server: an address may lead to several.
type identity struct {
	pid     uint32
	started string
}

func process(ctx context.Context, db interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
},
) (i identity, err error) {
	err = db.QueryRow(ctx, `SELECT pg_backend_pid()::bigint, pg_postmaster_start_time()::text`).Scan(&i.pid, &i.started)
	return i, err
}

// pooler looks for one that MAGELINE_DATABASE_URL leads to.
func (p Postgres) pooler(ctx context.Context, l *link) []Finding {
	const subject = "Postgres pooler"
	mode, err := l.pooling(ctx)
	switch {
	case mode == notPooled:
		return nil
	case mode == byStatement:
		return []Finding{{
			Fail, subject, databaseURL + " leads to a pooler in statement mode, where no transaction can be begun",
			"set pool_mode to transaction for this database, or lead " + databaseURL + " to Postgres itself",
		}}
	case p.DirectURL != "" && mode != inAnUnknownMode:
		return []Finding{ok(subject, "%s leads to one in %s mode, as %s declares", databaseURL, mode, directURL)}
	case mode == byTransaction:
		return []Finding{{
			Fail, directURL, "is not set, and " + databaseURL + " leads to a pooler in transaction mode: prepared statements and the locks of migrations and dead-letter queues are lost between two transactions",
			"set " + directURL + " to Postgres itself, past the pooler",
		}}
	case mode == bySession:
		return []Finding{ok(subject, "%s leads to one in session mode", databaseURL)}
	}
	detail := databaseURL + " leads to one, in what mode can't be seen"
	if err != nil {
		detail += ": " + inTime(ctx, err).Error()
	}
	todo := "set " + directURL + " to Postgres itself if its mode is transaction"
	if p.DirectURL != "" {
		todo = "see that the pooler has connections to spare, and check again"
	}
	return []Finding{{Unknown, subject, detail, todo}}
}

// direct sees that the connection past the pooler is one.
func (l *link) direct(ctx context.Context) []Finding {
	mode, err := l.pooling(ctx)
	switch mode {
	case notPooled, bySession:
		return nil
	case inAnUnknownMode:
		return []Finding{unread(ctx, l.variable, err, l.variable)}
	}
	return []Finding{{
		Fail, l.variable, "leads to a pooler in " + string(mode) + " mode itself, where the locks of migrations and dead-letter queues are lost",
		"set it to Postgres itself, past the pooler",
	}}
}
