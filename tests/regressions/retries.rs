//! When a partner is asked, and what is made of no answer.

use std::time::Duration;

use serde_json::json;

use crate::support::partner::{Behaviour, SimPartner};
use crate::world;
use crate::world::condition;

/// A moment in which nothing must happen.
const QUIET: Duration = Duration::from_millis(1500);

/// Kong's operator: a token was called invalid when the network was down. <https://github.com/Kong/kong-operator>
#[tokio::test]
async fn kong_operator_a_network_error_is_not_shown_as_an_invalid_key() {
    let world = world("network").await;
    let gone = SimPartner::start(&["eu1"]).await.unwrap().endpoint_by_address("eu1");
    world.create_partner(json!({"spec": {"regions": [{"name": "eu1", "endpoint": gone}]}})).await;
    world.connect("it", "eu1", "the-key").await;
    let found = world.reaches("it", "ConnectFailed").await;
    let said = &condition(&found, "Connected").unwrap().message;
    assert!(said.contains("cannot be reached") && !said.contains("key"), "{said}");
    assert!(condition(&found, "Stalled").is_none(), "nobody has to mend the key");
}

/// Kong's operator: its own status write woke it, and it asked the vendor a second time. <https://github.com/Kong/kong-operator>
#[tokio::test]
async fn kong_operator_its_own_status_write_causes_no_second_check() {
    let world = world("own-write").await;
    world.create_partner(json!({})).await;
    world.connect("good", "eu1", "the-key").await;
    world.connect("bad", "us1", "another-key").await;
    world.reaches("good", "Connected").await;
    world.reaches("bad", "CredentialRejected").await;
    tokio::time::sleep(QUIET).await;
    world.cost("good", 2, 1).await;
    world.cost("bad", 2, 1).await;
}

/// external-secrets: after a transient error a store stayed as it was.
/// <https://github.com/external-secrets/external-secrets/issues/2035>
#[tokio::test]
async fn external_secrets_2035_nobody_has_to_touch_what_failed_for_a_moment() {
    let world = world("moment").await;
    world.create_partner(json!({})).await;
    world.sim.set_region_behaviour("eu1", Some(Behaviour::Down503(None))).unwrap();
    world.connect("it", "eu1", "the-key").await;
    world.reaches("it", "PartnerUnavailable").await;
    world.sim.set_region_behaviour("eu1", None).unwrap();
    world.reaches("it", "Connected").await;
}
