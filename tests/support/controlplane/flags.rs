//! What the processes of a control plane are started with. Defaults of Kubernetes stay wherever a test could notice.

use std::path::{Path, PathBuf};

use super::{Options, Result, User};

/// Where the version is pinned; it is also the folder's name in the cache.
const PINNED: &str = include_str!("../../../hack/controlplane/go.mod");

/// The token of the administrator.
pub const ADMIN_TOKEN: &str = "administrator-of-a-throw-away-control-plane";

/// Metadata of every request from outside; what the API server does for itself, and probes, would only be noise. A write is
/// logged already when it arrives: a watch shows what it did before the API server logs its end, and so whoever reads the log
/// knows what to wait for.
const AUDIT_POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- {level: None, users: [system:apiserver]}
- {level: None, nonResourceURLs: [/livez*, /readyz*, /healthz*, /metrics, /version, /openapi/*, /api*]}
- {level: Metadata, verbs: [create, update, patch, delete, deletecollection]}
- {level: Metadata, omitStages: [RequestReceived]}
";

/// The folder with kube-apiserver, etcd and kubectl: `KUBEBUILDER_ASSETS`, else what `make controlplane` built.
pub fn assets() -> Result<PathBuf> {
    let (folder, from) = match std::env::var_os("KUBEBUILDER_ASSETS").filter(|value| !value.is_empty()) {
        Some(value) => (PathBuf::from(value), "KUBEBUILDER_ASSETS"),
        None => (Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/controlplane").join(version()?), "the cache"),
    };
    for binary in ["kube-apiserver", "etcd", "kubectl"] {
        if !folder.join(binary).is_file() {
            let place = folder.join(binary);
            return Err(format!("{} ({from}) is missing: run `make controlplane`", place.display()).into());
        }
    }
    Ok(folder)
}

/// The older version that every API server of this run is to emulate, for example `1.34`; `make test-versions` sets it.
pub fn emulated() -> Option<String> {
    std::env::var("EMULATED_VERSION").ok().filter(|version| !version.is_empty())
}

/// The version of Kubernetes that `make controlplane` builds, for example `v1.37.2`.
pub fn version() -> Result<&'static str> {
    let mut words = PINNED.lines().filter_map(|line| line.trim().strip_prefix("k8s.io/kubernetes "));
    let version = words.next().and_then(|rest| rest.split_whitespace().next());
    version.ok_or_else(|| "hack/controlplane/go.mod pins no k8s.io/kubernetes".into())
}

/// Writes the token file and the audit policy.
pub fn write_files(folder: &Path, users: &[User]) -> Result<()> {
    let mut tokens = format!("{ADMIN_TOKEN},admin,admin,\"system:masters\"\n");
    for User { name, token, groups } in users {
        tokens.extend([token, ",", name, ",", name, ",\"", &groups.join(","), "\"\n"]);
    }
    std::fs::write(folder.join("tokens.csv"), tokens)?;
    std::fs::write(folder.join("audit-policy.yaml"), AUDIT_POLICY)?;
    Ok(())
}

/// etcd listens on a socket in the folder: no port to find, and nobody else on the machine can read it.
pub fn etcd(assets: &Path, folder: &Path) -> Vec<String> {
    let socket = format!("unix://{}/etcd.sock", folder.display());
    vec![
        path(&assets.join("etcd")),
        format!("--data-dir={}/etcd", folder.display()),
        // Nothing here outlives a power cut.
        "--unsafe-no-fsync".to_owned(),
        format!("--listen-client-urls={socket}"),
        format!("--advertise-client-urls={socket}"),
        // A cluster of one speaks to no peer; port 0 is any free one.
        "--listen-peer-urls=http://127.0.0.1:0".to_owned(),
        "--initial-advertise-peer-urls=http://127.0.0.1:0".to_owned(),
        "--initial-cluster=default=http://127.0.0.1:0".to_owned(),
    ]
}

/// kube-apiserver with its defaults in admission, authorization by RBAC, and, unless it is not wanted, an audit log that is written
/// before a request ends.
pub fn apiserver(assets: &Path, folder: &Path, port: u16, options: &Options) -> Vec<String> {
    let file = |name: &str| format!("{}/{name}", folder.display());
    let mut command = vec![
        path(&assets.join("kube-apiserver")),
        format!("--etcd-servers=unix://{}", file("etcd.sock")),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={port}"),
        format!("--cert-dir={}", file("generated")),
        format!("--tls-cert-file={}", file("server.crt")),
        format!("--tls-private-key-file={}", file("server.key")),
        format!("--token-auth-file={}", file("tokens.csv")),
        "--authorization-mode=RBAC".to_owned(),
        "--anonymous-auth=false".to_owned(),
        "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-signing-key-file={}", file("service-accounts.key")),
        format!("--service-account-key-file={}", file("service-accounts.pub")),
        // Ends watches in good order when it is stopped; without it they hold it up until it is killed.
        "--shutdown-watch-termination-grace-period=2s".to_owned(),
        // There is no second API server to agree with.
        "--endpoint-reconciler-type=none".to_owned(),
    ];
    if !options.no_audit {
        command.push(format!("--audit-policy-file={}", file("audit-policy.yaml")));
        command.push(format!("--audit-log-path={}", file("audit.log")));
        command.push("--audit-log-mode=blocking".to_owned());
    }
    command.extend(emulated().map(|version| format!("--emulated-version=kube={version}")));
    command.extend(options.apiserver_flags.iter().cloned());
    command
}

/// kube-controller-manager: garbage collection, namespaces, service accounts. No port of its own.
pub fn controller_manager(assets: &Path, folder: &Path) -> Result<Vec<String>> {
    let binary = assets.join("kube-controller-manager");
    if !binary.is_file() {
        return Err(format!("{} is missing: run `make controlplane`", binary.display()).into());
    }
    let file = |name: &str| format!("{}/{name}", folder.display());
    Ok(vec![
        path(&binary),
        format!("--kubeconfig={}", file("kubeconfig")),
        "--secure-port=0".to_owned(),
        "--leader-elect=false".to_owned(),
        "--use-service-account-credentials=true".to_owned(),
        format!("--service-account-private-key-file={}", file("service-accounts.key")),
        format!("--root-ca-file={}", file("ca.crt")),
        // Only what a cluster without nodes needs.
        "--controllers=garbage-collector-controller,namespace-controller,serviceaccount-controller,\
         serviceaccount-token-controller,clusterrole-aggregation-controller,root-ca-certificate-publisher-controller,\
         validatingadmissionpolicy-status-controller"
            .to_owned(),
    ])
}

/// The kubeconfig of one token.
pub fn kubeconfig(port: u16, ca_file: &Path, token: &str) -> String {
    format!(
        "apiVersion: v1
kind: Config
clusters:
- name: controlplane
  cluster: {{server: 'https://127.0.0.1:{port}', certificate-authority: '{}'}}
users:
- name: user
  user: {{token: '{token}'}}
contexts:
- name: controlplane
  context: {{cluster: controlplane, user: user}}
current-context: controlplane
",
        ca_file.display()
    )
}

fn path(path: &Path) -> String {
    path.display().to_string()
}
