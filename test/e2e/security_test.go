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
	host, err := url.Parse(p.database)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name               string
		ca                 *env.Authority
		host               string
		until              time.Time
		without            bool   // a client certificate
		password           string // in place of the right ones
		rabbitmq, postgres []string
	}{
		{"wrong CA", other, "127.0.0.1", time.Now().Add(time.Hour), false, "", []string{"AMQP_CA_FILE", "signed by none"}, []string{"sslrootcert", "signed by none"}},
		{"expired client certificate", p.ca, "127.0.0.1", time.Now().Add(-time.Hour), false, "", []string{"AMQP_CERT_FILE", "expired"}, []string{"sslcert", "expired"}},
		{"no client certificate", p.ca, "127.0.0.1", time.Now().Add(time.Hour), true, "", []string{"AMQP_CERT_FILE", "AMQP_KEY_FILE"}, []string{"sslcert", "sslkey"}},
		{"wrong host name", p.ca, "localhost", time.Now().Add(time.Hour), false, "", []string{"another host", "AMQP_URL"}, []string{"another host", "DATABASE_URL"}},
		{"wrong password", p.ca, "127.0.0.1", time.Now().Add(time.Hour), false, "other-Geheim-4718", []string{"correct the user and the password in MAGELINE_AMQP_URL"}, []string{"password authentication failed", "the password in MAGELINE_DATABASE_URL"}},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, time.Second)
			m := &mounted{t: t, dir: t.TempDir()}
			database := fmt.Sprintf("tls%d", i)
			env.SQL(t, p.database, "CREATE DATABASE "+database+" OWNER tls")
			files := func(ca *env.Authority, host, port string, until time.Time, without bool, password string) map[string]string {
				cert, key, err := p.ca.Issue("tls", until)
				if err != nil {
					t.Fatal(err)
				}
				query := url.Values{"sslmode": {"verify-full"}, "sslrootcert": {m.path("ca.pem")}}
				if !without {
					query.Set("sslcert", m.path("tls.crt"))
					query.Set("sslkey", m.path("tls.key"))
				}
				return map[string]string{
					"ca.pem": string(ca.PEM), "tls.crt": string(cert), "tls.key": string(key),
					"amqp":     "amqps://tls:" + cmp.Or(password, env.BrokerPassword) + "@" + host + ":" + p.tlsPort + "/\n",
					"database": "postgres://tls:" + cmp.Or(password, env.DatabasePassword) + "@" + host + ":" + port + "/" + database + "?" + query.Encode() + "\n",
				}
			}
			m.put(files(tt.ca, tt.host, host.Port(), tt.until, tt.without, tt.password))
			vars := e.With("AMQP_URL_FILE", m.path("amqp"), "DATABASE_URL_FILE", m.path("database"), "AMQP_CA_FILE", m.path("ca.pem"),
				"AMQP_CERT_FILE", m.path("tls.crt"), "AMQP_KEY_FILE", m.path("tls.key"))
			delete(vars, "AMQP_URL")
			delete(vars, "DATABASE_URL")
			bad := maps.Clone(vars)
			if tt.without {
				delete(bad, "AMQP_CERT_FILE")
				delete(bad, "AMQP_KEY_FILE")
			}
			r := e.Add(program.Start(t, bad))
			awaitAway(t, r, tt.rabbitmq, tt.postgres)
			var checked string
			var code int
			// The alert of a server that refuses a certificate may be overtaken by the end of the connection.
			kit.Eventually(t, env.Patience, func() bool {
				checked, code = program.Call(t, bad, "check")
				return code == 1 && failLine(checked, tt.rabbitmq) && failLine(checked, tt.postgres)
			}, fmt.Sprintf("check to have FAIL lines with %q and %q", tt.rabbitmq, tt.postgres))
			m.put(files(p.ca, "127.0.0.1", host.Port(), time.Now().Add(time.Hour), false, ""))
			if tt.without { // the environment of a process can't be changed
				r.Kill()
				r = e.Add(program.Start(t, vars))
			}
			r.AwaitReady()
			if checked, code = program.Call(t, vars, "check"); code != 0 {
				t.Errorf("check ends with %d:\n%s", code, checked)
			}
			placed := e.Shop.PlaceOrder(fakemagento.Placing{})
			if err := os.WriteFile(m.path("event"), []byte(env.Body(placed, 0)), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, code := program.Call(t, vars, "publish", "sales.order.placed", m.path("event")); code != 0 {
				t.Fatal(out)
			}
			e.AwaitDone(placed)
			r.Terminate()
			if code := r.Exit(); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
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
	p := privateServices(t)
	e := newEnv(t, time.Second)
	m := &mounted{t: t, dir: t.TempDir()}
	host, err := url.Parse(p.database)
	if err != nil {
		t.Fatal(err)
	}
	broker, err := url.Parse(p.amqp)
	if err != nil {
		t.Fatal(err)
	}
	env.SQL(t, p.database, "CREATE ROLE rotated LOGIN", "CREATE DATABASE rotated OWNER rotated")
	p.ctl(t, "add_vhost", "rotated")
	p.ctl(t, "add_user", "old", env.BrokerPassword+"-old")
	put := func(user, role string) {
		m.put(map[string]string{
			"amqp":     "amqp://" + user + ":" + env.BrokerPassword + "-" + user + "@" + broker.Host + "/rotated",
			"database": "postgres://" + role + ":" + env.DatabasePassword + "@" + host.Host + "/rotated?pool_max_conn_lifetime=2s",
		})
	}
	put("old", "rotated")
	vars := e.With("AMQP_URL_FILE", m.path("amqp"), "DATABASE_URL_FILE", m.path("database"), "QUEUE_PREFIX", "rotated")
	delete(vars, "AMQP_URL")
	delete(vars, "DATABASE_URL")
	fails := func(words ...string) {
		t.Helper()
		if out, code := program.Call(t, vars, "check"); code != 1 || !failLine(out, words) {
			t.Errorf("check ends with %d and has no FAIL with %q:\n%s", code, words, out)
		}
	}
	n := 0
	works := func() {
		t.Helper()
		placed := e.Shop.PlaceOrder(fakemagento.Placing{})
		n++
		if err := os.WriteFile(m.path("event"), []byte(env.Body(placed, n)), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, code := program.Call(t, vars, "publish", "sales.order.placed", m.path("event")); code != 0 {
			t.Fatal(out)
		}
		e.AwaitDone(placed)
	}

	r := e.Add(program.Start(t, vars))
	awaitAway(t, r, []string{"vhost", "set_permissions"}, nil)
	fails("vhost", "set_permissions")
	grant := func(user, configure, write, read string) {
		t.Helper()
		p.ctl(t, "set_permissions", "-p", "rotated", user, configure, write, read)
	}
	grant("old", "^$", ".*", ".*")
	awaitRefused(r, "order_placed", "configure on exchange "+e.Exchange, "set_permissions -p rotated old") // declare
	fails("permission to declare", "set_permissions")
	grant("old", ".*", ".*", ".*")
	r.AwaitReady()
	works()

	// The right to consume from one queue goes; the broker looks at it when the next session subscribes. The others work.
	grant("old", ".*", ".*", `^(?!rotated\.order_canceled$)`)
	p.ctl(t, "close_all_connections", "--vhost", "rotated", "test")
	awaitRefused(r, "order_canceled", "read on queue rotated.order_canceled", "set_permissions -p rotated old")
	fails("permission to consume", "rotated.order_canceled", "set_permissions -p rotated old")
	works()
	grant("old", ".*", ".*", ".*")
	r.AwaitReady()

	// The user is replaced by another, whose password comes in the file.
	p.ctl(t, "delete_user", "old")
	awaitAway(t, r, []string{"MAGELINE_AMQP_URL"}, nil)
	fails("RabbitMQ credential", "MAGELINE_AMQP_URL")
	p.ctl(t, "add_user", "new", env.BrokerPassword+"-new")
	grant("new", ".*", ".*", ".*")
	put("new", "rotated")
	r.AwaitReady()
	works()

	// So with Postgres: a right, then the role.
	direct := *host
	direct.Path = "/rotated"
	env.SQL(t, direct.String(), "CREATE ROLE heir LOGIN SUPERUSER", "ALTER TABLE effect OWNER TO postgres", "REVOKE ALL ON effect FROM rotated")
	awaitAway(t, r, nil, []string{"effect", "GRANT"})
	fails("Postgres permissions", "effect")
	env.SQL(t, direct.String(), "GRANT ALL ON effect TO rotated")
	r.AwaitReady()
	works()
	env.SQL(t, direct.String(), "ALTER ROLE rotated NOLOGIN", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rotated'")
	awaitAway(t, r, nil, []string{"MAGELINE_DATABASE_URL"})
	fails("Postgres credential", "MAGELINE_DATABASE_URL")
	put("new", "heir")
	r.AwaitReady()
	works()
	if retried := r.Metric("mageline_deliveries_total", `outcome="retried"`) + r.Metric("mageline_deliveries_total", `outcome="dead_lettered"`); retried != 0 {
		t.Errorf("%v attempts were used or messages dead-lettered", retried)
	}
	r.Terminate()
	if code := r.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
