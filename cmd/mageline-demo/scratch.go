package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mageline/mageline/test/kit"
)

// cleanTimeout bounds the clean-up of one service.
const cleanTimeout = 20 * time.Second

// createDatabase makes a database of the demo's own on the server of address, and gives its URL and what drops it.
func createDatabase(ctx context.Context, address, name string) (string, func() error, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return "", nil, fmt.Errorf("%w: --database must be a postgres:// URL", errUsage)
	}
	if err := execute(ctx, address, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return "", nil, err
	}
	own := *u
	own.Path = "/" + name
	drop := func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
		defer cancel()
		return execute(ctx, address, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)")
	}
	return own.String(), drop, nil
}

func execute(ctx context.Context, address, statement string) error {
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return fmt.Errorf("connect to Postgres (--database): %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}

// deleteQueues deletes all that a mageline with the prefix may have declared, and the exchange.
func deleteQueues(amqpURL, prefix, exchange string, delays []time.Duration) error {
	w, err := dial(amqpURL, exchange)
	if err != nil {
		return fmt.Errorf("clean up: %w", err)
	}
	queues, exchanges := kit.Names(prefix, delays...)
	err = kit.DeleteQueues(w.channel, queues, append(exchanges, exchange))
	return errors.Join(err, w.conn.Close())
}
