//! Edits of a Partner and of an integration: what costs a check, what a write, what nothing.

use std::time::Duration;

use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::support::partner::SimPartner;
use crate::world::{World, is_observed, world};

/// A moment in which nothing must happen.
const QUIET: Duration = Duration::from_millis(1500);

/// An integration that is connected; its Partner has this patch.
async fn connected(prefix: &str, patch: Value) -> World<'static> {
    let world = world(prefix, &["eu1", "us1"]).await;
    world.sim.accept("eu1", "the-key");
    world.sim.accept("us1", "the-key");
    world.create_partner(patch).await;
    world.connect("it", "eu1", "the-key").await;
    world.reaches("it", "Connected").await;
    world.cost("it", 1, 1).await;
    world
}

#[tokio::test]
async fn a_changed_endpoint_is_proved_at_once_and_the_connection_stands_until_then() {
    let world = connected("endpoint", json!({})).await;
    let before = world.get("it").await.status.unwrap();
    let endpoint = world.sim.endpoint_by_address("us1");
    world.edit_partner(json!({"spec": {"regions": [{"name": "eu1", "endpoint": endpoint}]}})).await;
    let (found, _) = world
        .until("it", "at the new endpoint", |it| {
            let status = it.status.as_ref().unwrap();
            assert!(status.connected, "{status:#?}");
            status.endpoint.as_deref() == Some(&endpoint)
        })
        .await;
    assert_ne!(found.status.unwrap().verified.unwrap().digest, before.verified.unwrap().digest);
    let regions: Vec<_> = world.sim.requests().into_iter().map(|request| request.region.unwrap()).collect();
    assert_eq!(regions, ["eu1", "us1"]);
    world.cost("it", 2, 2).await;
}

#[tokio::test]
async fn an_endpoint_where_nobody_answers_ends_the_connection_at_once() {
    let world = connected("moved", json!({"spec": {"check": {"failureThreshold": 10}}})).await;
    let gone = SimPartner::start(&["eu1"]).await.unwrap().endpoint_by_address("eu1");
    world.edit_partner(json!({"spec": {"regions": [{"name": "eu1", "endpoint": gone}]}})).await;
    let status = world.reaches("it", "ConnectFailed").await.status.unwrap();
    assert_eq!(status.endpoint, Some(gone));
}

#[tokio::test]
async fn a_display_name_costs_a_write_and_no_check() {
    let world = connected("name", json!({})).await;
    world.edit_partner(json!({"spec": {"displayName": "Another Name"}})).await;
    let named = |it: &partner_integration_operator::api::PartnerIntegration| {
        it.status.as_ref().is_some_and(|status| status.partner_name.as_deref() == Some("Another Name"))
    };
    let (found, _) = world.until("it", "renamed", named).await;
    let text = serde_json::to_string(&found.status).unwrap();
    assert!(text.contains("Another Name is connected in region eu1.") && !text.contains("Loyalty"), "{text}");
    tokio::time::sleep(QUIET).await;
    world.cost("it", 1, 2).await;
}

#[tokio::test]
async fn interval_timeout_threshold_and_texts_cost_neither_check_nor_write() {
    let world = connected("free", json!({})).await;
    for patch in [
        json!({"check": {"interval": "1h"}}),
        json!({"check": {"timeout": "7s"}}),
        json!({"check": {"failureThreshold": 7}}),
        json!({"check": {"maxPerSecond": 9}}),
        json!({"description": "of no consequence", "documentationURL": "https://example.com"}),
    ] {
        world.edit_partner(json!({"spec": patch})).await;
    }
    tokio::time::sleep(QUIET).await;
    world.cost("it", 1, 1).await;
}

#[tokio::test]
async fn a_changed_check_costs_one_check() {
    let world = connected("check", json!({})).await;
    for (number, patch) in [
        json!({"path": "/v2/validate"}),
        json!({"headers": [{"name": "Accept", "value": "application/json"}]}),
        json!({"success": {"statusCodes": [200]}}),
    ]
    .into_iter()
    .enumerate()
    {
        world.edit_partner(json!({"spec": {"check": patch}})).await;
        let checks = number + 2;
        crate::support::wait_for("a check", crate::world::LIMIT, async || world.checks() == checks).await.unwrap();
        world.until("it", "written", |_| true).await;
    }
    tokio::time::sleep(QUIET).await;
    world.cost("it", 4, 4).await;
}

