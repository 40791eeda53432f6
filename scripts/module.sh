#!/usr/bin/env bash
# Checks the Magento module: syntax, style, XML, and its tests against the RabbitMQ that MAGELINE_TEST_AMQP_URL names and a
# MariaDB of its own. PHP with php-amqplib, PHPUnit and PHP_CodeSniffer, and the MariaDB, are Debian's packages, installed as
# root; elsewhere it says what is missing.
set -euo pipefail

cd "$(dirname "$0")/../magento"
../scripts/services/install.sh php
../scripts/services/install.sh mariadb

php -r 'foreach (new RecursiveIteratorIterator(new RecursiveDirectoryIterator(".")) as $file) {
	if (in_array($file->getExtension(), ["xml", "json"], true)) {
		$text = file_get_contents($file);
		$good = $file->getExtension() === "xml" ? simplexml_load_string($text) !== false : json_decode($text) !== null;
		if (!$good) { fwrite(STDERR, "$file is not well-formed\n"); exit(1); }
	}
}'
find . -name '*.php' -print0 | xargs -0 -n 1 php -l | grep -v '^No syntax errors' && exit 1
phpcs --standard=phpcs.xml -q
if command -v mago >/dev/null; then
	mago analyze --minimum-report-level error
else
	echo "module: no static analysis of the PHP: cargo install mago --version 1.29.0 --locked brings it" >&2
fi

state=$(mktemp -d /tmp/mageline-module.XXXXXX)
trap '../scripts/services/private-mariadb.sh stop "$state"; rm -rf "$state"' EXIT
MAGELINE_TEST_MARIADB=$(../scripts/services/private-mariadb.sh start "$state")
export MAGELINE_TEST_MARIADB
phpunit --configuration Test/phpunit.xml
