package sftp_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	library "github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/mageline/mageline/internal/sftp"
)

const password = "correct horse"

// An OpenSSH server asks the system for passwords, and a test has no user of its own there: this server knows one password, and asks
// for it in one of the two ways that servers have.
func passwordServer(t *testing.T, config *ssh.ServerConfig) *sftp.Server {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	config.AddHostKey(signer)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	t.Cleanup(func() {
		_ = listener.Close()
		serving.Wait()
	})
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { serveFiles(conn, config) })
		}
	})
	hostKey, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return &sftp.Server{
		Name: "depot", Host: "127.0.0.1", Port: listener.Addr().(*net.TCPAddr).Port, User: "shop", Directory: t.TempDir(),
		PasswordFile: filepath.Join(t.TempDir(), "password"), HostKey: string(ssh.MarshalAuthorizedKey(hostKey)),
	}
}

func serveFiles(conn net.Conn, config *ssh.ServerConfig) {
	defer func() { _ = conn.Close() }()
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return // refused
	}
	go ssh.DiscardRequests(requests)
	for asked := range channels {
		channel, requests, err := asked.Accept()
		if err != nil {
			return
		}
		for r := range requests {
			if err := r.Reply(r.Type == "subsystem", nil); err != nil || r.Type == "subsystem" {
				break
			}
		}
		if server, err := library.NewServer(channel); err == nil {
			_ = server.Serve()
		}
		_ = channel.Close()
	}
}

func TestServer_LogsInWithAPassword(t *testing.T) {
	t.Parallel()
	errWrong := errors.New("wrong")
	for name, config := range map[string]*ssh.ServerConfig{
		"as a password": {PasswordCallback: func(_ ssh.ConnMetadata, given []byte) (*ssh.Permissions, error) {
			if string(given) != password {
				return nil, errWrong
			}
			return nil, nil
		}},
		"as an answer": {KeyboardInteractiveCallback: func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			answers, err := ask("", "", []string{"Password: "}, []bool{false})
			if err != nil || len(answers) != 1 || answers[0] != password {
				return nil, errWrong
			}
			return nil, nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := passwordServer(t, config)
			for _, file := range []string{"a.csv", "b.txt"} {
				if err := os.WriteFile(filepath.Join(s.Directory, file), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			look := func(text string) (int, error) {
				t.Helper()
				if err := os.WriteFile(s.PasswordFile, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				return s.Check(t.Context(), func(name string) bool { return strings.HasSuffix(name, ".csv") })
			}
			if n, err := look(password + "\n"); n != 1 || err != nil {
				t.Errorf("%d files, %v", n, err)
			}
			if _, err := look("another"); !errors.Is(err, sftp.ErrRefused) {
				t.Errorf("with another password: %v", err)
			} else if strings.Contains(err.Error(), "another") || strings.Contains(err.Error(), "closed network") {
				t.Errorf("the error is %q", err)
			}
			if n, err := look(password); n != 1 || err != nil { // the file is read each time
				t.Errorf("with the right one again: %d files, %v", n, err)
			}
		})
	}
}
