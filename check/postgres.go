package check

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

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

// Lines looks.
func (p Postgres) Lines(ctx context.Context) []Line {
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	conn, lines := connect(ctx, p.URL, "MAGELINE_DATABASE_URL")
	if conn == nil {
		return append(lines, Line{Unknown, "Postgres schema and permissions", "can't be seen without Postgres", "see the lines above"})
	}
	defer closeConn(conn)
	s, err := readServer(ctx, conn)
	if err != nil {
		return append(lines, Line{Unknown, "Postgres settings", inTime(ctx, err).Error(), "see that Postgres stays reachable, and check again"})
	}
	lines = append(lines, s.lines(address(conn))...)
	lines = append(lines, p.pooler(conn)...)
	lines = append(lines, p.schema(ctx, s)...)
	return append(lines, privileges(ctx, conn)...)
}

func address(conn *pgx.Conn) string {
	c := conn.Config()
	return fmt.Sprintf("Postgres %s:%d, database %s", c.Host, c.Port, c.Database)
}

// connect gives a connection and the lines that tell of it; nil when there is none.
func connect(ctx context.Context, url, variable string) (*pgx.Conn, []Line) {
	pool, err := pgxpool.ParseConfig(url) // which knows the parameters of a pool too
	if err != nil {                       // its text may have the password
		return nil, []Line{{Fail, "Postgres", variable + " can't be read", "set it to postgres://user:password@host:port/database"}}
	}
	config := pool.ConnConfig
	// Prepared statements belong to a session, which a pooler in transaction mode does not give.
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	conn, err := pgx.ConnectConfig(ctx, config)
	if err == nil {
		return conn, []Line{ok("Postgres credential in "+variable, "accepted for role %s", config.User)}
	}
	subject := fmt.Sprintf("Postgres %s:%d", config.Host, config.Port)
	reached := ok(subject, "reachable")
	var answer *pgconn.PgError
	switch {
	case errors.As(err, &answer) && strings.HasPrefix(answer.Code, "28"): // invalid authorization
		return nil, []Line{reached, {Fail, "Postgres credential in " + variable, answer.Message, Remedy(err, variable)}}
	case errors.As(err, &answer) && answer.Code == "3D000":
		return nil, []Line{reached, {Fail, "Postgres database", answer.Message, "make it (createdb), or correct its name in " + variable}}
	case errors.As(err, &answer):
		return nil, []Line{{Fail, subject, "refuses the connection: " + answer.Message, "see what it means for Postgres (SQLSTATE " + answer.Code + ")"}}
	default:
		if todo := Remedy(err, variable); todo != "" {
			return nil, []Line{{Fail, subject, err.Error(), todo}}
		}
		return nil, []Line{{Fail, subject, inTime(ctx, err).Error(), "see that Postgres runs and that " + variable + " leads to it"}}
	}
}

