//! The binding Secret of an integration: published, rotated, withdrawn, and left alone where it is somebody else's.

use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use partner_integration_operator::api::PartnerIntegration;
use serde_json::json;
use tokio::sync::OnceCell;

use crate::support::controlplane::{Audited, ControlPlane, Options, install_crds};
use crate::support::operator::{Operator, USER, allow_bindings, kubeconfig};
use crate::support::wait_for;
use crate::world::{ALLOW, LIMIT, World, condition, own_operator, own_plane};

const SOON: Duration = Duration::from_secs(1);
/// The garbage collector looks for new kinds every 30 seconds, and this control plane has just got two.
const COLLECTED: Duration = Duration::from_secs(100);

/// A control plane and an operator with --bindings, for all tests here.
async fn cluster() -> &'static (ControlPlane, Operator) {
    static SHARED: OnceCell<(ControlPlane, Operator)> = OnceCell::const_new();
    let start = async || {
        // Its garbage collector takes what is owned by an integration that is gone.
        let plane = ControlPlane::start(Options::default().controller_manager()).await.unwrap();
        install_crds(&plane.client().unwrap()).await.unwrap();
        let kubeconfig = kubeconfig(&plane).await.unwrap();
        allow_bindings(&plane).await.unwrap();
        let operator = own_operator(&plane, &kubeconfig, &[&ALLOW[..], &["--bindings"]].concat()).await;
        (plane, operator)
    };
    SHARED.get_or_init(start).await
}

/// A namespace with an integration `it` that has a key of its own and asks for the binding `binding`.
async fn bound(prefix: &str) -> World<'static> {
    let world = World::on(&cluster().await.0, prefix, &["eu1", "us1"]).await;
    world.sim.accept("eu1", "good");
    world.sim.accept("eu1", "new");
    world.create_partner(json!({})).await;
    ask_for(&world, "binding").await;
    named(&world, Some("binding")).await;
    world
}

async fn ask_for(world: &World<'_>, binding: &str) {
    world.put_secret("key", b"good\n").await;
    let spec = json!({
        "partner": world.namespace, "region": "eu1", "apiKeySecretRef": {"name": "key"},
        "binding": {"secretName": binding},
    });
    world.create(json!({"metadata": {"name": "it"}, "spec": spec})).await;
}

fn binding_of(it: &PartnerIntegration) -> Option<&str> {
    it.status.as_ref()?.binding.as_ref().map(|bound| bound.name.as_str())
}

/// Waits until `status.binding` says so.
async fn named(world: &World<'_>, name: Option<&str>) -> Duration {
    world.until("it", "bound", |it| binding_of(it) == name).await.1
}

fn entry(secret: &Secret, name: &str) -> String {
    let found = secret.data.as_ref().and_then(|data| data.get(name));
    String::from_utf8(found.unwrap_or_else(|| panic!("no {name}")).0.clone()).unwrap()
}

async fn exists(world: &World<'_>, name: &str) -> bool {
    world.secrets().get_opt(name).await.unwrap().is_some()
}

/// The operator's writes of Secrets and statuses in this namespace, in their order.
fn writes(world: &World<'_>) -> Vec<Audited> {
    let mut writes = world.plane.audit().unwrap();
    writes.retain(|seen| {
        seen.user == USER
            && seen.is_write()
            && seen.namespace == world.namespace
            && ["secrets", "partnerintegrations"].contains(&seen.resource.as_str())
    });
    writes
}

fn told(writes: &[Audited]) -> Vec<String> {
    writes.iter().map(|seen| format!("{} {} {}", seen.verb, seen.resource, seen.code)).collect()
}

