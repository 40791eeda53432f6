#!/usr/bin/env bash
# Fails when go.mod or go.sum is not what `go mod tidy` makes, or a generated file not what `go generate` makes.
set -euo pipefail

cd "$(dirname "$0")/.."

for module in . deploy test/bench/watermill; do
	if ! (cd "$module" && go mod tidy -diff); then
		echo "run 'go mod tidy' in $module and commit go.mod and go.sum" >&2
		exit 1
	fi
done
go mod verify

# The contents of all files, so that edits not yet committed don't count as differences.
contents() { git ls-files --cached --others --exclude-standard -z | xargs -0 -r sha256sum 2>/dev/null | sort -k 2; }
before=$(contents)
go generate ./...
if ! difference=$(diff <(echo "$before") <(contents)); then
	echo "generated files are not up to date; 'go generate ./...' has just changed these, commit them:" >&2
	echo "$difference" >&2
	exit 1
fi
