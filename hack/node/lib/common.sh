# Where everything is, and how it talks. Sourced by node.sh.

root=$(cd "$here/../.." && pwd)
mkdir -p "$root/.cache"
state=${NODE_STATE:-$root/.cache/node}
mkdir -p "$state"
state=$(realpath "$state")
bin=$state/bin
run=$state/run
log=$run/log
pki=$run/pki
kubeconfig=$run/admin.conf
# One name for its cgroups, since those are the machine's: told from the folder, so that two nodes don't meet.
cgroup=kognitiv-node-$(printf %s "$state" | cksum | cut -d' ' -f1)

# Addresses and ports inside the node's own network, where nobody else is.
node=node
node_ip=10.240.0.10
pod_range=10.244.0.0/24
service_range=10.96.0.0/16
api_service_ip=10.96.0.1
dns_ip=10.96.0.10
api_port=6443

say() { echo "node: $*" >&2; }
fail() {
    say "$*"
    exit 1
}

# within SECONDS WHAT COMMAND...: runs the command until it succeeds. What may hang needs a limit of its own.
within() {
    local limit=$1 what=$2 end
    shift 2
    end=$((SECONDS + limit))
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || fail "$what is not there after $limit s; its log is in $log"
        sleep 0.2
    done
}
