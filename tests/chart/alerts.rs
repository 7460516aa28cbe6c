//! The alerts and the dashboard: rules that Prometheus takes, that fire when they should, over metrics that exist.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};

use crate::helm::{ROOT, rendered, run};
use crate::manifests::{Objects, objects};

fn monitoring() -> Objects {
    let on = json!({"enabled": true});
    objects(&rendered(&json!({"metrics": {"prometheusRule": on, "dashboard": on}})).unwrap())
}

fn rules(objects: &Objects) -> &Value {
    &objects["PrometheusRule/partner-integration-system/partner-integration-operator"]["spec"]
}

fn dashboard(objects: &Objects) -> Value {
    let config = &objects["ConfigMap/partner-integration-system/partner-integration-operator-dashboard"]["data"];
    serde_json::from_str(config["partner-integrations.json"].as_str().unwrap()).unwrap()
}

#[test]
fn alerts_fire_when_they_should_and_not_before() {
    if Command::new("promtool").arg("--version").output().is_err() {
        eprintln!(
            "the alerts were not tried: promtool is missing; get it, for example with the package `prometheus` of Debian"
        );
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rules.yaml"), rules(&monitoring()).to_string()).unwrap();
    let story = std::fs::read_to_string(format!("{ROOT}/tests/chart/alerts.yaml")).unwrap();
    let story = story.replace("VERSION", env!("CARGO_PKG_VERSION"));
    std::fs::write(folder.path().join("alerts.yaml"), story).unwrap();
    for arguments in [["check", "rules", "rules.yaml"], ["test", "rules", "alerts.yaml"]] {
        let output = run(Command::new("promtool").args(arguments).current_dir(folder.path()), "");
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    }
}

/// The names of ours in a text, without what Prometheus puts behind a histogram's.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let names = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    let ours = names.filter(|name| name.starts_with("partner_integration_"));
    ours.map(|name| name.trim_end_matches("_bucket").to_owned()).collect()
}

#[test]
fn alerts_and_dashboard_use_metrics_that_the_operations_guide_has() {
    let objects = monitoring();
    let guide = metrics_in(&std::fs::read_to_string(format!("{ROOT}/docs/operations.md")).unwrap());
    for (what, text) in [("alerts", rules(&objects).to_string()), ("dashboard", dashboard(&objects).to_string())] {
        let used = metrics_in(&text);
        assert!(used.len() > 4, "{what}: {used:?}");
        assert!(used.is_subset(&guide), "{what}: {:?}", used.difference(&guide));
    }
}

#[test]
fn every_alert_says_what_to_do_and_is_in_the_operations_guide() {
    let objects = monitoring();
    let guide = std::fs::read_to_string(format!("{ROOT}/docs/operations.md")).unwrap();
    for rule in rules(&objects)["groups"][0]["rules"].as_array().unwrap() {
        let name = rule["alert"].as_str().unwrap();
        assert!(guide.contains(&format!("| `{name}` |")), "{name} is not in docs/operations.md");
        for annotation in ["summary", "description", "runbook_url"] {
            assert!(rule["annotations"][annotation].is_string(), "{name} has no {annotation}");
        }
        let runbook = rule["annotations"]["runbook_url"].as_str().unwrap();
        let heading = runbook.rsplit_once("docs/operations.md#").unwrap().1;
        let headings = guide.lines().filter_map(|line| line.strip_prefix("## "));
        assert!(headings.map(|text| text.to_lowercase().replace(' ', "-")).any(|text| text == heading), "{runbook}");
    }
}

#[test]
fn the_dashboard_has_what_grafana_needs() {
    let objects = monitoring();
    let dashboard = dashboard(&objects);
    assert_eq!(dashboard["uid"], "partner-integrations");
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    for panel in panels {
        for target in panel["targets"].as_array().unwrap() {
            assert!(target["expr"].as_str().is_some_and(|expression| !expression.is_empty()), "{panel:#}");
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{panel:#}");
        }
    }
}
