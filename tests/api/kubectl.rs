//! What people see in a terminal.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::manifests::{cluster, integration, partner, patched};
use crate::support::controlplane::{ControlPlane, namespace};

/// Ages differ from run to run.
fn without_ages(table: &str) -> String {
    let column = table.lines().next().and_then(|head| head.find("AGE")).unwrap();
    let mut text = String::new();
    for (number, line) in table.lines().enumerate() {
        let mut line = line.to_owned();
        if number > 0 {
            let end = line.len().min(column + "AGE".len());
            line.replace_range(column..end, "0s ");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

async fn apply(plane: &ControlPlane, manifest: &Value) {
    plane.kubectl_with(&["apply", "-f", "-"], &manifest.to_string()).await.unwrap();
}

async fn apply_status(plane: &ControlPlane, manifest: &Value) {
    let arguments = ["apply", "--server-side", "--force-conflicts", "--subresource=status", "-f", "-"];
    plane.kubectl_with(&arguments, &manifest.to_string()).await.unwrap();
}

fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({
        "type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": "2026-11-24T10:00:00Z",
    })
}

/// One integration with its status: partner, display name, phase, region, reason and message of Connected.
async fn shown(plane: &ControlPlane, namespace: &str, row: [&str; 6]) {
    let [name, title, phase, region, reason, message] = row;
    let mut spec = json!({"partner": name});
    let mut status = json!({"observedGeneration": 1, "phase": phase, "connected": phase == "Enabled"});
    if !region.is_empty() {
        spec["region"] = json!(region);
        spec["apiKeySecretRef"] = json!({"name": format!("{name}-key")});
        status["endpoint"] = json!(format!("https://api.{region}.{name}.example"));
    }
    status["partnerName"] = json!(title);
    let connected = if phase == "Enabled" { "True" } else { "False" };
    status["conditions"] =
        json!([condition("Ready", connected, "x", "not this one"), condition("Connected", connected, reason, message)]);
    let base = patched(&integration(), &json!({"metadata": {"name": name, "namespace": namespace}}));
    apply(plane, &patched(&base, &json!({"spec": spec}))).await;
    apply_status(plane, &patched(&base, &json!({"spec": null, "status": status}))).await;
}

/// A namespace with one integration of each phase and one that nobody has looked at.
async fn one_of_each() -> (&'static ControlPlane, String) {
    let (plane, client) = cluster().await;
    let namespace = namespace(&client, "columns").await.unwrap();
    for row in [
        ["datadog", "Datadog", "Enabled", "eu1", "Connected", "connected to datadog in region eu1"],
        ["mailgun", "Mailgun", "Available", "", "NotConfigured", "set spec.region and spec.apiKeySecretRef to connect"],
        ["opsgenie", "Opsgenie", "Failed", "us", "CredentialRejected", "opsgenie refuses the key (401)"],
    ] {
        shown(plane, &namespace, row).await;
    }
    let new = json!({"metadata": {"name": "stripe", "namespace": namespace}, "spec": {"partner": "stripe"}});
    apply(plane, &patched(&integration(), &new)).await;
    (plane, namespace)
}

#[tokio::test]
async fn the_columns_of_integrations() {
    let (plane, namespace) = one_of_each().await;
    let table = plane.kubectl(&["get", "pi", "-n", &namespace]).await.unwrap();
    insta::assert_snapshot!("get_pi", without_ages(&table));
    let table = plane.kubectl(&["get", "pi", "-n", &namespace, "-o", "wide"]).await.unwrap();
    insta::assert_snapshot!("get_pi_wide", without_ages(&table));
}

#[tokio::test]
async fn the_columns_of_partners() {
    let (plane, _) = cluster().await;
    for (name, title, regions) in [("columns-a", "Datadog", Some("ap1,eu1,us1")), ("columns-b", "Mailgun", None)] {
        let base = patched(&partner(), &json!({"metadata": {"name": name}}));
        apply(plane, &patched(&base, &json!({"spec": {"displayName": title}}))).await;
        if let Some(regions) = regions {
            let status = json!({"observedGeneration": 1, "regionNames": regions, "integrations": 12, "connected": 11});
            apply_status(plane, &patched(&base, &json!({"spec": null, "status": status}))).await;
        }
    }
    let table = plane.kubectl(&["get", "partners", "columns-a", "columns-b"]).await.unwrap();
    insta::assert_snapshot!("get_partners", without_ages(&table));
}

#[tokio::test]
async fn integrations_are_selected_by_phase_and_by_partner() {
    let (plane, namespace) = one_of_each().await;
    let selected = async |selector: &str| {
        let arguments = ["get", "pi", "-n", &namespace, "--field-selector", selector, "-o", "name"];
        let names = plane.kubectl(&arguments).await.unwrap();
        names.lines().map(|name| name.rsplit('/').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(selected("status.phase=Failed").await, ["opsgenie"]);
    assert_eq!(selected("status.phase=Enabled").await, ["datadog"]);
    assert_eq!(selected("status.phase=Available").await, ["mailgun", "stripe"]);
    assert_eq!(selected("spec.partner=mailgun").await, ["mailgun"]);
    assert_eq!(selected("spec.partner=mailgun,status.phase=Failed").await, [""; 0]);
    let everywhere = ["get", "pi", "-A", "--field-selector", "status.phase=Failed", "-o", "name"];
    assert!(plane.kubectl(&everywhere).await.unwrap().contains("opsgenie"));
}

#[tokio::test]
async fn the_category_lists_integrations_and_no_catalogue() {
    let (plane, namespace) = one_of_each().await;
    let names = plane.kubectl(&["get", "integrations", "-n", &namespace, "-o", "name"]).await.unwrap();
    assert_eq!(names.lines().count(), 4);
    assert!(names.lines().all(|name| name.starts_with("partnerintegration.integrations.kognitiv.com/")), "{names}");
}

#[tokio::test]
async fn the_crds_install_with_one_command_and_without_a_warning() {
    let (plane, _) = cluster().await;
    let crds = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    let arguments = ["apply", "--server-side", "--force-conflicts", "-f", crds.to_str().unwrap()];
    let ran = plane.kubectl_ran(&plane.kubeconfig(), &arguments, "").await.unwrap();
    assert!(ran.ok && ran.stderr.is_empty(), "{}", ran.stderr);
    assert_eq!(ran.stdout.lines().filter(|line| line.ends_with("serverside-applied")).count(), 2, "{}", ran.stdout);
}

#[tokio::test]
async fn a_refusal_reads_well() {
    let (plane, _) = cluster().await;
    let mut text = String::new();
    let check = |patch: Value| json!({"spec": {"check": patch}});
    for (base, patch) in [
        (partner(), json!({"spec": {"regions": [{"name": "eu1", "endpoint": "http://api.datadoghq.eu/"}]}})),
        (partner(), json!({"spec": {"authentication": {"bearer": {}}}})),
        (partner(), check(json!({"timeout": "2h"}))),
        (partner(), check(json!({"body": "{}", "success": {"statusCodes": [200, 403]}}))),
        (integration(), json!({"spec": {"region": "eu1"}})),
        (integration(), json!({"spec": {"region": "EU 1", "apiKeySecretRef": {"name": "datadog-key"}}})),
        (integration(), json!({"spec": {"apikeySecretRef": {"name": "datadog-key"}}})),
    ] {
        let manifest = patched(&base, &patch);
        for arguments in [["apply", "-f", "-"].as_slice(), &["apply", "--server-side", "-f", "-"]] {
            let ran = plane.kubectl_ran(&plane.kubeconfig(), arguments, &manifest.to_string()).await.unwrap();
            assert!(!ran.ok, "{}", ran.stdout);
            if arguments.len() == 3 {
                let _ = writeln!(text, "{}\n{}", serde_json::to_string(&patch["spec"]).unwrap(), ran.stderr);
            }
        }
    }
    insta::assert_snapshot!("refusals", text);
}

#[tokio::test]
async fn kubectl_explains_a_field() {
    let (plane, _) = cluster().await;
    let text = plane.kubectl(&["explain", "pi.spec.partner"]).await.unwrap();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("Immutable: for another partner delete this object and create another."), "{text}");
    let text = plane.kubectl(&["explain", "partner.spec.check", "--recursive"]).await.unwrap();
    assert!(text.contains("failureThreshold"), "{text}");
}
