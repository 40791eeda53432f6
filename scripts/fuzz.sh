#!/usr/bin/env bash
# Fuzzes every target of the module for a while each, one after the other: go test takes one at a time.
#
#   scripts/fuzz.sh [DURATION]
set -euo pipefail

duration=${1:-10s}
cd "$(dirname "$0")/.."

targets=$(grep -rHoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sed 's/:func /:/' | sort)
if [ -z "$targets" ]; then
	echo "no fuzz target found: the parsers of outside input must each have one" >&2
	exit 1
fi
while IFS=: read -r file target; do
	echo "$target in $(dirname "$file"), $duration"
	go test -run '^$' -fuzz "^$target\$" -fuzztime "$duration" "$(dirname "$file")"
done <<<"$targets"