#[tokio::test]
async fn a_region_that_is_renamed_with_the_same_endpoint_costs_no_check() {
    let world = connected("rename", json!({})).await;
    let endpoint = world.sim.endpoint_by_address("eu1");
    let regions = json!([{"name": "eu1", "endpoint": endpoint}, {"name": "europe", "endpoint": endpoint}]);
    world.edit_partner(json!({"spec": {"regions": regions}})).await;
    world.edit("it", json!({"spec": {"region": "europe"}})).await;
    let found = world.reaches("it", "Connected").await;
    let said = &crate::world::condition(&found, "Connected").unwrap().message;
    assert_eq!(said, "Loyalty Platform is connected in region europe.");
    tokio::time::sleep(QUIET).await;
    world.cost("it", 1, 2).await;
}

#[tokio::test]
async fn another_region_is_proved_before_anything_is_said_of_it() {
    let world = connected("region", json!({})).await;
    world.edit("it", json!({"spec": {"region": "us1"}})).await;
    let (found, _) = world
        .until("it", "observed", |it| {
            let status = it.status.as_ref().unwrap();
            let region = if is_observed(it) { "us1" } else { "eu1" };
            assert_eq!(status.endpoint, Some(world.sim.endpoint_by_address(region)), "{status:#?}");
            is_observed(it)
        })
        .await;
    crate::world::assert_row(&found, "Connected");
    world.cost("it", 2, 2).await;
    world.edit("it", json!({"spec": {"region": "mars"}})).await;
    world.reaches("it", "RegionNotFound").await;
}

#[tokio::test]
async fn a_partner_that_is_deleted_ends_the_connection_and_one_that_comes_back_is_proved() {
    let world = connected("back", json!({})).await;
    world.add("added").await;
    world.reaches("added", "NotConfigured").await;
    world.partners().delete(&world.namespace, &DeleteParams::default()).await.unwrap();
    let status = world.reaches("it", "PartnerNotFound").await.status.unwrap();
    assert_eq!((status.partner_name, status.endpoint, status.verified), (None, None, None));
    world.reaches("added", "PartnerNotFound").await;
    world.create_partner(json!({"spec": {"displayName": "Back Again"}})).await;
    let status = world.reaches("it", "Connected").await.status.unwrap();
    assert_eq!(status.partner_name.as_deref(), Some("Back Again"));
    world.reaches("added", "NotConfigured").await;
    assert_eq!(world.checks(), 2);
}

#[tokio::test]
async fn an_integration_that_is_created_anew_under_its_name_is_a_new_one() {
    let world = connected("anew", json!({})).await;
    let before = world.get("it").await;
    world.integrations().delete("it", &DeleteParams::default()).await.unwrap();
    world.configure("it", "eu1", "it").await;
    let after = world.reaches("it", "Connected").await;
    assert_ne!(after.metadata.uid, before.metadata.uid);
    let digest =
        |it: partner_integration_operator::api::PartnerIntegration| it.status.unwrap().verified.unwrap().digest;
    assert_ne!(digest(after), digest(before), "the uid is part of what was proved");
    assert_eq!(world.checks(), 2);
}

#[tokio::test]
async fn a_suspended_connection_is_withdrawn_and_resuming_checks_at_once() {
    let world = connected("pause", json!({})).await;
    world.edit("it", json!({"spec": {"suspend": true}})).await;
    let status = world.reaches("it", "Suspended").await.status.unwrap();
    assert_eq!((status.verified, status.failing, status.endpoint), (None, None, None));
    world.put_secret("it", b"another").await;
    tokio::time::sleep(QUIET).await;
    assert_eq!(world.checks(), 1, "nothing is sent while it is suspended");
    world.edit("it", json!({"spec": {"suspend": false}})).await;
    world.reaches("it", "CredentialRejected").await;
    assert_eq!(world.checks_with("another"), 1);
}