// Remedy says what to do about an error of Postgres, or of the way to it, whose address is in a variable: which file, right or
// part of the address is at fault. It is empty where the error's own words must do.
func Remedy(err error, variable string) string {
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
			return lackingRight(answer.Message, variable)
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

// server is what a connection tells of its server.
type server struct {
	number                     int
	version, encoding          string
	standby, readOnly, creates bool
	commit, fsync              string
	role, schema               string
}

func readServer(ctx context.Context, conn *pgx.Conn) (s server, err error) {
	err = conn.QueryRow(ctx, `
		SELECT current_setting('server_version_num')::int, current_setting('server_version'), current_setting('server_encoding'),
		       pg_is_in_recovery(), current_setting('transaction_read_only')::bool,
		       coalesce(has_schema_privilege(current_schema(), 'CREATE'), false),
		       current_setting('synchronous_commit'), current_setting('fsync'), current_user::text, coalesce(current_schema()::text, '')`,
	).Scan(&s.number, &s.version, &s.encoding, &s.standby, &s.readOnly, &s.creates, &s.commit, &s.fsync, &s.role, &s.schema)
	return s, err
}

func (s server) lines(address string) []Line {
	lines := []Line{ok(address, "reachable, version %s", s.version)}
	if s.number < oldestPostgres {
		lines[0] = Line{Fail, address, "version " + s.version + " is too old", "update Postgres to 13 or newer"}
	}
	if s.encoding == "UTF8" {
		lines = append(lines, ok("Postgres encoding", "UTF8"))
	} else {
		lines = append(lines, Line{
			Fail, "Postgres encoding", "the database has " + s.encoding + ", which can't hold every key",
			"make a database with ENCODING 'UTF8' TEMPLATE template0",
		})
	}
	switch {
	case s.standby:
		lines = append(lines, Line{Fail, "Postgres writes", "the server is a standby: nothing can be written", "lead MAGELINE_DATABASE_URL to the primary (target_session_attrs=read-write)"})
	case s.readOnly:
		lines = append(lines, Line{Fail, "Postgres writes", "transactions are read only", "set default_transaction_read_only to off for the role and the database"})
	case s.commit == "off" || s.fsync == "off":
		lines = append(lines, Line{
			Warn, "Postgres writes", fmt.Sprintf("synchronous_commit is %s and fsync is %s: a crash forgets what was done last, and it can be done twice", s.commit, s.fsync),
			"set both to on",
		})
	default:
		lines = append(lines, ok("Postgres writes", "allowed, and safe from a crash"))
	}
	return lines
}

// likePooler guesses by names and by PgBouncer's usual port: a pooler does not tell.
func likePooler(host string, port uint16) bool {
	return port == 6432 || strings.Contains(host, "pooler") || strings.Contains(host, "bouncer")
}

func (p Postgres) pooler(conn *pgx.Conn) []Line {
	if c := conn.Config(); p.DirectURL != "" || !likePooler(c.Host, c.Port) {
		return nil
	}
	return []Line{{
		Warn, "MAGELINE_MIGRATE_DATABASE_URL", "is not set, and MAGELINE_DATABASE_URL seems to lead to a pooler: in transaction mode it loses the locks of migrations and of dead-letter queues",
		"set it to Postgres itself",
	}}
}

// schema looks for pending migrations, and whether they could be applied: with the connection that run does it with.
func (p Postgres) schema(ctx context.Context, s server) []Line {
	const subject = "Postgres schema"
	var lines []Line
	url := p.URL
	if p.DirectURL != "" && p.DirectURL != p.URL {
		conn, told := connect(ctx, p.DirectURL, "MAGELINE_MIGRATE_DATABASE_URL")
		lines = told
		if conn == nil {
			return append(lines, Line{Unknown, subject, "can't be seen without MAGELINE_MIGRATE_DATABASE_URL", "see the lines above"})
		}
		defer closeConn(conn)
		if p.Migrate {
			direct, err := readServer(ctx, conn)
			if err != nil {
				return append(lines, Line{Unknown, subject, inTime(ctx, err).Error(), "see that Postgres stays reachable, and check again"})
			}
			s, url = direct, p.DirectURL
		}
	}
	pending, err := migrations.Pending(ctx, url)
	switch {
	case err != nil:
		return append(lines, Line{Fail, subject, inTime(ctx, err).Error(), "let the role " + s.role + " read the table mageline_migrations"})
	case !pending:
		return append(lines, ok(subject, "up to date"))
	case !p.Migrate:
		return append(lines, Line{Fail, subject, "not up to date, and MAGELINE_MIGRATE is false", "run mageline migrate"})
	case s.schema == "":
		return append(lines, Line{Fail, subject, "search_path names no schema that is there", "make the schema, or correct the search_path of the role " + s.role})
	case !s.creates:
		return append(lines, Line{
			Fail, subject, fmt.Sprintf("will not be created: the role %s may make no tables in the schema %s", s.role, s.schema),
			fmt.Sprintf("GRANT CREATE ON SCHEMA %s TO %s", s.schema, s.role),
		})
	default:
		return append(lines, ok(subject, "will be created or brought up to date at the start"))
	}
}

// privileges looks at the tables that are there.
func privileges(ctx context.Context, conn *pgx.Conn) []Line {
	const subject = "Postgres permissions"
	grants, there, err := migrations.MissingRights(ctx, conn)
	role := conn.Config().User
	switch {
	case err != nil:
		return []Line{{Unknown, subject, inTime(ctx, err).Error(), "see that Postgres stays reachable, and check again"}}
	case len(grants) > 0:
		return []Line{{
			Fail, subject, "the role " + role + " lacks " + strings.Join(grants, "; "),
			"GRANT " + strings.Join(grants, " TO "+role+"; GRANT ") + " TO " + role,
		}}
	case there == 0:
		return []Line{ok(subject, "there are no tables yet")}
	default:
		return []Line{ok(subject, "granted")}
	}
}
