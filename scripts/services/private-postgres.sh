#!/usr/bin/env bash
# A Postgres of our own from the installed programs: a fresh cluster in a folder, on a free port of 127.0.0.1.
#
#   private-postgres.sh start FOLDER   prints its address once it answers
#   private-postgres.sh stop  FOLDER   stops what start started there
#
# MAGELINE_PRIVATE_TLS names a folder with ca.pem, server.pem and server.key: the server then has TLS, and lets the role
# "tls" in with a password and a client certificate of that name alone.
set -euo pipefail

verb=$1 folder=$2
home=$folder/home # the server's; what lies beside it is this script's own
data=$home/data

# Postgres refuses to run as root; "nobody" owns no files that it could harm. What debian.sh brought sees to it itself.
unprivileged() (
	cd "$home"
	if [ "$(id -u)" = 0 ] && [ -z "${MAGELINE_TEST_PROGRAMS:-}" ]; then
		exec setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups -- "$@"
	fi
	exec "$@"
)

# Debian keeps the server's programs off PATH, in a folder for each version: the newest counts.
programs() {
	local initdb
	if [ -n "${MAGELINE_TEST_PROGRAMS:-}" ]; then
		echo "$MAGELINE_TEST_PROGRAMS"
		return
	fi
	initdb=$(command -v initdb || find /usr/lib/postgresql/*/bin /opt/homebrew/opt/postgresql*/bin /usr/pgsql-*/bin \
		-name initdb 2>/dev/null | sort -V | tail -n 1 || true)
	dirname "$(readlink -f "$initdb")"
}

if [ "$verb" = stop ]; then
	if [ -e "$data/postmaster.pid" ]; then
		unprivileged "$(programs)/pg_ctl" stop -D "$data" -m immediate -s
	fi
	exit
fi

bin=$(programs)
port=$("$MAGELINE_SERVICECHECK" -ports 1)
mkdir "$home"
if [ "$(id -u)" = 0 ]; then
	chown nobody "$home"
fi
unprivileged "$bin/initdb" -D "$data" -U postgres -A trust -E UTF8 --locale=C --no-sync >"$folder/initdb.log" || {
	cat "$folder/initdb.log" >&2
	exit 1
}
tls=
if [ -n "${MAGELINE_PRIVATE_TLS:-}" ]; then
	cp -r "$MAGELINE_PRIVATE_TLS" "$home/tls"
	chmod 600 "$home"/tls/*
	hba=$(cat "$data/pg_hba.conf")
	printf '%s\n' 'hostssl all tls 127.0.0.1/32 scram-sha-256 clientcert=verify-full' 'host all tls all reject' "$hba" >"$data/pg_hba.conf"
	if [ "$(id -u)" = 0 ]; then
		chown -R nobody "$home/tls" "$data/pg_hba.conf"
	fi
	tls="-c ssl=on -c ssl_ca_file=$home/tls/ca.pem -c ssl_cert_file=$home/tls/server.pem -c ssl_key_file=$home/tls/server.key"
fi
# fsync stays on, as check wants it. Tests that run side by side open many connections.
if ! unprivileged "$bin/pg_ctl" start -D "$data" -s -w -t 60 -l "$home/postgres.log" \
	-o "-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories='' -c max_connections=300 $tls" \
	>"$folder/start.log" 2>&1; then
	cat "$folder/start.log" "$home/postgres.log" >&2
	exit 1
fi
url=postgres://postgres@127.0.0.1:$port/postgres
"$MAGELINE_SERVICECHECK" -wait 30s "$url"
echo "$url"
