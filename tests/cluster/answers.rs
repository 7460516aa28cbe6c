//! Partners that answer badly on purpose: judged as section 6 says, and the operator stays small.

use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::partner::{Behaviour, SimPartner};
use crate::world::{World, cluster, world};

const TEN_GB: u64 = 10 << 30;
/// What the operator may ever hold, in MiB; the debug build needs about 60 with all tests at once.
const MOST_MIB: u64 = 256;

/// A region for each answer, and what it is judged to be with an expression that needs the body and without one.
fn table(elsewhere: &SimPartner, http2: bool) -> Vec<(&'static str, Behaviour, &'static str, &'static str)> {
    let redirect = |code| Behaviour::Redirect(code, elsewhere.endpoint("eu1"));
    // HTTP/2 sends a head whole or not at all; the simulated partner resets the stream instead.
    let slow_head = if http2 { "ConnectFailed" } else { "Timeout" };
    vec![
        ("huge", Behaviour::BodyBytes(TEN_GB), "UnexpectedResponse", "Connected"),
        ("just-too-long", Behaviour::BodyBytes((64 << 10) + 1), "UnexpectedResponse", "Connected"),
        ("just-right", Behaviour::BodyBytes(64 << 10), "Connected", "Connected"),
        ("bomb", Behaviour::GzipBomb, "UnexpectedResponse", "Connected"),
        ("html", Behaviour::Html, "UnexpectedResponse", "Connected"),
        ("no-utf-8", Behaviour::InvalidUtf8, "UnexpectedResponse", "Connected"),
        ("echo", Behaviour::EchoKey(200), "Connected", "Connected"),
        ("echo-refused", Behaviour::EchoKey(403), "CredentialRejected", "CredentialRejected"),
        ("echo-down", Behaviour::EchoKey(500), "PartnerUnavailable", "PartnerUnavailable"),
        ("redirect", redirect(302), "RedirectRefused", "RedirectRefused"),
        ("redirect-307", redirect(307), "RedirectRefused", "RedirectRefused"),
        ("slow-head", Behaviour::TrickleHead, slow_head, slow_head),
        ("slow-body", Behaviour::TrickleBody, "Timeout", "Connected"),
        ("cut-body", Behaviour::CloseMidBody, "ConnectFailed", "Connected"),
    ]
}

/// Connects to each region of a partner that speaks this protocol, with an expression or without.
async fn judged(http2: bool, expression: bool, elsewhere: &SimPartner) {
    judge(http2, expression, table(elsewhere, http2)).await;
    // Apart: in HTTP/2 it ends the connection, and with it whatever is in flight there.
    let header = Behaviour::HugeHeader(4 << 20);
    judge(http2, expression, vec![("huge-header", header, "ConnectFailed", "ConnectFailed")]).await;
}

async fn judge(http2: bool, expression: bool, table: Vec<(&'static str, Behaviour, &str, &str)>) {
    let regions: Vec<&str> = table.iter().map(|(region, ..)| *region).collect();
    let sim = if http2 { SimPartner::start(&regions).await } else { SimPartner::start_http1(&regions).await };
    let world = &World::with(cluster().await.0, "bad-answers", &regions, sim.unwrap()).await;
    let success = if expression { json!({"expression": "body.valid == true"}) } else { Value::Null };
    world.create_partner(json!({"spec": {"check": {"timeout": "3s", "success": success}}})).await;
    world.put_secret("key", b"key-that-must-not-be-seen").await;
    join_all(table.iter().map(async |(region, behaviour, with, without)| {
        world.sim.accept(region, "key-that-must-not-be-seen");
        world.sim.set_region_behaviour(region, Some(behaviour.clone())).unwrap();
        world.configure(region, region, "key").await;
        let found = world.reaches(region, if expression { with } else { without }).await;
        let text = serde_json::to_string(&found).unwrap();
        assert!(!text.contains("must-not-be-seen"), "{region}: {text}");
    }))
    .await;
    let spoken = if http2 { "h2" } else { "http/1.1" };
    let requests = world.sim.requests();
    assert!(requests.iter().all(|request| request.alpn == spoken));
    println!("{spoken}, expression {expression}: {} requests for {} answers", requests.len(), table.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_huge_wrong_or_slow_are_judged_by_what_the_check_needs_of_them() {
    let elsewhere = SimPartner::start(&["eu1"]).await.unwrap();
    tokio::join!(
        judged(true, true, &elsewhere),
        judged(true, false, &elsewhere),
        judged(false, true, &elsewhere),
        judged(false, false, &elsewhere),
    );
    let counters = elsewhere.counters();
    assert_eq!((counters.connections, counters.requests), (0, 0), "a redirect was followed");
    let peak = cluster().await.1.peak_mib().unwrap();
    println!("the operator held {peak} MiB at most");
    assert!(peak < MOST_MIB, "{peak} MiB");
}

#[tokio::test]
async fn an_expression_decides_and_a_rejected_one_goes_first() {
    let world = &world("expressions", &["yes", "no", "number", "refused"]).await;
    let check = json!({
        "success": {"expression": "body.valid == true && status == 200"},
        "rejected": {"expression": "body.error == 'revoked'"},
    });
    world.create_partner(json!({"spec": {"check": check}})).await;
    let table = [
        ("yes", r#"{"valid": true}"#, "Connected"),
        ("no", r#"{"valid": false}"#, "UnexpectedResponse"),
        ("number", r#"{"valid": 1}"#, "UnexpectedResponse"),
        ("refused", r#"{"valid": true, "error": "revoked"}"#, "CredentialRejected"),
    ];
    join_all(table.iter().map(async |(region, body, reason)| {
        let answer = Behaviour::Status(200, vec![], body.as_bytes().to_vec());
        world.sim.set_region_behaviour(region, Some(answer)).unwrap();
        world.connect(region, region, "the-key").await;
        world.reaches(region, reason).await;
    }))
    .await;
}
