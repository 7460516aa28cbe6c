# What has to be installed and built, once. Sourced by node.sh.

deps() {
    check >&2 || fail 'no node can be had here'
    install_packages
    # The last line is the folder. Versions of the cluster's parts are pinned there.
    controlplane=$("$root/hack/controlplane/build.sh" kubelet kube-proxy kube-scheduler | tail -n 1)
    mkdir -p "$bin"
    build_program pause '5 s'
    build_program dns '2 min, and 200 MB of Go modules'
    PATH=$bin:$controlplane:$PATH
    export PATH
}

install_packages() {
    local names
    names=$(packages_to_install | xargs)
    [ -n "$names" ] || return 0
    say "installing with apt-get: $names"
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-remove --no-install-recommends $names >"$state/apt.log" 2>&1 ||
        fail "apt-get failed, see $state/apt.log"
}

# build_program NAME HOW-LONG: a program of the Go module beside this, unless it is there and newer than its sources.
build_program() {
    if [ -x "$bin/$1" ] && [ -z "$(find "$here/go.mod" "$here/go.sum" "$here/$1" -newer "$bin/$1")" ]; then return; fi
    say "building $1, about $2 the first time"
    (cd "$here" && CGO_ENABLED=0 go build -mod=readonly -buildvcs=false -trimpath -ldflags '-s -w' -o "$bin/.$1.new" "./$1")
    mv "$bin/.$1.new" "$bin/$1"
}
