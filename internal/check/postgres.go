package check

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/mageline/mageline/internal/pg"
	"github.com/mageline/mageline/migrations"
)

// Postgres looks at the ledger's database. It reads its settings and privileges, and changes nothing.
type Postgres struct {
	URL string // MAGELINE_DATABASE_URL
	// DirectURL is MAGELINE_MIGRATE_DATABASE_URL; empty if it is not set.
	DirectURL string
	Migrate   bool // MAGELINE_MIGRATE
}

const (
	databaseTimeout = 15 * time.Second
	// oldestPostgres is 13, as server_version_num has it.
	oldestPostgres = 130_000
)

// Check looks.
func (p Postgres) Check(ctx context.Context) []Finding {
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	l, lines := connect(ctx, p.URL, p.DirectURL, databaseURL)
	if l == nil {
		return append(lines, Finding{Unknown, "Postgres schema and permissions", "can't be seen without Postgres", "see the lines above"})
	}
	defer l.close()
	s, err := readServer(ctx, l.db)
	if err != nil {
		lines = append(lines, unread(ctx, "Postgres settings", err, databaseURL))
		return append(lines, p.pooler(ctx, l)...)
	}
	lines = append(lines, s.lines(l.address())...)
	lines = append(lines, p.schema(ctx, l, s)...)
	lines = append(lines, l.privileges(ctx)...)
	return append(lines, p.pooler(ctx, l)...) // last: a step that takes too long costs the connection
}

// unread is the line of what could not be read on a connection.
func unread(ctx context.Context, subject string, err error, variable string) Finding {
	if todo := Remedy(err, variable); todo != "" {
		return Finding{Fail, subject, err.Error(), todo}
	}
	return Finding{Unknown, subject, inTime(ctx, err).Error(), "see that Postgres stays reachable, and check again"}
}

// The variables that lead to Postgres.
const (
	databaseURL = "MAGELINE_DATABASE_URL"
	directURL   = "MAGELINE_MIGRATE_DATABASE_URL"
)

// link is a connection, with the variable that it was made from.
type link struct {
	variable string
	config   *pgx.ConnConfig
	conn     *pgx.Conn
	db       pg.Conn // conn, with the settings of a transaction
}

func (l *link) close() { closeConn(l.conn) }

func (l *link) address() string {
	c := l.conn.Config()
	return "Postgres " + hostPort(c) + ", database " + c.Database
}

func hostPort(c *pgx.ConnConfig) string { return net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))) }

// connect returns a connection and the findings on it; nil when there is none. direct is an address past the pooler that
// url leads to, if it is one.
func connect(ctx context.Context, url, direct, variable string) (*link, []Finding) {
	parsed, err := pg.Parse(url, direct)
	if err != nil {
		return nil, []Finding{{Fail, "Postgres", variable + " can't be used", err.Error()}}
	}
	config := parsed.ConnConfig
	// Prepared statements belong to a session, which a pooler in transaction mode does not give.
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn, err := pgx.ConnectConfig(ctx, config)
	if err == nil {
		return &link{variable, config, conn, parsed.On(conn)}, []Finding{ok("Postgres credential in "+variable, "accepted for role %s", config.User)}
	}
	subject := "Postgres " + hostPort(config)
	reached := ok(subject, "reachable")
	var answer *pgconn.PgError
	switch {
	case errors.As(err, &answer) && strings.HasPrefix(answer.Code, "28"): // invalid authorization
		return nil, []Finding{reached, {Fail, "Postgres credential in " + variable, answer.Message, Remedy(err, variable)}}
	case errors.As(err, &answer) && answer.Code == "3D000":
		return nil, []Finding{reached, {Fail, "Postgres database", answer.Message, Remedy(err, variable)}}
	case errors.As(err, &answer) && Remedy(err, variable) == "":
		return nil, []Finding{{Fail, subject, "refuses the connection: " + answer.Message, "see what it means for Postgres (SQLSTATE " + answer.Code + ")"}}
	default:
		if todo := Remedy(err, variable); todo != "" {
			return nil, []Finding{{Fail, subject, err.Error(), todo}}
		}
		return nil, []Finding{{Fail, subject, inTime(ctx, err).Error(), "see that Postgres runs and that " + variable + " leads to it"}}
	}
}

