#!/usr/bin/env bash
# Format, linters and import directions (.golangci.yml) of both modules, and the vulnerabilities that are known of what we
# use. The tools are built from the Go module proxy at the versions below into .run/bin, once.
set -euo pipefail

golangci_lint=v2.15.0
govulncheck=v1.9.0

cd "$(dirname "$0")/.."
tools=$PWD/.run/bin

# tool NAME VERSION PACKAGE prints the path of the built tool.
tool() {
	local path=$tools/$1-$2
	if [ ! -x "$path" ]; then
		echo "building $1 $2" >&2
		mkdir -p "$tools"
		GOBIN=$tools/new go install "$3@$2"
		mv "$tools/new/$1" "$path"
	fi
	echo "$path"
}

lint=$(tool golangci-lint "$golangci_lint" github.com/golangci/golangci-lint/v2/cmd/golangci-lint)
vuln=$(tool govulncheck "$govulncheck" golang.org/x/vuln/cmd/govulncheck)

"$lint" run ./...
(cd deploy && "$lint" run --config ../.golangci.yml ./...)
(cd test/bench/watermill && "$lint" run --config ../../../.golangci.yml ./...)

if command -v shellcheck >/dev/null; then
	shellcheck .ci/run scripts/*.sh scripts/services/*.sh
fi

# 3 says that a vulnerability was found; anything else but 0 that govulncheck could not work, as where its database
# can't be reached. That must not stop a build that is cut off from the internet, but must be seen.
status=0
report=$("$vuln" ./... 2>&1) || status=$?
case $status in
0) echo "govulncheck: no known vulnerability is reached" ;;
3)
	echo "$report" >&2
	exit 1
	;;
*) echo "govulncheck could not run, so known vulnerabilities were NOT checked: $(tail -n 1 <<<"$report")" >&2 ;;
esac
