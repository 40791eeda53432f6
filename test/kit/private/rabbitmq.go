package private

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/mageline/mageline/test/kit/freeport"
)

// RabbitMQ is a node of our own. Nothing that belongs to an installed broker is shared: not its data, logs, cookie, plugins,
// settings, node name, ports, nor epmd, the daemon in which Erlang nodes find each other.
type RabbitMQ struct {
	// URL is amqp://guest:guest@127.0.0.1:port/
	URL string
	// Addr is its host and port.
	Addr string

	server    // its folder is the cluster's: the cookie is there
	name, ctl string
	epmd      int
	first     *RabbitMQ // whose epmd it uses; nil: its own
}

// StartRabbitMQ starts a node and waits until it takes connections. Close ends it, also when there is an error with it.
func StartRabbitMQ() (*RabbitMQ, error) {
	return startOne(otherPrograms())
}

// StartInstalledRabbitMQ does so with what is installed on this machine, also where the tests run on another version.
func StartInstalledRabbitMQ() (*RabbitMQ, error) { return startOne("") }

func startOne(programs string) (*RabbitMQ, error) {
	all, err := startCluster(1, programs)
	if len(all) == 0 {
		return nil, err
	}
	return all[0], err
}

// StartCluster starts nodes that are one cluster. Close them, the first last, also when there is an error with them.
func StartCluster(nodes int) ([]*RabbitMQ, error) { return startCluster(nodes, otherPrograms()) }

