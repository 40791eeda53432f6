#!/usr/bin/env bash
# Makes sure that there is a C compiler, which Go's race detector needs: as root on Debian or Ubuntu it installs one,
# elsewhere it says in one line what to install.
set -euo pipefail

cc=$(go env CC)
command -v "${cc%% *}" >/dev/null && exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "no C compiler ($cc), which 'go test -race' needs: install gcc (Debian, Ubuntu: sudo apt-get install gcc libc6-dev)" >&2
	exit 1
fi
echo "installing gcc for the race detector" >&2
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install --yes -qq --no-install-recommends gcc libc6-dev >/dev/null
