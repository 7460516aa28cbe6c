//! Traces: what a collector gets, what it never gets, and that nobody waits for it.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::canary::{self, REGIONS};
use crate::collector::{Collector, Manner, Received};
use crate::support::operator::Operator;
use crate::support::wait_for;
use crate::world::{ALLOW, BINARY, LIMIT, World, cluster, own_operator, own_plane};

fn lines(operator: &Operator) -> Vec<Value> {
    operator.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn find<'s>(spans: &'s [Received], name: &str, key: &str, value: &str) -> Vec<&'s Received> {
    spans.iter().filter(|span| span.name == name && span.says(key) == value).collect()
}

#[tokio::test]
async fn a_collector_gets_spans_that_say_why_a_check_was_made_and_no_key_and_no_answer() {
    let (plane, kubeconfig) = own_plane().await;
    let collector = Collector::start(Manner::Takes).await;
    let operator =
        own_operator(&plane, &kubeconfig, &[&ALLOW[..], &["--otlp-endpoint", &collector.endpoint]].concat()).await;
    let world = World::on(&plane, "traces", &REGIONS).await;
    canary::partner(&world).await;
    canary::scenes(&world).await;

    let spans = wait_for("the spans of an integration", LIMIT, async || {
        let spans = collector.spans();
        let linked = |span: &Received| span.says("partner_integration.name") == "echo" && !span.links.is_empty();
        if spans.iter().any(linked) { Ok(spans) } else { Err(format!("{} spans", spans.len())) }
    })
    .await
    .unwrap();

    // A check belongs to the reconcile that started it; the reconcile that takes its outcome up is linked to it.
    let checks = find(&spans, "check", "partner_integration.name", "echo");
    let [check] = checks[..] else { panic!("{checks:#?}") };
    let said: Vec<_> =
        ["partner", "region", "result"].map(|key| check.says(&format!("partner_integration.{key}"))).into();
    assert_eq!(said, [&*world.namespace, "echo", "Connected"]);
    assert_eq!(check.says("k8s.namespace.name"), world.namespace);
    assert!(!check.failed && check.says("error.type").is_empty());
    let started_by = spans.iter().find(|span| span.id == check.parent).expect("the parent of the check");
    assert_eq!((started_by.name.as_str(), &started_by.trace), ("reconcile", &check.trace));
    assert_eq!(started_by.says("partner_integration.name"), "echo");
    let concluded = spans.iter().find(|span| span.links.contains(&check.id)).expect("who took the outcome up");
    assert_eq!((concluded.name.as_str(), concluded.says("partner_integration.result")), ("reconcile", "success"));
    let write_of = |spans: &[Received], resource: &str| {
        let writes = find(spans, "api write", "partner_integration.api.resource", resource);
        writes.into_iter().find(|span| span.parent == concluded.id).cloned().expect("a write of that reconcile")
    };
    let write = write_of(&spans, "partnerintegrations/status");
    let said: Vec<_> =
        ["api.verb", "api.resource", "result"].map(|key| write.says(&format!("partner_integration.{key}"))).into();
    assert_eq!(said, ["patch", "partnerintegrations/status", "success"]);
    let request = spans.iter().find(|span| span.parent == check.id).expect("the request of the check");
    assert_eq!((request.name.as_str(), request.says("server.address")), ("GET", "127.0.0.1"));

    // A failed one says so, with the status code and nothing else of the answer.
    let refused = find(&spans, "check", "partner_integration.result", "CredentialRejected");
    assert!(
        refused.iter().all(|check| check.failed && check.says("error.type") == "CredentialRejected"),
        "{refused:#?}"
    );
    assert!(refused.iter().any(|check| check.says("http.response.status_code") == "401"), "{refused:#?}");

    // The log names the traces.
    let written = lines(&operator)
        .into_iter()
        .find(|line| line["name"] == "echo" && line["reason"] == "Connected")
        .expect("the line of the status");
    assert_eq!((&written["trace_id"], &written["span_id"]), (&json!(concluded.trace), &json!(concluded.id)));

    assert!(collector.paths().iter().all(|path| path == "/v1/traces"));
    let resource = collector.resource();
    assert_eq!(resource["service.name"], "partner-integration-operator");
    assert_eq!(resource["service.version"], env!("CARGO_PKG_VERSION"));

    // What ended last is there too, once the process has ended.
    world.edit("echo", json!({"spec": {"suspend": true}})).await;
    world.reaches("echo", "Suspended").await;
    assert_eq!(operator.terminate().await.unwrap(), 0);
    let all = collector.spans();
    assert!(all.len() > spans.len(), "nothing was flushed");
    assert_eq!(write_of(&all, "events").says("partner_integration.result"), "success");
    let names: BTreeSet<&str> = all.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["GET", "api write", "check", "reconcile"].into(), "nothing of a library");
    let sent = collector.bytes();
    assert!(sent.contains(&world.namespace) && sent.contains("CredentialRejected"));
    canary::search("what the collector got", &sent);
}

