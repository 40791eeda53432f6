#!/usr/bin/env bash
# Runs a command with a RabbitMQ and a Postgres to talk to, and stops afterwards what it started, and nothing else.
#
#   scripts/with-services.sh COMMAND [ARGUMENT...]
#
# The command finds them in MAGELINE_TEST_AMQP_URL and MAGELINE_TEST_DATABASE_URL. For each of the two, the first that
# is to be had:
#   1. the one that the variable names already (if it does not answer, that is an error: somebody meant it)
#   2. one that runs on this machine's standard port
#   3. Docker: a container of the image that docker-compose.yml names, on a free port
#   4. the installed server: a private instance on free ports, with its data in a temporary folder
#   5. as root on Debian or Ubuntu: the packages are installed, then as 4
# MAGELINE_TEST_SERVICES=running|docker|private allows one of these ways alone (private: 4 and 5) and ignores the variables.
# MAGELINE_TEST_VERSIONS=trixie, or another Debian release: private instances of its RabbitMQ and Postgres, whatever is
# installed or runs here (scripts/services/debian.sh; as root on Debian or Ubuntu).
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
only=${MAGELINE_TEST_SERVICES:-}
versions=${MAGELINE_TEST_VERSIONS:-}

say() { echo "with-services: $*" >&2; }

if [ $# -eq 0 ]; then
	say "usage: scripts/with-services.sh COMMAND [ARGUMENT...]"
	exit 2
fi
case $only in
"" | running | docker | private) ;;
*)
	say "MAGELINE_TEST_SERVICES=$only is not known; use running, docker or private, or leave it unset"
	exit 2
	;;
esac
if [ -n "$versions" ]; then
	if [ "${only:-private}" != private ]; then
		say "MAGELINE_TEST_VERSIONS=$versions needs private servers; unset MAGELINE_TEST_SERVICES=$only"
		exit 2
	fi
	only=private
fi
if ! command -v go >/dev/null; then
	say "Go is not installed: get the version that go.mod names from https://go.dev/dl/ and put its bin folder on PATH"
	exit 1
fi

state=$(mktemp -d "/tmp/mageline-services.XXXXXX")
child=

# shellcheck disable=SC2317 # the traps call it
# Both servers get the order to stop, whatever state their start was in; each script knows what it started.
stop_services() {
	trap '' INT TERM HUP
	for service in rabbitmq postgres; do
		"$root/scripts/services/docker.sh" stop "$service" "$state/$service" || true
		"$root/scripts/services/private-$service.sh" stop "$state/$service" || true
	done
	rm -rf "$state"
}
# shellcheck disable=SC2317 # the traps call it
# The command runs in a process group of its own, so a signal reaches it and its children once, from here.
forward() {
	signalled=1
	if [ -n "$child" ]; then
		kill -"$1" -- "-$child" 2>/dev/null || true
	else
		exit "$2"
	fi
}
trap stop_services EXIT
trap 'forward INT 130' INT
trap 'forward TERM 143' TERM
trap 'forward HUP 129' HUP

servicecheck=$state/servicecheck
(cd "$root" && go build -o "$servicecheck" ./scripts/servicecheck)
export MAGELINE_SERVICECHECK=$servicecheck
if [ -n "$versions" ]; then
	MAGELINE_TEST_PROGRAMS=$("$root/scripts/services/debian.sh" "$versions")
	export MAGELINE_TEST_PROGRAMS
fi
chmod 755 "$state" # a server's unprivileged user must reach its own folder in it

# running SERVICE prints the address of one that answers on the standard port.
running() {
	local url user
	case $1 in
	rabbitmq) set -- amqp://guest:guest@127.0.0.1:5672/ ;;
	postgres)
		user=$(id -un)
		set -- postgres://postgres@127.0.0.1:5432/postgres "postgres://$user@127.0.0.1:5432/postgres"
		;;
	esac
	for url in "$@"; do
		if "$servicecheck" "$url" 2>/dev/null; then
			echo "$url"
			return
		fi
	done
	return 1
}

# provide SERVICE GIVEN_ADDRESS VARIABLE prints the address of a service that answers.
provide() {
	local service=$1 given=$2 variable=$3 url way
	if [ -z "$only" ] && [ -n "$given" ]; then
		if ! "$servicecheck" -wait 10s "$given"; then
			say "$variable is set, but nothing usable answers there: correct it, or unset it to have a $service started"
			return 1
		fi
		echo "$given"
		return
	fi
	mkdir -p "$state/$service"
	for way in running docker private; do
		if [ -n "$only" ] && [ "$only" != "$way" ]; then
			continue
		fi
		case $way in
		running) url=$(running "$service") || continue ;;
		docker) url=$("$root/scripts/services/docker.sh" start "$service" "$state/$service") || continue ;;
		private)
			"$root/scripts/services/install.sh" "$service" || return 1
			url=$("$root/scripts/services/private-$service.sh" start "$state/$service") || return 1
			;;
		esac
		say "$service: $way, ${url##*@}"
		echo "$url"
		return
	done
	say "no $service by way of '$only'"
	return 1
}

MAGELINE_TEST_AMQP_URL=$(provide rabbitmq "${MAGELINE_TEST_AMQP_URL:-}" MAGELINE_TEST_AMQP_URL)
MAGELINE_TEST_DATABASE_URL=$(provide postgres "${MAGELINE_TEST_DATABASE_URL:-}" MAGELINE_TEST_DATABASE_URL)
export MAGELINE_TEST_AMQP_URL MAGELINE_TEST_DATABASE_URL
unset MAGELINE_TEST_SERVICES MAGELINE_TEST_VERSIONS # a with-services inside this one uses what this one found

set -m
"$@" &
child=$!
set +m
# A signal ends wait early: wait again, for the status of the command itself.
while :; do
	signalled=
	wait "$child" && status=0 || status=$?
	[ -n "$signalled" ] || break
done
child=
exit "$status"
