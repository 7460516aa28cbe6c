//! Manifests as tables: a base, a change to it, and what the API server must say.

use kube::Client;
use kube::core::Status;
use partner_integration_operator::api::{Partner, PartnerIntegration};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::support::controlplane::{ControlPlane, install_crds, shared};

/// The group and version in a path.
pub const API: &str = "/apis/integrations.kognitiv.com/v1alpha1";

/// The control plane of all these tests, with both CRDs.
pub async fn cluster() -> (&'static ControlPlane, Client) {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let plane = shared().await.unwrap();
    let client = plane.client().unwrap();
    INSTALLED.get_or_init(|| async { install_crds(&plane.client().unwrap()).await.unwrap() }).await;
    (plane, client)
}

/// A Partner with what most have.
pub fn partner() -> Value {
    json!({
        "apiVersion": "integrations.kognitiv.com/v1alpha1",
        "kind": "Partner",
        "metadata": {"name": "datadog"},
        "spec": {
            "displayName": "Datadog",
            "regions": [
                {"name": "eu1", "endpoint": "https://api.datadoghq.eu"},
                {"name": "us1", "endpoint": "https://api.datadoghq.com"},
            ],
            "authentication": {"headers": [{"name": "DD-API-KEY"}]},
            "check": {"path": "/api/v1/validate"},
        },
    })
}

/// An integration that has only been added.
pub fn integration() -> Value {
    json!({
        "apiVersion": "integrations.kognitiv.com/v1alpha1",
        "kind": "PartnerIntegration",
        "metadata": {"name": "datadog", "namespace": "default"},
        "spec": {"partner": "datadog"},
    })
}

/// The base with a JSON merge patch (RFC 7386): null takes a field out, a list takes the place of a list.
pub fn patched(base: &Value, patch: &Value) -> Value {
    let (Some(base), Some(patch)) = (base.as_object(), patch.as_object()) else {
        return patch.clone();
    };
    let mut merged = base.clone();
    for (name, value) in patch {
        if value.is_null() {
            merged.remove(name);
        } else {
            merged.insert(name.clone(), patched(base.get(name).unwrap_or(&Value::Null), value));
        }
    }
    Value::Object(merged)
}

/// Creates it as `kubectl create --dry-run=server` does: everything is validated, unknown fields too, nothing is stored.
pub async fn create(client: &Client, manifest: &Value) -> Result<Value, Box<Status>> {
    let path = match manifest["kind"].as_str() {
        Some("Partner") => format!("{API}/partners"),
        _ => format!("{API}/namespaces/default/partnerintegrations"),
    };
    send(client, "POST", &format!("{path}?dryRun=All&fieldValidation=Strict"), "application/json", manifest).await
}

/// One request; the error is the API server's refusal.
pub async fn send(
    client: &Client,
    method: &str,
    path: &str,
    content_type: &str,
    body: &Value,
) -> Result<Value, Box<Status>> {
    let request = http::Request::builder().method(method).uri(path).header("content-type", content_type);
    match client.request(request.body(body.to_string().into_bytes()).unwrap()).await {
        Ok(answer) => Ok(answer),
        Err(kube::Error::Api(status)) => Err(status),
        Err(error) => panic!("{method} {path}: {error}"),
    }
}

/// Every change of the table is accepted, and the operator can read what the API server made of it: an object that
/// cannot be decoded would stop the watch of the whole kind.
pub async fn all_accepted(base: &Value, table: &[(&str, Value)]) {
    let (_, client) = cluster().await;
    let mut wrong = Vec::new();
    for (name, patch) in table {
        match create(&client, &patched(base, patch)).await {
            Err(status) => wrong.push(format!("{name}: refused: {}", status.message)),
            Ok(stored) => wrong.extend(unreadable(stored).map(|error| format!("{name}: cannot be read: {error}"))),
        }
    }
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), table.len(), wrong.join("\n"));
}

fn unreadable(stored: Value) -> Option<serde_json::Error> {
    if stored["kind"] == "Partner" {
        serde_json::from_value::<Partner>(stored).err()
    } else {
        serde_json::from_value::<PartnerIntegration>(stored).err()
    }
}

/// Every change of the table is refused, with these words, and with nothing else: one mistake, one message.
pub async fn all_refused(base: &Value, table: &[(&str, Value, &str)]) {
    let (_, client) = cluster().await;
    let mut wrong = Vec::new();
    for (name, patch, says) in table {
        match create(&client, &patched(base, patch)).await {
            Ok(_) => wrong.push(format!("{name}: accepted")),
            Err(status) => {
                if let Some(problem) = unlike(&status, says) {
                    wrong.push(format!("{name}: {problem}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), table.len(), wrong.join("\n"));
}

/// What a refusal has against it.
pub fn unlike(status: &Status, says: &str) -> Option<String> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let causes: Vec<_> = causes
        .map(|cause| format!("{}: {}", cause.field, cause.message))
        // The API server's own hint that a size comes before the rules.
        .filter(|cause| !cause.contains("some validation rules were not checked"))
        .collect();
    if status.code != 422 || !status.message.contains(says) {
        Some(format!("{} {}; expected: {says}", status.code, status.message))
    } else if causes.len() != 1 {
        Some(format!("{} messages for one mistake: {causes:#?}", causes.len()))
    } else {
        None
    }
}
