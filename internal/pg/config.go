// Package pg is what the tables of mageline have in common: the way to the database, directly or through a pooler in
// transaction mode, where nothing may depend on the connection ([Parse]); what its errors mean ([ClassOf], [Failure]); group
// commit ([Group]); claims with a lease that work renews ([Hold], [Leases]); and a heartbeat by which others tell that a
// process lives ([Heartbeat]).
package pg

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Config is an address that was read.
type Config struct {
	// Config makes the connections.
	*pgxpool.Config
	// settings are names and values in turn. Behind a pooler they are set in each transaction; else they are parameters of the
	// connection, and there are none here.
	settings []string
}

// Parse reads an address, a postgres:// URL or pgx's key=value pairs. Its error never holds the address, which has a
// password in it.
//
// direct is empty, or an address of the same database that leads past the pooler in transaction mode which address leads to.
// Then each transaction may be on another connection: no statement is prepared, and settings of the session, as
// search_path or those of options, are set in each transaction. A pooler refuses them as parameters of the connection
// (PgBouncer: "unsupported startup parameter"), or takes and forgets them. Where address has no search_path, direct's
// counts: the tables are where it makes them.
func Parse(address, direct string) (*Config, error) {
	config, err := parse(address)
	if err != nil || direct == "" {
		return config, err
	}
	past, err := parse(direct)
	if err != nil {
		return nil, fmt.Errorf("the direct address: %w", err)
	}
	c := config.ConnConfig
	if c.DefaultQueryExecMode != pgx.QueryExecModeSimpleProtocol {
		// One round trip, and the unnamed statement alone. Describing it first would be a transaction of its own.
		c.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	wanted, err := settingsOf(c)
	if err != nil {
		return nil, err
	}
	if wanted["search_path"] == "" {
		there, err := settingsOf(past.ConnConfig)
		if err != nil {
			return nil, fmt.Errorf("the direct address: %w", err)
		}
		if path := there["search_path"]; path != "" {
			wanted["search_path"] = path
		}
	}
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if strings.HasPrefix(name, "default_transaction_") {
			return nil, fmt.Errorf("%s can't be set through a pooler: set it for the role (ALTER ROLE … SET %s = …)", name, name)
		}
		config.settings = append(config.settings, name, wanted[name])
	}
	// The one that every pooler takes and that changes nothing: it shows who is connected.
	name, named := c.RuntimeParams["application_name"]
	c.RuntimeParams = map[string]string{}
	if named {
		c.RuntimeParams["application_name"] = name
	}
	return config, nil
}

func parse(address string) (*Config, error) {
	config, err := pgxpool.ParseConfig(address)
	var file *fs.PathError
	switch {
	case err == nil && address != "":
		config.AfterConnect = writeArrays
		return &Config{Config: config}, nil
	case errors.As(err, &file):
		return nil, fmt.Errorf("a file that it names can't be read: %w", file)
	}
	text := "want postgres://user:password@host:port/database or pgx's key=value pairs, special characters of a URL percent-encoded, certificates in PEM files"
	if name := culprit(err); name != "" {
		text = name + " in it can't be used: " + text
	}
	for _, entry := range os.Environ() {
		if name, value, _ := strings.Cut(entry, "="); value != "" && slices.Contains(libpq, name) {
			text += "; " + name + " is set, and counts too"
		}
	}
	return nil, errors.New(text)
}

// parameters are those that pgx reads itself.
var parameters = []string{
	"sslmode", "sslcert", "sslkey", "sslrootcert", "connect_timeout", "target_session_attrs", "default_query_exec_mode",
	"statement_cache_capacity", "description_cache_capacity", "min_protocol_version", "max_protocol_version", "pool_max_conns", "pool_min_conns",
	"pool_min_idle_conns", "pool_max_conn_lifetime", "pool_max_conn_lifetime_jitter", "pool_max_conn_idle_time", "pool_health_check_period", "port",
}

