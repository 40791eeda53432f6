#!/usr/bin/env bash
# Installs PHP with what the bench compares mageline with, as root on Debian or Ubuntu. Anywhere else, or when it can't be
# had, it says so and does not fail: the bench's table then has a line without the number.
set -euo pipefail

have() { php -r 'exit(extension_loaded("amqp") && extension_loaded("pgsql") ? 0 : 1);' 2>/dev/null; }

have && exit 0
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
	export DEBIAN_FRONTEND=noninteractive
	install=(apt-get install -y -qq --no-install-recommends php-cli php-amqp php-pgsql)
	"${install[@]}" >/dev/null 2>&1 || { apt-get update -qq && "${install[@]}"; } >/dev/null 2>&1 || true
fi
have || echo "php: not installed with php-amqp and php-pgsql; the bench goes on without it" >&2
