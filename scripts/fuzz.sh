#!/usr/bin/env bash
# Fuzzes every target of the module for a while each, one after the other: go test takes one at a time.
#
#   scripts/fuzz.sh [DURATION]
set -euo pipefail

duration=${1:-10s}
cd "$(dirname "$0")/.."

output=$(mktemp)
trap 'rm -f "$output"' EXIT
targets=$(grep -rHoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sed 's/:func /:/' | sort)
if [ -z "$targets" ]; then
	echo "no fuzz target found: the parsers of outside input must each have one" >&2
	exit 1
fi
while IFS=: read -r file target; do
	echo "$target in $(dirname "$file"), $duration"
	if ! go test -run '^$' -fuzz "^$target\$" -fuzztime "$duration" "$(dirname "$file")" 2>&1 | tee "$output"; then
		# Go before 1.27 may fail a target at the end of its time without an input that fails (go.dev/issue/75804).
		# A failure that was found names its input, or the test in which it is.
		if ! grep -qE '^ +context deadline exceeded$' "$output" || grep -qE 'Failing input|testdata/fuzz|panic:|_test\.go:' "$output"; then
			exit 1
		fi
		echo "$target: no input failed; Go lost its own race at the end of the time (go.dev/issue/75804)"
	fi
done <<<"$targets"
