# The namespaces that the node lives in: making them, running something in them, ending them. Sourced by node.sh.
#
# `unshare` is their parent on the machine, the holder: whoever kills it kills the first process in the PID namespace, and
# with that the kernel ends everything in it, whatever state it is in.

# born PID: when a process was started, in clock ticks since boot; a pid alone may have come to mean another.
born() { [ -r "/proc/$1/stat" ] && sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# A process that has ended may stay listed until its parent has looked. The first one of a PID namespace ends after all others.
runs() { [ -n "$1" ] && grep -qs '^State:[[:space:]]*[^ZX]' "/proc/$1/status"; }

# Sets holder, if it runs.
find_holder() {
    local birth
    holder=''
    [ -s "$run/holder" ] || return 1
    read -r holder birth <"$run/holder"
    [ -n "$birth" ] && [ "$(born "$holder")" = "$birth" ]
}

# Sets first: the first process in there, as the machine sees it.
find_first() {
    find_holder || fail "no node is up; \`$here/node.sh up\` starts one"
    first=$(first_child)
}

# The holder has one child.
first_child() { xargs <"/proc/$holder/task/$holder/children"; }

# Only the network is the node's; files and processes are the machine's.
in_network() {
    find_first
    with_environment nsenter --target "$first" --net -- "$@"
}

in_all() {
    find_first
    with_environment nsenter --target "$first" --net --mount --pid --ipc --uts --wd="$PWD" -- "$@"
}

with_environment() {
    controlplane=$("$root/hack/controlplane/build.sh" --print-dir)
    KUBECONFIG=$kubeconfig PATH="$bin:$controlplane:$PATH" "$@"
}

up() {
    local began=$SECONDS
    rm -rf "$state/log"
    mkdir -p "$run" "$pki" "$log" "$run/var-lib" "$run/var-log"
    chmod 700 "$run"
    make_cgroups
    make_image "$run/pause.tar" pause:local "$bin/pause"
    make_image "$run/dns.tar" dns:local "$bin/dns"
    setsid unshare --net --mount --pid --ipc --uts --fork --kill-child --mount-proc --propagation private \
        "$bin/pause" </dev/null >"$log/holder.log" 2>&1 9>&- &
    holder=$!
    echo "$holder $(born $holder)" >"$run/holder"
    within 10 'the first process in the namespaces' holds_pause
    in_all "$here/node.sh" start-inside 9>&- || fail "it did not start; logs are in $log, \`$here/node.sh down\` clears up"
    say "up after $((SECONDS - began)) s: $here/node.sh exec kubectl get nodes"
}

holds_pause() {
    first=$(first_child) && [ -n "$first" ] && [ "$(cat "/proc/$first/comm")" = pause ]
}

# v1 hierarchies are the machine's: ours is one group in each. A new cpuset starts empty, and lets nothing in.
make_cgroups() {
    local each
    for each in /sys/fs/cgroup/*/; do
        case $each in */unified/) continue ;; esac
        mkdir -p "$each$cgroup"
        if [ -f "${each}cpuset.cpus" ]; then
            cat "${each}cpuset.cpus" >"$each$cgroup/cpuset.cpus"
            cat "${each}cpuset.mems" >"$each$cgroup/cpuset.mems"
        fi
    done
}

down() {
    local each try
    if find_holder; then
        find_first
        kill -9 "$holder"
        for try in $(seq 100); do
            runs "$holder" || runs "$first" || break
            sleep 0.1
        done
    fi
    for each in /sys/fs/cgroup/*/"$cgroup"; do
        [ -d "$each" ] || continue
        # Deepest first; a group whose processes are just ending is busy for a moment.
        for try in $(seq 100); do
            find "$each" -depth -type d -exec rmdir {} + 2>/dev/null || true
            [ -d "$each" ] || break
            sleep 0.1
        done
        [ ! -d "$each" ] || say "$each cannot be removed"
    done
    if [ -d "$log" ]; then
        rm -rf "$state/log"
        mv "$log" "$state/log"
    fi
    rm -rf "$run"
}
