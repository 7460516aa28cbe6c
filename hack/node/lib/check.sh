# What a node needs of the machine. Sourced by node.sh.

# PACKAGE:COMMAND or PACKAGE:FILE that shows that it is installed.
packages=(containerd:containerd runc:runc containernetworking-plugins:/usr/lib/cni/bridge nftables:nft iptables:iptables
    iproute2:ip openssl:openssl)

# The packages that are not installed.
packages_to_install() {
    local each
    for each in "${packages[@]}"; do
        command -v "${each#*:}" >/dev/null || echo "${each%%:*}"
    done
}

# Packages that would have others removed (Docker's containerd, say) are not taken.
apt_can_install() { apt-get install --simulate --no-remove --no-install-recommends -qq "$@" >/dev/null 2>&1; }

has_cgroup_v1() {
    local each
    for each in cpu cpuset memory pids; do [ -d "/sys/fs/cgroup/$each" ] && [ ! -f /sys/fs/cgroup/cgroup.controllers ] || return 1; done
}

has_namespaces() {
    unshare --net --mount --pid --ipc --uts --fork -- sh -c \
        'ip link add node0 type veth peer name node1 && ip link add cni0 type bridge && mount -t tmpfs none /mnt' 2>/dev/null
}

go_is_new_enough() { command -v go >/dev/null && (cd "$here" && go version) >/dev/null 2>&1; }

# Prints a line for each thing that is missing. Fails if one of them cannot be had.
check() {
    local missing='' names
    lacks() {
        echo "missing: $*"
        missing=yes
    }
    if [ "$(uname -s)" != Linux ]; then
        lacks 'Linux: a kubelet runs nowhere else; use kind or another cluster, by KUBECONFIG'
        return 1
    fi
    [ "$(id -u)" = 0 ] || lacks 'root: a kubelet needs it; or use another cluster, by KUBECONFIG'
    has_cgroup_v1 || lacks 'cgroup v1: its hierarchies are not mounted under /sys/fs/cgroup'
    go_is_new_enough || lacks "Go $(awk '$1 == "go" { print $2 }' "$here/go.mod") or newer: https://go.dev/dl/"
    case $state in
    /run/* | /var/lib/* | /var/log/*) lacks "another folder: the node has a /run, /var/lib and /var/log of its own; set NODE_STATE" ;;
    esac
    names=$(packages_to_install | xargs)
    if [ -n "$names" ] && ! command -v apt-get >/dev/null; then
        lacks "programs of the Debian packages $names, and apt-get, which would give them"
    elif [ -n "$names" ]; then
        # shellcheck disable=SC2086
        if apt_can_install $names || { [ "$(id -u)" = 0 ] && apt-get update -qq >/dev/null 2>&1 && apt_can_install $names; }; then
            echo "to be installed by \`deps\`, with apt-get: $names"
        else
            lacks "the Debian packages $names: apt-get cannot give them (or only by removing others)"
        fi
    elif [ "$(id -u)" = 0 ]; then
        has_namespaces || lacks 'namespaces of its own (network, mount, PID, IPC, UTS), or veth and bridge devices in them'
    fi
    [ -z "$missing" ] || return 1
    echo 'a node can be had here'
}
