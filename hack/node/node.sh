#!/usr/bin/env bash
# A real Kubernetes node of one's own, for where no cluster is at hand: kubelet, containerd, the control plane and CoreDNS,
# wholly inside namespaces of their own (network, mount, PID, IPC, UTS). Nothing listens on the machine's addresses, nothing
# in it can reach out, and it leaves nothing behind. It needs Linux, root, cgroup v1 and the Debian packages of lib/check.sh.
#
#   node.sh check                  can a node be had here? A line for each thing that is missing; exit code 1 if it cannot
#   node.sh deps                   install Debian's packages and build the programs, once
#   node.sh up                     start; a node that is up already is ended first
#   node.sh image REF BINARY       make an image of one static binary, and load it
#   node.sh load TAR...            load images: what docker save writes, or an OCI archive
#   node.sh exec COMMAND...        run a command in the node's network, with kubectl and KUBECONFIG set for it
#   node.sh inside COMMAND...      run a command in all namespaces of the node: it sees the node's processes and mounts
#   node.sh down                   end it and remove what it left; its logs stay in STATE/log until the next start
#
# NODE_STATE: the folder for all of it, .cache/node by default. Nodes of different folders don't meet.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for part in common check deps images pki namespaces components; do
    # shellcheck source=/dev/null
    source "$here/lib/$part.sh"
done

case ${1:-} in
check) check ;;
deps) deps ;;
up)
    deps
    down
    up
    ;;
# What `up` runs in the namespaces that it has made.
start-inside) start_components ;;
image)
    [ $# -eq 3 ] || fail "usage: node.sh image REF BINARY"
    load_binary "$2" "$3"
    ;;
load)
    shift
    [ $# -gt 0 ] || fail "usage: node.sh load TAR..."
    for tar in "$@"; do load "$tar"; done
    ;;
exec)
    shift
    in_network "$@"
    ;;
inside)
    shift
    in_all "$@"
    ;;
down) down ;;
*)
    sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