func startCluster(nodes int, programs string) ([]*RabbitMQ, error) {
	home, err := folder()
	if err != nil {
		return nil, err
	}
	var all []*RabbitMQ
	for i := range nodes {
		var first *RabbitMQ
		if i > 0 {
			first = all[0]
		}
		n, err := newRabbitMQ(home, first, programs)
		if n != nil {
			all = append(all, n)
		}
		if err == nil && first != nil {
			err = n.join()
		}
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

func newRabbitMQ(home string, first *RabbitMQ, programs string) (*RabbitMQ, error) {
	path, err := program(programs, "rabbitmq-server", "/usr/lib/rabbitmq/bin") // Debian's wrapper on PATH insists on the user rabbitmq
	if err != nil {
		return nil, err
	}
	ctl, err := program(programs, "rabbitmqctl", "/usr/lib/rabbitmq/bin")
	if err != nil {
		return nil, err
	}
	free, err := freeport.Find(3)
	if err != nil {
		return nil, err
	}
	port, dist, epmd := free[0], free[1], free[2]
	if first != nil {
		epmd = first.epmd
	}
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	n := &RabbitMQ{URL: "amqp://guest:guest@" + addr + "/", Addr: addr, ctl: ctl, epmd: epmd, first: first, name: fmt.Sprintf("mageline%d@localhost", port)}
	for name, content := range map[string]string{
		"plugins": "[].\n",
		// The write-ahead log of quorum queues is 512 MB by default, more than a temporary folder may have.
		"rabbitmq.conf": "raft.wal_max_size_bytes = 67108864\ndisk_free_limit.absolute = 1MB\nvm_memory_high_watermark.absolute = 2GB\n",
	} {
		file := filepath.Join(home, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			return nil, err
		}
		if err := own(file); err != nil {
			return nil, err
		}
	}
	none := filepath.Join(home, "none")
	n.server = server{
		path: path, programs: programs, folder: home, log: filepath.Join(home, fmt.Sprintf("server%d.log", port)),
		env: []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + home, "LANG=C.UTF-8",
			fmt.Sprintf("ERL_EPMD_PORT=%d", epmd), "ERL_EPMD_ADDRESS=127.0.0.1",
			"RABBITMQ_NODENAME=" + n.name, "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1",
			fmt.Sprintf("RABBITMQ_NODE_PORT=%d", port), fmt.Sprintf("RABBITMQ_DIST_PORT=%d", dist),
			"RABBITMQ_MNESIA_BASE=" + filepath.Join(home, "data"), "RABBITMQ_LOG_BASE=" + filepath.Join(home, "log"),
			"RABBITMQ_CONF_ENV_FILE=" + none, "RABBITMQ_CONFIG_FILE=" + filepath.Join(home, "rabbitmq"),
			"RABBITMQ_ADVANCED_CONFIG_FILE=" + none, "RABBITMQ_ENABLED_PLUGINS_FILE=" + filepath.Join(home, "plugins"),
			"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+sbwt none -kernel inet_dist_use_interface {127,0,0,1}",
		},
	}
	return n, n.Start()
}

// Start starts it again after Stop or Kill, with what it had.
func (n *RabbitMQ) Start() error {
	if err := n.Launch(); err != nil {
		return err
	}
	return n.Await()
}

// Launch starts it and waits for nothing: a node of a cluster may wait for the others.
func (n *RabbitMQ) Launch() error { return n.start() }

// Await waits until it takes connections.
func (n *RabbitMQ) Await() error {
	return n.await(90*time.Second, "RabbitMQ at "+n.Addr, func(context.Context) error {
		conn, err := amqp.DialConfig(n.URL, amqp.Config{Dial: amqp.DefaultDial(5 * time.Second)})
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// Stop ends it in order.
func (n *RabbitMQ) Stop() { n.end(syscall.SIGTERM, 30*time.Second) }

// Kill ends it as a crash does.
func (n *RabbitMQ) Kill() {
	if n.command != nil {
		n.signal(syscall.SIGKILL)
	}
	n.end(syscall.SIGKILL, 0)
}

// Close ends it for good, and with the first node of a cluster its epmd.
func (n *RabbitMQ) Close() {
	n.Kill()
	if n.first != nil {
		return
	}
	defer func() { _ = os.RemoveAll(n.folder) }()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	// epmd leaves the group as a daemon; it goes only when no node is registered any more.
	path, err := program(n.programs, "epmd", "/usr/bin", "/usr/lib/erlang/bin", "/usr/lib/erlang/erts-*/bin")
	if err != nil {
		return
	}
	for ctx.Err() == nil {
		if _, err := n.run(ctx, path, "-kill"); err == nil {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// Ctl runs rabbitmqctl.
func (n *RabbitMQ) Ctl(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return n.run(ctx, n.ctl, append([]string{"-n", n.name}, args...)...)
}

// LimitBodies sets max_message_size, in bytes, for channels that are opened from now on. 3.10 keeps it in the application's
// environment, 4.0 in a persistent term.
func (n *RabbitMQ) LimitBodies(bytes int) error {
	_, err := n.Ctl("eval", fmt.Sprintf("application:set_env(rabbit, max_message_size, %d), persistent_term:put(max_message_size, %[1]d).", bytes))
	return err
}

// Management turns the HTTP API on and gives its address, with user and password.
func (n *RabbitMQ) Management() (string, error) {
	free, err := freeport.Find(1)
	if err != nil {
		return "", err
	}
	file := filepath.Join(n.folder, "plugins")
	if err := os.WriteFile(file, []byte("[rabbitmq_management].\n"), 0o600); err != nil {
		return "", err
	}
	if out, err := n.Ctl("eval", fmt.Sprintf(
		`application:set_env(rabbitmq_management, tcp_config, [{port, %d}, {ip, "127.0.0.1"}], [{persistent, true}]), rabbit_plugins:ensure(%q).`,
		free[0], file)); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", free[0])
	return "http://guest:guest@" + addr, n.await(time.Minute, "RabbitMQ's management API at "+addr, func(ctx context.Context) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

func (n *RabbitMQ) join() error {
	for _, args := range [][]string{{"stop_app"}, {"join_cluster", n.first.name}, {"start_app"}} {
		if _, err := n.Ctl(args...); err != nil {
			return err
		}
	}
	return n.Await()
}
