#!/usr/bin/env bash
# Builds the tools that check, install and lint the chart: helm, kubeconform, kube-score, at the versions that the go.mod in
# the folder of each pins; prometheus-operator is the folder with its CRDs, nothing is built of it. Only what is missing is
# built, into .cache/tools/VERSIONS (git ignores it).
#
#   build.sh NAME...               build these (all without a name), then print the folder on the last line
#   build.sh --print-dir NAME...   only print the folder; fails when one of these is missing in it
#
# TOOLS_ASSETS=DIR with these programs in it: nothing is built.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
all=(helm kubeconform kube-score prometheus-operator)
began=$SECONDS
lock=''
building=''
compiler=''

say() { echo "tools: $*" >&2; }
fail() {
    say "$*"
    exit 1
}

# What is built for a NAME, and how long it takes on two cores the first time.
package() { awk '$1 == "tool" { print $2; exit }' "$here/$1/go.mod"; }
estimate() { if [ "$1" = helm ]; then echo '70 s to 3 min'; else echo '20 s'; fi; }
# The version of the module that the package is in; of the only one that is required where there is no package.
version() {
    awk -v package="$(package "$1")/" '
        { at = $1 == "require" ? 2 : 1 }
        (package == "/" || index(package, $at "/") == 1) && $(at + 1) ~ /^v[0-9]/ { print $(at + 1); exit }' "$here/$1/go.mod"
}

clean_up() {
    [ -z "$compiler" ] || kill "$compiler" 2>/dev/null || true
    [ -z "$building" ] || rm -rf "$building"
    [ -z "$lock" ] || rm -rf "$lock"
}

# One build at a time; a lock whose owner is gone is taken over. Should two still build at once, no harm is done: each program
# is built elsewhere and then moved into its place.
take_lock() {
    local wanted=$1 owner tries=0
    until mkdir "$wanted" 2>/dev/null; do
        owner=$(cat "$wanted/pid" 2>/dev/null || echo '')
        if [ -n "$owner" ] && ! kill -0 "$owner" 2>/dev/null; then
            mv "$wanted" "$wanted.$$" 2>/dev/null && rm -rf "$wanted.$$"
            continue
        fi
        [ $((tries % 30)) -ne 0 ] || say "another build (process ${owner:-unknown}) is at work, waiting for it"
        tries=$((tries + 1))
        [ "$tries" -le 1800 ] || fail "waited half an hour for $wanted; remove it if no build is running"
        sleep 1
    done
    lock=$wanted
    echo $$ >"$lock/pid"
}

need_go() {
    local needed how found
    needed=$(awk '$1 == "go" { print $2; exit }' "$here/helm/go.mod")
    how="get it from https://go.dev/dl/, or set TOOLS_ASSETS to a folder that holds ${all[*]}"
    command -v go >/dev/null 2>&1 || fail "Go $needed or newer is needed to build $*: $how"
    # In the module's folder: a newer toolchain than the installed one is fetched there, if the user's settings allow it.
    found=$(cd "$here/helm" && go version 2>&1) || fail "Go $needed or newer is needed: $how. Go says: $found"
}

copy_crds() {
    local module kind
    module=github.com/prometheus-operator/prometheus-operator
    say "the CRDs of the Prometheus operator $(version "$1"), some seconds the first time"
    (cd "$here/$1" && go mod download "$module") >&2 || fail "$module could not be downloaded"
    mkdir "$building/$1"
    for kind in podmonitors servicemonitors prometheusrules; do
        install -m 644 "$(cd "$here/$1" && go list -m -f '{{.Dir}}' "$module")/example/prometheus-operator-crd/monitoring.coreos.com_$kind.yaml" \
            "$building/$1/$kind.yaml"
    done
    mv "$building/$1" "$dir/$1"
}

build() {
    local name=$1 from=$SECONDS spent
    [ ! -x "$dir/$name" ] || return 0
    if [ "$name" = prometheus-operator ]; then
        copy_crds "$name"
        return
    fi
    say "$name $(version "$name"), about $(estimate "$name") the first time"
    (
        cd "$here/$name"
        export CGO_ENABLED=0
        # Helm and kubeconform take their version from here; where a program has no such variable the linker ignores it.
        exec go build -mod=readonly -buildvcs=false -trimpath -o "$building/$name" -ldflags "-s -w \
            -X helm.sh/helm/v4/internal/version.version=$(version "$name") -X main.version=$(version "$name")" \
            "$(package "$name")"
    ) >&2 &
    compiler=$!
    while kill -0 "$compiler" 2>/dev/null; do
        sleep 1
        spent=$((SECONDS - from))
        if [ "$spent" -gt 0 ] && [ $((spent % 30)) -eq 0 ]; then say "$name: still compiling, $spent s"; fi
    done
    wait "$compiler" || fail "$name could not be built"
    compiler=''
    mv "$building/$name" "$dir/$name"
    say "$name is built, $((SECONDS - from)) s"
}

only_print=''
if [ "${1:-}" = --print-dir ]; then
    only_print=yes
    shift
fi
[ $# -gt 0 ] || set -- "${all[@]}"

dir=${TOOLS_ASSETS:-}
if [ -z "$dir" ]; then
    cache=$(cd "$here/../.." && pwd)/.cache/tools
    dir=$cache/$(for name in "${all[@]}"; do printf '%s-%s\n' "$name" "$(version "$name")"; done | paste -sd_)
fi
missing=()
for name in "$@"; do
    [ -f "$here/$name/go.mod" ] || fail "usage: $0 [--print-dir] [NAME...], each of: ${all[*]}; not $name"
    [ -x "$dir/$name" ] || missing+=("$name")
done

if [ ${#missing[@]} -gt 0 ]; then
    [ -z "${TOOLS_ASSETS:-}" ] || fail "TOOLS_ASSETS=$dir lacks ${missing[*]}; unset it to have them built"
    [ -z "$only_print" ] || fail "missing in $dir: ${missing[*]}; run \`hack/tools/build.sh ${missing[*]}\`"
    need_go "${missing[@]}"
    mkdir -p "$dir"
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    take_lock "$cache/.lock"
    # What a killed build has left.
    rm -rf "$cache"/.building.*
    building=$cache/.building.$$
    mkdir "$building"
    for name in "${missing[@]}"; do build "$name"; done
    say "ready after $((SECONDS - began)) s"
fi
echo "$dir"
