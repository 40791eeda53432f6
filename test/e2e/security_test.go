package e2e

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mageline/mageline/test/kit"
	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/fakemagento"
	"github.com/mageline/mageline/test/kit/replica"
)

// mounted is a folder of secrets as Kubernetes mounts it: each file is a link into ..data, which is a link that is replaced.
type mounted struct {
	t   *testing.T
	dir string
	n   int
}

func (m *mounted) put(files map[string]string) {
	m.t.Helper()
	m.n++
	version := fmt.Sprintf("..version%d", m.n)
	if err := os.Mkdir(filepath.Join(m.dir, version), 0o700); err != nil {
		m.t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(m.dir, version, name), []byte(content), 0o600); err != nil {
			m.t.Fatal(err)
		}
		if !exists(m.path(name)) {
			_ = os.Symlink(filepath.Join("..data", name), m.path(name)) // there already, where ..data is not
		}
	}
	if err := os.Symlink(version, filepath.Join(m.dir, "..new")); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(m.dir, "..new"), filepath.Join(m.dir, "..data")); err != nil {
		m.t.Fatal(err)
	}
}

func (m *mounted) path(name string) string { return filepath.Join(m.dir, name) }

// awaitAway waits until /readyz is 503 and tells all these words of RabbitMQ and of Postgres; nil words: it is connected.
func awaitAway(t *testing.T, r *replica.Replica, rabbitmq, postgres []string) {
	t.Helper()
	says := func(p replica.Part, words []string) bool {
		for _, word := range words {
			if !strings.Contains(p.Reason, word) {
				return false
			}
		}
		return words == nil && p.State == "connected" || words != nil && p.State == "away"
	}
	r.AwaitSaying(fmt.Sprintf("%q of RabbitMQ and %q of Postgres, with 503", rabbitmq, postgres), func(status int, d replica.Readiness) bool {
		return status == 503 && says(d.RabbitMQ, rabbitmq) && says(d.Postgres, postgres)
	})
	if !r.Running() {
		t.Fatal("the process has ended")
	}
}

// awaitRefused waits until /readyz is 503 because RabbitMQ refuses a consumer something, with all these words, and only that.
func awaitRefused(r *replica.Replica, consumer string, words ...string) {
	r.AwaitSaying(fmt.Sprintf("%s is refused, with %q and 503", consumer, words), func(status int, d replica.Readiness) bool {
		c := d.Consumers[consumer]
		for _, word := range words {
			if !strings.Contains(c.Reason, word) {
				return false
			}
		}
		return status == 503 && c.State == "refused" && d.RabbitMQ.State == "connected" && d.Postgres.State == "connected"
	})
}

// tlsCase is what is wrong with the certificates, the host or the password in the beginning.
type tlsCase struct {
	ca       *env.Authority
	host     string
	until    time.Time // of the client's certificate
	without  bool      // a client's certificate
	password string    // in place of the right ones
}

// TLS with a CA and client certificates of our own, to RabbitMQ and Postgres: what is wrong is said in words, and once the
// files are right the process goes on by itself.
func TestTLS_WrongThenRight(t *testing.T) {
	t.Parallel()
	p := privateServices(t)
	other, err := env.NewAuthority("another CA")
	if err != nil {
		t.Fatal(err)
	}
	env.SQL(t, p.database, "CREATE ROLE tls LOGIN PASSWORD '"+env.DatabasePassword+"'")
	p.ctl(t, "add_user", "tls", env.BrokerPassword)
	p.ctl(t, "set_permissions", "tls", ".*", ".*", ".*")
	hour := time.Now().Add(time.Hour)
	right := tlsCase{ca: p.ca, host: "127.0.0.1", until: hour}
	for i, tt := range []struct {
		name               string
		wrong              tlsCase
		rabbitmq, postgres []string
	}{
		{"wrong CA", tlsCase{ca: other, host: "127.0.0.1", until: hour}, []string{"AMQP_CA_FILE", "signed by none"}, []string{"sslrootcert", "signed by none"}},
		{"expired client certificate", tlsCase{ca: p.ca, host: "127.0.0.1", until: time.Now().Add(-time.Hour)}, []string{"AMQP_CERT_FILE", "expired"}, []string{"sslcert", "expired"}},
		{"no client certificate", tlsCase{ca: p.ca, host: "127.0.0.1", until: hour, without: true}, []string{"AMQP_CERT_FILE", "AMQP_KEY_FILE"}, []string{"sslcert", "sslkey"}},
		{"wrong host name", tlsCase{ca: p.ca, host: "localhost", until: hour}, []string{"another host", "AMQP_URL"}, []string{"another host", "DATABASE_URL"}},
		{"wrong password", tlsCase{ca: p.ca, host: "127.0.0.1", until: hour, password: "other-Geheim-4718"}, []string{"correct the user and the password in MAGELINE_AMQP_URL"}, []string{"password authentication failed", "the password in MAGELINE_DATABASE_URL"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e, m, database := newEnv(t, time.Second), &mounted{t: t, dir: t.TempDir()}, fmt.Sprintf("tls%d", i)
			env.SQL(t, p.database, "CREATE DATABASE "+database+" OWNER tls")
			m.put(p.tlsFiles(m, tt.wrong, database))
			vars := e.With("AMQP_URL", "", "AMQP_URL_FILE", m.path("amqp"), "DATABASE_URL", "", "DATABASE_URL_FILE", m.path("database"),
				"AMQP_CA_FILE", m.path("ca.pem"), "AMQP_CERT_FILE", m.path("tls.crt"), "AMQP_KEY_FILE", m.path("tls.key"))
			bad := maps.Clone(vars)
			if tt.wrong.without {
				delete(bad, "AMQP_CERT_FILE")
				delete(bad, "AMQP_KEY_FILE")
			}
			r := e.Add(program.Start(t, bad))
			awaitAway(t, r, tt.rabbitmq, tt.postgres)
			// The alert of a server that refuses a certificate may be overtaken by the end of the connection.
			kit.Eventually(t, env.Patience, func() bool {
				checked, code := program.Call(t, bad, "check")
				return code == 1 && failLine(checked, tt.rabbitmq) && failLine(checked, tt.postgres)
			}, fmt.Sprintf("check to have FAIL lines with %q and %q", tt.rabbitmq, tt.postgres))
			m.put(p.tlsFiles(m, right, database))
			if tt.wrong.without { // the environment of a process can't be changed
				r.Kill()
				r = e.Add(program.Start(t, vars))
			}
			r.AwaitReady()
			if checked, code := program.Call(t, vars, "check"); code != 0 {
				t.Errorf("check ends with %d:\n%s", code, checked)
			}
			publishFile(t, e, vars, m.path("event"), 0)
			stop(t, r)
		})
	}
}