#[tokio::test]
async fn a_binding_is_published_while_connected_with_what_an_application_needs() {
    let world = bound("published").await;
    let secret = world.secrets().get("binding").await.unwrap();
    let entries: Vec<_> =
        secret.data.as_ref().unwrap().keys().map(|name| (name.as_str(), entry(&secret, name))).collect();
    let expected = [
        ("api-key", "good".to_owned()),
        ("provider", world.namespace.clone()),
        ("region", "eu1".to_owned()),
        ("type", "partner".to_owned()),
        ("uri", world.sim.endpoint_by_address("eu1")),
    ];
    assert_eq!(entries, expected);
    assert_eq!(secret.type_.as_deref(), Some("servicebinding.io/partner"));
    let it = world.get("it").await;
    let verified = it.status.as_ref().unwrap().verified.clone().unwrap();
    let stamp = format!("{}/{}/{}", verified.digest, verified.secret_uid, verified.secret_resource_version);
    let annotations = secret.metadata.annotations.as_ref().unwrap();
    assert_eq!(annotations.get("integrations.kognitiv.com/verified"), Some(&stamp));
    let labels = secret.metadata.labels.as_ref().unwrap();
    assert_eq!(labels["app.kubernetes.io/managed-by"], "partner-integration-operator");
    let owner = &secret.metadata.owner_references.as_ref().unwrap()[0];
    assert_eq!((Some(&owner.uid), owner.block_owner_deletion), (it.metadata.uid.as_ref(), Some(false)));
    wait_for("the audit log", LIMIT, async || writes(&world).len() == 3).await.unwrap();
    let order = ["patch partnerintegrations 200", "create secrets 201", "patch partnerintegrations 200"];
    assert_eq!(told(&writes(&world)), order, "status first, then the Secret, then its name");
    tokio::time::sleep(SOON).await;
    assert_eq!((writes(&world).len(), world.checks()), (3, 1), "and then it rests");
}

#[tokio::test]
async fn on_rotation_the_secret_is_updated_in_place_once_the_new_key_is_proved() {
    let world = bound("rotated").await;
    let before = world.secrets().get("binding").await.unwrap();
    let events = watcher(world.secrets(), watcher::Config::default().fields("metadata.name=binding"));
    let mut events = std::pin::pin!(events.applied_objects());
    let began = Instant::now();
    world.put_secret("key", b"new").await;
    let rotated = tokio::time::timeout(LIMIT, async {
        loop {
            // A deletion would come as a new uid.
            let secret = events.next().await.unwrap().unwrap();
            assert_eq!(secret.metadata.uid, before.metadata.uid, "never missing");
            if entry(&secret, "api-key") == "new" {
                return secret;
            }
        }
    });
    rotated.await.unwrap();
    println!("rotated after {:.0?}", began.elapsed());
    assert_eq!(world.checks_with("new"), 1, "it was proved before");
    // One that the partner refuses never gets there, and takes the binding away.
    let began = Instant::now();
    world.put_secret("key", b"wrong").await;
    wait_for("withdrawal", LIMIT, async || !exists(&world, "binding").await).await.unwrap();
    println!("withdrawn {:.0?} after the wrong key", began.elapsed());
    world.reaches("it", "CredentialRejected").await;
    assert_eq!(binding_of(&world.get("it").await), None);
    world.put_secret("key", b"good").await;
    named(&world, Some("binding")).await;
    assert_eq!(entry(&world.secrets().get("binding").await.unwrap(), "api-key"), "good");
}

#[tokio::test]
async fn suspension_withdraws_it_within_a_second_and_before_the_status_says_so() {
    let world = bound("suspended").await;
    wait_for("the audit log", LIMIT, async || writes(&world).len() == 3).await.unwrap();
    let began = Instant::now();
    world.edit("it", json!({"spec": {"suspend": true}})).await;
    wait_for("withdrawal", LIMIT, async || !exists(&world, "binding").await).await.unwrap();
    let took = began.elapsed();
    println!("withdrawn after {took:.0?}");
    assert!(took < SOON, "{took:?}");
    world.reaches("it", "Suspended").await;
    wait_for("the audit log", LIMIT, async || writes(&world).len() == 5).await.unwrap();
    assert_eq!(told(&writes(&world))[3..], ["delete secrets 200", "patch partnerintegrations 200"]);
    world.edit("it", json!({"spec": {"suspend": false}})).await;
    named(&world, Some("binding")).await;
}

