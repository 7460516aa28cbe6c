//! Suspended, rotated or deleted while its check hangs: seen within a second, and the check is cancelled.

use std::time::{Duration, Instant};

use kube::api::DeleteParams;
use serde_json::json;

use crate::support::partner::Behaviour;
use crate::support::wait_for;
use crate::world::{LIMIT, World, world};

const SEEN: Duration = Duration::from_secs(1);

/// An integration whose check hangs, for at most a minute.
async fn hanging(prefix: &str) -> World<'static> {
    let world = world(prefix, &["eu1"]).await;
    world.create_partner(json!({"spec": {"check": {"timeout": "60s"}}})).await;
    world.sim.set_region_behaviour("eu1", Some(Behaviour::HangForever)).unwrap();
    world.connect("it", "eu1", "old").await;
    wait_for("the check to hang", LIMIT, async || world.sim.counters().in_flight == 1).await.unwrap();
    world
}

/// The partner sees that the client has gone away.
async fn cancelled(world: &World<'_>, since: Instant) {
    let what = "the partner to see that the check is cancelled";
    wait_for(what, LIMIT, async || world.sim.counters().in_flight == 0).await.unwrap();
    let took = since.elapsed();
    println!("{}: cancelled after {took:.0?}", world.namespace);
    assert!(took < SEEN, "{took:?}");
}

#[tokio::test]
async fn an_integration_that_is_suspended_while_its_check_hangs_says_so_and_the_check_is_cancelled() {
    let world = hanging("suspend").await;
    let began = Instant::now();
    world.edit("it", json!({"spec": {"suspend": true}})).await;
    cancelled(&world, began).await;
    world.reaches("it", "Suspended").await;
    let took = began.elapsed();
    println!("suspended: seen after {took:.0?}");
    assert!(took < SEEN, "{took:?}");
    world.cost("it", 1, 1).await;
}

#[tokio::test]
async fn a_key_that_is_rotated_while_its_check_hangs_is_checked_and_the_old_check_is_cancelled() {
    let world = hanging("rotate").await;
    world.sim.accept("eu1", "new");
    world.sim.set_region_behaviour("eu1", None).unwrap();
    let began = Instant::now();
    world.put_secret("it", b"new").await;
    cancelled(&world, began).await;
    world.reaches("it", "Connected").await;
    let took = began.elapsed();
    println!("rotated: seen after {took:.0?}");
    assert!(took < SEEN, "{took:?}");
    assert_eq!((world.checks_with("old"), world.checks_with("new")), (1, 1));
    // Nothing is written of the old key.
    world.cost("it", 2, 1).await;
}

#[tokio::test]
async fn an_integration_that_is_deleted_while_its_check_hangs_is_let_go_and_nothing_is_written() {
    let world = hanging("delete").await;
    let began = Instant::now();
    world.integrations().delete("it", &DeleteParams::default()).await.unwrap();
    cancelled(&world, began).await;
    assert_eq!((world.checks(), world.status_writes().len()), (1, 0));
}

#[tokio::test]
async fn an_integration_with_a_deletion_timestamp_counts_as_deleted() {
    let world = hanging("finalizer").await;
    // Somebody else's finalizer keeps the object.
    world.edit("it", json!({"metadata": {"finalizers": ["example.com/hold"]}})).await;
    let began = Instant::now();
    world.integrations().delete("it", &DeleteParams::default()).await.unwrap();
    cancelled(&world, began).await;
    world.sim.accept("eu1", "new");
    world.sim.set_region_behaviour("eu1", None).unwrap();
    world.put_secret("it", b"new").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((world.checks(), world.status_writes().len()), (1, 0), "nothing more is sent or written");
    world.edit("it", json!({"metadata": {"finalizers": null}})).await;
}

#[tokio::test]
async fn an_endpoint_that_changes_while_the_check_hangs_is_checked_and_the_old_check_is_cancelled() {
    let world = hanging("move").await;
    world.sim.accept("us1", "old");
    let endpoint = world.sim.endpoint_by_address("us1");
    let began = Instant::now();
    world.edit_partner(json!({"spec": {"regions": [{"name": "eu1", "endpoint": endpoint}]}})).await;
    cancelled(&world, began).await;
    world.reaches("it", "Connected").await;
    world.cost("it", 2, 1).await;
}

#[tokio::test]
async fn a_partner_that_hangs_delays_no_other() {
    let slow = hanging("slow").await;
    for number in 0..100 {
        slow.configure(&format!("it-{number}"), "eu1", "it").await;
    }
    wait_for("64 checks to hang", LIMIT, async || slow.sim.counters().in_flight == 64).await.unwrap();
    let quick = world("quick", &["eu1"]).await;
    quick.sim.accept("eu1", "the-key");
    quick.create_partner(json!({})).await;
    quick.put_secret("key", b"the-key").await;
    let began = Instant::now();
    quick.configure("it", "eu1", "key").await;
    quick.reaches("it", "Connected").await;
    let took = began.elapsed();
    println!("beside 64 checks that hang: connected after {took:.0?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(slow.sim.counters().most_in_flight, 64, "no more at once to one host");
    slow.partners().delete(&slow.namespace, &DeleteParams::default()).await.unwrap();
    wait_for("all of them to be cancelled", LIMIT, async || slow.sim.counters().in_flight == 0).await.unwrap();
}
