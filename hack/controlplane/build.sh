#!/bin/sh
# Builds what the tests and the demo run against: etcd, kubectl, kube-apiserver and kube-controller-manager, at the versions
# that go.mod beside this file pins. Only what is missing is built, into .cache/controlplane/VERSION (git ignores it).
#
#   build.sh                build, then print the folder on the last line
#   build.sh NAME...        these as well: kubelet, kube-proxy, kube-scheduler; what a node of one's own needs (hack/node)
#   build.sh --print-dir [NAME...]   only print the folder; fails when something is missing in it
#
# KUBEBUILDER_ASSETS=DIR with kube-apiserver, etcd and kubectl in it (the convention of envtest): nothing is built.
# kube-controller-manager is optional there; what needs it says so. With NAMEs it is not looked at: all parts of a node come
# from one version.
set -eu

module=$(cd "$(dirname "$0")" && pwd)
version=$(awk '$1 == "k8s.io/kubernetes" { print $2; exit }' "$module/go.mod")
cache=$(cd "$module/../.." && pwd)/.cache/controlplane
dir=$cache/$version
lock=$cache/.lock
wanted='etcd kubectl kube-apiserver kube-controller-manager'
building=''
compiler=''
locked=''
began=$(date +%s)

say() { echo "controlplane: $*" >&2; }
fail() {
    say "$*"
    exit 1
}
elapsed() { echo "$(($(date +%s) - began)) s"; }

# absent FOLDER NAME...: the names that the folder does not hold.
absent() {
    folder=$1
    shift
    for each in "$@"; do [ -x "$folder/$each" ] || printf ' %s' "$each"; done
}

clean_up() {
    [ -z "$compiler" ] || kill "$compiler" 2>/dev/null || true
    [ -z "$building" ] || rm -rf "$building"
    [ -z "$locked" ] || rm -rf "$lock"
}

# One build at a time; a lock whose owner is gone is taken over. Should two still build at once, no harm is done: each binary
# is built elsewhere and then moved into its place.
take_lock() {
    tries=0
    until mkdir "$lock" 2>/dev/null; do
        owner=$(cat "$lock/pid" 2>/dev/null || echo '')
        if [ -n "$owner" ] && ! kill -0 "$owner" 2>/dev/null; then
            mv "$lock" "$lock.$$" 2>/dev/null && rm -rf "$lock.$$"
            continue
        fi
        [ $((tries % 30)) -ne 0 ] || say "another build (process ${owner:-unknown}) is at work, waiting for it"
        tries=$((tries + 1))
        [ "$tries" -le 1800 ] || fail "waited half an hour for $lock; remove it if no build is running"
        sleep 1
    done
    locked=yes
    echo $$ >"$lock/pid"
}

need_go() {
    needed=$(awk '$1 == "go" { print $2; exit }' "$module/go.mod")
    how="get it from https://go.dev/dl/, or set KUBEBUILDER_ASSETS to a folder that holds kube-apiserver, etcd and kubectl"
    command -v go >/dev/null 2>&1 || fail "Go $needed or newer is needed to build the control plane: $how"
    # In the module's folder: a newer toolchain than the installed one is fetched there, if the user's settings allow it.
    found=$(cd "$module" && go version 2>&1) || fail "Go $needed or newer is needed: $how. Go says: $found"
}

# recipe NAME: its package, and about how long it takes on 2 cores the first time. Fails for a name that is not known.
recipe() {
    case $1 in
    etcd) echo 'go.etcd.io/etcd/server/v3 10 s' ;;
    kube-apiserver) echo "k8s.io/kubernetes/cmd/$1 3 min" ;;
    kube-controller-manager) echo "k8s.io/kubernetes/cmd/$1 1 min" ;;
    kubectl | kubelet | kube-proxy | kube-scheduler) echo "k8s.io/kubernetes/cmd/$1 20 s" ;;
    *) return 1 ;;
    esac
}

# build NAME WHICH OF-HOW-MANY
build() {
    if [ -x "$dir/$1" ]; then
        say "$1 ($2 of $3) is there"
        return
    fi
    how=$(recipe "$1")
    say "$1 ($2 of $3), about ${how#* } the first time"
    from=$(date +%s)
    minor=${version#v1.}
    stamp=k8s.io/component-base/version
    (
        cd "$module"
        # Without cgo: no C compiler is needed, and the binary runs anywhere.
        exec env CGO_ENABLED=0 go build -mod=readonly -buildvcs=false -trimpath -o "$building/$1" -ldflags "-s -w \
            -X $stamp.gitVersion=$version -X $stamp.gitMajor=1 -X $stamp.gitMinor=${minor%%.*}" "${how%% *}"
    ) >&2 &
    compiler=$!
    while kill -0 "$compiler" 2>/dev/null; do
        sleep 1
        spent=$(($(date +%s) - from))
        if [ "$spent" -gt 0 ] && [ $((spent % 30)) -eq 0 ]; then say "$1: still compiling, $spent s"; fi
    done
    wait "$compiler" || fail "$1 could not be built"
    compiler=''
    mv "$building/$1" "$dir/$1"
    say "$1 is built, $(($(date +%s) - from)) s"
}

print_only=''
if [ "${1:-}" = --print-dir ]; then
    print_only=yes
    shift
fi
for each in "$@"; do
    recipe "$each" >/dev/null || fail "usage: $0 [--print-dir] [NAME...]; no binary is called $each"
    case " $wanted " in *" $each "*) ;; *) wanted="$wanted $each" ;; esac
done

if [ -n "${KUBEBUILDER_ASSETS:-}" ] && [ $# -eq 0 ]; then
    missing=$(absent "$KUBEBUILDER_ASSETS" kube-apiserver etcd kubectl)
    [ -z "$missing" ] || fail "KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS lacks$missing; unset it to have them built"
    say "KUBEBUILDER_ASSETS is set: nothing to build"
    echo "$KUBEBUILDER_ASSETS"
    exit 0
fi

# Names are words: the splitting is meant.
# shellcheck disable=SC2086
missing=$(absent "$dir" $wanted)
if [ -n "$print_only" ]; then
    [ -z "$missing" ] || fail "missing in $dir:$missing; run \`make controlplane\`"
elif [ -n "$missing" ]; then
    need_go
    mkdir -p "$dir"
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    take_lock
    # What a killed build has left.
    rm -rf "$cache"/.building.*
    building=$cache/.building.$$
    mkdir "$building"
    say "Kubernetes $version in $dir: 5 to 9 min on 2 cores and 800 MB of Go modules the first time, nothing after"
    # shellcheck disable=SC2086
    total=$(set -- $wanted && echo $#)
    number=0
    for each in $wanted; do
        number=$((number + 1))
        build "$each" "$number" "$total"
    done
    say "ready after $(elapsed)"
else
    say "Kubernetes $version is there"
fi
echo "$dir"