#[tokio::test]
async fn a_collector_that_is_away_or_hangs_holds_nothing_up_and_the_process_ends_in_time() {
    let (plane, kubeconfig) = own_plane().await;
    let hanging = Collector::start(Manner::Hangs).await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let away = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    for (name, endpoint) in [("hanging", &hanging.endpoint), ("away", &away)] {
        let operator = own_operator(&plane, &kubeconfig, &[&ALLOW[..], &["--otlp-endpoint", endpoint]].concat()).await;
        let world = World::on(&plane, name, &["eu1"]).await;
        world.sim.accept("eu1", "the-key");
        world.create_partner(json!({})).await;
        for name in ["a", "b", "c"] {
            world.connect(name, "eu1", "the-key").await;
        }
        for name in ["a", "b", "c"] {
            world.reaches(name, "Connected").await;
        }
        if name == "hanging" {
            wait_for("a batch to hang", LIMIT, async || !hanging.paths().is_empty()).await.unwrap();
        } else {
            let told = "traces are not taken by the collector";
            wait_for("the line of the log", LIMIT, async || operator.log().contains(told)).await.unwrap();
            assert_eq!(operator.log().matches(told).count(), 1, "told of once");
        }
        world.ask("a", "again").await;
        world.cost("a", 4, 2).await;
        // Within the limit of the support: the grace period of 10 s, and some.
        assert_eq!(operator.terminate().await.unwrap(), 0, "{name}");
    }
}

#[tokio::test]
async fn without_an_endpoint_no_line_names_a_trace() {
    let (_, operator) = cluster().await;
    let log = operator.log();
    assert!(!log.is_empty() && !log.contains("trace_id") && !log.contains("traces are exported"));
}

#[tokio::test]
async fn an_endpoint_that_is_none_ends_the_process_before_anything_else() {
    type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);

    let table: [Case; 3] = [
        (&["--otlp-endpoint", "collector:4317"], &[], "--otlp-endpoint is no URL of a collector"),
        (&[], &[("OTEL_EXPORTER_OTLP_ENDPOINT", "nonsense")], "OTEL_EXPORTER_OTLP_ENDPOINT is no URL"),
        (
            &["--otlp-endpoint", "http://127.0.0.1:4317"],
            &[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
            "OTEL_EXPORTER_OTLP_PROTOCOL asks for another protocol",
        ),
    ];
    for (arguments, environment, says) in table {
        let mut command = tokio::process::Command::new(BINARY);
        command.arg("run").args(arguments).env_clear().envs(environment.iter().copied()).kill_on_drop(true);
        let output = tokio::time::timeout(Duration::from_secs(20), command.output()).await.unwrap().unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && words.starts_with("error: ") && words.contains(says), "{words}");
        assert_eq!(words.lines().count(), 1, "{words}");
    }
}
