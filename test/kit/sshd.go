package kit

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	osexec "os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/mageline/mageline/test/kit/freeport"
	"github.com/mageline/mageline/test/kit/process"
)

// SSHD is an OpenSSH server of this test's own, which the test's own user may log in to with a key. Paths on it are those of this
// machine.
type SSHD struct {
	Port    int
	User    string
	KeyFile string // the private key to log in with
	HostKey string // the server's public key, as it is pinned

	t      testing.TB
	dir    string
	server *osexec.Cmd
	ended  sync.WaitGroup
	log    *Log
}

// NewSSHD starts a server, which is stopped with the test. Without OpenSSH the test is left out, in CI it fails.
func NewSSHD(t testing.TB) *SSHD {
	t.Helper()
	if _, err := osexec.LookPath(sshdPath); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("no OpenSSH server: %v (apt-get install openssh-server openssh-client)", err)
		}
		t.Skipf("no OpenSSH server: %v (apt-get install openssh-server openssh-client)", err)
	}
	who, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	ports, err := freeport.Find(1)
	if err != nil {
		t.Fatal(err)
	}
	s := &SSHD{Port: ports[0], User: who.Username, t: t, dir: t.TempDir()}
	s.KeyFile = filepath.Join(s.dir, "user")
	public := writeKey(t, s.KeyFile)
	s.write("authorized", public)
	if who.Uid == "0" { // root's server changes to another user, who has this directory as root
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil { //nolint:gosec // as the package makes it
			t.Fatal(err)
		}
	}
	s.Renew()
	t.Cleanup(s.Stop)
	return s
}

const sshdPath = "/usr/sbin/sshd"

func writeKey(t testing.TB, path string) (public string) {
	t.Helper()
	pub, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err == nil {
		err = os.WriteFile(path, pem.EncodeToMemory(block), 0o600)
	}
	key, keyErr := ssh.NewPublicKey(pub)
	if err != nil || keyErr != nil {
		t.Fatal(err, keyErr)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

func (s *SSHD) write(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// Renew gives the server another key of its own, and starts it.
func (s *SSHD) Renew() {
	s.t.Helper()
	s.Stop()
	s.HostKey = writeKey(s.t, filepath.Join(s.dir, "host"))
	s.Start()
}

// Start starts the server on its port.
func (s *SSHD) Start() {
	s.t.Helper()
	config := s.write("config", fmt.Sprintf(`ListenAddress 127.0.0.1
Port %d
HostKey %s
AuthorizedKeysFile %s
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
MaxStartups 100
PrintMotd no
Subsystem sftp internal-sftp
`, s.Port, filepath.Join(s.dir, "host"), filepath.Join(s.dir, "authorized")))
	s.log = &Log{}
	s.server = osexec.Command(sshdPath, "-D", "-e", "-f", config) //nolint:gosec,noctx // a fixed path; Stop ends it
	s.server.Stderr = s.log
	process.Group(s.server)
	process.DieWithParent(s.server)
	if err := s.server.Start(); err != nil {
		s.t.Fatal(err)
	}
	server := s.server
	s.ended.Go(func() { _ = server.Wait() })
	Eventually(s.t, time.Minute, func() bool {
		conn, err := net.DialTimeout("tcp", s.Addr(), time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}, "the OpenSSH server to listen")
}

// Addr is where it listens.
func (s *SSHD) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)) }

// Stop ends the server and every connection of it. It may be called again.
func (s *SSHD) Stop() {
	if s.server == nil {
		return
	}
	process.SignalGroup(s.server, syscall.SIGKILL)
	s.ended.Wait()
	s.server = nil
}

// Client returns OpenSSH's own sftp, which reads commands from its input. options come before the address.
func (s *SSHD) Client(commands string, options ...string) *osexec.Cmd {
	s.t.Helper()
	args := append(options, "-q", "-b", "-", "-P", strconv.Itoa(s.Port), "-i", s.KeyFile, "-F", "none",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", s.User+"@127.0.0.1")
	c := osexec.Command("sftp", args...) //nolint:gosec,noctx // a test's own
	c.Stdin = bytes.NewBufferString(commands)
	process.DieWithParent(c)
	return c
}
