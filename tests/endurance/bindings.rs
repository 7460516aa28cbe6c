//! Bindings while single calls go wrong: the order of writes holds (S2), and nothing is done twice.

use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use partner_integration_operator::api::PartnerIntegration;
use serde_json::{Value, json};

use crate::support::controlplane::{Audited, ControlPlane};
use crate::support::operator::{Operator, USER, allow_bindings};
use crate::support::proxy::{Action, Answer, EventAction, Proxy, Shown};
use crate::support::wait_for;
use crate::world::{ALLOW, BINARY, World, condition};
use crate::{PATIENCE, proxied};

/// Longer than anything in here waits for.
const HELD: EventAction = EventAction::Hold(Duration::from_mins(5));

fn name_of(shown: &Shown) -> &str {
    shown.object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

fn key_in(secret: &Secret) -> &[u8] {
    &secret.data.as_ref().unwrap()["api-key"].0
}

/// A control plane, a proxy before it, and an operator behind that with `--bindings`.
async fn publishing() -> (ControlPlane, Proxy, Operator) {
    let (plane, proxy, kubeconfig) = proxied().await;
    allow_bindings(&plane).await.unwrap();
    let arguments = [&ALLOW[..], &["--bindings"]].concat();
    let operator = Operator::start(BINARY, &plane, "operator", &kubeconfig, &arguments).await.unwrap();
    operator.ready(PATIENCE).await.unwrap();
    (plane, proxy, operator)
}

/// Somebody's Secret takes this name. It is of the type of a binding: a Secret's type cannot change, which would save it
/// from being written over.
async fn takes(world: &World<'_>, name: &str) -> Secret {
    if world.secrets().get_opt(name).await.unwrap().is_some() {
        world.delete_secret(name).await;
    }
    let theirs =
        json!({"metadata": {"name": name}, "type": "servicebinding.io/partner", "stringData": {"api-key": "theirs"}});
    world.secrets().create(&PostParams::default(), &serde_json::from_value(theirs).unwrap()).await.unwrap()
}

/// It is as it was made.
async fn assert_untouched(world: &World<'_>, theirs: &Secret) {
    let name = theirs.metadata.name.as_deref().unwrap();
    let still = world.secrets().get(name).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!((&still.metadata.resource_version, &still.data), (&theirs.metadata.resource_version, &theirs.data));
}

/// An integration with a key of its own, which asks for a binding of its own name if `bound`.
async fn connects(world: &World<'_>, name: &str, bound: bool) {
    world.connect(name, "eu1", "good").await;
    world.reaches(name, "Connected").await;
    if bound {
        world.edit(name, asks_for(&format!("{name}-bound"))).await;
        world.until(name, "bound", |it| it.status.as_ref().is_some_and(|status| status.binding.is_some())).await;
    }
}

fn asks_for(binding: &str) -> Value {
    json!({"spec": {"binding": {"secretName": binding}}})
}

async fn is_not_owned(world: &World<'_>, name: &str) {
    let is = |it: &PartnerIntegration| condition(it, "Ready").is_some_and(|ready| ready.reason == "BindingNotOwned");
    world.until(name, "not owned", is).await;
}

#[tokio::test]
async fn a_binding_is_published_once_and_withdrawn_before_the_status_whatever_call_goes_wrong() {
    let (plane, proxy, operator) = publishing().await;
    let world = &World::on(&plane, "bound", &["eu1"]).await;
    world.sim.accept("eu1", "good");
    world.create_partner(json!({})).await;
    world.put_secret("key", b"good").await;
    let status = |code| Action::Answer(Answer::status(code, Some(1)));
    let faults: [(&str, usize, Action); 7] = [
        ("none", 0, Action::Pass),
        ("cut-before", 1, Action::CutBefore),
        ("cut-after", 1, Action::CutAfter),
        ("e403", 1, status(403)),
        ("e409", 1, status(409)),
        ("e429", 1, status(429)),
        ("e500", 2, status(500)),
    ];
    // A create does not name its Secret in the path: each is made alone.
    for (name, times, action) in faults.clone() {
        let rule = proxy.rule_times(times, action, |asked| asked.method == "POST" && asked.path.ends_with("/secrets"));
        let spec = json!({
            "partner": world.namespace, "region": "eu1", "apiKeySecretRef": {"name": "key"},
            "binding": {"secretName": name},
        });
        world.create(json!({"metadata": {"name": name}, "spec": spec})).await;
        world.until(name, "bound", |it| it.status.as_ref().is_some_and(|status| status.binding.is_some())).await;
        assert_eq!(proxy.lift(rule), times, "{name}: how often it went wrong");
        assert_eq!(key_in(&world.secrets().get(name).await.unwrap()), b"good", "{name}");
    }
    assert!(world.checks() <= faults.len() + 1, "{}: one each, and one where an answer was lost", world.checks());
    let rules = faults.clone().map(|(name, times, action)| {
        let path = format!("/secrets/{name}");
        proxy.rule_times(times, action, move |asked| asked.method == "DELETE" && asked.path.ends_with(&path))
    });
    join_all(faults.iter().map(async |(name, ..)| {
        world.edit(name, json!({"spec": {"suspend": true}})).await;
        world.reaches(name, "Suspended").await;
        assert!(world.secrets().get_opt(name).await.unwrap().is_none(), "{name} is still there");
    }))
    .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let audit = plane.audit().unwrap();
    for ((name, times, _), rule) in faults.iter().zip(rules) {
        assert_eq!(proxy.lift(rule), *times, "{name}: how often it went wrong");
        let writes = |resource: &str| {
            let fits = |seen: &Audited| {
                seen.user == USER
                    && seen.resource == resource
                    && seen.name == *name
                    && seen.is_write()
                    && seen.code < 300
            };
            audit.iter().enumerate().filter(move |(_, seen)| fits(seen)).map(|(at, _)| at).collect::<Vec<_>>()
        };
        let (deleted, said) = (*writes("secrets").last().unwrap(), *writes("partnerintegrations").last().unwrap());
        assert!(deleted < said, "{name}: the status said so before the Secret was gone");
    }
    assert_eq!(operator.terminate().await.unwrap(), 0);
}

/// The answer to its creation is lost, the watch does not show it for long, and in between the connection is ended: whoever
/// believes that it was not created says so while it is there (S2).
#[tokio::test]
async fn a_binding_whose_creation_was_not_answered_does_not_outlive_the_connection() {
    let (plane, proxy, operator) = publishing().await;
    let world = &World::on(&plane, "unsure", &["eu1"]).await;
    world.sim.accept("eu1", "good");
    world.create_partner(json!({})).await;
    world.connect("it", "eu1", "good").await;
    world.reaches("it", "Connected").await;
    let held = proxy.event_rule_nth(1, HELD, |shown| shown.plural == "secrets" && name_of(shown) == "binding");
    let created =
        proxy.rule_times(1, Action::CutAfter, |asked| asked.method == "POST" && asked.path.ends_with("/secrets"));
    // It is asked for; while its key is read, the connection is ended, which is then the next thing to decide.
    let slow = Action::Delay(Duration::from_secs(3));
    let read = proxy.rule_times(1, slow, |asked| asked.method == "GET" && asked.path.ends_with("/secrets/it"));
    world.edit("it", asks_for("binding")).await;
    wait_for("the read of its key", PATIENCE, async || proxy.used(read) == 1).await.unwrap();
    world.edit("it", json!({"spec": {"suspend": true}})).await;
    world.reaches("it", "Suspended").await;
    assert!(world.secrets().get_opt("binding").await.unwrap().is_none(), "it is still there");
    wait_for("the event of it", PATIENCE, async || proxy.used(held) == 1).await.unwrap();
    assert_eq!(proxy.used(created), 1, "it was created");
    assert_eq!(operator.terminate().await.unwrap(), 0);
}

#[tokio::test]
async fn a_secret_of_somebody_else_that_takes_the_name_while_the_binding_is_written_is_left_alone() {
    let (plane, proxy, operator) = publishing().await;
    let world = &World::on(&plane, "taken", &["eu1"]).await;
    world.sim.accept("eu1", "good");
    world.create_partner(json!({})).await;
    world.put_secret("key", b"good").await;
    let spec = json!({
        "partner": world.namespace, "region": "eu1", "apiKeySecretRef": {"name": "key"},
        "binding": {"secretName": "binding"},
    });
    world.create(json!({"metadata": {"name": "it"}, "spec": spec})).await;
    world.until("it", "bound", |it| it.status.as_ref().is_some_and(|status| status.binding.is_some())).await;
    // It is to be written again, and read for that; meanwhile somebody takes its place.
    let slow = Action::Delay(Duration::from_secs(3));
    let rule = proxy.rule_times(1, slow, |asked| asked.method == "GET" && asked.path.ends_with("/secrets/binding"));
    let put = Patch::Merge(json!({"stringData": {"api-key": "somebody's"}}));
    world.secrets().patch("binding", &PatchParams::default(), &put).await.unwrap();
    wait_for("the read of it", PATIENCE, async || proxy.used(rule) == 1).await.unwrap();
    let theirs = takes(world, "binding").await;
    is_not_owned(world, "it").await;
    assert_untouched(world, &theirs).await;
    assert_eq!(operator.terminate().await.unwrap(), 0);
}

/// The watch tells nothing of it, so only what the API server is asked for can save it (S4).
#[tokio::test]
async fn a_secret_of_somebody_else_that_takes_the_name_unseen_is_neither_written_over_nor_deleted() {
    let (plane, proxy, operator) = publishing().await;
    let world = &World::on(&plane, "unseen", &["eu1"]).await;
    world.sim.accept("eu1", "good");
    world.create_partner(json!({})).await;
    for (name, bound) in [("updated", true), ("deleted", true), ("created", false)] {
        connects(world, name, bound).await;
    }
    // It takes the place of a binding that is about to be written again, and has been read for that.
    let slow = Action::Delay(Duration::from_secs(3));
    let rule =
        proxy.rule_times(1, slow, |asked| asked.method == "PUT" && asked.path.ends_with("/secrets/updated-bound"));
    let put = Patch::Merge(json!({"stringData": {"api-key": "somebody's"}}));
    world.secrets().patch("updated-bound", &PatchParams::default(), &put).await.unwrap();
    wait_for("the write of it", PATIENCE, async || proxy.used(rule) == 1).await.unwrap();
    let theirs = [takes(world, "updated-bound").await];
    is_not_owned(world, "updated").await;
    // From now on the watch of Secrets is silent.
    let held = proxy.event_rule_nth(1, HELD, |shown| shown.plural == "secrets");
    let [deleted, created] = [takes(world, "deleted-bound").await, takes(world, "created-bound").await];
    wait_for("an event of a Secret", PATIENCE, async || proxy.used(held) == 1).await.unwrap();
    world.edit("deleted", json!({"spec": {"suspend": true}})).await;
    world.reaches("deleted", "Suspended").await;
    world.edit("created", asks_for("created-bound")).await;
    is_not_owned(world, "created").await;
    for theirs in theirs.iter().chain([&deleted, &created]) {
        assert_untouched(world, theirs).await;
    }
    assert_eq!(operator.terminate().await.unwrap(), 0);
}

#[tokio::test]
async fn a_key_that_changes_while_its_binding_is_written_is_not_in_it_before_it_is_proved() {
    let (plane, proxy, operator) = publishing().await;
    let world = &World::on(&plane, "unproved", &["eu1"]).await;
    world.sim.accept("eu1", "good");
    world.create_partner(json!({})).await;
    connects(world, "it", false).await;
    let slow = Action::Delay(Duration::from_secs(3));
    let read = proxy.rule_times(1, slow, |asked| asked.method == "GET" && asked.path.ends_with("/secrets/it"));
    world.edit("it", asks_for("binding")).await;
    wait_for("the read of its key", PATIENCE, async || proxy.used(read) == 1).await.unwrap();
    world.put_secret("it", b"refused").await;
    world.reaches("it", "CredentialRejected").await;
    let written = |seen: &Audited| seen.user == USER && seen.resource == "secrets" && seen.is_write();
    assert!(!plane.audit().unwrap().iter().any(written), "a binding was written with a key that nobody has proved");
    assert_eq!(operator.terminate().await.unwrap(), 0);
}
