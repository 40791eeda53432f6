package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mageline/mageline/test/kit/private"
)

// privateServers are a RabbitMQ and a Postgres of this package's own, with TLS, a CA and users that its tests may change. They are
// started by the first test that asks and stopped at the end of all.
type privateServers struct {
	dir      string
	tlsPort  string // of RabbitMQ
	amqp     string // without TLS
	database string // without TLS, as a superuser
	ca       *authority
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
	if p.ca, err = newAuthority("the line's CA"); err != nil {
		return p, err
	}
	cert, key, err := p.ca.issue("server", time.Now().Add(time.Hour))
	if err != nil {
		return p, err
	}
	for name, content := range map[string][]byte{"ca.pem": p.ca.pem, "server.pem": cert, "server.key": key} {
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

func (p privateServers) sql(t *testing.T, url string, statements ...string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	for _, statement := range statements {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(statement, err)
		}
	}
}

// authority is a CA.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(name string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &authority{cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}, err
}

// issue makes a certificate for 127.0.0.1, for a server or a client, and its key.
func (a *authority) issue(name string, until time.Time) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: until, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &private.PublicKey, a.key)
	if err != nil {
		return nil, nil, err
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), err
}
