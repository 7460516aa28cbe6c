#!/usr/bin/env bash
# `make e2e`: builds what the end-to-end run needs, finds a cluster, loads the images, and runs examples/e2e.
#
# The cluster: that of KUBECONFIG if it is set, else a node of our own (hack/node), started for the run and ended after it.
# Images get into it by the name of its context: kind-NAME and k3d-NAME load them, for others give one of
#   E2E_LOAD="COMMAND"                          is run with the path of each image's tar
#   E2E_IMAGE=NAME:TAG E2E_PARTNER_IMAGE=…      the cluster can pull these; nothing is built
# KEEP=1 leaves everything up at the end. docs/e2e.md says more.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
node=$root/hack/node/node.sh
image=ghcr.io/kognitiv/partner-integration-operator:e2e
partner_image=ghcr.io/kognitiv/partner:e2e
began=$SECONDS

say() { printf '[%5d s] %s\n' $((SECONDS - began)) "$*"; }
fail() {
    echo "e2e: $*" >&2
    exit 1
}

# Sets what follows depends on: `in_cluster`, how commands reach it; `load`, how an image gets there; arguments of the run.
in_cluster=()
load=()
arguments=()
find_cluster() {
    if [ -z "${KUBECONFIG:-}" ]; then
        own_node
        return
    fi
    command -v kubectl >/dev/null || PATH=$(hack/controlplane/build.sh | tail -n 1):$PATH
    local context
    context=$(kubectl config current-context) || fail "KUBECONFIG=$KUBECONFIG has no current context"
    say "The cluster is that of the context $context."
    if [ -n "${E2E_IMAGE:-}" ] && [ -n "${E2E_PARTNER_IMAGE:-}" ]; then
        image=$E2E_IMAGE partner_image=$E2E_PARTNER_IMAGE
        return
    fi
    case $context in
    kind-*)
        load=(kind load image-archive --name "${context#kind-}")
        arguments+=(--node-shell "docker exec ${context#kind-}-control-plane")
        ;;
    k3d-*)
        load=(k3d image import --cluster "${context#k3d-}")
        arguments+=(--node-shell "docker exec k3d-${context#k3d-}-server-0")
        ;;
    *)
        read -r -a load <<<"${E2E_LOAD:-}"
        [ ${#load[@]} -gt 0 ] || fail "how do images get into $context? Set E2E_LOAD, or E2E_IMAGE and E2E_PARTNER_IMAGE; see $0"
        ;;
    esac
    if [ -n "${E2E_NODE_SHELL:-}" ]; then arguments+=(--node-shell "$E2E_NODE_SHELL"); fi
    if [ -n "${E2E_AUDIT_LOG:-}" ]; then arguments+=(--audit-log "$E2E_AUDIT_LOG"); fi
}

# One run at a time has the node; the lock goes with this process, however it ends.
own_node() {
    local missing state=${NODE_STATE:-$root/.cache/node}
    missing=$("$node" check) || fail "KUBECONFIG is not set, and no node can be had here:
$missing"
    mkdir -p "$state"
    exec 9>"$state/lock"
    flock --nonblock 9 || fail "another run has the node"
    say "KUBECONFIG is not set: a node of our own."
    "$node" deps
    in_cluster=("$node" exec)
    load=("$node" load)
    arguments+=(--node-shell "$node inside" --audit-log "$state/run/log/audit.log")
    own=yes
}

own=''
started=''
clean_up() {
    if [ -n "$started" ] && [ -z "${KEEP:-}" ]; then
        "$node" down
    elif [ -n "$started" ]; then
        echo "The node stays up (KEEP): $node exec kubectl get pi -A; $node down ends it."
    fi
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

find_cluster
tars=()
if [ ${#load[@]} -gt 0 ]; then
    say 'The images of the operator and of the simulated partner.'
    tars+=("$(hack/image/build.sh --ref "$image" | tail -n 1)")
    tars+=("$(hack/image/build.sh --example partner --ref "$partner_image" | tail -n 1)")
fi
say 'Helm, and the run itself.'
PATH=$(hack/tools/build.sh helm | tail -n 1):$PATH
export PATH
cargo build --quiet --locked --example e2e
say 'Everything is built.'

built=$SECONDS
if [ -n "$own" ]; then
    started=yes
    "$node" up
fi
for tar in ${tars[@]+"${tars[@]}"}; do "${load[@]}" "$tar"; done
say 'The cluster is there, and has the images.'
if [ -n "${KEEP:-}" ]; then arguments+=(--keep); fi
status=0
${in_cluster[@]+"${in_cluster[@]}"} "${CARGO_TARGET_DIR:-target}/debug/examples/e2e" \
    --chart charts/partner-integration-operator --image "$image" --partner-image "$partner_image" ${arguments[@]+"${arguments[@]}"} 9>&- || status=$?
say "After the builds it took $((SECONDS - built)) s."
exit $status