// tlsFiles are certificates, key and addresses, as they are mounted.
func (p privateServers) tlsFiles(m *mounted, c tlsCase, database string) map[string]string {
	m.t.Helper()
	cert, key, err := p.ca.Issue("tls", c.until)
	if err != nil {
		m.t.Fatal(err)
	}
	server, err := url.Parse(p.database)
	if err != nil {
		m.t.Fatal(err)
	}
	query := url.Values{"sslmode": {"verify-full"}, "sslrootcert": {m.path("ca.pem")}}
	if !c.without {
		query.Set("sslcert", m.path("tls.crt"))
		query.Set("sslkey", m.path("tls.key"))
	}
	return map[string]string{
		"ca.pem": string(c.ca.PEM), "tls.crt": string(cert), "tls.key": string(key),
		"amqp":     "amqps://tls:" + cmp.Or(c.password, env.BrokerPassword) + "@" + c.host + ":" + p.tlsPort + "/\n",
		"database": "postgres://tls:" + cmp.Or(c.password, env.DatabasePassword) + "@" + c.host + ":" + server.Port() + "/" + database + "?" + query.Encode() + "\n",
	}
}

func failLine(output string, words []string) bool {
lines:
	for line := range strings.Lines(output) {
		for _, word := range append([]string{"FAIL"}, words...) {
			if !strings.Contains(line, word) {
				continue lines
			}
		}
		return true
	}
	return false
}

// Credentials and rights that are revoked and given again while it runs: it stays up, says what is missing, and goes on by
// itself, without an attempt used up or a dead letter.
func TestReplica_SurvivesRevokedRights(t *testing.T) {
	t.Parallel()
	x := newRevoking(t)
	x.r = x.e.Add(program.Start(t, x.vars))
	t.Log("a vhost, and the right to declare in it")
	x.beginsWithoutRights()
	t.Log("the right to consume from one queue")
	x.losesOneQueue()
	t.Log("the user of RabbitMQ")
	x.losesItsUser()
	t.Log("a right in Postgres, and the role")
	x.losesItsTable()
	x.losesItsRole()
	if n := x.r.Metric("mageline_deliveries_total", `outcome="retried"`) + x.r.Metric("mageline_deliveries_total", `outcome="dead_lettered"`); n != 0 {
		t.Errorf("%v attempts were used or messages dead-lettered", n)
	}
	stop(t, x.r)
}

// revoking is a replica on servers whose rights change, with its addresses in files.
type revoking struct {
	t            *testing.T
	p            privateServers
	e            *env.Env
	m            *mounted
	host, broker *url.URL
	vars         map[string]string
	r            *replica.Replica
	orders       int
}

func newRevoking(t *testing.T) *revoking {
	t.Helper()
	x := &revoking{t: t, p: privateServices(t), e: newEnv(t, time.Second), m: &mounted{t: t, dir: t.TempDir()}}
	var err error
	if x.host, err = url.Parse(x.p.database); err != nil {
		t.Fatal(err)
	}
	if x.broker, err = url.Parse(x.p.amqp); err != nil {
		t.Fatal(err)
	}
	env.SQL(t, x.p.database, "CREATE ROLE rotated LOGIN", "CREATE DATABASE rotated OWNER rotated")
	x.p.ctl(t, "add_vhost", "rotated")
	x.p.ctl(t, "add_user", "old", env.BrokerPassword+"-old")
	x.put("old", "rotated")
	x.vars = x.e.With("AMQP_URL", "", "AMQP_URL_FILE", x.m.path("amqp"), "DATABASE_URL", "", "DATABASE_URL_FILE", x.m.path("database"),
		"QUEUE_PREFIX", "rotated")
	return x
}

