#!/usr/bin/env bash
# A RabbitMQ of our own from the installed programs: a fresh node in a folder, on free ports of 127.0.0.1.
#
#   private-rabbitmq.sh start FOLDER   prints its address once it answers
#   private-rabbitmq.sh stop  FOLDER   stops what start started there
#   private-rabbitmq.sh ctl   FOLDER ARGUMENT...   rabbitmqctl for that node
#
# MAGELINE_PRIVATE_TLS names a folder with ca.pem, server.pem and server.key: the node then listens with TLS too, on the
# port in FOLDER/tls-port, and wants a client certificate there.
set -euo pipefail

verb=$1 folder=$2
home=$folder/home # the server's; what lies beside it is this script's own

# Nothing that belongs to an installed broker is shared: not its data, logs, cookie, plugins, settings, node name, ports,
# nor epmd, the daemon in which Erlang nodes find each other. "nobody" runs it where we are root: it needs no rights. What
# debian.sh brought sees to that itself.
node() (
	cd "$home"
	export HOME=$home ERL_EPMD_PORT=$epmd_port ERL_EPMD_ADDRESS=127.0.0.1 \
		RABBITMQ_NODENAME=mageline$port@localhost RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_NODE_PORT=$port \
		RABBITMQ_DIST_PORT=$dist_port RABBITMQ_MNESIA_BASE=$home/data RABBITMQ_LOG_BASE=$home/log \
		RABBITMQ_CONF_ENV_FILE=$home/none RABBITMQ_CONFIG_FILE=$home/rabbitmq RABBITMQ_ADVANCED_CONFIG_FILE=$home/none \
		RABBITMQ_ENABLED_PLUGINS_FILE=$home/plugins \
		RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}"
	if [ "$(id -u)" = 0 ] && [ -z "${MAGELINE_TEST_PROGRAMS:-}" ]; then
		exec setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups -- "$@"
	fi
	exec "$@"
)

if [ "$verb" = ctl ]; then
	read -r port dist_port epmd_port _ <"$folder/ports"
	ctl=${MAGELINE_TEST_PROGRAMS:-/usr/lib/rabbitmq/bin}/rabbitmqctl
	[ -x "$ctl" ] || ctl=rabbitmqctl
	node "$ctl" --quiet "${@:3}"
	exit
fi

if [ "$verb" = stop ]; then
	[ -e "$folder/ports" ] || exit 0
	read -r port dist_port epmd_port _ <"$folder/ports"
	if [ -e "$folder/pid" ]; then
		group=-$(cat "$folder/pid")
		kill -TERM -- "$group" 2>/dev/null || true
		for _ in $(seq 100); do
			kill -0 -- "$group" 2>/dev/null || break
			sleep 0.2
		done
		kill -KILL -- "$group" 2>/dev/null || true
	fi
	# epmd leaves the group as a daemon, but knows its port; it goes only when no node is registered any more.
	epmd=${MAGELINE_TEST_PROGRAMS:+$MAGELINE_TEST_PROGRAMS/epmd}
	epmd=${epmd:-$(command -v epmd || find /usr/lib/erlang /opt/homebrew/opt/erlang -name epmd -type f 2>/dev/null | head -n 1 || true)}
	for _ in $(seq 25); do
		if node "$epmd" -kill 2>&1 | grep -qiE 'killed|cannot connect'; then
			break
		fi
		sleep 0.2
	done
	exit
fi

# Debian's wrapper in /usr/sbin insists on the user rabbitmq; the server's own script beside it does not.
server=${MAGELINE_TEST_PROGRAMS:-/usr/lib/rabbitmq/bin}/rabbitmq-server
if [ ! -x "$server" ]; then
	server=$(command -v rabbitmq-server || find /usr/local/sbin /opt/homebrew/sbin -name rabbitmq-server 2>/dev/null | head -n 1 || true)
fi

# shellcheck disable=SC2046 # four numbers, meant to be four words
set -- $("$MAGELINE_SERVICECHECK" -ports 4)
port=$1 dist_port=$2 epmd_port=$3 tls_port=$4
echo "$@" >"$folder/ports"
mkdir "$home"
echo '[].' >"$home/plugins"
# The write-ahead log of quorum queues is 512 MB by default, more than a temporary folder may have.
echo 'raft.wal_max_size_bytes = 67108864' >"$home/rabbitmq.conf"
if [ -n "${MAGELINE_PRIVATE_TLS:-}" ]; then
	cp -r "$MAGELINE_PRIVATE_TLS" "$home/tls"
	cat >>"$home/rabbitmq.conf" <<-END
		listeners.ssl.1 = 127.0.0.1:$tls_port
		ssl_options.cacertfile = $home/tls/ca.pem
		ssl_options.certfile = $home/tls/server.pem
		ssl_options.keyfile = $home/tls/server.key
		ssl_options.verify = verify_peer
		ssl_options.fail_if_no_peer_cert = true
	END
	echo "$tls_port" >"$folder/tls-port"
fi
if [ "$(id -u)" = 0 ]; then
	chown -R nobody "$home"
fi

set -m # a process group of its own: Ctrl-C at the terminal must not reach it before the tests have ended
node "$server" >"$folder/server.log" 2>&1 </dev/null &
echo $! >"$folder/pid"
set +m
url=amqp://guest:guest@127.0.0.1:$port/
if ! "$MAGELINE_SERVICECHECK" -wait 90s "$url"; then
	tail -n 40 "$folder/server.log" >&2
	exit 1
fi
echo "$url"