// Remedy says what to do about an error of Postgres, or of the way to it, whose address is in a variable: which file, right or
// part of the address is at fault. It is empty where the error's own words must do.
func Remedy(err error, variable string) string {
	var answer *pgconn.PgError
	if errors.Is(err, pg.ErrReadOnly) {
		return "lead " + variable + " to the primary"
	}
	if errors.As(err, &answer) {
		switch {
		case answer.Code == "28000" && strings.Contains(answer.Message, "certificate"):
			return "set sslcert and sslkey in " + variable + " to a client certificate that Postgres accepts, its common name the role's"
		case strings.HasPrefix(answer.Code, "28"):
			return "correct the user and the password in " + variable + ", or let it in by pg_hba.conf"
		case answer.Code == "3D000":
			return "make the database (createdb), or correct its name in " + variable
		case answer.Code == "42501":
			return lackingRight(answer.Message, variable)
		case answer.Code == "26000" || answer.Code == "42P05" || strings.HasPrefix(answer.Message, "unsupported startup parameter"):
			return "a pooler lies between: set " + directURL + " to Postgres itself, past it"
		case answer.Code == "42704" && strings.Contains(answer.Message, "configuration parameter"):
			return "correct the parameters of " + variable + ": what pgx does not know goes to Postgres as one of its settings"
		}
		return "" // Postgres was reached: what TLS may have had against another try, as sslmode=prefer has two, is not it
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

// denied is what Postgres says of a right that is missing, in English.
var denied = regexp.MustCompile(`^permission denied for (schema|table) ("?[^ "]+"?)$`)

func lackingRight(message, variable string) string {
	role := "the role of " + variable
	m := denied.FindStringSubmatch(message)
	switch {
	case m != nil && m[1] == "schema":
		return "GRANT USAGE, CREATE ON SCHEMA " + m[2] + " TO " + role + " (CREATE only where it migrates), or run `mageline migrate` as a role that has it and set MAGELINE_MIGRATE to false"
	case m != nil:
		return "GRANT SELECT, INSERT, UPDATE, DELETE ON " + m[2] + " TO " + role + "; `mageline check` lists all that it lacks"
	case strings.HasPrefix(message, "must be owner of"):
		return "migrate as the role that owns the tables (`mageline migrate` with MAGELINE_MIGRATE_DATABASE_URL), or give them to " + role
	}
	return "grant " + role + " that right; `mageline check` lists all that it lacks"
}

func closeConn(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = conn.Close(ctx) // nothing was written
}

// server is what a connection shows of its server.
type server struct {
	number                     int
	version, encoding          string
	standby, readOnly, creates bool
	commit, fsync              string
	role, schema               string
}

func readServer(ctx context.Context, db pg.Conn) (s server, err error) {
	err = db.QueryRow(ctx, `
		SELECT current_setting('server_version_num')::int, current_setting('server_version'), current_setting('server_encoding'),
		       pg_is_in_recovery(), current_setting('transaction_read_only')::bool,
		       coalesce(has_schema_privilege(current_schema(), 'CREATE'), false),
		       current_setting('synchronous_commit'), current_setting('fsync'), current_user::text, coalesce(current_schema()::text, '')`,
	).Scan(&s.number, &s.version, &s.encoding, &s.standby, &s.readOnly, &s.creates, &s.commit, &s.fsync, &s.role, &s.schema)
	return s, err
}

func (s server) lines(address string) []Finding {
	lines := []Finding{ok(address, "reachable, version %s", s.version)}
	if s.number < oldestPostgres {
		lines[0] = Finding{Fail, address, "version " + s.version + " is too old", "update Postgres to 13 or newer"}
	}
	if s.encoding == "UTF8" {
		lines = append(lines, ok("Postgres encoding", "UTF8"))
	} else {
		lines = append(lines, Finding{
			Fail, "Postgres encoding", "the database has " + s.encoding + ", which can't hold every key",
			"make a database with ENCODING 'UTF8' TEMPLATE template0",
		})
	}
	switch {
	case s.standby:
		lines = append(lines, Finding{Fail, "Postgres writes", "the server is a standby: nothing can be written", "lead MAGELINE_DATABASE_URL to the primary (target_session_attrs=read-write)"})
	case s.readOnly:
		lines = append(lines, Finding{Fail, "Postgres writes", "transactions are read only", "set default_transaction_read_only to off for the role and the database"})
	case s.commit == "off" || s.fsync == "off":
		lines = append(lines, Finding{
			Warn, "Postgres writes", fmt.Sprintf("synchronous_commit is %s and fsync is %s: a crash forgets what was done last, and it can be done twice", s.commit, s.fsync),
			"set both to on",
		})
	default:
		lines = append(lines, ok("Postgres writes", "allowed, and safe from a crash"))
	}
	return lines
}

const schemaSubject = "Postgres schema"

// schema looks for pending migrations, and whether they could be applied: with the connection that run does it with.
func (p Postgres) schema(ctx context.Context, l *link, s server) []Finding {
	if p.DirectURL == "" {
		return []Finding{p.pending(ctx, l.db, s)}
	}
	address, err := pg.Direct(p.URL, p.DirectURL)
	if err != nil {
		return []Finding{{Fail, schemaSubject, directURL + " can't be used", err.Error()}}
	}
	past, lines := connect(ctx, address, "", directURL)
	if past == nil {
		return append(lines, Finding{Unknown, schemaSubject, "can't be seen without " + directURL, "see the lines above"})
	}
	defer past.close()
	lines = append(lines, p.schemaPast(ctx, l, past, s))
	return append(lines, past.direct(ctx)...) // last, as in Check
}

// schemaPast is schema where there is a direct connection.
func (p Postgres) schemaPast(ctx context.Context, l, past *link, s server) Finding {
	elsewhere, err := leadElsewhere(ctx, l, past)
	switch {
	case err != nil:
		return unread(ctx, schemaSubject, err, directURL)
	case elsewhere != "":
		return Finding{Fail, schemaSubject, elsewhere, "lead both to the same database, with the same search_path (one of the two may leave it out)"}
	case !p.Migrate:
		return p.pending(ctx, l.db, s)
	}
	if s, err = readServer(ctx, past.db); err != nil {
		return unread(ctx, schemaSubject, err, directURL)
	}
	return p.pending(ctx, past.db, s)
}

func (p Postgres) pending(ctx context.Context, db pg.Conn, s server) Finding {
	pending, err := migrations.Pending(ctx, db)
	switch {
	case err != nil:
		return Finding{Fail, schemaSubject, inTime(ctx, err).Error(), "let the role " + s.role + " read the table mageline_migrations"}
	case !pending:
		return ok(schemaSubject, "up to date")
	case !p.Migrate:
		return Finding{Fail, schemaSubject, "not up to date, and MAGELINE_MIGRATE is false", "run mageline migrate"}
	case s.schema == "":
		return Finding{Fail, schemaSubject, "search_path names no schema that is there", "make the schema, or correct the search_path of the role " + s.role}
	case !s.creates:
		return Finding{
			Fail, schemaSubject, fmt.Sprintf("will not be created: the role %s may make no tables in the schema %s", s.role, s.schema),
			fmt.Sprintf("GRANT CREATE ON SCHEMA %s TO %s", s.schema, s.role),
		}
	default:
		return ok(schemaSubject, "will be created or brought up to date at the start")
	}
}

// leadElsewhere says where the tables of two connections are, if these are not the same.
func leadElsewhere(ctx context.Context, a, b *link) (string, error) {
	type place struct {
		database, schema string
		table            int64
	}
	look := func(l *link) (p place, err error) {
		err = l.db.QueryRow(ctx, `
			SELECT current_database()::text, coalesce(current_schema()::text, ''), coalesce(to_regclass('effect')::oid::bigint, 0)`,
		).Scan(&p.database, &p.schema, &p.table)
		return p, err
	}
	one, err := look(a)
	if err != nil {
		return "", err
	}
	other, err := look(b)
	if err != nil {
		return "", err
	}
	// Where tables are found, these count: the rest of search_path may differ, and a pooler may name the database otherwise.
	if one.table == other.table && (one.table != 0 || one == other) {
		return "", nil
	}
	return fmt.Sprintf("%s leads to the schema %q of the database %q, and %s to %q of %q",
		a.variable, one.schema, one.database, b.variable, other.schema, other.database), nil
}

// privileges looks at the tables that are there.
func (l *link) privileges(ctx context.Context) []Finding {
	const subject = "Postgres permissions"
	grants, there, err := migrations.MissingRights(ctx, l.db)
	role := l.config.User
	switch {
	case err != nil:
		return []Finding{{Unknown, subject, inTime(ctx, err).Error(), "see that Postgres stays reachable, and check again"}}
	case len(grants) > 0:
		return []Finding{{
			Fail, subject, "the role " + role + " lacks " + strings.Join(grants, "; "),
			"GRANT " + strings.Join(grants, " TO "+role+"; GRANT ") + " TO " + role,
		}}
	case there == 0:
		return []Finding{ok(subject, "there are no tables yet")}
	default:
		return []Finding{ok(subject, "granted")}
	}
}
