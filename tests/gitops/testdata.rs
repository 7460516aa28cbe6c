//! The inputs of Argo CD's tests are what the operator writes, with whatever differs in each run replaced.
//!
//! `INSTA_UPDATE=always` writes them anew.

use serde_json::{Value, json};

use crate::judge::customizations;
use crate::stage::Seen;

/// In place of every time but that of the CRD's default.
const TIME: &str = "2026-01-01T00:00:00Z";
const HEAD: &str =
    "# As the operator wrote it; ids, times and addresses are replaced. A test writes and compares it.\n";

/// Compares the file of a state with what was seen, or writes it.
pub fn compare(kind: &str, name: &str, object: &Value, seen: &Seen) {
    let folder = customizations().join("integrations.kognitiv.com").join(kind).join("testdata");
    let path = folder.join(format!("{name}.yaml"));
    let text = HEAD.to_owned() + &serde_saphyr::to_string(&normalised(object, seen)).unwrap();
    if std::env::var("INSTA_UPDATE").is_ok_and(|value| value == "always") {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    let hint = "run it again with INSTA_UPDATE=always, and read the difference";
    assert_eq!(stored, text, "{} is not what the operator writes: {hint}", path.display());
}

fn normalised(object: &Value, seen: &Seen) -> Value {
    let text = object.to_string();
    let text = text.replace(&format!("{}-absent", seen.namespace), "acme-loyalty");
    // Every entry is one of the same partner.
    let text = ["valid", "patient", "untrusted", "invalid-expression", "invalid-trust-bundle"]
        .iter()
        .fold(text, |text, partner| text.replace(&format!("{}-{partner}", seen.namespace), "acme-loyalty"));
    let text = text.replace(&seen.namespace, "shop").replace(&seen.endpoint, "https://api.acme.example");
    let mut object: Value = serde_json::from_str(&text).unwrap();
    let metadata = object["metadata"].as_object_mut().unwrap();
    metadata.retain(|key, _| ["name", "namespace", "generation"].contains(&key.as_str()));
    metadata.insert("name".to_owned(), json!("acme-loyalty"));
    if object["spec"]["trustBundle"].as_str().is_some_and(|bundle| bundle.contains("BEGIN")) {
        object["spec"]["trustBundle"] = json!("a PEM certificate\n");
    }
    if object["kind"] == "Partner" {
        // The counts follow a moment later, and say nothing of health.
        object["status"]
            .as_object_mut()
            .unwrap()
            .retain(|key, _| !["integrations", "connected"].contains(&key.as_str()));
    }
    volatile(&mut object["status"]);
    object
}

/// Replaces what another run writes differently, wherever it stands.
fn volatile(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match key.as_str() {
                    "lastTransitionTime" | "time" | "notBefore" if *value != "1970-01-01T00:00:00Z" => {
                        *value = json!(TIME);
                    }
                    "digest" => *value = json!("v1:0123456789abcdef"),
                    "secretUID" => *value = json!("5f1bb6a5-0000-4000-8000-000000000000"),
                    "secretResourceVersion" => *value = json!("1"),
                    // Of what is tried again by itself, this run has seen one try or more.
                    "count" => *value = json!(1),
                    _ => volatile(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(volatile),
        _ => {}
    }
}
