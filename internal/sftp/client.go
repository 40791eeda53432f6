package sftp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// idle is how long a connection may say nothing before it is given up.
const idle = time.Minute

// HostKeyError means that the server's key is not the pinned one, or that none is pinned: nothing was said to the server.
type HostKeyError struct {
	Shown  string // as it would be pinned
	Pinned string // "" for none
}

func (e *HostKeyError) Error() string {
	if e.Pinned == "" {
		return fmt.Sprintf("no host_key is pinned, so nothing is asked of the server: it shows %q; compare it with what the 3PL tells you, and pin it as host_key", e.Shown)
	}
	return fmt.Sprintf("the server shows another key than the pinned one, so nothing is asked of it: it shows %q, and %s is pinned; ask the 3PL whether its key has changed, and pin the new one", e.Shown, e.Pinned)
}

// client is a connection to a server.
type client struct {
	*sftp.Client
	ssh  *ssh.Client
	stop func() bool
}

func (c *client) Close() error {
	c.stop()
	return errors.Join(c.Client.Close(), c.ssh.Close())
}

// connect logs in. The connection ends with ctx.
func (s *Server) connect(ctx context.Context) (*client, error) {
	if s.HostKey == "" { // the key alone is asked for
		return nil, s.handshake(ctx, &ssh.ClientConfig{User: s.User, HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			return &HostKeyError{Shown: authorized(key)}
		}}, nil)
	}
	pinned, err := pinnedKey(s.HostKey)
	if err != nil {
		return nil, err
	}
	config := &ssh.ClientConfig{User: s.User, HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
		if shown := ssh.FingerprintSHA256(key); shown != pinned.fingerprint {
			return &HostKeyError{Shown: authorized(key), Pinned: pinned.fingerprint}
		}
		return nil
	}}
	if pinned.key != nil { // a server may have keys of several kinds
		config.HostKeyAlgorithms = []string{pinned.key.Type()}
		if pinned.key.Type() == ssh.KeyAlgoRSA {
			config.HostKeyAlgorithms = []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
		}
	}
	if config.Auth, err = s.auth(); err != nil {
		return nil, err
	}
	var made *client
	err = s.handshake(ctx, config, func(c *client) error {
		made = c
		c.Client, err = sftp.NewClient(c.ssh, sftp.MaxConcurrentRequestsPerFile(16))
		return err
	})
	return made, err
}

func authorized(key ssh.PublicKey) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

// auth reads the password or the key anew, for it may have been renewed.
func (s *Server) auth() ([]ssh.AuthMethod, error) {
	if s.KeyFile != "" {
		text, err := os.ReadFile(s.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("key_file: %w", err)
		}
		key, err := ssh.ParsePrivateKey(text)
		if err != nil {
			return nil, fmt.Errorf("key_file: it is no private key without a passphrase: %w", err)
		}
		return []ssh.AuthMethod{ssh.PublicKeys(key)}, nil
	}
	text, err := os.ReadFile(s.PasswordFile)
	if err != nil {
		return nil, fmt.Errorf("password_file: %w", err)
	}
	password := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	return []ssh.AuthMethod{ssh.Password(password), ssh.KeyboardInteractive(func(_, _ string, questions []string, _ []bool) ([]string, error) {
		answers := make([]string, len(questions))
		for i := range answers {
			answers[i] = password
		}
		return answers, nil
	})}, nil
}

// handshake connects, and calls open with the connection, which it closes if that fails. open may be nil where config accepts no
// server.
func (s *Server) handshake(ctx context.Context, config *ssh.ClientConfig, open func(*client) error) (err error) {
	address := net.JoinHostPort(s.Host, strconv.Itoa(s.Port))
	conn, err := (&net.Dialer{Timeout: idle}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	watched := &watchedConn{conn}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	c, channels, requests, err := ssh.NewClientConn(watched, address, config)
	if err != nil {
		stop()
		_ = conn.Close() // the library has mostly done it
		return explained(err)
	}
	made := &client{ssh: ssh.NewClient(c, channels, requests), stop: stop}
	if err := open(made); err != nil {
		stop()
		return errors.Join(fmt.Errorf("begin sftp: %w", err), made.ssh.Close())
	}
	return nil
}

// ErrRefused means that the server does not know the user, or refuses the password or the key.
var ErrRefused = errors.New("the server refuses to let the user in: look at user, and at the password or the key in its file")

// explained returns an error about the host's key without what the library says around it, and says of a refused login what to do.
func explained(err error) error {
	var key *HostKeyError
	if errors.As(err, &key) {
		return key
	}
	// The library has no type for it. The second is what it makes of a server that refuses before it asks (RFC 4256, 3.1).
	for _, text := range []string{"unable to authenticate", "unexpected message type 51"} {
		if strings.Contains(err.Error(), text) {
			return fmt.Errorf("%w (%w)", ErrRefused, err)
		}
	}
	return err
}

// watchedConn gives up when nothing moves.
type watchedConn struct{ net.Conn }

func (c *watchedConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(idle)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c *watchedConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(idle)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// Check logs in and lists, and returns how many files there are to pick up.
func (s *Server) Check(ctx context.Context, takes func(name string) bool) (files int, err error) {
	c, err := s.connect(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = c.Close() }()
	found, err := s.list(ctx, c, takes)
	return len(found), err
}