// libpq are the variables of the C library that pgx reads where the address does not have them.
var libpq = []string{
	"PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD", "PGPASSFILE", "PGSERVICE", "PGSERVICEFILE", "PGSSLMODE", "PGSSLCERT", "PGSSLKEY",
	"PGSSLROOTCERT", "PGSSLPASSWORD", "PGSSLNEGOTIATION", "PGOPTIONS", "PGAPPNAME", "PGCONNECT_TIMEOUT", "PGTARGETSESSIONATTRS", "PGTZ",
	"PGMINPROTOCOLVERSION", "PGMAXPROTOCOLVERSION",
}

var word = regexp.MustCompile(`[a-z_]+`)

// culprit returns the name of the parameter that pgx complains of. Its error begins with the address, and may end with a part of
// the password that was taken for a port.
func culprit(err error) string {
	if err == nil {
		return ""
	}
	text := err.Error()
	if i := strings.LastIndex(text, "`: "); i >= 0 {
		text = text[i+len("`: "):]
	}
	for _, w := range word.FindAllString(text, -1) {
		if slices.Contains(parameters, w) {
			return w
		}
	}
	return ""
}

// settingsOf returns the parameters of a connection but application_name, those in options taken apart.
func settingsOf(c *pgx.ConnConfig) (map[string]string, error) {
	all := map[string]string{}
	for name, value := range c.RuntimeParams {
		switch name {
		case "application_name":
		case "options":
			if err := splitOptions(value, all); err != nil {
				return nil, err
			}
		default:
			all[name] = value
		}
	}
	return all, nil
}

// splitOptions reads what Postgres takes as options of a connection: -c name=value or --name=value, a backslash before a
// blank that belongs to a value (src/backend/utils/init/postinit.c, pg_split_opts).
func splitOptions(options string, into map[string]string) error {
	next := false
	for _, word := range words(options) {
		switch {
		case next:
		case word == "-c":
			next = true
			continue
		case strings.HasPrefix(word, "--"):
			word = word[2:]
		case strings.HasPrefix(word, "-c"):
			word = word[2:]
		default:
			return errors.New("options may hold -c name=value alone where the address is a pooler's")
		}
		next = false
		name, value, ok := strings.Cut(word, "=")
		if !ok || name == "" {
			return errors.New("options may hold -c name=value alone where the address is a pooler's")
		}
		into[strings.ToLower(strings.ReplaceAll(name, "-", "_"))] = value
	}
	if next {
		return errors.New("options end after -c: a name=value is missing")
	}
	return nil
}

func words(text string) []string {
	var all []string
	var word strings.Builder
	inside, escaped := false, false
	for _, r := range text {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\':
			inside, escaped = true, true
		case strings.ContainsRune(" \t\n\v\f\r", r):
			if inside {
				all = append(all, word.String())
				word.Reset()
			}
			inside = false
		default:
			word.WriteRune(r)
			inside = true
		}
	}
	if inside {
		all = append(all, word.String())
	}
	return all
}

// Direct returns the address for migrations and advisory locks, which need a session of their own: direct, or, where it is
// empty, address itself. A direct address without a search_path gets that of address, so that both mean the same tables.
func Direct(address, direct string) (string, error) {
	if direct == "" {
		return address, nil
	}
	config, err := parse(address)
	if err != nil {
		return "", err
	}
	wanted, err := settingsOf(config.ConnConfig)
	if err != nil || wanted["search_path"] == "" {
		return direct, err
	}
	past, err := parse(direct)
	if err != nil {
		return "", fmt.Errorf("the direct address: %w", err)
	}
	there, err := settingsOf(past.ConnConfig)
	if err != nil || there["search_path"] != "" {
		return direct, err
	}
	return with(direct, "search_path", wanted["search_path"]), nil
}

// with adds a parameter to an address that has none of that name.
func with(address, name, value string) string {
	if !strings.HasPrefix(address, "postgres://") && !strings.HasPrefix(address, "postgresql://") {
		// In front: behind an address that ends in a name without a value (port=), it would be that name's value.
		return name + "='" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "' " + address
	}
	separator := "?"
	if strings.Contains(address, "?") {
		separator = "&"
	}
	return address + separator + name + "=" + strings.ReplaceAll(url.QueryEscape(value), "+", "%20") // pgx reads + as +
}
