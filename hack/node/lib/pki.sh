# Keys and kubeconfigs of the cluster: made anew at each start, gone with it. Sourced by node.sh.

make_keys() {
    cd "$pki"
    key ca
    openssl req -x509 -new -key ca.key -subj "/CN=$cgroup" -days 30 -out ca.crt
    openssl genrsa -out sa.key 2048 2>/dev/null
    openssl rsa -in sa.key -pubout -out sa.pub 2>/dev/null
    local names="DNS:localhost,IP:127.0.0.1,IP:$node_ip,IP:$api_service_ip" each
    for each in '' .default .default.svc .default.svc.cluster.local; do names+=",DNS:kubernetes$each"; done
    certificate apiserver /CN=kube-apiserver "serverAuth" "$names"
    certificate kubelet-serving "/O=system:nodes/CN=system:node:$node" serverAuth "DNS:$node,IP:$node_ip,IP:127.0.0.1"
    user admin /O=system:masters/CN=admin
    user kubelet "/O=system:nodes/CN=system:node:$node"
    user controller-manager /CN=system:kube-controller-manager
    user scheduler /CN=system:kube-scheduler
    user proxy /CN=system:kube-proxy
}

key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }

# certificate NAME SUBJECT USAGE [ALTERNATIVE-NAMES]
certificate() {
    key "$1"
    openssl req -new -key "$1.key" -subj "$2" -out "$1.csr"
    {
        echo "extendedKeyUsage=$3"
        [ -z "${4:-}" ] || echo "subjectAltName=$4"
    } >"$1.ext"
    openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile "$1.ext" -out "$1.crt" 2>/dev/null
}

# user NAME SUBJECT: a client certificate, and a kubeconfig that holds it.
user() {
    certificate "$1" "$2" clientAuth
    cat >"$run/$1.conf" <<YAML
apiVersion: v1
kind: Config
current-context: node
contexts: [{name: node, context: {cluster: node, user: $1}}]
clusters: [{name: node, cluster: {server: "https://127.0.0.1:$api_port", certificate-authority-data: $(base64 -w0 ca.crt)}}]
users: [{name: $1, user: {client-certificate-data: $(base64 -w0 "$1.crt"), client-key-data: $(base64 -w0 "$1.key")}}]
YAML
    chmod 600 "$run/$1.conf"
}
