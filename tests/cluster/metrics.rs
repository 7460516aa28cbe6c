//! `/metrics`, as Prometheus asks for it and as `curl` does: valid, complete, and without what is gone.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use kube::api::DeleteParams;
use serde_json::json;

use crate::support::exposition::{Exposition, Text, parse};
use crate::support::operator::Operator;
use crate::support::partner::Behaviour;
use crate::support::wait_for;
use crate::world::{LIMIT, World, cluster, world};

/// What Prometheus 2 and 3 send.
const PROMETHEUS: &str = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

/// A scrape: the content type, and the text as it came and as it reads.
pub async fn scrape(operator: &Operator, accept: &str) -> (String, String, Exposition) {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
    let answer = client.get(operator.admin_url("/metrics")).header("accept", accept).send().await.unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    let text = answer.text().await.unwrap();
    let format = if kind.starts_with("application/openmetrics-text") { Text::OpenMetrics } else { Text::Prometheus };
    let read = parse(&text, format).unwrap_or_else(|problem| panic!("{problem}\n{text}"));
    (kind, text, read)
}

/// The value of one series.
pub async fn value(operator: &Operator, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    scrape(operator, PROMETHEUS).await.2.value(&format!("partner_integration_{name}"), labels)
}

/// Waits for a series to have a value, or to be gone.
async fn until(operator: &Operator, name: &str, labels: &[(&str, &str)], wanted: Option<f64>) {
    wait_for(&format!("{name} {labels:?} to be {wanted:?}"), LIMIT, async || {
        let seen = value(operator, name, labels).await;
        if seen == wanted { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_scrape_is_valid_in_both_formats_and_promtool_accepts_it() {
    let (_, operator) = cluster().await;
    let world = world("scraped", &["eu1"]).await;
    world.sim.accept("eu1", "good");
    world.create_partner(json!({})).await;
    world.connect("it", "eu1", "good").await;
    world.reaches("it", "Connected").await;
    let (kind, _, read) = scrape(operator, PROMETHEUS).await;
    assert_eq!(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(read.families.keys().all(|name| name.starts_with("partner_integration")), "{:?}", read.families);
    assert_eq!(read.value("partner_integration_leader", &[]), Some(1.0));
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    assert_eq!(read.value("partner_integration_operator_build_info", &version), Some(1.0));
    for (name, labels) in [
        ("partner_integration_reconcile_total", &[("result", "success")][..]),
        ("partner_integration_reconcile_duration_seconds_count", &[]),
        ("partner_integration_api_writes_total", &[("kind", "PartnerIntegration"), ("verb", "patch")]),
        ("partner_integration_api_writes_total", &[("kind", "Partner"), ("verb", "patch")]),
    ] {
        assert!(read.value(name, labels).is_some_and(|value| value > 0.0), "{name} {labels:?}");
    }
    let (kind, text, _) = scrape(operator, "*/*").await;
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    promtool(&text);
}

fn promtool(text: &str) {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut promtool) = command.spawn() else {
        println!("promtool is not installed; the strict reader alone has read it");
        return;
    };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let said = promtool.wait_with_output().unwrap();
    let words = [said.stdout, said.stderr].concat();
    assert!(said.status.success() && words.is_empty(), "{}", String::from_utf8_lossy(&words));
}

#[tokio::test]
async fn the_series_of_an_integration_say_what_its_status_says_and_end_with_it() {
    let (_, operator) = cluster().await;
    let world = world("series", &["eu1"]).await;
    world.sim.accept("eu1", "good");
    world.create_partner(json!({})).await;
    world.connect("good", "eu1", "good").await;
    world.connect("wrong", "eu1", "wrong").await;
    world.add("added").await;
    for (name, reason) in [("good", "Connected"), ("wrong", "CredentialRejected"), ("added", "NotConfigured")] {
        world.reaches(name, reason).await;
    }
    let namespace = world.namespace.as_str();
    for (name, region, phase, checked) in
        [("good", "eu1", "Enabled", true), ("wrong", "eu1", "Failed", true), ("added", "", "Available", false)]
    {
        let of = [("namespace", namespace), ("name", name)];
        until(operator, "status_phase", &[of[0], of[1], ("phase", phase)], Some(1.0)).await;
        let read = scrape(operator, PROMETHEUS).await.2;
        let phases = read.all("partner_integration_status_phase", &of);
        assert_eq!((phases.len(), phases.iter().map(|sample| sample.value).sum()), (3, 1.0), "{phases:?}");
        let info = read.value("partner_integration_info", &[of[0], of[1], ("partner", namespace), ("region", region)]);
        assert_eq!(info, Some(1.0), "{name}");
        let connected = read.value("partner_integration_connected", &[of[0], of[1], ("partner", namespace)]);
        assert_eq!(connected, Some(f64::from(u8::from(phase == "Enabled"))), "{name}");
        let last = read.value("partner_integration_last_check_timestamp_seconds", &of);
        assert_eq!(last.is_some(), checked, "{name}");
        let now = jiff::Timestamp::now().as_duration().as_secs_f64();
        assert!(last.is_none_or(|last| (now - 60.0..now + 1.0).contains(&last)), "{name}: {last:?} at {now}");
    }
    for result in ["Connected", "CredentialRejected"] {
        let labels = [("partner", namespace), ("region", "eu1"), ("result", result)];
        assert_eq!(value(operator, "checks_total", &labels).await, Some(1.0), "{result}");
    }
    let of = [("partner", namespace), ("region", "eu1")];
    assert_eq!(value(operator, "check_duration_seconds_count", &of).await, Some(2.0));
    gone(operator, &world).await;
}

/// Series of the integration that is deleted, and then of the partner, end.
async fn gone(operator: &Operator, world: &World<'_>) {
    let mentions = async |name: &str| {
        let read = scrape(operator, PROMETHEUS).await.2;
        read.samples.into_iter().filter(|sample| sample.labels.values().any(|value| value == name)).collect::<Vec<_>>()
    };
    world.integrations().delete("wrong", &DeleteParams::default()).await.unwrap();
    until(operator, "info", &[("namespace", &world.namespace), ("name", "wrong")], None).await;
    let left: Vec<_> = mentions(&world.namespace).await;
    assert!(left.iter().all(|sample| sample.labels.get("name").is_none_or(|name| name != "wrong")), "{left:#?}");
    for name in ["good", "added"] {
        world.integrations().delete(name, &DeleteParams::default()).await.unwrap();
    }
    world.partners().delete(&world.namespace, &DeleteParams::default()).await.unwrap();
    wait_for("every series of them to end", LIMIT, async || {
        let left = mentions(&world.namespace).await;
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_check_that_hangs_is_in_flight_until_it_is_cancelled() {
    let (_, operator) = cluster().await;
    let world = world("flight", &["eu1"]).await;
    world.sim.set_region_behaviour("eu1", Some(Behaviour::HangForever)).unwrap();
    world.create_partner(json!({"spec": {"check": {"timeout": "60s"}}})).await;
    let of = [("partner", world.namespace.as_str())];
    until(operator, "checks_in_flight", &of, Some(0.0)).await;
    world.connect("it", "eu1", "good").await;
    until(operator, "checks_in_flight", &of, Some(1.0)).await;
    world.edit("it", json!({"spec": {"suspend": true}})).await;
    until(operator, "checks_in_flight", &of, Some(0.0)).await;
}
