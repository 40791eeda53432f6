#!/usr/bin/env bash
# A MariaDB of our own from the installed programs: a fresh server in a folder, which listens on a socket there and on no port.
#
#   private-mariadb.sh start FOLDER   prints the path of its socket once it answers; root needs no password
#   private-mariadb.sh stop  FOLDER   stops what start started there
set -euo pipefail

verb=$1 folder=$2
home=$folder/home
socket=$home/socket

if [ "$verb" = stop ]; then
	[ -e "$folder/pid" ] || exit 0
	pid=$(cat "$folder/pid")
	kill -TERM "$pid" 2>/dev/null || true
	for _ in $(seq 100); do
		kill -0 "$pid" 2>/dev/null || exit 0
		sleep 0.1
	done
	kill -KILL "$pid" 2>/dev/null || true
	exit 0
fi

mkdir -p "$home"
user=()
if [ "$(id -u)" = 0 ]; then
	chmod 755 "$folder"
	chown -R nobody "$home"
	user=(--user=nobody)
fi
mariadb-install-db --no-defaults "${user[@]}" --datadir="$home/data" --auth-root-authentication-method=normal --skip-test-db \
	>"$folder/install.log" 2>&1 || { tail -n 20 "$folder/install.log" >&2; exit 1; }
server=$(command -v mariadbd || echo /usr/sbin/mariadbd)
set -m # a process group of its own: Ctrl-C at the terminal must not reach it before the tests have ended
"$server" --no-defaults "${user[@]}" --datadir="$home/data" --socket="$socket" --pid-file="$home/mariadb.pid" --skip-networking \
	--innodb-buffer-pool-size=128M --innodb-log-file-size=64M --lc-messages=en_US >"$folder/server.log" 2>&1 </dev/null &
echo $! >"$folder/pid"
set +m
for _ in $(seq 300); do
	if mariadb-admin --no-defaults --socket="$socket" --user=root ping >/dev/null 2>&1; then
		echo "$socket"
		exit 0
	fi
	sleep 0.1
done
tail -n 20 "$folder/server.log" >&2
exit 1
