#!/usr/bin/env bash
# The RabbitMQ and the Postgres of another Debian release, from its own packages, in a folder that debootstrap makes: other
# versions than this machine's, on any Debian or Ubuntu, as root.
#
#   debian.sh SUITE   makes the folder if it isn't there (a minute, 700 MB) and prints the one that has the servers' programs
#
# The folder is kept in MAGELINE_TEST_CACHE (~/.cache/mageline), so that the next checkout finds it. Each program runs there with
# this machine's /tmp and network, as "nobody". Packages come from the mirror that apt uses here.
set -euo pipefail

suite=$1
cache=${MAGELINE_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mageline}
root=$cache/$suite
here=$(cd "$(dirname "$0")/../.." && pwd)
programs=$here/.run/$suite

fail() {
	echo "with-services: the servers of Debian $suite: $*" >&2
	exit 1
}
[[ $suite =~ ^[a-z]+$ ]] || fail "MAGELINE_TEST_VERSIONS wants the name of a release, as trixie"
[ "$(id -u)" = 0 ] || fail "only root can make and enter their folder"
command -v apt-get >/dev/null || fail "only to be had on Debian or Ubuntu"

# mirror prints the address from which apt has Debian's packages here. Ubuntu's mirror has none.
mirror() {
	local uri
	uri=$(apt-get indextargets --format '$(SITE) $(ORIGIN) $(LABEL)' 'Created-By: Packages' | sed -n 's/ Debian Debian$//p' | head -n 1)
	echo "${uri:-http://deb.debian.org/debian}"
}

# make_folder leaves nothing half-made where it is looked for.
make_folder() {
	local new=$root.new.$$ log=$root.log keys=/usr/share/keyrings/debian-archive-keyring.gpg
	"$here/scripts/services/install.sh" debootstrap
	proxy=
	eval "$(apt-config shell proxy Acquire::http::Proxy)"
	echo "with-services: fetching RabbitMQ and Postgres of Debian $suite into $root" >&2
	# shellcheck disable=SC2064 # now
	trap "rm -rf --one-file-system '$new'" EXIT
	if ! http_proxy=${http_proxy:-$proxy} debootstrap --variant=minbase --keyring="$keys" --include=rabbitmq-server,postgresql "$suite" "$new" "$(mirror)" >"$log" 2>&1; then
		tail -n 20 "$log" "$new/debootstrap/debootstrap.log" >&2 || true
		fail "debootstrap has failed, see above and $log"
	fi
	rm -rf "$new"/var/cache/apt "$new"/var/lib/apt/lists "$new"/usr/share/{doc,locale,man}
	grep -q localhost "$new/etc/hosts" 2>/dev/null || echo '127.0.0.1 localhost' >>"$new/etc/hosts"
	mv "$new" "$root"
	trap - EXIT
	rm -f "$log"
}

mkdir -p "$cache"
exec 9>"$root.lock"
flock 9 # another run may be making it
[ -d "$root" ] || make_folder

# Names on the left are what the scripts and test/kit/private look for.
mkdir -p "$programs"
for path in /usr/lib/rabbitmq/bin/rabbitmq-server /usr/lib/rabbitmq/bin/rabbitmqctl /usr/bin/epmd \
	"$root"/usr/lib/postgresql/*/bin/{initdb,pg_basebackup,pg_ctl,postgres}; do
	path=${path#"$root"}
	[ -x "$root$path" ] || [ -L "$root$path" ] || fail "$root has no $path: remove that folder to have it made anew"
	cat >"$programs/new" <<-END
		#!/bin/sh
		# made by scripts/services/debian.sh: $path of Debian $suite
		exec unshare --mount "$here/scripts/services/enter.sh" "$root" "$path" "\$@"
	END
	chmod 755 "$programs/new"
	mv "$programs/new" "$programs/${path##*/}"
done
echo "$programs"
