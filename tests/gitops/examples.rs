//! The examples for Flux and Argo CD, against the CRDs of the versions that `hack/gitops/crds.go` names. Their controllers are
//! not run: what is proved is that an API server with these CRDs takes the objects, and that they fit this repository.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::judge::{customizations, foreign_crds, root};
use crate::support::controlplane::{ControlPlane, Options, Ran, install_crds};
use crate::support::wait_for;

/// Each file or folder whose objects are applied.
const EXAMPLES: [&str; 5] = ["flux", "fleet", "argocd/project.yaml", "argocd/root.yaml", "argocd/apps"];
/// How long seven kinds may take until they are served.
const ESTABLISHED: Duration = Duration::from_mins(1);
const NAMESPACES: [&str; 4] = ["flux-system", "argocd", "partner-integration-system", "shop"];

fn path(name: &str) -> String {
    root().join("deploy/gitops").join(name).display().to_string()
}

/// A control plane with our CRDs, those of Flux and of Argo CD, and the namespaces that the examples are for.
async fn plane() -> ControlPlane {
    let plane = ControlPlane::start(Options::default()).await.unwrap();
    install_crds(&plane.client().unwrap()).await.unwrap();
    let crds = foreign_crds().await.unwrap().display().to_string();
    plane.kubectl(&["apply", "--server-side", "-f", &crds]).await.unwrap();
    // `kubectl wait` fails at once while a CRD has no conditions at all; these are large, and take a moment.
    wait_for("the CRDs to be established", ESTABLISHED, async || {
        plane.kubectl(&["wait", "crd", "--all", "--for=condition=Established", "--timeout=5s"]).await
    })
    .await
    .unwrap();
    for namespace in NAMESPACES {
        plane.kubectl(&["create", "namespace", namespace]).await.unwrap();
    }
    plane
}

async fn try_out(plane: &ControlPlane, file: &str, input: &str) -> Ran {
    let arguments = ["apply", "--server-side", "--dry-run=server", "--validate=strict", "-R", "-f", file];
    plane.kubectl_ran(&plane.kubeconfig(), &arguments, input).await.unwrap()
}

#[tokio::test]
async fn an_api_server_with_the_crds_of_flux_and_argo_cd_takes_every_example_and_the_snippet() {
    let plane = plane().await;
    for example in EXAMPLES {
        let ran = try_out(&plane, &path(example), "").await;
        assert!(ran.ok && !ran.stderr.contains("Warning"), "{example}: {}", ran.stderr);
        println!("{example}:\n{}", ran.stdout.trim_end());
    }
    // A check that refuses nothing would prove nothing.
    let text = std::fs::read_to_string(path("flux/cluster.yaml")).unwrap();
    let ran = try_out(&plane, "-", &text.replace("dependsOn:", "dependOn:")).await;
    assert!(!ran.ok && ran.stderr.contains("dependOn"), "{ran:?}");

    // As the head of the snippet says, with what people have there already.
    let argocd = ["-n", "argocd"];
    let have = ["create", "configmap", "argocd-cm", "--from-literal=url=https://argocd.example.com"];
    plane.kubectl(&[&argocd[..], &have].concat()).await.unwrap();
    let snippet = path("argocd/argocd-cm.yaml");
    let patch = ["patch", "configmap", "argocd-cm", "--patch-file", &snippet];
    plane.kubectl(&[&argocd[..], &patch].concat()).await.unwrap();
    let stored =
        plane.kubectl(&[&argocd[..], &["get", "configmap", "argocd-cm", "-o", "json"]].concat()).await.unwrap();
    let stored: Value = serde_json::from_str(&stored).unwrap();
    assert_eq!(stored["data"]["url"], "https://argocd.example.com");
    for kind in ["PartnerIntegration", "Partner"] {
        let script = customizations().join(format!("integrations.kognitiv.com/{kind}/health.lua"));
        let key = format!("resource.customizations.health.integrations.kognitiv.com_{kind}");
        assert_eq!(stored["data"][key], *std::fs::read_to_string(script).unwrap(), "{kind}");
    }
}

/// Every `path` in the objects of this file.
fn paths(file: &Path) -> Vec<String> {
    fn collect(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    match value.as_str() {
                        Some(text) if key == "path" && !text.contains("{{") => found.push(text.to_owned()),
                        _ => collect(value, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            _ => {}
        }
    }
    let text = std::fs::read_to_string(file).unwrap();
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    let mut found = Vec::new();
    for document in &documents {
        collect(document, &mut found);
    }
    found
}

#[test]
fn the_folders_that_the_examples_name_are_there() {
    let files = ["flux/cluster.yaml", "argocd/root.yaml", "argocd/apps/2-catalogue.yaml", "argocd/apps/3-tenants.yaml"];
    let named: Vec<String> = files.iter().flat_map(|file| paths(Path::new(&path(file)))).collect();
    assert_eq!(named.len(), 6, "{named:?}");
    for name in named {
        let folder = root().join(name.trim_end_matches("/*"));
        assert!(folder.is_dir(), "{name}");
    }
}