#[tokio::test]
async fn one_that_is_deleted_comes_back_after_one_check_and_one_that_is_changed_without_any() {
    let world = bound("restored").await;
    let uid = |secret: Secret| secret.metadata.uid.unwrap();
    let first = uid(world.secrets().get("binding").await.unwrap());
    world.delete_secret("binding").await;
    wait_for("a new one", LIMIT, async || {
        world.secrets().get_opt("binding").await.unwrap().is_some_and(|secret| uid(secret) != first)
    })
    .await
    .unwrap();
    assert_eq!(world.checks(), 2, "one fresh check");
    let put = Patch::Merge(json!({"stringData": {"api-key": "somebody's", "extra": "x"}}));
    world.secrets().patch("binding", &PatchParams::default(), &put).await.unwrap();
    wait_for("the proved key", LIMIT, async || {
        let secret = world.secrets().get("binding").await.unwrap();
        let entries = secret.data.as_ref().unwrap();
        entries.len() == 5 && entry(&secret, "api-key") == "good"
    })
    .await
    .unwrap();
    let label = Patch::Merge(json!({"metadata": {"labels": {"backup": "yes"}}}));
    let labelled = world.secrets().patch("binding", &PatchParams::default(), &label).await.unwrap();
    tokio::time::sleep(SOON).await;
    let after = world.secrets().get("binding").await.unwrap();
    assert_eq!(after.metadata.resource_version, labelled.metadata.resource_version, "a label is nothing to mend");
    assert_eq!(world.checks(), 2);
}

#[tokio::test]
async fn under_another_name_the_new_one_is_there_before_the_old_one_goes() {
    let world = bound("renamed").await;
    let events = watcher(world.secrets(), watcher::Config::default());
    let mut events = std::pin::pin!(events);
    world.edit("it", json!({"spec": {"binding": {"secretName": "other"}}})).await;
    let mut created = false;
    loop {
        match tokio::time::timeout(LIMIT, events.try_next()).await.unwrap().unwrap().unwrap() {
            watcher::Event::Apply(secret) if secret.metadata.name.as_deref() == Some("other") => created = true,
            watcher::Event::Delete(secret) if secret.metadata.name.as_deref() == Some("binding") => break,
            _ => {}
        }
    }
    assert!(created, "a moment with neither");
    named(&world, Some("other")).await;
    world.edit("it", json!({"spec": {"binding": null}})).await;
    named(&world, None).await;
    assert!(!exists(&world, "other").await);
    assert_eq!(world.checks(), 1);
}

#[tokio::test]
async fn a_secret_of_somebody_else_is_left_alone_until_it_goes() {
    let world = World::on(&cluster().await.0, "foreign", &["eu1"]).await;
    world.sim.accept("eu1", "good");
    world.create_partner(json!({})).await;
    let theirs = world.put_secret("binding", b"theirs").await;
    ask_for(&world, "binding").await;
    let ready = |it: &PartnerIntegration| condition(it, "Ready").map(|ready| ready.reason.clone()).unwrap_or_default();
    let (it, _) = world.until("it", "not owned", |it| ready(it) == "BindingNotOwned").await;
    assert_eq!(condition(&it, "Stalled").unwrap().reason, "BindingNotOwned");
    assert_eq!((condition(&it, "Connected").unwrap().status.as_str(), binding_of(&it)), ("True", None));
    world.edit("it", json!({"spec": {"suspend": true}})).await;
    world.reaches("it", "Suspended").await;
    world.edit("it", json!({"spec": {"suspend": false}})).await;
    world.until("it", "not owned", |it| ready(it) == "BindingNotOwned").await;
    let still = world.secrets().get("binding").await.unwrap();
    assert_eq!((still.metadata.resource_version, still.data), (theirs.metadata.resource_version, theirs.data));
    world.delete_secret("binding").await;
    named(&world, Some("binding")).await;
    assert_eq!(ready(&world.get("it").await), "Connected");
}

