//! Events on an integration: one for each transition, none in between, and never in the way of anything.

use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;
use serde_json::json;

use crate::metrics::value;
use crate::support::operator::USER;
use crate::support::partner::Behaviour;
use crate::support::wait_for;
use crate::world::{ALLOW, LIMIT, World, own_operator, own_plane};

/// The Events of an integration, in the order in which they happened.
async fn events(world: &World<'_>, name: &str) -> Vec<Event> {
    let api = Api::<Event>::namespaced(world.client.clone(), &world.namespace);
    let regarding = ListParams::default().fields(&format!("regarding.name={name}"));
    let mut events = api.list(&regarding).await.unwrap().items;
    events.sort_by(|a, b| a.event_time.cmp(&b.event_time));
    events
}

/// Waits until the reasons and types of an integration's Events are these.
async fn told(world: &World<'_>, name: &str, wanted: &[(&str, &str)]) -> Vec<Event> {
    wait_for(&format!("the Events of {name}"), LIMIT, async || {
        let events = events(world, name).await;
        let of = |event: &Event| (event.reason.clone().unwrap_or_default(), event.type_.clone().unwrap_or_default());
        let seen: Vec<(String, String)> = events.iter().map(of).collect();
        let same = seen.iter().map(|(reason, kind)| (reason.as_str(), kind.as_str())).eq(wanted.iter().copied());
        if same { Ok(events) } else { Err(format!("{seen:?}")) }
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn each_turn_is_one_event_and_what_is_no_turn_is_none() {
    let (plane, kubeconfig) = own_plane().await;
    let operator = own_operator(&plane, &kubeconfig, &ALLOW).await;
    let world = World::on(&plane, "events", &["eu1"]).await;
    world.sim.accept("eu1", "first-key");
    world.sim.accept("eu1", "second-key");
    world.create_partner(json!({"spec": {"check": {"timeout": "1s"}}})).await;
    world.add("it").await;
    world.reaches("it", "NotConfigured").await;
    world.edit("it", json!({"spec": {"region": "eu1", "apiKeySecretRef": {"name": "it"}}})).await;
    world.reaches("it", "SecretNotFound").await;
    world.put_secret("it", b"first-key").await;
    let uid = world.reaches("it", "Connected").await.metadata.uid;
    let secret = world.put_secret("it", b"second-key").await;
    let rotated = |version: Option<String>| {
        move |object: &partner_integration_operator::api::PartnerIntegration| {
            let verified = object.status.as_ref().and_then(|status| status.verified.as_ref());
            verified.map(|verified| &verified.secret_resource_version) == version.as_ref()
        }
    };
    world.until("it", "proved with the second key", rotated(secret.metadata.resource_version)).await;
    // Neither a failure below the threshold nor the end of it is a turn.
    world.sim.set_behaviour(Behaviour::HangForever).await.unwrap();
    world.ask("it", "1").await;
    world.reaches("it", "CheckFailing").await;
    world.sim.set_behaviour(Behaviour::Normal).await.unwrap();
    world.ask("it", "2").await;
    world.reaches("it", "Connected").await;
    world.put_secret("it", b"third-key-that-is-refused").await;
    world.reaches("it", "CredentialRejected").await;
    // The same failure again, of another key.
    world.put_secret("it", b"fourth-key-that-is-refused").await;
    wait_for("the check", LIMIT, async || world.checks_with("fourth-key-that-is-refused") == 1).await.unwrap();
    world.edit("it", json!({"spec": {"region": "mars"}})).await;
    world.reaches("it", "RegionNotFound").await;
    world.edit("it", json!({"spec": {"suspend": true}})).await;
    world.reaches("it", "Suspended").await;
    let wanted = [
        ("ConnectFailed", "Warning"),
        ("Connected", "Normal"),
        ("KeyRotated", "Normal"),
        ("Disconnected", "Warning"),
        ("ConnectFailed", "Warning"),
    ];
    let events = told(&world, "it", &wanted).await;
    let reasons = ["SecretNotFound: ", "", "", "CredentialRejected: ", "RegionNotFound: "];
    for (event, reason) in events.iter().zip(reasons) {
        let note = event.note.as_deref().unwrap();
        assert!(note.starts_with(reason) && !note.contains("-key-") && !note.contains("first-key"), "{note}");
        let regarding = event.regarding.as_ref().unwrap();
        assert_eq!((&regarding.uid, regarding.kind.as_deref()), (&uid, Some("PartnerIntegration")));
        let controller = event.reporting_controller.as_deref();
        assert_eq!(controller, Some("integrations.kognitiv.com/partner-integration-operator"));
    }
    let described = plane.kubectl(&["describe", "pi", "it", "-n", &world.namespace]).await.unwrap();
    assert!(described.contains("KeyRotated") && described.contains("CredentialRejected: "), "{described}");
    // Nothing more comes of a state that stays.
    world.edit("it", json!({"metadata": {"labels": {"team": "shop"}}})).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    told(&world, "it", &wanted).await;
    assert_eq!(operator.terminate().await.unwrap(), 0);
}

/// When the operator asked for each Event, from the audit log, in seconds.
fn asked_at(world: &World<'_>) -> Vec<f64> {
    let mut asked = world.plane.audit().unwrap();
    asked.retain(|seen| seen.user == USER && seen.resource == "events");
    let at = |received: &str| received.parse::<jiff::Timestamp>().unwrap().as_duration().as_secs_f64();
    asked.iter().map(|seen| at(&seen.received)).collect()
}

#[tokio::test]
async fn a_flood_is_paced_behind_the_statuses_and_a_missing_grant_costs_events_alone() {
    const MANY: usize = 240;
    let (plane, kubeconfig) = own_plane().await;
    let arguments = [&ALLOW[..], &["--integration-metrics=false"]].concat();
    let operator = own_operator(&plane, &kubeconfig, &arguments).await;
    let world = World::on(&plane, "flood", &["eu1"]).await;
    world.create_partner(json!({})).await;
    let names: Vec<String> = (0..MANY).map(|number| format!("it-{number}")).collect();
    join_all(names.iter().map(async |name| world.configure(name, "eu1", "absent").await)).await;
    for name in &names {
        world.reaches(name, "SecretNotFound").await;
    }
    let written = asked_at(&world).len();
    println!("{written} of {MANY} Events were written when the last status was");
    wait_for("every Event", LIMIT, async || {
        let count = asked_at(&world).len();
        if count == MANY { Ok(()) } else { Err(count.to_string()) }
    })
    .await
    .unwrap();
    let at = asked_at(&world);
    for from in &at {
        let within = |seconds: f64| at.iter().filter(|at| (*from..from + seconds).contains(at)).count();
        // What was held up on the way may arrive together with what follows.
        assert!(within(1.0) <= 125 && within(3.0) <= 165, "{} {}", within(1.0), within(3.0));
    }
    let created = [("kind", "Event"), ("verb", "create")];
    assert_eq!(value(&operator, "api_writes_total", &created).await, Some(240.0));
    assert_eq!(value(&operator, "events_dropped_total", &[]).await, Some(0.0));
    // This one was told to give no series of integrations.
    assert_eq!(value(&operator, "connected", &[("name", "it-0")]).await, None);

    let role = json!([{"op": "test", "path": "/rules/2/resources/0", "value": "events"}, {"op": "remove", "path": "/rules/2"}]);
    let name = crate::support::operator::NAME;
    plane.kubectl(&["patch", "clusterrole", name, "--type=json", "-p", &role.to_string()]).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.configure("late", "eu1", "absent").await;
    world.reaches("late", "SecretNotFound").await;
    wait_for("the Event to be dropped", LIMIT, async || {
        let dropped = value(&operator, "events_dropped_total", &[]).await;
        if dropped == Some(1.0) { Ok(()) } else { Err(format!("{dropped:?}")) }
    })
    .await
    .unwrap();
    assert!(operator.log().contains("create on events in events.k8s.io"));
    let (code, words) = operator.admin("/readyz").await.unwrap();
    assert!(code == 503 && words.starts_with("events: create: forbidden (403)"), "{code}: {words}");
    assert_eq!(operator.terminate().await.unwrap(), 0);
}
