# What runs in the node, in the order in which it is started. Runs inside the namespaces. Sourced by node.sh.

start_components() {
    set_up_mounts
    set_up_network
    make_keys
    write_configuration
    cd "$run"
    start etcd etcd --data-dir "$run/etcd" --unsafe-no-fsync --logger zap --log-level warn \
        --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380
    start_apiserver
    start containerd containerd --config "$run/containerd.toml"
    within 30 containerd timeout 5 ctr version
    ctr --namespace k8s.io images import "$run/pause.tar" >/dev/null
    ctr --namespace k8s.io images import "$run/dns.tar" >/dev/null
    within 90 'the API server' kubectl --request-timeout=5s get --raw /readyz
    start kube-controller-manager kube-controller-manager --kubeconfig "$run/controller-manager.conf" --leader-elect=false \
        --bind-address 127.0.0.1 --service-account-private-key-file "$pki/sa.key" --root-ca-file "$pki/ca.crt" \
        --use-service-account-credentials=true --cluster-signing-cert-file "$pki/ca.crt" --cluster-signing-key-file "$pki/ca.key"
    start kube-scheduler kube-scheduler --kubeconfig "$run/scheduler.conf" --leader-elect=false --bind-address 127.0.0.1
    start kubelet kubelet --config "$run/kubelet.yaml" --kubeconfig "$run/kubelet.conf" --hostname-override "$node" --node-ip "$node_ip"
    start kube-proxy kube-proxy --config "$run/kube-proxy.yaml"
    within 60 'the node' kubectl --request-timeout=5s get node "$node"
    kubectl wait --for=condition=Ready "node/$node" --timeout=90s >/dev/null
    within 60 'the default service account' kubectl --request-timeout=5s get serviceaccount default
    sed "s/@dns_ip@/$dns_ip/" "$here/dns.yaml" | kubectl apply -f - >/dev/null
    kubectl -n kube-system rollout status deployment/coredns --timeout=90s >/dev/null
}

# start NAME COMMAND...: in the background, its output in a log. It ends with the namespaces.
start() {
    local name=$1
    shift
    setsid "$@" </dev/null >"$log/$name.log" 2>&1 &
}

start_apiserver() {
    start kube-apiserver kube-apiserver --etcd-servers http://127.0.0.1:2379 --secure-port "$api_port" --bind-address 0.0.0.0 \
        --advertise-address "$node_ip" --service-cluster-ip-range "$service_range" --allow-privileged=true \
        --tls-cert-file "$pki/apiserver.crt" --tls-private-key-file "$pki/apiserver.key" --client-ca-file "$pki/ca.crt" \
        --service-account-issuer https://kubernetes.default.svc --service-account-key-file "$pki/sa.pub" \
        --service-account-signing-key-file "$pki/sa.key" \
        --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
        --kubelet-client-certificate "$pki/admin.crt" --kubelet-client-key "$pki/admin.key" \
        --kubelet-certificate-authority "$pki/ca.crt" --kubelet-preferred-address-types InternalIP \
        --audit-policy-file "$here/audit-policy.yaml" --audit-log-path "$log/audit.log"
}

# Folders of the machine that kubelet, containerd and CNI write to are covered by ones of our own. Settings that the kubelet
# makes for the whole machine go to files that stand in for them.
set_up_mounts() {
    local setting file
    mount --make-rshared /
    mount -t tmpfs -o mode=755 tmpfs /run
    mkdir -p /run/lock /run/netns /run/containerd
    mount --bind "$run/var-lib" /var/lib
    mount --bind "$run/var-log" /var/log
    # Nobody to ask for names: the pull of an image that was not loaded fails at once.
    echo 'nameserver 127.0.0.1' >"$run/resolv.conf"
    mount --bind "$run/resolv.conf" /etc/resolv.conf
    mkdir -p "$run/sysctl"
    for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1; do
        file=$run/sysctl/$(basename "${setting%=*}")
        echo "${setting#*=}" >"$file"
        mount --bind "$file" "/proc/sys/${setting%=*}"
    done
}

# No default route: whatever is not in here fails at once. Services are routed, so that the API server (webhooks, proxies) and
# `node.sh exec` reach them.
set_up_network() {
    hostname "$node"
    ip link set lo up
    ip link add node0 type veth peer name node1
    ip address add "$node_ip/24" dev node0
    ip link set node0 up
    ip link set node1 up
    ip route add "$service_range" dev node0
    echo 1 >/proc/sys/net/ipv4/ip_forward
    if [ -e /proc/sys/net/bridge/bridge-nf-call-iptables ]; then echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables; fi
}

write_configuration() {
    mkdir -p "$run/cni"
    cat >"$run/cni/10-node.conflist" <<JSON
{"cniVersion": "1.0.0", "name": "node", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "$pod_range"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
    cat >"$run/containerd.toml" <<TOML
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/library/pause:local"
  # In a container root may lack CAP_SYS_RESOURCE: never ask for a lower oom_score_adj than the present one.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$run/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "$(snapshotter)"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
TOML
    cat >"$run/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
failSwapOn: false
cgroupDriver: cgroupfs
cgroupRoot: /$cgroup
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $pki/kubelet-serving.crt
tlsPrivateKeyFile: $pki/kubelet-serving.key
clusterDomain: cluster.local
clusterDNS: [$dns_ip]
resolvConf: ""
# The machine's disk and memory are its own affair.
evictionHard: {memory.available: 50Mi, nodefs.available: 50Mi, imagefs.available: 50Mi}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
nodeStatusUpdateFrequency: 2s
syncFrequency: 10s
YAML
    cat >"$run/kube-proxy.yaml" <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: $run/proxy.conf}
mode: nftables
hostnameOverride: $node
bindAddress: 0.0.0.0
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
clusterCIDR: $pod_range
conntrack: {maxPerCore: 0}
# The default, 1 s, leaves a Service refusing for that long after its pod is ready.
nftables: {minSyncPeriod: 100ms}
YAML
}

# An overlay cannot lie on an overlay, which is what a container's root is.
snapshotter() {
    case $(stat -f -c %T "$run") in overlay*) echo native ;; *) echo overlayfs ;; esac
}
