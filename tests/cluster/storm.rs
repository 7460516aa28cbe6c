//! Keys that change at the very moment when a check ends: what is written is never about another key than the checked one.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::join_all;
use kube::ResourceExt as _;
use kube::runtime::{WatchStreamExt as _, watcher};
use partner_integration_operator::api::PartnerIntegration;
use serde_json::json;

use crate::support::partner::Behaviour;
use crate::support::wait_for;
use crate::world::{LIMIT, World, world};

/// How long the partner takes.
const ANSWER: Duration = Duration::from_millis(150);
/// With the first check this stays within the budget of ten at once.
const ROTATIONS: u64 = 8;

/// Every status that a watch has shown of this world.
fn watch(world: &World<'_>) -> (Arc<Mutex<Vec<PartnerIntegration>>>, tokio::task::JoinHandle<()>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (kept, api) = (seen.clone(), world.integrations());
    let task = tokio::spawn(async move {
        let mut events = std::pin::pin!(watcher(api, watcher::Config::default()).default_backoff().applied_objects());
        while let Some(event) = events.next().await {
            kept.lock().unwrap().extend(event);
        }
    });
    (seen, task)
}

/// Gives the Secret another key each time, in the moment in which the check of the one before ends. Every second key is
/// good; gives the versions of those.
async fn rotate(world: &World<'_>, name: &str, offset: u64) -> Vec<String> {
    let mut good = Vec::new();
    for number in 0..ROTATIONS {
        let key = format!("{name}-{number}");
        if number % 2 == 1 {
            world.sim.accept("eu1", &key);
        }
        let secret = world.put_secret(name, key.as_bytes()).await;
        if number % 2 == 1 {
            good.push(secret.resource_version().unwrap());
        }
        if number == 0 {
            world.configure(name, "eu1", name).await;
        }
        wait_for("the check with this key", LIMIT, async || world.checks_with(&key) == 1).await.unwrap();
        // From a little before the answer to a little after it, another moment for each.
        tokio::time::sleep(Duration::from_millis(120 + 5 * offset + number)).await;
    }
    good
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_changes_while_its_check_ends_is_never_taken_for_the_one_that_was_checked() {
    let world = &world("storm", &["eu1"]).await;
    world.sim.set_behaviour(Behaviour::Slow(ANSWER)).await.unwrap();
    world.create_partner(json!({"spec": {"check": {"failureThreshold": 3}}})).await;
    let (seen, watching) = watch(world);
    let names: Vec<String> = (0..10).map(|number| format!("it-{number}")).collect();
    let rotations = names.iter().zip(0..).map(|(name, offset)| rotate(world, name, offset));
    let good: HashSet<String> = join_all(rotations).await.into_iter().flatten().collect();
    for name in &names {
        let last = world.reaches(name, "Connected").await.status.unwrap().verified.unwrap();
        let secret = world.secrets().get(name).await.unwrap();
        assert_eq!(
            Some(last.secret_resource_version),
            secret.resource_version(),
            "{name}: the last key is the proved one"
        );
    }
    watching.abort();
    let seen = seen.lock().unwrap();
    assert!(seen.len() > names.len() * 4, "{} changes were seen", seen.len());
    for integration in seen.iter() {
        let status = integration.status.as_ref().unwrap();
        if let Some(verified) = &status.verified {
            assert!(good.contains(&verified.secret_resource_version), "a refused key counts as proved: {status:#?}");
        }
        if let Some(failing) = &status.failing {
            assert!(!good.contains(&failing.secret_resource_version), "a good key counts as failing: {status:#?}");
        }
    }
}
