#!/usr/bin/env bash
# Builds what a node of OpenSearch needs that tests run (test/opensearch): the server's jars from Maven Central and one class, into
# .run/opensearch. Where that can't be, the tests use Docker; without either it says in one line what they leave out.
set -euo pipefail

cd "$(dirname "$0")/.."
out=$PWD/.run/opensearch
made=$(cat test/opensearch/pom.xml test/opensearch/src/main/java/com/mageline/test/*.java | cksum)

if [ "$(cat "$out/made" 2>/dev/null)" = "$made" ] && command -v java >/dev/null; then
	exit 0
fi
if ! command -v javac >/dev/null && docker info >/dev/null 2>&1; then
	exit 0
fi
log=$(mktemp)
if scripts/services/install.sh opensearch 2>"$log" &&
	mvn --quiet --batch-mode --file test/opensearch/pom.xml -Dout="$out" compile dependency:copy-dependencies -DoutputDirectory="$out/lib" >"$log" 2>&1; then
	echo "$made" >"$out/made"
	rm -f "$log"
	exit 0
fi
echo "opensearch: no Java with Maven and no Docker here (see $log): tests of search/elastic run on the fake alone and leave out a real OpenSearch" >&2
exit 1