#[tokio::test]
async fn it_goes_with_its_integration_and_the_next_one_of_the_name_gets_its_own() {
    let world = bound("collected").await;
    let first = world.secrets().get("binding").await.unwrap().metadata.uid;
    world.integrations().delete("it", &DeleteParams::default()).await.unwrap();
    ask_for(&world, "binding").await;
    wait_for("collection of the first", COLLECTED, async || binding_of(&world.get("it").await).is_some())
        .await
        .unwrap();
    let second = world.secrets().get("binding").await.unwrap();
    assert_ne!(second.metadata.uid, first);
    assert_eq!(second.metadata.owner_references.unwrap()[0].uid, world.get("it").await.metadata.uid.unwrap());
    world.integrations().delete("it", &DeleteParams::foreground()).await.unwrap();
    wait_for("collection", COLLECTED, async || !exists(&world, "binding").await).await.unwrap();
    tokio::time::sleep(SOON).await;
    assert!(!exists(&world, "binding").await, "published again for a deleted integration");
}

#[tokio::test]
async fn a_restart_with_bindings_in_place_costs_no_check_and_no_write_and_what_changed_meanwhile_is_mended() {
    let (plane, kubeconfig) = own_plane().await;
    allow_bindings(&plane).await.unwrap();
    let arguments = [&ALLOW[..], &["--bindings"]].concat();
    let operator = own_operator(&plane, &kubeconfig, &arguments).await;
    let world = World::on(&plane, "again", &["eu1"]).await;
    world.sim.accept("eu1", "good");
    world.create_partner(json!({})).await;
    ask_for(&world, "binding").await;
    named(&world, Some("binding")).await;
    operator.kill().await.unwrap();
    wait_for("the audit log", LIMIT, async || writes(&world).len() == 3).await.unwrap();
    let operator = own_operator(&plane, &kubeconfig, &arguments).await;
    tokio::time::sleep(SOON * 3).await;
    assert_eq!((told(&writes(&world)).len(), world.checks()), (3, 1), "{:?}", told(&writes(&world)));
    operator.kill().await.unwrap();
    let put = Patch::Merge(json!({"stringData": {"api-key": "somebody's"}}));
    world.secrets().patch("binding", &PatchParams::default(), &put).await.unwrap();
    let operator = own_operator(&plane, &kubeconfig, &arguments).await;
    wait_for("the proved key", LIMIT, async || {
        entry(&world.secrets().get("binding").await.unwrap(), "api-key") == "good"
    })
    .await
    .unwrap();
    operator.kill().await.unwrap();
    // Without the flag it is left as it is, and said so.
    let operator = own_operator(&plane, &kubeconfig, &ALLOW).await;
    let ready = |it: &PartnerIntegration| condition(it, "Ready").map(|ready| ready.reason.clone()).unwrap_or_default();
    world.until("it", "disabled", |it| ready(it) == "BindingsDisabled").await;
    world.edit("it", json!({"spec": {"suspend": true}})).await;
    world.reaches("it", "Suspended").await;
    assert!(exists(&world, "binding").await);
    assert_eq!(operator.terminate().await.unwrap(), 0);
}

#[tokio::test]
async fn without_access_to_write_secrets_it_is_said_and_connected_all_the_same() {
    let (plane, kubeconfig) = own_plane().await;
    let operator = own_operator(&plane, &kubeconfig, &[&ALLOW[..], &["--bindings"]].concat()).await;
    let world = World::on(&plane, "no-access", &["eu1"]).await;
    world.sim.accept("eu1", "good");
    world.create_partner(json!({})).await;
    ask_for(&world, "binding").await;
    let ready = |it: &PartnerIntegration| condition(it, "Ready").map(|ready| ready.reason.clone()).unwrap_or_default();
    let (it, took) = world.until("it", "failed", |it| ready(it) == "BindingFailed").await;
    println!("said after {took:.0?}, once the 403 has lasted");
    assert_eq!(condition(&it, "Reconciling").unwrap().reason, "BindingFailed");
    assert!(it.status.unwrap().connected);
    assert!(operator.log().contains("grant the operator create and update on secrets"));
    allow_bindings(&plane).await.unwrap();
    // Any edit of the spec is another write; what makes it try by itself is ten minutes.
    world.edit("it", json!({"spec": {"binding": {"secretName": "now"}}})).await;
    named(&world, Some("now")).await;
    assert_eq!(world.checks(), 1);
    assert_eq!(operator.terminate().await.unwrap(), 0);
}
