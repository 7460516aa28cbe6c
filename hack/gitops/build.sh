#!/usr/bin/env bash
# Builds `judge`, which says what GitOps tools make of our objects (main.go beside this file), into .cache/gitops (git ignores
# it), and prints its path on the last line. Go builds again only what has changed.
#
#   build.sh               build, then print the path
#   build.sh --print-path  only print it; fails when it is missing
set -euo pipefail

module=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$module/../../.cache/gitops"
cache=$(cd "$module/../../.cache/gitops" && pwd)

say() { echo "gitops: $*" >&2; }
fail() {
    say "$*"
    exit 1
}

# A build by sources: clones that share a cache may differ in them.
sources=$(cat "$module"/*.go "$module/go.mod" "$module/go.sum" | cksum | cut -d' ' -f1)
judge=$cache/judge-$sources

case "${1:-}" in
--print-path)
    [ -x "$judge" ] || fail "$judge is missing: run \`make gitops\`"
    ;;
'')
    if [ ! -x "$judge" ]; then
        needed=$(awk '$1 == "go" { print $2; exit }' "$module/go.mod")
        how="get it from https://go.dev/dl/"
        command -v go >/dev/null 2>&1 || fail "Go $needed or newer is needed: $how"
        found=$(cd "$module" && go version 2>&1) || fail "Go $needed or newer is needed: $how. Go says: $found"
        say "building judge, 1 to 3 min on 2 cores and 50 MB of Go modules the first time"
        draft=$judge.$$
        trap 'rm -f "$draft"' EXIT
        (cd "$module" && CGO_ENABLED=0 go build -mod=readonly -buildvcs=false -trimpath -o "$draft" .) >&2
        mv "$draft" "$judge"
    fi
    ;;
*)
    fail "usage: $0 [--print-path]"
    ;;
esac
echo "$judge"
