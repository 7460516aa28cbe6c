//! Who this instance is, and where its Lease lives.

use std::path::Path;

/// Where a pod finds the name of its namespace.
const POD_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
/// Where Linux tells the host name.
const HOSTNAME: &str = "/proc/sys/kernel/hostname";

/// A name for this instance that no other has: the host name, which in a pod is the pod's name, `_`, and 16 random
/// hexadecimal digits. The random part tells the processes of one host apart, and those of one pod before and after a
/// restart: one that comes back must not take itself for the holder.
#[must_use]
pub fn identity() -> String {
    let hostname = line(Path::new(HOSTNAME)).or_else(|| std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty()));
    format!("{}_{:016x}", hostname.as_deref().unwrap_or("unknown"), rand::random::<u64>())
}

/// The namespace of the Lease when none is given: the pod's; outside a pod the context's; `default` if it has none.
#[must_use]
pub fn default_namespace(config: &kube::Config) -> String {
    namespace(Path::new(POD_NAMESPACE), config)
}

/// The file goes first: in a pod with a kubeconfig the Lease still belongs to the pod.
fn namespace(pod: &Path, config: &kube::Config) -> String {
    line(pod).unwrap_or_else(|| match config.default_namespace.as_str() {
        "" => "default".to_owned(),
        context => context.to_owned(),
    })
}

/// What a file of one line holds, if anything.
fn line(file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    Some(text.trim().to_owned()).filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_the_host_and_something_random() {
        let (one, other) = (identity(), identity());
        assert_ne!(one, other);
        let (host, random) = one.rsplit_once('_').unwrap();
        assert!(!host.is_empty() && !host.contains('\n'), "{one:?}");
        assert!(random.len() == 16 && random.chars().all(|digit| digit.is_ascii_hexdigit()), "{one:?}");
        assert_eq!(other.rsplit_once('_').unwrap().0, host);
    }

    #[test]
    fn the_namespace_is_the_pods_then_the_contexts_then_default() {
        let folder = tempfile::tempdir().unwrap();
        let (pod, none) = (folder.path().join("namespace"), folder.path().join("none"));
        std::fs::write(&pod, "the-pods\n").unwrap();
        let mut config = kube::Config::new("https://127.0.0.1:6443".parse().unwrap());
        assert_eq!(namespace(&none, &config), "default");
        config.default_namespace = "the-contexts".to_owned();
        assert_eq!(namespace(&none, &config), "the-contexts");
        assert_eq!(namespace(&pod, &config), "the-pods");
        std::fs::write(&pod, "\n").unwrap();
        assert_eq!(namespace(&pod, &config), "the-contexts");
        config.default_namespace.clear();
        assert_eq!(namespace(&none, &config), "default");
    }
}
