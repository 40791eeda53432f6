// Command servicecheck says whether a RabbitMQ or a Postgres answers at an address and lets us do there what the tests
// do: open a channel, or create databases. The scripts that find and start services ask it, because it needs no client
// program on the machine: only Go, which the project needs anyway.
//
//	servicecheck [-wait 60s] URL...   exit 0 once every URL answers, else 1 with the reason on stderr
//	servicecheck -ports N             prints N free TCP ports of 127.0.0.1, each different
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/test/kit/freeport"
)

// One try must end soon: something that accepts connections but never speaks is not the service that we look for.
const tryTimeout = 5 * time.Second

func main() {
	wait := flag.Duration("wait", 0, "how long to try again before giving up")
	ports := flag.Int("ports", 0, "print this many free ports and exit")
	flag.Parse()
	if err := run(*wait, *ports, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "servicecheck:", err)
		os.Exit(1)
	}
}

func run(wait time.Duration, ports int, urls []string) error {
	if ports > 0 {
		return printFreePorts(ports)
	}
	deadline := time.Now().Add(wait)
	for _, raw := range urls {
		for {
			err := check(raw)
			if err == nil {
				break
			}
			if !time.Now().Before(deadline) {
				return fmt.Errorf("%s: %w", address(raw), err)
			}
			time.Sleep(200 * time.Millisecond)
		}
	}
	return nil
}

func check(raw string) error {
	switch scheme, _, _ := strings.Cut(raw, "://"); scheme {
	case "amqp", "amqps":
		return checkRabbitMQ(raw)
	case "postgres", "postgresql":
		return checkPostgres(raw)
	default:
		return errors.New("not an amqp:// or postgres:// address")
	}
}

func checkRabbitMQ(raw string) error {
	conn, err := amqp.DialConfig(raw, amqp.Config{Dial: amqp.DefaultDial(tryTimeout)})
	if err != nil {
		return withoutAddress(raw, err)
	}
	_, err = conn.Channel()
	return errors.Join(err, conn.Close())
}

// checkPostgres also asks for what every test needs first: a database of its own.
func checkPostgres(raw string) error {
	ctx, cancel := context.WithTimeout(context.Background(), tryTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, raw)
	if err != nil {
		return withoutAddress(raw, err)
	}
	var mayCreate bool
	err = conn.QueryRow(ctx, `select rolcreatedb or rolsuper from pg_roles where rolname = current_user`).Scan(&mayCreate)
	if err == nil && !mayCreate {
		err = errors.New("this user may not create databases (grant it CREATEDB)")
	}
	return errors.Join(err, conn.Close(ctx))
}

// withoutAddress keeps a password that a driver repeats in its message out of ours.
func withoutAddress(raw string, err error) error {
	u, parseErr := url.Parse(raw)
	if parseErr != nil {
		return errors.New("the address can't be parsed")
	}
	if password, set := u.User.Password(); set && password != "" && strings.Contains(err.Error(), password) {
		return errors.New("can't log in")
	}
	return err
}

// address is what of a URL may be printed: no user, no password, no query.
func address(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "(address that can't be parsed)"
	}
	return u.Scheme + "://" + u.Host + u.Path
}

func printFreePorts(n int) error {
	free, err := freeport.Find(n)
	for _, port := range free {
		fmt.Println(port)
	}
	return err
}
