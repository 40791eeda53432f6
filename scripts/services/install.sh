#!/usr/bin/env bash
# Makes sure that a server's programs are installed: as root on Debian or Ubuntu it installs the package, elsewhere it
# says in one line what to install.
#
#   install.sh rabbitmq|postgres|pgbouncer|openssh|opensearch|debootstrap|php|mariadb
set -euo pipefail

service=$1
case $service in
rabbitmq)
	package=rabbitmq-server
	programs() { command -v rabbitmq-server || find /usr/sbin /usr/local/sbin /opt/homebrew/sbin -name rabbitmq-server; }
	;;
postgres)
	package=postgresql
	programs() { command -v initdb || find /usr/lib/postgresql /opt/homebrew/opt/postgresql* /usr/pgsql-* -name initdb; }
	;;
pgbouncer)
	package=pgbouncer
	programs() { command -v pgbouncer || find /usr/sbin /usr/local/sbin /opt/homebrew/bin -name pgbouncer; }
	;;
php)
	package="php-cli php-amqplib php-mysql php-sqlite3 php-xml php-mbstring php-symfony-console php-psr-log phpunit php-codesniffer"
	programs() { command -v phpunit phpcs php >/dev/null && php -r 'exit(extension_loaded("pdo_sqlite") && extension_loaded("pdo_mysql") && is_file("/usr/share/php/PhpAmqpLib/autoload.php") ? 0 : 1);' && echo php; }
	;;
mariadb)
	package=mariadb-server
	programs() { command -v mariadb-admin mariadb-install-db >/dev/null && { command -v mariadbd || find /usr/sbin -name mariadbd; }; }
	;;
opensearch) # a JDK and Maven, with which scripts/opensearch.sh gets the server
	package="default-jdk-headless maven"
	programs() { command -v javac >/dev/null && command -v mvn; }
	;;
openssh)
	package="openssh-server openssh-client"
	programs() { [ -x /usr/sbin/sshd ] && command -v sftp; }
	;;
debootstrap)
	package="debootstrap debian-archive-keyring"
	programs() { [ -e /usr/share/keyrings/debian-archive-keyring.gpg ] && command -v debootstrap; }
	;;
esac

present() { [ -n "$(programs 2>/dev/null)" ]; }
present && exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "with-services: no $service here: install $package (Debian, Ubuntu: sudo apt-get install $package) or Docker, or name a running one in MAGELINE_TEST_AMQP_URL and MAGELINE_TEST_DATABASE_URL" >&2
	exit 1
fi

# Debian starts a server with its package unless this policy forbids it: an installation must leave nothing running.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap 'rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi
echo "with-services: installing $package" >&2
log=$(mktemp)
# shellcheck disable=SC2086 # may be several
if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $package; } >"$log" 2>&1; then
	tail -n 20 "$log" >&2
	echo "with-services: apt-get could not install $package, see above and $log" >&2
	exit 1
fi
rm -f "$log"
if ! present; then
	echo "with-services: $package is installed, but its programs are not where they are looked for" >&2
	exit 1
fi
