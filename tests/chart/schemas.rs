//! The API server that manifests are judged by, and its schemas in the form that kubeconform reads.

use std::path::Path;

use kube::Client;
use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;

use crate::helm::{NAMESPACE, tool};
use crate::support::controlplane::{ControlPlane, install_crds, shared};
use crate::support::wait_for;

/// The control plane of these tests, with our CRDs, those of the Prometheus operator, and a namespace that enforces and warns of
/// what the restricted Pod Security Standard refuses.
pub async fn cluster() -> (&'static ControlPlane, Client) {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let plane = shared().await.unwrap();
    let client = plane.client().unwrap();
    INSTALLED
        .get_or_init(|| async {
            install_crds(&client).await.unwrap();
            let folder = tool("prometheus-operator").display().to_string();
            plane.kubectl(&["apply", "--server-side", "-f", &folder]).await.unwrap();
            let crds = ["podmonitors", "servicemonitors", "prometheusrules"]
                .map(|kind| format!("crd/{kind}.monitoring.coreos.com"));
            let wait = ["wait", "--for=condition=Established", "--timeout=15s"];
            let arguments: Vec<&str> = wait.into_iter().chain(crds.iter().map(String::as_str)).collect();
            plane.kubectl(&arguments).await.unwrap();
            restricted_namespace(plane).await;
        })
        .await;
    (plane, client)
}

/// Makes the operator's namespace.
pub async fn restricted_namespace(plane: &ControlPlane) {
    plane.kubectl(&["create", "namespace", NAMESPACE]).await.unwrap();
    let (enforce, warn) =
        ("pod-security.kubernetes.io/enforce=restricted", "pod-security.kubernetes.io/warn=restricted");
    plane.kubectl(&["label", "namespace", NAMESPACE, enforce, warn]).await.unwrap();
}

/// Writes `KIND-GROUP-VERSION.json` for each kind that these groups serve, self-contained and strict.
pub async fn write(client: &Client, groups: &[&str], folder: &Path) {
    for group in groups {
        // A new kind is published a moment after it is served.
        let document = wait_for(&format!("the schema of {group}"), std::time::Duration::from_secs(30), async || {
            let request = http::Request::get(format!("/openapi/v3/{group}")).body(Vec::new()).unwrap();
            client.request::<Value>(request).await
        })
        .await
        .unwrap();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        for schema in schemas.values() {
            for kind in schema["x-kubernetes-group-version-kind"].as_array().into_iter().flatten() {
                let text = |field: &str| kind[field].as_str().unwrap().to_lowercase();
                // kubeconform has the version where there is no group.
                let group = if text("group").is_empty() { text("version") } else { text("group") };
                let name = format!("{}-{group}-{}.json", text("kind"), text("version"));
                std::fs::write(folder.join(name), standalone(schema, schemas, &[]).to_string()).unwrap();
            }
        }
    }
}

/// The schema with each reference replaced by what it means, and no field besides the known ones. `within` are the references that
/// led here.
fn standalone(schema: &Value, all: &Map<String, Value>, within: &[&str]) -> Value {
    let again = |value: &Value| standalone(value, all, within);
    match schema {
        Value::Object(fields) => {
            if let Some(name) = fields.get("$ref").and_then(Value::as_str) {
                // A schema of schemas, as in a CRD, contains itself: in there anything goes.
                if within.contains(&name) {
                    return json!({});
                }
                let referred = &all[name.trim_start_matches("#/components/schemas/")];
                return standalone(referred, all, &[within, &[name]].concat());
            }
            // How the API server writes a reference that has a default or a description of its own.
            if let Some([one]) = fields.get("allOf").and_then(Value::as_array).map(Vec::as_slice) {
                return again(one);
            }
            let keep = |name: &str| !matches!(name, "description" | "default" | "example");
            // Of a map of named schemas the names are no keywords.
            let named = |map: &Value| {
                map.as_object().unwrap().iter().map(|(name, value)| (name.clone(), again(value))).collect()
            };
            let mut closed: Map<String, Value> = fields
                .iter()
                .filter(|(name, _)| keep(name))
                .map(|(name, value)| match name.as_str() {
                    "properties" => (name.clone(), Value::Object(named(value))),
                    "enum" | "required" => (name.clone(), value.clone()),
                    _ => (name.clone(), again(value)),
                })
                .collect();
            let open = closed.contains_key("additionalProperties")
                || closed.get("x-kubernetes-preserve-unknown-fields") == Some(&json!(true));
            if closed.contains_key("properties") && !open {
                closed.insert("additionalProperties".to_owned(), json!(false));
            }
            Value::Object(closed)
        }
        Value::Array(items) => items.iter().map(again).collect(),
        plain => plain.clone(),
    }
}
