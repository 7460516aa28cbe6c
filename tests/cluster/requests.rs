//! The annotation that asks for a check now.

use std::time::Duration;

use partner_integration_operator::api::PartnerIntegration;
use serde_json::json;

use crate::support::partner::Behaviour;
use crate::support::wait_for;
use crate::world::{LIMIT, World, world};

fn handled(integration: &PartnerIntegration) -> Option<&str> {
    integration.status.as_ref()?.last_handled_check_request.as_deref()
}

async fn connected(prefix: &str) -> World<'static> {
    let world = world(prefix, &["eu1"]).await;
    world.sim.accept("eu1", "the-key");
    world.create_partner(json!({})).await;
    world.connect("it", "eu1", "the-key").await;
    world.reaches("it", "Connected").await;
    world
}

#[tokio::test]
async fn a_request_costs_one_check_and_one_write_and_its_first_64_characters_are_marked_handled() {
    let world = connected("ask").await;
    let long = "x".repeat(63) + "\u{fc}yz";
    for value in ["2026-11-24T10:00:00Z", "now", &long] {
        world.ask("it", value).await;
        let marked: String = value.chars().take(64).collect();
        world.until("it", "handled", |it| handled(it) == Some(&marked)).await;
    }
    // The same value again is no new request.
    world.ask("it", &long).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.cost("it", 4, 4).await;
}

#[tokio::test]
async fn where_nothing_can_be_sent_a_request_is_answered_with_that_status() {
    let world = world("ask-nothing", &["eu1"]).await;
    world.create_partner(json!({})).await;
    world.configure("it", "eu1", "key").await;
    world.reaches("it", "SecretNotFound").await;
    world.ask("it", "now").await;
    let (found, _) = world.until("it", "handled", |it| handled(it) == Some("now")).await;
    crate::world::assert_row(&found, "SecretNotFound");
    assert_eq!(world.checks(), 0);
}

#[tokio::test]
async fn ten_checks_at_once_and_then_one_a_minute_however_often_somebody_asks() {
    let world = connected("ask-often").await;
    // The first check was one of the ten.
    for number in 1..=9 {
        world.ask("it", &number.to_string()).await;
        world.until("it", "handled", |it| handled(it) == Some(&number.to_string())).await;
    }
    for number in 10..=15 {
        world.ask("it", &number.to_string()).await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(world.checks(), 10);
    assert_eq!(handled(&world.get("it").await), Some("9"), "what exceeds the budget waits and is not answered");
}

#[tokio::test]
async fn a_changed_key_waits_for_the_budget_too_and_is_not_lost() {
    let world = connected("rotate-often").await;
    for number in 1..=9 {
        let key = format!("key-{number}");
        world.sim.accept("eu1", &key);
        world.put_secret("it", key.as_bytes()).await;
        wait_for("its check", LIMIT, async || world.checks_with(&key) == 1).await.unwrap();
        world.until("it", "settled", |it| it.status.as_ref().is_some_and(|status| status.connected)).await;
    }
    world.put_secret("it", b"one-too-many").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((world.checks(), world.checks_with("one-too-many")), (10, 0));
    assert!(world.get("it").await.status.unwrap().connected, "of a key that is not known nothing is said");
}

#[tokio::test]
async fn a_request_does_not_undercut_what_the_partner_asked_for() {
    let world = world("ask-early", &["eu1"]).await;
    world.sim.accept("eu1", "the-key");
    world.sim.set_region_behaviour("eu1", Some(Behaviour::Throttle429(Some("3600".into())))).unwrap();
    world.create_partner(json!({})).await;
    world.connect("it", "eu1", "the-key").await;
    let status = world.reaches("it", "RateLimited").await.status.unwrap();
    let wait = status.failing.unwrap().not_before.0.as_second() - jiff::Timestamp::now().as_second();
    assert!((3500..=3601).contains(&wait), "{wait}");
    world.ask("it", "now").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((world.checks(), handled(&world.get("it").await)), (1, None));
    // A new key is another matter.
    world.sim.set_region_behaviour("eu1", None).unwrap();
    world.sim.accept("eu1", "new");
    world.put_secret("it", b"new").await;
    let found = world.reaches("it", "Connected").await;
    assert_eq!(handled(&found), Some("now"), "that check answers the request, too");
}
