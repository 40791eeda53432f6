package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mageline/mageline/test/kit/env"
	"github.com/mageline/mageline/test/kit/private"
)

// privateServers are a RabbitMQ and a Postgres of this package's own, with TLS, a CA and users that its tests may change. They are
// started by the first test that asks and stopped at the end of all.
type privateServers struct {
	dir      string
	tlsPort  string // of RabbitMQ
	amqp     string // without TLS
	database string // without TLS, as a superuser
	ca       *env.Authority
}

const services = "../../scripts/services/"

var (
	privateOnce sync.Once
	privateDir  string // set once there is something to stop
	privateUp   privateServers
	errPrivate  error
)

func privateServices(t *testing.T) privateServers {
	t.Helper()
	private.Require(t)
	privateOnce.Do(func() { privateUp, errPrivate = startPrivate() })
	if errPrivate != nil {
		t.Fatal(errPrivate)
	}
	return privateUp
}

func startPrivate() (p privateServers, err error) {
	// A server's unprivileged user must reach its folder.
	if p.dir, err = os.MkdirTemp("", "mageline-private-"); err != nil {
		return p, err
	}
	privateDir = p.dir
	folder := filepath.Join(p.dir, "tls")
	if err := errors.Join(os.Chmod(p.dir, 0o755), os.Mkdir(folder, 0o755)); err != nil { //nolint:gosec // see above
		return p, err
	}
	if p.ca, err = env.NewAuthority("the tests' CA"); err != nil {
		return p, err
	}
	cert, key, err := p.ca.Issue("server", time.Now().Add(time.Hour))
	if err != nil {
		return p, err
	}
	for name, content := range map[string][]byte{"ca.pem": p.ca.PEM, "server.pem": cert, "server.key": key} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o644); err != nil { //nolint:gosec // a key for this test alone
			return p, err
		}
	}
	if out, err := exec.Command("go", "build", "-o", filepath.Join(p.dir, "servicecheck"), "../../scripts/servicecheck").CombinedOutput(); err != nil { //nolint:gosec,noctx // our own
		return p, fmt.Errorf("build servicecheck: %w\n%s", err, out)
	}
	for service, address := range map[string]*string{"rabbitmq": &p.amqp, "postgres": &p.database} {
		if _, err := p.script("install.sh", service); err != nil {
			return p, err
		}
		state := filepath.Join(p.dir, service)
		if err := os.Mkdir(state, 0o755); err != nil { //nolint:gosec // see above
			return p, err
		}
		if *address, err = p.script("private-"+service+".sh", "start", state); err != nil {
			return p, err
		}
	}
	port, err := os.ReadFile(filepath.Join(p.dir, "rabbitmq", "tls-port"))
	p.tlsPort = strings.TrimSpace(string(port))
	return p, err
}

// stopPrivate stops what was started, whatever came of it.
func stopPrivate() error {
	if privateDir == "" {
		return nil
	}
	p := privateServers{dir: privateDir}
	var errs []error
	for _, service := range []string{"rabbitmq", "postgres"} {
		if state := filepath.Join(p.dir, service); exists(state) {
			_, err := p.script("private-"+service+".sh", "stop", state)
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, os.RemoveAll(p.dir))...)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func (p privateServers) script(name string, args ...string) (string, error) {
	command := exec.Command(services+name, args...) //nolint:gosec,noctx // our own; each is bounded by itself
	command.Env = append(os.Environ(), "MAGELINE_SERVICECHECK="+filepath.Join(p.dir, "servicecheck"), "MAGELINE_PRIVATE_TLS="+filepath.Join(p.dir, "tls"))
	var failure strings.Builder
	command.Stderr = &failure
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, failure.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// ctl is rabbitmqctl.
func (p privateServers) ctl(t *testing.T, args ...string) {
	t.Helper()
	if _, err := p.script("private-rabbitmq.sh", append([]string{"ctl", filepath.Join(p.dir, "rabbitmq")}, args...)...); err != nil {
		t.Fatal(err)
	}
}