// put writes the addresses for a user of RabbitMQ and a role of Postgres.
func (x *revoking) put(user, role string) {
	x.m.put(map[string]string{
		"amqp":     "amqp://" + user + ":" + env.BrokerPassword + "-" + user + "@" + x.broker.Host + "/rotated",
		"database": "postgres://" + role + ":" + env.DatabasePassword + "@" + x.host.Host + "/rotated?pool_max_conn_lifetime=2s",
	})
}

func (x *revoking) grant(user, configure, write, read string) {
	x.t.Helper()
	x.p.ctl(x.t, "set_permissions", "-p", "rotated", user, configure, write, read)
}

// fails checks that `check` has a FAIL with all these words.
func (x *revoking) fails(words ...string) {
	x.t.Helper()
	if out, code := program.Call(x.t, x.vars, "check"); code != 1 || !failLine(out, words) {
		x.t.Errorf("check ends with %d and has no FAIL with %q:\n%s", code, words, out)
	}
}

// works awaits that it is ready, and has an order done.
func (x *revoking) works() {
	x.t.Helper()
	x.r.AwaitReady()
	x.handles()
}

// handles has an order done.
func (x *revoking) handles() {
	x.t.Helper()
	x.orders++
	publishFile(x.t, x.e, x.vars, x.m.path("event"), x.orders)
}

// publishFile publishes an event for a new order with `mageline publish`, and waits until it is done.
func publishFile(t *testing.T, e *env.Env, vars map[string]string, file string, form int) {
	t.Helper()
	o := e.Shop.PlaceOrder(fakemagento.Placing{})
	if err := os.WriteFile(file, []byte(env.Body(o, form)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := program.Call(t, vars, "publish", env.TopicPlaced, file); code != 0 {
		t.Fatal(out)
	}
	e.AwaitDone(o)
}

func (x *revoking) beginsWithoutRights() {
	x.t.Helper()
	awaitAway(x.t, x.r, []string{"vhost", "set_permissions"}, nil)
	x.fails("vhost", "set_permissions")
	x.grant("old", "^$", ".*", ".*")
	awaitRefused(x.r, "order_placed", "configure on exchange "+x.e.Exchange, "set_permissions -p rotated old") // declare
	x.fails("permission to declare", "set_permissions")
	x.grant("old", ".*", ".*", ".*")
	x.works()
}

// losesOneQueue: the broker looks at the right when the next session subscribes. The other consumers work.
func (x *revoking) losesOneQueue() {
	x.t.Helper()
	x.grant("old", ".*", ".*", `^(?!rotated\.order_canceled$)`)
	x.p.ctl(x.t, "close_all_connections", "--vhost", "rotated", "test")
	awaitRefused(x.r, "order_canceled", "read on queue rotated.order_canceled", "set_permissions -p rotated old")
	x.fails("permission to consume", "rotated.order_canceled", "set_permissions -p rotated old")
	x.handles()
	x.grant("old", ".*", ".*", ".*")
	x.r.AwaitReady()
}

// losesItsUser: it is replaced by another, whose password comes in the file.
func (x *revoking) losesItsUser() {
	x.t.Helper()
	x.p.ctl(x.t, "delete_user", "old")
	awaitAway(x.t, x.r, []string{"MAGELINE_AMQP_URL"}, nil)
	x.fails("RabbitMQ credential", "MAGELINE_AMQP_URL")
	x.p.ctl(x.t, "add_user", "new", env.BrokerPassword+"-new")
	x.grant("new", ".*", ".*", ".*")
	x.put("new", "rotated")
	x.works()
}

// direct is the database as a superuser.
func (x *revoking) direct() string {
	u := *x.host
	u.Path = "/rotated"
	return u.String()
}

func (x *revoking) losesItsTable() {
	x.t.Helper()
	env.SQL(x.t, x.direct(), "CREATE ROLE heir LOGIN SUPERUSER", "ALTER TABLE effect OWNER TO postgres", "REVOKE ALL ON effect FROM rotated")
	awaitAway(x.t, x.r, nil, []string{"effect", "GRANT"})
	x.fails("Postgres permissions", "effect")
	env.SQL(x.t, x.direct(), "GRANT ALL ON effect TO rotated")
	x.works()
}

func (x *revoking) losesItsRole() {
	x.t.Helper()
	env.SQL(x.t, x.direct(), "ALTER ROLE rotated NOLOGIN", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rotated'")
	awaitAway(x.t, x.r, nil, []string{"MAGELINE_DATABASE_URL"})
	x.fails("Postgres credential", "MAGELINE_DATABASE_URL")
	x.put("new", "heir")
	x.works()
}
